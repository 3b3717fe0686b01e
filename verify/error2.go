package verify

import (
	"fmt"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
)

// fullList is fewer ranges than fit into the list of an E01 in the smallest segment there is. A shorter list had room.
const fullList = ewf.MinSegmentBytes/8 - 1024

// compareUnread holds the list of unread sectors in an E01 against the map, or where there is none against the record. Other
// programs know of an unread sector by that list alone: one too many calls evidence unread, one too few calls zeros evidence.
func (c *files) compareUnread(r *ewf.Reader) {
	name := r.Segments()[len(r.Segments())-1].Name
	if c.given == nil && c.a.Unread.Bytes != 0 {
		c.line.add(Finding{Severity: Missing, File: name, Field: "acquisition.unread",
			Text: "the list of unread sectors in the image could not be compared, as there is no map that holds"})
		return
	}
	unread, err := c.unreadMap()
	if err != nil {
		c.line.add(fromError(name, err))
		return
	}
	d := &unreadDiffers{c: c, file: name, listed: r.Unread(), sector: r.SectorBytes()}
	d.tooMany(unread)
	d.tooFew(unread)
	d.finish()
}

// unreadMap is the map of the record; where the record says that nothing is unread, one that says the same.
func (c *files) unreadMap() (*image.Map, error) {
	if c.given != nil {
		return c.given, nil
	}
	m, err := image.NewMap(c.a.SizeBytes, image.MapLimits{})
	if err == nil && c.a.SizeBytes > 0 {
		err = m.Set(0, c.a.SizeBytes, image.Finished)
	}
	return m, err
}

// unreadDiffers reports where the lists of what is unread differ.
type unreadDiffers struct {
	c      *files
	file   string
	listed []ewf.Range // in order, and apart
	sector int64

	count   int
	omitted int64
}

// at is a listed range in bytes.
func (d *unreadDiffers) at(i int) (from, end int64) {
	l := d.listed[i]
	return l.FirstSector * d.sector, min((l.FirstSector+l.Sectors)*d.sector, d.c.a.SizeBytes)
}

// tooMany reports what is listed and was read.
func (d *unreadDiffers) tooMany(unread *image.Map) {
	for i := range d.listed {
		at, end := d.at(i)
		for at < end {
			have := unread.At(at)
			to := min(have.End(), end)
			if have.Status != image.Bad {
				d.add(Range{at, to - at}, "the image lists as unread what the map and the record do not")
			}
			at = to
		}
	}
}

// tooFew reports what was not read and is not listed, though it could be.
func (d *unreadDiffers) tooFew(unread *image.Map) {
	var end int64
	if n := len(d.listed); n > 0 {
		_, end = d.at(n - 1)
	}
	i := 0
	for bad := range unread.Unread() {
		sectors := ewf.Range{FirstSector: bad.Offset / d.sector, Sectors: (bad.SizeBytes + d.sector - 1) / d.sector}
		if !ewf.ErrorRangeFits(sectors) || bad.Offset >= end && len(d.listed) >= fullList {
			d.omitted++ // as the writer had to
			continue
		}
		last := bad.End()
		if sectors.FirstSector+sectors.Sectors > 1<<32 { // an entry cannot begin behind it
			last = d.sector << 32
		}
		for at := bad.Offset; at < last; {
			for i < len(d.listed) && d.endOf(i) <= at {
				i++
			}
			from, to := last, last
			if i < len(d.listed) {
				from, to = d.at(i)
			}
			if from > at {
				d.add(Range{at, min(from, last) - at},
					"the image does not list as unread what the map and the record do: other programs will take the zeros there for the medium's")
			}
			at = max(to, at)
		}
	}
}

func (d *unreadDiffers) endOf(i int) int64 {
	_, end := d.at(i)
	return end
}

func (d *unreadDiffers) add(r Range, text string) {
	if d.count++; d.count > maxRanges {
		return
	}
	d.c.line.add(Finding{Severity: Mismatch, File: d.file, Field: "acquisition.unread", Range: &r,
		Text:   fmt.Sprintf("%s: bytes %d to %d of the medium", text, r.Offset, r.Offset+r.Length-1),
		Advice: "go by the map, which the signed record names"})
}

func (d *unreadDiffers) finish() {
	switch {
	case d.count > maxRanges:
		d.c.line.add(Finding{Severity: Mismatch, File: d.file, Text: fmt.Sprintf("and %d more places where the lists of unread sectors differ", d.count-maxRanges)})
	case d.count == 0:
		d.c.line.checked++
	}
	if d.omitted > 0 {
		d.c.line.add(Finding{Severity: Note, File: d.file,
			Text: fmt.Sprintf("%s of unread sectors cannot stand in the list of an E01, for its fields of 32 bits or its room: only the map has them", number(d.omitted, "range"))})
	}
}
