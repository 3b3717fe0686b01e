package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
)

// moment is one event as a person reads it.
type moment struct {
	Number string    // with the beginning of the log's name, where several logs have events of the exhibit
	When   string    // local time where it was, with offset
	At     time.Time // the same, to the minute, which is what people write down
	Type   record.Type
	Who    string
	Key    string // identifier of the key that signed
	Signer string // whose key, of which agency
	Holder string // after it
	Gone   bool   // there is no exhibit after it
	Seals  string // on after it
	Lines  []string
}

// momentOf tells an event in words.
func (s *story) momentOf(m custody.Moment) moment {
	event, ok := m.Entry.Predicate.(record.Event)
	if !ok {
		return moment{}
	}
	h := event.Header()
	row := moment{Number: s.names[m.Entry.Leaf], Type: event.Type(), Key: m.Entry.KeyID, Holder: holderText(m.After), Seals: sealsText(m.After.Seals)}
	occurred := h.Time
	said := teller{openings: m.Entry.Openings, story: s, lines: s.corrections(m.Entry.Leaf)}
	switch e := event.(type) {
	case *record.Seized:
		occurred, row.Who = e.Seizure.SeizedAt, said.party("/seizure/officer")
		said.late(e.Seizure.SeizedAt, h.Time)
		said.seizure(&e.Seizure)
	case *record.Acquired:
		row.Who = said.value("/circumstances/examiner")
		said.add("acquisition", e.Acquisition.ID)
		for _, d := range e.Acquisition.Digests {
			said.add("digest", d.Digest.String())
		}
		if n := e.Acquisition.Unread.Bytes; n > 0 {
			said.add("not read", size(n))
		}
	case *record.Copied:
		row.Who = said.value("/circumstances/examiner")
		said.copied(e)
	case *record.Handled:
		occurred, row.Who = e.Handling.OccurredAt, said.party("/handling/actor")
		said.late(e.Handling.OccurredAt, h.Time)
		said.checks = m.After.HashChecks
		said.leaf = m.Entry.Leaf
		said.handling(&e.Handling)
	}
	row.When = occurred.Wall()
	if at, err := occurred.Moment(); err == nil {
		row.At = at.Truncate(time.Minute)
	}
	by := s.signers[m.Entry.Leaf]
	row.Signer, row.Gone = strings.TrimPrefix(by.Holder+", "+by.Role(), ", "), m.After.Destroyed > 0
	if row.Who == "" && by.Kind == record.KindPerson {
		row.Who = by.Holder // who signs their own events
	}
	if row.Who == "" && m.After.Holder.KeyID == row.Key {
		row.Who = m.After.Holder.Name // the same key said so when the exhibit came to it
	}
	said.add("not disclosed", strings.Join(closedFields(m.Entry), ", "))
	row.Lines = said.lines
	return row
}

// teller collects what an event says, as far as it is revealed.
type teller struct {
	openings record.Openings
	story    *story
	leaf     record.LeafHash   // of the event
	checks   []state.HashCheck // of all events
	lines    []string
}

func (t *teller) value(path string) string {
	v, _ := t.openings.Value(path)
	return v
}

func (t *teller) add(name, text string) {
	if text != "" {
		t.lines = append(t.lines, name+": "+clean(text))
	}
}

func (t *teller) party(path string) string {
	var parts []string
	for _, member := range []string{"name", "role", "agency", "identifier"} {
		if v := t.value(path + "/" + member); v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, ", ")
}

func (t *teller) late(occurred, signed record.Time) {
	if occurred.Clock == record.ClockEntered {
		t.lines = append(t.lines, "late entry: signed "+signed.Wall())
	}
}

