package acquire

import (
	"testing"
	"testing/synctest"
	"time"
)

// The drive is asked once a minute, when a read has come back and the last answer is there; a question that hangs holds up
// nothing, and there is no second one beside it.
func TestThermometer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, release := 0, make(chan struct{})
		var hang bool
		now := time.Now()
		w := &thermometer{asked: now, ask: func() (int64, bool) {
			asked++
			if hang {
				<-release
			}
			return int64(30 + asked), asked != 2
		}}
		read := func(after time.Duration) (int64, bool) {
			now = now.Add(after)
			c, ok := w.look(now)
			synctest.Wait()
			return c, ok
		}
		if c, ok := read(59 * time.Second); ok || asked != 0 {
			t.Errorf("before a minute: %d, %t, asked %d times", c, ok, asked)
		}
		if _, ok := read(time.Second); ok || asked != 1 {
			t.Errorf("after a minute: asked %d times", asked)
		}
		if c, ok := read(0); !ok || c != 31 {
			t.Errorf("got %d, %t, want 31", c, ok)
		}
		read(time.Hour) // no read came back meanwhile, so nothing was asked
		if asked != 2 {
			t.Errorf("asked %d times, want 2", asked)
		}
		if c, ok := read(0); ok {
			t.Errorf("got %d of a drive that does not say", c)
		}
		hang = true
		read(time.Minute)
		for range 5 {
			if c, ok := read(time.Hour); ok || asked != 3 {
				t.Errorf("got %d, %t, asked %d times of a drive that does not answer", c, ok, asked)
			}
		}
		hang = false
		close(release)
		synctest.Wait()
		if c, ok := read(0); !ok || c != 33 {
			t.Errorf("got %d, %t, want 33, late", c, ok)
		}
	})
}
