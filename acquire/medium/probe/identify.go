package probe

import (
	"encoding/binary"
	"errors"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// identify is the answer to IDENTIFY DEVICE (ACS-4, 7.12): 256 little-endian words.
type identify []byte

// parseIdentify refuses what is not from an ATA disk, or was damaged on the way.
func parseIdentify(p []byte) (identify, error) {
	if len(p) != identifyBytes {
		return nil, errors.New("IDENTIFY DEVICE: the answer is not one block")
	}
	id := identify(p)
	const compactFlash = 0x848a
	switch {
	case id.word(0)&0x8000 != 0 && id.word(0) != compactFlash:
		return nil, errors.New("IDENTIFY DEVICE: the answer is not from an ATA disk")
	case id.word(255)&0xff == 0xa5 && sum(p) != 0:
		return nil, errors.New("IDENTIFY DEVICE: the answer fails its checksum")
	case record.DeviceText([]byte(id.text(27, 20))) == "":
		return nil, errors.New("IDENTIFY DEVICE: the answer names no model")
	}
	return id, nil
}

func (id identify) word(n int) uint16 { return binary.LittleEndian.Uint16(id[2*n:]) }

// text is a string of so many words, each with its bytes exchanged, as the drive gives it.
func (id identify) text(first, words int) string {
	var b []byte
	for n := first; n < first+words; n++ {
		b = append(b, id[2*n+1], id[2*n])
	}
	return string(b)
}

// marked reports whether bits 15 and 14 are 01, which says that a word is in use.
func (id identify) marked(n int) bool { return id.word(n)&0xc000 == 0x4000 }

// bit is a bit of a word that says of itself whether it is in use, or another one does.
func (id identify) bit(n int, bit uint, used bool) record.Fact[bool] {
	if !used {
		return record.Unknown[bool]("IDENTIFY does not tell the feature sets")
	}
	return record.Known(id.word(n)>>bit&1 != 0)
}

// long reports whether the drive takes addresses of 48 bits.
func (id identify) long() bool { return id.marked(83) && id.word(83)>>10&1 != 0 }

// describe fills in what IDENTIFY tells; what it leaves open keeps what the kernel told.
func (id identify) describe(h *record.Hardware) {
	const blank = "the drive's field is blank"
	h.Make = record.Unknown[string](noMake)
	h.Model, h.Firmware, h.Serial = text(id.text(27, 20), blank), text(id.text(23, 4), blank), text(id.text(10, 10), blank)
	h.WWN = id.wwn()
	h.EUI64 = record.Unknown[string]("an ATA drive has a WWN in its place")
	h.Rotational = rotation(id.word(217))
	if bus, _ := h.Bus.Get(); bus == "ata" {
		h.Bus = record.Known(id.bus())
	}
	trim := id.word(169)
	h.Trim.Supported = record.Known(trim&1 != 0 && trim != 0xffff)
	additional := id.word(69)
	if additional == 0xffff {
		additional = 0
	}
	h.Trim.DRAT, h.Trim.RZAT = record.Known(additional>>14&1 != 0), record.Known(additional>>5&1 != 0)

	areas, used := &h.HiddenAreas, id.marked(83)
	areas.HPAFeature, areas.DCOFeature = id.bit(82, 10, used), id.bit(83, 11, used)
	areas.AMACFeature = id.bit(119, 8, used)
	if used && (id.word(86)>>15 == 0 || !id.marked(119)) { // the word is younger than the feature sets
		areas.AMACFeature = record.Known(false)
	}
	areas.UserSectors, areas.SectorBytes = id.sectors(), id.sectorBytes()
	if n, ok := areas.UserSectors.Get(); ok {
		if s, ok := areas.SectorBytes.Get(); ok && n > (1<<53-1)/s {
			areas.UserSectors = record.Unknown[int64]("IDENTIFY gives a size that is too large to be true")
		}
	}
}

// bus tells parallel from serial ATA by the transport's word, or by the one of serial capabilities.
func (id identify) bus() string {
	transport, capabilities := id.word(222), id.word(76)
	switch {
	case transport != 0 && transport != 0xffff && transport>>12 == 1, capabilities != 0 && capabilities != 0xffff:
		return "sata"
	case transport != 0 && transport != 0xffff && transport>>12 == 0:
		return "pata"
	}
	return "ata"
}

func (id identify) wwn() record.Fact[string] {
	supported := id.marked(84) && id.word(84)>>8&1 != 0
	enabled := id.marked(87) && id.word(87)>>8&1 != 0
	if !supported && !enabled {
		return record.Unknown[string]("the drive has none")
	}
	b := make([]byte, 8)
	for i := range 4 {
		binary.BigEndian.PutUint16(b[2*i:], id.word(108+i))
	}
	return hexBytes(b)
}

// sectors are the addressable ones: of 64 bits where word 69 says so, of 48 bits, of 28 bits.
func (id identify) sectors() record.Fact[int64] {
	n := uint64(0)
	switch {
	case id.long() && id.word(69)>>3&1 != 0 && id.word(69) != 0xffff:
		n = binary.LittleEndian.Uint64(id[2*230:])
	case id.long():
		n = binary.LittleEndian.Uint64(id[2*100:])
	case id.word(49)>>9&1 != 0:
		n = uint64(binary.LittleEndian.Uint32(id[2*60:]))
	default:
		return record.Unknown[int64]("the drive has no linear addresses")
	}
	if n == 0 {
		return record.Unknown[int64]("IDENTIFY gives a size of 0")
	}
	return count(n)
}

func (id identify) sectorBytes() record.Fact[int64] {
	if !id.marked(106) || id.word(106)>>12&1 == 0 {
		return record.Known(int64(512))
	}
	n := 2 * int64(binary.LittleEndian.Uint32(id[2*117:]))
	if n < 512 || n > 1<<24 {
		return record.Unknown[int64]("IDENTIFY gives an impossible size of sectors")
	}
	return record.Known(n)
}
