// Package sysfs tells which block devices a Linux kernel has, what it knows of them and what uses them, from the files of
// /sys and /proc alone.
//
// Start with [System] and [Root.Blocks], or [Root.Find] for one device.
//
// The promise: it is passive. No device is opened and no file is read that makes the kernel send a command to a drive: what
// is given here the kernel learned when the device was attached. (One exception: of a virtual disk of the kind virtio it
// asks the hypervisor for the serial.) What a device says of itself is handed on as it is, byte
// for byte, and may be hostile; package probe makes it fit to be shown and signed.
package sysfs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// ErrNotListed says that the kernel has no block device of a name.
var ErrNotListed = errors.New("the kernel lists no such block device")

// maxAttribute bounds what is read of one file. The kernel gives a page, or a little more of binary ones.
const maxAttribute = 64 << 10

// sectorBytes is the unit of all sizes in /sys, whatever the drive's sectors are.
const sectorBytes = 512

// Root is where the kernel's files are read: its /sys and /proc, or recorded ones.
type Root struct{ Sys, Proc fs.FS }

// System is the running kernel.
func System() Root { return Root{os.DirFS("/sys"), os.DirFS("/proc")} }

// Block is a block device that is no partition.
type Block struct {
	Name       string // the kernel's, "sda"
	Number     string // major:minor
	Folder     string // below /sys, without links
	Bus        string // one of record.Buses
	SizeBytes  int64  // 0: nothing is in it
	Partitions []Partition
	Uses       []Use // of the device, its partitions and what is stacked on them
	System     bool  // the running system lies on it

	attributes map[string][]byte
}

// Partition is a part of a Block that the kernel gives as a device of its own.
type Partition struct {
	Name       string
	Number     string // major:minor
	StartBytes int64
	SizeBytes  int64
}

// Use is one thing that uses a device.
type Use struct {
	Device string // the name of the disk, the partition, or the device stacked on them
	Kind   string // UseMounted, UseSwap or UseHeld
	By     string // where it is mounted, or the device that holds it; empty for swap
}

// The kinds of Use.
const (
	UseMounted = "mounted"
	UseSwap    = "swap"
	UseHeld    = "held"
)

// attributes are the files of a device's folder that are read, all answered by the kernel from its memory.
var attributes = []string{
	"dev", "diskseq", "dm/name", "eui", "hidden", "loop/backing_file", "nguid", "nsid", "removable", "ro", "serial", "size", "wwid",
	"queue/logical_block_size", "queue/physical_block_size", "queue/rotational",
	"device/cid", "device/csd", "device/date", "device/firmware_rev", "device/fwrev", "device/hwrev", "device/inquiry", "device/manfid", "device/model",
	"device/name", "device/oemid", "device/rev", "device/serial", "device/type", "device/vendor", "device/vpd_pg80",
	"device/vpd_pg83", "device/vpd_pg89", "device/vpd_pgb1", "device/wwid",
}

// usbAttributes are read of the nearest device on the Universal Serial Bus above a block device.
var usbAttributes = []string{"idVendor", "idProduct", "manufacturer", "product", "serial", "speed"}

// Attribute returns the raw bytes of a file of the device's folder, as "device/model"; of its USB device as "usb/product";
// and "libata/ignore_hpa". The final newline is gone.
func (b *Block) Attribute(name string) ([]byte, bool) {
	v, ok := b.attributes[name]
	return v, ok
}

// Text is Attribute for text without blanks at its ends; empty where there is none.
func (b *Block) Text(name string) string {
	return strings.Trim(string(b.attributes[name]), " \x00\n")
}

// Path is where the device file usually lies.
func (b *Block) Path() string { return DevicePath(b.Name) }

// DevicePath is where the device file of a kernel name usually lies.
func DevicePath(name string) string { return "/dev/" + strings.ReplaceAll(name, "!", "/") }

