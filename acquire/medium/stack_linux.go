package medium

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// checkDestination compares the medium with everything that is written to when dir is written to. A loop device as
// medium is its backing file too: another loop device may be attached to the same file. What cannot be found out is
// refused: the mistake would be found when the evidence is altered.
func (d *disk) checkDestination(dir string) error {
	return d.host.checkDestination(dir, d.places)
}

func (h host) checkDestination(dir string, places func() ([]node, error)) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnchecked, plain(err))
	}
	return h.compare(func(w *walk) error { return w.fileSystem(fileNode(info).dev, dir) }, places)
}

func (h host) compare(walk func(*walk) error, places func() ([]node, error)) error {
	written, err := h.below(walk)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnchecked, err)
	}
	medium, err := places()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnchecked, err)
	}
	for _, n := range medium {
		if written[n] {
			return ErrSameDevice
		}
	}
	return nil
}

// places are where the medium's own bytes lie.
func (d *disk) places() ([]node, error) {
	if !d.device {
		return []node{fileNode(d.seen)}, nil
	}
	dev := deviceNumber(d.seen)
	list := []node{{dev: dev}}
	whole, ok := readNumber(filepath.Join(d.host.disk(dev), "dev"))
	if !ok {
		return nil, fmt.Errorf("device %s is not in %s", numberText(dev), d.host.sys)
	}
	behind, _, err := d.host.backing(whole)
	if behind != nil {
		list = append(list, *behind)
	}
	return list, err
}

// below collects what lies under the place where a walk begins: a file system's devices, their disks, what these are
// stacked on, and the files behind loop devices with the file systems that hold those.
func (h host) below(begin func(*walk) error) (map[node]bool, error) {
	mounts, err := readMounts(filepath.Join(h.proc, "self/mountinfo"))
	if err != nil {
		return nil, err
	}
	w := walk{host: h, found: map[node]bool{}, mounts: mounts}
	if err := begin(&w); err != nil {
		return nil, err
	}
	return w.found, nil
}

type walk struct {
	host
	found  map[node]bool
	mounts []mount
}

// fileSystem adds the devices of the file system that holds path. Those of Btrfs and the like have a number of their
// own (major 0); the mount names one device of theirs.
func (w *walk) fileSystem(dev uint64, path string) error {
	if unix.Major(dev) != 0 {
		return w.device(dev)
	}
	m, ok := mountOf(w.mounts, path)
	if !ok {
		return fmt.Errorf("no mount that holds %q is known", path)
	}
	if info, err := os.Stat(m.upper); m.upper != "" && err == nil && fileNode(info).dev != dev {
		return w.fileSystem(fileNode(info).dev, m.upper) // of a container's overlay the folder is out of sight
	}
	number, ok := w.nodeNumber(m.source)
	if !ok {
		if strings.HasPrefix(m.source, "/dev/") {
			return fmt.Errorf("%q is on %q, which is not there", path, m.source)
		}
		return nil // no device at all: memory, or the network
	}
	if err := w.device(number); err != nil || m.kind != "btrfs" {
		return err
	}
	others, err := w.btrfsDevices(number)
	for _, other := range others {
		err = errors.Join(err, w.device(other))
	}
	return err
}

func (w *walk) device(dev uint64) error {
	if w.found[node{dev: dev}] {
		return nil
	}
	w.found[node{dev: dev}] = true
	dir, err := w.folder(dev)
	if err != nil {
		return err
	}
	if isPartition(dir) {
		whole, ok := readNumber(filepath.Join(filepath.Dir(dir), "dev"))
		if !ok {
			return fmt.Errorf("the disk of partition %s is not in %s", numberText(dev), w.sys)
		}
		return w.device(whole)
	}
	slaves, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err != nil {
		return fmt.Errorf("find what device %s is made of: %w", numberText(dev), plain(err))
	}
	for _, s := range slaves {
		under, ok := readNumber(filepath.Join(dir, "slaves", s.Name(), "dev"))
		if !ok {
			return fmt.Errorf("find %q, of which device %s is made", s.Name(), numberText(dev))
		}
		if err := w.device(under); err != nil {
			return err
		}
	}
	behind, path, err := w.backing(dev)
	if err != nil || behind == nil || w.found[*behind] {
		return err
	}
	if behind.ino == 0 {
		return w.device(behind.dev)
	}
	w.found[*behind] = true
	return w.fileSystem(behind.dev, path)
}

// btrfsDevices are all devices of the Btrfs file system that the given one belongs to.
func (h host) btrfsDevices(dev uint64) (devs []uint64, err error) {
	dir, err := h.folder(dev)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(h.sys, "fs/btrfs")
	for _, id := range names(base) {
		members := filepath.Join(base, id, "devices")
		list := names(members)
		for _, name := range list {
			if name != filepath.Base(dir) {
				continue
			}
			for _, other := range list {
				number, ok := readNumber(filepath.Join(members, other, "dev"))
				if !ok {
					return nil, fmt.Errorf("find device %q of the Btrfs file system", other)
				}
				devs = append(devs, number)
			}
			return devs, nil
		}
	}
	return nil, fmt.Errorf("device %s belongs to a Btrfs file system that is not in %s", numberText(dev), h.sys)
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
	mounts, err := readMounts("/proc/self/mountinfo")
	if err != nil {
		return d
	}
	if m, ok := mountOf(mounts, dir); ok {
		d.FileSystem = record.Known(record.DeviceText([]byte(m.kind)))
	}
	return d
}
