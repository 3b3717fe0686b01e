package medium_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// attach makes a loop device of a file until the test ends.
func attach(t testing.TB, file string, flags ...string) string {
	t.Helper()
	testtool.NeedRoot(t)
	testtool.Need(t, "losetup")
	dev := testtool.Run(t, "losetup", append(append([]string{"--find", "--show", "--direct-io=on"}, flags...), file)...)
	t.Cleanup(func() { testtool.Run(t, "losetup", "--detach", dev) })
	return dev
}

// formatted is a file with an empty ext4.
func formatted(t testing.TB) string {
	t.Helper()
	testtool.NeedRoot(t)
	testtool.Need(t, "mkfs.ext4", "mount", "umount")
	path := file(t, nil)
	if err := os.Truncate(path, 8<<20); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "mkfs.ext4", "-q", path)
	return path
}

func mount(t testing.TB, dev string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a place") // the space is written as \040 in mountinfo
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "mount", dev, dir)
	t.Cleanup(func() { testtool.Run(t, "umount", dir) })
	return dir
}

// A device of an odd number of sectors, read in blocks and in crumbs, is what the file behind it is.
func TestDevice(t *testing.T) {
	for sector, size := range map[string]int{"512": 3<<20 + 3*512, "4096": 3<<20 + 4096} {
		want := content(size)
		dev := attach(t, file(t, want), "--read-only", "--sector-size", sector)
		for _, block := range []int{1 << 20, 1 << 16, 100_000} {
			m := open(t, dev, nil)
			got, err := blocks(m, block)
			if !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
				t.Errorf("sectors of %s, blocks of %d: got %d bytes, %v, want %d", sector, block, len(got), err, size)
			}
			d := m.Describe()
			name, _ := d.Name.Get()
			logical, _ := d.LogicalSectorBytes.Get()
			physical, ok := d.PhysicalSectorBytes.Get()
			readOnly, known := d.ReadOnly.Get()
			if d.Kind != record.MediumDevice || "/dev/"+name != dev || d.SizeBytes != int64(size) ||
				sector == "512" && logical != 512 || sector == "4096" && logical != 4096 || !ok || physical < logical || !readOnly || !known {
				t.Errorf("%s is described as %+v", dev, d)
			}
			if !m.PastCache() {
				t.Error("a block device was read through the page cache")
			}
			m.Close()
		}
	}
}

// A bad place is a ReadError that says where; bytes before it are given out, and none of it.
func TestReadError(t *testing.T) {
	want := content(4 << 20)
	path := file(t, want)
	dev := attach(t, path, "--read-only")
	if err := os.Truncate(path, 2<<20); err != nil { // the device keeps its size and answers EIO from here on
		t.Fatal(err)
	}
	m := open(t, dev, nil)
	got, err := blocks(m, 1<<20)
	e, ok := errors.AsType[*medium.ReadError](err)
	if !ok || e.Offset != 2<<20 || e.SizeBytes != 1<<20 || !errors.Is(err, syscall.EIO) || errors.Is(err, medium.ErrMediumChanged) {
		t.Fatalf("got %v, want a ReadError of 1 MiB at 2 MiB with EIO", err)
	}
	if !bytes.Equal(got, want[:2<<20]) {
		t.Errorf("%d bytes were given out, want the first 2 MiB", len(got))
	}
	if text := err.Error(); !strings.Contains(text, "2097152") || !strings.Contains(text, dev) {
		t.Errorf("%q does not name offset and device", text)
	}
}

// A device that changes its size under the reader, as one that is pulled out does.
func TestDeviceChanges(t *testing.T) {
	for name, size := range map[string]int64{"grows": 5 << 20, "shrinks": 2 << 20, "to nothing": 0} {
		want := medium.ErrMediumChanged
		if size == 0 { // what a device that was pulled out says
			want = medium.ErrLost
		}
		t.Run(name, func(t *testing.T) {
			path := file(t, content(4<<20))
			dev := attach(t, path, "--read-only")
			m := open(t, dev, nil)
			if _, err := io.ReadFull(m, make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, size); err != nil {
				t.Fatal(err)
			}
			testtool.Run(t, "losetup", "--set-capacity", dev)
			_, err := blocks(m, 1<<20)
			checkKind(t, err, want)
			_, err = m.ReadAt(make([]byte, 512), 0)
			checkKind(t, err, want) // nothing is read from another device that came in its place
			checkKind(t, m.CheckEnd(), want)
			checkKind(t, m.StartAt(0), want)
		})
	}
}

