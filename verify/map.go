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
	b, ok := c.checkWhole(f, layout.MaxMap)
	if !ok {
		return
	}
	name := within(c.dir, f.Name)
	m, err := image.ParseMap(bytes.NewReader(b), image.MapLimits{SizeBytes: layout.MaxMap})
	if err != nil {
		c.line.add(mismatch(name, "", "a map of ddrescue", err.Error(), "the map cannot be read"))
		return
	}
	bad, read := m.Total(image.Bad), m.Total(image.Finished)
	for _, n := range []struct {
		field     string
		want, got int64
	}{
		{"acquisition.medium.sizeBytes", c.a.SizeBytes, m.Size()},
		{"acquisition.unread.bytes", c.a.Unread.Bytes, bad.SizeBytes},
		{"acquisition.unread.ranges", c.a.Unread.Ranges, int64(bad.Ranges)},
		{"acquisition.medium.sizeBytes", c.a.SizeBytes, bad.SizeBytes + read.SizeBytes},
	} {
		if n.want != n.got {
			c.line.add(mismatch(name, n.field, fmt.Sprint(n.want), fmt.Sprint(n.got), "the map does not come to what the record says"))
			return
		}
	}
	c.line.checked++
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
	if a.Medium.Access.Live {
		note("the medium was in use while it was read, so what was read may never have been on it at one moment")
	}
}
