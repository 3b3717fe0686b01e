package main

import (
	"context"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/verify"
)

// verifyLog is what verify --log needs: who did it, and the keys that sign that. Package verify itself writes nothing.
type verifyLog struct {
	log     bool
	key, by string
	pass    passphraseFlags

	c    *custody.Case
	keys *unlocked
}

// check requires that nothing is said of a log that is not to be written.
func (l *verifyLog) check() error {
	if l.log || l.key == "" && l.by == "" && !l.pass.given() && l.pass.logFile == "" {
		return nil
	}
	return withHints(errors.New("--key, --by and the passphrase flags belong to --log"), "leave them out: nothing is signed without --log")
}

// open tries the keys before hours are spent on reading.
func (l *verifyLog) open(u *ui, path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%q is %w", path, custody.ErrNotCase)
	}
	if err == nil {
		l.c, err = openToAppend(u, path)
	}
	if err != nil {
		return withHints(err, append(hintsFor(err), "--log needs a case folder that can be appended to; anything else is verified without it")...)
	}
	if l.keys, err = unlock(l.c, l.key, record.TypeVerified, &l.pass); err != nil {
		return errors.Join(err, l.c.Close())
	}
	return nil
}

// failed prints the report all the same, and keeps its code where that is the worse one.
func (l *verifyLog) failed(u *ui, path string, r verify.Report, err error) error {
	out := u
	if u.json { // whose one document is that of the error
		out = &ui{stdout: u.stderr, stderr: u.stderr}
	}
	printReport(out, path, r)
	hints := hintsFor(err)
	err = fmt.Errorf("verified, and not logged: %w", err)
	if r.ExitCode() == codeMismatch {
		err = withCode(codeMismatch, err)
	}
	return withHints(err, hints...)
}

// append logs one event for each exhibit of which images were hashed, and returns them.
func (l *verifyLog) append(ctx context.Context, u *ui, r verify.Report) ([]custody.Entry, error) {
	var events []custody.Unlogged
	b := eventBuilder{ctx: ctx, u: u, c: l.c, said: draft{}, keyID: l.keys.info.PublicKey.KeyID()}
	for _, exhibit := range r.Exhibits {
		checks, result, err := l.images(u, exhibit.Exhibit, r.Acquisitions)
		if err != nil {
			return nil, err
		}
		if len(checks) == 0 {
			continue
		}
		e, err := record.NewHandled(record.TypeVerified)
		if err != nil {
			return nil, err
		}
		e.Event.Exhibit, b.openings, b.said = exhibit.Exhibit, nil, draft{}
		if l.by != "" {
			b.said["by"] = []string{l.by}
		}
		h := &e.Handling
		for _, step := range []func(record.Type, *record.Handling) error{b.time, b.facts, b.parties} {
			if err := step(record.TypeVerified, h); err != nil {
				return nil, err
			}
		}
		h.SealsApplied, h.SealsRemoved, h.Images = []string{}, []string{}, checks
		h.Verification = &record.Verification{Result: result, Tool: thisTool()}
		events = append(events, custody.Unlogged{Event: e, Openings: b.openings})
	}
	if len(events) == 0 {
		u.notef("no image was hashed that the home log knows, so nothing is logged")
		return nil, nil
	}
	logged, err := l.c.AppendBatch(ctx, events, l.keys.signer, l.keys.log, now)
	if err != nil {
		return nil, ruleHints(err)
	}
	var out []custody.Entry
	for _, one := range logged[len(logged)-len(events):] {
		entry, err := l.c.Entry(one.Index)
		if err != nil {
			return nil, err
		}
		out = append(out, entry)
	}
	return out, nil
}

// images are those of an exhibit that were hashed and of which the log can say so, with what came of them. One of which data was
// erased by order was not hashed as a whole.
func (l *verifyLog) images(u *ui, exhibit string, all []verify.AcquisitionFacts) ([]record.ImageCheck, record.VerificationResult, error) {
	chain, err := l.c.Chain(exhibit)
	if err != nil {
		return nil, "", err
	}
	var checks []record.ImageCheck
	result := record.ResultHeld
	for _, a := range all {
		if a.Exhibit != exhibit || len(a.Erased) > 0 || !hasSHA256(a.Found) {
			continue
		}
		known := slices.ContainsFunc(chain, func(e custody.Entry) bool {
			i, _ := imageOf(e)
			return i != nil && i.ID == a.ID
		})
		if !known {
			u.notef("the log that is appended to does not know image %s of exhibit %s, so its verification is not logged", clean(a.ID), clean(exhibit))
			continue
		}
		checks = append(checks, record.ImageCheck{Acquisition: a.ID, Digests: a.Found})
		switch {
		case a.Image == verify.Failed:
			result = record.ResultFailed
		case a.Image != verify.Verified && result == record.ResultHeld:
			result = record.ResultUnknown
		}
	}
	if len(checks) > record.MaxImages {
		return nil, "", fmt.Errorf("exhibit %q has %d images, and one event names at most %d", exhibit, len(checks), record.MaxImages)
	}
	slices.SortFunc(checks, func(x, y record.ImageCheck) int { return strings.Compare(x.Acquisition, y.Acquisition) })
	return checks, result, nil
}

func hasSHA256(digests []record.Digest) bool {
	return slices.ContainsFunc(digests, func(d record.Digest) bool { return d.Algorithm() == record.SHA256 })
}

// verifyDocument is the report with what was logged of it.
type verifyDocument struct {
	Report jsontext.Value  `json:",embed"`
	Logged []eventDocument `json:"logged"`
}

// show prints the report, and what was logged of it.
func (l *verifyLog) show(u *ui, path string, r verify.Report, logged []custody.Entry) error {
	report, err := json.Marshal(r, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return err
	}
	doc := verifyDocument{Report: report, Logged: []eventDocument{}}
	for _, e := range logged {
		doc.Logged = append(doc.Logged, newEventDocument(e))
	}
	return u.result(doc, func() {
		printReport(u, path, r)
		for _, e := range doc.Logged {
			u.linef("Logged as entry %d: %s, exhibit %s, event %d", e.Index, e.Type, clean(e.Exhibit), e.Number)
		}
	})
}
