package main

import (
	"fmt"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// story is what the events of one exhibit need from each other to be told: an event names others by their leaves, and a reader sees
// their numbers.
type story struct {
	names     map[record.LeafHash]string            // as the reader sees the event's number
	corrected map[record.LeafHash][]record.LeafHash // by which later events
}

// tell takes in all events of an exhibit. Of several logs the number alone would mean several events: then it stands behind the
// beginning of the log's name, as flags take it.
func tell(c *custody.Case, moments []custody.Moment) *story {
	s := &story{names: map[record.LeafHash]string{}, corrected: map[record.LeafHash][]record.LeafHash{}}
	several := slices.ContainsFunc(moments, func(m custody.Moment) bool { return m.Entry.Log != moments[0].Entry.Log })
	for _, m := range moments {
		event, ok := m.Entry.Predicate.(record.Event)
		if !ok {
			continue
		}
		n := event.Header().Number
		s.names[m.Entry.Leaf] = fmt.Sprint(n)
		if several && m.Entry.Log == "" {
			s.names[m.Entry.Leaf] = eventName(c.Genesis().Origin, n)
		} else if several {
			s.names[m.Entry.Leaf] = eventName(m.Entry.Log, n)
		}
		if h, ok := event.(*record.Handled); ok && h.Handling.Corrects != nil {
			s.corrected[*h.Handling.Corrects] = append(s.corrected[*h.Handling.Corrects], m.Entry.Leaf)
		}
	}
	return s
}

// name is how the reader finds an event: by its number, or where the exhibit has no such event by its leaf.
func (s *story) name(leaf record.LeafHash) string {
	if name, ok := s.names[leaf]; ok {
		return "event " + name
	}
	return "an event that is not here, with leaf " + leaf.String()[:16]
}

// corrections says by which later events one was put right.
func (s *story) corrections(leaf record.LeafHash) []string {
	var out []string
	for _, by := range s.corrected[leaf] {
		out = append(out, "CORRECTED by: "+s.name(by))
	}
	return out
}

// correctedBy are the leaves of these events.
func (s *story) correctedBy(leaf record.LeafHash) []string {
	var out []string
	for _, by := range s.corrected[leaf] {
		out = append(out, by.String())
	}
	return out
}
