package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/sign"
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
	Earlier          string // says how many events are left out, or nothing
}

type nowPart struct {
	Holder, Place, Seals string
	Open                 []string
	Closed               string // how the log ended, if it did
}

// span is a time during which something was the same.
type span struct{ From, To, Text string }

// spans joins the moments that have the same text.
func spans(moments []moment, text func(moment) string) []span {
	var out []span
	for _, m := range moments {
		if n := len(out); n == 0 || out[n-1].Text != text(m) {
			if n > 0 {
				out[n-1].To = m.When
			}
			out = append(out, span{From: m.When, To: "now", Text: text(m)})
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
		out = append(out, fact{name, text, strings.HasSuffix(name, "digest") || name == "image" || name == "acquisition" || strings.Contains(name, "scan")})
	}
	return out
}

// writeTimeline writes the page of an exhibit to a new file: the events from that place on, and all that they come to.
func writeTimeline(c *custody.Case, exhibit string, moments []custody.Moment, from int, file string) error {
	last := moments[len(moments)-1].After
	page := timelinePage{Exhibit: clean(exhibit), Case: clean(c.Genesis().Case), Agency: clean(c.Genesis().Agency), Origin: c.Genesis().Origin,
		Fingerprint: sign.Fingerprint(c.Fingerprint().String()),
		Now:         nowPart{clean(holderText(last)), named("", clean(last.Place), "not said"), clean(sealsText(last.Seals)), nil, ""}}
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
	for _, m := range moments {
		row := momentOf(m)
		row.Lines = append(row.Lines, endorsers(m.Entry, last)...)
		row.Who, row.Holder, row.Seals = named("", clean(row.Who), "somebody not named"), clean(row.Holder), clean(row.Seals)
		page.Events = append(page.Events, row)
	}
	page.Hands = spans(page.Events, func(m moment) string { return m.Holder })
	page.SealTimes = spans(page.Events, func(m moment) string { return m.Seals })
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
