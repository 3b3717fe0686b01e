package medium

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree is a made-up host: files by path, and links where the text begins with "->".
func tree(t *testing.T, files map[string]string) host {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "->"); ok {
			err = os.Symlink(filepath.Join(root, target), path)
		} else if strings.HasSuffix(path, "/.keep") {
			continue
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return host{root + "/sys", root + "/proc", root + "/dev"}
}

// disks is a tree of two disks with partitions and what lies on them.
func disks(more map[string]string) map[string]string {
	files := map[string]string{
		"sys/dev/block/8:0":  "->sys/devices/a/block/sda",
		"sys/dev/block/8:1":  "->sys/devices/a/block/sda/sda1",
		"sys/dev/block/8:2":  "->sys/devices/a/block/sda/sda2",
		"sys/dev/block/8:16": "->sys/devices/b/block/sdb",
		"sys/block/sda":      "->sys/devices/a/block/sda",
		"sys/block/sdb":      "->sys/devices/b/block/sdb",

		"sys/devices/a/block/sda/dev":            "8:0\n",
		"sys/devices/a/block/sda/slaves/.keep":   "",
		"sys/devices/a/block/sda/ro":             "0\n",
		"sys/devices/a/block/sda/sda1/dev":       "8:1\n",
		"sys/devices/a/block/sda/sda1/partition": "1\n",
		"sys/devices/a/block/sda/sda1/ro":        "0\n",
		"sys/devices/a/block/sda/sda2/dev":       "8:2\n",
		"sys/devices/a/block/sda/sda2/partition": "2\n",
		"sys/devices/a/block/sda/sda2/ro":        "1\n",
		"sys/devices/b/block/sdb/dev":            "8:16\n",
		"sys/devices/b/block/sdb/slaves/.keep":   "",
		"proc/self/mountinfo":                    "1 1 0:1 / / rw - tmpfs none rw\n",
	}
	for path, text := range more {
		files[path] = text
	}
	return files
}

func volume(name, number string, more map[string]string) map[string]string {
	files := map[string]string{
		"sys/dev/block/" + number:             "->sys/block/" + name,
		"sys/block/" + name + "/dev":          number + "\n",
		"sys/block/" + name + "/slaves/.keep": "",
	}
	for path, text := range more {
		files["sys/block/"+name+"/"+path] = text
	}
	return files
}

