package ewf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// outcome opens an image, reads it whole and chunk by chunk, and says in a word what came of it: the error of Open, or
// "sound" or "noted" (a Note says that something is damaged) and the chunks that are damaged. Whatever was read must
// be right.
func outcome(t *testing.T, f *forged, names ...string) string {
	t.Helper()
	r, err := Open(f.fs(), names)
	if err != nil {
		if r != nil {
			t.Errorf("a Reader with the error %v", err)
		}
		for name, class := range map[string]error{"format": ErrFormat, "segments": ErrSegments, "structure": ErrStructure} {
			if errors.Is(err, class) {
				return name
			}
		}
		return err.Error()
	}
	defer r.Close()
	words := []string{"sound"}
	for _, n := range r.Notes() {
		if n.Damage {
			words[0] = "noted"
		}
	}
	listed := map[int64]bool{}
	if err := r.Check(t.Context(), func(d *DamageError) bool { listed[d.Chunk] = true; return true }); err != nil {
		t.Errorf("Check: %v", err)
	}
	for chunk := int64(0); chunk < r.chunks(); chunk++ {
		if damaged := readChunk(t, r, f.data, chunk); damaged != listed[chunk] {
			t.Errorf("chunk %d: damaged for ReadAt %t, for Check %t", chunk, damaged, listed[chunk])
		}
		if listed[chunk] {
			words = append(words, fmt.Sprint(chunk))
		}
	}
	return strings.Join(words, " ")
}

// readChunk reads a chunk whole, and a byte in its middle through the cache.
func readChunk(t *testing.T, r *Reader, data []byte, chunk int64) (damaged bool) {
	t.Helper()
	off := chunk * r.ChunkBytes()
	want := data[off:min(int64(len(data)), off+r.ChunkBytes())]
	for _, p := range [][]byte{bytes.Repeat([]byte{0xee}, len(want)), {0xee}} {
		start := int64(len(want)/2) % int64(len(want)-len(p)+1)
		n, err := r.ReadAt(p, off+start)
		d, isDamage := errors.AsType[*DamageError](err)
		switch {
		case err == nil && n == len(p) && bytes.Equal(p, want[start:][:len(p)]):
		case isDamage && n == 0 && bytes.Equal(p, make([]byte, len(p))) && d.Chunk == chunk && d.FirstSector == chunk*8 && d.Reason != "" &&
			d.Sectors == int64(len(want)/forgedSector) && strings.HasPrefix(d.Segment, "a.E0") && d.Offset > 0:
			damaged = true
		default:
			t.Errorf("chunk %d: ReadAt = %d, %v (%+v); right bytes %t", chunk, n, err, d, bytes.Equal(p, want[start:][:len(p)]))
		}
	}
	return damaged
}

