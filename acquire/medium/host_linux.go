package medium

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// host is where the kernel tells about devices. Tests give trees of their own.
type host struct{ sys, proc, dev string }

func thisHost() host { return host{"/sys", "/proc", "/dev"} }

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

func numberText(dev uint64) string { return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)) }

func parseNumber(text string) (uint64, bool) {
	major, minor, ok := strings.Cut(text, ":")
	a, err1 := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	return unix.Mkdev(uint32(a), uint32(b)), ok && err1 == nil && err2 == nil
}

func readNumber(file string) (uint64, bool) { return parseNumber(readText(file)) }

// readText gives the text of a small file, "" if it cannot be read.
func readText(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// names lists a folder, in order; one that cannot be read is empty.
func names(dir string) []string {
	entries, _ := os.ReadDir(dir) // what could be read of it counts
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// folder is that of a device in /sys, whose parent is the disk if it is a partition.
func (h host) folder(dev uint64) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Join(h.sys, "dev/block", numberText(dev)))
	if err != nil {
		return "", fmt.Errorf("find device %s in %s: %w", numberText(dev), h.sys, plain(err))
	}
	return dir, nil
}

// disk is the folder in /sys of a device, or of the disk that it is a partition of; "" if it is not there.
func (h host) disk(dev uint64) string {
	dir, err := h.folder(dev)
	if err != nil {
		return ""
	}
	if isPartition(dir) {
		return filepath.Dir(dir)
	}
	return dir
}

func isPartition(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "partition"))
	return err == nil
}

// kernelName undoes what /sys does to the slash in names like "cciss/c0d0".
func kernelName(dir string) string { return strings.ReplaceAll(filepath.Base(dir), "!", "/") }

// nodeNumber is the number of the block device at a path of /dev.
func (h host) nodeNumber(path string) (uint64, bool) {
	if rest, ok := strings.CutPrefix(path, "/dev/"); ok {
		path = filepath.Join(h.dev, rest)
	}
	if !filepath.IsAbs(path) {
		return 0, false // the source of a mount may be any word
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeDevice == 0 || info.Mode()&os.ModeCharDevice != 0 {
		return 0, false
	}
	return deviceNumber(info), true
}

// parts are a device and its partitions, by number.
func (h host) parts(dev uint64) []uint64 {
	list := []uint64{dev}
	dir, err := h.folder(dev)
	if err != nil {
		return list
	}
	for _, name := range names(dir) {
		part := filepath.Join(dir, name)
		if number, ok := readNumber(filepath.Join(part, "dev")); ok && isPartition(part) {
			list = append(list, number)
		}
	}
	slices.Sort(list[1:])
	return list
}

// backing is the file or device behind a loop device, or nil. The kernel is asked itself, if it can be: the path that
// /sys gives may mean another file by now, or here.
func (h host) backing(dev uint64) (*node, string, error) {
	dir, err := h.folder(dev)
	if err != nil {
		return nil, "", err
	}
	path, err := os.ReadFile(filepath.Join(dir, "loop/backing_file"))
	if os.IsNotExist(err) {
		return nil, "", nil // no loop device, or nothing behind it
	}
	if err != nil {
		return nil, "", fmt.Errorf("find what is behind loop device %s: %w", numberText(dev), plain(err))
	}
	name := strings.TrimSuffix(string(path), "\n")
	if n, ok := h.loopStatus(dev); ok {
		return &n, name, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, "", fmt.Errorf("find %q, which is behind loop device %s: %w", name, numberText(dev), plain(err))
	}
	n := fileNode(info)
	if info.Mode()&os.ModeDevice != 0 {
		n = node{dev: deviceNumber(info)}
	}
	return &n, name, nil
}

func (h host) loopStatus(dev uint64) (node, bool) {
	f, err := h.openDevice(dev)
	if err != nil {
		return node{}, false
	}
	defer f.Close() //nolint:errcheck // opened for a question only
	status, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	if err != nil {
		return node{}, false
	}
	if status.Rdevice != 0 {
		return node{dev: status.Rdevice}, true
	}
	return node{status.Device, status.Inode}, true
}

// openDevice opens a device by its number; what may lie in its place is not touched.
func (h host) openDevice(dev uint64) (*os.File, error) {
	dir, err := h.folder(dev)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(h.dev, kernelName(dir))
	if number, ok := h.nodeNumber(path); !ok || number != dev {
		return nil, fmt.Errorf("%q is not device %s", path, numberText(dev))
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, plain(err)
	}
	if info, err := f.Stat(); err != nil || deviceNumber(info) != dev {
		f.Close() //nolint:errcheck // nothing was done with it
		return nil, fmt.Errorf("%q is not device %s any more", path, numberText(dev))
	}
	return f, nil
}
