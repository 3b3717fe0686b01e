package custody

import (
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Signatory is whose key signed an entry, as the log that it stands in says. Nothing is verified.
type Signatory struct {
	Kind   string // record.KindPerson or record.KindStation; empty: the log did not admit the key there
	Holder string // as revealed; may be empty
	Agency string // of the log
}

// Signatory finds whose key signed an entry of any log of the case.
func (c *Case) Signatory(e Entry) (Signatory, error) {
	h := c.home()
	if e.Log != "" {
		all, err := c.Logs()
		if err != nil {
			return Signatory{}, err
		}
		h = Held{}
		for _, one := range all {
			if one.Origin == e.Log {
				h = one
			}
		}
		if h.Genesis == nil {
			return Signatory{}, fmt.Errorf("log %s: %w", e.Log, ErrMissing)
		}
	}
	l, err := c.openHeld(h)
	if err != nil {
		return Signatory{}, err
	}
	out := Signatory{Agency: h.Genesis.Agency}
	s, _, err := l.Keys().Signer(e.KeyID, e.Index)
	if err != nil { // which package verify reports; here it is only said
		return out, nil
	}
	out.Kind = s.Kind
	admits, err := readEntry(l, s.From)
	if err != nil {
		return Signatory{}, err
	}
	out.Holder, _ = admits.Openings.Value(s.Holder())
	return out, nil
}

// Role says what kind of key it is, of which agency, in words.
func (s Signatory) Role() string {
	switch s.Kind {
	case record.KindPerson, record.KindStation:
		return s.Kind + "'s key, " + s.Agency
	}
	return "a key that the log of " + s.Agency + " does not admit"
}
