// Package state says what the logged events tell of each exhibit, and where they leave a gap or contradict each other.
//
// Start with [Book]: give it every event of one log, in the log's order, then ask for the [Report] of each exhibit.
// The promise: only a complete chain is [Report.Sound]: the first event is the seizure, the numbers run 1, 2, 3 without
// hole or double, and each event names the leaf of the one before. The zero Report, and a chain of no events, are not
// sound. The package is pure; that the events are the log's is for the caller to know.
package state

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// LoggedEvent is an event with its place in the log.
type LoggedEvent struct {
	Index int64
	Leaf  record.LeafHash
	Event record.Event
}

// Report is what the events of one exhibit say. Gaps are what nobody can tell from the events (verify: unknown);
// contradictions are what cannot be true of an honest, complete log (verify: FAILED). Both are plain sentences.
type Report struct {
	Exhibit        string
	Events         int64
	Seals          []string // of the last seizure
	Gaps           []string
	Contradictions []string
	// Notes are worth a look and change no outcome, as a clock that went back: a time proves nothing by itself.
	Notes []string
}

// Sound reports whether the chain has events, no gap and no contradiction.
func (r Report) Sound() bool { return r.Events > 0 && len(r.Gaps) == 0 && len(r.Contradictions) == 0 }

// maxSentences bounds each list of a Report: of a log that is wrong throughout, the first hundred say enough.
const maxSentences = 100

// Book follows the chains of all exhibits of one log. The zero Book is empty and ready. Its memory grows with the number
// of exhibits and acquisitions, not of events.
type Book struct {
	chains map[string]*chain
}

// Add takes the next event of the log.
func (b *Book) Add(e LoggedEvent) {
	if b.chains == nil {
		b.chains = map[string]*chain{}
	}
	exhibit := e.Event.Header().Exhibit
	c := b.chains[exhibit]
	if c == nil {
		c = &chain{report: Report{Exhibit: exhibit}, images: map[string]imaged{}}
		b.chains[exhibit] = c
	}
	c.add(e)
}

// Reports returns one Report an exhibit, sorted by the exhibit's number as text.
func (b *Book) Reports() []Report {
	out := make([]Report, 0, len(b.chains))
	for _, exhibit := range slices.Sorted(maps.Keys(b.chains)) {
		out = append(out, b.chains[exhibit].report)
	}
	return out
}

// chain is one exhibit's events so far.
type chain struct {
	report Report
	number int64 // of the last event
	leaf   record.LeafHash
	at     time.Time         // when the last event was signed, by its clock
	images map[string]imaged // by the ids of acquisitions and copies
}

// imaged is what a later copy is held against.
type imaged struct {
	leaf     record.LeafHash
	acquired bool
	size     int64
	digests  []record.MediaDigest
}

func (c *chain) add(e LoggedEvent) {
	h := e.Event.Header()
	c.checkPlace(e.Index, h)
	c.checkTime(e.Index, h)
	switch event := e.Event.(type) {
	case *record.Seized:
		if c.report.Events > 0 {
			note(&c.report.Gaps, "event %d (log entry %d) seizes the exhibit although its chain had already begun", h.Number, e.Index)
		}
		c.report.Seals = slices.Clone(event.Seizure.Seals)
	case *record.Acquired:
		if c.report.Events == 0 {
			note(&c.report.Gaps, "the exhibit was acquired (log entry %d) though never seized: nothing says where it came from", e.Index)
		}
		c.image(e.Index, event.Acquisition.ID, imaged{e.Leaf, true, event.Acquisition.Medium.SizeBytes, event.Acquisition.Digests})
	case *record.Copied:
		if c.report.Events == 0 {
			note(&c.report.Gaps, "the first event (log entry %d) is no seizure but %q", e.Index, e.Event.Type())
		}
		c.copied(e.Index, &event.Copy)
		c.image(e.Index, event.Copy.ID, imaged{e.Leaf, false, event.Copy.SizeBytes, event.Copy.Digests})
	default:
		if c.report.Events == 0 {
			note(&c.report.Gaps, "the first event (log entry %d) is no seizure but %q", e.Index, e.Event.Type())
		}
	}
	c.report.Events++
	c.number, c.leaf = h.Number, e.Leaf
}

func (c *chain) image(index int64, id string, i imaged) {
	if _, ok := c.images[id]; ok {
		note(&c.report.Contradictions, "acquisition %s is recorded a second time (log entry %d)", id, index)
		return
	}
	c.images[id] = i
}

// copied requires that what a copy was made of was recorded before, with the same media stream.
func (c *chain) copied(index int64, m *record.Copy) {
	for _, of := range []struct {
		word string
		ref  record.Reference
	}{{"original", m.Original}, {"source", m.Source}} {
		have, ok := c.images[of.ref.ID]
		switch {
		case !ok || have.leaf != of.ref.Leaf:
			note(&c.report.Contradictions, "copy %s (log entry %d) names as its %s the record of %s with leaf %s, which the log does not have before it", m.ID, index, of.word, of.ref.ID, of.ref.Leaf)
		case of.word == "original" && !have.acquired:
			note(&c.report.Contradictions, "copy %s (log entry %d) names as its original %s, which is no acquisition but a copy", m.ID, index, of.ref.ID)
		case have.size != m.SizeBytes || !hasAll(m.Digests, have.digests):
			note(&c.report.Contradictions, "copy %s (log entry %d) does not have the size and digests of its %s %s: it is a copy of other bytes", m.ID, index, of.word, of.ref.ID)
		}
	}
}

// hasAll reports whether every digest of want stands in have, however each was computed.
func hasAll(have, want []record.MediaDigest) bool {
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h record.MediaDigest) bool { return h.Digest == w.Digest }) {
			return false
		}
	}
	return true
}

// checkPlace compares number and previous leaf with the event before. After a break it goes on from what is there, so
// that one fault gives one sentence.
func (c *chain) checkPlace(index int64, h *record.Header) {
	first := c.report.Events == 0
	switch want := c.number + 1; {
	case h.Number > want && first:
		note(&c.report.Contradictions, "the first event (log entry %d) has number %d: events 1 to %d are not in the log", index, h.Number, h.Number-1)
	case h.Number > want:
		note(&c.report.Contradictions, "after event %d comes event %d (log entry %d): what lies between is not in the log", c.number, h.Number, index)
	case h.Number < want:
		note(&c.report.Contradictions, "after event %d comes event %d (log entry %d): the number stands twice or the order was changed", c.number, h.Number, index)
	case first && h.Previous != nil, !first && h.Previous == nil:
		note(&c.report.Contradictions, "event %d (log entry %d) does not say rightly whether an event came before it", h.Number, index)
	case !first && *h.Previous != c.leaf:
		note(&c.report.Contradictions, "event %d (log entry %d) follows an event with leaf %s, but the one before it has leaf %s", h.Number, index, *h.Previous, c.leaf)
	}
}

func (c *chain) checkTime(index int64, h *record.Header) {
	at, err := h.Time.Moment()
	if err != nil {
		note(&c.report.Contradictions, "event %d (log entry %d) has no readable time", h.Number, index)
		return
	}
	if at.Before(c.at) {
		note(&c.report.Notes, "by their clocks, event %d (log entry %d, %s) was signed before the event that precedes it", h.Number, index, h.Time.UTC)
	}
	c.at = at
}

// note appends a sentence, up to the bound.
func note(to *[]string, format string, args ...any) {
	switch n := len(*to); {
	case n < maxSentences:
		*to = append(*to, fmt.Sprintf(format, args...))
	case n == maxSentences:
		*to = append(*to, "and more of the kind")
	}
}
