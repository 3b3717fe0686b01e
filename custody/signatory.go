package custody

import (
	"cmp"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Signatory is whose key signed an entry, as the log that it stands in says. Nothing is verified.
type Signatory struct {
	Kind   string // record.KindPerson or record.KindStation; empty: the log did not admit the key there
	Holder string // as revealed; may be empty
	Agency string // of the log
}

// Signatory finds whose key signed an entry of any log of the case, or of an extract of one.
func (c *Case) Signatory(e Entry) (Signatory, error) {
	held, err := c.Logs()
	if err != nil {
		return Signatory{}, err
	}
	origin := cmp.Or(e.Log, c.genesis.Origin)
	for _, h := range held {
		if h.Origin != origin {
			continue
		}
		l, err := c.openHeld(h)
		if err != nil {
			return Signatory{}, err
		}
		if e.Index < l.Size() {
			return signatory(e, h.Genesis, l.Keys(), func(i int64) (record.Openings, error) {
				admits, err := readEntry(l, i)
				return admits.Openings, err
			})
		}
	}
	kept, err := c.Extracts()
	if err != nil {
		return Signatory{}, err
	}
	for _, k := range kept {
		if k.Origin == origin && e.Index < k.Size {
			return signatory(e, k.Genesis, k.Keys, k.Revealed)
		}
	}
	return Signatory{}, fmt.Errorf("log %s: %w", origin, ErrMissing)
}

// signatory finds it by the keys of the log, of whose statements openings returns what is revealed.
func signatory(e Entry, g *record.CaseOpened, keys *ledger.Keys, openings func(i int64) (record.Openings, error)) (Signatory, error) {
	out := Signatory{Agency: g.Agency}
	s, _, err := keys.Signer(e.KeyID, e.Index)
	if err != nil { // which package verify reports; here it is only said
		return out, nil
	}
	out.Kind = s.Kind
	o, err := openings(s.From)
	if err != nil {
		return Signatory{}, err
	}
	out.Holder, _ = o.Value(s.Holder())
	return out, nil
}

// Role says what kind of key it is, of which agency, in words.
func (s Signatory) Role() string {
	switch s.Kind {
	case record.KindPerson, record.KindStation:
		return "a " + s.Kind + "'s key of " + s.Agency
	}
	return "a key that the log of " + s.Agency + " does not admit"
}
