package medium

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
)

// holder is something that uses a device, and the command that makes it let go.
type holder struct{ what, release string }

// maxHolders are named in one message; there may be a mount for each container.
const maxHolders = 12

// holders finds what uses a device or one of its partitions. What must be released first comes first: the mount before
// the volume it is on.
func (h host) holders(dev uint64) []holder {
	s := search{host: h, seen: map[uint64]bool{}}
	// Mounts are looked for as far as they are understood: this explains a refusal, it is not the guard itself.
	s.mounts, _ = readMounts(filepath.Join(h.proc, "self/mountinfo"))
	for _, part := range h.parts(dev) {
		s.device(part)
	}
	return s.found
}

type search struct {
	host
	mounts []mount
	seen   map[uint64]bool
	found  []holder
}

func (s *search) add(release, what string, args ...any) {
	h := holder{fmt.Sprintf(what, args...), release}
	if len(s.found) < maxHolders && !slices.Contains(s.found, h) {
		s.found = append(s.found, h)
	}
}

func (s *search) device(dev uint64) {
	if s.seen[dev] {
		return
	}
	s.seen[dev] = true
	for _, m := range slices.Backward(s.mounts) { // the last is on top
		source, named := s.nodeNumber(m.source)
		if m.dev == dev || named && source == dev {
			s.add(fmt.Sprintf("umount %q", m.point), "mounted at %q", m.point)
		}
	}
	s.swap(dev)
	dir, err := s.folder(dev)
	if err != nil {
		return
	}
	for _, name := range names(filepath.Join(dir, "holders")) {
		s.holder(name)
	}
	s.loops(dev)
}

// swap reads lines of "Filename Type Size Used Priority".
func (s *search) swap(dev uint64) {
	for line := range strings.Lines(readText(filepath.Join(s.proc, "swaps"))) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[1] != "partition" {
			continue
		}
		path := sysfs.Unescape(fields[0])
		if number, ok := s.nodeNumber(path); ok && number == dev {
			s.add(fmt.Sprintf("swapoff %q", path), "used as swap")
		}
	}
}

// holder is a volume made of the device. Its own users are named first.
func (s *search) holder(name string) {
	dir := filepath.Join(s.sys, "block", name)
	if number, ok := readNumber(filepath.Join(dir, "dev")); ok {
		for _, part := range s.parts(number) {
			s.device(part)
		}
	}
	label := readText(filepath.Join(dir, "dm/name"))
	kind, _, _ := strings.Cut(readText(filepath.Join(dir, "dm/uuid")), "-")
	switch {
	case kind == "CRYPT":
		s.add(fmt.Sprintf("cryptsetup close %q", label), "opened as the encrypted volume %q (%s)", label, name)
	case kind == "LVM":
		group, volume := logicalVolume(label)
		s.add(fmt.Sprintf("lvchange -an %q", group+"/"+volume), "part of the LVM volume %q of group %q (%s)", volume, group, name)
	case kind == "mpath":
		s.add(fmt.Sprintf("multipath -f %q", label), "a path of the multipath device %q (%s)", label, name)
	case label != "":
		s.add(fmt.Sprintf("dmsetup remove %q", label), "part of the device-mapper volume %q (%s)", label, name)
	case readText(filepath.Join(dir, "md/level")) != "" || strings.HasPrefix(name, "md"):
		s.add(fmt.Sprintf("mdadm --stop %q", "/dev/"+kernelName(name)), "part of the RAID array %q", name)
	default:
		s.add("", "held by %q", name)
	}
}

// logicalVolume splits the name that LVM gives to device-mapper: a hyphen within a name is doubled.
func logicalVolume(label string) (group, volume string) {
	for i := 0; i < len(label); i++ {
		if label[i] != '-' {
			continue
		}
		if i+1 < len(label) && label[i+1] == '-' {
			i++
			continue
		}
		group, volume = label[:i], label[i+1:]
		break
	}
	return strings.ReplaceAll(group, "--", "-"), strings.ReplaceAll(volume, "--", "-")
}

