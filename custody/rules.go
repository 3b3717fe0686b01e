package custody

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/mnemonic"
)

// ErrNothingDespite says that an event gives a reason to break a rule and breaks none.
var ErrNothingDespite = errors.New("no rule stands against the event, so it cannot be logged despite one")

// RuleError says which rules of custody stand against an event. It was not logged.
type RuleError struct {
	Exhibit  string
	Type     record.Type
	Breaches []state.Breach // never empty
}

// Error implements error.
func (e *RuleError) Error() string {
	var all []string
	for _, b := range e.Breaches {
		all = append(all, fmt.Sprintf("rule %s: %s", b.Rule, b.Reason))
	}
	return fmt.Sprintf("exhibit %q, event %q is refused by %s", e.Exhibit, e.Type, strings.Join(all, "; "))
}

// Is says of a seizure that came too late that it is ErrSeized.
func (e *RuleError) Is(target error) bool {
	return target == ErrSeized && slices.ContainsFunc(e.Breaches, func(b state.Breach) bool { return b.Rule == record.RuleAlreadyBegun })
}

// rules follow the exhibits of one append, under the log's lock.
type rules struct {
	book   state.Book
	loaded map[string]bool
	looked bool                // for held
	held   []Held              // as of several
	built  []state.LoggedEvent // of this append, of exhibits that are not loaded
}

// hold requires that no rule stands against e, or that it names a reason: then the rules are put into it. The caller has put
// RuleRecoveryPhrase there already if an attachment breaks it. logged are the indexes of the exhibit's events in the log
// before this append.
func (r *rules) hold(c *Case, keyID string, e Unlogged, logged []int64) error {
	h, handled := e.Event.(*record.Handled)
	if _, seizure := e.Event.(*record.Seized); !handled && !seizure {
		return nil // an acquisition or a copy has happened, and its record is never refused
	}
	exhibit := e.Event.Header().Exhibit
	if err := r.load(c, exhibit, logged); err != nil {
		return err
	}
	found := r.book.Check(state.LoggedEvent{KeyID: keyID, Event: e.Event, Openings: e.Openings})
	attached := handled && h.Handling.Despite != nil && slices.Contains(h.Handling.Despite.Rules, record.RuleRecoveryPhrase)
	if attached || hasPhrase(e.Openings) {
		found = append(found, PhraseBreach)
	}
	if !handled {
		if len(found) > 0 {
			return &RuleError{exhibit, e.Event.Type(), found}
		}
		return nil
	}
	switch despite := h.Handling.Despite; {
	case len(found) == 0 && despite != nil:
		return fmt.Errorf("exhibit %q, event %q: %w", h.Event.Exhibit, h.Type(), ErrNothingDespite)
	case len(found) > 0 && despite == nil:
		return &RuleError{h.Event.Exhibit, h.Type(), found}
	case despite != nil:
		despite.Rules = nil
		for _, b := range found {
			despite.Rules = append(despite.Rules, b.Rule)
		}
		slices.Sort(despite.Rules)
		despite.Rules = slices.Compact(despite.Rules)
	}
	return nil
}

// load reads the events that the log has of the exhibit, and takes in those of this append.
func (r *rules) load(c *Case, exhibit string, logged []int64) error {
	if r.loaded[exhibit] {
		return nil
	}
	entries, err := r.known(c, exhibit, logged)
	if err != nil {
		return err
	}
	for _, e := range entries {
		r.book.Add(e.logged())
	}
	for _, e := range r.built {
		if e.Event.Header().Exhibit == exhibit {
			r.book.Add(e)
		}
	}
	if r.loaded == nil {
		r.loaded = map[string]bool{}
	}
	r.loaded[exhibit] = true
	return nil
}

// known returns the exhibit's events before this append. logged is as of hold.
func (r *rules) known(c *Case, exhibit string, logged []int64) ([]Entry, error) {
	if !r.looked {
		held, err := c.several()
		if err != nil {
			return nil, err
		}
		r.held, r.looked = held, true
	}
	if r.held != nil {
		return c.merged(r.held, exhibit)
	}
	return c.events(exhibit, logged)
}

// add takes in an event that this append built.
func (r *rules) add(e state.LoggedEvent) {
	if r.loaded[e.Event.Header().Exhibit] {
		r.book.Add(e)
	} else {
		r.built = append(r.built, e)
	}
}

// PhraseBreach is that of a text, or an attachment, with the words of a wallet.
var PhraseBreach = state.Breach{Rule: record.RuleRecoveryPhrase,
	Reason: "its text, or an attachment, holds the words of a wallet's recovery phrase, by which whoever reads it can take the money"}

