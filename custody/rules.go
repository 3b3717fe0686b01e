package custody

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
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
	key    sign.LogSigner // of the home log; nil where an event is only tried
	book   state.Book
	loaded map[string]bool
	looked bool                // for held
	held   []Held              // as of several
	built  []state.LoggedEvent // of this append, of exhibits that are not loaded
}

// hold requires that no rule stands against e, or that it names a reason: then the rules are put into it. The caller has put
// RuleRecoveryPhrase there already if an attachment breaks it. logged are the indexes of the exhibit's events in the log
// before this append; more are rules that the caller found broken.
func (r *rules) hold(c *Case, keyID string, e Unlogged, logged []int64, more ...state.Breach) error {
	texts := slices.Collect(func(yield func(string) bool) {
		for _, op := range e.Openings {
			if !yield(op.Value) {
				return
			}
		}
	})
	switch event := e.Event.(type) {
	case *record.Handled:
	case *record.Seized:
		texts = append(texts, event.Seizure.Device.Texts()...)
	default:
		return nil // an acquisition has happened, and its record is never refused
	}
	exhibit, typ := e.Event.Header().Exhibit, e.Event.Type()
	if err := r.load(c, exhibit, logged); err != nil {
		return err
	}
	found := append(r.book.Check(state.LoggedEvent{KeyID: keyID, Event: e.Event, Openings: e.Openings}), more...)
	despite := record.DespiteOf(e.Event)
	attached := despite != nil && slices.Contains(despite.Rules, record.RuleRecoveryPhrase)
	if attached || slices.ContainsFunc(texts, mnemonic.In) {
		found = append(found, PhraseBreach)
	}
	switch {
	case slices.ContainsFunc(found, func(b state.Breach) bool { return b.Rule == record.RuleAlreadyBegun }):
		return &RuleError{exhibit, typ, found} // no reason makes a second beginning of a chain
	case len(found) == 0 && despite != nil:
		return fmt.Errorf("exhibit %q, event %q: %w", exhibit, typ, ErrNothingDespite)
	case len(found) > 0 && despite == nil:
		return &RuleError{exhibit, typ, found}
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

// orphan is the rule against an event by which the exhibit is part of one that no log of the case has an event of. logged are
// the events of that one in the home log.
func (r *rules) orphan(c *Case, e record.Event, logged []int64) ([]state.Breach, error) {
	whole := record.PartOf(e)
	if whole == "" || len(logged) > 0 {
		return nil, nil
	}
	others, err := r.known(c, whole, nil)
	if err != nil || len(others) > 0 {
		return nil, err
	}
	return []state.Breach{{Rule: record.RuleNoSuchExhibit, Reason: fmt.Sprintf("the case has no event of exhibit %q, of which it is said to be a part", whole)}}, nil
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

// known returns the exhibit's events before this append. logged is as of hold; without the log's key it does not matter.
func (r *rules) known(c *Case, exhibit string, logged []int64) ([]Entry, error) {
	if r.key == nil {
		return c.Chain(exhibit)
	}
	if !r.looked {
		held, err := c.several()
		if err != nil {
			return nil, err
		}
		r.held, r.looked = held, true
	}
	if r.held != nil {
		return c.mergedByCache(r.held, exhibit, r.key)
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
	book, err := c.book()
	if err != nil {
		return nil, err
	}
	return book.Reports(), nil
}

// book follows every event of all logs of the case.
func (c *Case) book() (*state.Book, error) {
	book, err := c.newBook()
	if err == nil {
		err = c.EachEvent(func(e Entry) { book.Add(e.logged()) })
	}
	if err == nil {
		err = c.bound(book)
	}
	return book, err
}

// bound tells the book where what is known of the logs ends.
func (c *Case) bound(book *state.Book) error {
	if err := c.closeLogs(book); err != nil {
		return err
	}
	return c.partly(book)
}

// closeLogs tells the book which of the logs that it follows were closed.
func (c *Case) closeLogs(book *state.Book) error {
	held, err := c.several()
	if held == nil {
		held = []Held{{c.genesis.Origin, c.genesis, c.leaf}}
	}
	if err != nil {
		return err
	}
	for i, h := range held {
		l, err := c.openHeld(h)
		if err != nil {
			return err
		}
		_, closed, err := closing(l)
		if err != nil {
			return fmt.Errorf("log %s: %w", h.Origin, err)
		}
		if closed && i == 0 {
			book.Close("")
		} else if closed {
			book.Close(h.Origin)
		}
	}
	return nil
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
	book, err := c.newBook()
	if err != nil {
		return nil, err
	}
	moments := make([]Moment, len(chain))
	for i, e := range chain {
		book.Add(e.logged())
		moments[i] = Moment{e, book.Report(exhibit)}
	}
	if len(moments) == 0 {
		return nil, nil
	}
	if err := c.bound(book); err != nil {
		return nil, err
	}
	moments[len(moments)-1].After = book.Report(exhibit)
	return moments, nil
}
