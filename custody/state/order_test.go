package state

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// words names the statements of an order, as a0 b0 b1.
func words(logs []Sequence, order []Place) []string {
	var out []string
	for _, p := range order {
		out = append(out, fmt.Sprintf("%s%d", logs[p.Log].Origin, p.Step))
	}
	return out
}

// sequence makes the steps of a log, each with a leaf of its own.
func sequence(origin string, n int) Sequence {
	s := Sequence{Origin: origin}
	for i := range n {
		s.Steps = append(s.Steps, Step{Index: int64(i + 1), Leaf: leafOf(origin, i)})
	}
	return s
}

func leafOf(origin string, i int) record.LeafHash { return record.LeafHash{origin[0], byte(i)} }

func TestOrder(t *testing.T) {
	answers := func(s *Sequence, step int, origin string, i int) {
		leaf := leafOf(origin, i)
		s.Steps[step].Answers = &leaf
	}
	tests := map[string]struct {
		change   func(a, b *Sequence)
		want     []string
		circular bool
	}{
		"nothing said":          {func(_, _ *Sequence) {}, []string{"a0", "a1", "a2", "b0", "b1", "b2"}, false},
		"an answer":             {func(a, _ *Sequence) { answers(a, 1, "b", 1) }, []string{"a0", "b0", "b1", "b2", "a1", "a2"}, false},
		"there and back":        {func(a, b *Sequence) { answers(b, 0, "a", 0); answers(a, 1, "b", 1) }, []string{"a0", "b0", "b1", "b2", "a1", "a2"}, false},
		"an answer to nobody":   {func(a, _ *Sequence) { answers(a, 0, "c", 1) }, []string{"a0", "a1", "a2", "b0", "b1", "b2"}, false},
		"a checkpoint":          {func(a, _ *Sequence) { a.Steps[1].Seen, a.Steps[1].Size = "b", 3 }, []string{"a0", "b0", "b1", "b2", "a1", "a2"}, false},
		"a larger log":          {func(a, _ *Sequence) { a.Steps[1].Seen, a.Steps[1].Size = "b", 99 }, []string{"a0", "b0", "b1", "b2", "a1", "a2"}, false},
		"a log that is missing": {func(a, _ *Sequence) { a.Steps[1].Seen, a.Steps[1].Size = "c", 3 }, []string{"a0", "a1", "a2", "b0", "b1", "b2"}, false},
		"opened beside":         {func(a, _ *Sequence) { a.After, a.Size = "b", 2 }, []string{"b0", "b1", "b2", "a0", "a1", "a2"}, false},
		"both saw the later": {func(a, b *Sequence) {
			a.Steps[0].Seen, a.Steps[0].Size = "b", 4
			b.Steps[0].Seen, b.Steps[0].Size = "a", 4
		}, []string{"a0", "a1", "a2", "b0", "b1", "b2"}, true},
	}
	for name, test := range tests {
		a, b := sequence("a", 3), sequence("b", 3)
		test.change(&a, &b)
		logs := []Sequence{a, b}
		order, circular := Order(logs)
		if got := words(logs, order); !slices.Equal(got, test.want) || circular != test.circular {
			t.Errorf("%s: %v, circular %t, want %v, %t", name, got, circular, test.want, test.circular)
		}
	}
}

// Whatever logs said when they met, every statement comes once, after those before it in its log and those that it saw.
func TestOrderKeepsWhatWasSeen(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		logs := []Sequence{sequence("a", 0), sequence("b", 0), sequence("c", 0)}
		for range 60 {
			i, j := random.IntN(3), random.IntN(3)
			s := Step{Index: int64(len(logs[i].Steps) + 1), Leaf: leafOf(logs[i].Origin, len(logs[i].Steps))}
			if n := len(logs[j].Steps); i != j && n > 0 && random.IntN(2) == 0 {
				s.Seen, s.Size = logs[j].Origin, int64(1+random.IntN(n+1))
			}
			logs[i].Steps = append(logs[i].Steps, s)
		}
		order, circular := Order(logs)
		if circular || len(order) != 60 {
			t.Fatalf("circular %t, %d statements", circular, len(order))
		}
		done := map[string]int{}
		for _, p := range order {
			s := logs[p.Log].Steps[p.Step]
			if done[logs[p.Log].Origin] != p.Step || s.Seen != "" && int64(done[s.Seen]) < s.Size-1 {
				t.Fatalf("%v comes too early in %v", p, words(logs, order))
			}
			done[logs[p.Log].Origin]++
		}
	}
}

// In a chain over two logs the numbers count within each, and a sentence about the other log says so.
func TestChainOverTwoLogs(t *testing.T) {
	var book Book
	s := story{t: t, random: rand.New(rand.NewPCG(3, 4))}
	add := func(log, by string, leaf byte, e record.Event) {
		book.Add(LoggedEvent{Index: 1, Leaf: record.LeafHash{leaf}, KeyID: by, Event: e, Log: log})
	}
	none := record.Unknown[record.Personal]("not given")
	party := &record.Party{Agency: none, Identifier: none, Name: none, Role: none}
	add("", "alice", 1, &record.Seized{Event: s.header()})
	s.n, s.last = 1, &record.LeafHash{1}
	add("", "alice", 2, s.event(record.TypeReleased, func(h *record.Handling) { h.To = party }))
	s.n, s.last = 0, nil
	release := record.LeafHash{2}
	add("other-log", "bob", 3, s.event(record.TypeAccepted, func(h *record.Handling) { h.Release, h.SealsFound = &release, []string{} }))
	if r := book.Report("7"); !r.Sound() || r.Holder.KeyID != "bob" || r.Handovers != 1 {
		t.Errorf("after the handover: %+v", r)
	}
	s.n, s.last = 4, &record.LeafHash{3}
	add("other-log", "bob", 4, s.event(record.TypeNoted))
	r := book.Report("7")
	if len(r.Contradictions) != 1 || r.Contradictions[0] != "after event 1 comes event 5 (log entry 1): what lies between is not in the log [in log other-lo]" {
		t.Errorf("a hole in the other log: %q", r.Contradictions)
	}
}
