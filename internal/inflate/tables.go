package inflate

import "math/bits"

// The first level of a table is indexed by so many bits; codes that are longer have a second one behind it.
const (
	litBits  = 11
	distBits = 8
	litSize  = 1 << 12 // 2,342 suffice for 288 codes of up to 15 bits
	distSize = 1 << 10 // 402 suffice for 32
)

// entry is what a code means:
//
//	bits 0-3   the length of the code, all of it
//	bits 4-7   how many extra bits follow it, or the bits of the second level
//	bits 8-10  the kind
//	bits 16-31 a literal, what extra bits are added to, or where the second level begins
type entry uint32

const (
	kindBad = iota // no code, so that the zero entry is one
	kindLiteral
	kindBase // of a length or distance
	kindEnd
	kindTable
)

func (e entry) length() uint { return uint(e) & 15 }
func (e entry) extra() uint  { return uint(e) >> 4 & 15 }
func (e entry) kind() uint   { return uint(e) >> 8 & 7 }
func (e entry) value() uint  { return uint(e) >> 16 }

func newEntry(kind, value, extra uint) entry { return entry(value<<16 | kind<<8 | extra<<4) }

// litEntries and distEntries say what the symbols mean, without the length of their codes.
var (
	litEntries = func() (t [288]entry) {
		for i := range 256 {
			t[i] = newEntry(kindLiteral, uint(i), 0)
		}
		t[256] = newEntry(kindEnd, 0, 0)
		base := uint(3)
		for i := 257; i < 285; i++ {
			extra := uint(max(0, (i-261)/4))
			t[i] = newEntry(kindBase, base, extra)
			base += 1 << extra
		}
		t[285] = newEntry(kindBase, 258, 0)
		return t // 286 and 287 are no codes
	}()
	distEntries = func() (t [32]entry) {
		base := uint(1)
		for i := range 30 {
			extra := uint(max(0, i/2-1))
			t[i] = newEntry(kindBase, base, extra)
			base += 1 << extra
		}
		return t
	}()
	codeEntries = func() (t [19]entry) {
		for i := range t {
			t[i] = newEntry(kindLiteral, uint(i), 0)
		}
		return t
	}()
)

// build makes the table of a canonical code out of the lengths of its codes. A set of codes that is not complete is
// refused, except one code of one bit, which is how compressors write a single distance, and none at all.
func build(table []entry, rootBits uint, lengths []uint8, meaning []entry) bool {
	var count, next [16]uint
	used, space := 0, uint(0)
	for _, n := range lengths {
		count[n]++
	}
	used = len(lengths) - int(count[0])
	count[0] = 0
	for n := uint(1); n < 16; n++ {
		next[n] = (next[n-1] + count[n-1]) << 1
		space += count[n] << (15 - n)
	}
	if space > 1<<15 || space < 1<<15 && (used > 1 || used == 1 && count[1] != 1) {
		return false
	}
	clear(table)
	free := uint(1) << rootBits
	for level := range 2 { // the sizes of second levels must be known before their entries
		code := next
		for symbol, n8 := range lengths {
			n := uint(n8)
			if n == 0 {
				continue
			}
			reversed := uint(bits.Reverse16(uint16(code[n]))) >> (16 - n)
			code[n]++
			e := meaning[symbol] | entry(n)
			root := &table[reversed&(1<<rootBits-1)]
			switch {
			case n <= rootBits && level == 0:
				for i := reversed; i < 1<<rootBits; i += 1 << n {
					table[i] = e
				}
			case n > rootBits && level == 0:
				*root = newEntry(kindTable, 0, max(root.extra(), n-rootBits))
			case n > rootBits:
				if root.value() == 0 {
					*root = newEntry(kindTable, free, root.extra())
					free += 1 << root.extra()
				}
				if free > uint(len(table)) {
					return false
				}
				for i := reversed >> rootBits; i < 1<<root.extra(); i += 1 << (n - rootBits) {
					table[root.value()+i] = e
				}
			}
		}
	}
	return true
}

func (d *Decoder) fixed() bool {
	var lengths [288 + 32]uint8
	for i := range lengths {
		switch {
		case i < 144, 280 <= i && i < 288:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 5
		}
	}
	return build(d.lit[:], litBits, lengths[:288], litEntries[:]) && build(d.dist[:], distBits, lengths[288:], distEntries[:])
}

// order is in which the lengths of the codes of code lengths are given.
var order = [19]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the codes of a block.
func (d *Decoder) dynamic() bool {
	d.refill()
	if d.bits < 14 {
		return false
	}
	lits, dists, codes := int(d.take(5))+257, int(d.take(5))+1, int(d.take(4))+4
	if lits > 286 || dists > 30 {
		return false
	}
	var codeLengths [19]uint8
	for _, i := range order[:codes] {
		d.refill()
		if d.bits < 3 {
			return false
		}
		codeLengths[i] = uint8(d.take(3))
	}
	var table [1 << 7]entry
	if !build(table[:], 7, codeLengths[:], codeEntries[:]) {
		return false
	}
	var lengths [286 + 30]uint8
	if !d.lengths(lengths[:lits+dists], &table) {
		return false
	}
	return build(d.lit[:], litBits, lengths[:lits], litEntries[:]) &&
		build(d.dist[:], distBits, lengths[lits:lits+dists], distEntries[:])
}

// lengths reads the lengths of codes, which are coded themselves: 16 repeats the last one, 17 and 18 are runs of 0.
func (d *Decoder) lengths(to []uint8, table *[1 << 7]entry) bool {
	for i := 0; i < len(to); {
		d.refill()
		e := table[d.hold&(1<<7-1)]
		if e.kind() != kindLiteral || e.length()+7 > d.bits {
			return false
		}
		d.take(e.length())
		value, repeat := uint8(0), 1
		switch e.value() {
		case 16:
			if i == 0 {
				return false
			}
			value, repeat = to[i-1], 3+int(d.take(2))
		case 17:
			repeat = 3 + int(d.take(3))
		case 18:
			repeat = 11 + int(d.take(7))
		default:
			value = uint8(e.value())
		}
		if repeat > len(to)-i {
			return false
		}
		for range repeat {
			to[i] = value
			i++
		}
	}
	return true
}