// faults patch a good image, each in one place. The outcome is exact.
var faults = []struct {
	name  string
	patch func(f *forged)
	want  string
}{
	// File headers.
	{"signature", func(f *forged) { f.one[0] = 'X' }, "format"},
	{"logical evidence", func(f *forged) { f.one[0] = 'L' }, "format"},
	{"Ex01", func(f *forged) { copy(f.one, "EVF2\x0d\x0a\x81\x00") }, "format"},
	{"encrypted", func(f *forged) { copy(f.one, "ADCRYPT\x00") }, "format"},
	{"empty file", func(f *forged) { f.one = nil }, "format"},
	{"second is empty", func(f *forged) { f.two = nil }, "format"},
	{"header's fields", func(f *forged) { f.one[8] = 2 }, "structure"},
	{"segment 0", func(f *forged) { f.one[9] = 0 }, "structure"},
	{"segment 3 for 2", func(f *forged) { f.two[9] = 3 }, "segments"},
	{"the first twice", func(f *forged) { f.two = bytes.Clone(f.one) }, "segments"},
	{"order", func(f *forged) { f.one, f.two = f.two, f.one }, "segments"},
	{"only a file header", func(f *forged) { f.one = f.one[:13] }, "structure"},

	// Descriptors and their chain.
	{"descriptor", func(f *forged) { off, _, _ := at(f.one, TypeSectors, 0); f.one[off+16]++ }, "structure"},
	{"type", func(f *forged) { off, _, _ := at(f.one, TypeSectors, 0); f.one[off] = 'S' }, "structure"},
	{"dual image: next", func(f *forged) {
		off, _, _ := at(f.one, TypeSectors, 1)
		describe(f.one, off, func(s *Section) { s.Next += 76 })
	}, "structure"},
	{"dual image: size", func(f *forged) {
		off, _, _ := at(f.one, TypeSectors, 1)
		describe(f.one, off, func(s *Section) { s.SizeBytes -= 76 })
	}, "structure"},
	{"loop", func(f *forged) {
		off, _, _ := at(f.one, TypeSectors, 1)
		describe(f.one, off, func(s *Section) { s.Next, s.SizeBytes = int64(off), 0 })
	}, "structure"},
	{"loop backwards", func(f *forged) {
		off, _, _ := at(f.one, TypeSectors, 1)
		describe(f.one, off, func(s *Section) { s.Next, s.SizeBytes = 13, 0 })
	}, "structure"},
	{"overlap", func(f *forged) {
		off, _, _ := at(f.one, TypeSectors, 1)
		describe(f.one, off, func(s *Section) { s.Next, s.SizeBytes = int64(off)+40, 40 })
	}, "structure"},
	{"past the end", func(f *forged) {
		off, _, _ := at(f.one, TypeSectors, 1)
		describe(f.one, off, func(s *Section) { s.Next, s.SizeBytes = 1<<40, 1<<40-int64(off) })
	}, "structure"},
	{"no end", func(f *forged) { f.two = f.two[:len(f.two)-SectionBytes] }, "structure"},
	{"cut off", func(f *forged) { f.two = f.two[:len(f.two)*2/3] }, "structure"},
	{"done points back", func(f *forged) {
		off, _, _ := at(f.two, TypeDone, 0)
		describe(f.two, off, func(s *Section) { s.Next = 13 })
	}, "structure"},
	{"done where next is due", func(f *forged) {
		off, _, _ := at(f.one, TypeNext, 0)
		describe(f.one, off, func(s *Section) { s.Type = TypeDone })
	}, "segments"},
	{"next where done is due", func(f *forged) {
		off, _, _ := at(f.two, TypeDone, 0)
		describe(f.two, off, func(s *Section) { s.Type = TypeNext })
	}, "segments"},
	{"incomplete", func(f *forged) { f.two = rename(f.two, TypeHash, "incomplete") }, "structure"},
	{"ltree", func(f *forged) { f.two = rename(f.two, TypeHash, "ltree") }, "format"},
	{"unknown type", func(f *forged) { f.two = rename(f.two, TypeHash, "xhash") }, "sound"},
	{"bytes behind the end", func(f *forged) { f.two = append(f.two, 1, 2, 3) }, "sound"},

	// Volume and data.
	{"volume's checksum", func(f *forged) { content(f.one, TypeVolume, 0)[100]++ }, "structure"},
	{"no volume", func(f *forged) { f.one = rename(f.one, TypeVolume, "xvolume") }, "structure"},
	{"volume twice", func(f *forged) { f.two = rename(f.two, TypeData, TypeVolume) }, "structure"},
	{"one chunk more", func(f *forged) { patchVolumes(f, func(v *Volume) { v.Chunks++ }) }, "structure"},
	{"eight sectors more", func(f *forged) { patchVolumes(f, func(v *Volume) { v.Chunks++; v.Sectors += 8 }) }, "structure"},
	{"eight sectors less", func(f *forged) { patchVolumes(f, func(v *Volume) { v.Chunks--; v.Sectors -= 8 }) }, "structure"},
	{"no sectors", func(f *forged) { patchVolumes(f, func(v *Volume) { v.Chunks, v.Sectors = 0, 0 }) }, "structure"},
	{"sectors of 0 bytes", func(f *forged) { patchVolumes(f, func(v *Volume) { v.BytesPerSector = 0 }) }, "structure"},
	{"sectors of 4 GiB", func(f *forged) { patchVolumes(f, func(v *Volume) { v.BytesPerSector = 1<<32 - 1 }) }, "structure"},
	{"chunks of 0 sectors", func(f *forged) { patchVolumes(f, func(v *Volume) { v.SectorsPerChunk = 0 }) }, "structure"},
	{"2^64-1 sectors", func(f *forged) { patchVolumes(f, func(v *Volume) { v.Sectors = 1<<64 - 1 }) }, "structure"},
	{"media type of L01", func(f *forged) { patchVolumes(f, func(v *Volume) { v.MediaType = MediaLogical }) }, "format"},
	{"one sector less", func(f *forged) {
		patchVolumes(f, func(v *Volume) { v.Sectors-- })
		f.data = f.data[:len(f.data)-forgedSector]
	}, "sound 20"},
	{"data's checksum", func(f *forged) { content(f.two, TypeData, 0)[100]++ }, "noted"},
	{"data's checksum is 0", func(f *forged) { copy(content(f.two, TypeData, 0)[1048:], make([]byte, 4)) }, "sound"},
	{"another set", func(f *forged) { patchData(f, func(v *Volume) { v.SetID[0]++ }) }, "segments"},
	{"another medium", func(f *forged) { patchData(f, func(v *Volume) { v.Sectors-- }) }, "segments"},
	{"other flags in data", func(f *forged) { patchData(f, func(v *Volume) { v.Flags |= FlagPhysical }) }, "sound"},

	// Tables.
	{"table's entry", func(f *forged) { content(f.one, TypeTable, 0)[30]++ }, "noted"},
	{"table2's entry", func(f *forged) { content(f.one, TypeTable2, 0)[30]++ }, "noted"},
	{"table's header", func(f *forged) { content(f.one, TypeTable, 1)[0]++ }, "noted"},
	{"table2's header", func(f *forged) { content(f.two, TypeTable2, 0)[0]++ }, "noted"},
	{"both tables' entries", func(f *forged) {
		content(f.one, TypeTable, 1)[30]++
		content(f.one, TypeTable2, 1)[34]++
	}, "noted 6 7 8 9 10"},
	{"both tables' headers", func(f *forged) {
		content(f.one, TypeTable, 1)[0]++
		content(f.one, TypeTable2, 1)[0]++
	}, "structure"},
	{"table's header, table2's entries", func(f *forged) {
		content(f.one, TypeTable, 0)[0]++
		content(f.one, TypeTable2, 0)[24]++
	}, "noted 0 1 2 3 4 5"},
	{"table and table2 differ", func(f *forged) {
		retable(content(f.one, TypeTable, 0), func(_ *int64, e []Entry) { e[0], e[1] = e[1], e[0] })
	}, "structure"},
	{"bases differ", func(f *forged) {
		retable(content(f.one, TypeTable2, 0), func(base *int64, _ []Entry) { *base++ })
	}, "structure"},
	{"table2 without table", func(f *forged) { f.one = rename(f.one, TypeTable, "xtable") }, "structure"},
	{"no table2", func(f *forged) { f.one = rename(f.one, TypeTable2, "xtable2") }, "sound"},
	{"no table2, and table damaged", func(f *forged) {
		f.one = rename(f.one, TypeTable2, "xtable2")
		content(f.one, TypeTable, 0)[30]++
	}, "noted 0 1 2 3 4 5"},
	{"no tables", func(f *forged) { f.one = rename(rename(f.one, TypeTable, "xtable"), TypeTable2, "xtable2") }, "structure"},
	{"2^32-1 entries", func(f *forged) { manyEntries(f, 1<<32-1) }, "structure"},
	{"one entry less", func(f *forged) { manyEntries(f, 5) }, "structure"},
	{"base past the file", func(f *forged) { patchTables(f, func(base *int64, _ []Entry) { *base = 1 << 62 }) }, "structure"},
	{"entries that swap", func(f *forged) {
		patchTables(f, func(_ *int64, e []Entry) { e[2], e[3] = e[3], e[2] })
	}, "noted 2 3 4 5"},
	{"entry past the section", func(f *forged) {
		patchTables(f, func(_ *int64, e []Entry) { e[5] = Entry(MaxEntryOffset) })
	}, "noted 5"},
	{"entry in the file header", func(f *forged) {
		patchTables(f, func(base *int64, e []Entry) {
			for i := range e {
				e[i] += Entry(*base)
			}
			*base, e[0] = 0, 4
		})
	}, "noted 0 1 2 3 4 5"},
	{"two entries on one chunk", func(f *forged) { patchTables(f, func(_ *int64, e []Entry) { e[3] = e[2] }) }, "noted 2 3 4 5"},
	{"compressed taken for raw", func(f *forged) { patchTables(f, func(_ *int64, e []Entry) { e[1] &^= 1 << 31 }) }, "sound 1"},
	{"raw taken for compressed", func(f *forged) { patchTables(f, func(_ *int64, e []Entry) { e[2] |= 1 << 31 }) }, "sound 2"},
	{"all entries point at the first", func(f *forged) {
		patchTables(f, func(_ *int64, e []Entry) {
			for i := range e {
				e[i] = e[0]
			}
		})
	}, "noted 0 1 2 3 4 5"},

	// Chunks.
	{"raw chunk's byte", func(f *forged) { chunkAt(f, 2)[77]++ }, "sound 2"},
	{"raw chunk's checksum", func(f *forged) { chunkAt(f, 2)[forgedChunk]++ }, "sound 2"},
	{"zlib's header", func(f *forged) { chunkAt(f, 3)[0]++ }, "sound 3"},
	{"deflate", func(f *forged) { chunkAt(f, 3)[2] = 0xff }, "sound 3"},
	{"zlib's checksum", func(f *forged) { c := chunkAt(f, 3); c[len(c)-1]++ }, "sound 3"},
	{"preset dictionary", func(f *forged) { copy(chunkAt(f, 3), "\x78\x20") }, "sound 3"},
	{"decompresses to less", func(f *forged) { replace(f, 3, make([]byte, forgedChunk-1)) }, "sound 3"},
	{"decompresses to nothing", func(f *forged) { replace(f, 3, nil) }, "sound 3"},
	{"decompresses to more", func(f *forged) { replace(f, 3, make([]byte, forgedChunk+1)) }, "sound 3"},
	{"decompresses to four times as much", func(f *forged) { replace(f, 3, make([]byte, 4*forgedChunk)) }, "sound 3"},

	// What is said about the medium.
	{"header2", func(f *forged) { content(f.one, TypeHeader2, 0)[10]++ }, "noted"},
	{"second header2", func(f *forged) { content(f.one, TypeHeader2, 1)[10]++ }, "noted"},
	{"header", func(f *forged) { content(f.one, TypeHeader, 0)[10]++ }, "noted"},
	{"header2 says something else", func(f *forged) { other(f, TypeHeader2) }, "noted"},
	{"header says something else", func(f *forged) { other(f, TypeHeader) }, "noted"},
	{"hash's checksum", func(f *forged) { content(f.two, TypeHash, 0)[0]++ }, "noted"},
	{"digest's checksum", func(f *forged) { content(f.two, TypeDigest, 0)[0]++ }, "noted"},
	{"hash and digest differ", func(f *forged) { c := content(f.two, TypeHash, 0); c[0]++; seal(c) }, "structure"},
	{"hash of another size", func(f *forged) { f.two = rename(f.two, TypeDigest, TypeHash) }, "noted"},
	{"error2's header", func(f *forged) { content(f.two, TypeError2, 0)[0]++ }, "noted"},
	{"error2's entries", func(f *forged) { content(f.two, TypeError2, 0)[520]++ }, "noted"},
	{"error2's count", func(f *forged) {
		c := content(f.two, TypeError2, 0)
		binary.LittleEndian.PutUint32(c, 1<<32-1)
		seal(c[:520])
	}, "noted"},
	{"error2 past the medium", func(f *forged) {
		c := content(f.two, TypeError2, 0)
		binary.LittleEndian.PutUint32(c[520:], forgedSectors-1)
		seal(c[520:])
	}, "noted"},
	{"error2 twice", func(f *forged) { f.two = rename(f.two, TypeHash, TypeError2) }, "structure"},
}

