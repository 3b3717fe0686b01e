package state

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

func leaf(n byte) record.LeafHash { return record.LeafHash{n} }

func header(exhibit string, number int64, previous *record.LeafHash, minute int) record.Header {
	at := time.Date(2026, 11, 23, 9, minute, 0, 0, time.UTC)
	return record.Header{Exhibit: exhibit, Number: number, Previous: previous, Time: record.NewTime(at, record.ClockSystem, record.Known(true))}
}

func seized(index int64, exhibit string, number int64, previous *record.LeafHash) LoggedEvent {
	return LoggedEvent{Index: index, Leaf: leaf(byte(index)), KeyID: "a", Event: &record.Seized{Event: header(exhibit, number, previous, int(index))}}
}

func acquired(index int64, exhibit, id string, number int64, previous *record.LeafHash) LoggedEvent {
	return LoggedEvent{Index: index, Leaf: leaf(byte(index)), KeyID: "station", Event: &record.Acquired{Event: header(exhibit, number, previous, int(index)),
		Acquisition: record.Acquisition{ID: id, Digests: media(1)}}}
}

// copied is a copy of the acquisition id, of entry of, whose medium begins with the byte fill.
func copied(index int64, id, of string, entry, fill byte, number int64, previous *record.LeafHash) LoggedEvent {
	ref := record.Reference{ID: of, Leaf: leaf(entry)}
	return LoggedEvent{Index: index, Leaf: leaf(byte(index)), KeyID: "station", Event: &record.Copied{Event: header("7", number, previous, int(index)),
		Copy: record.Copy{ID: id, Original: ref, Source: ref, Digests: media(fill)}}}
}

// source makes a copy one that was made of another copy.
func source(e LoggedEvent, of string, entry byte) LoggedEvent {
	e.Event.(*record.Copied).Copy.Source = record.Reference{ID: of, Leaf: leaf(entry)} //nolint:errcheck // a test: it panics
	return e
}

// gaps makes a copy say other things of what was not read from the medium.
func gaps(e LoggedEvent, unread, taken int64, list byte) LoggedEvent {
	c := &e.Event.(*record.Copied).Copy //nolint:errcheck // a test: it panics
	c.Unread.Bytes = unread
	if taken > 0 {
		c.TakenOver = []record.TakenOver{{Bytes: taken}}
	}
	if list > 0 {
		c.Files = []record.File{{Role: record.RoleMap, Digests: []record.Digest{record.BLAKE3Digest([32]byte{list})}}}
	}
	return e
}

func media(fill byte) []record.MediaDigest {
	return []record.MediaDigest{{Computed: record.ComputedWhileReading, Digest: record.BLAKE3Digest([32]byte{fill})}}
}

// check is a Book filled with events.
func check(events []LoggedEvent) []Report {
	var b Book
	for _, e := range events {
		b.Add(e)
	}
	return b.Reports()
}

func after(n byte) *record.LeafHash { l := leaf(n); return &l }

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		events                     []LoggedEvent
		gaps, contradictions, note string // a part of the one sentence; empty: none
		twice                      bool   // the contradiction is one of the original and one of the source
	}{
		"seized and acquired":       {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1))}},
		"acquired twice":            {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), acquired(3, "7", "b", 3, after(2))}},
		"never seized":              {events: []LoggedEvent{acquired(1, "7", "a", 1, nil)}, gaps: "though never seized"},
		"seized again":              {events: []LoggedEvent{seized(1, "7", 1, nil), seized(2, "7", 2, after(1))}, gaps: "already begun"},
		"hole":                      {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 3, after(1))}, contradictions: "what lies between"},
		"first missing":             {events: []LoggedEvent{seized(1, "7", 2, after(9))}, contradictions: "events 1 to 1 are not"},
		"number twice":              {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 1, nil)}, contradictions: "stands twice"},
		"wrong leaf":                {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(9))}, contradictions: "follows an event with leaf 09"},
		"no previous":               {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, nil)}, contradictions: "does not say rightly"},
		"same acquisition":          {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), acquired(3, "7", "a", 3, after(2))}, contradictions: "second time"},
		"copied":                    {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), copied(3, "b", "a", 2, 1, 3, after(2))}},
		"copied on":                 {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), copied(3, "b", "a", 2, 1, 3, after(2)), source(copied(4, "c", "a", 2, 1, 4, after(3)), "b", 3)}},
		"copy of other bytes":       {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), copied(3, "b", "a", 2, 9, 3, after(2))}, contradictions: "copy of other bytes", twice: true},
		"copy of more bytes read":   {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), gaps(copied(3, "b", "a", 2, 1, 3, after(2)), 512, 0, 0)}, contradictions: "says otherwise than its original", twice: true},
		"copy that takes over":      {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), gaps(copied(3, "b", "a", 2, 1, 3, after(2)), 0, 9, 0)}, contradictions: "says otherwise than its original", twice: true},
		"copy with another map":     {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), gaps(copied(3, "b", "a", 2, 1, 3, after(2)), 0, 0, 7)}, contradictions: "says otherwise than its original", twice: true},
		"copy of nothing":           {events: []LoggedEvent{seized(1, "7", 1, nil), copied(2, "b", "a", 1, 1, 2, after(1))}, contradictions: "does not have before it", twice: true},
		"copy with another leaf":    {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), copied(3, "b", "a", 1, 1, 3, after(2))}, contradictions: "does not have before it", twice: true},
		"copy of a copy only":       {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), copied(3, "b", "a", 2, 1, 3, after(2)), source(copied(4, "c", "b", 3, 1, 4, after(3)), "a", 2)}, contradictions: "no acquisition but a copy"},
		"source is missing":         {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), source(copied(3, "c", "a", 2, 1, 3, after(2)), "b", 9)}, contradictions: "names as its source"},
		"copy with an id of others": {events: []LoggedEvent{seized(1, "7", 1, nil), acquired(2, "7", "a", 2, after(1)), copied(3, "a", "a", 2, 1, 3, after(2))}, contradictions: "second time"},
		"copied first":              {events: []LoggedEvent{copied(1, "b", "a", 1, 1, 1, nil)}, gaps: "no seizure", contradictions: "does not have before it", twice: true},
		"clock went back":           {events: []LoggedEvent{seized(5, "7", 1, nil), acquired(2, "7", "a", 2, after(5))}, note: "was signed before"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reports := check(tt.events)
			if len(reports) != 1 {
				t.Fatalf("%d reports, want 1", len(reports))
			}
			r := reports[0]
			if got := int64(len(tt.events)); r.Events != got || r.Exhibit != "7" {
				t.Errorf("report of %q with %d events, want %d", r.Exhibit, r.Events, got)
			}
			expect(t, "gaps", r.Gaps, tt.gaps)
			if tt.twice && len(r.Contradictions) == 2 {
				r.Contradictions = r.Contradictions[:1]
			}
			expect(t, "contradictions", r.Contradictions, tt.contradictions)
			expect(t, "notes", r.Notes, tt.note)
			if want := tt.gaps == "" && tt.contradictions == ""; r.Sound() != want {
				t.Errorf("sound %t, want %t", r.Sound(), want)
			}
		})
	}
}

