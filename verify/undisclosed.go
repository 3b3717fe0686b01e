package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// maxUndisclosed bounds the closed fields that are followed one by one; of more it is only known how many.
const maxUndisclosed = 100_000

// closedField is a personal field that stands only as a commitment, and of which nothing has said yet why.
type closedField struct {
	leaf record.LeafHash
	path string
}

// undisclosed follows the closed fields of one exhibit. That a field is closed is no fault, and changes no outcome; why it is
// closed says an event after it, or nothing does.
type undisclosed struct {
	fields, events int64
	open           []closedField // not explained so far
	more           int64         // not explained, and not followed
	reasons        []string
	others         int64 // explained, by more reasons than are told
}

// disclosed takes the closed fields of the next event, and what it says of those before it.
func (l *logCheck) disclosed(i int64, leaf record.LeafHash, e loadedEntry) {
	exhibit := e.event.Header().Exhibit
	u := l.undisclosed[exhibit]
	h, isHandled := e.event.(*record.Handled)
	if u != nil && isHandled {
		l.explain(i, u, h, e)
	}
	if len(e.closed) == 0 {
		return
	}
	if u == nil {
		u = new(undisclosed)
		l.undisclosed[exhibit] = u
	}
	u.events++
	u.fields += int64(len(e.closed))
	for _, path := range e.closed {
		if l.followed >= maxUndisclosed {
			u.more++
			continue
		}
		l.followed++
		u.open = append(u.open, closedField{leaf, path})
	}
}

func (l *logCheck) explain(i int64, u *undisclosed, h *record.Handled, e loadedEntry) {
	by := fmt.Sprintf("event %d (log entry %d), signed by key %s", h.Event.Number, i, e.keyID[:min(16, len(e.keyID))])
	if w := h.Handling.Withheld; w != nil {
		n := u.take(func(f closedField) bool { return slices.Contains(w.Fields, f.path) })
		u.reason(n, fmt.Sprintf("left out, on the ground %s, by decision of %s: %s", revealed(e, "/handling/withheld/ground"), revealed(e, "/handling/withheld/authoriser"), by))
	}
	if x := h.Handling.Erasure; x != nil && len(x.Openings) > 0 {
		n := u.take(func(f closedField) bool { return slices.Contains(x.Openings, f.leaf) })
		u.reason(n, fmt.Sprintf("erased by order, %s: %s", revealed(e, "/handling/authority/number"), by))
	}
}

func revealed(e loadedEntry, path string) string {
	if v, ok := e.revealed.Value(path); ok {
		return fmt.Sprintf("%q", v)
	}
	return "(not disclosed)"
}

// take removes the fields that are explained now, and returns how many.
func (u *undisclosed) take(explained func(closedField) bool) int64 {
	before := len(u.open)
	u.open = slices.DeleteFunc(u.open, explained)
	return int64(before - len(u.open))
}

// maxReasons bounds what is said of one exhibit.
const maxReasons = 20

func (u *undisclosed) reason(n int64, text string) {
	switch {
	case n == 0:
	case len(u.reasons) < maxReasons:
		u.reasons = append(u.reasons, fmt.Sprintf("%d %s", n, text))
	default:
		u.others += n
	}
}

// finding says what is not disclosed of an exhibit.
func (u *undisclosed) finding(name string) Finding {
	reasons := slices.Clone(u.reasons)
	if u.others > 0 {
		reasons = append(reasons, fmt.Sprintf("%d for reasons that later events give", u.others))
	}
	if n := int64(len(u.open)) + u.more; n > 0 {
		reasons = append(reasons, fmt.Sprintf("%d of which nothing says why", n))
	}
	return Finding{Severity: Note, File: name, Text: fmt.Sprintf("not disclosed: %s of %s; only the commitment is here, so what was said there was not read: %s",
		number(u.fields, "personal field"), number(u.events, "event"), strings.Join(reasons, "; "))}
}
