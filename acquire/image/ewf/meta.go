package ewf

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

func (s *scan) volume(off, start, end int64) error {
	if s.haveVolume {
		return s.broken(off, "a second volume section")
	}
	b, err := s.content(off, start, end, VolumeBytes)
	if err != nil {
		return err
	}
	v, err := ParseVolume(b)
	if err == nil {
		err = v.Check()
	}
	if err != nil {
		return s.at(off, err)
	}
	s.r.volume, s.haveVolume = v, true
	return nil
}

// data compares a data section with the volume section.
func (s *scan) data(off, start, end int64) error {
	if err := s.needVolume(off); err != nil {
		return err
	}
	b, err := s.content(off, start, end, VolumeBytes)
	if err != nil {
		return err
	}
	v, sound, err := parseVolume(b)
	if err != nil {
		return s.at(off, err)
	}
	if !sound {
		if binary.LittleEndian.Uint32(b[len(b)-4:]) != 0 {
			s.r.note(s.segment, off, true, "wrong checksum of the data section, which only repeats the volume section")
			return nil
		}
		s.once(off, "the data section has no checksum, as devices of Logicube wrote it before 2013")
	}
	w := s.r.volume
	if v.SetID != w.SetID {
		return fmt.Errorf("%w: %q belongs to the set %x, the first segment to the set %x", ErrSegments, s.name(), v.SetID, w.SetID)
	}
	if v.Chunks != w.Chunks || v.Sectors != w.Sectors || v.SectorsPerChunk != w.SectorsPerChunk || v.BytesPerSector != w.BytesPerSector {
		return fmt.Errorf("%w: %q is of a medium of %d sectors of %d bytes in %d chunks, the first segment of one of %d of %d in %d",
			ErrSegments, s.name(), v.Sectors, v.BytesPerSector, v.Chunks, w.Sectors, w.BytesPerSector, w.Chunks)
	}
	if v != w {
		s.r.note(s.segment, off, false, "the data section says %+v, the volume section %+v", v, w)
	}
	return nil
}

// digests visits hash or digest. A damaged one states nothing; two that differ leave nothing to believe.
func (s *scan) digests(kind string, off, start, end int64) error {
	b, err := s.content(off, start, end, DigestBytes)
	if err != nil {
		return err
	}
	var d Digest
	if kind == TypeHash {
		var h Hash
		h, err = ParseHash(b)
		d.MD5 = h.MD5
	} else {
		d, err = ParseDigest(b)
	}
	if err != nil {
		s.r.note(s.segment, off, true, "what it states is not used: %v", err)
		s.r.stored.Damaged = true
		return nil
	}
	if err := s.state(&s.r.stored.MD5, d.MD5[:], "MD5", off); err != nil {
		return err
	}
	return s.state(&s.r.stored.SHA1, d.SHA1[:], "SHA-1", off)
}

func (s *scan) state(have *[]byte, sum []byte, what string, off int64) error {
	switch {
	case len(bytes.Trim(sum, "\x00")) == 0: // not computed
	case *have == nil:
		*have = sum
	case !bytes.Equal(*have, sum):
		return s.broken(off, "the %s is %x here and %x in another section", what, sum, *have)
	}
	return nil
}

// error2 reads the list of unread sectors.
func (s *scan) error2(off, start, end int64) error {
	if err := s.needVolume(off); err != nil {
		return err
	}
	if s.haveError2 {
		return s.broken(off, "a second error2 section")
	}
	s.haveError2 = true
	b, err := s.content(off, start, end, error2HeaderBytes+8*MaxErrorRanges+4)
	if err != nil {
		return err
	}
	ranges, err := ParseError2(b)
	if err != nil {
		s.r.note(s.segment, off, true, "the list of unread sectors is damaged and not used: %v", err)
		return nil
	}
	sectors := int64(s.r.volume.Sectors)
	if sectors > math.MaxUint32 && len(ranges) > 0 {
		// Guymager writes the lower 32 bits of what does not fit.
		s.once(off, "the list of unread sectors cannot name those from sector 4,294,967,296 on, and may mean them by a lower number")
	}
	for _, e := range ranges {
		if e.Sectors > sectors-e.FirstSector {
			s.r.note(s.segment, off, true, "%d unread sectors from sector %d on, of a medium of %d", e.Sectors, e.FirstSector, sectors)
		}
	}
	s.r.unread = joined(ranges, sectors)
	return nil
}

// joined sorts the ranges inside a medium, and joins those that touch.
func joined(ranges []Range, sectors int64) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.FirstSector, b.FirstSector) })
	var out []Range
	for _, e := range ranges {
		end := min(e.FirstSector+e.Sectors, sectors)
		if end <= e.FirstSector {
			continue
		}
		if n := len(out) - 1; n >= 0 && e.FirstSector <= out[n].FirstSector+out[n].Sectors {
			out[n].Sectors = max(out[n].Sectors, end-out[n].FirstSector)
			continue
		}
		out = append(out, Range{e.FirstSector, end - e.FirstSector})
	}
	return out
}

// maxHeaders is how many header and header2 sections an image has at most; EnCase writes three.
const maxHeaders = 8

// headers collects the texts: header2 twice and header once in EnCase 4 to 7, header once or twice elsewhere.
type headers struct {
	n     int
	texts map[string]*Header // by type
}

func (h *headers) add(s *scan, kind string, off, end int64) error {
	if h.n++; h.n > maxHeaders {
		return s.broken(off, "more than %d header sections", maxHeaders)
	}
	b, err := s.content(off, off+SectionBytes, end, maxHeaderBytes)
	if err != nil {
		return err
	}
	parse := ParseHeader1
	if kind == TypeHeader2 {
		parse = ParseHeader2
	}
	text, err := parse(b)
	if err != nil {
		s.r.note(s.segment, off, true, "a %s section cannot be read: %v", kind, err)
		return nil
	}
	if h.texts == nil {
		h.texts = map[string]*Header{}
	}
	if have := h.texts[kind]; have == nil {
		h.texts[kind] = &text
	} else if *have != text {
		s.r.note(s.segment, off, true, "the %s section says something else than the first one", kind)
		differ(s, off, have, &text, "in the first "+kind, "in this one")
	}
	return nil
}

// differ notes each value that stands in both and differs.
func differ(s *scan, off int64, a, b *Header, whereA, whereB string) {
	for _, f := range fields {
		if f.text == nil {
			continue
		}
		if a, b := *f.text(a), *f.text(b); a != b && b != "" && isASCII(a) && isASCII(b) {
			s.r.note(s.segment, off, true, "the %s is %.200q %s and %.200q %s", f.name, a, whereA, b, whereB)
		}
	}
}

// finish takes header2, and compares header with it where both are ASCII: header has no other letters.
func (h *headers) finish(s *scan) {
	two, one := h.texts[TypeHeader2], h.texts[TypeHeader]
	switch {
	case two == nil && one == nil:
		return
	case two == nil:
		s.r.header = *one
		return
	}
	s.r.header = *two
	if one != nil {
		s.segment = 0
		differ(s, FileHeaderBytes, two, one, "in header2", "in header")
	}
}

func isASCII(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c > '~' || c < ' ' })
}
