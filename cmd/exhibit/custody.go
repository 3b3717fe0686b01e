package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

type eventDocument struct {
	Schema   string            `json:"schema"`
	Index    int64             `json:"index"`
	Log      string            `json:"log,omitzero"` // of another log than the home log: its origin
	Leaf     string            `json:"leaf"`
	Type     record.Type       `json:"type"`
	Exhibit  string            `json:"exhibit,omitzero"`
	Number   int64             `json:"number,omitzero"`
	Time     string            `json:"time"`
	KeyID    string            `json:"keyId"`
	Personal map[string]string `json:"personal"`
	Event    record.Predicate  `json:"event"`

	Signer      *eventSignerDocument `json:"signer,omitzero"`      // of one exhibit's events only
	CorrectedBy []string             `json:"correctedBy,omitzero"` // leaf hashes; of one exhibit's events only
}

type chainDocument struct {
	Schema string          `json:"schema"`
	Events []eventDocument `json:"events"`
	State  stateDocument   `json:"state,omitzero"`  // of the exhibit; absent of a whole log
	Closed *eventDocument  `json:"closed,omitzero"` // the entry that closed the home log; absent of a whole log
}

func newCustodyCommand(u *ui) *cobra.Command {
	cmd := group("custody", "Log what happens to an exhibit", append(newHandleCommands(u), newCustodyShowCommand(u))...)
	cmd.Long = "Log what happens to an exhibit. What happened is said by flags, by a file of another system (--from-file), or in a form: on a\n" +
		"terminal a command asks for what its flags leave out, if something required is among it. All is shown again before it is signed."
	return cmd
}

// checkNumber tries an exhibit's number before a passphrase is asked for; the folder itself is made by the first acquisition.
func checkNumber(number string) error {
	err := record.CheckExhibit(number)
	if err == nil {
		_, err = layout.ExhibitDir(number)
	}
	return misused(err, "an exhibit's number is one printable line of at most 60 bytes, and no device name of Windows")
}

type showOptions struct {
	caseDir, exhibit, since, page string
}

func newCustodyShowCommand(u *ui) *cobra.Command {
	var o showOptions
	return newCommand(command{
		use: "show NUMBER", short: "Show an exhibit's chain of custody",
		long: "Show an exhibit's chain of custody as the logs of the case tell it. To know that they are sound use: exhibit verify CASE",
		example: "  exhibit custody show 7\n" +
			"  exhibit custody show --exhibit 7 --since 2026-11-23T00:00:00+01:00 --html seven.html",
		args: cobra.MaximumNArgs(1), codes: []int{codeMismatch, codeMissing},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.caseDir, "case", ".", "the case `FOLDER`")
			f.StringVar(&o.exhibit, "exhibit", "", "`NUMBER` of the exhibit, in place of the argument")
			f.StringVar(&o.since, "since", "", "only the events signed at `TIME` or later, RFC 3339 with offset: 2026-11-23T00:00:00+01:00; the state is that of now")
			f.StringVar(&o.page, "html", "", "write it as well to a new `FILE`, one page for every browser, to be read or printed")
		},
		run: func(_ *cobra.Command, args []string) error {
			if (len(args) == 1) == (o.exhibit != "") {
				return withHints(errors.New("give the exhibit's number once, as the argument or by --exhibit"), "see the exhibits with: exhibit case status")
			}
			return runShow(u, append(args, o.exhibit)[0], &o)
		},
	})
}

func runShow(u *ui, exhibit string, o *showOptions) error {
	var since time.Time
	if o.since != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, o.since); err != nil {
			return withHints(fmt.Errorf("--since %.60q is no time", o.since), "write it as 2026-11-23T00:00:00+01:00")
		}
	}
	c, err := custody.Open(o.caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // opened for reading
	moments, err := history(c, exhibit)
	if err != nil {
		return err
	}
	from := firstSince(moments, since)
	if o.page != "" {
		if err := writeTimeline(c, exhibit, moments, from, o.page); err != nil {
			return err
		}
	}
	return showMoments(u, c, exhibit, moments, from, o.since != "")
}

// firstSince is the place of the first moment that was signed at that time or later. What comes after it is shown too: a clock
// that went back hides no event.
func firstSince(moments []custody.Moment, since time.Time) int {
	for i, m := range moments {
		event, ok := m.Entry.Predicate.(record.Event)
		if !ok {
			return i
		}
		if at, err := event.Header().Time.Moment(); err != nil || !at.Before(since) {
			return i
		}
	}
	return len(moments)
}

// showEvents prints every entry of the log, oldest first.
func showEvents(u *ui, c *custody.Case) error {
	doc := chainDocument{Schema: "exhibit-events/v1", Events: []eventDocument{}}
	for e, err := range c.Entries() {
		if err != nil {
			return err
		}
		doc.Events = append(doc.Events, newEventDocument(e))
	}
	slices.Reverse(doc.Events)
	return u.result(doc, func() {
		for _, e := range doc.Events {
			u.linef("%5d  %s  %-12s %s  key %s", e.Index, e.Time, e.Type, exhibitText(e), e.KeyID[:16])
			for _, path := range slices.Sorted(maps.Keys(e.Personal)) {
				u.linef("         %s: %s", clean(path), clean(e.Personal[path]))
			}
			for _, d := range digestsOf(e.Event) {
				u.linef("         %s", d.Digest)
			}
		}
	})
}

// digestsOf are those of the media stream, of an event that is about one.
func digestsOf(p record.Predicate) []record.MediaDigest {
	switch p := p.(type) {
	case *record.Acquired:
		return p.Acquisition.Digests
	case *record.Copied:
		return p.Copy.Digests
	}
	return nil
}

func exhibitText(e eventDocument) string {
	if e.Exhibit == "" {
		return "case"
	}
	return fmt.Sprintf("exhibit %s, event %d", clean(e.Exhibit), e.Number)
}

func newEventDocument(e custody.Entry) eventDocument {
	d := eventDocument{Schema: "exhibit-event/v1", Index: e.Index, Log: e.Log, Leaf: e.Leaf.String(), Type: e.Predicate.Type(), KeyID: e.KeyID,
		Personal: map[string]string{}, Event: e.Predicate}
	switch p := e.Predicate.(type) {
	case *record.CaseOpened:
		d.Time = p.Time.UTC
	case *record.Anchored:
		d.Time = p.Time.UTC
	case *record.KeysChanged:
		d.Time = p.Time.UTC
	case *record.CaseClosed:
		d.Time = p.Time.UTC
	case record.Event:
		d.Exhibit, d.Number, d.Time = p.Header().Exhibit, p.Header().Number, p.Header().Time.UTC
	}
	for _, o := range e.Openings {
		d.Personal[o.Path] = o.Value
	}
	return d
}