// Another disk of the same size in the same place is told by the kernel's count alone.
func TestExchanged(t *testing.T) {
	dev := attach(t, file(t, content(1<<20)), "--read-only")
	m := open(t, dev, nil)
	other, err := os.Open(file(t, make([]byte, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	loop, err := os.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer loop.Close()
	const changeFile = 0x4C06 // LOOP_CHANGE_FD of linux/loop.h
	if err := unix.IoctlSetInt(int(loop.Fd()), changeFile, int(other.Fd())); err != nil {
		t.Fatal(err)
	}
	_, err = blocks(m, 1<<20)
	checkKind(t, err, medium.ErrMediumChanged)
	checkKind(t, m.CheckEnd(), medium.ErrMediumChanged)
}

// A file on a file system of large sectors is read in those, whatever is asked for.
func TestFileOnLargeSectors(t *testing.T) {
	testtool.NeedRoot(t)
	testtool.Need(t, "mkfs.ext4", "mount", "umount")
	path := file(t, nil)
	if err := os.Truncate(path, 8<<20); err != nil {
		t.Fatal(err)
	}
	dev := attach(t, path, "--sector-size", "4096")
	testtool.Run(t, "mkfs.ext4", "-q", dev)
	want := content(1<<20 + 512*3 + 17)
	inner := filepath.Join(mount(t, dev), "medium")
	if err := os.WriteFile(inner, want, 0o600); err != nil {
		t.Fatal(err)
	}
	m := open(t, inner, nil)
	defer m.Close()
	checkReads(t, m, want)
	if m.SectorBytes() != 512 || !m.PastCache() {
		t.Errorf("sectors of %d bytes, past the cache: %t", m.SectorBytes(), m.PastCache())
	}
}

// While a device is read nothing can be mounted from it, and a mounted one is not read.
func TestExclusive(t *testing.T) {
	dev := attach(t, formatted(t))
	m := open(t, dev, nil)
	if out, err := exec.Command("mount", dev, t.TempDir()).CombinedOutput(); err == nil {
		t.Errorf("the device could be mounted while it was read: %s", out)
	}
	m.Close()
	dir := mount(t, dev)
	_, err := medium.Open(t.Context(), dev, nil)
	if !errors.Is(err, medium.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want ErrInUse and %q", err, dir)
	}
	if h, ok := errors.AsType[*medium.HintError](err); !ok || !strings.Contains(h.Hint(), "umount") {
		t.Errorf("%v does not say what to type", err)
	}
}

// Half a sector at the end cannot be read past the page cache; better to know now than at the end.
func TestHalfSector(t *testing.T) {
	dev := attach(t, file(t, content(4096+512)), "--read-only", "--sector-size", "4096")
	if m, err := medium.Open(t.Context(), dev, nil); err == nil {
		t.Errorf("opened %+v", m.Describe())
		m.Close()
	}
}

func TestEmptyDevice(t *testing.T) {
	path := file(t, content(4096))
	dev := attach(t, path)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "losetup", "--set-capacity", dev)
	if _, err := medium.Open(t.Context(), dev, nil); !errors.Is(err, medium.ErrEmptyDevice) {
		t.Errorf("got %v, want ErrEmptyDevice", err)
	}
}

// Nothing else is a medium, and nothing of it is opened: opening a pipe would wait for ever.
func TestKinds(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, "/dev/null", "/dev/zero", t.TempDir()} {
		if _, err := medium.Open(t.Context(), path, nil); !errors.Is(err, medium.ErrKind) {
			t.Errorf("%s: got %v, want ErrKind", path, err)
		}
	}
}

// tmpfs takes the flag for direct I/O or refuses it, as the kernel likes; the bytes are right in any case.
func TestMemoryFile(t *testing.T) {
	f, err := os.CreateTemp("/dev/shm", "exhibit-medium-")
	if err != nil {
		t.Skip("no /dev/shm")
	}
	t.Cleanup(func() {
		if err := os.Remove(f.Name()); err != nil {
			t.Error(err)
		}
	})
	want := content(1<<20 + 17)
	if _, err := f.Write(want); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := blocks(open(t, f.Name(), nil), 1<<20); !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
	}
}

