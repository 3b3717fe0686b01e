package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
)

// attacher copies files into the case and says what an event says of them.
type attacher struct {
	ctx     context.Context // of this command only
	c       *custody.Case
	exhibit string
	typ     record.Type
	path    string // of the event's own member, as a JSON pointer
	despite bool   // whether the event gives a reason to break a rule

	phrase bool // one of them holds the words of a wallet
}

// checkAttach requires before a passphrase is asked for that the files are there, and not too many.
func checkAttach(names []string) error {
	if len(names) > record.MaxAttachments {
		return withHints(fmt.Errorf("%d attachments, at most %d are allowed in one event", len(names), record.MaxAttachments), "log a note for the rest: exhibit custody note")
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%q is no regular file", name)
		}
		if err != nil {
			return fmt.Errorf("the file to be attached: %w", err)
		}
	}
	return nil
}

// all attaches what was said, the scan of what was signed on paper first.
func (a *attacher) all(said draft, b built, despite *record.Despite, openings *record.Openings) (err error) {
	if *b.attachments, err = a.add(slices.Concat(said["paper"], said["attach"]), openings); err != nil {
		return err
	}
	if h, ok := b.event.(*record.Handled); ok && h.Handling.Paper != nil && !h.Handling.PaperAttached() {
		return fmt.Errorf("--paper %q changed while it was read", said["paper"][0])
	}
	if a.phrase {
		despite.Rules = []record.Rule{record.RuleRecoveryPhrase}
	}
	return nil
}

// add returns the attachments in the order of the names; the same bytes twice are one attachment. The name of a file is a
// personal field and no path: the bytes lie under their SHA-256.
func (a *attacher) add(names []string, openings *record.Openings) ([]record.Attachment, error) {
	var out []record.Attachment
	for _, name := range names {
		one, err := a.copy(name)
		if err != nil {
			return nil, err
		}
		next := record.Attachment{Digests: one.Digests, SizeBytes: one.SizeBytes}
		if slices.ContainsFunc(out, func(have record.Attachment) bool { return have.SHA256() == next.SHA256() }) {
			continue
		}
		if next.Name, err = openings.CommitFact(rand.Reader, fmt.Sprintf("%s/attachments/%d/name", a.path, len(out)), filepath.Base(name), "not given"); err != nil {
			return nil, err
		}
		out = append(out, next)
		a.phrase = a.phrase || one.Phrase
	}
	return out, nil
}

func (a *attacher) copy(name string) (custody.Attached, error) {
	f, err := os.Open(name)
	if err != nil {
		return custody.Attached{}, fmt.Errorf("the file to be attached: %w", err)
	}
	one, err := a.c.Attach(a.ctx, a.exhibit, f, a.despite)
	err = errors.Join(err, f.Close())
	if errors.Is(err, custody.ErrPhrase) {
		return custody.Attached{}, &custody.RuleError{Exhibit: a.exhibit, Type: a.typ, Breaches: []state.Breach{custody.PhraseBreach}}
	}
	if err != nil {
		return custody.Attached{}, fmt.Errorf("attach %q: %w", name, err)
	}
	return one, nil
}

// attachments tells of the attachments of an event.
func (t *teller) attachments(path string, all []record.Attachment) {
	for i := range all {
		name := t.value(fmt.Sprintf("%s/attachments/%d/name", path, i))
		t.add("attached", fmt.Sprintf("%s, %s", named("", name, "a file whose name is not revealed"), size(all[i].SizeBytes)))
		t.add("attachment digest", all[i].SHA256().String())
	}
}
