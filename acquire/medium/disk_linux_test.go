package medium

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func fileDisk(t *testing.T, b []byte) *disk {
	t.Helper()
	path := filepath.Join(t.TempDir(), "medium")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := fromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.close() }) //nolint:errcheck // opened for reading only
	return d
}

// Every answer of the system is of one kind at most: only what the medium refuses to give is a bad place.
func TestErrorKinds(t *testing.T) {
	d := fileDisk(t, make([]byte, 4096))
	badPlace := errors.New("a bad place")
	for errno, want := range map[unix.Errno]error{
		unix.EIO: badPlace, unix.ENODATA: badPlace, unix.EILSEQ: badPlace, unix.ETIMEDOUT: badPlace, unix.EREMOTEIO: badPlace,
		unix.ENODEV: ErrLost, unix.ENXIO: ErrLost, unix.ENOMEDIUM: ErrLost, unix.ENOTCONN: ErrLost, unix.ESTALE: ErrLost,
		unix.EINVAL: ErrAlignment,
		unix.ENOMEM: nil, unix.EBADE: nil, unix.EPERM: nil, unix.EBADF: nil, unix.EFAULT: nil,
	} {
		err := d.readError(0, 512, errno)
		bad, isBad := errors.AsType[*ReadError](err)
		wanted := errors.Is(want, badPlace)
		if wanted != isBad || isBad && (bad.Offset != 0 || bad.SizeBytes != 512) || !errors.Is(err, errno) {
			t.Errorf("%v: got %v, a bad place: %t, want %t", errno, err, isBad, wanted)
		}
		for _, kind := range []error{ErrLost, ErrAlignment, ErrMediumChanged} {
			if errors.Is(err, kind) != errors.Is(want, kind) {
				t.Errorf("%v: got %v, is it %q: %t", errno, err, kind, errors.Is(err, kind))
			}
		}
	}
}

// A file system that asks for larger steps than it says is read in those; the bytes are the same.
func TestRelax(t *testing.T) {
	want := make([]byte, 20000)
	for i := range want {
		want[i] = byte(i) ^ byte(i>>8)
	}
	d := fileDisk(t, want)
	d.step, d.align = 512, directAlign // also where the file system of the test has no direct I/O
	for _, steps := range []int{512, 4096, 1} {
		if d.step != steps || d.align != map[bool]int{true: 1, false: directAlign}[steps == 1] {
			t.Fatalf("steps of %d, memory aligned to %d, want steps of %d", d.step, d.align, steps)
		}
		for off := 0; off < len(want); off += 512 {
			p := alignedBuffer(1024, directAlign)
			n, err := d.readAt(p, int64(off))
			if end := min(off+len(p), len(want)); err != nil || !bytes.Equal(p[:n], want[off:end]) {
				t.Errorf("in steps of %d at %d: got %d bytes, %v", steps, off, n, err)
			}
		}
		if d.relax() != (steps != 1) {
			t.Errorf("after steps of %d: nothing left to try should be %t", steps, steps == 1)
		}
	}
}

// The kernel copies from the page cache to an address, whatever lies there by then. So a read that may be given up must
// not be given the caller's memory.
func TestCachedReadHasOwnMemory(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Minute} {
		d := fileDisk(t, make([]byte, 8192))
		if err := d.throughCache(); err != nil {
			t.Fatal(err)
		}
		d.timeout = timeout
		d.helper = newHelper()
		if n, err := d.readAt(alignedBuffer(8192, directAlign), 0); n != 8192 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		if own := d.bounce != nil; own != (timeout > 0) {
			t.Errorf("with a time-out of %v: own memory: %t", timeout, own)
		}
	}
}