func TestFromFile(t *testing.T) {
	want := content(1<<20 + 17)
	f, err := os.Open(file(t, want))
	if err != nil {
		t.Fatal(err)
	}
	m, err := medium.FromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got, err := blocks(m, 1<<20); !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
	}
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, err := medium.FromFile(dir); !errors.Is(err, medium.ErrKind) {
		t.Errorf("of a folder: got %v, want ErrKind", err)
	}
}

// Writing to the destination must never write to the medium, whatever lies between.
func TestCheckDestination(t *testing.T) {
	path := formatted(t)
	dir := mount(t, attach(t, path))
	// The same file once more: the medium is another device, or the file itself, but the bytes are the same.
	second := open(t, attach(t, path, "--read-only"), nil)
	itself := open(t, path, nil)
	for _, m := range []*medium.Medium{second, itself} {
		if err := m.CheckDestination(dir); !errors.Is(err, medium.ErrSameDevice) {
			t.Errorf("%s: got %v, want ErrSameDevice", m.Path(), err)
		}
		if err := m.CheckDestination(t.TempDir()); err != nil {
			t.Errorf("%s: another folder: %v", m.Path(), err)
		}
	}
	// A file system in a file on the mounted one lies on it too.
	inner := filepath.Join(dir, "inner")
	if err := os.WriteFile(inner, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(inner, 2<<20); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "mkfs.ext4", "-q", inner)
	deep := mount(t, attach(t, inner))
	if err := second.CheckDestination(deep); !errors.Is(err, medium.ErrSameDevice) {
		t.Errorf("a loop device on it: got %v, want ErrSameDevice", err)
	}
	other := open(t, file(t, []byte("x")), nil)
	if err := other.CheckDestination(deep); err != nil {
		t.Errorf("another medium: %v", err)
	}
	stream := open(t, "-", strings.NewReader(""))
	if err := stream.CheckDestination(dir); err != nil {
		t.Errorf("a stream: %v", err)
	}
}

// A partition's file system lies on the disk, and the disk's partitions are looked at when it is in use.
func TestPartition(t *testing.T) {
	testtool.NeedRoot(t)
	testtool.Need(t, "addpart", "losetup", "mkfs.ext4", "mount", "umount", "mknod")
	path := file(t, nil)
	if err := os.Truncate(path, 16<<20); err != nil {
		t.Fatal(err)
	}
	dev := attach(t, path, "--partscan")
	testtool.Run(t, "addpart", dev, "1", "2048", "20480") // not every kernel reads partition tables
	part := partition(t, dev)
	testtool.Run(t, "mkfs.ext4", "-q", part)
	dir := mount(t, part)
	if _, err := medium.Open(t.Context(), dev, nil); !errors.Is(err, medium.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want ErrInUse and %q", err, dir)
	}
	second := open(t, attach(t, path, "--read-only"), nil)
	if err := second.CheckDestination(dir); !errors.Is(err, medium.ErrSameDevice) {
		t.Errorf("got %v, want ErrSameDevice", err)
	}
}

// partition is the device node of the first partition, made here where no udev makes it.
func partition(t *testing.T, dev string) string {
	t.Helper()
	name := filepath.Base(dev) + "p1"
	b, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(dev), name, "dev"))
	if err != nil {
		t.Fatalf("the kernel does not see the partition: %v", err)
	}
	major, minor, _ := strings.Cut(strings.TrimSpace(string(b)), ":")
	node := filepath.Join(t.TempDir(), name)
	testtool.Run(t, "mknod", node, "b", major, minor)
	return node
}

func TestDescribeDestination(t *testing.T) {
	dir := mount(t, attach(t, formatted(t)))
	d := medium.DescribeDestination(dir)
	kind, _ := d.FileSystem.Get()
	device, _ := d.Device.Get()
	if kind != "ext4" || !strings.HasPrefix(device, "7:") {
		t.Errorf("got %q on %q, want ext4 on 7:...", kind, device)
	}
	d = medium.DescribeDestination(filepath.Join(dir, "nowhere"))
	if _, ok := d.Device.Get(); ok || d.Device.Reason() == "" {
		t.Errorf("a folder that is not there has device %+v", d.Device)
	}
}
