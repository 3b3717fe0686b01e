package medium_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
)

// page is size bytes of page-aligned memory, shifted by some bytes.
func page(size, shift int) []byte {
	buf := make([]byte, size+shift+4096)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(buf))))&4095 + shift
	return buf[skip : skip+size]
}

// checkKind wants an error of exactly one of the three kinds.
func checkKind(t *testing.T, err, want error) {
	t.Helper()
	_, bad := errors.AsType[*medium.ReadError](err)
	if !errors.Is(err, want) || bad || errors.Is(err, medium.ErrLost) && errors.Is(err, medium.ErrMediumChanged) || errors.Is(err, medium.ErrAlignment) {
		t.Errorf("got %v, want %v and nothing else", err, want)
	}
}

// checkReads compares sectors and runs of sectors, into aligned and other memory, and the end.
func checkReads(t *testing.T, m *medium.Medium, want []byte) {
	t.Helper()
	sector, size := int(m.SectorBytes()), len(want)
	for _, shift := range []int{0, 1, 512} {
		for _, length := range []int{sector, 2 * sector, 128 << 10, 512<<10 + sector, 1 << 20} {
			p := page(length, shift)
			for off := 0; off < size; off += max(sector, size/7/sector*sector) {
				clear(p)
				n, err := m.ReadAt(p, int64(off))
				if end := min(off+length, size); err != nil || n != end-off || !bytes.Equal(p[:n], want[off:end]) {
					t.Fatalf("%d bytes at %d of %d, memory shifted by %d: got %d, %v", length, off, size, shift, n, err)
				}
			}
		}
	}
	last := (size - 1) / sector * sector
	for length, off := range map[int]int{sector: last, size - last: last, 64 << 10: last} {
		p := page(length, 0)
		if n, err := m.ReadAt(p, int64(off)); err != nil || n != size-last || !bytes.Equal(p[:n], want[last:]) {
			t.Errorf("%d bytes at the end: got %d, %v, want %d", length, n, err, size-last)
		}
	}
	for _, off := range []int{(size + sector - 1) / sector * sector, size + 1<<20/sector*sector} {
		if n, err := m.ReadAt(page(sector, 0), int64((off+sector-1)/sector*sector)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("at %d of %d: got %d, %v, want io.EOF", off, size, n, err)
		}
	}
	if err := m.CheckEnd(); err != nil {
		t.Error(err)
	}
}

func TestReadAt(t *testing.T) {
	for _, size := range []int{1, 512, 4097, 1<<20 - 1, 3<<20 + 17} {
		want := content(size)
		checkReads(t, open(t, file(t, want), nil), want)
	}
}

func TestReadAtDevice(t *testing.T) {
	for sector, size := range map[int]int{512: 3<<20 + 3*512, 4096: 3<<20 + 4096} {
		want := content(size)
		m := open(t, attach(t, file(t, want), "--read-only", "--sector-size", fmt.Sprint(sector)), nil)
		if m.SectorBytes() != int64(sector) {
			t.Errorf("sectors of %d bytes, want %d", m.SectorBytes(), sector)
		}
		checkReads(t, m, want)
	}
}

// A read that does not fit is the caller's mistake and never a bad place.
func TestAlignment(t *testing.T) {
	m := open(t, attach(t, file(t, content(1<<20)), "--sector-size", "4096"), nil)
	for length, off := range map[int]int64{512: 0, 4096: 512, 1: 0, 100: 1 << 19, 8192: -4096} {
		n, err := m.ReadAt(page(length, 0), off)
		_, bad := errors.AsType[*medium.ReadError](err)
		if n != 0 || !errors.Is(err, medium.ErrAlignment) || bad {
			t.Errorf("%d bytes at %d: got %d, %v, want ErrAlignment", length, off, n, err)
		}
	}
	if _, err := m.ReadAt(page(4096, 0), 0); err != nil {
		t.Errorf("after that: %v", err)
	}
	for _, off := range []int64{-1, 512, 2 << 20} {
		if err := m.StartAt(off); !errors.Is(err, medium.ErrAlignment) {
			t.Errorf("start at %d: got %v, want ErrAlignment", off, err)
		}
	}
}

