package custody

import (
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Allows tries an event that the key of that identifier would sign as the next entry of the home log, without logging anything and without its
// keys: so that what an append would refuse is told before a passphrase is asked for. chain is what [Case.Chain] returned of the
// exhibit; the append, which holds the lock, decides by what is there then. Two things only an append can know: whether a chain begins under a number that is
// taken for another's, and what an interrupted append has left. Where something was left, Allows allows everything.
//
// The error is as of [Case.Append]: a [RuleError], ErrNothingDespite, ErrNotAdmitted or ledger.ErrClosed. The reason of an event
// that is logged despite a rule stays as it is; the header is set, and Append sets it again.
func (c *Case) Allows(e Unlogged, chain []Entry, keyID string, clock record.Clock) error {
	if left, err := c.Unsettled(); err != nil || left {
		return err
	}
	l, err := c.openLog()
	if err != nil {
		return err
	}
	if _, closed, err := closing(l); err != nil || closed {
		if err == nil {
			err = ledger.ErrClosed
		}
		return err
	}
	if typ := e.Event.Type(); !l.Keys().MaySign(keyID, typ, ledger.Next) {
		return fmt.Errorf("%w: key %s, event %q", ErrNotAdmitted, keyID, typ)
	}
	r := rules{loaded: map[string]bool{e.Event.Header().Exhibit: true}}
	if r.book.Person, err = c.person(l.Keys()); err != nil {
		return err
	}
	for _, before := range chain {
		r.book.Add(before.logged())
	}
	e.Event.Header().Time = clock()
	if d := record.DespiteOf(e.Event); d != nil {
		defer func(as []record.Rule) { d.Rules = as }(d.Rules)
	}
	orphan, err := r.orphan(c, e.Event, nil)
	if err != nil {
		return err
	}
	return r.hold(c, keyID, e, nil, orphan...)
}
