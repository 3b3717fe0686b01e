package medium_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

func openWith(t *testing.T, path string, opts medium.Options) *medium.Medium {
	t.Helper()
	m, err := medium.OpenWith(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// flag is the kernel's read-only flag of a device or, with a second name, of a partition.
func flag(t *testing.T, dev string, part ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"/sys/block", filepath.Base(dev)}, append(part, "ro")...)...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// refused checks that a device is not opened, and that user and command are named.
func refused(t *testing.T, dev, user, command string) {
	t.Helper()
	before := flag(t, dev)
	m, err := medium.Open(t.Context(), dev, nil)
	if err == nil {
		m.Close()
	}
	h, ok := errors.AsType[*medium.HintError](err)
	if !errors.Is(err, medium.ErrInUse) || !strings.Contains(err.Error(), user) || !ok || !strings.Contains(h.Hint(), command) {
		t.Errorf("%s: got %v, %v, want ErrInUse, %q and %q", dev, err, h, user, command)
	}
	if flag(t, dev) != before {
		t.Error("the read-only flag was set on a device that was refused")
	}
}

// While a loop device is read it and its partitions are read-only for everybody; then all is as it was.
func TestReadOnlyFlag(t *testing.T) {
	testtool.NeedRoot(t)
	testtool.Need(t, "addpart", "losetup", "mknod")
	dev := attach(t, file(t, content(4<<20)), "--partscan")
	testtool.Run(t, "addpart", dev, "1", "2048", "4096")
	part := filepath.Base(dev) + "p1"
	writer, err := os.OpenFile(dev, os.O_WRONLY, 0) // opened before, as by a program that is running already
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	m := openWith(t, dev, medium.Options{})
	s := m.State()
	before, ok1 := s.ReadOnlyBefore.Get()
	now, ok2 := s.ReadOnlyNow.Get()
	if before || !now || !ok1 || !ok2 || !s.Exclusive || s.Live || flag(t, dev) != "1" || flag(t, dev, part) != "1" {
		t.Errorf("while it is open: %+v, flags %s and %s", s, flag(t, dev), flag(t, dev, part))
	}
	if _, err := writer.WriteAt(make([]byte, 4096), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("a write gave %v, want EPERM", err)
	}
	if on, ok := m.Describe().ReadOnly.Get(); !on || !ok {
		t.Errorf("described as %+v", m.Describe())
	}
	if n, ok := s.DiskSequence.Get(); !ok || n <= 0 {
		t.Errorf("disk sequence %d, %t", n, ok)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if flag(t, dev) != "0" || flag(t, dev, part) != "0" {
		t.Errorf("after Close the flags are %s and %s", flag(t, dev), flag(t, dev, part))
	}
	if last, _ := m.State().ReadOnlyNow.Get(); !last {
		t.Error("after Close it is forgotten that the flag was there to the end")
	}
	if _, err := writer.WriteAt(make([]byte, 4096), 0); err != nil {
		t.Errorf("after Close a write gave %v", err)
	}
	kept := openWith(t, dev, medium.Options{KeepWritable: true}).State()
	if on, ok := kept.ReadOnlyNow.Get(); on || !ok || len(kept.Notes) == 0 {
		t.Errorf("with KeepWritable: %+v", kept)
	}
}

// A run that was killed leaves the flag set; the next one, which is told, takes it back, from the partitions too.
func TestReadOnlyFlagOfKilled(t *testing.T) {
	testtool.NeedRoot(t)
	testtool.Need(t, "addpart", "blockdev", "losetup", "mknod")
	dev := attach(t, file(t, content(4<<20)), "--partscan")
	testtool.Run(t, "addpart", dev, "1", "2048", "4096")
	part := filepath.Base(dev) + "p1"
	testtool.Run(t, "blockdev", "--setro", dev) // as the first run left it
	for _, told := range []bool{false, true} {
		m := openWith(t, dev, medium.Options{WasWritable: told})
		s := m.State()
		if before, _ := s.ReadOnlyBefore.Get(); !before || strings.Contains(fmt.Sprint(s.Notes), "a run that was killed") != told {
			t.Errorf("told %t: read-only before %t, notes %q", told, before, s.Notes)
		}
		want := map[bool]string{false: "1", true: "0"}[told]
		if err := m.Close(); err != nil || flag(t, dev) != want || flag(t, dev, part) != want {
			t.Errorf("told %t: after Close: %v, flags %s and %s, want %s", told, err, flag(t, dev), flag(t, dev, part), want)
		}
	}
}

// A device that was read-only before stays so.
func TestReadOnlyFlagStays(t *testing.T) {
	testtool.NeedRoot(t)
	testtool.Need(t, "blockdev")
	dev := attach(t, file(t, content(1<<20)))
	testtool.Run(t, "blockdev", "--setro", dev)
	t.Cleanup(func() { testtool.Run(t, "blockdev", "--setrw", dev) })
	m := openWith(t, dev, medium.Options{})
	if before, ok := m.State().ReadOnlyBefore.Get(); !before || !ok {
		t.Errorf("before: %+v", m.State())
	}
	if err := m.Close(); err != nil || flag(t, dev) != "1" {
		t.Errorf("after Close: %v, flag %s, want 1", err, flag(t, dev))
	}
}

func TestRefusals(t *testing.T) {
	testtool.NeedRoot(t)
	testtool.Need(t, "mkswap", "swapon", "swapoff")
	t.Run("swap", func(t *testing.T) {
		path := file(t, nil)
		if err := os.Truncate(path, 1<<20); err != nil {
			t.Fatal(err)
		}
		dev := attach(t, path)
		testtool.Run(t, "mkswap", dev)
		testtool.Run(t, "swapon", dev)
		t.Cleanup(func() { testtool.Run(t, "swapoff", dev) })
		refused(t, dev, "used as swap", fmt.Sprintf("swapoff %q", dev))
	})
	t.Run("file of a loop device", func(t *testing.T) { // which O_EXCL does not see
		dev := attach(t, formatted(t))
		upper := attach(t, dev)
		refused(t, dev, fmt.Sprintf("attached as loop device %q", filepath.Base(upper)), fmt.Sprintf("losetup --detach %q", upper))
		dir := mount(t, upper)
		refused(t, dev, fmt.Sprintf("mounted at %q", dir), fmt.Sprintf("umount %q && losetup --detach %q", dir, upper))
	})
	t.Run("another reader", func(t *testing.T) {
		dev := attach(t, file(t, content(1<<20)), "--read-only")
		f, err := os.OpenFile(dev, os.O_RDONLY|unix.O_EXCL, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		refused(t, dev, "the device is in use", "fuser") // our own process is not named
	})
}

// The disk this very system runs from is refused; read as a live one it is not touched.
func TestSystemDisk(t *testing.T) {
	testtool.NeedRoot(t)
	var st unix.Stat_t
	if err := unix.Stat("/", &st); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/uevent", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		t.Skip("the system does not lie on a block device")
	}
	_, name, _ := strings.Cut(string(b), "DEVNAME=")
	name, _, _ = strings.Cut(name, "\n")
	dev := "/dev/" + name
	_, err = medium.Open(t.Context(), dev, nil)
	if h, ok := errors.AsType[*medium.HintError](err); !errors.Is(err, medium.ErrInUse) || !strings.Contains(err.Error(), "running system") || !ok || !strings.Contains(h.Hint(), "--live") {
		t.Errorf("got %v, want ErrInUse, the system and --live", err)
	}
	if f, err := os.Open(dev); err != nil {
		t.Logf("what --live does with it cannot be tried, nobody may open it here: %v", err)
		return
	} else if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := openWith(t, dev, medium.Options{Live: true}).State()
	now, ok := s.ReadOnlyNow.Get()
	if !s.Live || s.Exclusive || now || !ok || !strings.Contains(strings.Join(s.Notes, "\n"), "the running system lies on the device") {
		t.Errorf("live: %+v", s)
	}
}

func TestLive(t *testing.T) {
	dev := attach(t, formatted(t))
	dir := mount(t, dev)
	m := openWith(t, dev, medium.Options{Live: true})
	s := m.State()
	if !s.Live || s.Exclusive || flag(t, dev) != "0" || !strings.Contains(strings.Join(s.Users, "\n"), dir) {
		t.Errorf("got %+v", s)
	}
	// Where it is mounted may name a person: the record does not say it.
	if notes := strings.Join(m.Describe().Access.Notes, "\n"); strings.Contains(notes, dir) || !strings.Contains(notes, "in use while it was read") {
		t.Errorf("the record's notes are %q", notes)
	}
	if n, err := m.ReadAt(page(4096, 0), 0); n != 4096 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	free := openWith(t, attach(t, file(t, content(1<<20))), medium.Options{Live: true}).State()
	if !free.Live || !free.Exclusive {
		t.Errorf("a free device: %+v", free)
	}
}

func TestOptions(t *testing.T) {
	path := file(t, content(512))
	for _, opts := range []medium.Options{{ReadTimeout: -1}, {DeviceTimeout: -1}, {DeviceTimeout: time.Millisecond}, {DeviceTimeout: 2 * time.Hour}} {
		if _, err := medium.OpenWith(t.Context(), path, opts); err == nil {
			t.Errorf("%+v was accepted", opts)
		}
	}
	s := openWith(t, path, medium.Options{DeviceTimeout: time.Second}).State()
	if s.ReadOnlyNow.Reason() == "" || s.TimeoutNowSeconds.Reason() == "" || s.DiskSequence.Reason() == "" {
		t.Errorf("a file has %+v", s)
	}
	if s := open(t, "-", strings.NewReader("")).State(); s.ReadOnlyNow.Reason() == "" {
		t.Errorf("a stream has %+v", s)
	}
	dev := openWith(t, attach(t, path), medium.Options{DeviceTimeout: time.Second}).State()
	if len(dev.Notes) == 0 || dev.TimeoutNowSeconds.Reason() == "" { // a loop device has none
		t.Errorf("a loop device has %+v", dev)
	}
}
