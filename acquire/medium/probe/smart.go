package probe

import (
	"encoding/binary"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// smart asks an ATA drive for its SMART data and status. SMART is not switched on where it is off.
func (a *asker) smart(id identify) record.Health {
	if id.marked(83) && id.word(82)&1 == 0 {
		return record.UnknownHealth("the drive has no SMART")
	}
	if id.marked(87) && id.word(85)&1 == 0 {
		return record.UnknownHealth("SMART is switched off in the drive, and is left so")
	}
	var h record.Health
	if p, err := a.ataRead("SMART READ DATA", ataSMART, smartReadData); err != nil {
		h = record.UnknownHealth(reason(err))
	} else {
		h = parseSMART(p)
	}
	r, err := a.ataAsk("SMART RETURN STATUS", ataSMART, smartReturnStatus, false)
	switch address := r.lba >> 8 & 0xffff; {
	case err != nil:
		h.Failing = unknown[bool](err)
	case address == 0xc24f:
		h.Failing = record.Known(false)
	case address == 0x2cf4:
		h.Failing = record.Known(true)
	default:
		h.Failing = record.Unknown[bool](fmt.Sprintf("SMART RETURN STATUS: %04xh is neither answer", address))
	}
	return h
}

// parseSMART reads 30 attributes of 12 bytes from offset 2: number, two bytes of flags, value, worst, and six raw bytes, of
// which makers use as they like; those taken here are what nearly all agree on. The page is kept as it came.
func parseSMART(p []byte) record.Health {
	h := record.UnknownHealth("the drive has no such attribute")
	h.CriticalWarning = record.Unknown[int64]("not an NVMe drive")
	h.PercentageUsed = record.Unknown[int64]("not an NVMe drive")
	if len(p) != identifyBytes {
		return record.UnknownHealth("SMART READ DATA: the answer is not one block")
	}
	h.Page = record.Known(fmt.Sprintf("%x", p))
	if sum(p) != 0 {
		bad := record.UnknownHealth("SMART READ DATA: the answer fails its checksum")
		bad.Page = h.Page
		return bad
	}
	raw := map[byte][]byte{}
	for i := range 30 {
		if at := p[2+12*i:]; at[0] != 0 {
			raw[at[0]] = at[5:11]
		}
	}
	low := func(number byte, bytes int) record.Fact[int64] {
		v, ok := raw[number]
		if !ok {
			return record.Unknown[int64](fmt.Sprintf("the drive has no attribute %d", number))
		}
		var whole [8]byte
		copy(whole[:bytes], v)
		return record.Known(int64(binary.LittleEndian.Uint64(whole[:])))
	}
	h.Reallocated, h.PowerOnHours, h.MediaErrors, h.Pending = low(5, 2), low(9, 3), low(187, 6), low(197, 6)
	for _, number := range []byte{190, 194} {
		if v, ok := raw[number]; ok {
			h.Temperature = celsius(int64(int8(v[0])))
		}
	}
	return h
}

// celsius refuses what no drive that answers can have.
func celsius(t int64) record.Fact[int64] {
	if t < -60 || t > 125 {
		return record.Unknown[int64](fmt.Sprintf("the drive gives %d degrees Celsius: not believed", t))
	}
	return record.Known(t)
}
