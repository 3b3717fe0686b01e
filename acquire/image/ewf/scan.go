package ewf

import (
	"fmt"
)

// scan visits the sections of all segments, once, and fills the Reader.
type scan struct {
	r    *Reader
	last int // the last segment that is there

	incomplete bool  // segments may be missing
	gaps       []gap // where they are

	segment    int
	sectors    span   // the sections's content that was seen last in this segment
	pending    *table // that waits for its table2
	chunks     int64  // in the groups
	haveVolume bool
	headers    headers
	haveError2 bool
	noted      map[string]bool // by once
}

type span struct{ start, end int64 }

// total is how many chunks the volume section says there are.
func (s *scan) total() int64 { return int64(s.r.volume.Chunks) }

func (s *scan) name() string { return s.r.files.list[s.segment].name }
func (s *scan) size() int64  { return s.r.files.list[s.segment].size }

// once notes what is the same all over an image.
func (s *scan) once(off int64, text string) {
	if s.noted == nil {
		s.noted = map[string]bool{}
	}
	if !s.noted[text] {
		s.noted[text] = true
		s.r.note(s.segment, off, false, "%s", text)
	}
}

// broken is an ErrStructure that says where.
func (s *scan) broken(off int64, format string, args ...any) error {
	return s.at(off, fmt.Errorf("%w: %s", ErrStructure, fmt.Sprintf(format, args...)))
}

func (s *scan) at(off int64, err error) error {
	return fmt.Errorf("%q at byte %d: %w", s.name(), off, err)
}

// all visits the segments, and then compares the whole with what the volume section says.
func (s *scan) all() error {
	for i := range s.r.files.list {
		s.segment, s.sectors = i, span{}
		if err := s.one(); err != nil {
			return err
		}
		if !s.haveVolume {
			return s.broken(0, "the first segment has no volume section")
		}
	}
	if err := s.place(); err != nil {
		return err
	}
	s.headers.finish(s)
	return nil
}

// one follows the chain of sections through a segment. It goes forward only, section behind section: where a
// descriptor's size and its next offset disagree, programs that follow the one would see another image than programs
// that follow the other.
func (s *scan) one() error {
	off := int64(FileHeaderBytes)
	for {
		sec, err := s.descriptor(off)
		if err != nil {
			return err
		}
		if sec.Type == TypeNext || sec.Type == TypeDone {
			return s.end(off, sec)
		}
		switch {
		case sec.SizeBytes == 0 && sec.Next > off:
			// Expert Witness 1.35 gives no sizes. A program that follows sizes sees nothing at all.
			s.once(off, "the sections do not say their size, as Expert Witness 1.35 wrote them")
		case sec.Next != off+sec.SizeBytes || sec.SizeBytes < SectionBytes:
			return s.broken(off, "the %s section has %d bytes and says that the next one stands at byte %d", sec.Type, sec.SizeBytes, sec.Next)
		}
		if sec.Next < off+SectionBytes || sec.Next > s.size()-SectionBytes {
			return s.broken(off, "the %s section says that the next one stands at byte %d of a file of %d", sec.Type, sec.Next, s.size())
		}
		if err := s.section(sec.Type, off, sec.Next); err != nil {
			return err
		}
		off = sec.Next
	}
}

func (s *scan) descriptor(off int64) (Section, error) {
	b := make([]byte, SectionBytes)
	if off > s.size()-SectionBytes {
		return Section{}, s.broken(off, "the file ends where a section should begin")
	}
	if err := s.r.files.read(s.segment, b, off); err != nil {
		return Section{}, err
	}
	sec, err := ParseSection(b)
	if err != nil {
		return Section{}, s.at(off, err)
	}
	return sec, nil
}

// end visits next or done. Its next offset is its own, or, in SMART files of libewf, its end.
func (s *scan) end(off int64, sec Section) error {
	if err := s.endTable(nil); err != nil {
		return err
	}
	behind := off + SectionBytes
	if sec.Next != off && sec.Next != behind || sec.SizeBytes != 0 && sec.SizeBytes != SectionBytes {
		return s.broken(off, "the %s section has %d bytes and says that the next one stands at byte %d", sec.Type, sec.SizeBytes, sec.Next)
	}
	if n := s.size() - behind; n > 0 {
		s.r.note(s.segment, behind, false, "%d bytes follow the last section", n)
	}
	file := s.r.files.list[s.segment]
	switch {
	case sec.Type == TypeNext && s.segment == s.last:
		if !s.incomplete {
			return fmt.Errorf("%w: segment %d is missing: %q says that another one follows it", ErrMissing, file.number+1, s.name())
		}
		s.gap(SegmentRun{First: file.number + 1})
	case sec.Type == TypeNext && s.r.files.list[s.segment+1].number > file.number+1:
		s.gap(SegmentRun{First: file.number + 1, Last: s.r.files.list[s.segment+1].number - 1})
	case sec.Type == TypeDone && s.segment < s.last:
		return fmt.Errorf("%w: %q says that it is the last one, and %q follows", ErrSegments, s.name(), s.r.files.list[s.segment+1].name)
	}
	return nil
}

// section visits a section whose descriptor stands at off and that ends at end.
func (s *scan) section(kind string, off, end int64) error {
	start := off + SectionBytes
	if kind != TypeTable2 {
		if err := s.endTable(nil); err != nil {
			return err
		}
	}
	switch kind {
	case TypeHeader, TypeHeader2:
		return s.headers.add(s, kind, off, end)
	case TypeVolume, TypeDisk: // FTK Imager 2.3 calls it disk for a whole disk
		return s.volume(off, start, end)
	case TypeData:
		return s.data(off, start, end)
	case TypeSectors:
		s.sectors = span{start, end}
		return s.needVolume(off)
	case TypeTable, TypeTable2:
		if err := s.needVolume(off); err != nil {
			return err
		}
		if kind == TypeTable {
			return s.table(off, start, end)
		}
		return s.table2(off, start, end)
	case TypeHash, TypeDigest:
		return s.digests(kind, off, start, end)
	case TypeError2:
		return s.error2(off, start, end)
	case "ltree", "ltypes":
		return fmt.Errorf("%w: %q is logical evidence (it has a section %s), which holds files and not a medium", ErrFormat, s.name(), kind)
	case "incomplete":
		return s.broken(off, "a section %q: the acquisition was not finished", kind)
	}
	s.r.note(s.segment, off, false, "the section %q of %d bytes is not read", kind, end-off)
	return nil
}

func (s *scan) needVolume(off int64) error {
	if !s.haveVolume {
		return s.broken(off, "chunks or their table stand before the volume section")
	}
	return nil
}

// content reads a small section whole. limit is what it may have at most.
func (s *scan) content(off, start, end int64, limit int64) ([]byte, error) {
	if end-start > limit {
		return nil, s.broken(off, "a section of %d bytes, more than %d", end-start, limit)
	}
	b := make([]byte, end-start)
	return b, s.r.files.read(s.segment, b, start)
}
