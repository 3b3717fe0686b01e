package medium

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// loopOver attaches a file of zeros until the test ends, and takes a read-only flag off again, which would meet the next
// user of the loop device.
func loopOver(t *testing.T, size int64, flags ...string) (device, file string) {
	t.Helper()
	testtool.NeedRoot(t)
	testtool.Need(t, "losetup", "blockdev")
	file = filepath.Join(t.TempDir(), "target.img")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	device = testtool.Run(t, "losetup", append(append([]string{"--find", "--show", "--direct-io=on"}, flags...), file)...)
	t.Cleanup(func() {
		testtool.Run(t, "blockdev", "--setrw", device)
		testtool.Run(t, "losetup", "--detach", device)
	})
	return device, file
}

func openedFor(t *testing.T, device string) *Target {
	t.Helper()
	to, err := OpenTarget(device)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = to.Close() })
	return to
}

// What is written to a target reaches the file behind it, from aligned memory or not, and nothing else does.
func TestTargetWrites(t *testing.T) {
	for _, sector := range []string{"512", "4096"} {
		device, file := loopOver(t, 1<<20, "--sector-size", sector)
		to := openedFor(t, device)
		step := int(to.SectorBytes())
		want := make([]byte, 1<<20)
		block := bytes.Repeat([]byte{7}, 300<<10+1)[1:]
		for _, p := range [][]byte{block, alignedBuffer(2*step, directAlign)} {
			copy(p, "something")
			copy(want[3*step:], p)
			if err := to.WriteAt(p, int64(3*step)); err != nil {
				t.Fatal(err)
			}
		}
		got := make([]byte, len(block))
		if n, err := to.ReadAt(got, int64(3*step)); err != nil || !bytes.Equal(got[:n], want[3*step:3*step+n]) {
			t.Errorf("read %d bytes, %v", n, err)
		}
		for _, bad := range []int64{-int64(step), 1, 1 << 20, 1<<20 - int64(step)} {
			if err := to.WriteAt(make([]byte, 2*step), bad); !errors.Is(err, ErrAlignment) {
				t.Errorf("write at %d: %v, want ErrAlignment", bad, err)
			}
		}
		if err := errors.Join(to.Sync(), to.Close()); err != nil {
			t.Fatal(err)
		}
		if err := to.WriteAt(make([]byte, step), 0); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, want) {
			t.Errorf("sectors of %s: the file is not what was written (%v)", sector, err)
		}
	}
}

// A target is refused, before anything is written, when it is used, read-only, or no block device.
func TestTargetRefused(t *testing.T) {
	testtool.Need(t, "mkfs.ext4", "mount", "umount")
	refused := func(what, device string, want error) {
		t.Helper()
		to, err := OpenTarget(device)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if err == nil {
			t.Cleanup(func() { _ = to.Close() })
		}
		if hint, ok := errors.AsType[*HintError](err); errors.Is(want, ErrReadOnly) && (!ok || !strings.Contains(hint.Hint(), "blockdev --setrw")) {
			t.Errorf("%s: no hint at what to type: %v", what, err)
		}
	}
	device, file := loopOver(t, 8<<20)
	testtool.Run(t, "mkfs.ext4", "-q", device)
	dir := t.TempDir()
	testtool.Run(t, "mount", device, dir)
	refused("mounted", device, ErrInUse)
	testtool.Run(t, "umount", dir)
	refused("a file", file, ErrKind)
	refused("a character device", "/dev/null", ErrKind)
	refused("nothing", "/dev/nothing-of-that-name", os.ErrNotExist)
	refused("a serial that no drive has", "serial:none of this name", os.ErrNotExist)

	above := testtool.Run(t, "losetup", "--find", "--show", device)
	refused("under another loop device", device, ErrInUse)
	testtool.Run(t, "losetup", "--detach", above)

	held := openedFor(t, device)
	refused("held by another", device, ErrInUse)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "blockdev", "--setro", device)
	refused("read-only", device, ErrReadOnly)
	if flag := testtool.Run(t, "blockdev", "--getro", device); flag != "1" {
		t.Errorf("the read-only flag is %s", flag)
	}
	testtool.Run(t, "blockdev", "--setrw", device)

	fixed, _ := loopOver(t, 1<<20, "--read-only")
	refused("attached for reading", fixed, ErrReadOnly)
	empty, file := loopOver(t, 1<<20)
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "losetup", "--set-capacity", empty)
	refused("empty", empty, ErrEmptyDevice)
	if err := os.Truncate(file, 1<<20); err != nil { // blockdev wants it to be there
		t.Fatal(err)
	}
	testtool.Run(t, "losetup", "--set-capacity", empty)
}