// TestFaults runs every fault through Open, a full read and Check.
func TestFaults(t *testing.T) {
	seen := map[string]bool{}
	for _, fault := range faults {
		if seen[fault.name] {
			t.Errorf("two faults are called %q", fault.name)
		}
		seen[fault.name] = true
		t.Run(fault.name, func(t *testing.T) {
			f := forge()
			fault.patch(f)
			if got := outcome(t, f, "a.E01", "a.E02"); got != fault.want {
				_, err := Open(f.fs(), []string{"a.E01", "a.E02"})
				t.Errorf("got %s, want %s (%v)", got, fault.want, err)
			}
		})
	}
}

// rename gives all sections of a kind another type.
func rename(b []byte, kind, to string) []byte {
	b = bytes.Clone(b)
	for off := FileHeaderBytes; off+SectionBytes <= len(b); {
		s := must(ParseSection(b[off:]))
		if s.Type == kind {
			describe(b, off, func(s *Section) { s.Type = to })
		}
		if s.SizeBytes == 0 {
			break
		}
		off = int(s.Next)
	}
	return b
}

func patchVolumes(f *forged, change func(*Volume)) {
	v := forgedVolume
	change(&v)
	copy(content(f.one, TypeVolume, 0), v.Append(nil))
	copy(content(f.two, TypeData, 0), v.Append(nil))
}

