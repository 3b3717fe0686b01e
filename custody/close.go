package custody

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/state"
)

// ErrNothingOpen says that a log is to be closed despite what is open, and nothing is.
var ErrNothingOpen = errors.New("no exhibit is open, so the log cannot be closed despite one")

// OpenError says what the log would leave open if it were closed. It was not.
type OpenError struct {
	Exhibits []state.Report // never empty
}

// Error implements error.
func (e *OpenError) Error() string {
	return fmt.Sprintf("%d exhibits would be left open: released and not accepted, or in somebody's hands by this log", len(e.Exhibits))
}

// Closing is what is said of a log that is closed. Because is required.
type Closing struct {
	Because string // in a person's words; stands in the log only as a commitment
	By      string // a person's name; the same
	Despite string // why although exhibits are open; empty: none may be
	Clock   record.Clock
	Random  io.Reader
}

// CloseLog closes the home log: its last entry says so, and nothing can be appended after it. It returns that entry; of a log that
// was closed before, the one that closed it, and again. What an interrupted append left is completed first. Exhibits that the log
// leaves open are an *OpenError, unless there is a reason.
func (c *Case) CloseLog(ctx context.Context, closing Closing, signer sign.Signer, logKey sign.LogSigner) (closed Entry, again bool, err error) {
	_, err = c.append(ctx, logKey, func(h ledger.Head) ([]ledger.Item, error) {
		if h.Closed {
			again = true
			return nil, nil
		}
		if err := admitted(h, signer, record.TypeCaseClosed); err != nil {
			return nil, err
		}
		item, err := c.closing(h, closing, signer)
		if err != nil {
			return nil, err
		}
		return []ledger.Item{item}, nil
	})
	if err != nil && (!again || !errors.Is(err, ledger.ErrNothing)) {
		return Entry{}, false, err
	}
	e, found, err := c.Closed()
	if err == nil && !found {
		err = fmt.Errorf("%w: the statement that closed the log is not its last one", record.ErrMalformed)
	}
	return e, again, err
}

// closing makes the statement, under the log's lock.
func (c *Case) closing(h ledger.Head, closing Closing, signer sign.Signer) (ledger.Item, error) {
	book, err := c.book()
	if err != nil {
		return ledger.Item{}, err
	}
	open := book.Open("")
	switch {
	case len(open) > 0 && closing.Despite == "":
		return ledger.Item{}, &OpenError{open}
	case len(open) == 0 && closing.Despite != "":
		return ledger.Item{}, ErrNothingOpen
	}
	var openings record.Openings
	s := &record.CaseClosed{Counter: h.NextCounter, Log: logState(h), Time: closing.Clock()}
	if s.Because, err = openings.Commit(closing.Random, "/because", closing.Because); err != nil {
		return ledger.Item{}, err
	}
	if s.By, err = openings.CommitFact(closing.Random, "/by", closing.By, "not given"); err != nil {
		return ledger.Item{}, err
	}
	if len(open) > 0 {
		s.Despite = &record.LeftOpen{Exhibits: int64(len(open))}
		if s.Despite.Reason, err = openings.Commit(closing.Random, "/despite/reason", closing.Despite); err != nil {
			return ledger.Item{}, err
		}
	}
	payload, err := record.Encode(s)
	if err != nil {
		return ledger.Item{}, err
	}
	envelope, err := sign.Seal(signer, payload)
	return ledger.Item{Envelope: envelope, Openings: openings}, err
}

// Closed returns the entry that closed the home log, if one did: its last. Nothing is verified.
func (c *Case) Closed() (Entry, bool, error) {
	l, err := c.openLog()
	if err != nil || l.Size() < 2 {
		return Entry{}, false, err
	}
	return closing(l)
}

func closing(l *ledger.Log) (Entry, bool, error) {
	e, err := readEntry(l, l.Size()-1)
	if err != nil {
		return Entry{}, false, err
	}
	_, closed := e.Predicate.(*record.CaseClosed)
	if !closed {
		return Entry{}, false, nil
	}
	return e, true, nil
}
