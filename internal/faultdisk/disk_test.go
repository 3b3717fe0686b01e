//go:build linux

package faultdisk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// direct is a device opened for direct I/O.
type direct struct {
	t   testing.TB
	fd  int
	buf []byte // aligned
}

func openDirect(t testing.TB, path string) *direct {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	buf, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	r := &direct{t: t, fd: fd, buf: buf}
	t.Cleanup(func() { // the buffer stays: a read that nobody waited for may still be filling it
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *direct) read(off int64, n int) ([]byte, error) {
	got, err := unix.Pread(r.fd, r.buf[:n], off)
	if err != nil {
		return nil, err
	}
	return r.buf[:got], nil
}

func (r *direct) size() int64 {
	r.t.Helper()
	var size uint64
	n, err := unix.IoctlGetInt(r.fd, unix.BLKGETSIZE64)
	if err != nil {
		r.t.Fatal(err)
	}
	size = uint64(n)
	return int64(size)
}

// bisect reads the whole device in 1 MiB and halves what fails down to the sector. It returns what it read, with zeros for
// what it could not, and the sectors that it could not.
func bisect(r *direct, size int64, sector int) ([]byte, []int64) {
	r.t.Helper()
	image := make([]byte, size)
	var bad []int64
	var try func(off int64, n int)
	try = func(off int64, n int) {
		got, err := r.read(off, n)
		switch {
		case err == nil && len(got) == n:
			copy(image[off:], got)
		case !errors.Is(err, unix.EIO):
			r.t.Fatalf("read %d+%d: got %d bytes and error %v, want all or EIO", off, n, len(got), err)
		case n == sector:
			bad = append(bad, off/int64(sector))
		default:
			half := n / sector / 2 * sector
			try(off, half)
			try(off+int64(half), n-half)
		}
	}
	for off := int64(0); off < size; off += 1 << 20 {
		try(off, int(min(1<<20, size-off)))
	}
	return image, bad
}

func content(t testing.TB, r io.ReaderAt, size int64) []byte {
	t.Helper()
	b := make([]byte, size)
	if _, err := r.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBadSectors(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		t.Run(fmt.Sprint(sector), func(t *testing.T) {
			const size = 4<<20 + 8192
			d := faultdisk.New(t, faultdisk.Options{SizeBytes: size, SectorBytes: sector, Seed: 7})
			last := size/int64(sector) - 1
			d.Bad(faultdisk.Range{First: 0, Count: 1}, faultdisk.Range{First: 100, Count: 8}, faultdisk.Range{First: last, Count: 1})
			want := []int64{0, 100, 101, 102, 103, 104, 105, 106, 107, last}
			r := openDirect(t, d.Path())
			if got := r.size(); got != size {
				t.Errorf("the device has %d bytes, want %d", got, size)
			}
			image, bad := bisect(r, size, sector)
			if !slices.Equal(bad, want) {
				t.Errorf("unreadable sectors %v, want %v", bad, want)
			}
			truth := content(t, d.Content(), size)
			for _, s := range bad {
				clear(truth[s*int64(sector) : (s+1)*int64(sector)])
			}
			if !bytes.Equal(image, truth) {
				t.Error("what was read is not the content")
			}
			if _, err := r.read(512, 512); (err == nil) != (sector == 512) {
				t.Errorf("a read of 512 bytes at 512: %v", err)
			}
			d.AssertNoWrites(t)
			d.Heal()
			if image, bad = bisect(r, size, sector); bad != nil || !bytes.Equal(image, content(t, d.Content(), size)) {
				t.Errorf("after Heal the sectors %v are unreadable, or the content differs", bad)
			}
		})
	}
}

func TestLog(t *testing.T) {
	d := faultdisk.New(t, faultdisk.Options{})
	d.Bad(faultdisk.Range{First: 2048, Count: 1})
	r := openDirect(t, d.Path())
	d.ForgetLog() // who else looks at new devices has done so
	for _, off := range []int64{0, 1 << 20} {
		_, err := r.read(off, 8192)
		if (err == nil) != (off == 0) {
			t.Errorf("read at %d: %v", off, err)
		}
	}
	want := []faultdisk.Access{
		{Op: faultdisk.OpRead, Device: d.Path(), Offset: 0, Length: 8192},
		{Op: faultdisk.OpRead, Device: d.Path(), Offset: 1 << 20, Length: 8192, Err: unix.EIO},
	}
	if got := d.Log(); !slices.Equal(got, want) {
		t.Errorf("log %v, want %v", got, want)
	}
}

// failing records what AssertNoWrites would have failed.
type failing struct {
	testing.TB
	failed string
}

func (f *failing) Helper()                        {}
func (f *failing) Errorf(format string, a ...any) { f.failed = fmt.Sprintf(format, a...) }

func TestWritesAreSeen(t *testing.T) {
	for name, write := range map[string]func(fd int) error{
		"write": func(fd int) error {
			if _, err := unix.Pwrite(fd, make([]byte, 4096), 8192); err != nil {
				return err
			}
			return unix.Fsync(fd)
		},
		"discard": func(fd int) error {
			return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 8192, 4096)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := faultdisk.New(t, faultdisk.Options{})
			fd, err := unix.Open(d.Path(), unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = unix.Close(fd) }()
			d.AssertNoWrites(t)
			if err := write(fd); !errors.Is(err, unix.EIO) {
				t.Errorf("error %v, want %v", err, unix.EIO)
			}
			f := &failing{TB: t}
			d.AssertNoWrites(f)
			if !strings.Contains(f.failed, name+" 8192+4096") {
				t.Errorf("AssertNoWrites says %q, want it to name %s 8192+4096", f.failed, name)
			}
			r := openDirect(t, d.Path())
			if got, err := r.read(8192, 4096); err != nil || !bytes.Equal(got, content(t, d.Content(), 16384)[8192:12288]) {
				t.Errorf("the content has changed, or cannot be read: %v", err)
			}
		})
	}
}