func merge(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

const held = "sys/devices/a/block/sda/sda1/holders/"

// Who holds a disk is named, with what lets go of it, in the order in which that must be done.
func TestHolders(t *testing.T) {
	mounts := "1 1 0:1 / / rw - tmpfs none rw\n2 1 253:0 / /mnt/in\\040side rw - ext4 /dev/mapper/x rw\n"
	cases := map[string]struct {
		files map[string]string
		want  []holder
	}{
		"nothing": {nil, nil},
		"mounted": {
			map[string]string{"proc/self/mountinfo": "2 1 8:1 / /mnt/a rw - ext4 /dev/sda1 rw\n3 1 8:1 / /mnt/b rw - ext4 /dev/sda1 rw\n4 1 8:16 / /mnt/other rw - ext4 /dev/sdb rw\n"},
			[]holder{{`mounted at "/mnt/b"`, `umount "/mnt/b"`}, {`mounted at "/mnt/a"`, `umount "/mnt/a"`}},
		},
		"encrypted and mounted": {
			merge(volume("dm-0", "253:0", map[string]string{"dm/name": "vault\n", "dm/uuid": "CRYPT-LUKS2-1234-vault\n"}),
				map[string]string{held + "dm-0": "->sys/block/dm-0", "proc/self/mountinfo": mounts}),
			[]holder{{`mounted at "/mnt/in side"`, `umount "/mnt/in side"`}, {`opened as the encrypted volume "vault" (dm-0)`, `cryptsetup close "vault"`}},
		},
		"LVM in encryption": {
			merge(volume("dm-0", "253:0", map[string]string{"dm/name": "vault", "dm/uuid": "CRYPT-LUKS2-1234-vault", "holders/dm-1": ""}),
				volume("dm-1", "253:1", map[string]string{"dm/name": "my--group-a--b", "dm/uuid": "LVM-abc"}),
				map[string]string{held + "dm-0": "->sys/block/dm-0"}),
			[]holder{{`part of the LVM volume "a-b" of group "my-group" (dm-1)`, `lvchange -an "my-group/a-b"`}, {`opened as the encrypted volume "vault" (dm-0)`, `cryptsetup close "vault"`}},
		},
		"RAID": {
			merge(volume("md127", "9:127", map[string]string{"md/level": "raid1"}), map[string]string{held + "md127": "->sys/block/md127"}),
			[]holder{{`part of the RAID array "md127"`, `mdadm --stop "/dev/md127"`}},
		},
		"multipath": {
			merge(volume("dm-3", "253:3", map[string]string{"dm/name": "mpatha", "dm/uuid": "mpath-36000"}), map[string]string{"sys/devices/a/block/sda/holders/dm-3": "->sys/block/dm-3"}),
			[]holder{{`a path of the multipath device "mpatha" (dm-3)`, `multipath -f "mpatha"`}},
		},
		"other device-mapper": {
			merge(volume("dm-3", "253:3", map[string]string{"dm/name": "snap", "dm/uuid": ""}), map[string]string{held + "dm-3": "->sys/block/dm-3"}),
			[]holder{{`part of the device-mapper volume "snap" (dm-3)`, `dmsetup remove "snap"`}},
		},
		"unknown": {map[string]string{held + "bcache0": ""}, []holder{{`held by "bcache0"`, ""}}},
		"each other": { // a loop in a broken /sys ends
			merge(volume("dm-0", "253:0", map[string]string{"dm/name": "x", "dm/uuid": "CRYPT-", "holders/dm-0": ""}), map[string]string{held + "dm-0": "->sys/block/dm-0"}),
			[]holder{{`opened as the encrypted volume "x" (dm-0)`, `cryptsetup close "x"`}},
		},
	}
	for name, c := range cases {
		h := tree(t, disks(c.files))
		if got := h.holders(unix.Mkdev(8, 0)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, c.want)
		}
		if got := h.holders(unix.Mkdev(8, 2)); len(got) != 0 && !strings.Contains(name, "multipath") {
			t.Errorf("%s: the other partition: got %q", name, got)
		}
		err := h.refusal("/dev/sda", unix.Mkdev(8, 0))
		hint, ok := errors.AsType[*HintError](err)
		if !errors.Is(err, ErrInUse) || !ok {
			t.Fatalf("%s: refused with %v", name, err)
		}
		last := -1
		for _, w := range c.want {
			at := strings.Index(hint.Hint(), w.release)
			if !strings.Contains(err.Error(), w.what) || at < last {
				t.Errorf("%s: %v, hint %q: want %q and %q in order", name, err, hint.Hint(), w.what, w.release)
			}
			last = at
		}
	}
}

