// Package state says what the logged events tell of each exhibit, and where they leave a gap or contradict each other.
//
// Start with [Book]: give it every event of one log, in the log's order, then ask for the [Report] of each exhibit. Of several
// logs [Order] gives the one order in which their events are to be added.
// The promise: only a complete chain is [Report.Sound]: the first event is the seizure, the numbers run 1, 2, 3 without
// hole or double in each log, and each event names the leaf of the one before in its log. The zero Report, and a chain of no events, are not
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
	Index    int64
	Leaf     record.LeafHash
	KeyID    string // of the key that signed
	Event    record.Event
	Openings record.Openings // what is revealed of its personal fields; used for words only, never for a rule
	Log      string          // origin of the log, where several are followed together; empty: the case's own, or the only one
}

// Report is what the events of one exhibit say. Gaps are what nobody can tell from the events (verify: unknown);
// contradictions are what cannot be true of an honest, complete log (verify: FAILED). Both are plain sentences.
type Report struct {
	Exhibit        string
	Events         int64
	Holder         Holder
	Place          string   // the last one that was said since the exhibit came to its holder, and is revealed; empty: none
	Seals          []string // that are on, in the order in which they were put on
	Handover       *Handover
	Handovers      int64 // that were accepted
	Restrictions   []Restriction
	Erased         []Erased
	Endorsements   []Endorsement
	Acquisitions   []string // identifiers, in the log's order
	Copies         []Copied // in the log's order
	Elsewhere      []Elsewhere
	HashChecks     []HashCheck
	PartOf         string   // the exhibit that this one was taken out of; empty: none
	Parts          []string // the exhibits that were taken out of this one, sorted; only of [Book.Reports]
	Returned       int64    // number of the event that gave the exhibit back for good; 0: it was not, or was received again
	Destroyed      int64    // number of the event that ended it; 0: none
	DestroyedLog   string   // that it stands in, as in LoggedEvent
	DestroyedAt    record.Time
	DestroyedOrder string // by which, as revealed; may be empty
	Gaps           []string
	Contradictions []string
	// Notes are worth a look and change no outcome, as a clock that went back: a time proves nothing by itself.
	Notes []string
}

// Holder is who has the exhibit: whoever signed that it came to them. The zero Holder is nobody that the log knows.
type Holder struct {
	Log   string // of that event, as in LoggedEvent
	KeyID string // empty: somebody without a key, or nobody
	Name  string // as revealed; may be empty
	Since int64  // number of the event by which it came to them
}

// Handover is a release that nobody has accepted or refused yet.
type Handover struct {
	Number int64 // of the released event
	Leaf   record.LeafHash
	From   string      // key identifier
	To     string      // key identifier; empty: the receiver is named without a key
	ToName string      // as revealed; may be empty
	Log    string      // as in LoggedEvent
	At     record.Time // when the giver gave it away, as they say
}

// Restriction forbids to examine, copy, disclose and transmit, until it is lifted.
type Restriction struct {
	Number int64 // of the restricted event
	Leaf   record.LeafHash
	Kind   string
}

// Endorsement says that the holder of a second key vouches for what an event says. One by the key that signed the event is none.
type Endorsement struct {
	Number int64           // of the `endorsed` event
	Log    string          // that it stands in, as in LoggedEvent
	KeyID  string          // that signed it
	Name   string          // of who did, as revealed; may be empty
	Leaf   record.LeafHash // of the event that is endorsed
	Of     int64           // its number
	OfLog  string          // and the log that it stands in
}

// Erased is data of one image that an order had erased, or attachments of the exhibit's events.
type Erased struct {
	Number       int64  // of the destroyed event
	Index        int64  // of its log entry
	Log          string // origin of that log; empty for the case's own
	KeyID        string
	Acquisition  string          // or copy; empty where attachments were erased
	Files        []string        // names in its folder
	Attachments  []record.Digest // by SHA-256
	Order, Court string          // as revealed; may be empty
}

// Copied is a copy of an acquisition, or of a copy of it.
type Copied struct {
	ID       string
	Source   string // that it was made of
	Original string // the acquisition that it descends from
}

// Sound reports whether the chain has events, no gap and no contradiction.
func (r Report) Sound() bool { return r.Events > 0 && len(r.Gaps) == 0 && len(r.Contradictions) == 0 }

// maxSentences bounds each list of a Report: of a log that is wrong throughout, the first hundred say enough.
const maxSentences = 100

