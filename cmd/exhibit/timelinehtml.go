package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/state"
)

//go:embed timeline.html
var timelineText string

// timelinePage is what timeline.html shows. Every text has passed through clean.
type timelinePage struct {
	Exhibit, Case, Agency, Origin, Fingerprint string

	Now              nowPart
	Gaps, Notes      []string
	Hands, SealTimes []span
	Events           []moment
	Earlier          string    // says how many events are left out, or nothing
	Logs             []logName // of several, whose events are told apart by them
}

type nowPart struct {
	What                           string // as it was described when it was seized; empty where that is not revealed
	HeldName, Holder, Place, Seals string
	Open                           []string
	Closed                         string // how the log ended, if it did
	Related                        []fact // the exhibit that it is part of, its parts, its images and their copies
}

// related names the exhibits and images that belong to an exhibit.
func related(r state.Report, parts []string) []fact {
	var out []fact
	if r.PartOf != "" {
		out = append(out, fact{"Part of", "exhibit " + clean(r.PartOf), false})
	}
	if len(parts) > 0 {
		out = append(out, fact{"Parts", clean(partsText(parts)), false})
	}
	for _, id := range r.Acquisitions {
		out = append(out, fact{"Image", id, true})
	}
	for _, c := range r.Copies {
		out = append(out, fact{"Copy", c.ID + ", made of " + c.Source, true})
	}
	for _, e := range r.Elsewhere {
		out = append(out, fact{"Copy elsewhere", clean(elsewhereText(e)), false})
	}
	return out
}

// partsOf finds the exhibits that were taken out of one, for which the whole case is read.
func partsOf(c *custody.Case, exhibit string) ([]string, error) {
	all, err := c.States()
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.Exhibit == exhibit {
			return r.Parts, nil
		}
	}
	return nil, nil
}

// span is a time during which something was the same.
type span struct {
	From, To, Text string
	Unsure         bool // an event that was entered late says another order than the log: where it ends, or begins, is not known
}

// spans joins the moments that have the same text.
func spans(moments []moment, text func(moment) string) []span {
	var out []span
	var latest time.Time // at which a span began
	for _, m := range moments {
		if n := len(out); n == 0 || out[n-1].Text != text(m) {
			next := span{From: m.When, To: "now", Text: text(m)}
			if n > 0 {
				out[n-1].To = m.When
			}
			if m.At.Before(latest) { // by whatever came before, not only by the span before
				out[n-1].Unsure, next.Unsure = true, true // latest is zero before the first
			}
			out = append(out, next)
			if m.At.After(latest) {
				latest = m.At
			}
		}
	}
	return out
}

// fact is one line of an event, its name apart.
type fact struct {
	Name, Text string
	Hash       bool // a hash or a number, which is read from left to right in every script
}

// Facts splits the lines of an event.
func (m moment) Facts() []fact {
	var out []fact
	for _, line := range m.Lines {
		name, text, _ := strings.Cut(line, ": ")
		out = append(out, fact{name, text, strings.HasSuffix(name, "digest") || name == "image" || name == "acquisition" || name == "IMEI" || name == "MAC" || name == "serial number" || strings.Contains(name, "scan")})
	}
	return out
}

// described is what the seizure says that the exhibit is, as far as it is revealed.
func described(moments []custody.Moment) string {
	for _, m := range moments {
		if v, _ := m.Entry.Openings.Value("/seizure/description"); v != "" {
			return clean(v)
		}
	}
	return ""
}

// writeTimeline writes the page of an exhibit to a new file: the events from that place on, and all that they come to.
func writeTimeline(c *custody.Case, exhibit string, moments []custody.Moment, from int, file string) error {
	last := moments[len(moments)-1].After
	parts, err := partsOf(c, exhibit)
	if err != nil {
		return err
	}
	heldName, held := heldText(last)
	if last.Destroyed == 0 {
		heldName = "Now held by"
	}
	page := timelinePage{Exhibit: clean(exhibit), Case: clean(c.Genesis().Case), Agency: clean(c.Genesis().Agency), Origin: c.Genesis().Origin,
		Fingerprint: sign.Fingerprint(c.Fingerprint().String()),
		Now:         nowPart{described(moments), heldName, clean(held), named("", clean(last.Place), "not said"), clean(sealsText(last.Seals)), nil, "", related(last, parts)}}
	if e, closed, err := c.Closed(); err != nil {
		return err
	} else if closed {
		page.Now.Closed = closedText(e)
	}
	if text := openText(last); text != "-" {
		page.Now.Open = []string{text}
	}
	for _, list := range [][]string{last.Gaps, last.Contradictions} {
		for _, s := range list {
			page.Gaps = append(page.Gaps, clean(s))
		}
	}
	for _, s := range last.Notes {
		page.Notes = append(page.Notes, clean(s))
	}
	s, err := tell(c, moments)
	if err != nil {
		return err
	}
	page.Logs = s.logs
	for _, m := range moments {
		row := s.momentOf(m)
		row.Lines = append(row.Lines, s.endorsers(m.Entry, last)...)
		row.Signer = clean(row.Signer)
		row.Who, row.Holder, row.Seals = clean(named("", row.Who, unnamed(s.signers[m.Entry.Leaf]))), clean(row.Holder), clean(row.Seals)
		page.Events = append(page.Events, row)
	}
	page.Hands = spans(page.Events, func(m moment) string { return m.Holder })
	page.SealTimes = spans(page.Events, func(m moment) string {
		if m.Gone {
			return m.Seals + " (destroyed)"
		}
		return m.Seals
	})
	if page.Events = page.Events[from:]; from > 0 {
		page.Earlier = plural(int64(from), "earlier event") + " left out here"
	}
	b, err := page.render()
	if err != nil {
		return err
	}
	return writeNew(file, b, false)
}

func (p timelinePage) render() ([]byte, error) {
	t, err := template.New("timeline").Parse(timelineText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("write the timeline: %w", err)
	}
	return b.Bytes(), nil
}
