// Package inflate decompresses zlib streams (RFC 1950, RFC 1951) from memory to memory, where the length of the content
// is known: the chunks of E01 images. That is half as fast again as a decompressor for streams, which must
// keep a window and take its input byte by byte.
//
// Start with [Decoder.Zlib]. The promise: true means that the whole stream was decoded, filled dst exactly, and had
// the right Adler-32. False says only that this package cannot vouch for it; ask another decompressor what is wrong. So
// a mistake here costs time, and never a byte of evidence.
package inflate

import (
	"encoding/binary"
	"hash/adler32"
)

// Decoder holds the tables of one goroutine. The zero value is ready, and is used again and again.
type Decoder struct {
	lit  [litSize]entry
	dist [distSize]entry

	src, dst []byte
	pos, out int
	hold     uint64 // bits of src before pos that are not used yet, the next one lowest
	bits     uint   // how many of them count; those above are zero or the right ones
}

// Zlib decodes the stream at the start of src into dst. What it leaves in dst when it returns false means nothing.
func (d *Decoder) Zlib(dst, src []byte) bool {
	if len(src) < 6 || src[0]&0x0f != 8 || src[0]>>4 > 7 || binary.BigEndian.Uint16(src)%31 != 0 || src[1]&0x20 != 0 {
		return false
	}
	d.src, d.dst, d.pos, d.out, d.hold, d.bits = src, dst, 2, 0, 0, 0
	defer func() { d.src, d.dst = nil, nil }()
	for last := false; !last; {
		d.refill()
		if d.bits < 3 {
			return false
		}
		last = d.take(1) == 1
		ok := false
		switch d.take(2) {
		case 0:
			ok = d.stored()
		case 1:
			ok = d.fixed() && d.block()
		case 2:
			ok = d.dynamic() && d.block()
		}
		if !ok {
			return false
		}
	}
	d.align()
	return d.out == len(dst) && d.pos+4 <= len(src) && binary.BigEndian.Uint32(src[d.pos:]) == adler32.Checksum(dst)
}

// refill makes sure that there are 56 bits or more, or all that are left.
func (d *Decoder) refill() {
	if d.pos+8 <= len(d.src) {
		d.hold |= binary.LittleEndian.Uint64(d.src[d.pos:]) << d.bits
		d.pos += int(63-d.bits) >> 3
		d.bits |= 56
		return
	}
	for d.bits <= 56 && d.pos < len(d.src) {
		d.hold |= uint64(d.src[d.pos]) << d.bits
		d.pos++
		d.bits += 8
	}
}

// take uses n bits that are there.
func (d *Decoder) take(n uint) uint {
	v := uint(d.hold & (1<<n - 1))
	d.hold >>= n
	d.bits -= n
	return v
}

// align goes back to the first byte that is not used.
func (d *Decoder) align() {
	d.pos -= int(d.bits / 8)
	d.hold, d.bits = 0, 0
}

// stored copies a block that is not compressed: its length, the complement of it, the bytes.
func (d *Decoder) stored() bool {
	d.align()
	if d.pos+4 > len(d.src) {
		return false
	}
	n := int(binary.LittleEndian.Uint16(d.src[d.pos:]))
	if n^0xffff != int(binary.LittleEndian.Uint16(d.src[d.pos+2:])) {
		return false
	}
	d.pos += 4
	if n > len(d.src)-d.pos || n > len(d.dst)-d.out {
		return false
	}
	copy(d.dst[d.out:], d.src[d.pos:d.pos+n])
	d.pos, d.out = d.pos+n, d.out+n
	return true
}

// block decodes literals and matches until the end of the block.
func (d *Decoder) block() bool {
	// In variables of the function they are in registers.
	src, dst, pos, out, hold, bits := d.src, d.dst, d.pos, d.out, d.hold, d.bits
	for {
		switch { // 48 bits are the most that a length and a distance need, with their extra bits
		case bits >= 48:
		case pos+8 <= len(src):
			hold |= binary.LittleEndian.Uint64(src[pos:]) << (bits & 63) // which spares the processor a case
			pos += int(63-bits) >> 3
			bits |= 56
		default:
			for ; bits <= 56 && pos < len(src); bits += 8 {
				hold |= uint64(src[pos]) << bits
				pos++
			}
		}
		e := d.lit[hold&(1<<litBits-1)]
		if e.kind() == kindTable {
			e = d.lit[(e.value()+uint(hold>>litBits)&(1<<e.extra()-1))&(litSize-1)]
		}
		if e.length()+e.extra() > bits {
			return false
		}
		hold >>= e.length()
		bits -= e.length()
		if e.kind() == kindLiteral {
			if out >= len(dst) {
				return false
			}
			dst[out] = byte(e.value())
			out++
			continue
		}
		if e.kind() != kindBase {
			d.pos, d.out, d.hold, d.bits = pos, out, hold, bits
			return e.kind() == kindEnd
		}
		length := int(e.value() + uint(hold)&(1<<e.extra()-1))
		hold >>= e.extra()
		bits -= e.extra()
		e = d.dist[hold&(1<<distBits-1)]
		if e.kind() == kindTable {
			e = d.dist[(e.value()+uint(hold>>distBits)&(1<<e.extra()-1))&(distSize-1)]
		}
		if e.kind() != kindBase || e.length()+e.extra() > bits {
			return false
		}
		hold >>= e.length()
		distance := int(e.value() + uint(hold)&(1<<e.extra()-1))
		hold >>= e.extra()
		bits -= e.length() + e.extra()
		if distance > out || length > len(dst)-out {
			return false
		}
		match(dst, out, distance, length)
		out += length
	}
}

// match repeats length bytes of dst from distance back.
func match(dst []byte, out, distance, length int) {
	from := out - distance
	switch {
	case distance >= 8 && len(dst)-out >= length+8:
		// Eight bytes at a time. Those beyond the length are overwritten by what follows.
		for i := 0; i < length; i += 8 {
			binary.LittleEndian.PutUint64(dst[out+i:], binary.LittleEndian.Uint64(dst[from+i:]))
		}
	case distance == 1:
		b, run := dst[from], dst[out:out+length]
		for i := range run {
			run[i] = b
		}
	default:
		for i := range length {
			dst[out+i] = dst[from+i]
		}
	}
}
