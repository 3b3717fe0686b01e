package medium_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

const faultySize = 2 << 20

func faulty(t *testing.T, opts faultdisk.Options) (*faultdisk.Disk, []byte) {
	t.Helper()
	opts.SizeBytes = faultySize
	d := faultdisk.New(t, opts)
	t.Cleanup(func() { d.AssertNoWrites(t) })
	want := make([]byte, faultySize)
	if _, err := d.Content().ReadAt(want, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return d, want
}

// Sector by sector exactly the bad ones are lost, and the others are right.
func TestEverySector(t *testing.T) {
	// Memory that is not aligned costs a copy, and no more sectors.
	for _, c := range []struct{ sector, shift int }{{512, 0}, {512, 1}, {4096, 0}} {
		sector := c.sector
		d, want := faulty(t, faultdisk.Options{SectorBytes: sector})
		last := int64(faultySize/sector) - 1
		bad := []int64{0, 100, 101, 103, last}
		for _, b := range bad {
			d.Bad(faultdisk.Range{First: b, Count: 1})
		}
		m := openWith(t, d.Path(), medium.Options{ReadTimeout: time.Minute})
		var lost []int64
		p := page(sector, c.shift)
		for i := range last + 1 {
			off := i * int64(sector)
			n, err := m.ReadAt(p, off)
			if e, ok := errors.AsType[*medium.ReadError](err); ok && n == 0 && e.Offset == off && e.SizeBytes == int64(sector) {
				lost = append(lost, i)
			} else if err != nil || !bytes.Equal(p[:n], want[off:off+int64(sector)]) {
				t.Fatalf("sector %d: got %d bytes, %v", i, n, err)
			}
		}
		if !slices.Equal(lost, bad) {
			t.Errorf("sectors of %d: lost %d, want %d", sector, lost, bad)
		}
		if err := m.CheckEnd(); err != nil {
			t.Errorf("at the end: %v", err)
		}
	}
}

// A sector that is read the second time is given the second time.
func TestFlakySector(t *testing.T) {
	d, want := faulty(t, faultdisk.Options{})
	d.Flaky(faultdisk.Range{First: 7, Count: 1}, 2)
	m := openWith(t, d.Path(), medium.Options{})
	p := page(512, 0)
	for i := 0; ; i++ {
		n, err := m.ReadAt(p, 7*512)
		if err == nil && i == 2 && bytes.Equal(p[:n], want[7*512:8*512]) {
			return
		}
		if _, bad := errors.AsType[*medium.ReadError](err); !bad || i == 2 {
			t.Fatalf("attempt %d: got %d, %v", i, n, err)
		}
	}
}

// What goes away or changes while it is read ends in its own kind of error, by either way of reading.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(d *faultdisk.Disk) error
		want  error
	}{
		"unplugged":     {func(d *faultdisk.Disk) error { return d.Unplug() }, medium.ErrLost},
		"comes back":    {func(d *faultdisk.Disk) error { return d.Revive() }, medium.ErrLost},
		"shrinks":       {func(d *faultdisk.Disk) error { return d.Shrink(faultySize / 2) }, medium.ErrMediumChanged},
		"in mid-stream": {func(d *faultdisk.Disk) error { d.UnplugAt(faultySize / 2); return nil }, medium.ErrLost},
	} {
		for _, sequential := range []bool{true, false} {
			d, want := faulty(t, faultdisk.Options{})
			m := openWith(t, d.Path(), medium.Options{ReadTimeout: time.Minute})
			p := page(64<<10, 0)
			if _, err := m.Read(p); err != nil {
				t.Fatal(err)
			}
			if err := c.fault(d); err != nil {
				t.Fatal(err)
			}
			read := func(off int64) (int, error) { return m.ReadAt(p, off) }
			if sequential {
				read = func(int64) (int, error) { return m.Read(p) }
			}
			var err error
			off := int64(len(p))
			for err == nil {
				var n int
				if n, err = read(off); !bytes.Equal(p[:n], want[off:off+int64(n)]) {
					t.Errorf("%s: wrong bytes at %d", name, off)
				}
				off += int64(n)
			}
			checkKind(t, err, c.want)
			_, again := read(0)
			checkKind(t, again, c.want)
		}
	}
}

// A dead drive that keeps its size is bad sectors to the last; nothing of it is the end.
func TestDead(t *testing.T) {
	d, _ := faulty(t, faultdisk.Options{})
	m := openWith(t, d.Path(), medium.Options{})
	d.Die()
	for _, off := range []int64{0, faultySize / 2, faultySize - 512} {
		_, err := m.ReadAt(page(512, 0), off)
		if _, bad := errors.AsType[*medium.ReadError](err); !bad {
			t.Errorf("at %d: got %v, want a ReadError", off, err)
		}
	}
}

// A read that hangs is given up, and its memory with it; nothing is read after it.
func TestHang(t *testing.T) {
	for _, sequential := range []bool{true, false} {
		d, want := faulty(t, faultdisk.Options{})
		m := openWith(t, d.Path(), medium.Options{ReadTimeout: 200 * time.Millisecond})
		p := page(64<<10, 0)
		if n, err := m.ReadAt(p, 0); err != nil || !bytes.Equal(p[:n], want[:n]) {
			t.Fatalf("before: got %d, %v", n, err)
		}
		d.Hang(faultdisk.Range{First: 256, Count: 1})
		if err := m.StartAt(128 << 10); err != nil {
			t.Fatal(err)
		}
		var err error
		if sequential {
			_, err = m.Read(p)
		} else {
			_, err = m.ReadAt(p, 128<<10)
		}
		checkKind(t, err, medium.ErrLost)
		h, ok := errors.AsType[*medium.HungError](err)
		if !errors.Is(err, medium.ErrHung) || !ok || h.Offset != 128<<10 || !h.KeepsMemory() {
			t.Errorf("got %v, want a HungError at 128 KiB", err)
		}
		_, again := m.ReadAt(page(512, 0), 0)
		checkKind(t, again, medium.ErrLost)
		if d.Hanging() != 1 {
			t.Errorf("%d reads hang, want 1", d.Hanging())
		}
		if err := m.Close(); err != nil {
			t.Errorf("close while a read hangs: %v", err)
		}
		d.Release()
	}
}

// A read that nobody waits for goes on while the medium is closed, and may come back after it: then it asks the device for
// nothing any more. The race detector looks on.
func TestCloseBesideARead(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Hour} {
		disk, _ := faulty(t, faultdisk.Options{SizeBytes: 4 << 20})
		disk.Hang(faultdisk.Range{First: 2048, Count: 8})
		m := openWith(t, disk.Path(), medium.Options{ReadTimeout: timeout})
		done := make(chan error, 1)
		go func() {
			_, err := m.ReadAt(make([]byte, 1<<20), 1<<20)
			if err == nil {
				_, err = m.ReadAt(make([]byte, 1<<20), 0)
			}
			done <- err
		}()
		for disk.Hanging() == 0 {
			runtime.Gosched()
		}
		m.Temperature()
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		disk.Release()
		if err := <-done; !errors.Is(err, os.ErrClosed) {
			t.Errorf("time-out %v: the read that comes back and asks again gets %v, want os.ErrClosed", timeout, err)
		}
		disk.AssertNoWrites(t)
	}
}