func expect(t *testing.T, what string, got []string, part string) {
	t.Helper()
	if part == "" && len(got) == 0 {
		return
	}
	if part == "" || len(got) != 1 || !strings.Contains(got[0], part) {
		t.Errorf("%s %q, want one with %q", what, got, part)
	}
}

// What lies between release and acceptance is said; an acceptance that a person dates before the release is too early.
func TestTransit(t *testing.T) {
	handed := func(index int64, typ record.Type, day int, change func(*record.Handling)) LoggedEvent {
		h, err := record.NewHandled(typ)
		if err != nil {
			t.Fatal(err)
		}
		h.Event = header("7", index, after(byte(index-1)), int(index))
		h.Handling.OccurredAt = record.NewTime(time.Date(2026, 11, day, 9, 0, 0, 0, time.UTC), record.ClockEntered, record.Unknown[bool]("entered"))
		change(&h.Handling)
		return LoggedEvent{Index: index, Leaf: leaf(byte(index)), KeyID: "ab"[index%2 : index%2+1], Event: h}
	}
	begin := seized(1, "7", 1, nil)
	begin.Event.(*record.Seized).Seizure.SeizedAt = record.NewTime(time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC), record.ClockEntered, record.Unknown[bool]("entered")) //nolint:errcheck // a test: it panics
	release := handed(2, record.TypeReleased, 2, func(h *record.Handling) { h.To = new(record.Party) })
	accept := func(day int) LoggedEvent {
		return handed(3, record.TypeAccepted, day, func(h *record.Handling) { h.Release, h.SealsFound = after(2), []string{} })
	}
	late := check([]LoggedEvent{begin, release, accept(20)})[0]
	expect(t, "gaps", late.Gaps, "")
	expect(t, "notes", late.Notes, "in transit from 2026-11-02 09:00 +00:00 (event 2) to 2026-11-20 09:00 +00:00 (event 3)")
	early := check([]LoggedEvent{begin, release, accept(1)})[0]
	expect(t, "gaps", early.Gaps, "breaks the rule too-early")
	expect(t, "notes", early.Notes, "")
}

func TestNothingIsNotSound(t *testing.T) {
	if (Report{}).Sound() {
		t.Error("the zero Report is sound")
	}
	if got := check(nil); len(got) != 0 {
		t.Errorf("reports of no events: %v", got)
	}
}

func TestExhibitsAreApart(t *testing.T) {
	got := check([]LoggedEvent{
		seized(1, "8", 1, nil), seized(2, "7", 1, nil), acquired(3, "8", "a", 2, after(1)), acquired(4, "7", "a", 2, after(2)),
	})
	if len(got) != 2 || got[0].Exhibit != "7" || got[1].Exhibit != "8" || !got[0].Sound() || !got[1].Sound() {
		t.Fatalf("reports %+v, want sound ones of 7 and 8", got)
	}
	if r := got[1]; r.Events != 2 || !slices.Equal(r.Acquisitions, []string{"a"}) || r.Holder.KeyID != "a" {
		t.Errorf("facts of 8: %+v", r)
	}
}

func TestSentencesAreBounded(t *testing.T) {
	var b Book
	b.Add(seized(1, "7", 1, nil))
	for range 1000 {
		b.Add(acquired(2, "7", "a", 1, nil))
	}
	if got := len(b.Reports()[0].Contradictions); got != maxSentences+1 {
		t.Errorf("%d sentences, want %d", got, maxSentences+1)
	}
}
