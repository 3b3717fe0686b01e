package ewf

import (
	"encoding/binary"
	"fmt"
)

// TableHeaderBytes is the length of a TableHeader; an Entry has 4 bytes, and so has the checksum after the entries.
const TableHeaderBytes = 24

// How many entries a table has at most: what EnCase 5, FTK 1 and the original text take, and what EnCase 6 takes.
const (
	MaxTableEntriesOld = 16375
	MaxTableEntries    = 65534
)

// MaxEntryOffset is the largest offset an Entry holds.
const MaxEntryOffset = 1<<31 - 1

// Entry says where a chunk stands: its offset from the table's base, and in the topmost bit whether it is compressed.
type Entry uint32

// NewEntry refuses an offset beyond MaxEntryOffset with ErrValue.
func NewEntry(offset int64, compressed bool) (Entry, error) {
	if offset < 0 || offset > MaxEntryOffset {
		return 0, fmt.Errorf("%w: a chunk at offset %d of its table's base", ErrValue, offset)
	}
	e := Entry(offset)
	if compressed {
		e |= 1 << 31
	}
	return e, nil
}

// Offset is from the table's base.
func (e Entry) Offset() int64 { return int64(e &^ (1 << 31)) }

// Compressed says whether the chunk is a zlib stream; if not, it is followed by its Adler-32.
func (e Entry) Compressed() bool { return e>>31 == 1 }

// TableHeader stands before the entries of a table or table2 section:
//
//	 0  4  the number of entries
//	 8  8  the base of the entries' offsets, from the start of the file; 0 before EnCase 6
//	20  4  Adler-32 of the 20 bytes before
type TableHeader struct {
	Entries    uint32
	BaseOffset int64
}

// Append appends the header to b.
func (h TableHeader) Append(b []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, h.Entries)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.BaseOffset))
	b = append(b, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// ParseTableHeader reads the first TableHeaderBytes bytes of b. That so many entries follow is for the caller to check.
func ParseTableHeader(b []byte) (TableHeader, error) {
	if len(b) < TableHeaderBytes {
		return TableHeader{}, fmt.Errorf("%w: %d bytes where a table's header has %d", ErrStructure, len(b), TableHeaderBytes)
	}
	if checksum(b[:20]) != binary.LittleEndian.Uint32(b[20:]) {
		return TableHeader{}, fmt.Errorf("%w: wrong checksum of a table's header", ErrStructure)
	}
	h := TableHeader{binary.LittleEndian.Uint32(b), int64(binary.LittleEndian.Uint64(b[8:]))}
	if h.BaseOffset < 0 {
		return TableHeader{}, fmt.Errorf("%w: a table's base offset %#x", ErrStructure, uint64(h.BaseOffset))
	}
	return h, nil
}

// AppendTable appends the content of a table or table2 section: header, entries, their Adler-32.
func AppendTable(b []byte, baseOffset int64, entries []Entry) []byte {
	b = TableHeader{uint32(len(entries)), baseOffset}.Append(b)
	start := len(b)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint32(b, uint32(e))
	}
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// TableBytes is the length of what AppendTable appends for so many entries.
func TableBytes(entries int) int64 { return TableHeaderBytes + 4*int64(entries) + 4 }

// ParseTable reads a section's content with its checksums, which must be exactly b.
func ParseTable(b []byte) (baseOffset int64, entries []Entry, err error) {
	h, err := ParseTableHeader(b)
	if err != nil {
		return 0, nil, err
	}
	if int64(len(b)) != TableHeaderBytes+4*int64(h.Entries)+4 {
		return 0, nil, fmt.Errorf("%w: a table of %d entries in %d bytes", ErrStructure, h.Entries, len(b))
	}
	end := len(b) - 4
	if checksum(b[TableHeaderBytes:end]) != binary.LittleEndian.Uint32(b[end:]) {
		return 0, nil, fmt.Errorf("%w: wrong checksum of a table's entries", ErrStructure)
	}
	entries = make([]Entry, h.Entries)
	for i := range entries {
		entries[i] = Entry(binary.LittleEndian.Uint32(b[TableHeaderBytes+4*i:]))
	}
	return h.BaseOffset, entries, nil
}
