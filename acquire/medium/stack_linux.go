package medium

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// node is a place where bytes are kept: a block device, or a regular file under a loop device.
type node struct {
	dev uint64 // of the device, or of the file system that holds the file
	ino uint64 // 0 for a device
}

func fileNode(info os.FileInfo) node {
	st, _ := info.Sys().(*syscall.Stat_t)
	return node{st.Dev, st.Ino}
}

func deviceNumber(info os.FileInfo) uint64 {
	st, _ := info.Sys().(*syscall.Stat_t)
	return st.Rdev
}

func sysBlock(dev uint64) string { return "/sys/dev/block/" + numberText(dev) }

func numberText(dev uint64) string { return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)) }

// checkDestination compares the medium with everything that is written to when dir is written to. A loop device as
// medium is its backing file too: another loop device may be attached to the same file.
func (d *disk) checkDestination(dir string) error {
	written, err := below(dir)
	if err != nil {
		return err
	}
	medium := []node{fileNode(d.seen)}
	if d.device {
		dev := deviceNumber(d.seen)
		medium = []node{{dev: dev}}
		if file, ok := backingFile(dev); ok {
			medium = append(medium, fileNode(file))
		}
	}
	for _, n := range medium {
		if written[n] {
			return ErrSameDevice
		}
	}
	return nil
}

// below collects what lies under the folder dir: its file system's devices, their disks, what these are stacked on,
// and the files behind loop devices with the file systems that hold those.
func below(dir string) (map[node]bool, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("look at the destination: %w", plain(err))
	}
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	w := walk{found: map[node]bool{}, mounts: mounts}
	w.fileSystem(fileNode(info).dev, dir)
	return w.found, nil
}

type walk struct {
	found  map[node]bool
	mounts []mount
}

// fileSystem adds the devices of the file system that holds path. Those of Btrfs and the like have a number of their
// own (major 0); the mount names one device of theirs.
func (w *walk) fileSystem(dev uint64, path string) {
	if unix.Major(dev) != 0 {
		w.device(dev)
		return
	}
	m, ok := mountOf(w.mounts, path)
	if !ok {
		return
	}
	info, err := os.Stat(m.source)
	if err != nil || info.Mode()&os.ModeDevice == 0 {
		return // no device at all: memory, or the network
	}
	w.device(deviceNumber(info))
	for _, other := range btrfsDevices(filepath.Base(sysName(deviceNumber(info)))) {
		w.device(other)
	}
}

func (w *walk) device(dev uint64) {
	if w.found[node{dev: dev}] {
		return
	}
	w.found[node{dev: dev}] = true
	dir := sysBlock(dev)
	if _, err := os.Stat(dir + "/partition"); err == nil {
		if disk, ok := readNumber(sysName(dev) + "/../dev"); ok {
			w.device(disk)
		}
	}
	slaves, _ := filepath.Glob(dir + "/slaves/*/dev") // fails only for a bad pattern
	for _, s := range slaves {
		if under, ok := readNumber(s); ok {
			w.device(under)
		}
	}
	if file, ok := backingFile(dev); ok {
		n := fileNode(file)
		w.found[n] = true
		w.fileSystem(n.dev, backingPath(dev))
	}
}

// sysName is the real folder of a device in /sys, whose parent is the disk if it is a partition.
func sysName(dev uint64) string {
	real, err := filepath.EvalSymlinks(sysBlock(dev))
	if err != nil {
		return sysBlock(dev)
	}
	return real
}

func readNumber(file string) (uint64, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	return parseNumber(strings.TrimSpace(string(b)))
}

func parseNumber(text string) (uint64, bool) {
	major, minor, ok := strings.Cut(text, ":")
	a, err1 := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	return unix.Mkdev(uint32(a), uint32(b)), ok && err1 == nil && err2 == nil
}

