package ewf

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// SectionBytes is the length of a section's descriptor.
const SectionBytes = 76

// The types of sections.
const (
	TypeHeader2 = "header2"
	TypeHeader  = "header"
	TypeVolume  = "volume"
	TypeDisk    = "disk"
	TypeData    = "data"
	TypeSectors = "sectors"
	TypeTable   = "table"
	TypeTable2  = "table2"
	TypeError2  = "error2"
	TypeDigest  = "digest"
	TypeHash    = "hash"
	TypeNext    = "next"
	TypeDone    = "done"
)

// Section is the descriptor before each section:
//
//	 0 16  its type, filled up with 00
//	16  8  where the next descriptor begins, from the start of the file
//	24  8  the length of the section, this descriptor included
//	32 40  00 (EnCase 2 for DOS left memory here)
//	72  4  Adler-32 of the 72 bytes before
//
// Next of a "next" or "done" section is its own offset, with the size 0 (EnCase) or 76 (FTK before 2.9); in SMART
// files of libewf it is the end of the file.
type Section struct {
	Type      string
	Next      int64
	SizeBytes int64
}

// Append appends the descriptor to b. Type has 1 to 16 characters of [a-z0-9]; any other is a mistake of the caller.
func (s Section) Append(b []byte) []byte {
	if !sectionType(s.Type) || s.Next < 0 || s.SizeBytes < 0 {
		panic("ewf: a section descriptor that cannot be written")
	}
	start := len(b)
	b = append(b, s.Type...)
	b = append(b, make([]byte, 16-len(s.Type))...)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Next))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.SizeBytes))
	b = append(b, make([]byte, 40)...)
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// ParseSection reads the first SectionBytes bytes of b. It does not know where the section stands: that Next and
// SizeBytes agree is for the caller to check.
func ParseSection(b []byte) (Section, error) {
	if len(b) < SectionBytes {
		return Section{}, fmt.Errorf("%w: %d bytes where a section descriptor has %d", ErrStructure, len(b), SectionBytes)
	}
	if checksum(b[:72]) != binary.LittleEndian.Uint32(b[72:]) {
		return Section{}, fmt.Errorf("%w: wrong checksum of a section descriptor", ErrStructure)
	}
	s := Section{
		Type:      strings.TrimRight(string(b[:16]), "\x00"),
		Next:      int64(binary.LittleEndian.Uint64(b[16:])),
		SizeBytes: int64(binary.LittleEndian.Uint64(b[24:])),
	}
	if !sectionType(s.Type) || s.Next < 0 || s.SizeBytes < 0 {
		return Section{}, fmt.Errorf("%w: a section of type %q, %d bytes, next at %d", ErrStructure, s.Type, s.SizeBytes, s.Next)
	}
	return s, nil
}

func sectionType(t string) bool {
	return 1 <= len(t) && len(t) <= 16 && strings.Trim(t, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
