package main

import (
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// noteContainer says what the image that was acquired from says about itself, and makes it the exit code: a digest that does
// not hold, places that its own medium did not give.
func noteContainer(u *ui, a record.Acquisition) {
	c, ok := a.Medium.Container.Get()
	if !ok {
		return
	}
	if c.Unread.Bytes > 0 {
		u.code = codeUnread
		u.notef("the image that was read says itself that its medium did not give %s in %s; what stands in their place was acquired",
			size(c.Unread.Bytes), plural(c.Unread.Ranges, "range"))
	}
	for _, s := range c.Stored() {
		name := strings.ToUpper(string(s.Digest.Algorithm()))
		switch held, known := s.Held.Get(); {
		case !known:
			u.notef("whether the %s that the image states holds cannot be told: %s", name, s.Held.Reason())
		case !held:
			u.code = codeMismatch
			u.notef("THE IMAGE THAT WAS READ IS NOT WHAT IT SAYS: it states %s %s, and its bytes have another one; it was changed, or made wrongly", name, s.Digest.Hex())
			u.notef("hint: compare it with another copy, and with the papers of whoever made it")
		}
	}
	if len(c.Stored()) == 0 {
		u.notef("whether the image that was read is what was once acquired cannot be told, as no digest of its medium can be had: %s", c.MD5.Reason())
	}
}

// containerText is the outcome in one line.
func containerText(c record.Container) string {
	var held []string
	for _, s := range c.Stored() {
		word := "is unknown"
		if h, known := s.Held.Get(); known && h {
			word = "holds"
		} else if known {
			word = "does NOT hold"
		}
		held = append(held, "its "+strings.ToUpper(string(s.Digest.Algorithm()))+" "+word)
	}
	if len(held) == 0 {
		held = []string{"it states no digest"}
		if why := c.MD5.Reason(); why != "it states none" {
			held = []string{"no digest that it states can be used, " + why}
		}
	}
	return "E01, " + plural(c.Segments, "file") + ": " + strings.Join(held, ", ")
}
