package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
)

// story is what the events of one exhibit need from each other to be told: an event names others by their leaves, and a reader sees
// their numbers.
type story struct {
	names     map[record.LeafHash]string            // as the reader sees the event's number
	corrected map[record.LeafHash][]record.LeafHash // by which later events
	signers   map[record.LeafHash]custody.Signatory
	logs      []logName // of which there are events, if there are several
}

// logName is how a reader tells logs apart.
type logName struct{ Short, Agency string }

// tell takes in all events of an exhibit. Of several logs the number alone would mean several events: then it stands behind the
// beginning of the log's name, as flags take it.
func tell(c *custody.Case, moments []custody.Moment) (*story, error) {
	s := &story{names: map[record.LeafHash]string{}, corrected: map[record.LeafHash][]record.LeafHash{}, signers: map[record.LeafHash]custody.Signatory{}}
	known := map[[2]string]custody.Signatory{} // by log and key: who is looked up once, though there be a thousand events
	several := slices.ContainsFunc(moments, func(m custody.Moment) bool { return m.Entry.Log != moments[0].Entry.Log })
	for _, m := range moments {
		event, ok := m.Entry.Predicate.(record.Event)
		if !ok {
			continue
		}
		at := [2]string{m.Entry.Log, m.Entry.KeyID}
		who, found := known[at]
		if !found {
			var err error
			if who, err = c.Signatory(m.Entry); err != nil {
				return nil, err
			}
			known[at] = who
		}
		s.signers[m.Entry.Leaf] = who
		n := event.Header().Number
		s.names[m.Entry.Leaf] = fmt.Sprint(n)
		if several {
			origin := cmp.Or(m.Entry.Log, c.Genesis().Origin)
			s.names[m.Entry.Leaf] = eventName(origin, n)
			if log := (logName{shortOrigin(origin), clean(who.Agency)}); !slices.Contains(s.logs, log) {
				s.logs = append(s.logs, log)
			}
		}
		if h, ok := event.(*record.Handled); ok && h.Handling.Corrects != nil {
			s.corrected[*h.Handling.Corrects] = append(s.corrected[*h.Handling.Corrects], m.Entry.Leaf)
		}
	}
	return s, nil
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

type eventSignerDocument struct {
	Kind   string `json:"kind,omitzero"` // absent: a key that the log does not admit
	Holder string `json:"holder,omitzero"`
	Agency string `json:"agency"`
}

// document is an event as it is given to other programs.
func (s *story) document(e custody.Entry) eventDocument {
	d := newEventDocument(e)
	d.CorrectedBy = s.correctedBy(e.Leaf)
	by := s.signers[e.Leaf]
	d.Signer = &eventSignerDocument{by.Kind, by.Holder, by.Agency}
	return d
}

// heldText names the line that says who has the exhibit: nobody holds what was destroyed.
func heldText(r state.Report) (name, text string) {
	if r.Destroyed == 0 {
		return "Held by", holderText(r)
	}
	return "Destroyed", fmt.Sprintf("on %s%s, event %d%s", r.DestroyedAt.Wall(), orderText(r.DestroyedOrder), r.Destroyed, state.InLog(r.DestroyedLog))
}

// orderText says by which order; an authority is often written as "order 12/2026" already.
func orderText(order string) string {
	if strings.HasPrefix(strings.ToLower(order), "order") {
		return " by " + order
	}
	return named(" by order ", order, "")
}

// AfterText says who had the exhibit after an event.
func (m moment) AfterText() string {
	if m.Gone {
		return "Destroyed then, and held by nobody"
	}
	return "Then held by"
}

// unnamed says as much as the log has of somebody whose name it does not have, or reveal.
func unnamed(by custody.Signatory) string {
	switch by.Kind {
	case record.KindPerson:
		return "a person of " + by.Agency + ", not named"
	case record.KindStation:
		return "a station of " + by.Agency + ", its examiner not named"
	}
	return "somebody not named"
}
