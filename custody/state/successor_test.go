package state

import (
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Who goes on with another key is still the same person: neither key endorses what the other signed.
func TestSuccessorIsNoSecondPerson(t *testing.T) {
	b := Book{Person: func(id string) string {
		return map[string]string{"new": "old"}[id] + map[string]string{"old": "old", "other": "other"}[id]
	}}
	e := seized(1, "7", 1, nil)
	e.KeyID = "old"
	b.Add(e)
	h, err := record.NewHandled(record.TypeEndorsed)
	if err != nil {
		t.Fatal(err)
	}
	h.Event = header("7", 2, after(1), 2)
	h.Handling.OccurredAt, h.Handling.Endorses = h.Event.Time, []record.LeafHash{leaf(1)}
	for key, want := range map[string]int{"old": 1, "new": 1, "other": 0} {
		got := b.Check(LoggedEvent{KeyID: key, Event: h})
		if len(got) != want || want == 1 && got[0].Rule != record.RuleOwnSignature {
			t.Errorf("endorsed by %q: %v, want %d breaches", key, got, want)
		}
	}
	b.Add(LoggedEvent{Index: 2, Leaf: leaf(2), KeyID: "new", Event: h})
	if r := b.Report("7"); len(r.Endorsements) != 0 {
		t.Errorf("endorsements %+v, want none", r.Endorsements)
	}
}