// Book follows the chains of all exhibits of one log, or of several in one order. The zero Book is empty and ready. Of an event it keeps the leaf hash
// and what it changed, no more.
type Book struct {
	// Person, if not nil, returns for a key identifier that of the first key of the same holder: whoever signs with the key that
	// succeeded another still holds what came to him under the old one.
	Person func(keyID string) string

	chains map[string]*chain
	partly map[string][]partial // by exhibit
	closed map[string]bool      // logs that were closed, by origin as in LoggedEvent
}

// Add takes the next event of the log.
func (b *Book) Add(e LoggedEvent) {
	if b.chains == nil {
		b.chains = map[string]*chain{}
	}
	exhibit := e.Event.Header().Exhibit
	c := b.chains[exhibit]
	if c == nil {
		c = newChain(exhibit, b.Person)
		b.chains[exhibit] = c
	}
	c.add(e)
}

// partial is a log of which the case has one exhibit's events alone, of those that it had at size.
type partial struct {
	log  string
	size int64
}

// Partly says that the events of an exhibit in a log are known from an extract of size entries, so that later ones may be missing.
func (b *Book) Partly(exhibit, log string, size int64) {
	if b.partly == nil {
		b.partly = map[string][]partial{}
	}
	b.partly[exhibit] = append(b.partly[exhibit], partial{log, size})
}

// Close says that the log was closed: no event of it follows. origin is as in LoggedEvent. What it leaves in somebody's hands is a
// gap from then on.
func (b *Book) Close(origin string) {
	if b.closed == nil {
		b.closed = map[string]bool{}
	}
	b.closed[origin] = true
}

// Open are the exhibits that would be left open if that log were closed now, sorted: released by it and not accepted, or in the
// hands of whoever took them over by it.
func (b *Book) Open(origin string) []Report {
	var out []Report
	for _, exhibit := range slices.Sorted(maps.Keys(b.chains)) {
		c := b.chains[exhibit]
		if h := c.report.Handover; h != nil && h.Log == origin || c.held(origin) {
			out = append(out, c.result(b.closed))
		}
	}
	return out
}

// held reports whether somebody has the exhibit by an event of that log.
func (c *chain) held(origin string) bool {
	r := &c.report
	return r.Holder.Since > 0 && r.Holder.Log == origin && r.Returned == 0 && r.Destroyed == 0
}

// Check returns the rules that e would break as the next event of its exhibit, sorted by name; none if it may be logged.
// An acquisition breaks none: what is wrong about it is a gap.
func (b *Book) Check(e LoggedEvent) []Breach {
	exhibit := e.Event.Header().Exhibit
	c := b.chains[exhibit]
	if c == nil {
		c = newChain(exhibit, b.Person)
	}
	switch event := e.Event.(type) {
	case *record.Handled:
		return c.check(e.KeyID, event)
	case *record.Seized:
		return c.checkSeizure(event)
	}
	return nil
}

// Reports returns one Report an exhibit, sorted by the exhibit's number as text.
func (b *Book) Reports() []Report {
	out := make([]Report, 0, len(b.chains))
	parts := map[string][]string{}
	for _, exhibit := range slices.Sorted(maps.Keys(b.chains)) {
		out = append(out, b.Report(exhibit))
		if whole := b.chains[exhibit].report.PartOf; whole != "" {
			parts[whole] = append(parts[whole], exhibit)
		}
	}
	for i := range out {
		r := &out[i]
		r.Parts = parts[r.Exhibit]
		switch {
		case r.PartOf == "":
		case b.chains[r.PartOf] == nil:
			note(&r.Notes, "it is part of exhibit %q, of which there is no event here", r.PartOf)
		case b.inItself(r.Exhibit):
			note(&r.Contradictions, "it is part of exhibit %q, which is part of it in turn", r.PartOf)
		}
	}
	return out
}

// inItself reports whether an exhibit is, by way of others, part of itself.
func (b *Book) inItself(exhibit string) bool {
	seen := map[string]bool{}
	for at := b.chains[exhibit]; at != nil && at.report.PartOf != "" && !seen[at.report.PartOf]; at = b.chains[at.report.PartOf] {
		seen[at.report.PartOf] = true
	}
	return seen[exhibit]
}

// Report returns that of one exhibit; of one without events, the zero Report with its number.
func (b *Book) Report(exhibit string) Report {
	if c := b.chains[exhibit]; c != nil {
		r := c.result(b.closed)
		for _, p := range b.partly[exhibit] {
			r.Notes = append(r.Notes, fmt.Sprintf("of log %s only what an extract of its first %d entries shows is known: what came later is not here", p.log, p.size))
		}
		return r
	}
	return Report{Exhibit: exhibit}
}

