package ewf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// error2HeaderBytes: a number of entries, 512 bytes 00, and the Adler-32 of both.
const error2HeaderBytes = 520

// MaxErrorRanges is how many ranges an error2 section may have here, for the memory they take.
const MaxErrorRanges = 1 << 22

// ErrorRangeFits says whether a range fits into the two 32-bit fields of an error2 entry. Those beyond 2 TiB, in
// sectors of 512 bytes, do not.
func ErrorRangeFits(r Range) bool {
	return r.FirstSector >= 0 && r.FirstSector <= math.MaxUint32 && r.Sectors >= 0 && r.Sectors <= math.MaxUint32
}

// AppendError2 appends the content of an error2 section. A range that does not fit is ErrValue, and so are too many.
//
//	 0    4  the number of entries
//	 4  512  00
//	516   4  Adler-32 of the 516 bytes before
//	520 8 n  first sector (4), sectors (4)
//	         4 bytes Adler-32 of the entries
func AppendError2(b []byte, ranges []Range) ([]byte, error) {
	if len(ranges) > MaxErrorRanges {
		return nil, fmt.Errorf("%w: %d ranges of unread sectors, more than %d", ErrValue, len(ranges), MaxErrorRanges)
	}
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(ranges)))
	b = append(b, make([]byte, 512)...)
	b = binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
	start = len(b)
	for _, r := range ranges {
		if !ErrorRangeFits(r) {
			return nil, fmt.Errorf("%w: %d unread sectors from sector %d", ErrValue, r.Sectors, r.FirstSector)
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(r.FirstSector))
		b = binary.LittleEndian.AppendUint32(b, uint32(r.Sectors))
	}
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:])), nil
}

// ParseError2 reads a section's content, which must be exactly b. Order and overlap are as they stand there.
func ParseError2(b []byte) ([]Range, error) {
	n, err := parseError2Header(b, int64(len(b)))
	if err != nil {
		return nil, err
	}
	entries := b[error2HeaderBytes : len(b)-4]
	if checksum(entries) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, fmt.Errorf("%w: wrong checksum of the entries of the error2 section", ErrStructure)
	}
	ranges := make([]Range, n)
	for i := range ranges {
		ranges[i].FirstSector = int64(binary.LittleEndian.Uint32(entries[8*i:]))
		ranges[i].Sectors = int64(binary.LittleEndian.Uint32(entries[8*i+4:]))
	}
	return ranges, nil
}

// parseError2Header gives the number of entries of a section's content of size bytes that begins with b.
func parseError2Header(b []byte, size int64) (int, error) {
	if len(b) < error2HeaderBytes {
		return 0, fmt.Errorf("%w: an error2 section of %d bytes", ErrStructure, len(b))
	}
	if checksum(b[:516]) != binary.LittleEndian.Uint32(b[516:]) {
		return 0, fmt.Errorf("%w: wrong checksum of the header of the error2 section", ErrStructure)
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n > MaxErrorRanges || size != error2HeaderBytes+8*n+4 {
		return 0, fmt.Errorf("%w: %d entries in an error2 section of %d bytes", ErrStructure, n, size)
	}
	return int(n), nil
}
