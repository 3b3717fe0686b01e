package verify

import (
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
)

// closing is the entry that closed a log.
type closing struct {
	index int64
	keyID string
	said  *record.CaseClosed
	by    string // as revealed; may be empty
}

// ClosedFacts say how a log ended.
type ClosedFacts struct {
	Index   int64       `json:"index"` // of the entry, the log's last
	KeyID   string      `json:"keyId"`
	By      string      `json:"by,omitzero"` // as revealed
	Time    record.Time `json:"time"`        // of the station's clock
	Counter int64       `json:"counter,omitzero"`
	Open    int64       `json:"open,omitzero"` // exhibits that were left open, for a reason
}

// afterClosing takes what closes the log, and requires of every entry that none before it did: an honest writer cannot append one.
// It reports whether e is no more than that.
func (l *logCheck) afterClosing(i int64, name string, e *loadedEntry) bool {
	if l.closed != nil {
		f := mismatch(name, "", "", "", fmt.Sprintf("entry %d stands after entry %d, which closed the log: somebody went on in its writer's name", i, l.closed.index))
		f.Advice = adviceLog
		l.log.add(f)
	}
	if e.ending == nil {
		return false
	}
	l.header(i, name, e.ending.Log)
	if l.closed == nil {
		l.closed = &closing{index: i, keyID: e.keyID, said: e.ending}
		l.closed.by, _ = e.revealed.Value("/by")
	}
	if want := e.certificate.value; l.counter != nil && e.certificate.err == nil && e.ending.Counter != want {
		l.append.add(mismatch(name, "counter", fmt.Sprint(want), fmt.Sprint(e.ending.Counter), "the log was closed at another value of its counter than the TPM certified"))
	}
	if l.several != nil {
		l.several.keep(i, *e, record.LeafHash{}, state.LoggedEvent{})
	} else {
		l.book.Close("")
	}
	return true
}

func (c *closing) facts() *ClosedFacts {
	if c == nil {
		return nil
	}
	f := &ClosedFacts{Index: c.index, KeyID: c.keyID, By: c.by, Time: c.said.Time, Counter: c.said.Counter}
	if c.said.Despite != nil {
		f.Open = c.said.Despite.Exhibits
	}
	return f
}
