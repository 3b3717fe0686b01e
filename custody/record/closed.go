package record

import "fmt"

// TypeCaseClosed is the statement by which the writer of a log says that it ends.
const TypeCaseClosed Type = "case-closed"

// CaseClosed is the last entry of a log. It is no event of an exhibit: any person's key that the genesis admits signs it. Whoever
// later holds a log in which something stands after it sees that somebody went on in the writer's name.
type CaseClosed struct {
	Because Personal       `json:"because"`
	By      Fact[Personal] `json:"by"`               // who closed it, as that person says
	Counter int64          `json:"counter,omitzero"` // what the log's counter stands at for good, at the checkpoint over this entry; absent: it has none
	Despite *LeftOpen      `json:"despite,omitzero"` // absent where nothing was open
	Log     LogState       `json:"log"`              // the log as it stood before
	Time    Time           `json:"time"`
}

// LeftOpen says why a log was closed although exhibits were in somebody's hands, or released and not accepted, by this log.
type LeftOpen struct {
	Exhibits int64    `json:"exhibits"` // how many, at least 1
	Reason   Personal `json:"reason"`
}

// Type implements Predicate.
func (c *CaseClosed) Type() Type { return TypeCaseClosed }

func (c *CaseClosed) subjects() []subject { return nil }

// Validate implements Predicate. What the counter stood at, and what was open, is for whoever has the log.
func (c *CaseClosed) Validate() error {
	if err := c.Log.validate(); err != nil {
		return err
	}
	if err := checkCount("counter", c.Counter); err != nil {
		return err
	}
	if c.Because.Commitment.Algorithm() != SHA256 {
		return fmt.Errorf("%w: it does not say why the log was closed", ErrMalformed)
	}
	if d := c.Despite; d != nil {
		if err := checkCount("exhibits", d.Exhibits); err != nil {
			return err
		}
		if d.Exhibits < 1 || d.Reason.Commitment.Algorithm() != SHA256 {
			return fmt.Errorf("%w: closed despite nothing, or without a reason", ErrMalformed)
		}
	}
	return c.Time.Validate()
}
