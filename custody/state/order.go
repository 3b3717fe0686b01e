package state

import "github.com/exhibit-forensics/exhibit/custody/record"

// Step is a statement of a log, as far as it says what it came after.
type Step struct {
	Index   int64
	Leaf    record.LeafHash
	Answers *record.LeafHash // the release that it accepts or refuses
	Seen    string           // origin of the log whose checkpoint it takes in; empty: none
	Size    int64            // of that checkpoint
}

// StepOf makes the Step of a statement.
func StepOf(index int64, leaf record.LeafHash, p record.Predicate) Step {
	s := Step{Index: index, Leaf: leaf}
	switch p := p.(type) {
	case *record.Handled:
		s.Answers = p.Handling.Release
	case *record.Anchored:
		s.Seen, s.Size = p.Origin, p.Size
	}
	return s
}

// Sequence is one log: its statements but the genesis, in its order.
type Sequence struct {
	Origin string
	After  string // origin of the log that it was continued from or opened beside; empty: none
	Size   int64  // so many entries of that log came before its own
	Steps  []Step
}

// SequenceOf is the log of that genesis, without its steps.
func SequenceOf(g *record.CaseOpened) Sequence {
	s := Sequence{Origin: g.Origin}
	if j := g.Joins; j != nil {
		s.After, s.Size = j.Origin, j.Size
	}
	if k := g.Continues; k != nil {
		s.After, s.Size = k.Origin, k.Size
	}
	return s
}

// Next is the index of the first statement that is not among the steps.
func (s Sequence) Next() int64 {
	if len(s.Steps) == 0 {
		return 1
	}
	return s.Steps[len(s.Steps)-1].Index + 1
}

// Place is a statement by its log and its place among that log's Steps.
type Place struct{ Log, Step int }

// Order puts the statements of several logs into one order in which each log keeps its own, an answer follows its release,
// and whoever took in a checkpoint follows what it covers. Clocks say nothing here. Where the logs leave the order open,
// the earlier of logs comes first. circular says that what they say of each other cannot be true: then the rest follows in
// the order of logs.
func Order(logs []Sequence) (order []Place, circular bool) {
	o := orderer{logs: logs, next: make([]int, len(logs)), release: map[record.LeafHash]Place{}, byOrigin: map[string]int{}}
	total := 0
	for i, l := range logs {
		o.byOrigin[l.Origin] = i
		total += len(l.Steps)
		for j, s := range l.Steps {
			o.release[s.Leaf] = Place{i, j}
		}
	}
	order = make([]Place, 0, total)
	for len(order) < total {
		before := len(order)
		for i := range logs {
			for o.next[i] < len(logs[i].Steps) && (circular || o.ready(i)) {
				order = append(order, Place{i, o.next[i]})
				o.next[i]++
			}
		}
		circular = circular || len(order) == before
	}
	return order, circular
}

type orderer struct {
	logs     []Sequence
	next     []int
	release  map[record.LeafHash]Place
	byOrigin map[string]int
}

func (o *orderer) ready(i int) bool {
	l := o.logs[i]
	s := l.Steps[o.next[i]]
	if o.next[i] == 0 && !o.passed(l.After, l.Size) || !o.passed(s.Seen, s.Size) {
		return false
	}
	if s.Answers == nil {
		return true
	}
	at, here := o.release[*s.Answers]
	return !here || at.Log == i || o.next[at.Log] > at.Step
}

// passed reports whether the first size entries of a log were put in order, as far as they are here.
func (o *orderer) passed(origin string, size int64) bool {
	i, here := o.byOrigin[origin]
	if !here || o.next[i] == len(o.logs[i].Steps) {
		return true
	}
	return o.logs[i].Steps[o.next[i]].Index >= size
}