// Of a damaged device every good sector is given, and of a bad one it is said which.
func TestReadAtBadPlace(t *testing.T) {
	want := content(4 << 20)
	path := file(t, want)
	dev := attach(t, path, "--read-only")
	const end = 2<<20 + 5*512
	if err := os.Truncate(path, end); err != nil { // the device keeps its size and answers EIO from here on
		t.Fatal(err)
	}
	m := open(t, dev, nil)
	p := page(1<<20, 0)
	for _, off := range []int64{end - 512, end - 8*512, 0} {
		length := min(int64(len(p)), end-off)
		if n, err := m.ReadAt(p[:length], off); err != nil || !bytes.Equal(p[:n], want[off:off+length]) {
			t.Errorf("at %d: got %d, %v", off, n, err)
		}
	}
	for _, off := range []int64{end, end + 512, 4<<20 - 512} {
		n, err := m.ReadAt(p[:512], off)
		e, ok := errors.AsType[*medium.ReadError](err)
		if n != 0 || !ok || e.Offset != off || e.SizeBytes != 512 || !errors.Is(err, syscall.EIO) || errors.Is(err, medium.ErrLost) {
			t.Errorf("at %d: got %d, %v, want a ReadError of 512 bytes", off, n, err)
		}
	}
	// Sequential reading stops there, and can be told to go on before or behind it.
	if err := m.StartAt(end - 512); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Read(p[:512]); n != 512 || err != nil || !bytes.Equal(p[:n], want[end-512:end]) {
		t.Errorf("before the bad place: got %d, %v", n, err)
	}
	for range 2 {
		if _, err := m.Read(p); !errors.Is(err, syscall.EIO) {
			t.Errorf("got %v, want EIO", err)
		}
	}
	if err := m.StartAt(0); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Read(p); n != len(p) || err != nil {
		t.Errorf("from the start again: got %d, %v", n, err)
	}
}

func TestReadAtStream(t *testing.T) {
	m := open(t, "-", bytes.NewReader(content(4096)))
	if _, err := m.ReadAt(page(512, 0), 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want errors.ErrUnsupported", err)
	}
	if err := m.StartAt(0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want errors.ErrUnsupported", err)
	}
}

// Files of /sys say they have 4096 bytes, and end before: a clean end before the size is never the end.
func TestEndsEarly(t *testing.T) {
	const name = "/sys/devices/system/cpu/online"
	m := open(t, name, nil)
	got, err := blocks(m, 1<<20)
	checkKind(t, err, medium.ErrLost)
	if len(got) == 0 || len(got) >= 4096 {
		t.Errorf("got %d bytes", len(got))
	}
	n, err := open(t, name, nil).ReadAt(make([]byte, 4096), 0)
	checkKind(t, err, medium.ErrLost)
	if n != 0 {
		t.Errorf("%d bytes were given out with an error", n)
	}
}

// With a time-out the bytes are the same, into whatever memory.
func TestReadTimeout(t *testing.T) {
	want := content(3<<20 + 17)
	path := file(t, want)
	for _, timeout := range []time.Duration{0, time.Minute} {
		m, err := medium.OpenWith(t.Context(), path, medium.Options{ReadTimeout: timeout})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := blocks(m, 1<<20); !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
		}
		checkReads(t, m, want)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if _, err := m.ReadAt(page(512, 0), 0); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close: got %v, want os.ErrClosed", err)
		}
	}
	if _, err := medium.OpenWith(t.Context(), path, medium.Options{ReadTimeout: -1}); err == nil {
		t.Error("a time-out below 0 was accepted")
	}
}

// What the hand-over to another goroutine costs: compare the two.
func BenchmarkRead(b *testing.B) {
	path := file(b, make([]byte, 64<<20))
	for name, timeout := range map[string]time.Duration{"plain": 0, "timeout": time.Minute} {
		b.Run(name, func(b *testing.B) {
			m, err := medium.OpenWith(b.Context(), attach(b, path), medium.Options{ReadTimeout: timeout})
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			p := page(1<<20, 0)
			b.SetBytes(1 << 20)
			for i := 0; b.Loop(); i++ {
				if _, err := m.ReadAt(p, int64(i%64)<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
