package ewf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"hash/maphash"
	"slices"
)

// table is a table or table2 section that was looked at.
type table struct {
	at       int64 // its descriptor
	header   TableHeader
	readable bool   // the header is sound, and so many entries are there
	sound    bool   // the checksum of the entries is right, or the format has none
	why      error  // why one of them is false
	start    int64  // of the entries
	end      int64  // of the entries, and of their checksum if there is one
	limit    int64  // of the section
	good     uint32 // see group
	overflow uint32
	sums     []uint64
}

// table visits a table section: off is its descriptor's, the content stands from start to end.
func (s *scan) table(off, start, end int64) error {
	t, err := s.readTable(off, start, end)
	s.pending = t
	return err
}

// table2 visits a table2 section, which repeats the table before it.
func (s *scan) table2(off, start, end int64) error {
	if s.pending == nil {
		return s.broken(off, "a table2 section without a table before it")
	}
	t, err := s.readTable(off, start, end)
	if err != nil {
		return err
	}
	return s.endTable(t)
}

// endTable decides between the pending table and its copy, nil if it has none, and makes a group of the sound one.
func (s *scan) endTable(copied *table) error {
	t := s.pending
	if t == nil {
		return nil
	}
	s.pending = nil
	switch {
	case copied == nil:
		if s.sectors.end > 0 { // EnCase 1 and SMART have neither
			s.r.note(s.segment, t.at, false, "there is no table2 behind the table")
		}
		if !t.sound {
			s.r.note(s.segment, t.at, true, "the table cannot be trusted, and there is no table2: %v", t.why)
		}
	case t.sound && copied.sound:
		if t.header != copied.header || !slices.Equal(t.sums, copied.sums) {
			return s.broken(copied.at, "table and table2 have right checksums and say different things")
		}
	case t.sound:
		s.r.note(s.segment, copied.at, true, "table2 is damaged, the table is used: %v", copied.why)
	case copied.sound:
		s.r.note(s.segment, t.at, true, "the table is damaged, table2 is used: %v", t.why)
		t = copied
	default:
		s.r.note(s.segment, t.at, true, "table and table2 are both damaged: %v; %v", t.why, copied.why)
		if t.readable && copied.readable && t.header != copied.header {
			return s.broken(copied.at, "table and table2 are damaged and disagree about which chunks are theirs")
		}
		if !t.readable {
			t = copied
		}
	}
	return s.addGroup(t)
}

func (s *scan) addGroup(t *table) error {
	r := s.r
	if !t.readable {
		return fmt.Errorf("%w, and no copy of it says which chunks are its", t.why)
	}
	if t.header.Entries == 0 {
		return nil
	}
	if int64(t.header.Entries) > s.total()-s.chunks {
		return s.broken(t.at, "the tables up to here have %d chunks, the volume section says %d", s.chunks+int64(t.header.Entries), s.total())
	}
	if len(r.groups) == maxGroups {
		return s.broken(t.at, "more than %d tables", maxGroups)
	}
	g := group{
		first: s.chunks, n: t.header.Entries, good: t.good, overflow: t.overflow, segment: int32(s.segment),
		entries: t.start, base: t.header.BaseOffset, dataEnd: s.chunksOf(t).end, pages: int64(len(r.pageSums)),
	}
	switch {
	case !t.sound:
		g.good = 0
	case t.good < t.header.Entries:
		s.r.note(s.segment, t.at, true, "from entry %d of %d on the table leads backwards, or out of where the chunks stand",
			t.good, t.header.Entries)
	case t.overflow < t.header.Entries:
		s.r.note(s.segment, t.at, false, "from entry %d on the table's offsets have 32 bits, as EnCase 6.7.1 wrote them", t.overflow)
	}
	r.groups = append(r.groups, g)
	r.pageSums = append(r.pageSums, t.sums...)
	s.chunks += int64(t.header.Entries)
	return nil
}

// chunksOf is where the chunks of a table stand: the sectors section before it, or, in EnCase 1 and SMART, which have
// none, behind the entries.
func (s *scan) chunksOf(t *table) span {
	if s.sectors.end > 0 {
		return s.sectors
	}
	return span{t.end, t.limit}
}

// readTable verifies the checksums of a table. What is wrong with it stands in the table; an error is one of reading.
func (s *scan) readTable(off, start, end int64) (*table, error) {
	t := &table{at: off, start: start + TableHeaderBytes, limit: end}
	b := make([]byte, min(TableHeaderBytes, end-start))
	if err := s.r.files.read(s.segment, b, start); err != nil {
		return nil, err
	}
	if t.header, t.why = ParseTableHeader(b); t.why != nil {
		t.why = s.at(off, t.why)
		return t, nil
	}
	// The original text, and SMART, have no checksum behind the entries. EnCase has.
	footer := int64(4)
	if s.r.volume.SMART && s.sectors.end == 0 {
		footer = 0
		s.once(off, "tables have no checksum in this form of the format; only the chunks have one")
	}
	t.end = t.start + 4*int64(t.header.Entries) + footer
	switch {
	case t.end > end:
		t.why = s.broken(off, "a table of %d entries in a section of %d bytes", t.header.Entries, end-start)
		return t, nil
	case t.header.BaseOffset > s.size():
		t.why = s.broken(off, "a table's base offset %d in a file of %d bytes", t.header.BaseOffset, s.size())
		return t, nil
	case s.sectors.end > 0 && t.end < end:
		s.r.note(s.segment, off, false, "%d bytes follow the checksum of the table's entries", end-t.end)
	}
	// Not more memory for sums than the volume has chunks.
	if int64(t.header.Entries) > s.total()-s.chunks {
		t.why = s.broken(off, "a table of %d entries, and the volume section says %d chunks", t.header.Entries, s.total())
		return t, nil
	}
	t.readable = true
	return t, s.readEntries(t, footer > 0)
}

// readEntries streams over the entries, page by page.
func (s *scan) readEntries(t *table, footer bool) error {
	sum := adler32.New()
	buf := make([]byte, 4*min(pageEntries, int64(t.header.Entries)))
	order := orderOf(t, s.chunksOf(t))
	for from := int64(0); from < int64(t.header.Entries); from += pageEntries {
		b := buf[:4*min(pageEntries, int64(t.header.Entries)-from)]
		if err := s.r.files.read(s.segment, b, t.start+4*from); err != nil {
			return err
		}
		if _, err := sum.Write(b); err != nil {
			return err
		}
		t.sums = append(t.sums, maphash.Bytes(pageSeed, b))
		for i := 0; i < len(b) && !order.broken; i += 4 {
			order.next(Entry(binary.LittleEndian.Uint32(b[i:])))
		}
	}
	t.good, t.overflow = order.good, order.overflow
	t.sound = true
	if !footer {
		return nil
	}
	b := make([]byte, 4)
	if err := s.r.files.read(s.segment, b, t.end-4); err != nil {
		return err
	}
	if sum.Sum32() != binary.LittleEndian.Uint32(b) {
		t.sound, t.why = false, s.at(t.at, errTableSum)
	}
	return nil
}

var errTableSum = errors.New("wrong checksum of a table's entries")
