package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/state"
)

// stateDocument is what the events say of an exhibit together.
type stateDocument struct {
	Exhibit        string                `json:"exhibit"`
	Events         int64                 `json:"events"`
	Holder         string                `json:"holder,omitzero"`
	HolderName     string                `json:"holderName,omitzero"`
	Place          string                `json:"place,omitzero"`
	Seals          []string              `json:"seals"`
	Handover       *handoverDocument     `json:"handover,omitzero"`
	Handovers      int64                 `json:"handovers"`
	Restrictions   []string              `json:"restrictions"`
	Acquisitions   []string              `json:"acquisitions"`
	Copies         []copyDocument        `json:"copies"`
	Elsewhere      []elsewhereDocument   `json:"copiesElsewhere"`
	HashChecks     []hashCheckDocument   `json:"hashChecks"`
	PartOf         string                `json:"partOf,omitzero"`
	Parts          []string              `json:"parts,omitzero"`             // of a whole case only
	Erased         []string              `json:"erased"`                     // acquisitions and copies of which an order had data erased
	ErasedAttached []string              `json:"erasedAttachments,omitzero"` // digests of the attachments that an order had erased
	Endorsements   []endorsementDocument `json:"endorsements"`
	Returned       int64                 `json:"returned,omitzero"`
	Destroyed      int64                 `json:"destroyed,omitzero"`
	DestroyedAt    string                `json:"destroyedAt,omitzero"`
	DestroyedOrder string                `json:"destroyedOrder,omitzero"`
	Gaps           []string              `json:"gaps"`
	Contradictions []string              `json:"contradictions"`
	Notes          []string              `json:"notes"`
}

type copyDocument struct {
	ID       string `json:"id"`
	Source   string `json:"source"`
	Original string `json:"original"`
}

type handoverDocument struct {
	Number int64  `json:"number"`
	Leaf   string `json:"leaf"`
	From   string `json:"from"`
	To     string `json:"to,omitzero"`
	ToName string `json:"toName,omitzero"`
	Log    string `json:"log,omitzero"`
}

// endorsementDocument says that a second key vouches for an event.
type endorsementDocument struct {
	Number int64  `json:"number"`
	Log    string `json:"log,omitzero"`
	KeyID  string `json:"keyId"`
	Name   string `json:"name,omitzero"`
	Leaf   string `json:"leaf"` // of the event that is endorsed
	Of     int64  `json:"of"`   // its number
	OfLog  string `json:"ofLog,omitzero"`
}

type statusDocument struct {
	Schema   string          `json:"schema"`
	Exhibits []stateDocument `json:"exhibits"`
	Closed   *eventDocument  `json:"closed,omitzero"` // the entry that closed the home log
}

func newStateDocument(r state.Report) stateDocument {
	filled := func(list []string) []string { return append([]string{}, list...) }
	d := stateDocument{Exhibit: r.Exhibit, Events: r.Events, Holder: r.Holder.KeyID, HolderName: r.Holder.Name, Place: r.Place, Seals: filled(r.Seals),
		Handovers: r.Handovers, Restrictions: []string{}, Acquisitions: filled(r.Acquisitions), Returned: r.Returned, Destroyed: r.Destroyed,
		Gaps: filled(r.Gaps), Contradictions: filled(r.Contradictions), Notes: filled(r.Notes)}
	if h := r.Handover; h != nil {
		d.Handover = &handoverDocument{h.Number, h.Leaf.String(), h.From, h.To, h.ToName, h.Log}
	}
	if r.Destroyed > 0 {
		d.DestroyedAt, d.DestroyedOrder = r.DestroyedAt.UTC, r.DestroyedOrder
	}
	for _, restriction := range r.Restrictions {
		d.Restrictions = append(d.Restrictions, restriction.Kind)
	}
	d.Endorsements = []endorsementDocument{}
	for _, e := range r.Endorsements {
		d.Endorsements = append(d.Endorsements, endorsementDocument{e.Number, e.Log, e.KeyID, e.Name, e.Leaf.String(), e.Of, e.OfLog})
	}
	d.Copies, d.PartOf, d.Parts = []copyDocument{}, r.PartOf, r.Parts
	for _, c := range r.Copies {
		d.Copies = append(d.Copies, copyDocument{c.ID, c.Source, c.Original})
	}
	d.Elsewhere, d.HashChecks, d.Erased = newElsewhereDocuments(r.Elsewhere), newHashCheckDocuments(r.HashChecks), []string{}
	for _, e := range r.Erased {
		for _, sum := range e.Attachments {
			d.ErasedAttached = append(d.ErasedAttached, sum.String())
		}
		if e.Acquisition != "" && !slices.Contains(d.Erased, e.Acquisition) {
			d.Erased = append(d.Erased, e.Acquisition)
		}
	}
	return d
}

