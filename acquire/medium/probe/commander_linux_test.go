package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// The kernel reads the structures by their sizes: that of NVMe stands in the number of the ioctl.
func TestStructures(t *testing.T) {
	if got, want := unsafe.Sizeof(nvmeHeader{}), uintptr(nvmeIoctlAdmin>>16&0x3fff); got != want {
		t.Errorf("nvme_admin_cmd has %d bytes, want %d", got, want)
	}
	var h sgHeader
	if unsafe.Sizeof(uintptr(0)) == 8 {
		for name, at := range map[string][2]uintptr{"dxferp": {unsafe.Offsetof(h.data), 16}, "timeout": {unsafe.Offsetof(h.timeout), 40},
			"status": {unsafe.Offsetof(h.status), 64}, "host_status": {unsafe.Offsetof(h.hostStatus), 68}, "info": {unsafe.Offsetof(h.info), 80}, "all": {unsafe.Sizeof(h), 88}} {
			if at[0] != at[1] {
				t.Errorf("sg_io_hdr: %s lies at %d, want %d", name, at[0], at[1])
			}
		}
	}
}

// A device without a drive refuses by way of the kernel, and the refusal is the reason.
func TestKernelRefuses(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := valid(t, Device(newCommander(int(f.Fd())), sataBlock(t)))
	want(t, facts(h), map[string]string{"protect": "? MODE SENSE: the kernel's driver does not take such commands (inappropriate ioctl for device)",
		"native": "? IDENTIFY DEVICE: the kernel's driver", "failing": "? IDENTIFY DEVICE: the kernel's driver"})
	h = valid(t, Device(newCommander(int(f.Fd())), nvmeBlock(t)))
	want(t, facts(h), map[string]string{"dlfeat": "? Identify Controller: the kernel's driver", "failing": "? Get Log Page, health: the kernel's driver"})
	h = valid(t, Device(newCommander(-1), sataBlock(t)))
	want(t, facts(h), map[string]string{"protect": "? MODE SENSE: the kernel answers: bad file descriptor"})
}

// A loop device is found by its kernel name and opened by its number, and has no drive.
func TestLoop(t *testing.T) {
	testtool.NeedRoot(t)
	testtool.Need(t, "losetup")
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", "--read-only", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if err := exec.Command("losetup", "--detach", device).Run(); err != nil {
			t.Errorf("detach %s: %v", device, err)
		}
	})
	b, err := sysfs.System().Find(filepath.Base(device))
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := valid(t, Path(int(f.Fd()), b.Name))
	want(t, facts(h), map[string]string{"bus": "loop", "serial": "? a loop device has no drive", "failing": "? a loop device has no drive", "kernel": "1048576", "hidden": "?"})
	if got := PathHealth(int(f.Fd()), b.Name); got.Failing.Reason() != "a loop device has no drive" {
		t.Errorf("health: %+v", got)
	}
	h = valid(t, Path(int(f.Fd()), "sd-no-such"))
	want(t, facts(h), map[string]string{"bus": `? "sd-no-such": the kernel lists no such block device`})
	b.Number = "7:250"
	if f, err := Open(b); err == nil {
		f.Close()
		t.Error("a device of another number was opened")
	}
}
