package pass

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/exhibit-forensics/exhibit/internal/hashtree"
)

var errFault = errors.New("injected fault")

// faulty is an io.Writer, hash and Tree that fails after some good calls.
type faulty struct {
	hash.Hash
	good  int64
	calls atomic.Int64
	short bool
}

func (f *faulty) Write(p []byte) (int, error) {
	if f.calls.Add(1) <= f.good {
		return len(p), nil
	}
	if f.short {
		return len(p) - 1, nil
	}
	return 0, errFault
}

func (f *faulty) Put(int64, hashtree.Value) error {
	_, err := f.Write(nil)
	return err
}

// noGoroutinesLeft runs f and fails if more goroutines live after it than before.
func noGoroutinesLeft(t *testing.T, f func()) {
	t.Helper()
	before := runtime.NumGoroutine()
	f()
	// A goroutine that has done its last work may still be counted for an instant.
	for range 100_000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines after, %d before", runtime.NumGoroutine(), before)
}

// failing runs a pass over an endless source that must end with the error want, whose text has each of the words.
func failing(t *testing.T, name string, ctx context.Context, src io.Reader, opts Options, want error, words ...string) {
	t.Helper()
	noGoroutinesLeft(t, func() {
		res, err := Run(ctx, src, opts)
		if !errors.Is(err, want) || res != (Result{}) {
			t.Errorf("%s: got %v, %v, want %v", name, res, err, want)
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q lacks %q", name, err, w)
			}
		}
	})
}

func TestConsumerFails(t *testing.T) {
	for _, good := range []int64{0, 1, 7} {
		offset := "offset " + []string{"0:", "1048576:", "", "", "", "", "", "7340032:"}[good]
		fault := func() *faulty { return &faulty{good: good} }
		ok := Options{Tree: nothing{}, Linear: []hash.Hash{sha256.New()}, Sinks: []io.Writer{io.Discard}, Buffers: 3}

		o := ok
		o.Sinks = []io.Writer{io.Discard, fault()}
		failing(t, "sink", t.Context(), endless, o, errFault, "sink 1", offset)
		o.Sinks = []io.Writer{&faulty{good: good, short: true}}
		failing(t, "short sink", t.Context(), endless, o, io.ErrShortWrite, "sink 0", offset)
		o = ok
		o.Linear = []hash.Hash{fault()}
		failing(t, "hash", t.Context(), endless, o, errFault, "hash 0", offset)
		o = ok
		o.Tree = fault()
		failing(t, "tree", t.Context(), endless, o, errFault)
	}
	for _, n := range []int{0, 1, BlockSize, BlockSize + 1} {
		src := bytes.NewReader(make([]byte, n))
		failing(t, "tree at the end", t.Context(), src, Options{Tree: &faulty{good: int64(n / (BlockSize + 1))}}, errFault)
	}
	src := bytes.NewReader(make([]byte, 10))
	failing(t, "sink at the end", t.Context(), src, Options{Sinks: []io.Writer{&faulty{}}, Tree: nothing{}}, errFault)
}

func TestFirstErrorWins(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r := start(ctx, nil, Options{Sinks: []io.Writer{io.Discard}})
	r.fail(errFault)
	r.fail(errors.New("a later error"))
	stop()
	r.wait()
	if got := r.firstError(); !errors.Is(got, errFault) {
		t.Errorf("got %v, want %v", got, errFault)
	}
}

func TestReadFails(t *testing.T) {
	for name, c := range map[string]struct {
		src   io.Reader
		want  error
		words string
	}{
		"at once":         {iotest.ErrReader(errFault), errFault, "offset 0:"},
		"in a block":      {after(1000, errFault), errFault, "offset 1000:"},
		"after a block":   {after(BlockSize, errFault), errFault, "offset 1048576:"},
		"in block 4":      {after(3*BlockSize+5, errFault), errFault, "offset 3145733:"},
		"torn source":     {after(500, io.ErrUnexpectedEOF), io.ErrUnexpectedEOF, "offset 500:"},
		"torn at a block": {after(2*BlockSize, io.ErrUnexpectedEOF), io.ErrUnexpectedEOF, "offset 2097152:"},
		"no progress":     {after(BlockSize+9, nil), io.ErrNoProgress, "offset 1048585:"},
	} {
		readFails(t, name, c.src, c.want, c.words)
	}
	src := iotest.DataErrReader(after(BlockSize+10, errFault))
	readFails(t, "data with the error", src, errFault, "offset 1048586:")
}