// printState prints what is true of the exhibit now.
func printState(u *ui, r state.Report) {
	name, text := heldText(r)
	u.linef("%-13s %s", name+":", clean(text))
	if r.Place != "" {
		u.linef("Place:        %s", clean(r.Place))
	}
	u.linef("Seals on:     %s", clean(sealsText(r.Seals)))
	if r.PartOf != "" {
		u.linef("Part of:      exhibit %s", clean(r.PartOf))
	}
	for _, c := range r.Copies {
		u.linef("Copy:         %s, made of %s", c.ID, c.Source)
	}
	for _, e := range r.Elsewhere {
		u.linef("Copy:         %s", clean(elsewhereText(e)))
	}
	for _, restriction := range r.Restrictions {
		u.linef("Restricted:   %s, since event %d", restriction.Kind, restriction.Number)
	}
	for _, e := range r.Erased {
		if e.Acquisition == "" {
			u.linef("Erased:       %s, by order (event %d)", plural(int64(len(e.Attachments)), "attachment"), e.Number)
			continue
		}
		u.linef("Erased:       %s of %s, by order (event %d)", clean(strings.Join(e.Files, ", ")), e.Acquisition, e.Number)
	}
	for _, list := range []struct {
		name      string
		sentences []string
	}{{"Gap:", r.Gaps}, {"CONTRADICTION:", r.Contradictions}, {"Note:", r.Notes}} {
		for _, s := range list.sentences {
			u.linef("%-13s %s", list.name, clean(s))
		}
	}
	if len(r.Gaps)+len(r.Contradictions) == 0 {
		u.linef("Gaps:         none")
	}
}

func newCaseStatusCommand(u *ui) *cobra.Command {
	return newCommand(command{
		use: "status [DIR]", short: "Show who holds each exhibit, where it is, and what is open",
		long: "Show who holds each exhibit, where it is, its seals and what is open, as the logs of the case tell it. To know that they\n" +
			"are sound use: exhibit verify DIR",
		args: cobra.MaximumNArgs(1), codes: []int{codeMismatch, codeMissing},
		run: func(_ *cobra.Command, args []string) error {
			return withStates(u, append(args, ".")[0], func(all []state.Report) {
				if len(all) == 0 {
					u.linef("The case has no exhibit yet.")
					return
				}
				var rows [][]string
				for _, r := range all {
					rows = append(rows, []string{clean(r.Exhibit), clean(holderText(r)), named("", clean(r.Place), "-"), clean(sealsText(r.Seals)),
						fmt.Sprint(len(r.Acquisitions)), openText(r), fmt.Sprint(len(r.Gaps) + len(r.Contradictions))})
				}
				for _, line := range table([]string{"exhibit", "held by", "place", "seals on", "images", "open", "gaps"}, rows) {
					u.linef("%s", line)
				}
				for _, r := range all {
					for _, e := range r.Elsewhere {
						u.linef("Copy of exhibit %s: %s", clean(r.Exhibit), clean(elsewhereText(e)))
					}
					if len(r.Parts) > 0 {
						u.linef("Parts of exhibit %s: %s", clean(r.Exhibit), clean(partsText(r.Parts)))
					}
				}
			})
		},
	})
}

// partsText names the exhibits that were taken out of another one.
func partsText(parts []string) string {
	words := make([]string, len(parts))
	for i, p := range parts {
		words[i] = "exhibit " + p
	}
	return strings.Join(words, ", ")
}

// openText says what waits or is forbidden.
func openText(r state.Report) string {
	var all []string
	if r.Handover != nil {
		all = append(all, fmt.Sprintf("release of event %d%s", r.Handover.Number, named(" to ", clean(r.Handover.ToName), "")))
	}
	for _, restriction := range r.Restrictions {
		all = append(all, "restricted: "+restriction.Kind)
	}
	return named("", strings.Join(all, "; "), "-")
}

func newCaseGapsCommand(u *ui) *cobra.Command {
	return newCommand(command{
		use: "gaps [DIR]", short: "List every gap in the custody of every exhibit",
		long: "List every gap in the custody of every exhibit, as the logs of the case tell it: 5 if there is one, 4 if events contradict\n" +
			"each other. To know that the logs are sound use: exhibit verify DIR",
		args: cobra.MaximumNArgs(1), codes: []int{codeMismatch, codeMissing},
		run: func(_ *cobra.Command, args []string) error {
			return withStates(u, append(args, ".")[0], func(all []state.Report) {
				for _, r := range all {
					for _, s := range r.Gaps {
						u.linef("exhibit %s: %s", clean(r.Exhibit), clean(s))
					}
					for _, s := range r.Contradictions {
						u.linef("exhibit %s: CONTRADICTION: %s", clean(r.Exhibit), clean(s))
					}
				}
			}, func(all []state.Report) {
				u.code = gapsCode(all)
				if u.code == codeDone && !u.json {
					u.linef("No gap in the custody of %s.", plural(int64(len(all)), "exhibit"))
				}
			})
		},
	})
}

// gapsCode is 5 too for a case without exhibits: there is nothing that could have no gap.
func gapsCode(all []state.Report) int {
	code := codeDone
	for _, r := range all {
		switch {
		case len(r.Contradictions) > 0:
			return codeMismatch
		case !r.Sound():
			code = codeMissing
		}
	}
	if len(all) == 0 {
		return codeMissing
	}
	return code
}

// withStates opens a case for reading, prints the state of each exhibit, and then calls after.
func withStates(u *ui, dir string, text func([]state.Report), after ...func([]state.Report)) error {
	c, err := custody.Open(dir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // opened for reading
	all, err := c.States()
	if err != nil {
		return err
	}
	doc := statusDocument{Schema: "exhibit-case-status/v1", Exhibits: []stateDocument{}}
	for _, r := range all {
		doc.Exhibits = append(doc.Exhibits, newStateDocument(r))
	}
	closed, found, err := c.Closed()
	if err != nil {
		return err
	}
	if found {
		event := newEventDocument(closed)
		doc.Closed = &event
	}
	err = u.result(doc, func() {
		text(all)
		if found {
			u.linef("The log was %s.", closedText(closed))
		}
	})
	for _, f := range after {
		f(all)
	}
	return err
}
