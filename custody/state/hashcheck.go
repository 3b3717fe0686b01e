package state

import "github.com/exhibit-forensics/exhibit/custody/record"

// HashCheck is what an image was found to hash to at an event, held against the record of its acquisition or copy.
type HashCheck struct {
	Number      int64  // of the event
	Log         string // as in LoggedEvent
	Leaf        record.LeafHash
	Acquisition string
	Match       Match
}

// CheckedAt is what came of all images that were hashed at the event with that leaf: of several the worst. ok is false where none was.
func CheckedAt(all []HashCheck, leaf record.LeafHash) (m Match, ok bool) {
	for _, c := range all {
		switch {
		case c.Leaf != leaf:
			continue
		case !ok, c.Match == MatchDiffers, c.Match == MatchNone && m == MatchEqual:
			m = c.Match
		}
		ok = true
	}
	return m, ok
}
