package state

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// part is a sound seizure of an exhibit that was taken out of another one.
func part(index int64, exhibit, of string) LoggedEvent {
	e := seized(index, exhibit, 1, nil)
	if s, ok := e.Event.(*record.Seized); ok {
		s.Seizure.PartOf = of
	}
	return e
}

// An exhibit names its whole, and the whole its parts; what is part of itself cannot be true, and a whole that is not here is
// only noted.
func TestParts(t *testing.T) {
	var b Book
	for _, e := range []LoggedEvent{part(1, "7", ""), part(2, "7-SIM", "7"), part(3, "7-card", "7"), part(4, "8-SIM", "8"), part(5, "9", "10"), part(6, "10", "11"), part(7, "11", "9")} {
		b.Add(e)
	}
	reports := map[string]Report{}
	for _, r := range b.Reports() {
		reports[r.Exhibit] = r
	}
	if r := reports["7"]; !r.Sound() || r.PartOf != "" || !slices.Equal(r.Parts, []string{"7-SIM", "7-card"}) {
		t.Errorf("the whole: %+v", r)
	}
	if r := reports["7-SIM"]; !r.Sound() || r.PartOf != "7" || len(r.Parts)+len(r.Notes) > 0 {
		t.Errorf("a part: %+v", r)
	}
	if r := reports["8-SIM"]; !r.Sound() || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], `part of exhibit "8", of which there is no event`) {
		t.Errorf("a part of what is not here: %+v", r)
	}
	for _, exhibit := range []string{"9", "10", "11"} {
		if r := reports[exhibit]; len(r.Contradictions) != 1 || !strings.Contains(r.Contradictions[0], "part of it in turn") {
			t.Errorf("exhibit %s, which is part of itself: %+v", exhibit, r)
		}
	}
}

// A chain begins soundly whatever the origin; a time that is yet to come breaks a rule, and is a gap where it was logged.
func TestSeizureRules(t *testing.T) {
	late := record.NewTime(time.Date(2126, 1, 1, 0, 0, 0, 0, time.UTC), record.ClockEntered, record.Unknown[bool]("entered"))
	for name, tt := range map[string]struct {
		change func(*record.Seizure)
		broken int
	}{
		"a provider":          {func(s *record.Seizure) { s.Origin.Kind = "provider" }, 0},
		"seized in future":    {func(s *record.Seizure) { s.SeizedAt = late }, 1},
		"extracted in future": {func(s *record.Seizure) { s.Origin.ExtractedAt = record.Known(late) }, 1},
	} {
		e := part(1, "7", "")
		s, ok := e.Event.(*record.Seized)
		if !ok {
			t.Fatal("no seizure")
		}
		tt.change(&s.Seizure)
		var b Book
		if got := b.Check(e); len(got) != tt.broken || tt.broken > 0 && got[0].Rule != record.RuleFuture {
			t.Errorf("%s: broken %v", name, got)
		}
		if tt.broken > 0 {
			s.Seizure.Despite = &record.Despite{Rules: []record.Rule{record.RuleFuture}}
			e.Openings = record.Openings{{Path: "/seizure/despite/reason", Value: "the clock was wrong"}}
		}
		b.Add(e)
		if r := b.Report("7"); len(r.Gaps) != tt.broken || tt.broken > 0 && !strings.Contains(r.Gaps[0], `rule future`) || tt.broken > 0 && !strings.Contains(r.Gaps[0], "the clock was wrong") {
			t.Errorf("%s: gaps %q", name, r.Gaps)
		}
	}
}
