package probe

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// reply is what a drive answers to one command.
type reply struct {
	data   []byte
	answer Answer // Bytes is set from data
	status uint16 // of NVMe
	err    error
}

// drive answers from a table; what is not in it is refused as a drive does that does not know the command. Each command
// that arrives is checked against a list of its own, so that a mistake in the program's list is found.
type fakeDrive struct {
	t       *testing.T
	answers map[string]reply
	sent    []string
}

var refusal = Answer{Status: 2, Sense: []byte{0x72, 5, 0x20, 0, 0, 0, 0, 0}}

// names are the commands that may arrive: operation code and what else tells them apart.
func commandName(cdb []byte) string {
	switch cdb[0] {
	case 0x12:
		return fmt.Sprintf("inquiry/%d/%02x", cdb[1], cdb[2])
	case 0x85:
		return fmt.Sprintf("ata/%02x/%02x%02x", cdb[14], cdb[3], cdb[4])
	case 0x9e:
		return fmt.Sprintf("9e/%02x", cdb[1])
	}
	return fmt.Sprintf("%02x", cdb[0])
}

var knownHarmless = []string{"inquiry/0/00", "inquiry/1/80", "inquiry/1/83", "inquiry/1/b1", "1a", "9e/10", "ata/ec/0000", "ata/27/0000",
	"ata/f8/0000", "ata/78/0000", "ata/b1/00c2", "ata/b0/00d0", "ata/b0/00da", "nvme/06/00", "nvme/06/01", "nvme/06/02", "nvme/06/10", "nvme/02/02"}

func (d *fakeDrive) SCSI(cdb, data []byte) (Answer, error) {
	name := commandName(cdb)
	d.arrive(name)
	// SAT-3, table 131: what moves no data says so, what reads says from where and how much.
	if cdb[0] == 0x85 {
		if reads := len(data) > 0; reads != (cdb[1]>>1 == 4) || reads != (cdb[2] == 0x0e) || !reads && (cdb[1]>>1 != 3 || cdb[2] != 0x20) {
			d.t.Errorf("%s with %d bytes has the wrong protocol: % x", name, len(data), cdb)
		}
	}
	r, ok := d.answers[name]
	if !ok {
		return refusal, nil
	}
	r.answer.Bytes = copy(data, r.data)
	return r.answer, r.err
}

func (d *fakeDrive) NVMeAdmin(cmd NVMeCommand, data []byte) (uint16, error) {
	name := fmt.Sprintf("nvme/%02x/%02x", cmd.Opcode, cmd.CDW10&0xff)
	d.arrive(name)
	if cmd.Opcode == 6 && cmd.CDW10 == 0 {
		if r, ok := d.answers[fmt.Sprintf("%s/%d", name, cmd.Namespace)]; ok {
			copy(data, r.data)
			return r.status, r.err
		}
	}
	r, ok := d.answers[name]
	if !ok {
		return 0x4002, nil // do not retry, invalid field
	}
	copy(data, r.data)
	return r.status, r.err
}

func (d *fakeDrive) arrive(name string) {
	d.sent = append(d.sent, name)
	if !slices.Contains(knownHarmless, name) {
		d.t.Errorf("the command %s was sent", name)
	}
}

// words makes a block of 256 words with the checksum of IDENTIFY and of DCO.
func words(set map[int]uint16) []byte {
	b := make([]byte, 512)
	for n, w := range set {
		binary.LittleEndian.PutUint16(b[2*n:], w)
	}
	b[510], b[511] = 0xa5, 0
	b[511] = -sum(b)
	return b
}

func put64(set map[int]uint16, first int, v uint64) {
	for i := range 4 {
		set[first+i] = uint16(v >> (16 * i))
	}
}

func putText(set map[int]uint16, first, count int, s string) {
	s = fmt.Sprintf("%-*s", 2*count, s)
	for i := range count {
		set[first+i] = uint16(s[2*i])<<8 | uint16(s[2*i+1])
	}
}