// chain is one exhibit's events so far.
type chain struct {
	person   func(string) string // see Book
	report   Report
	last     map[string]place   // the exhibit's last event in each log
	images   map[string]*imaged // by the ids of acquisitions and copies
	leaves   map[record.LeafHash]signed
	answered map[record.LeafHash]bool // releases that were accepted or refused
	seals    map[string]bool          // every number that was ever on
	begun    moved                    // the first event by which it came to anybody
	moved    moved                    // the last one by which it changed hands, or was released
	attached map[record.Digest]int64  // SHA-256 of every attachment; number of the event by which an order had it erased, or 0
}

// signed is an event as a later one may name it.
type signed struct {
	number int64 // never 0
	log    string
	keyID  string
}

// moved is when an event is said to have happened.
type moved struct {
	number int64 // of the event; 0: none
	log    string
	at     record.Time
}

// place is an event as the next one in its log must name it.
type place struct {
	number int64
	leaf   record.LeafHash
	at     time.Time // when it was signed, by its clock
}

// imaged is what a later copy, or an image that was hashed again, is held against.
type imaged struct {
	leaf     record.LeafHash
	acquired bool
	size     int64
	digests  []record.MediaDigest
	unread   record.Unread
	taken    []record.TakenOver
	lists    []record.Digest  // BLAKE3 of the map and of the list of what was taken over
	files    []string         // that can be erased
	erased   map[string]int64 // of them, with the number of the event
}

func newImaged(leaf record.LeafHash, acquired bool, i record.Image) *imaged {
	out := &imaged{leaf: leaf, acquired: acquired, size: i.SizeBytes, digests: i.Digests, unread: i.Unread, taken: i.TakenOver,
		files: record.ErasableFiles(i.Files)}
	for _, f := range append(i.Role(record.RoleMap), i.Role(record.RoleTakenOver)...) {
		out.lists = append(out.lists, f.Digests[0])
	}
	return out
}

// sameGaps reports whether both say the same of what was not read from the medium.
func (i *imaged) sameGaps(o *imaged) bool {
	return i.unread == o.unread && slices.Equal(i.taken, o.taken) && slices.Equal(i.lists, o.lists)
}

func newChain(exhibit string, person func(string) string) *chain {
	return &chain{person: person, report: Report{Exhibit: exhibit}, last: map[string]place{}, images: map[string]*imaged{}, leaves: map[record.LeafHash]signed{},
		answered: map[record.LeafHash]bool{}, seals: map[string]bool{}}
}

// result is the report as it stands, with what is a gap only as long as it lasts. It shares nothing with the chain.
func (c *chain) result(closed map[string]bool) Report {
	r := c.report
	for _, list := range []*[]string{&r.Seals, &r.Acquisitions, &r.Gaps, &r.Contradictions, &r.Notes} {
		*list = slices.Clone(*list)
	}
	r.Restrictions, r.Erased, r.Endorsements, r.Copies = slices.Clone(r.Restrictions), slices.Clone(r.Erased), slices.Clone(r.Endorsements), slices.Clone(r.Copies)
	r.Elsewhere, r.HashChecks = slices.Clone(r.Elsewhere), slices.Clone(r.HashChecks)
	if r.Handover != nil {
		open := *r.Handover
		r.Handover = &open
		note(&r.Gaps, "the release of event %d waits for its answer: nobody has signed yet that the exhibit came to them%s", open.Number, InLog(open.Log))
	}
	if closed[r.Holder.Log] && c.held(r.Holder.Log) {
		note(&r.Gaps, "the log was closed while the exhibit was in somebody's hands, since event %d: nothing says what became of it%s", r.Holder.Since, InLog(r.Holder.Log))
	}
	return r
}

