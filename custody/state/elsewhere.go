package state

import (
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Elsewhere is a copy that another program or a device made, and that does not lie in the case.
type Elsewhere struct {
	Number int64  // of the event
	Log    string // as in LoggedEvent
	Label  string // by which people find it
	Of     string // the acquisition or copy that it was made of; empty: the exhibit itself
	ToName string // to whom it went, as revealed; may be empty
	Match  Match
}

// Match says how digests that an event states stand to those of the records. The zero Match is none of them.
type Match string

// The outcomes of such a comparison.
const (
	MatchEqual   Match = "equal"        // every digest that the record has, too, is the record's, and one at least is
	MatchDiffers Match = "differs"      // one of them is another
	MatchNone    Match = "not-compared" // the record has no such digest, or there is no record
)

// matchOf holds digests against those of one record.
func matchOf(found []record.Digest, recorded []record.MediaDigest) Match {
	match := MatchNone
	for _, f := range found {
		for _, r := range recorded {
			switch {
			case f.Algorithm() != r.Digest.Algorithm():
			case f != r.Digest:
				return MatchDiffers
			default:
				match = MatchEqual
			}
		}
	}
	return match
}

func hasAlgorithm(recorded []record.MediaDigest, a record.Algorithm) bool {
	return slices.ContainsFunc(recorded, func(r record.MediaDigest) bool { return r.Digest.Algorithm() == a })
}

// elsewhere takes in a copy that was made by other means. One of an image has the digests of the record, or it is a copy of other
// bytes. One of the exhibit itself is equal to an acquisition, or nobody can tell whether both read the medium alike.
func (c *chain) elsewhere(e LoggedEvent, h *record.Handled) {
	copied := h.Handling.Copy
	if copied == nil {
		return
	}
	out := Elsewhere{Number: h.Event.Number, Log: e.Log, Label: copied.Label, Match: MatchNone}
	out.ToName, _ = e.Openings.Value("/handling/to/name")
	for _, image := range h.Handling.Images {
		out.Of = image.Acquisition
		recorded := c.recorded(image.Acquisition)
		out.Match = matchOf(copied.Digests, recorded)
		for _, d := range copied.Digests {
			if out.Match == MatchEqual && !hasAlgorithm(recorded, d.Algorithm()) {
				note(&c.report.Notes, "the copy %q of event %d (log entry %d) states a digest by %s, which the record does not have: it was not compared", out.Label, out.Number, e.Index, d.Algorithm())
			}
		}
	}
	for i := 0; h.Handling.Images == nil && i < len(c.report.Acquisitions) && out.Match != MatchEqual; i++ {
		if m := matchOf(copied.Digests, c.recorded(c.report.Acquisitions[i])); m != MatchNone {
			out.Match = m
		}
	}
	switch {
	case out.Match == MatchDiffers && out.Of != "":
		note(&c.report.Gaps, "the copy %q of event %d (log entry %d) does not have the digests of %s: it is a copy of other bytes", out.Label, out.Number, e.Index, out.Of)
	case out.Match == MatchDiffers:
		note(&c.report.Gaps, "the copy %q of event %d (log entry %d), made of the exhibit itself, has the digests of none of its acquisitions: one of them, or the copy, is not all that the medium held", out.Label, out.Number, e.Index)
	case out.Match == MatchNone:
		note(&c.report.Notes, "the copy %q of event %d (log entry %d) states no digest that an acquisition before it has: nothing shows that it holds the same bytes", out.Label, out.Number, e.Index)
	}
	c.report.Elsewhere = append(c.report.Elsewhere, out)
}