const userSectors = 7814037168

// ssd is IDENTIFY of a SATA SSD with HPA and DCO and without AMAC; its words are as a common drive has them.
func ssd() map[int]uint16 {
	w := map[int]uint16{0: 0x0040, 49: 0x2f00, 60: 0xffff, 61: 0x0fff, 69: 0x4f30, 76: 0x850e, 80: 0x09fc, 82: 0x746b, 83: 0x7d01,
		84: 0x4163, 85: 0x7469, 86: 0xbc01, 87: 0x4163, 106: 0x4000, 108: 0x5002, 109: 0x538f, 110: 0x1234, 111: 0xabcd, 119: 0x401e,
		120: 0x401c, 169: 1, 217: 1, 222: 0x11ff}
	putText(w, 10, 10, "S5AB1234567")
	putText(w, 23, 4, "SVQ02B6Q")
	putText(w, 27, 20, "Example SSD 870 with a long name, 4TB")
	put64(w, 100, userSectors)
	return w
}

// dco is the answer to DEVICE CONFIGURATION IDENTIFY.
func dco(last uint64) []byte {
	w := map[int]uint16{0: 2, 7: 0x01ff}
	put64(w, 3, last)
	return words(w)
}

// descriptor is the sense data that a translation gives after a command without data: recovered error, ATA pass-through
// information available, and the ATA Status Return descriptor.
func descriptor(extended bool, status byte, lba uint64, device byte) Answer {
	d := []byte{0x72, 1, 0, 0x1d, 0, 0, 0, 14, 0x09, 12, 0, 0, 0, 0, byte(lba >> 24), byte(lba), byte(lba >> 32), byte(lba >> 8), byte(lba >> 40),
		byte(lba >> 16), device, status}
	if extended {
		d[10] = 1
	} else {
		d[14], d[16], d[18] = 0, 0, 0
	}
	return Answer{Status: 2, Sense: d}
}

// fixed is the same in the fixed format of SAT-2.
func fixed(lba uint64, device, upper byte) Answer {
	s := make([]byte, 18)
	s[0], s[2], s[7], s[13] = 0x70, 1, 10, 0x1d
	s[4], s[5], s[8], s[9], s[10], s[11] = 0x50, device, upper, byte(lba), byte(lba>>8), byte(lba>>16)
	return Answer{Status: 2, Sense: s}
}

// smartPage is SMART data with attributes by number and six raw bytes as one number.
func smartPage(attributes map[byte]uint64) []byte {
	b := make([]byte, 512)
	b[0] = 1
	i := 0
	for n, raw := range attributes {
		at := b[2+12*i:]
		at[0], at[3], at[4] = n, 100, 100
		for k := range 6 {
			at[5+k] = byte(raw >> (8 * k))
		}
		i++
	}
	b[511] = -sum(b)
	return b
}

const smartGood, smartBad = 0xc24f << 8, 0x2cf4 << 8

// ata is a healthy SATA drive with the IDENTIFY given, which hides nothing.
func ata(t *testing.T, w map[int]uint16) *fakeDrive {
	return &fakeDrive{t: t, answers: map[string]reply{
		"ata/ec/0000": {data: words(w)},
		"ata/27/0000": {answer: descriptor(true, 0x50, userSectors-1, 0x40)},
		"ata/b1/00c2": {data: dco(userSectors - 1)},
		"ata/b0/00d0": {data: smartPage(map[byte]uint64{5: 8 | 7<<16, 9: 1379 | 5<<24, 187: 3, 194: 0x2f0000001d, 197: 2})},
		"ata/b0/00da": {answer: descriptor(false, 0x50, smartGood, 0)},
		"1a":          {data: []byte{0x1f, 0, 0x10, 0, 0, 0}},
	}}
}