func (c *chain) add(e LoggedEvent) {
	h := e.Event.Header()
	lists := []*[]string{&c.report.Gaps, &c.report.Contradictions, &c.report.Notes}
	var said [3]int
	for i, list := range lists {
		said[i] = len(*list)
	}
	before, known := c.last[e.Log]
	c.checkPlace(e.Index, h, before, !known)
	at := c.checkTime(e.Index, h, before.at)
	switch event := e.Event.(type) {
	case *record.Seized:
		c.seized(e, event)
	case *record.Acquired:
		c.acquired(e, event)
	case *record.Copied:
		if c.report.Events == 0 {
			note(&c.report.Gaps, "the first event (log entry %d) is no seizure but %q", e.Index, e.Event.Type())
		}
		for _, r := range c.report.Restrictions {
			note(&c.report.Gaps, "an image of the exhibit was copied (log entry %d) although event %d restricts it (%s)", e.Index, r.Number, r.Kind)
		}
		image := newImaged(e.Leaf, false, event.Copy.Image())
		c.copied(e.Index, &event.Copy, image)
		c.image(e.Index, Copied{event.Copy.ID, event.Copy.Source.ID, event.Copy.Original.ID}, image)
	case *record.Handled:
		if c.report.Events == 0 {
			note(&c.report.Gaps, "the first event (log entry %d) is no seizure but %q", e.Index, e.Event.Type())
		}
		c.handled(e, event)
	default:
		note(&c.report.Gaps, "event %d (log entry %d) is of type %q, which says nothing here", h.Number, e.Index, e.Event.Type())
	}
	c.attach(e.Event)
	c.report.Events++
	c.last[e.Log] = place{h.Number, e.Leaf, at}
	c.leaves[e.Leaf] = signed{h.Number, e.Log, e.KeyID}
	for i, list := range lists {
		for j := said[i]; e.Log != "" && j < len(*list); j++ {
			(*list)[j] += InLog(e.Log)
		}
	}
}

// InLog says of which log, other than the case's own, the numbers in a sentence are; of the own one it says nothing.
func InLog(origin string) string {
	if origin == "" {
		return ""
	}
	return " [in log " + origin[:min(len(origin), 8)] + "]"
}

func (c *chain) image(index int64, of Copied, i *imaged) {
	id := of.ID
	if _, ok := c.images[id]; ok {
		note(&c.report.Contradictions, "acquisition %s is recorded a second time (log entry %d)", id, index)
		return
	}
	c.images[id] = i
	c.report.Copies = append(c.report.Copies, of)
}

// copied requires that what a copy was made of was recorded before, with the same media stream, and that the
// copy says of it what was unread, or taken over, as that does.
func (c *chain) copied(index int64, m *record.Copy, image *imaged) {
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
		case of.word == "source" && len(have.erased) > 0:
			note(&c.report.Gaps, "copy %s (log entry %d) was made of %s after its data had been erased by order", m.ID, index, of.ref.ID)
		case have.size != m.SizeBytes || !hasAll(m.Digests, have.digests):
			note(&c.report.Contradictions, "copy %s (log entry %d) does not have the size and digests of its %s %s: it is a copy of other bytes", m.ID, index, of.word, of.ref.ID)
		case !have.sameGaps(image):
			note(&c.report.Contradictions, "copy %s (log entry %d) says otherwise than its %s %s which bytes the medium did not give, or were taken over from another image", m.ID, index, of.word, of.ref.ID)
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
func (c *chain) checkPlace(index int64, h *record.Header, before place, first bool) {
	switch want := before.number + 1; {
	case h.Number > want && first:
		note(&c.report.Contradictions, "the first event (log entry %d) has number %d: events 1 to %d are not in the log", index, h.Number, h.Number-1)
	case h.Number > want:
		note(&c.report.Contradictions, "after event %d comes event %d (log entry %d): what lies between is not in the log", before.number, h.Number, index)
	case h.Number < want:
		note(&c.report.Contradictions, "after event %d comes event %d (log entry %d): the number stands twice or the order was changed", before.number, h.Number, index)
	case first && h.Previous != nil, !first && h.Previous == nil:
		note(&c.report.Contradictions, "event %d (log entry %d) does not say rightly whether an event came before it", h.Number, index)
	case !first && *h.Previous != before.leaf:
		note(&c.report.Contradictions, "event %d (log entry %d) follows an event with leaf %s, but the one before it has leaf %s", h.Number, index, *h.Previous, before.leaf)
	}
}

func (c *chain) checkTime(index int64, h *record.Header, before time.Time) time.Time {
	at, err := h.Time.Moment()
	if err != nil {
		note(&c.report.Contradictions, "event %d (log entry %d) has no readable time", h.Number, index)
		return before
	}
	if at.Before(before) {
		note(&c.report.Notes, "by their clocks, event %d (log entry %d, %s) was signed before the event that precedes it", h.Number, index, h.Time.UTC)
	}
	return at
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