func (t *teller) handling(h *record.Handling) {
	t.add("from", t.party("/handling/from"))
	t.add("to", t.party("/handling/to"))
	if h.To != nil && h.To.Key != "" {
		t.add("to key", h.To.Key[:16])
	}
	if h.Release != nil {
		t.add("answers", t.story.name(*h.Release))
	}
	t.add("part of exhibit", h.PartOf)
	for _, name := range []string{"place", "purpose", "condition", "witness", "method"} {
		t.add(name, t.value("/handling/"+name))
	}
	t.authority("/handling/authority", h.Authority)
	if h.SealsFound != nil {
		t.add("seals found", sealsText(h.SealsFound))
	}
	t.add("seals taken off", strings.Join(h.SealsRemoved, ", "))
	t.add("seals put on", strings.Join(h.SealsApplied, ", "))
	t.images(h.Images)
	t.handoverHash(h)
	t.elsewhere(h.Copy)
	t.proof(h)
	if w := h.Withheld; w != nil {
		t.add("withheld from them", strings.Join(w.Fields, ", "))
		t.add("ground", t.value("/handling/withheld/ground"))
		t.add("authorised by", t.value("/handling/withheld/authoriser"))
	}
	if e := h.Erasure; e != nil {
		for _, image := range e.Images {
			t.add("erased by order, of "+image.Acquisition, strings.Join(image.Files, ", "))
		}
		for _, sum := range e.Attachments {
			t.add("attachment erased by order", sum.String())
		}
		if n := len(e.Openings); n > 0 {
			t.add("openings erased by order, of", plural(int64(n), "event"))
		}
		t.add("copies elsewhere", t.value("/handling/erasure/copies"))
	}
	for _, d := range h.Paper {
		t.add("signed on paper, scan", d.String())
	}
	if r := h.Restriction; r != nil && r.Kind != "" {
		t.add("restriction", r.Kind)
	} else if r != nil {
		t.add("lifts the restriction of", t.story.name(*r.Lifts))
	}
	if h.Corrects != nil {
		t.add("corrects", t.story.name(*h.Corrects))
	}
	t.attachments("/handling", h.Attachments)
	t.add("remarks", t.value("/handling/remarks"))
	t.despite("/handling/despite/reason", h.Despite)
}

func (t *teller) despite(path string, d *record.Despite) {
	if d != nil {
		t.add("DESPITE THE RULE", fmt.Sprintf("%v, because %q", d.Rules, t.value(path)))
	}
}

// proof tells of what was verified, sent and endorsed.
func (t *teller) proof(h *record.Handling) {
	if v := h.Verification; v != nil {
		t.add("verification", map[record.VerificationResult]string{record.ResultHeld: "every digest held", record.ResultFailed: "FAILED",
			record.ResultUnknown: "not everything could be checked"}[v.Result])
		t.add("by program", v.Tool.Name+" "+v.Tool.Version)
	}
	if p := h.Package; p != nil {
		t.add("package", fmt.Sprintf("%s, %s", named("", t.value("/handling/package/name"), "a file whose name is not revealed"), size(p.SizeBytes)))
		for _, d := range p.Digests {
			t.add("package digest", d.String())
		}
	}
	t.add("reference", t.value("/handling/reference"))
	for _, leaf := range h.Endorses {
		t.add("endorses", t.story.name(leaf))
	}
}

// copied tells of a copy of an image.
func (t *teller) copied(e *record.Copied) {
	t.add("copy", e.Copy.ID)
	t.add("of acquisition", e.Copy.Original.ID)
	if e.Copy.Source.ID != e.Copy.Original.ID {
		t.add("read from", e.Copy.Source.ID)
	}
	t.add("format", e.Copy.Format)
	for _, d := range e.Copy.Digests {
		t.add("digest", d.Digest.String())
	}
}

// endorsers says who vouched for an event with another key than the one that signed it.
func (s *story) endorsers(e custody.Entry, now state.Report) []string {
	var out []string
	for _, by := range now.Endorsements {
		if by.Leaf == e.Leaf {
			out = append(out, fmt.Sprintf("endorsed by: %s, key %s, event %d%s", clean(named("", by.Name, "somebody not named")), by.KeyID[:16], by.Number, state.InLog(by.Log)))
		}
	}
	return out
}