// readFails runs a pass whose source fails, and requires that every consumer took all whole blocks before that.
func readFails(t *testing.T, name string, src io.Reader, want error, words string) {
	t.Helper()
	noGoroutinesLeft(t, func() {
		groups, sum := new(faulty), new(count)
		groups.good = 1 << 40
		res, err := Run(t.Context(), src, Options{Tree: groups, Sinks: []io.Writer{sum}})
		e, ok := errors.AsType[*SourceError](err)
		if !ok || !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want a SourceError of %v with %q", name, err, want, words)
			return
		}
		whole := e.Offset / BlockSize * BlockSize
		if res.SizeBytes != whole || int64(*sum) != whole || groups.calls.Load()*BlockSize != whole {
			t.Errorf("%s: result %+v, %d bytes and %d groups consumed, want %d bytes of whole blocks", name, res, *sum, groups.calls.Load(), whole)
		}
	})
}

// count is an io.Writer that counts.
type count int64

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}

// A part of a medium has no root, however short it is.
func TestPart(t *testing.T) {
	var got []hashtree.Value
	block := bytes.Repeat([]byte{7}, BlockSize)
	tree := treeFunc(func(group int64, v hashtree.Value) error { got = append(got, v); return nil })
	res, err := Run(t.Context(), bytes.NewReader(block), Options{Tree: tree, Part: true, Workers: 1})
	if err != nil || res.SizeBytes != BlockSize || len(got) != 1 || got[0] != hashtree.Sum(block, 0) {
		t.Errorf("got %+v, %v, %d values; want the group's value and no root", res, err, len(got))
	}
}

type treeFunc func(int64, hashtree.Value) error

func (f treeFunc) Put(group int64, v hashtree.Value) error { return f(group, v) }

// after gives n zeros and then err; without an error it then gives nothing, for ever.
func after(n int64, err error) io.Reader {
	return io.MultiReader(io.LimitReader(endless, n), readerFunc(func([]byte) (int, error) { return 0, err }))
}

func TestSourceThatLies(t *testing.T) {
	for _, n := range []int{-1, BlockSize + 1} {
		src := readerFunc(func([]byte) (int, error) { return n, nil })
		noGoroutinesLeft(t, func() {
			if _, err := Run(t.Context(), src, Options{Tree: nothing{}}); err == nil || !strings.Contains(err.Error(), "claims") {
				t.Errorf("%d bytes: got %v", n, err)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	reason := errors.New("the user has had enough")
	opts := Options{Tree: nothing{}, Linear: []hash.Hash{sha256.New()}, Buffers: 3}

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	src := readerFunc(func([]byte) (int, error) { t.Error("read after the end of the context"); return 0, io.EOF })
	failing(t, "before", ctx, src, opts, context.Canceled, "stopped", reason.Error())

	ctx, stop := context.WithCancel(t.Context())
	reads := 0
	src = readerFunc(func(p []byte) (int, error) {
		if reads++; reads == 5 {
			stop()
		}
		if reads > 5 {
			t.Error("read after the end of the context")
		}
		return len(p), nil
	})
	failing(t, "while reading", ctx, src, opts, context.Canceled)

	ctx, stop = context.WithCancel(t.Context())
	writes := 0
	opts.Sinks = []io.Writer{writerFunc(func(p []byte) (int, error) {
		if writes++; writes == 2 {
			stop()
		}
		if writes > 2 {
			t.Error("written to after the end of the context")
		}
		return len(p), nil
	})}
	failing(t, "while writing", ctx, endless, opts, context.Canceled)

	// When all has been read, the blocks still on their way are not written either.
	ctx, stop = context.WithCancel(t.Context())
	defer stop()
	writes = 1
	failing(t, "after the last read", ctx, bytes.NewReader(make([]byte, 2*BlockSize)), opts, context.Canceled)
}

type hung struct{ error }

func (hung) KeepsMemory() bool { return true }

func (h hung) Unwrap() error { return h.error }

// A read that hangs may be answered after the pass has ended: its buffer is still there.
func TestHungReadKeepsItsBuffer(t *testing.T) {
	var late []byte
	src := readerFunc(func(p []byte) (int, error) {
		late = p
		return 0, hung{errFault}
	})
	_, err := Run(t.Context(), src, Options{Tree: nothing{}})
	if !errors.Is(err, errFault) || len(late) != BlockSize {
		t.Fatalf("got %v and a buffer of %d bytes", err, len(late))
	}
	late[0], late[BlockSize-1] = 1, 1 // unmapped memory would end the test here
}
