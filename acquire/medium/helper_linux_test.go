package medium

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A call that does not return is given up; when it returns after all, its goroutine ends (synctest fails if it does not).
func TestHelper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHelper()
		quick := func(p []byte, off int64) (int, error) { return len(p), nil }
		if a, ok := h.do(ask{quick, make([]byte, 7), 0}, time.Second); !ok || a.n != 7 || a.err != nil {
			t.Errorf("got %+v, %t", a, ok)
		}
		release := make(chan struct{})
		hang := func([]byte, int64) (int, error) { <-release; return 0, errors.New("late") }
		before := time.Now()
		if a, ok := h.do(ask{hang, nil, 0}, 5*time.Second); ok {
			t.Errorf("got %+v of a call that hangs", a)
		}
		if waited := time.Since(before); waited != 5*time.Second {
			t.Errorf("gave up after %v, want 5 s", waited)
		}
		h.end()
		h.end()
		close(release)
	})
}

// A hung read is a lost medium to whoever asks only that, and never a bad place.
func TestHungError(t *testing.T) {
	err := error(&HungError{Path: "x", Offset: 512, SizeBytes: 1024, Waited: time.Minute})
	_, bad := errors.AsType[*ReadError](err)
	keeps, ok := errors.AsType[interface {
		error
		KeepsMemory() bool
	}](err)
	if !errors.Is(err, ErrHung) || !errors.Is(err, ErrLost) || bad || errors.Is(err, ErrMediumChanged) || !ok || !keeps.KeepsMemory() {
		t.Errorf("%v is of the wrong kinds", err)
	}
	const want = `read 1024 bytes at offset 512 of "x": no answer in 1m0s: the medium does not answer`
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