// block is a device as the kernel lists it, by a recorded tree of one disk.
func block(t *testing.T, folder string, files map[string]string) sysfs.Block {
	t.Helper()
	name := folder[strings.LastIndex(folder, "/")+1:]
	sys := fstest.MapFS{
		"block/" + name:       {Data: []byte("../" + folder), Mode: fs.ModeSymlink | 0o777},
		"class/block/" + name: {Data: []byte("../../" + folder), Mode: fs.ModeSymlink | 0o777},
		folder + "/dev":       {Data: []byte("8:0\n")},
		folder + "/size":      {Data: []byte(fmt.Sprintln(int64(userSectors)))},
		folder + "/diskseq":   {Data: []byte("9\n")},
		folder + "/device":    {Data: []byte("../../device"), Mode: fs.ModeSymlink | 0o777},
	}
	device := path.Join(folder, "../../device")
	if !strings.Contains(folder, "/block/") {
		device, sys[folder+"/device"].Data = path.Dir(folder), []byte("..")
	}
	for f, content := range files {
		switch rest, ok := strings.CutPrefix(f, "device/"); {
		case ok:
			sys[device+"/"+rest] = &fstest.MapFile{Data: []byte(content)}
		case strings.HasPrefix(f, "usb/"):
			sys["devices/pci0/usb2/2-1/"+f[4:]] = &fstest.MapFile{Data: []byte(content)}
		case strings.HasPrefix(f, "/"):
			sys[f[1:]] = &fstest.MapFile{Data: []byte(content)}
		default:
			sys[folder+"/"+f] = &fstest.MapFile{Data: []byte(content)}
		}
	}
	b, err := sysfs.Root{Sys: sys, Proc: fstest.MapFS{"self/mountinfo": {}}}.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sataBlock(t *testing.T) sysfs.Block {
	return block(t, "devices/pci0/ata1/host0/target0:0:0/0:0:0:0/block/sda", map[string]string{
		"removable": "0\n", "device/vendor": "ATA     \n", "device/model": "Example SSD 870 \n", "device/rev": "2B6Q\n", "device/type": "0\n",
		"device/vpd_pg80": "\x00\x80\x00\x0bS5AB1234567", "/module/libata/parameters/ignore_hpa": "0\n",
		"device/vpd_pg83": "\x00\x83\x00\x0c\x01\x03\x00\x08\x50\x02\x53\x8f\x12\x34\xab\xcd"})
}

// usbBlock is a disk or stick on USB, which usb-storage asks no pages of.
func usbBlock(t *testing.T, removable string) sysfs.Block {
	return block(t, "devices/pci0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb", map[string]string{
		"removable": removable + "\n", "device/vendor": "JMicron \n", "device/model": "Generic\x1b[31m\n", "device/rev": "0508\n", "device/type": "0\n",
		"usb/idVendor": "152d\n", "usb/idProduct": "0578\n", "usb/serial": "DD5641988\n", "usb/manufacturer": "JMicron\n", "usb/speed": "5000\n"})
}

func nvmeBlock(t *testing.T) sysfs.Block {
	return block(t, "devices/pci0/nvme/nvme0/nvme0n2", map[string]string{"removable": "0\n", "nsid": "2\n", "eui": "00 25 38 5a 71 b0 12 34\n",
		"nguid": "00000000-0000-0000-0000-000000000000\n", "device/model": "Example NVMe\n", "device/serial": "S4EL\n", "device/firmware_rev": "5M2Q\n"})
}

// valid requires of what a drive says that a record can hold it, and gives it back from its JSON.
func valid(t *testing.T, h record.Hardware) record.Hardware {
	t.Helper()
	if err := h.Validate(); err != nil {
		t.Errorf("not fit for a record: %v", err)
	}
	b, err := record.EncodeJSON(h)
	if err != nil {
		t.Fatalf("not fit for a record: %v", err)
	}
	var got record.Hardware
	if err := record.DecodeJSON(b, &got); err != nil {
		t.Fatalf("does not come back from its JSON: %v", err)
	}
	return got
}
