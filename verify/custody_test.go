package verify

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

// handle logs an event of one person, changed by change, and returns its leaf.
func (f *forge) handle(by sign.Signer, exhibit string, typ record.Type, change func(*record.Handling, *record.Openings)) record.LeafHash {
	h := must(record.NewHandled(typ))
	none := record.Unknown[record.Personal]("not given")
	party := record.Party{Agency: none, Identifier: none, Name: none, Role: none}
	h.Event = f.header(exhibit)
	h.Handling = record.Handling{Actor: party, Authority: record.NoAuthority("not given"), Condition: none, OccurredAt: testTime, Place: none, Purpose: none, Remarks: none, Witness: none}
	var o record.Openings
	if typ == record.TypeReleased {
		h.Handling.To = &party
	}
	if change != nil {
		change(&h.Handling, &o)
	}
	f.event(by, h, o)
	f.publish()
	return f.previous[exhibit].leaf
}

// What the log says of seals, hands and images is in line 6: a gap is unknown, a reason closes none, and an image that was
// another is a mismatch.
func TestCustodyLine(t *testing.T) {
	accept := func(leaf record.LeafHash) func(*record.Handling, *record.Openings) {
		return func(h *record.Handling, _ *record.Openings) { h.Release, h.SealsFound = &leaf, []string{} }
	}
	inspect := func(digest byte) func(*record.Handling, *record.Openings) {
		return func(h *record.Handling, _ *record.Openings) {
			h.Images = []record.ImageCheck{{Acquisition: idA, Digests: []record.Digest{record.BLAKE3Digest([32]byte{digest}), record.SHA256Digest([32]byte{digest})}}}
		}
	}
	tests := map[string]struct {
		events func(*forge)
		exit   int
		want   string // in line 6
	}{
		"both sides": {func(f *forge) {
			f.handle(f.second, "7/a", record.TypeAccepted, accept(f.handle(f.person, "7/a", record.TypeReleased, nil)))
		}, ExitVerified, "both sides of 1 handover signed"},
		"one side": {func(f *forge) {
			f.handle(f.person, "7/a", record.TypeAccepted, accept(f.handle(f.person, "7/a", record.TypeReleased, nil)))
		}, ExitUnknown, "is one-sided: key "},
		"open": {func(f *forge) { f.handle(f.person, "7/a", record.TypeReleased, nil) }, ExitUnknown, "waits for its answer"},
		"not the holder": {func(f *forge) {
			f.handle(f.second, "7/a", record.TypeSealed, func(h *record.Handling, _ *record.Openings) { h.SealsApplied = []string{"S-1"} })
		}, ExitUnknown, "breaks the rule not-holder"},
		"despite": {func(f *forge) {
			f.handle(f.second, "7/a", record.TypeSealed, func(h *record.Handling, o *record.Openings) {
				h.SealsApplied = []string{"S-1"}
				h.Despite = &record.Despite{Reason: must(o.Commit(rand.Reader, "/handling/despite/reason", "fire in the store")), Rules: []record.Rule{record.RuleNotHolder}}
			})
		}, ExitUnknown, `because "fire in the store"`},
		"another image": {func(f *forge) { f.handle(f.person, "7/a", record.TypeInspected, inspect(1)) }, ExitMismatch, "the image of acquisition " + idA},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := smallCase(t)
			tt.events(f)
			r := check(t, f.build().fs(""), "", f.policy(), tt.exit)
			text := r.Lines[5].Sentence
			for _, finding := range r.Lines[5].Findings {
				text += "\n" + finding.Text
			}
			if !strings.Contains(text, tt.want) {
				t.Errorf("line 6 says %q, want %q", text, tt.want)
			}
		})
	}
}
