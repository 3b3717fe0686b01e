package main

import (
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
)

// images tells which images an event is about, and whether those that were hashed then are what was acquired.
func (t *teller) images(all []record.ImageCheck) {
	for _, image := range all {
		text := image.Acquisition
		if len(image.Digests) > 0 {
			text += ", hashed: " + image.Digests[len(image.Digests)-1].String()
		}
		t.add("image", text)
		for _, c := range t.checks {
			if c.Leaf == t.leaf && c.Acquisition == image.Acquisition {
				t.add("hash checked", matchWords[c.Match])
			}
		}
	}
}

// matchWords say how what was found stands to the record.
var matchWords = map[state.Match]string{state.MatchEqual: "equal to the record", state.MatchDiffers: "DIFFERS from the record",
	state.MatchNone: "not compared"}

// handoverHash tells of an acceptance on which of both sides the images were hashed.
func (t *teller) handoverHash(h *record.Handling) {
	if h.Release == nil {
		return
	}
	before, given := state.CheckedAt(t.checks, *h.Release)
	after, taken := state.CheckedAt(t.checks, t.leaf)
	switch {
	case given && taken && before == after:
		t.add("hash at handover", "checked at release and at acceptance: "+matchWords[before])
	case given && taken:
		t.add("hash at handover", "checked at release: "+matchWords[before]+"; at acceptance: "+matchWords[after])
	case given:
		t.add("hash at handover", "checked at release only: "+matchWords[before])
	case taken:
		t.add("hash at handover", "checked at acceptance only: "+matchWords[after])
	}
}

type hashCheckDocument struct {
	Number      int64  `json:"number"`
	Log         string `json:"log,omitzero"`
	Leaf        string `json:"leaf"`
	Acquisition string `json:"acquisition"`
	Match       string `json:"match"`
}

func newHashCheckDocuments(all []state.HashCheck) []hashCheckDocument {
	out := []hashCheckDocument{}
	for _, c := range all {
		out = append(out, hashCheckDocument{c.Number, c.Log, c.Leaf.String(), c.Acquisition, string(c.Match)})
	}
	return out
}
