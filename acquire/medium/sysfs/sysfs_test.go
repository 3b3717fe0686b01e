package sysfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// tree is a recorded /sys and /proc.
type tree struct{ sys, proc fstest.MapFS }

func newTree() *tree {
	t := &tree{fstest.MapFS{"block": {Mode: fs.ModeDir | 0o755}}, fstest.MapFS{}}
	t.proc["self/mountinfo"] = &fstest.MapFile{Data: []byte("26 1 0:24 / /proc rw - proc proc rw\n")}
	t.proc["swaps"] = &fstest.MapFile{Data: []byte("Filename Type Size Used Priority\n")}
	return t
}

func (t *tree) root() Root { return Root{t.sys, t.proc} }

func (t *tree) file(name, content string) { t.sys[name] = &fstest.MapFile{Data: []byte(content)} }

func (t *tree) link(name, to string) {
	t.sys[name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777}
}

// disk adds a device at folder, which ends in its name, with the two links that lead to it.
func (t *tree) disk(folder, number string, sectors int64, files map[string]string) {
	name := folder[strings.LastIndex(folder, "/")+1:]
	t.link("block/"+name, "../"+folder)
	t.link("class/block/"+name, "../../"+folder)
	t.file(folder+"/dev", number+"\n")
	t.file(folder+"/size", fmt.Sprintln(sectors))
	t.sys[folder+"/holders"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
	for f, content := range files {
		t.file(folder+"/"+f, content)
	}
}

func (t *tree) partition(disk, name, number string, start, size int64) {
	folder := disk + "/" + name
	t.link("class/block/"+name, "../../"+folder)
	t.file(folder+"/dev", number+"\n")
	t.file(folder+"/partition", "1\n")
	t.file(folder+"/start", fmt.Sprintln(start))
	t.file(folder+"/size", fmt.Sprintln(size))
	t.sys[folder+"/holders"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
}

const (
	sataFolder = "devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda"
	usbDevice  = "devices/pci0000:00/0000:00:14.0/usb2/2-1"
	usbFolder  = usbDevice + "/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb"
	nvmeFolder = "devices/pci0000:00/0000:00:1d.0/0000:01:00.0/nvme/nvme0/nvme0n1"
)

// workstation is a system on LVM on the first disk, a USB disk with a mounted partition, an NVMe drive that nothing uses.
func workstation() *tree {
	t := newTree()
	t.disk(sataFolder, "8:0", 1953525168, map[string]string{"removable": "0\n", "ro": "0\n", "diskseq": "9\n", "queue/rotational": "1\n"})
	t.link(sataFolder+"/device", "../../../0:0:0:0")
	scsi := strings.TrimSuffix(sataFolder, "/block/sda")
	t.file(scsi+"/model", "WDC WD10EZEX-08W\n")
	t.file(scsi+"/vendor", "ATA     \n")
	t.file(scsi+"/vpd_pg80", "\x00\x80\x00\x05SER1\n")
	t.file("module/libata/parameters/ignore_hpa", "0\n")
	t.partition(sataFolder, "sda2", "8:2", 1050624, 1000000)
	t.partition(sataFolder, "sda1", "8:1", 2048, 1048576)
	t.disk("devices/virtual/block/dm-0", "253:0", 900000, map[string]string{"dm/name": "vg-root\n"})
	t.disk("devices/virtual/block/dm-1", "253:1", 90000, map[string]string{"dm/name": "vg-swap\n"})
	for _, d := range []string{"dm-0", "dm-1"} {
		t.link(sataFolder+"/sda2/holders/"+d, "../../../../../../../../../../../virtual/block/"+d)
	}
	t.disk(usbFolder, "8:16", 4000, map[string]string{"removable": "0\n"})
	t.link(usbFolder+"/device", "../../../6:0:0:0")
	t.file(strings.TrimSuffix(usbFolder, "/block/sdb")+"/model", "Bridge\n")
	for f, v := range map[string]string{"idVendor": "152d", "idProduct": "0578", "serial": "BRIDGE\x1b1", "speed": "5000"} {
		t.file(usbDevice+"/"+f, v+"\n")
	}
	t.partition(usbFolder, "sdb1", "8:17", 63, 900)
	t.disk(nvmeFolder, "259:0", 8000, map[string]string{"nsid": "1\n"})
	t.disk("devices/virtual/block/loop0", "7:0", 0, nil)
	t.disk("devices/virtual/block/loop1", "7:1", 16, map[string]string{"loop/backing_file": "/a file\n"})
	t.disk("devices/virtual/block/ram0", "1:0", 16, nil)
	t.disk("devices/virtual/nvme-subsystem/nvme-subsys0/nvme0c0n1", "259:9", 8000, map[string]string{"hidden": "1\n"})
	t.proc["self/mountinfo"].Data = []byte("26 1 253:0 / / rw,relatime - ext4 /dev/mapper/vg-root rw\n" +
		"27 26 8:1 / /boot rw - ext2 /dev/sda1 rw\n" +
		"28 26 8:17 / /media/a\\040b rw shared:3 - vfat /dev/sdb1 rw\n" +
		"garbage\n29 26 0:24 / /proc rw - proc proc rw\n")
	t.proc["swaps"].Data = []byte("Filename Type Size Used Priority\n/dev/mapper/vg-swap partition 45000 0 -2\n/swap\\040file file 1 0 -3\n")
	return t
}

func blockNames(blocks []Block) (names []string) {
	for _, b := range blocks {
		names = append(names, b.Name)
	}
	return names
}

func TestBlocks(t *testing.T) {
	blocks, err := workstation().root().Blocks()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := blockNames(blocks), []string{"dm-0", "dm-1", "loop1", "nvme0n1", "sda", "sdb"}; !slices.Equal(got, want) {
		t.Fatalf("got the devices %v, want %v", got, want)
	}
	sda := blocks[4]
	if sda.Bus != "ata" || sda.Number != "8:0" || sda.SizeBytes != 1953525168*512 || !sda.System || sda.Path() != "/dev/sda" {
		t.Errorf("sda: %+v", sda)
	}
	if want := []Partition{{"sda1", "8:1", 2048 * 512, 1048576 * 512}, {"sda2", "8:2", 1050624 * 512, 1000000 * 512}}; !reflect.DeepEqual(sda.Partitions, want) {
		t.Errorf("sda has the partitions %v, want %v", sda.Partitions, want)
	}
	if want := []Use{{"sda1", UseMounted, "/boot"}, {"sda2", UseHeld, "dm-0"}, {"dm-0", UseMounted, "/"}, {"sda2", UseHeld, "dm-1"},
		{"dm-1", UseSwap, ""}}; !reflect.DeepEqual(sda.Uses, want) {
		t.Errorf("sda has the uses %v, want %v", sda.Uses, want)
	}
	for name, want := range map[string]string{"device/model": "WDC WD10EZEX-08W", "device/vendor": "ATA", "libata/ignore_hpa": "0", "diskseq": "9", "device/cid": ""} {
		if got := sda.Text(name); got != want {
			t.Errorf("sda: %s is %q, want %q", name, got, want)
		}
	}
	if page, ok := sda.Attribute("device/vpd_pg80"); !ok || string(page) != "\x00\x80\x00\x05SER1\n" {
		t.Errorf("the binary page lost a byte: %q", page)
	}
	sdb := blocks[5]
	if sdb.Bus != "usb" || sdb.System || sdb.Text("usb/idVendor") != "152d" || sdb.Text("usb/serial") != "BRIDGE\x1b1" || sdb.Text("device/model") != "Bridge" {
		t.Errorf("sdb: %+v", sdb)
	}
	if want := []Use{{"sdb1", UseMounted, "/media/a b"}}; !reflect.DeepEqual(sdb.Uses, want) {
		t.Errorf("sdb has the uses %v, want %v", sdb.Uses, want)
	}
	if n := blocks[3]; n.Bus != "nvme" || len(n.Uses) != 0 || n.System || n.Text("nsid") != "1" {
		t.Errorf("nvme0n1: %+v", n)
	}
	if l := blocks[2]; l.Bus != "loop" || l.Text("loop/backing_file") != "/a file" {
		t.Errorf("loop1: %+v", l)
	}
}

func TestFind(t *testing.T) {
	root := workstation().root()
	for name, want := range map[string]string{"sda": "sda", "sda2": "sda", "nvme0n1": "nvme0n1", "dm-1": "dm-1", "ram0": "ram0"} {
		b, err := root.Find(name)
		if err != nil || b.Name != want {
			t.Errorf("Find(%q) = %q, %v; want %q", name, b.Name, err, want)
		}
	}
	for _, name := range []string{"sdc", "", ".", "..", "../block/sda", "sda/holders", "/dev/sda"} {
		if b, err := root.Find(name); !errors.Is(err, ErrNotListed) {
			t.Errorf("Find(%q) = %q, %v; want ErrNotListed", name, b.Name, err)
		}
	}
}

// A file system on several devices, and one that the mount names by another device than its number.
func TestBtrfs(t *testing.T) {
	tree := workstation()
	tree.link("fs/btrfs/1234-5678/devices/sdb1", "../x")
	tree.link("fs/btrfs/1234-5678/devices/nvme0n1", "../y")
	tree.proc["self/mountinfo"].Data = []byte("28 26 0:55 /sub /data rw - btrfs /dev/sdb1 rw\n")
	for _, name := range []string{"sdb", "nvme0n1"} {
		b, err := tree.root().Find(name)
		if err != nil || len(b.Uses) != 1 || b.Uses[0].By != "/data" {
			t.Errorf("%s: uses %v, %v; want one, mounted at /data", name, b.Uses, err)
		}
	}
}

// Devices that hold each other in a circle, as a hostile or broken tree could say, end.
func TestCircle(t *testing.T) {
	tree := newTree()
	for i, pair := range [][2]string{{"dm-0", "dm-1"}, {"dm-1", "dm-0"}} {
		tree.disk("devices/virtual/block/"+pair[0], fmt.Sprint("253:", i), 8, nil)
		tree.link("devices/virtual/block/"+pair[0]+"/holders/"+pair[1], "../../"+pair[1])
	}
	b, err := tree.root().Find("dm-0")
	if err != nil || len(b.Uses) != 2 {
		t.Errorf("uses %v, %v; want two", b.Uses, err)
	}
}

func TestBroken(t *testing.T) {
	for name, harm := range map[string]func(*tree){
		"size":            func(t *tree) { t.file(sataFolder+"/size", "-1\n") },
		"size too large":  func(t *tree) { t.file(sataFolder+"/size", "9223372036854775807\n") },
		"size of nothing": func(t *tree) { t.file(sataFolder+"/size", "") },
		"partition":       func(t *tree) { t.file(sataFolder+"/sda1/start", "x") },
		"no mounts":       func(t *tree) { delete(t.proc, "self/mountinfo") },
	} {
		tree := workstation()
		harm(tree)
		if blocks, err := tree.root().Blocks(); err == nil {
			t.Errorf("%s: got the devices %v, want an error", name, blockNames(blocks))
		}
	}
	tree := workstation()
	delete(tree.proc, "swaps")
	if _, err := tree.root().Blocks(); err != nil {
		t.Errorf("without a file of swap areas: %v", err)
	}
}

func TestBus(t *testing.T) {
	for folder, want := range map[string]string{
		sataFolder: "ata", usbFolder: "usb", nvmeFolder: "nvme",
		"devices/pci0000:00/0000:00:02.0/virtio1/block/vda":                                                     "virtio",
		"devices/pci0000:00/0000:00:02.0/virtio2/host3/target3:0:0/3:0:0:0/block/sdc":                           "scsi",
		"devices/pci0000:00/0000:03:00.0/host1/port-1:0/end_device-1:0/target1:0:0/1:0:0:0/block/sdd":           "sas",
		"devices/platform/soc/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0":                               "mmc",
		"devices/pci0000:00/0000:05:00.0/fw1/fw1.0/host9/target9:0:0/9:0:0:0/block/sde":                         "firewire",
		"devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1":                                                   "nvme",
		"devices/virtual/block/dm-3":                                                                            "device-mapper",
		"devices/virtual/block/md127":                                                                           "md",
		"devices/virtual/block/md_d0":                                                                           "md",
		"devices/virtual/block/zram0":                                                                           "memory",
		"devices/virtual/block/nbd5":                                                                            "nbd",
		"devices/virtual/block/drbd0":                                                                           "other",
		"devices/pseudo_0/adapter0/host2/target2:0:0/2:0:0:0/block/sdf":                                         "scsi",
		"devices/pci0000:00/0000:00:14.0/usb1/1-3/1-3:1.0/host7/target7:0:0/7:0:0:0/block/sdg":                  "usb",
		"devices/vio/2000/host0/target0:0:1/0:0:1:0/block/sdh":                                                  "scsi",
		"devices/pci0000:00/0000:00:1e.0/0000:06:00.0/ssb0:0/mmc_host/mmc1/mmc1:0001/block/mmcblk1":             "mmc",
		"devices/pci0000:00/0000:00:10.0/xenbus/vbd-51712/block/xvda":                                           "other",
		"devices/pci0000:20/0000:20:01.2/0000:2b:00.0/ata11/host10/target10:0:0/10:0:0:0/block/sdi":             "ata",
		"devices/pci0000:00/0000:00:14.0/usb4/4-2/4-2:1.0/host11/target11:0:0/11:0:0:0/block/sdj":               "usb",
		"devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A03:00/device:07/VMBUS:01/vmbus_0/host0/target0:0:0/0:0:0:0/b/sdk": "scsi",
	} {
		got := bus(folder[strings.LastIndex(folder, "/")+1:], folder)
		if got != want || !slices.Contains(record.Buses, got) {
			t.Errorf("bus of %q is %q, want %q", folder, got, want)
		}
	}
}

// The running kernel is read without an error, and the mount of "/" is found where a block device holds it.
func TestSystem(t *testing.T) {
	if _, err := os.Stat("/sys/block"); err != nil {
		t.Skip("this system has no /sys/block")
	}
	blocks, err := System().Blocks()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if b.Number == "" || !slices.Contains(record.Buses, b.Bus) {
			t.Errorf("%+v", b)
		}
		if again, err := System().Find(b.Name); err == nil && again.Number != b.Number {
			t.Errorf("%s has the number %q, and found by name %q", b.Name, b.Number, again.Number)
		}
	}
}

// FuzzMount: a line never becomes a mount with an empty number or point, and what was escaped comes back.
func FuzzMount(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n", "/a b")
	f.Add("36 35 98:0 / /a\\040b rw - - - - - -", "\\040")
	f.Add("- - - - - - - - -", "")
	f.Fuzz(func(t *testing.T, line, point string) {
		if m, ok := ParseMount(line); ok && (m.Number == "" || m.Point == "") {
			t.Errorf("ParseMount(%q) = %+v", line, m)
		}
		escaped := ""
		for _, c := range []byte(point) {
			escaped += fmt.Sprintf("\\%03o", c)
		}
		if got := Unescape(escaped); got != point {
			t.Errorf("Unescape(%q) = %q, want %q", escaped, got, point)
		}
	})
}