// A mount that only another process sees is found by its process.
func TestElsewhere(t *testing.T) {
	h := tree(t, disks(map[string]string{
		"proc/17/comm": "dockerd\n", "proc/17/ns/mnt": "->mnt:[1]", "proc/17/mountinfo": "2 1 8:1 / /inner rw - ext4 /dev/sda1 rw\n",
		"proc/18/comm": "sh\n", "proc/18/ns/mnt": "->mnt:[1]", "proc/18/mountinfo": "2 1 8:1 / /inner rw - ext4 /dev/sda1 rw\n",
	}))
	want := []holder{{`mounted at "/inner" where process 17 ("dockerd") sees it`, `nsenter --mount --target 17 umount "/inner"`}}
	if got := h.elsewhere(unix.Mkdev(8, 0)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAutomounter(t *testing.T) {
	for comm, want := range map[string]string{"udisksd\n": "udisksd", "gvfs-udisks2-vo\n": "gvfs-udisks2-vo", "bash\n": "", "notudisksd": ""} {
		h := tree(t, map[string]string{"proc/1/comm": "init\n", "proc/212/comm": comm, "proc/sys/comm": "udisksd\n"})
		if got := h.automounter(); got != want {
			t.Errorf("with %q running: got %q, want %q", comm, got, want)
		}
	}
}

// numbered is the FileInfo of a device that is not there.
type numbered struct {
	fs.FileInfo
	dev uint64
}

func (n numbered) Sys() any { return &syscall.Stat_t{Rdev: n.dev} }

func made(h host, dev uint64) *disk {
	d := &disk{host: h, device: true, path: "/dev/made-up", seen: numbered{dev: dev}}
	d.identity = d.sysIdentity()
	return d
}

// What cannot be found out is refused, not taken for a no.
func TestCannotCheckDestination(t *testing.T) {
	onDisk := func(number string) string { return "1 1 " + number + " / / rw - btrfs none rw\n" }
	for name, c := range map[string]struct {
		files map[string]string
		dev   uint64 // of the file system
		want  error
	}{
		"on another disk":   {nil, unix.Mkdev(8, 16), nil},
		"on the disk":       {nil, unix.Mkdev(8, 0), ErrSameDevice},
		"on a partition":    {nil, unix.Mkdev(8, 2), ErrSameDevice},
		"in memory":         {nil, unix.Mkdev(0, 1), nil},
		"unknown device":    {nil, unix.Mkdev(8, 48), ErrUnchecked},
		"made of it":        {volume("dm-0", "253:0", map[string]string{"slaves/sda1": "->sys/devices/a/block/sda/sda1"}), unix.Mkdev(253, 0), ErrSameDevice},
		"made of something": {volume("dm-0", "253:0", map[string]string{"slaves/sdq/size": "1"}), unix.Mkdev(253, 0), ErrUnchecked},
		"no slaves": {
			map[string]string{"sys/dev/block/253:0": "->sys/block/dm-0", "sys/block/dm-0/dev": "253:0"}, unix.Mkdev(253, 0), ErrUnchecked,
		},
		"file of a loop device gone": {
			volume("loop0", "7:0", map[string]string{"loop/backing_file": "/no/such/file (deleted)\n"}), unix.Mkdev(7, 0), ErrUnchecked,
		},
		"no mounts":        {map[string]string{"proc/self/mountinfo": "->nowhere"}, unix.Mkdev(8, 16), ErrUnchecked},
		"mounts malformed": {map[string]string{"proc/self/mountinfo": "1 1 x\n"}, unix.Mkdev(8, 16), ErrUnchecked},
		"mount not listed": {map[string]string{"proc/self/mountinfo": "1 1 0:1 / /elsewhere rw - tmpfs none rw\n"}, unix.Mkdev(0, 40), ErrUnchecked},
		"mount's device is not there": {
			map[string]string{"proc/self/mountinfo": strings.ReplaceAll(onDisk("0:40"), "none", "/dev/sdq")}, unix.Mkdev(0, 40), ErrUnchecked,
		},
	} {
		h := tree(t, disks(c.files))
		d := made(h, unix.Mkdev(8, 0))
		if got := d.host.compare(func(w *walk) error { return w.fileSystem(c.dev, "/") }, d.places); !errors.Is(got, c.want) || c.want == nil && got != nil {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	// The medium itself is not in /sys.
	d := made(tree(t, disks(nil)), unix.Mkdev(8, 48))
	if got := d.checkDestination(t.TempDir()); !errors.Is(got, ErrUnchecked) {
		t.Errorf("medium not in /sys: got %v, want ErrUnchecked", got)
	}
}

// What the kernel says of the drive tells a dead drive from a bad sector, and another drive from the same one.
func TestSysChanged(t *testing.T) {
	serial := "sys/devices/b/block/sdb/device/"
	h := tree(t, disks(map[string]string{serial + "state": "running\n", serial + "wwid": "naa.5000c500a1b2c3d4\n"}))
	d := made(h, unix.Mkdev(8, 16))
	if err := d.sysChanged(); err != nil {
		t.Errorf("untouched: %v", err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(h.sys, "devices/b/block/sdb/device", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("state", "offline\n")
	if err := d.sysChanged(); !errors.Is(err, ErrLost) {
		t.Errorf("offline: got %v, want ErrLost", err)
	}
	write("state", "running\n")
	write("wwid", "naa.5000c500a1b2c3d5\n")
	if err := d.sysChanged(); !errors.Is(err, ErrMediumChanged) {
		t.Errorf("another drive: got %v, want ErrMediumChanged", err)
	}
}

// The device's own time-out is put back as it was.
func TestDeviceTimeout(t *testing.T) {
	for path, want := range map[string][2]string{"device/timeout": {"30", "10"}, "queue/io_timeout": {"30000", "10000"}} {
		h := tree(t, disks(map[string]string{"sys/devices/b/block/sdb/" + path: want[0] + "\n"}))
		file := filepath.Join(h.sys, "devices/b/block/sdb", path)
		d := made(h, unix.Mkdev(8, 16))
		d.setTimeout(10 * time.Second)
		if n, _ := d.deviceTimeout().Get(); n != 10 || readText(file) != want[1] || len(d.now.Notes) != 0 {
			t.Errorf("%s: %d s, %q in the file, notes %q", path, n, readText(file), d.now.Notes)
		}
		if err := d.restore(); err != nil || readText(file) != want[0] {
			t.Errorf("%s: after Close %q, %v, want %q", path, readText(file), err, want[0])
		}
	}
	d := made(tree(t, disks(nil)), unix.Mkdev(8, 16))
	if d.setTimeout(10 * time.Second); len(d.now.Notes) != 1 || d.restore() != nil {
		t.Errorf("without one: notes %q, want one", d.now.Notes)
	}
	if _, ok := d.deviceTimeout().Get(); ok {
		t.Error("a time-out that is not there is known")
	}
}