// authority tells kind, number and issuer of a legal ground in one line.
func (t *teller) authority(path string, a record.Authority) {
	kind, _ := a.Kind.Get()
	parts := []string{kind, t.value(path + "/number"), named("by ", t.value(path+"/issuer"), "")}
	t.add("authority", strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", "))
}

func sealsText(seals []string) string {
	if len(seals) == 0 {
		return "none"
	}
	return strings.Join(seals, ", ")
}

// holderText says who has the exhibit, or why nobody here does.
func holderText(r state.Report) string {
	switch {
	case r.Destroyed > 0:
		return "nobody (destroyed)"
	case r.Returned > 0:
		return named("returned to ", r.Holder.Name, "returned")
	case r.Holder.KeyID != "":
		return named("", r.Holder.Name, "key "+r.Holder.KeyID[:16])
	}
	return named("", r.Holder.Name, "nobody known")
}

func named(before, name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return before + name
}

// showHistory prints the newest event of an exhibit, and what is true of it now.
func showHistory(u *ui, c *custody.Case, exhibit string) error {
	moments, err := history(c, exhibit)
	if err != nil {
		return err
	}
	return showMoments(u, c, exhibit, moments, len(moments)-1, false)
}

// showMoments prints the events of an exhibit from that place on, the oldest first, and what is true of it now.
func showMoments(u *ui, c *custody.Case, exhibit string, moments []custody.Moment, from int, since bool) error {
	now := moments[len(moments)-1].After
	s, err := tell(c, moments)
	if err != nil {
		return err
	}
	moments = moments[from:]
	closed, found, err := c.Closed()
	if err != nil {
		return err
	}
	doc := chainDocument{Schema: "exhibit-events/v1", Events: []eventDocument{}, State: newStateDocument(now)}
	for _, m := range moments {
		doc.Events = append(doc.Events, s.document(m.Entry))
	}
	if found {
		event := newEventDocument(closed)
		doc.Closed = &event
	}
	leftOut := ""
	if since && from > 0 {
		leftOut = fmt.Sprintf(", %d of them earlier and not shown", from)
	}
	return u.result(doc, func() {
		u.linef("Exhibit %s: %s%s", clean(exhibit), plural(now.Events, "event"), leftOut)
		var rows [][]string
		for _, m := range moments {
			row := s.momentOf(m)
			rows = append(rows, []string{row.Number, row.When, string(row.Type), named("", clean(row.Who), "-"), row.Key[:8], clean(row.Holder), clean(row.Seals)})
		}
		lines := table([]string{"no.", "when", "what", "by", "key", "then held by", "seals on"}, rows)
		u.linef("%s", lines[0])
		for i, m := range moments {
			u.linef("%s", lines[i+1])
			for _, line := range slices.Concat(s.momentOf(m).Lines, s.endorsers(m.Entry, now)) {
				u.linef("       %s", line)
			}
		}
		for _, log := range s.logs {
			u.linef("%s is the log of %s", log.Short, log.Agency)
		}
		printState(u, now)
		if found {
			u.linef("Log:          %s", closedText(closed))
		}
	})
}

// table aligns columns; the first line is the heading.
func table(heading []string, rows [][]string) []string {
	width := make([]int, len(heading))
	all := slices.Concat([][]string{heading}, rows)
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var out []string
	for _, row := range all {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
		}
		out = append(out, strings.TrimRight(b.String(), " "))
	}
	return out
}

// history reads the events of an exhibit; none is an error.
func history(c *custody.Case, exhibit string) ([]custody.Moment, error) {
	moments, err := c.History(exhibit)
	if err != nil {
		return nil, err
	}
	if len(moments) == 0 {
		return nil, withHints(withCode(codeMissing, fmt.Errorf("the case has no event of exhibit %q", exhibit)), "see all events with: exhibit log show")
	}
	return moments, nil
}
