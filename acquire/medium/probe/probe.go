// Package probe asks a drive what it is, how it is, and whether it holds more than it offers.
//
// Start with [Path], which asks the drive behind an open device file, or with [Device] over a [Commander] of one's own;
// [Passive] tells what can be said without asking. [Health] is asked again at the end of an acquisition. The shapes of
// the answers are those of ATA (ACS-4, and ATA8-ACS for what is obsolete there) by way of SAT, of SCSI (SPC-4, SBC-3) and
// of NVMe 1.4.
//
// The promise: only commands that change nothing are sent, and they stand in one list (harmless). A hidden area is
// found, never opened. What a drive refuses is unknown, with the reason that the drive or the kernel gave, and after a
// command without an answer no other is sent. A drive is taken for hostile: each size is checked before it is used, and
// each text is made one printable line.
package probe

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Path asks the drive behind the open device file fd, which the kernel calls name ("sdb"; of a partition, the disk that it
// is part of is described). It never fails: what could not be found out is unknown. fd needs no rights but to read, and
// most drives answer to root alone.
func Path(fd int, name string) record.Hardware {
	b, err := sysfs.System().Find(name)
	if err != nil {
		return record.UnknownHardware(reason(err))
	}
	return Device(newCommander(fd), b)
}

// PathHealth is Path for Health alone, to be asked at the end of an acquisition.
func PathHealth(fd int, name string) record.Health {
	b, err := sysfs.System().Find(name)
	if err != nil {
		return record.UnknownHealth(reason(err))
	}
	return Health(newCommander(fd), b)
}

// Open opens the device file of b for reading, for [Ask]. A drive without a medium opens as well. The caller closes it.
func Open(b sysfs.Block) (*os.File, error) {
	f, err := openDevice(b.Path(), b.Number)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", b.Path(), err)
	}
	return f, nil
}

// Ask is Device for an open device file.
func Ask(f *os.File, b sysfs.Block) record.Hardware { return Device(newCommander(int(f.Fd())), b) }

// Device asks the drive by c, beginning from what the kernel knows of it.
func Device(c Commander, b sysfs.Block) record.Hardware {
	h := Passive(b)
	if why := NoDrive(b); why != "" {
		return h
	}
	a := &asker{commander: c}
	switch b.Bus {
	case "nvme":
		a.nvme(&h, b)
	default:
		a.disk(&h, b)
	}
	return h
}

// Health asks the drive by c how it is.
func Health(c Commander, b sysfs.Block) record.Health {
	if why := NoDrive(b); why != "" {
		return record.UnknownHealth(why)
	}
	a := &asker{commander: c}
	if b.Bus == "nvme" {
		return a.nvmeHealth()
	}
	id, err := a.identify(b)
	if err != nil {
		return record.UnknownHealth(reason(err))
	}
	return a.smart(id)
}

// NoDrive says why a device has no drive to ask; nothing if it has one.
func NoDrive(b sysfs.Block) string {
	switch b.Bus {
	case "loop":
		return "a loop device has no drive"
	case "device-mapper", "md", "memory", "nbd":
		return "a virtual device has no drive"
	case "virtio":
		return "a virtual disk takes no commands for drives"
	case "mmc":
		return "a card is not asked by this version"
	}
	return ""
}

// NotAsked is the reason of every fact that only the drive could tell, from Passive.
const NotAsked = "the drive was not asked"

const noMake = "an ATA drive has no field for it"

// Passive tells of a device what the kernel learned when it was attached. Nothing is sent.
func Passive(b sysfs.Block) record.Hardware {
	why := NotAsked
	if none := NoDrive(b); none != "" {
		why = none
	}
	h := record.UnknownHardware(why)
	h.Bus = record.Known(b.Bus)
	h.DiskSequence = number(b, "diskseq")
	h.Removable = flag(b, "removable", "1")
	h.HiddenAreas.KernelBytes = count(uint64(b.SizeBytes))
	h.HiddenAreas.KernelLiftsHPA = record.Unknown[bool]("the device is not attached by libata")
	h.NVMe = record.Unknown[record.NVMe]("not an NVMe drive")
	h.Trim.DLFEAT = record.Unknown[int64]("not an NVMe drive")
	h.NGUID = record.Unknown[string]("not an NVMe drive")
	h.USB = usbFacts(b)
	h.Card = record.Unknown[record.Card]("not an SD card or eMMC")
	switch b.Bus {
	case "nvme":
		passiveNVMe(&h, b)
	case "mmc":
		passiveCard(&h, b)
	case "virtio":
		h.Serial = text(b.Text("serial"), "the virtual disk has no serial")
	case "ata", "sas", "scsi", "usb", "firewire", "other":
		passiveSCSI(&h, b)
	}
	return h
}