// loops finds loop devices that have the device as their backing file. They do not claim it.
func (s *search) loops(dev uint64) {
	for _, name := range names(filepath.Join(s.sys, "block")) {
		loop := filepath.Join(s.sys, "block", name)
		path := readText(filepath.Join(loop, "loop/backing_file"))
		if !strings.HasPrefix(path, "/dev/") {
			continue
		}
		behind, ok := s.nodeNumber(path)
		if !ok || behind != dev {
			continue
		}
		if number, ok := readNumber(filepath.Join(loop, "dev")); ok {
			for _, part := range s.parts(number) {
				s.device(part)
			}
		}
		s.add("losetup --detach "+strconv.Quote("/dev/"+name), "attached as loop device %q", name)
	}
}

// systemDisk reports whether the running system lies on the device.
func (h host) systemDisk(dev uint64) (bool, error) {
	info, err := os.Stat("/")
	if err != nil {
		return false, plain(err)
	}
	below, err := h.below(func(w *walk) error { return w.fileSystem(fileNode(info).dev, "/") })
	return below[node{dev: dev}], err
}

// refusal explains why a device is not read, and what to do about it.
func (h host) refusal(path string, dev uint64) error {
	if system, _ := h.systemDisk(dev); system { // if it cannot be told, the holders still say what they are
		return &HintError{
			fmt.Errorf("the running system lies on it: %w", ErrInUse),
			"start this computer from another medium; if that cannot be, --live REASON reads the disk while it changes",
		}
	}
	list := h.holders(dev)
	if dir, err := h.folder(dev); err == nil && isPartition(dir) && len(list) == 0 {
		if whole, ok := readNumber(filepath.Join(filepath.Dir(dir), "dev")); ok {
			list = h.holders(whole)
		}
	}
	if len(list) == 0 {
		list = h.elsewhere(dev)
	}
	if len(list) == 0 {
		return &HintError{ErrInUse, fmt.Sprintf("lsblk %q and fuser -v %q show what uses it", path, path)}
	}
	var what, release []string
	for _, l := range list {
		what = append(what, l.what)
		if l.release != "" {
			release = append(release, l.release)
		}
	}
	hint := fmt.Sprintf("lsblk %q shows what uses it", path)
	if len(release) > 0 {
		hint = strings.Join(release, " && ") + ", then try again"
	}
	return &HintError{fmt.Errorf("%s: %w", strings.Join(what, ", "), ErrInUse), hint}
}

// elsewhere looks at other processes: for mounts that only they see, and for one that has the device itself open.
func (h host) elsewhere(dev uint64) []holder {
	parts := h.parts(dev)
	s := search{host: h}
	spaces := map[string]bool{}
	for _, pid := range names(h.proc) {
		if _, err := strconv.Atoi(pid); err != nil {
			continue
		}
		dir := filepath.Join(h.proc, pid)
		who := fmt.Sprintf("process %s (%q)", pid, readText(filepath.Join(dir, "comm")))
		if space, err := os.Readlink(filepath.Join(dir, "ns/mnt")); err == nil && !spaces[space] {
			spaces[space] = true
			mounts, _ := readMounts(filepath.Join(dir, "mountinfo")) // the process may have ended
			for _, m := range mounts {
				if slices.Contains(parts, m.dev) {
					s.add(fmt.Sprintf("nsenter --mount --target %s umount %q", pid, m.point), "mounted at %q where %s sees it", m.point, who)
				}
			}
		}
		for _, fd := range names(filepath.Join(dir, "fd")) {
			// Only what lies in /dev is looked at: asking a file of a dead network mount would hang.
			path, err := os.Readlink(filepath.Join(dir, "fd", fd))
			if err != nil || !strings.HasPrefix(path, "/dev/") || pid == strconv.Itoa(os.Getpid()) {
				continue
			}
			if number, ok := h.nodeNumber(path); ok && slices.Contains(parts, number) {
				s.add("", "opened by %s", who)
			}
		}
	}
	return s.found
}

// automounters are programs that mount what is plugged in; the kernel cuts their names to 15 characters.
var automounters = []string{"udisksd", "udisks-daemon", "gvfs-udisks2-vo", "usbmount", "udiskie", "devmon", "automount", "thunar-volman"}

// automounter names one that runs, or is empty.
func (h host) automounter() string {
	for _, pid := range names(h.proc) {
		if _, err := strconv.Atoi(pid); err != nil {
			continue
		}
		if comm := readText(filepath.Join(h.proc, pid, "comm")); slices.Contains(automounters, comm) {
			return comm
		}
	}
	return ""
}