func backingPath(dev uint64) string {
	b, err := os.ReadFile(sysBlock(dev) + "/loop/backing_file")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

// backingFile is the file behind a loop device.
func backingFile(dev uint64) (os.FileInfo, bool) {
	path := backingPath(dev)
	if path == "" {
		return nil, false
	}
	info, err := os.Stat(path)
	return info, err == nil
}

// btrfsDevices are all devices of the Btrfs file system that the named one belongs to.
func btrfsDevices(name string) (devs []uint64) {
	members, _ := filepath.Glob("/sys/fs/btrfs/*/devices/" + name) // fails only for a bad pattern
	for _, member := range members {
		all, _ := filepath.Glob(filepath.Dir(member) + "/*/dev")
		for _, file := range all {
			if dev, ok := readNumber(file); ok {
				devs = append(devs, dev)
			}
		}
	}
	return devs
}

// mount is a line of /proc/self/mountinfo.
type mount struct {
	dev    uint64
	point  string
	kind   string // of the file system
	source string
}

func readMounts() ([]mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", plain(err))
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	var mounts []mount
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if m, ok := parseMount(lines.Text()); ok {
			mounts = append(mounts, m)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	return mounts, nil
}

// parseMount reads "36 35 98:0 /root /mount/point options... - type source superoptions" (proc_pid_mountinfo(5)).
func parseMount(line string) (mount, bool) {
	fields := strings.Fields(line)
	dash := slices.Index(fields, "-")
	if dash < 6 || len(fields) < dash+3 {
		return mount{}, false
	}
	dev, ok := parseNumber(fields[2])
	return mount{dev, unescape(fields[4]), unescape(fields[dash+1]), unescape(fields[dash+2])}, ok
}

// unescape undoes the kernel's \040 for a space and the like.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mountOf finds the mount that holds path: the longest mount point above it, of equal ones the last.
func mountOf(mounts []mount, path string) (best mount, found bool) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return mount{}, false
	}
	if real, err = filepath.Abs(real); err != nil {
		return mount{}, false
	}
	for _, m := range mounts {
		inside := real == m.point || strings.HasPrefix(real, strings.TrimSuffix(m.point, "/")+"/")
		if inside && len(m.point) >= len(best.point) {
			best, found = m, true
		}
	}
	return best, found
}

// inUse says what holds the device at path, as far as that can be seen.
func inUse(path string) error {
	look := &HintError{ErrInUse, "lsblk " + path + " shows what uses it"}
	info, err := os.Stat(path)
	mounts, err2 := readMounts()
	if err != nil || err2 != nil {
		return look
	}
	dev := deviceNumber(info)
	parts := []uint64{dev}
	files, _ := filepath.Glob(sysBlock(dev) + "/*/partition") // fails only for a bad pattern
	for _, file := range files {
		if part, ok := readNumber(filepath.Dir(file) + "/dev"); ok {
			parts = append(parts, part)
		}
	}
	for _, part := range parts {
		for _, m := range mounts {
			source, err := os.Stat(m.source)
			named := err == nil && source.Mode()&os.ModeDevice != 0 && deviceNumber(source) == part
			if m.dev == part || named {
				return &HintError{fmt.Errorf("mounted at %q: %w", m.point, ErrInUse), fmt.Sprintf("umount %q, then try again", m.point)}
			}
		}
		holders, _ := filepath.Glob(sysBlock(part) + "/holders/*")
		if len(holders) > 0 {
			return &HintError{fmt.Errorf("held by %q: %w", filepath.Base(holders[0]), ErrInUse), look.Text}
		}
	}
	return look
}

// DescribeDestination says on which device and kind of file system the folder dir lies, for the record.
func DescribeDestination(dir string) record.Destination {
	d := record.Destination{
		Device:     record.Unknown[string]("the folder could not be looked at"),
		FileSystem: record.Unknown[string]("the mount of the folder was not found in /proc/self/mountinfo"),
	}
	if info, err := os.Stat(dir); err == nil {
		d.Device = record.Known(numberText(fileNode(info).dev))
	}
	mounts, err := readMounts()
	if err != nil {
		return d
	}
	if m, ok := mountOf(mounts, dir); ok {
		d.FileSystem = record.Known(m.kind)
	}
	return d
}