// Blocks returns the block devices, sorted by name: no partitions, none that the kernel hides, no memory disks, and of loop
// devices and the like only those that something is attached to.
func (r Root) Blocks() ([]Block, error) {
	names, err := fs.ReadDir(r.Sys, "block")
	if err != nil {
		return nil, fmt.Errorf("list the block devices: %w", err)
	}
	stack, err := r.readStack()
	if err != nil {
		return nil, err
	}
	var blocks []Block
	for _, n := range names {
		b, err := r.block(n.Name(), stack)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was taken away meanwhile
		}
		if err != nil {
			return nil, err
		}
		if b.Text("hidden") == "1" || b.Bus == "memory" || b.SizeBytes == 0 && strings.HasPrefix(b.Folder, "devices/virtual/") {
			continue
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// Find returns the device of a kernel name as it stands in /dev; of a partition the disk that it is part of.
//
// Errors: ErrNotListed.
func (r Root) Find(name string) (Block, error) {
	name = strings.ReplaceAll(name, "/", "!")
	folder, err := r.resolve("class/block/" + name)
	if err != nil || !fs.ValidPath(name) || name == "." {
		return Block{}, fmt.Errorf("%q: %w", name, ErrNotListed)
	}
	if _, err := r.read(folder + "/partition"); err == nil {
		name = path.Base(path.Dir(folder))
	}
	stack, err := r.readStack()
	if err != nil {
		return Block{}, err
	}
	b, err := r.block(name, stack)
	if errors.Is(err, fs.ErrNotExist) {
		return Block{}, fmt.Errorf("%q: %w", name, ErrNotListed)
	}
	return b, err
}

func (r Root) block(name string, stack *stack) (Block, error) {
	folder, err := r.resolve("block/" + name)
	if err != nil {
		return Block{}, fmt.Errorf("look at block device %q: %w", name, err)
	}
	b := Block{Name: name, Folder: folder, Bus: bus(name, folder), attributes: map[string][]byte{}}
	for _, a := range attributes {
		file := folder + "/" + a
		if rest, ok := strings.CutPrefix(a, "device/"); ok {
			device, err := r.resolve(folder + "/device")
			if err != nil {
				continue
			}
			file = device + "/" + rest
		}
		if v, err := r.read(file); err == nil {
			b.attributes[a] = v
		}
	}
	if v, err := r.read("module/libata/parameters/ignore_hpa"); err == nil {
		b.attributes["libata/ignore_hpa"] = v
	}
	r.readUSB(&b)
	b.Number = b.Text("dev")
	if b.SizeBytes, err = sectors(b.attributes["size"]); err != nil {
		return Block{}, fmt.Errorf("size of block device %q: %w", name, err)
	}
	if b.Partitions, err = r.partitions(folder); err != nil {
		return Block{}, fmt.Errorf("partitions of block device %q: %w", name, err)
	}
	stack.look(&b)
	return b, nil
}

// readUSB looks for the nearest folder above the device that is one of the USB.
func (r Root) readUSB(b *Block) {
	for dir := path.Dir(b.Folder); len(dir) > len("devices"); dir = path.Dir(dir) {
		if _, err := r.read(dir + "/idVendor"); err != nil {
			continue
		}
		for _, a := range usbAttributes {
			if v, err := r.read(dir + "/" + a); err == nil {
				b.attributes["usb/"+a] = v
			}
		}
		return
	}
}

func (r Root) partitions(folder string) (parts []Partition, err error) {
	entries, err := fs.ReadDir(r.Sys, folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		dir := folder + "/" + e.Name()
		if !e.IsDir() {
			continue
		}
		if _, err := r.read(dir + "/partition"); err != nil {
			continue
		}
		start, err1 := r.sectors(dir + "/start")
		size, err2 := r.sectors(dir + "/size")
		number, err3 := r.read(dir + "/dev")
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		parts = append(parts, Partition{e.Name(), string(number), start, size})
	}
	slices.SortFunc(parts, func(a, b Partition) int { return cmp.Compare(a.StartBytes, b.StartBytes) })
	return parts, nil
}

// resolve follows the one link that most names in /sys are.
func (r Root) resolve(name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", fs.ErrNotExist
	}
	link, err := fs.ReadLink(r.Sys, name)
	if err == nil {
		name = path.Join(path.Dir(name), link)
	}
	if !fs.ValidPath(name) {
		return "", fs.ErrNotExist
	}
	_, err = fs.Stat(r.Sys, name)
	return name, err
}

func (r Root) read(name string) ([]byte, error) {
	f, err := r.Sys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	b, err := io.ReadAll(io.LimitReader(f, maxAttribute))
	if err != nil {
		return nil, err
	}
	// A binary page may end in any byte, and the kernel puts no newline after it.
	if n := len(b) - 1; n >= 0 && b[n] == '\n' && !strings.Contains(path.Base(name), "vpd_pg") && path.Base(name) != "inquiry" {
		b = b[:n]
	}
	return b, nil
}

func (r Root) sectors(name string) (int64, error) {
	b, err := r.read(name)
	if err != nil {
		return 0, err
	}
	return sectors(b)
}

// sectors reads a count of 512-byte units, and gives bytes.
func sectors(text []byte) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n < 0 || n > (1<<63-1)/sectorBytes {
		return 0, fmt.Errorf("%.40q is no count of sectors", text)
	}
	return n * sectorBytes, nil
}

// bus reads from the place of a device in the kernel's tree how it is attached. USB comes first: behind a bridge the tree
// looks like that of a SCSI disk.
func bus(name, folder string) string {
	if strings.HasPrefix(folder, "devices/virtual/block/") {
		for prefix, bus := range map[string]string{"loop": "loop", "dm-": "device-mapper", "md": "md", "zram": "memory", "ram": "memory", "nbd": "nbd"} {
			if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" && strings.Trim(rest, "0123456789p_d") == "" {
				return bus
			}
		}
		return "other"
	}
	parts := strings.Split(folder, "/")
	for _, kind := range []struct{ prefix, bus string }{{"usb", "usb"}, {"nvme", "nvme"}, {"mmc", "mmc"}, {"fw", "firewire"},
		{"ata", "ata"}, {"end_device-", "sas"}, {"host", "scsi"}, {"virtio", "virtio"}} {
		for _, p := range parts {
			rest, ok := strings.CutPrefix(p, kind.prefix)
			if ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
				return kind.bus
			}
		}
	}
	if strings.HasPrefix(name, "nvme") { // several paths to one namespace: devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1
		return "nvme"
	}
	return "other"
}
