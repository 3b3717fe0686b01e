package probe

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// identifyBytes is the size of a block of ATA data: IDENTIFY, DCO, SMART.
const identifyBytes = 512

// readCDB makes an ATA PASS-THROUGH (16) of a command that reads one block (SAT-3, 12.2.2): protocol 4 is PIO data-in,
// and byte 2 says that the count register counts blocks that come from the device. CK_COND stays 0: some hosts give no data
// with it.
func readCDB(command, feature byte) []byte {
	cdb := []byte{opATA, 4 << 1, 0x0e, 0, feature, 0, 1, 0, 0, 0, 0, 0, 0, 0, command, 0}
	if command == ataSMART {
		cdb[10], cdb[12] = 0x4f, 0xc2
	}
	return cdb
}

// askCDB makes one of a command that moves no data, protocol 3. CK_COND has the registers come back as sense data.
func askCDB(command, feature byte, extended bool) []byte {
	cdb := []byte{opATA, 3 << 1, 0x20, 0, feature, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, command, 0}
	if extended {
		cdb[1] |= 1
	}
	if command == ataSMART {
		cdb[10], cdb[12] = 0x4f, 0xc2
	}
	return cdb
}

// ataRead returns one whole block.
func (a *asker) ataRead(name string, command, feature byte) ([]byte, error) {
	p, err := a.read(name, readCDB(command, feature), identifyBytes)
	if err == nil && len(p) != identifyBytes {
		err = fmt.Errorf("%s: the answer has only %d bytes", name, len(p))
	}
	return p, err
}

// registers are what an ATA drive leaves after a command.
type registers struct {
	status, error, device byte
	lba                   uint64
}

// ataAsk sends a command that moves no data, and returns the registers after it.
func (a *asker) ataAsk(name string, command, feature byte, extended bool) (registers, error) {
	answer, err := a.scsi(name, askCDB(command, feature, extended), nil)
	if err != nil {
		return registers{}, err
	}
	r, err := parseRegisters(answer.Sense, extended)
	if err != nil {
		// Without registers the sense tells why.
		if refused := answer.refusal(); refused != nil {
			err = refused
		}
		return registers{}, fmt.Errorf("%s: %w", name, err)
	}
	const busy, fault, request, failed = 0x80, 0x20, 0x08, 0x01
	if r.status&(busy|fault|request|failed) != 0 || r.status == 0 {
		return registers{}, fmt.Errorf("%s: the drive refuses it: status %02xh, error %02xh", name, r.status, r.error)
	}
	return r, nil
}

// parseRegisters reads the registers from sense data: of the descriptor format, the ATA Status Return descriptor (09h); of
// the fixed format, the fields that SAT-2 and later put them into, where the upper half of a 48-bit address has no place.
func parseRegisters(b []byte, extended bool) (registers, error) {
	none := errors.New("the drive's registers did not come back")
	s, ok := parseSense(b)
	if !ok {
		return registers{}, none
	}
	if b[0]&0x7f < 0x72 {
		if len(b) < 14 || s.code != 0 || s.qualifier != 0x1d {
			return registers{}, none
		}
		if extended && b[8]&0x60 != 0 {
			return registers{}, errors.New("the upper half of the drive's registers did not come back")
		}
		r := registers{status: b[4], error: b[3], device: b[5], lba: uint64(b[9]) | uint64(b[10])<<8 | uint64(b[11])<<16}
		return r.with28(extended), nil
	}
	if len(b) < 8 {
		return registers{}, none
	}
	rest := b[8:min(len(b), 8+int(b[7]))]
	for len(rest) >= 2 && len(rest) >= 2+int(rest[1]) {
		d := rest[:2+int(rest[1])]
		rest = rest[len(d):]
		if d[0] != 0x09 || len(d) < 14 {
			continue
		}
		if extended && d[2]&1 == 0 {
			return registers{}, errors.New("the upper half of the drive's registers did not come back")
		}
		r := registers{status: d[13], error: d[3], device: d[12], lba: uint64(d[7]) | uint64(d[9])<<8 | uint64(d[11])<<16}
		if extended {
			r.lba |= uint64(d[6])<<24 | uint64(d[8])<<32 | uint64(d[10])<<40
		}
		return r.with28(extended), nil
	}
	return registers{}, none
}