// The system's disk is refused with all its partitions; so is what /sys does not know.
func TestTargetSystemDisk(t *testing.T) {
	rootDev := func() string {
		info, err := os.Stat("/")
		if err != nil {
			t.Fatal(err)
		}
		return numberText(fileNode(info).dev)
	}()
	h := tree(t, merge(disks(map[string]string{
		"sys/devices/a/block/sda/sda1/dev": rootDev + "\n", "sys/dev/block/" + rootDev: "->sys/devices/a/block/sda/sda1",
		"proc/swaps": "Filename Type Size Used Priority\n",
	})))
	number := func(s string) uint64 {
		n, ok := parseNumber(s)
		if !ok {
			t.Fatal(s)
		}
		return n
	}
	if strings.HasPrefix(rootDev, "0:") {
		t.Logf("the root file system of this machine has no device: the walk from it is tested by TestBelow")
	} else {
		for _, dev := range []string{"8:0", "8:2", rootDev} {
			if err := h.checkTarget("/dev/x", number(dev)); !errors.Is(err, ErrInUse) {
				t.Errorf("device %s: %v, want ErrInUse", dev, err)
			}
		}
	}
	if err := h.checkTarget("/dev/sdb", number("8:16")); err != nil {
		t.Errorf("the other disk: %v", err)
	}
	if err := h.checkTarget("/dev/sdx", number("9:9")); !errors.Is(err, ErrUnchecked) {
		t.Errorf("a disk that /sys does not know: %v, want ErrUnchecked", err)
	}
}

// The drives that are written to are those under a volume too.
func TestTargetDrives(t *testing.T) {
	h := tree(t, merge(disks(map[string]string{
		"sys/devices/a/block/sda/device/vpd_pg80": page80("WD-1"), "sys/devices/b/block/sdb/device/vpd_pg80": page80("WD-2"),
	}), volume("dm-0", "253:0", map[string]string{"slaves/sda2": "->sys/devices/a/block/sda/sda2", "slaves/sdb": "->sys/devices/b/block/sdb"})))
	for dev, want := range map[string][]string{"253:0": {"/dev/dm-0", "/dev/sda WD-1", "/dev/sdb WD-2"}, "8:2": {"/dev/sda WD-1"}, "8:16": {"/dev/sdb WD-2"}} {
		number, _ := parseNumber(dev)
		drives, err := h.drives(number)
		var got []string
		for _, d := range drives {
			got = append(got, strings.TrimSpace(d.Path+" "+strings.Join(d.Serials, " ")))
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", dev, got, err, want)
		}
	}
	number, _ := parseNumber("9:9")
	if drives, err := h.drives(number); err == nil {
		t.Errorf("a device that is not there: %v", drives)
	}
}

// A target that holds the image, or is the loop device over it, is found.
func TestTargetHolds(t *testing.T) {
	device, file := loopOver(t, 1<<20)
	to := openedFor(t, device)
	if err := to.CheckHolds(file); !errors.Is(err, ErrSameDevice) {
		t.Errorf("the file behind it: %v", err)
	}
	if err := to.CheckHolds(filepath.Join(filepath.Dir(file), "none")); !errors.Is(err, ErrUnchecked) {
		t.Errorf("nothing: %v", err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := to.CheckHolds(other); err != nil {
		t.Errorf("another file: %v", err)
	}
}