func patchData(f *forged, change func(*Volume)) {
	v := forgedVolume
	change(&v)
	copy(content(f.two, TypeData, 0), v.Append(nil))
}

// patchTables changes the first table and its copy alike.
func patchTables(f *forged, change func(base *int64, entries []Entry)) {
	retable(content(f.one, TypeTable, 0), change)
	retable(content(f.one, TypeTable2, 0), change)
}

func manyEntries(f *forged, n uint32) {
	for _, kind := range []string{TypeTable, TypeTable2} {
		b := content(f.one, kind, 0)
		h := must(ParseTableHeader(b))
		h.Entries = n
		copy(b, h.Append(nil))
		if int64(n) < 6 {
			seal(b[TableHeaderBytes:TableBytes(int(n))])
		}
	}
}

// chunkAt is where a chunk of the first table is stored.
func chunkAt(f *forged, i int) []byte {
	base, entries, err := ParseTable(content(f.one, TypeTable, 0))
	if err != nil {
		panic(err)
	}
	return f.one[base+entries[i].Offset() : base+entries[i+1].Offset()]
}

// replace puts another compressed chunk into the place of one, and fills up what is left.
func replace(f *forged, i int, chunk []byte) {
	c := chunkAt(f, i)
	b := stored(chunk, true)
	if len(b) > len(c) {
		panic("it does not fit")
	}
	clear(c[copy(c, b):])
}

// other writes a header that names another case, in as many bytes.
func other(f *forged, kind string) {
	h := aHeaderForged
	h.Case = "2026-118"
	b := must(h.Header2())
	if kind == TypeHeader {
		b = must(h.Header1())
	}
	c := content(f.one, kind, 0)
	if len(b) > len(c) {
		panic("it does not fit")
	}
	copy(c, b)
}
