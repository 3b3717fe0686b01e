package verify

import (
	"bytes"
	"fmt"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// checkMap checks the list of what the medium did not give, and that it comes to what the record says.
func (c *files) checkMap(f record.File) {
	m := c.readMap(f)
	if m == nil {
		return
	}
	bad, read := m.Total(image.Bad), m.Total(image.Finished)
	if c.comesTo(f, []mapTotal{
		{"acquisition.medium.sizeBytes", c.a.SizeBytes, m.Size()},
		{"acquisition.unread.bytes", c.a.Unread.Bytes, bad.SizeBytes},
		{"acquisition.unread.ranges", c.a.Unread.Ranges, int64(bad.Ranges)},
		{"acquisition.medium.sizeBytes", c.a.SizeBytes, bad.SizeBytes + read.SizeBytes},
	}) {
		c.given = m
	}
}

// checkTaken checks the list of what was not read from the medium, and that nothing of it is called unread by the map, which
// the record names before it.
func (c *files) checkTaken(f record.File) {
	m := c.readMap(f)
	if m == nil || len(c.a.TakenOver) != 1 {
		return
	}
	want, taken, rest := c.a.TakenOver[0], m.Total(image.Finished), m.Total(image.NonTried)
	if !c.comesTo(f, []mapTotal{
		{"acquisition.medium.sizeBytes", c.a.SizeBytes, m.Size()},
		{"acquisition.takenOver.bytes", want.Bytes, taken.SizeBytes},
		{"acquisition.takenOver.ranges", want.Ranges, int64(taken.Ranges)},
		{"acquisition.medium.sizeBytes", c.a.SizeBytes, taken.SizeBytes + rest.SizeBytes},
	}) || c.given == nil {
		return
	}
	for part := range m.All() {
		if have := c.given.At(part.Offset); part.Status == image.Finished && (have.Status != image.Finished || have.End() < part.End()) {
			c.line.add(mismatch(within(c.dir, f.Name), "", "", "", fmt.Sprintf("bytes from %d on are both taken over and unread", part.Offset)))
			return
		}
	}
}

// readMap reads a map whose bytes are those of the record; nil after a finding.
func (c *files) readMap(f record.File) *image.Map {
	b, ok := c.checkWhole(f, layout.MaxMap)
	if !ok {
		return nil
	}
	m, err := image.ParseMap(bytes.NewReader(b), image.MapLimits{SizeBytes: layout.MaxMap})
	if err != nil {
		c.line.add(mismatch(within(c.dir, f.Name), "", "a map of ddrescue", err.Error(), "the map cannot be read"))
		return nil
	}
	return m
}

// mapTotal is a number of the record, and what a map comes to.
type mapTotal struct {
	field     string
	want, got int64
}

func (c *files) comesTo(f record.File, totals []mapTotal) bool {
	for _, n := range totals {
		if n.want != n.got {
			c.line.add(mismatch(within(c.dir, f.Name), n.field, fmt.Sprint(n.want), fmt.Sprint(n.got), "the map does not come to what the record says"))
			return false
		}
	}
	c.line.checked++
	return true
}

// note says what the record itself says is missing, which changes no outcome.
func (f *folder) note(l *line) {
	note := func(format string, args ...any) {
		l.add(Finding{Severity: Note, File: f.dir, Text: fmt.Sprintf(format, args...)})
	}
	if m := f.rec.copied; m != nil {
		note("it is a copy of acquisition %s, as %s", m.Original.ID, m.Format)
		if f.in == nil {
			note("that the original has the same digests says the signed record here; the record of the original stands in the log of the case")
		}
	}
	u := f.rec.image.Unread
	if u.Bytes > 0 {
		note("the medium did not give %d of its %d bytes, in %s; the map lists them, and they are zeros in the image", u.Bytes, f.rec.image.SizeBytes, number(u.Ranges, "range"))
	}
	if u.RecoveredBytes > 0 {
		note("%d bytes were read only when a sector that had failed was tried again; the journal of the acquisition lists them", u.RecoveredBytes)
	}
	for _, t := range f.rec.image.TakenOver {
		note("%d bytes in %s were NOT read from the medium: they were taken over from an image that another program had made; %s lists them",
			t.Bytes, number(t.Ranges, "range"), f.rec.image.Role(record.RoleTakenOver)[0].Name)
		note("of these bytes %s compared with the medium, and %d read differently there", sampled(t.Sampled), t.Differing)
	}
	a := f.rec.acquired
	if a == nil {
		return
	}
	if n := len(a.Interruptions); n > 0 {
		note("the acquisition has %s, after which it went on; the record says when and why", number(int64(n), "interruption"))
	}
	for _, i := range a.Interruptions {
		if i.Differing > 0 {
			note("when it went on, %d of %d places that were read before read differently, and the operator chose to go on", i.Differing, i.Sampled)
		}
	}
	if hidden, known := a.Medium.Hidden().Get(); known && hidden {
		note("the drive hides a part of itself, which was not read; the record says how much")
	}
	noteContainer(a.Medium, note)
	if a.Medium.Access.Live {
		note("the medium was in use while it was read, so what was read may never have been on it at one moment")
	}
}

// noteContainer says of the image that was acquired from whether it was what it said.
func noteContainer(m record.Medium, note func(format string, args ...any)) {
	from, ok := m.Container.Get()
	if !ok {
		return
	}
	said := ""
	for _, s := range from.Stored() {
		word := "could not be compared"
		if held, known := s.Held.Get(); known && held {
			word = "held"
		} else if known {
			word = "did NOT hold"
		}
		said += fmt.Sprintf("; the %s that it states of its medium %s", s.Digest.Algorithm(), word)
	}
	if said == "" {
		said = "; it states no digest of its medium"
		if why := from.MD5.Reason(); why != "it states none" {
			said += ": " + why
		}
	}
	if u := from.Unread; u.Bytes > 0 {
		said += fmt.Sprintf("; it says that its medium did not give %d bytes, in %s", u.Bytes, number(u.Ranges, "range"))
	}
	note("the medium was read out of an image (%s, %s)%s", from.Format, number(from.Segments, "file"), said)
}

func sampled(n int64) string {
	if n == 0 {
		return "none could be"
	}
	return number(n, "place") + " (of up to 1 MiB) were"
}
