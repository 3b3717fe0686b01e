package verify

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
)

// erasedBy finds, by file name, what the log of a folder says that an order had erased of it. What it returns comes from the
// same log as the record, after it, and names the record by its leaf: an order in another log, about another exhibit, about
// another acquisition, or from before the record was there, excuses nothing.
func (l *logCheck) erasedBy(exhibit, id string) map[string]state.Erased {
	out := map[string]state.Erased{}
	for _, e := range l.erased[exhibit] {
		if e.Acquisition != id {
			continue
		}
		for _, name := range e.Files {
			if _, ok := out[name]; !ok {
				out[name] = e
			}
		}
	}
	return out
}

// takeErased keeps what the events of this log say that an order had erased; in r those of the log home name no log.
func (l *logCheck) takeErased(r *state.Report, home string) {
	if l.erased == nil {
		l.erased = map[string][]state.Erased{}
	}
	for _, e := range r.Erased {
		if e.Log == l.origin || e.Log == "" && l.origin == home {
			l.erased[r.Exhibit] = append(l.erased[r.Exhibit], e)
		}
	}
}

// absent reports whether a file that is not here was erased by order. Then its digests, which nothing can be held against any
// more, count as dealt with. A file that is here is checked as any other, whatever was ordered.
func (c *files) absent(f record.File, err error) bool {
	e, ok := c.erased[f.Name]
	if !ok || !isMissing(err) {
		return false
	}
	if !c.isGone(f.Name) {
		c.gone = append(c.gone, ErasedFacts{f.Name, e.Index, e.KeyID, e.Order, e.Court})
		c.line.absent++
		c.compared += int64(len(f.Digests))
	}
	return true
}

// isGone reports whether absent has found that file to be erased by order.
func (c *files) isGone(name string) bool {
	return slices.ContainsFunc(c.gone, func(g ErasedFacts) bool { return g.File == name })
}

// orders says once for each order what it had erased of this image, and which files are still here.
func (c *files) orders() {
	said := map[int64]bool{}
	for _, f := range c.a.Files {
		e, ok := c.erased[f.Name]
		if !ok {
			continue
		}
		if !said[e.Index] {
			said[e.Index] = true
			c.line.add(Finding{Severity: Note, File: c.dir, Text: orderText(e)})
		}
		if !c.isGone(f.Name) {
			c.line.add(stillHere(within(c.dir, f.Name)))
		}
	}
}

// attachmentErased is the order by which the log of a folder says that an attachment was erased, nil if it says so of none. Like
// a record, an attachment is excused only by a later entry of the log that names it, and what was attached again since is not.
func (l *logCheck) attachmentErased(exhibit string, sum record.Digest) *state.Erased {
	for i := range l.erased[exhibit] {
		e := &l.erased[exhibit][i]
		later := func(ref attachmentRef) bool { return ref.index >= e.Index }
		_, named := slices.BinarySearchFunc(e.Attachments, sum, func(a, b record.Digest) int { return strings.Compare(a.Hex(), b.Hex()) })
		if named && !slices.ContainsFunc(l.attachments[exhibit][sum], later) {
			return e
		}
	}
	return nil
}

// erasedAttachment says once for each order what it had erased of the attachments, and which are still here. One that is here is
// checked as any other.
func (c *checker) erasedAttachment(name string, e *state.Erased, gone bool, own *line) {
	f := Finding{Severity: Note, File: path.Dir(name), Text: orderText(*e)}
	if !slices.ContainsFunc(own.findings, func(o Finding) bool { return o.Text == f.Text }) {
		own.add(f)
	}
	if !gone {
		own.add(stillHere(name))
		return
	}
	own.absent++
	own.gone = append(own.gone, ErasedFacts{path.Base(name), e.Index, e.KeyID, e.Order, e.Court})
}

func stillHere(name string) Finding {
	return Finding{Severity: Note, File: name, Text: "it is still here, although the log says that it was erased by order",
		Advice: "erase it as the order says, or log what became of the order"}
}

func orderText(e state.Erased) string {
	order, court := "an order that is not revealed", ""
	if e.Order != "" {
		order = fmt.Sprintf("%q", e.Order)
	}
	if e.Court != "" {
		court = fmt.Sprintf(" of %q", e.Court)
	}
	what := fmt.Sprintf("%s of acquisition %s", number(int64(len(e.Files)), "file"), e.Acquisition)
	if len(e.Attachments) > 0 {
		what = number(int64(len(e.Attachments)), "attachment")
	}
	return fmt.Sprintf("the log says that %s was erased by order: %s%s, event %d (log entry %d), signed by key %s. That the order was given, and when the data went, is that person's word",
		what, order, court, e.Number, e.Index, e.KeyID[:min(16, len(e.KeyID))])
}