func TestFlaky(t *testing.T) {
	d := faultdisk.New(t, faultdisk.Options{})
	d.Flaky(faultdisk.Range{First: 10, Count: 2}, 2)
	r := openDirect(t, d.Path())
	for i, step := range []struct {
		sector, count int64
		fails         bool
	}{
		{0, 100, true}, {0, 100, true}, {0, 100, true}, // does not count
		{10, 1, true}, {10, 1, true}, {10, 1, false},
		{11, 1, true}, {10, 2, true}, {10, 2, false}, {0, 100, false},
	} {
		_, err := r.read(step.sector*512, int(step.count)*512)
		if (err != nil) != step.fails {
			t.Errorf("step %d, sectors %d+%d: error %v, want one: %t", i, step.sector, step.count, err, step.fails)
		}
	}
}

func TestSlow(t *testing.T) {
	d := faultdisk.New(t, faultdisk.Options{})
	d.Slow(faultdisk.Range{First: 10, Count: 1}, 50*time.Millisecond)
	r := openDirect(t, d.Path())
	begun := time.Now()
	if _, err := r.read(0, 1<<20); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 50*time.Millisecond {
		t.Errorf("a read of the slow sector took %v, want at least 50 ms", took)
	}
}

// await waits until a condition holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited 10 s in vain until %s", what)
		}
	}
}

func TestHang(t *testing.T) {
	for name, end := range map[string]func(d *faultdisk.Disk) error{
		"released": func(d *faultdisk.Disk) error { d.Release(); return nil },
		"pulled":   (*faultdisk.Disk).Unplug,
	} {
		t.Run(name, func(t *testing.T) {
			d := faultdisk.New(t, faultdisk.Options{})
			d.Hang(faultdisk.Range{First: 4096, Count: 1})
			r, other := openDirect(t, d.Path()), openDirect(t, d.Path())
			done := make(chan error)
			go func() {
				_, err := r.read(2<<20, 1<<20)
				done <- err
			}()
			await(t, "a read hangs", func() bool { return d.Hanging() == 1 })
			if _, err := other.read(0, 1<<20); err != nil {
				t.Errorf("a read elsewhere while one hangs: %v", err)
			}
			if err := end(d); err != nil {
				t.Fatal(err)
			}
			err := <-done
			if name == "released" && err != nil || name == "pulled" && !errors.Is(err, unix.EIO) {
				t.Errorf("the read that hung ends with %v", err)
			}
			if got := d.Hanging(); got != 0 {
				t.Errorf("%d reads still hang, want none", got)
			}
		})
	}
}

