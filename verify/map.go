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
		{"acquisition.medium.sizeBytes", c.a.Medium.SizeBytes, m.Size()},
		{"acquisition.unread.bytes", c.a.Unread.Bytes, bad.SizeBytes},
		{"acquisition.unread.ranges", c.a.Unread.Ranges, int64(bad.Ranges)},
		{"acquisition.medium.sizeBytes", c.a.Medium.SizeBytes, bad.SizeBytes + read.SizeBytes},
	} {
		if n.want != n.got {
			c.line.add(mismatch(name, n.field, fmt.Sprint(n.want), fmt.Sprint(n.got), "the map does not come to what the record says"))
			return
		}
	}
	c.line.checked++
}

// noteAcquisition says what the record itself says is missing, which changes no outcome.
func (c *files) noteAcquisition() {
	note := func(format string, args ...any) {
		c.line.add(Finding{Severity: Note, File: c.dir, Text: fmt.Sprintf(format, args...)})
	}
	u := c.a.Unread
	if u.Bytes > 0 {
		note("the medium did not give %d of its %d bytes, in %s; the map lists them, and they are zeros in the image", u.Bytes, c.a.Medium.SizeBytes, number(u.Ranges, "range"))
	}
	if u.RecoveredBytes > 0 {
		note("%d bytes were read only when a sector that had failed was tried again; the journal lists them", u.RecoveredBytes)
	}
	if n := len(c.a.Interruptions); n > 0 {
		note("the acquisition has %s, after which it went on; the record says when and why", number(int64(n), "interruption"))
	}
	for _, i := range c.a.Interruptions {
		if i.Differing > 0 {
			note("when it went on, %d of %d places that were read before read differently, and the operator chose to go on", i.Differing, i.Sampled)
		}
	}
	if hidden, known := c.a.Medium.Hidden().Get(); known && hidden {
		note("the drive hides a part of itself, which was not read; the record says how much")
	}
	c.noteContainer(note)
	if c.a.Medium.Access.Live {
		note("the medium was in use while it was read, so what was read may never have been on it at one moment")
	}
}

// noteContainer says of the image that was acquired from whether it was what it said.
func (c *files) noteContainer(note func(format string, args ...any)) {
	from, ok := c.a.Medium.Container.Get()
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
	}
	if u := from.Unread; u.Bytes > 0 {
		said += fmt.Sprintf("; it says that its medium did not give %d bytes, in %s", u.Bytes, number(u.Ranges, "range"))
	}
	note("the medium was read out of an image (%s, %s)%s", from.Format, number(from.Segments, "file"), said)
}
