package ewf

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
)

// allocated runs f and returns how many bytes it allocated.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHostileCounts: small files that claim to be enormous take no memory.
func TestHostileCounts(t *testing.T) {
	huge := Volume{MediaType: MediaFixed, Chunks: 1<<32 - 1, SectorsPerChunk: 32768, BytesPerSector: 4096, Sectors: (1<<32 - 1) * 32768,
		Flags: FlagImage}
	for name, build := range map[string]func(s *segment){
		"entries": func(s *segment) {
			s.add(TypeSectors, nil)
			s.add(TypeTable, TableHeader{Entries: 1<<32 - 1}.Append(nil))
		},
		"error ranges": func(s *segment) {
			b := must(AppendError2(nil, nil))
			b[0], b[1], b[2], b[3] = 0xff, 0xff, 0xff, 0xff
			seal(b[:error2HeaderBytes])
			s.add(TypeError2, b)
		},
		"a header that grows": func(s *segment) {
			for range maxHeaders + 1 {
				s.add(TypeHeader, deflate(make([]byte, 1<<30>>6)))
			}
		},
		"a header of a megabyte": func(s *segment) { s.add(TypeHeader, make([]byte, maxHeaderBytes+1)) },
	} {
		s := newSegment(1)
		s.add(TypeVolume, huge.Append(nil))
		build(s)
		s.end(TypeDone)
		fsys := fstest.MapFS{"a.E01": {Data: s.b}}
		var err error
		got := allocated(func() { _, err = Open(fsys, []string{"a.E01"}) })
		if !errors.Is(err, ErrStructure) || got > 100<<20 || !strings.HasPrefix(name, "a header") && got > 1<<20 {
			t.Errorf("%s: %d bytes allocated, %v", name, got, err)
		}
	}
}

// TestHostileChunk: a chunk that claims 16 MiB and holds a few bytes is not given any; none may claim more.
func TestHostileChunk(t *testing.T) {
	large := Volume{Chunks: 1, SectorsPerChunk: 32768, BytesPerSector: 1024, Sectors: 32768}
	if err := large.Check(); !errors.Is(err, ErrStructure) {
		t.Errorf("chunks of 32 MiB: %v, want %v", err, ErrStructure)
	}
	s := newSegment(1)
	s.add(TypeVolume, Volume{Chunks: 1, SectorsPerChunk: 32768, BytesPerSector: 512, Sectors: 32768}.Append(nil))
	base := int64(len(s.b))
	s.add(TypeSectors, stored([]byte("x"), true))
	s.add(TypeTable, AppendTable(nil, base, []Entry{must(NewEntry(76, true))}))
	s.end(TypeDone)
	r := must(Open(fstest.MapFS{"a.E01": {Data: s.b}}, []string{"a.E01"}))
	var err error
	got := allocated(func() { _, err = r.ReadAt(make([]byte, 10), 5) })
	if _, ok := errors.AsType[*DamageError](err); !ok || got > 1<<20 {
		t.Errorf("%d bytes allocated, %v", got, err)
	}
}

// TestIndexMemory: an image of four million chunks, 128 GiB, keeps its index on the disk.
func TestIndexMemory(t *testing.T) {
	const n, perTable = 1 << 22, 1 << 16
	s := newSegment(1)
	s.add(TypeVolume, Volume{Chunks: n, SectorsPerChunk: 64, BytesPerSector: 512, Sectors: 64 * n}.Append(nil))
	chunk := stored(make([]byte, 32768), true)
	all := strings.Repeat(string(chunk), perTable)
	entries := make([]Entry, perTable)
	for i := range entries {
		entries[i] = must(NewEntry(int64(76+i*len(chunk)), true))
	}
	for range n / perTable {
		base := int64(len(s.b))
		s.add(TypeSectors, []byte(all))
		s.add(TypeTable, AppendTable(nil, base, entries))
		s.add(TypeTable2, AppendTable(nil, base, entries))
	}
	s.end(TypeDone)
	fsys := fstest.MapFS{"a.E01": {Data: s.b}}
	var r *Reader
	got := allocated(func() { r = must(Open(fsys, []string{"a.E01"})) })
	if got > 4<<20 || r.Size() != n*32768 {
		t.Errorf("%d bytes allocated for %d chunks", got, n)
	}
	for _, chunk := range []int64{0, pageEntries - 1, pageEntries, perTable - 1, perTable, n / 2, n - 1} {
		p := []byte{1}
		if _, err := r.ReadAt(p, chunk*32768); err != nil || p[0] != 0 {
			t.Errorf("chunk %d: %v, %v", chunk, p, err)
		}
	}
}

// TestNotesAreBounded: a million peculiarities are a thousand notes and one that counts the rest.
func TestNotesAreBounded(t *testing.T) {
	f := forge()
	s := newSegment(1)
	for i := range maxNotes + 10 {
		s.add(fmt.Sprintf("x%d", i), nil)
	}
	s.b = append(s.b, f.one[FileHeaderBytes:]...)
	off := FileHeaderBytes + SectionBytes*(maxNotes+10)
	move := int64(off - FileHeaderBytes)
	for off+SectionBytes <= len(s.b) {
		sec := must(ParseSection(s.b[off:]))
		describe(s.b, off, func(sec *Section) { sec.Next += move })
		if sec.Type == TypeTable || sec.Type == TypeTable2 {
			retable(s.b[off+SectionBytes:int(sec.Next+move)], func(base *int64, _ []Entry) { *base += move })
		}
		if sec.Type == TypeNext {
			break
		}
		off = int(sec.Next + move)
	}
	f.one = s.b
	content(f.one, TypeTable2, 1)[30]++
	if got := outcome(t, f, "a.E01", "a.E02"); got != "noted" {
		t.Errorf("got %s, want noted", got)
	}
	r := must(Open(f.fs(), []string{"a.E01", "a.E02"}))
	if n := r.Notes(); len(n) != maxNotes+1 || !n[maxNotes].Damage || n[maxNotes].Text != "and 11 more like these" {
		t.Errorf("%d notes, the last %+v", len(n), n[len(n)-1])
	}
}