// A test that ends while a read hangs must not hang itself.
func TestCloseReleases(t *testing.T) {
	testtool.NeedRoot(t)
	d, err := faultdisk.Attach(faultdisk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.Hang(faultdisk.Range{First: 0, Count: 8})
	fd, err := unix.Open(d.Path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := unix.Pread(fd, make([]byte, 512), 0)
		done <- errors.Join(err, unix.Close(fd))
	}()
	await(t, "a read hangs", func() bool { return d.Hanging() > 0 })
	closed := make(chan error)
	go func() { closed <- d.Close() }()
	if err := <-done; !errors.Is(err, unix.EIO) {
		t.Errorf("the read that hung ends with %v, want %v", err, unix.EIO)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestDie(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(d *faultdisk.Disk)
		reads int // of 4 KiB at every MiB, that are still answered
	}{
		"at once":    {(*faultdisk.Disk).Die, 0},
		"at offset":  {func(d *faultdisk.Disk) { d.DieAt(2<<20 + 4095) }, 2},
		"after some": {func(d *faultdisk.Disk) { d.DieAfter(3) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			d := faultdisk.New(t, faultdisk.Options{})
			r := openDirect(t, d.Path())
			c.fault(d)
			for i := range 6 {
				_, err := r.read(int64(i)<<20, 4096)
				if (err == nil) != (i < c.reads) {
					t.Errorf("read %d: %v, want %d to be answered", i, err, c.reads)
				}
			}
			if _, err := r.read(0, 512); !errors.Is(err, unix.EIO) {
				t.Errorf("the first sector after death: %v, want %v", err, unix.EIO)
			}
			if got := r.size(); got != d.SizeBytes() {
				t.Errorf("size %d, want still %d", got, d.SizeBytes())
			}
		})
	}
}

func TestUnplug(t *testing.T) {
	d := faultdisk.New(t, faultdisk.Options{})
	r := openDirect(t, d.Path())
	d.UnplugAt(2 << 20)
	for i := range 2 {
		if _, err := r.read(int64(i)<<20, 1<<20); err != nil {
			t.Errorf("read %d: %v", i, err)
		}
	}
	if _, err := r.read(2<<20, 1<<20); !errors.Is(err, unix.EIO) {
		t.Errorf("the read when it is pulled: %v, want %v", err, unix.EIO)
	}
	if got := r.size(); got != 0 {
		t.Errorf("size %d, want 0", got)
	}
	for _, off := range []int64{2 << 20, 0} {
		if got, err := r.read(off, 1<<20); err != nil || len(got) != 0 {
			t.Errorf("read at %d after it was pulled: %d bytes, %v; want a clean end", off, len(got), err)
		}
	}
}

func TestRevive(t *testing.T) {
	d := faultdisk.New(t, faultdisk.Options{Seed: 1})
	d.Bad(faultdisk.Range{First: 3, Count: 1})
	old := openDirect(t, d.Path())
	first := d.Path()
	d.DieAt(0)
	if _, err := old.read(4096, 4096); !errors.Is(err, unix.EIO) {
		t.Fatalf("the dead device: %v", err)
	}
	if err := d.Revive(); err != nil {
		t.Fatal(err)
	}
	if d.Path() == first {
		t.Errorf("the device came back as %s again", first)
	}
	again := openDirect(t, d.Path())
	if got, err := again.read(4096, 4096); err != nil || !bytes.Equal(got, content(t, d.Content(), 8192)[4096:]) {
		t.Errorf("the revived device does not read its content: %v", err)
	}
	if _, err := again.read(1536, 512); !errors.Is(err, unix.EIO) {
		t.Errorf("its bad sector: %v, want %v", err, unix.EIO)
	}
	if got := old.size(); got != 0 {
		t.Errorf("the old name has %d bytes, want 0", got)
	}
	if err := d.ReviveAs(faultdisk.Pattern{Seed: 2, SizeBytes: d.SizeBytes()}); err != nil {
		t.Fatal(err)
	}
	other := openDirect(t, d.Path())
	want := content(t, faultdisk.Pattern{Seed: 2, SizeBytes: 8192}, 8192)[4096:]
	if got, err := other.read(4096, 4096); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the other medium does not read its content: %v", err)
	}
}

func TestShrink(t *testing.T) {
	d := faultdisk.New(t, faultdisk.Options{})
	r := openDirect(t, d.Path())
	if err := d.Shrink(1 << 20); err != nil {
		t.Fatal(err)
	}
	if got := r.size(); got != 1<<20 {
		t.Errorf("size %d, want %d", got, 1<<20)
	}
	if got, err := r.read(1<<20, 4096); err != nil || len(got) != 0 {
		t.Errorf("read behind the new end: %d bytes, %v; want none", len(got), err)
	}
	if err := d.Shrink(1 << 40); err == nil {
		t.Error("it can shrink to more than it was")
	}
}

func TestPartitions(t *testing.T) {
	d := faultdisk.New(t, faultdisk.Options{Partitions: []faultdisk.Range{{First: 2048, Count: 4096}, {First: 8192, Count: 100}}})
	sys := "/sys/class/block/" + strings.TrimPrefix(d.Path(), "/dev/")
	for name, want := range map[string]string{"p1/start": "2048\n", "p1/size": "4096\n", "p2/start": "8192\n"} {
		got, err := os.ReadFile(sys + "/" + strings.TrimPrefix(d.Path(), "/dev/") + name)
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	b := content(t, d.Content(), 4096)
	if b[510] != 0x55 || b[511] != 0xaa {
		t.Error("the content has no MBR")
	}
}

// What a whole medium answers must not depend on how it is asked.
func TestPattern(t *testing.T) {
	p := faultdisk.Pattern{Seed: 3, SizeBytes: 1001}
	whole := content(t, p, 1001)
	for off := range int64(32) {
		b := make([]byte, 33)
		if n, err := p.ReadAt(b, off); n != 33 || err != nil || !bytes.Equal(b, whole[off:off+33]) {
			t.Errorf("33 bytes at %d: %d bytes, %v, or they differ", off, n, err)
		}
	}
	if n, err := p.ReadAt(make([]byte, 33), 1000); n != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d bytes, %v; want 1 and %v", n, err, io.EOF)
	}
	if bytes.Equal(whole, content(t, faultdisk.Pattern{Seed: 4, SizeBytes: 1001}, 1001)) {
		t.Error("two seeds give the same content")
	}
}

// ddrescue is the judge of its own map.
func TestDdrescue(t *testing.T) {
	d := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 << 20})
	tool := testtool.Need(t, "ddrescue")[0]
	d.Bad(faultdisk.Range{First: 1000, Count: 1}, faultdisk.Range{First: 5000, Count: 8})
	dir := t.TempDir()
	if out, err := exec.Command(tool, "-d", d.Path(), dir+"/image", dir+"/map").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m, err := os.ReadFile(dir + "/map")
	if err != nil {
		t.Fatal(err)
	}
	var bad []string
	for line := range strings.Lines(string(m)) {
		if f := strings.Fields(line); len(f) == 3 && f[2] == "-" && f[0] != "#" {
			bad = append(bad, f[0]+" "+f[1])
		}
	}
	want := []string{"0x0007D000 0x00000200", "0x00271000 0x00001000"}
	for i, w := range want {
		if len(bad) != len(want) || !strings.EqualFold(strings.ReplaceAll(bad[i], "0x", ""), strings.ReplaceAll(w, "0x", "")) {
			t.Fatalf("ddrescue found %q unreadable, want %q", bad, want)
		}
	}
	d.AssertNoWrites(t)
}