// with28 adds the four bits of a 28-bit address that stand in the device register.
func (r registers) with28(extended bool) registers {
	if !extended {
		r.lba |= uint64(r.device&0x0f) << 24
	}
	return r
}

// identify asks an ATA drive for its IDENTIFY data, where there may be one.
func (a *asker) identify(b sysfs.Block) (identify, error) {
	_, information := b.Attribute("device/vpd_pg89")
	switch {
	case !isDisk(b):
		return nil, errors.New("not a disk")
	case b.Text("device/vendor") == "ATA" || information:
	case b.Bus == "usb" && b.Text("removable") != "0":
		return nil, errors.New("not asked: USB sticks and card readers hang on ATA commands")
	case b.Bus != "usb" && b.Bus != "firewire":
		return nil, errors.New("not an ATA drive")
	}
	p, err := a.ataRead("IDENTIFY DEVICE", ataIdentify, 0)
	if err != nil {
		return nil, err
	}
	return parseIdentify(p)
}

// hidden compares the sizes that the drive gives at different depths.
func (a *asker) hidden(h *record.Hardware, id identify) {
	const none = "the drive does not have the feature set"
	areas := &h.HiddenAreas
	user, _ := areas.UserSectors.Get()
	size := func(feature record.Fact[bool], ask func() (uint64, error)) record.Fact[int64] {
		if has, ok := feature.Get(); !ok {
			return record.Unknown[int64](feature.Reason())
		} else if !has {
			return record.Unknown[int64](none)
		}
		last, err := ask()
		if err != nil {
			return unknown[int64](err)
		}
		if last+1 < uint64(user) {
			return record.Unknown[int64](fmt.Sprintf("the drive gives %d sectors, fewer than it offers: not believed", last+1))
		}
		return count(last + 1)
	}
	areas.NativeMaxSectors = size(areas.HPAFeature, func() (uint64, error) {
		if id.long() {
			r, err := a.ataAsk("READ NATIVE MAX ADDRESS EXT", ataReadNativeMaxExt, 0, true)
			return r.lba, err
		}
		r, err := a.ataAsk("READ NATIVE MAX ADDRESS", ataReadNativeMax, 0, false)
		return r.lba, err
	})
	areas.DCOSectors = size(areas.DCOFeature, func() (uint64, error) {
		p, err := a.ataRead("DEVICE CONFIGURATION IDENTIFY", ataDCO, dcoIdentify)
		if err != nil {
			return 0, err
		}
		return parseDCO(p)
	})
	areas.AMACNativeSectors = size(areas.AMACFeature, func() (uint64, error) {
		r, err := a.ataAsk("GET NATIVE MAX ADDRESS EXT", ataNativeMaxExt, 0, true)
		return r.lba, err
	})
}

// parseDCO returns the last address that the disk has without its overlay: words 3 to 5, of which the higher are zero.
// Word 255 is A5h and a byte that makes the sum of all zero.
func parseDCO(p []byte) (last uint64, err error) {
	if len(p) != identifyBytes || p[510] != 0xa5 || sum(p) != 0 {
		return 0, errors.New("DEVICE CONFIGURATION IDENTIFY: the answer fails its checksum")
	}
	last = binary.LittleEndian.Uint64(p[6:])
	if last == 0 || last >= 1<<48 {
		return 0, fmt.Errorf("DEVICE CONFIGURATION IDENTIFY: %d is no last address", last)
	}
	return last, nil
}

func sum(p []byte) (s byte) {
	for _, c := range p {
		s += c
	}
	return s
}