func passiveSCSI(h *record.Hardware, b sysfs.Block) {
	h.Make = text(b.Text("device/vendor"), "the kernel has none")
	if b.Text("device/vendor") == "ATA" { // written there by the translation
		h.Make = record.Unknown[string](noMake)
	}
	h.Model = text(b.Text("device/model"), "the kernel has none")
	h.Firmware = text(b.Text("device/rev"), "the kernel has none")
	if page, ok := b.Attribute("device/vpd_pg80"); ok {
		h.Serial = serialPage(page)
	}
	if page, ok := b.Attribute("device/vpd_pg83"); ok {
		h.WWN, h.EUI64 = identityPage(page)
	}
	if page, ok := b.Attribute("device/vpd_pgb1"); ok {
		h.Rotational = rotationPage(page)
	}
	if b.Bus == "ata" {
		h.HiddenAreas.KernelLiftsHPA = flag(b, "libata/ignore_hpa", "1")
	}
	// The ATA Information page holds the IDENTIFY data as they were when the disk was attached. Of a drive that does not call
	// itself ATA it may be anything: the kernel's scsi_debug has that of some other disk there.
	if page, ok := b.Attribute("device/vpd_pg89"); ok && b.Text("device/vendor") == "ATA" && len(page) >= 60+identifyBytes {
		if id, err := parseIdentify(page[60 : 60+identifyBytes]); err == nil {
			id.describe(h)
		}
	}
}

func passiveNVMe(h *record.Hardware, b sysfs.Block) {
	const blank = "the kernel has none"
	h.Make = record.Unknown[string]("an NVMe drive has no field for it")
	h.Model = text(b.Text("device/model"), blank)
	h.Serial = text(b.Text("device/serial"), blank)
	h.Firmware = text(b.Text("device/firmware_rev"), blank)
	h.EUI64 = hexText(strings.ReplaceAll(b.Text("eui"), " ", ""), 16)
	h.NGUID = hexText(strings.ReplaceAll(b.Text("nguid"), "-", ""), 32)
	h.WWN = record.Unknown[string]("an NVMe drive has EUI-64 and NGUID in its place")
	h.Rotational = record.Unknown[bool]("an NVMe drive does not tell it")
	h.NVMe = record.Unknown[record.NVMe](NotAsked)
	h.Trim.DLFEAT = record.Unknown[int64](NotAsked)
	h.HiddenAreas = record.UnknownHardware("an NVMe drive has namespaces in its place").HiddenAreas
	h.HiddenAreas.KernelBytes = count(uint64(b.SizeBytes))
}

func passiveCard(h *record.Hardware, b sysfs.Block) {
	const blank = "the kernel has none"
	h.Make = record.Unknown[string]("a card has a number in its place")
	h.Model = text(b.Text("device/name"), blank)
	h.Serial = text(strings.TrimPrefix(b.Text("device/serial"), "0x"), blank)
	h.Firmware = text(b.Text("device/fwrev"), blank)
	h.Rotational = record.Known(false)
	h.Card = record.Known(record.Card{
		CID:          hexText(b.Text("device/cid"), 32),
		CSD:          hexText(b.Text("device/csd"), 32),
		Date:         text(b.Text("device/date"), blank),
		Manufacturer: text(strings.TrimSpace(b.Text("device/manfid")+" "+b.Text("device/oemid")), blank),
		Type:         text(b.Text("device/type"), blank),
	})
}

func usbFacts(b sysfs.Block) record.Fact[record.USB] {
	if _, ok := b.Attribute("usb/idVendor"); !ok {
		return record.Unknown[record.USB]("not attached by USB")
	}
	const blank = "the device has no such text"
	// The kernel gives megabits a second, and 1.5 of the slowest.
	speed := number(b, "usb/speed")
	if n, ok := speed.Get(); ok && n < 1<<30 {
		speed = record.Known(n * 1000)
	} else if b.Text("usb/speed") == "1.5" {
		speed = record.Known(int64(1500))
	}
	return record.Known(record.USB{
		Manufacturer: text(b.Text("usb/manufacturer"), blank), Product: text(b.Text("usb/product"), blank),
		ProductID: hexText(b.Text("usb/idProduct"), 4), Serial: text(b.Text("usb/serial"), blank), SpeedKilobits: speed,
		VendorID: hexText(b.Text("usb/idVendor"), 4),
	})
}

// reason is an error as the reason of an unknown fact.
func reason(err error) string {
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // only the outermost has a path that says nothing here
		err = e.Err
	}
	return record.DeviceText([]byte(err.Error()))
}
