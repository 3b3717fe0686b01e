package medium_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unsafe"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// content is size bytes whose value depends on their place.
func content(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)*7 ^ byte(i>>16)*13
	}
	return b
}

func file(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "medium")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, stdin io.Reader) *medium.Medium {
	t.Helper()
	m, err := medium.Open(t.Context(), path, stdin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// blocks reads in page-aligned blocks of size bytes, as package pass does.
func blocks(r io.Reader, size int) ([]byte, error) {
	buf := make([]byte, size+1<<16)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(buf)))) & (1<<16 - 1)
	var all []byte
	for {
		n, err := r.Read(buf[skip : skip+size])
		all = append(all, buf[skip:skip+n]...)
		if err != nil {
			return all, err
		}
	}
}

var sizes = []int{0, 1, 511, 512, 513, 4095, 4096, 4097, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3<<20 + 17}

// Whatever the size of the file and of the reads, the bytes are those of the file.
func TestFile(t *testing.T) {
	for _, size := range sizes {
		want := content(size)
		path := file(t, want)
		for _, block := range []int{1 << 20, 1 << 16, 100_000, 1<<20 + 512} {
			m := open(t, path, nil)
			got, err := blocks(m, block)
			if !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
				t.Errorf("%d bytes in blocks of %d: got %d bytes, %v", size, block, len(got), err)
			}
			if n, known := m.Size(); n != int64(size) || !known {
				t.Errorf("size %d, %t, want %d", n, known, size)
			}
			if d := m.Describe(); d.Kind != record.MediumFile || d.SizeBytes != int64(size) {
				t.Errorf("described as %+v", d)
			}
		}
		// iotest.TestReader also makes reads of odd lengths and reads after the end.
		if size > 513 {
			continue // byte by byte it takes minutes
		}
		if err := iotest.TestReader(struct{ io.Reader }{open(t, path, nil)}, want); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestStream(t *testing.T) {
	for _, size := range sizes {
		want := content(size)
		for name, in := range map[string]io.Reader{
			"whole":  bytes.NewReader(want),
			"halves": iotest.HalfReader(bytes.NewReader(want)),
			"eof":    iotest.DataErrReader(bytes.NewReader(want)),
		} {
			m := open(t, "-", in)
			got, err := blocks(m, 1<<20)
			if !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %s: got %d bytes, %v", size, name, len(got), err)
			}
			if d := m.Describe(); d.Kind != record.MediumStream || d.SizeBytes != int64(size) {
				t.Errorf("described as %+v, want %d bytes", d, size)
			}
			if _, known := m.Size(); known {
				t.Error("the size of a stream is known")
			}
		}
	}
}

// Real pipes are short; what they gave before an error is given out.
func TestPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want := content(3<<20 + 17)
	go func() {
		for i := 0; i < len(want); i += 12345 {
			if _, err := w.Write(want[i:min(i+12345, len(want))]); err != nil {
				t.Error(err)
			}
		}
		w.Close()
	}()
	got, err := blocks(open(t, "-", r), 1<<20)
	if !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
	}
}

func TestStreamError(t *testing.T) {
	broken := errors.New("broken")
	m := open(t, "-", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)))
	got, err := blocks(m, 1<<20)
	e, ok := errors.AsType[*medium.ReadError](err)
	if !ok || e.Offset != 3 || !errors.Is(err, broken) || string(got) != "abc" {
		t.Errorf("got %q, %v, want abc and a ReadError at 3", got, err)
	}
	if _, again := m.Read(make([]byte, 1)); !errors.Is(again, err) {
		t.Errorf("a later read gives %v, want the same error", again)
	}
}

// A silent pipe does not outlast its context.
func TestStreamCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	defer out.Close()
	m, err := medium.Open(ctx, "-", in)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cancel()
	if _, err := m.Read(make([]byte, 10)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// A file that is written to while it is read is no evidence of anything.
func TestFileChanges(t *testing.T) {
	const size = 3<<20 + 17
	long := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // ago; a clock may be too coarse to tell two writes apart
	for name, change := range map[string]func(f *os.File) error{
		"grows":      func(f *os.File) error { _, err := f.WriteAt([]byte("x"), size); return err },
		"shrinks":    func(f *os.File) error { return f.Truncate(size - 1) },
		"to nothing": func(f *os.File) error { return f.Truncate(0) },
		"behind the reader": func(f *os.File) error {
			_, err := f.WriteAt([]byte("x"), 0)
			return errors.Join(err, os.Chtimes(f.Name(), long, long))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, content(size))
			m := open(t, path, nil)
			if _, err := io.ReadFull(m, make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := change(f); err != nil {
				t.Fatal(err)
			}
			if _, err := blocks(m, 1<<20); !errors.Is(err, medium.ErrMediumChanged) {
				t.Errorf("got %v, want ErrMediumChanged", err)
			}
		})
	}
}

// Files of /proc say they have no bytes, and have some.
func TestFileThatLies(t *testing.T) {
	m := open(t, "/proc/self/status", nil)
	if got, err := blocks(m, 1<<20); !errors.Is(err, medium.ErrMediumChanged) {
		t.Errorf("read %d bytes and got %v, want ErrMediumChanged", len(got), err)
	}
}

func TestLinkIsFollowed(t *testing.T) {
	path := file(t, []byte("abc"))
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if got, err := blocks(open(t, link, nil), 1<<20); string(got) != "abc" || !errors.Is(err, io.EOF) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMissing(t *testing.T) {
	_, err := medium.Open(t.Context(), filepath.Join(t.TempDir(), "no\nthing"), nil)
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q, want fs.ErrNotExist and the name quoted", err)
	}
}
