package ewf

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// FileHeaderBytes is the length of a FileHeader.
const FileHeaderBytes = 13

const signature = "EVF\x09\x0d\x0a\xff\x00"

// FileHeader stands at the beginning of each segment file:
//
//	 0  8  "EVF" 09 0d 0a ff 00
//	 8  1  01
//	 9  2  the number of the segment, from 1
//	11  2  00 00
type FileHeader struct {
	Segment uint16
}

// Append appends the header to b.
func (h FileHeader) Append(b []byte) []byte {
	b = append(b, signature...)
	b = append(b, 1)
	b = binary.LittleEndian.AppendUint16(b, h.Segment)
	return append(b, 0, 0)
}

// ParseFileHeader reads the first FileHeaderBytes bytes of b. ErrFormat names the format of another program's image.
func ParseFileHeader(b []byte) (FileHeader, error) {
	if name := Foreign(b); name != "" {
		return FileHeader{}, fmt.Errorf("%w: it is %s", ErrFormat, name)
	}
	if len(b) < FileHeaderBytes || !bytes.HasPrefix(b, []byte(signature)) {
		return FileHeader{}, fmt.Errorf("%w: it does not begin with the signature EVF", ErrFormat)
	}
	h := FileHeader{binary.LittleEndian.Uint16(b[9:])}
	if h.Segment == 0 || b[8] != 1 || b[11] != 0 || b[12] != 0 {
		return FileHeader{}, fmt.Errorf("%w: the fields of its file header are damaged", ErrStructure)
	}
	return h, nil
}
