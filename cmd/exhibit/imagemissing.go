package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
)

// missingDocument is what an E01 lacks of which segments are not there.
type missingDocument struct {
	Segments []segmentRun `json:"segments"`
	Unplaced []int        `json:"unplaced"` // segments that are there, between others that are not
	Chunks   chunkRange   `json:"chunks"`
	Sectors  sectorRange  `json:"sectors"`
	Tail     bool         `json:"tail"` // the last segment is missing, and with it the list of unread sectors and the stated digests

	text string
}

type segmentRun struct {
	First int `json:"first"`
	Last  int `json:"last"` // 0: unknown
}

type chunkRange struct {
	First int64 `json:"first"`
	Count int64 `json:"count"`
}

func newMissingDocument(m *ewf.Missing) *missingDocument {
	if m == nil {
		return nil
	}
	d := &missingDocument{Segments: []segmentRun{}, Unplaced: append([]int{}, m.Unplaced...), Chunks: chunkRange{m.FirstChunk, m.Chunks},
		Sectors: sectorRange{m.Sectors.FirstSector, m.Sectors.Sectors}, Tail: m.Tail, text: m.String()}
	for _, run := range m.Segments {
		d.Segments = append(d.Segments, segmentRun(run))
	}
	return d
}

// findImage opens the image that begins with the file name, also if segments of an E01 are missing: Missing then says which.
func findImage(fsys fs.FS, name string) ([]string, *image.Reader, error) {
	names, err := image.Find(fsys, name)
	if err == nil {
		var r *image.Reader
		if r, err = image.Open(fsys, names); err == nil {
			return names, r, nil
		}
	}
	if errors.Is(err, ewf.ErrMissing) {
		if names, err = ewf.FindIncomplete(fsys, name); err == nil {
			r, err := image.OpenIncomplete(fsys, names)
			return names, r, e01Error(err)
		}
	}
	return nil, nil, e01Error(err)
}

// missingOf is what the image lacks; nil if nothing.
func missingOf(r *image.Reader) *ewf.Missing {
	if r.E01() == nil {
		return nil
	}
	return r.E01().Missing()
}

// allThere is an error where segments are missing.
func allThere(r *image.Reader) error {
	if m := missingOf(r); m != nil {
		return withHints(withCode(codeMissing, fmt.Errorf("the image is not whole: %s", m)), hintsIncomplete("IMAGE")...)
	}
	return nil
}

// hintsIncomplete say what can be done with an E01 of which segments are missing. A copy or a restore of it would be of
// other bytes than the record says; what is there of it is a medium of its own.
func hintsIncomplete(first string) []string {
	return []string{"bring the missing segment from another copy, and put it beside the others",
		"what is there can be acquired anew, with a record and a map that list what is not: exhibit acquire " + shellWord(first) + " --incomplete --exhibit NUMBER",
		"or written out, with a map: exhibit image cat " + shellWord(first) + " --incomplete --map MAPFILE"}
}

// missingSegment gives a segment that is not there its exit code.
func missingSegment(err error) error {
	if errors.Is(err, ewf.ErrMissing) || errors.Is(err, image.ErrMissing) {
		return withCode(codeMissing, err)
	}
	return err
}

// holed reads an image of which segments are missing, with zeros in the place of what stood there.
type holed struct {
	*image.Reader
	from, end int64 // of the hole
}

func newHoled(r *image.Reader) *holed {
	h := &holed{Reader: r}
	if m := missingOf(r); m != nil {
		h.from = m.Sectors.FirstSector * r.E01().SectorBytes()
		h.end = h.from + m.Sectors.Sectors*r.E01().SectorBytes()
	}
	return h
}

// ReadAt implements io.ReaderAt.
func (h *holed) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		at, rest := off+int64(done), p[done:]
		switch {
		case at >= h.from && at < h.end:
			rest = rest[:min(int64(len(rest)), h.end-at)]
			clear(rest)
			done += len(rest)
			continue
		case at < h.from:
			rest = rest[:min(int64(len(rest)), h.from-at)]
		}
		n, err := h.Reader.ReadAt(rest, at)
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

// mapText lists in ddrescue's form what is missing (?), and what the image says that its medium did not give (-).
func (h *holed) mapText() ([]byte, error) {
	m, err := image.NewMap(h.Size(), image.MapLimits{})
	if err != nil {
		return nil, err
	}
	set := func(from, end int64, status image.Status) {
		if end = min(end, h.Size()); err == nil && from < end {
			err = m.Set(from, end-from, status)
		}
	}
	set(0, h.Size(), image.Finished)
	if e := h.E01(); e != nil {
		for _, u := range e.Unread() {
			set(u.FirstSector*e.SectorBytes(), (u.FirstSector+u.Sectors)*e.SectorBytes(), image.Bad)
		}
	}
	set(h.from, h.end, image.NonTried)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = m.Encode(&text, []string{"What an image gave of its medium: + is there, ? stood in a segment that is missing, - the image itself calls unread"})
	return text.Bytes(), err
}