func hasPhrase(o record.Openings) bool {
	return slices.ContainsFunc(o, func(op record.Opening) bool { return mnemonic.In(op.Value) })
}

// logged is the entry for the book; it must be an event.
func (e Entry) logged() state.LoggedEvent {
	event, _ := e.Predicate.(record.Event)
	return state.LoggedEvent{Index: e.Index, Leaf: e.Leaf, KeyID: e.KeyID, Event: event, Openings: e.Openings, Log: e.Log}
}

// events reads the entries at those indexes, which must be events of the exhibit.
func (c *Case) events(exhibit string, indexes []int64) ([]Entry, error) {
	if len(indexes) == 0 {
		return nil, nil
	}
	l, err := c.openLog()
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(indexes))
	for n, i := range indexes {
		entries[n], err = readEntry(l, i)
		if err == nil && !entries[n].of(exhibit) {
			err = fmt.Errorf("log entry %d: %w: it is of another exhibit", i, record.ErrMalformed)
		}
		if err != nil {
			return nil, fmt.Errorf("the events of exhibit %q: %w", exhibit, err)
		}
	}
	return entries, nil
}

// Chain reads the events of one exhibit from all logs of the case, the oldest first; none is no error. Nothing is verified, as
// of [Case.Entries]. In a home log alone it goes back from the newest event to the one whose leaf each names; where a leaf leads
// nowhere the whole log is read, for what is there must be shown. Where others have joined the case, or a log continues another, every entry of every
// log is read.
func (c *Case) Chain(exhibit string) ([]Entry, error) {
	held, err := c.several()
	if err != nil {
		return nil, err
	}
	if held != nil {
		return c.merged(held, exhibit)
	}
	var last *record.LeafHash
	for e, err := range c.Entries() {
		if err != nil {
			return nil, err
		}
		if e.of(exhibit) {
			last = &e.Leaf
			break
		}
	}
	return c.chain(exhibit, last)
}

// chain reads the events that end with the leaf last.
func (c *Case) chain(exhibit string, last *record.LeafHash) ([]Entry, error) {
	l, err := c.openLog()
	if err != nil {
		return nil, err
	}
	var chain []Entry
	for i := l.Size() - 1; i > 0 && last != nil; i-- {
		leaf, err := l.Leaf(i)
		if err != nil {
			return nil, fmt.Errorf("log entry %d: %w", i, missing(err))
		}
		if leaf != *last {
			continue
		}
		e, err := readEntry(l, i)
		if err != nil {
			return nil, err
		}
		if !e.of(exhibit) {
			break
		}
		chain, last = append(chain, e), e.logged().Event.Header().Previous
	}
	if last != nil {
		return c.scan(exhibit)
	}
	slices.Reverse(chain)
	return chain, nil
}

// scan is chain for a log whose events do not lead from one to the other.
func (c *Case) scan(exhibit string) ([]Entry, error) {
	var chain []Entry
	for e, err := range c.Entries() {
		if err != nil {
			return nil, err
		}
		if e.of(exhibit) {
			chain = append(chain, e)
		}
	}
	slices.Reverse(chain)
	return chain, nil
}

func (e Entry) of(exhibit string) bool {
	event, ok := e.Predicate.(record.Event)
	return ok && event.Header().Exhibit == exhibit
}

// EachEvent hands the events of all logs of the case to do, in one order. Nothing is verified.
func (c *Case) EachEvent(do func(Entry)) error {
	held, err := c.several()
	if err != nil {
		return err
	}
	if held != nil {
		all, err := c.merged(held, "")
		for _, e := range all {
			do(e)
		}
		return err
	}
	l, err := c.openLog()
	if err != nil {
		return err
	}
	for i := range l.Size() {
		e, err := readEntry(l, i)
		if err != nil {
			return err
		}
		if _, ok := e.Predicate.(record.Event); ok {
			do(e)
		}
	}
	return nil
}

// States computes what the events of all logs of the case say of each exhibit, sorted by number. Nothing is verified.
func (c *Case) States() ([]state.Report, error) {
	var book state.Book
	if err := c.EachEvent(func(e Entry) { book.Add(e.logged()) }); err != nil {
		return nil, err
	}
	return book.Reports(), nil
}

// Moment is an event of an exhibit, and what the log said once it was there.
type Moment struct {
	Entry Entry
	After state.Report
}

// History reads the events of one exhibit, as Chain does, each with the state that it left.
func (c *Case) History(exhibit string) ([]Moment, error) {
	chain, err := c.Chain(exhibit)
	if err != nil {
		return nil, err
	}
	var book state.Book
	moments := make([]Moment, len(chain))
	for i, e := range chain {
		book.Add(e.logged())
		moments[i] = Moment{e, book.Report(exhibit)}
	}
	return moments, nil
}
