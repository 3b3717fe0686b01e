package ewf

import "encoding/binary"

// adlerSteps of eight bytes are summed in lanes of 16 bits; with one more than 23 a lane could overflow.
const (
	adlerSteps = 22
	adlerBlock = 8 * adlerSteps
	adlerMod   = 65521
	// adlerPart bytes can be summed in 64 bits before the remainder is taken.
	adlerPart = 1 << 20
	lanes16   = 0x00ff00ff00ff00ff
	lanes32   = 0x0000ffff0000ffff
)

// adler is what hash/adler32 computes, in less than half the time: every byte that is stored goes through it. The
// even and the odd bytes of eight are summed in four lanes each.
func adler(p []byte) uint32 {
	a, b := uint64(1), uint64(0)
	for len(p) > 0 {
		part := p[:min(len(p), adlerPart)]
		p = p[len(part):]
		for len(part) >= adlerBlock {
			sum, weighted := adlerSums((*[adlerBlock]byte)(part))
			b += adlerBlock*a + weighted
			a += sum
			part = part[adlerBlock:]
		}
		for _, c := range part {
			a += uint64(c)
			b += a
		}
		a, b = a%adlerMod, b%adlerMod
	}
	return uint32(b<<16 | a)
}

// adlerSums gives the sum of the bytes, and the sum of each byte times its distance from the end: 1 for the last.
func adlerSums(p *[adlerBlock]byte) (sum, weighted uint64) {
	// The sums of the even and odd bytes, and the sums of those sums before each step.
	var even, odd, evens, odds uint64
	for i := 0; i < adlerBlock; i += 8 {
		x := binary.LittleEndian.Uint64(p[i:])
		evens += even
		odds += odd
		even += x & lanes16
		odd += x >> 8 & lanes16
	}
	steps := evens&lanes32 + evens>>16&lanes32 + odds&lanes32 + odds>>16&lanes32
	weighted = 8 * (steps&0xffffffff + steps>>32)
	weighted += 8*(even&0xffff) + 7*(odd&0xffff) + 6*(even>>16&0xffff) + 5*(odd>>16&0xffff)
	weighted += 4*(even>>32&0xffff) + 3*(odd>>32&0xffff) + 2*(even>>48) + odd>>48
	both := even&lanes32 + even>>16&lanes32 + odd&lanes32 + odd>>16&lanes32
	return both&0xffffffff + both>>32, weighted
}
