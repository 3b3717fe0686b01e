package ewf

import (
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
)

// SegmentRun are segments that follow each other, by their numbers from 1.
type SegmentRun struct {
	First int
	Last  int // 0: nobody can tell how many there were
}

// Missing is what an image lacks that was opened by [OpenIncomplete]: its segments, and the chunks of the medium that
// cannot be read without them, which are one run.
type Missing struct {
	Segments []SegmentRun
	// Unplaced are segments that are there and cannot be used: they stand between others that are missing, so that nobody
	// can tell which chunks theirs are.
	Unplaced           []int
	FirstChunk, Chunks int64
	Sectors            Range
	// Tail says that the last segment is missing, and with it the list of unread sectors and the digests that the image
	// stated of its medium, if it did.
	Tail bool

	extensions []string // of the first segment of each run; empty if it has no agreed one
}

// String says what is missing, in one line of at most 480 bytes, without the names of files, which may be personal.
func (m *Missing) String() string {
	var b strings.Builder
	for i, run := range m.Segments {
		if i == 2 {
			fmt.Fprintf(&b, ", and %d more gaps", len(m.Segments)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		switch run.Last {
		case 0:
			fmt.Fprintf(&b, "segment %d%s and what followed it", run.First, m.extension(i))
		case run.First:
			fmt.Fprintf(&b, "segment %d%s", run.First, m.extension(i))
		default:
			fmt.Fprintf(&b, "segments %d%s to %d", run.First, m.extension(i), run.Last)
		}
	}
	b.WriteString(" not there: ")
	if m.Chunks == 0 {
		b.WriteString("no chunk of the medium stood there")
	} else {
		fmt.Fprintf(&b, "chunks %d to %d, sectors %d to %d of the medium, are missing",
			m.FirstChunk, m.FirstChunk+m.Chunks-1, m.Sectors.FirstSector, m.Sectors.FirstSector+m.Sectors.Sectors-1)
	}
	if n := len(m.Unplaced); n > 0 {
		fmt.Fprintf(&b, "; among them are those of segment %d (%d such in all), which stands between two gaps, so that nobody can tell which they are", m.Unplaced[0], n)
	}
	if m.Tail {
		b.WriteString("; what the last segment said of unread sectors, and the digests it stated, are not known")
	}
	return b.String()
}

func (m *Missing) extension(i int) string {
	if m.extensions[i] == "" {
		return ""
	}
	return " (" + m.extensions[i] + ")"
}

// OpenIncomplete is Open for an image of which segments are missing, but not the first: names are those that are there, in
// order. See [FindIncomplete]. [Reader.Missing] says what is not there; a read of it is a [DamageError], as of a chunk that
// is damaged. The chunks of a segment behind a gap are found by counting from the end.
func OpenIncomplete(fsys fs.FS, names []string) (*Reader, error) {
	return openReader(fsys, names, true)
}

// Missing returns what the image lacks; nil if nothing.
func (r *Reader) Missing() *Missing {
	if r.lost == nil {
		return nil
	}
	m := *r.lost
	m.Segments, m.Unplaced = slices.Clone(m.Segments), slices.Clone(m.Unplaced)
	return &m
}

// missing is the error of a chunk whose segment is not there.
func (r *Reader) missing(chunk int64) *DamageError {
	e := r.damage(place{}, chunk, "the segment that held it is not there")
	e.Segment = ""
	return e
}

// gap is a run of segments that are missing.
type gap struct {
	run    SegmentRun
	groups int   // that were found before it
	chunks int64 // in them
	behind int   // the file that follows
}

func (s *scan) gap(run SegmentRun) {
	s.gaps = append(s.gaps, gap{run, len(s.r.groups), s.chunks, s.segment + 1})
}

// place compares the number of chunks with what the volume section says. Where segments are missing, their chunks are what
// is missing of that number. Those before the first gap are counted from the beginning, those behind the last from the end.
func (s *scan) place() error {
	r, lost := s.r, s.total()-s.chunks
	if len(s.gaps) == 0 {
		if lost != 0 {
			return s.broken(0, "the tables of all segments have %d chunks, the volume section says %d", s.chunks, s.total())
		}
		return nil
	}
	first, last := s.gaps[0], s.gaps[len(s.gaps)-1]
	m := &Missing{FirstChunk: first.chunks, Chunks: lost + last.chunks - first.chunks, Tail: last.run.Last == 0}
	for i := first.behind; i < last.behind; i++ {
		m.Unplaced = append(m.Unplaced, r.files.list[i].number)
	}
	for _, g := range s.gaps {
		m.Segments = append(m.Segments, g.run)
		m.extensions = append(m.extensions, r.extension(g.run.First))
	}
	behind := slices.Clone(r.groups[last.groups:])
	r.groups = r.groups[:first.groups]
	if m.Chunks > 0 {
		r.groups = append(r.groups, group{first: m.FirstChunk, n: uint32(min(m.Chunks, math.MaxUint32)), missing: true})
	}
	for _, g := range behind {
		g.first += lost
		r.groups = append(r.groups, g)
	}
	perChunk, sectors := int64(r.volume.SectorsPerChunk), int64(r.volume.Sectors)
	from := min(m.FirstChunk*perChunk, sectors)
	m.Sectors = Range{from, min((m.FirstChunk+m.Chunks)*perChunk, sectors) - from}
	r.lost = m
	return nil
}

// extension is that of a segment, by the series of the first one; empty if none is agreed upon.
func (r *Reader) extension(number int) string {
	_, series, n := cutExtension(path.Base(r.files.list[0].name))
	ext, err := extension(series, max(number, 1))
	if n != 1 || err != nil {
		return ""
	}
	return ext
}
