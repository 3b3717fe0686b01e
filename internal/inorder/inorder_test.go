package inorder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/internal/hashtree"
)

func random(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// counted counts the bytes that are read, and fails at an offset.
type counted struct {
	*os.File
	read   *atomic.Int64
	failAt int64 // 0: never
}

var errFault = errors.New("injected fault")

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.read.Add(int64(len(p)))
	if c.failAt > 0 && off+int64(len(p)) > c.failAt {
		return 0, errFault
	}
	return c.File.ReadAt(p, off)
}

// folder is an FS of files with the given content, and the number of bytes that it reads.
func folder(t *testing.T, failAt int64, content map[string][]byte) (*FS, string, *atomic.Int64) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range content {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := new(atomic.Int64)
	f := New(os.DirFS(dir), func(name string) (fs.File, error) {
		o, err := os.Open(filepath.Join(dir, name))
		return &counted{o, read, failAt}, err
	}, nil)
	t.Cleanup(f.Close)
	return f, dir, read
}

func open(t *testing.T, f *FS, name string) *file {
	t.Helper()
	o, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	opened, ok := o.(*file)
	if !ok {
		t.Fatalf("a file of type %T", o)
	}
	return opened
}

func readAt(t *testing.T, f *file, want []byte, off, n int) {
	t.Helper()
	p := make([]byte, n)
	got, err := f.ReadAt(p, int64(off))
	end := min(len(want), off+n)
	if got != end-off || !bytes.Equal(p[:got], want[off:end]) || (err != nil) != (got < n) || err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes at %d: got %d, %v, or others than stand there", n, off, got, err)
	}
}

func checkDigests(t *testing.T, f *FS, name string, want []byte) {
	t.Helper()
	sum, root, err := f.Digests(t.Context(), name)
	if err != nil || sum != sha256.Sum256(want) || root != blake3.Sum256(want) {
		t.Errorf("%s, %d bytes: got %x, %s, %v", name, len(want), sum, root, err)
	}
}

// Whatever is read, in whichever order, before or after Begin, is right, and so are the digests.
func TestAnyOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, stretch - 1, stretch, stretch + 1, 3*stretch + 17, 12*stretch + 5} {
		a, b := random(size, 1), random(size/2, 2)
		f, _, _ := folder(t, 0, map[string][]byte{"a": a, "b": b})
		for round := range 60 {
			if round == 20 {
				f.Begin()
			}
			n := rnd.IntN(3 * stretch / 2)
			readAt(t, open(t, f, "a"), a, rnd.IntN(size+1), n)
			readAt(t, open(t, f, "b"), b, rnd.IntN(size/2+1), n)
		}
		checkDigests(t, f, "a", a)
		checkDigests(t, f, "b", b)
	}
}

// What several read in about the order of the file is read once, and not again for the digests.
func TestReadOnce(t *testing.T) {
	const size, part = 20*stretch + 999, 30_000
	want := random(size, 3)
	f, _, read := folder(t, 0, map[string][]byte{"a": want})
	one := open(t, f, "a")
	readAt(t, one, want, size-5, 5) // as who opens an image looks at its end
	f.Begin()
	before := read.Load()
	for off := 0; off < size; off += 32 * part { // as chunks are decoded
		var all sync.WaitGroup
		for _, i := range rand.Perm(32) {
			if at := off + i*part; at < size {
				all.Go(func() { readAt(t, one, want, at, min(part, size-at)) })
			}
		}
		all.Wait()
	}
	checkDigests(t, f, "a", want)
	if n := read.Load() - before; n > size {
		t.Errorf("%d bytes were read of a file of %d", n, size)
	}
}

func TestChanged(t *testing.T) {
	want := random(2*stretch+10, 4)
	f, dir, _ := folder(t, 0, map[string][]byte{"a": want, "b": want})
	for _, c := range []struct {
		name string
		size int64
	}{{"a", stretch + 3}, {"b", 3 * stretch}} {
		one := open(t, f, c.name)
		f.Begin()
		readAt(t, one, want, 0, 10)
		if err := os.Truncate(filepath.Join(dir, c.name), c.size); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Digests(t.Context(), c.name); !errors.Is(err, ErrChanged) {
			t.Errorf("%d bytes: got %v, want %v", c.size, err, ErrChanged)
		}
		n, err := one.ReadAt(make([]byte, 1), stretch+5)
		if c.size < int64(len(want)) && (n != 0 || !errors.Is(err, ErrChanged) || !errors.Is(err, io.EOF)) {
			t.Errorf("a read of what is not there gives %d, %v", n, err)
		}
	}
}

func TestFault(t *testing.T) {
	want := random(4*stretch, 5)
	f, _, _ := folder(t, 2*stretch+1, map[string][]byte{"a": want})
	one := open(t, f, "a")
	f.Begin()
	readAt(t, one, want, 0, 2*stretch)
	if n, err := one.ReadAt(make([]byte, 10), 3*stretch); n != 0 || !errors.Is(err, errFault) {
		t.Errorf("got %d, %v, want %v", n, err, errFault)
	}
	if sum, root, err := f.Digests(t.Context(), "a"); !errors.Is(err, errFault) || sum != [32]byte{} || root != (hashtree.Value{}) {
		t.Errorf("got %x, %s, %v, want only %v", sum, root, err, errFault)
	}
}

func TestCancelled(t *testing.T) {
	f, _, read := folder(t, 0, map[string][]byte{"a": random(2*stretch, 6)})
	f.Begin()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.Digests(ctx, "a"); !errors.Is(err, context.Canceled) || read.Load() != 0 {
		t.Errorf("got %v, and %d bytes were read", err, read.Load())
	}
}

// A reading that is given up leaves nothing running.
func TestGivenUp(t *testing.T) {
	before := runtime.NumGoroutine()
	want := random(3*stretch, 7)
	f, _, _ := folder(t, 0, map[string][]byte{"a": want})
	f.Begin()
	readAt(t, open(t, f, "a"), want, 0, stretch+1)
	f.Close()
	for range 100_000 { // one that has done its last work may still be counted for an instant
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines after, %d before", runtime.NumGoroutine(), before)
}
