package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/custody/tpm"
)

type closedDocument struct {
	Schema  string        `json:"schema"`
	Folder  string        `json:"folder"`
	Case    string        `json:"case"`
	Entry   eventDocument `json:"entry"`
	Again   bool          `json:"again"`
	Counter int64         `json:"counter,omitzero"`
	Value   int64         `json:"value,omitzero"`
	Freed   bool          `json:"freed"`
}

type closeOptions struct {
	key, because, by, despite string
	pass                      passphraseFlags
}

func newCaseCloseCommand(u *ui) *cobra.Command {
	var o closeOptions
	return newCommand(command{
		use: "close DIR", short: "Close a case's log for good, and free its counter in the TPM",
		long: "Close a case's own log: its last entry says by whom, why and when. Then the counter that the log has in this machine's TPM, if\n" +
			"it has one, is freed for another case. From then on nothing can be appended to the log; it is verified as before. Exhibits that\n" +
			"are in somebody's hands or released by this log are named first, and need --despite REASON, which stays a gap. What an\n" +
			"interrupted append left is completed first. After a crash repeat the command: it closes once, and frees what is left to free.",
		example: "  exhibit case close case-2026-001 --because \"judgment of 12 May is final\"",
		args:    cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.because, "because", "", "why the case is closed, in `WORDS` (required, unless it was closed already)")
			f.StringVar(&o.by, "by", "", "who closes it: `NAME` (default: the holder of the key, as the genesis reveals it)")
			f.StringVar(&o.despite, "despite", "", "close it although exhibits are open, for this `REASON`; every report shows it as a gap")
			f.StringVar(&o.key, "key", "", "`NAME` of the person's key that signs (default: the one the case admits)")
			o.pass.register(f, true)
		},
		run: func(cmd *cobra.Command, args []string) error { return runCaseClose(cmd.Context(), u, args[0], &o) },
	})
}

func runCaseClose(ctx context.Context, u *ui, dir string, o *closeOptions) error {
	c, err := openMaybeClosed(u, dir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	g := c.Genesis()
	closed, before, err := c.Closed()
	if err != nil {
		return err
	}
	if !before && o.because == "" {
		return withHints(errors.New("--because is required"), "say why the case is closed, in words that a court will read")
	}
	keys, err := o.unlock(c)
	if err != nil {
		return err
	}
	counter, err := keys.store.counter(g, keys.logName, keys.passphrase)
	if err != nil {
		return err
	}
	if before && counter != nil {
		if _, err := counter.Value(); errors.Is(err, tpm.ErrNoCounter) { // it was freed, too
			return showClosed(u, c, closed, true, false)
		}
	}
	logKey := keys.log
	if counter != nil {
		logKey = ledger.WithCounter(logKey, counter)
	}
	b := eventBuilder{c: c, keyID: keys.signer.PublicKey().KeyID()}
	if o.by == "" {
		o.by = b.holder()
	}
	closed, again, err := c.CloseLog(ctx, custody.Closing{Because: o.because, By: o.by, Despite: o.despite, Clock: now, Random: rand.Reader}, keys.signer, logKey)
	if err != nil {
		return closeError(u, err)
	}
	if counter != nil {
		if err := counter.Free(); err != nil {
			return withHints(fmt.Errorf("the log is closed, and its counter is still in the TPM: %w", err), "free it by repeating the command")
		}
	}
	return showClosed(u, c, closed, again, counter != nil)
}

// closingKeys are what closing a log needs.
type closingKeys struct {
	store      keyStore
	logName    string
	passphrase []byte // of the log key
	signer     sign.Signer
	log        sign.LogSigner // without its counter
}

func (o *closeOptions) unlock(c *custody.Case) (*closingKeys, error) {
	store, err := openStore(false)
	if err != nil {
		return nil, err
	}
	infos, err := store.List()
	if err != nil {
		return nil, err
	}
	info, err := chooseKey(infos, c, o.key, record.TypeCaseClosed)
	if err != nil {
		return nil, err
	}
	logInfo, err := chooseLogKey(infos, c)
	if err != nil {
		return nil, err
	}
	k := closingKeys{store: store, logName: logInfo.Name}
	k.signer, k.log, k.passphrase, err = unlockWithLog(store, info, logInfo.Name, &o.pass)
	if err != nil {
		return nil, err
	}
	return &k, nil
}

// closeError names what is open.
func closeError(u *ui, err error) error {
	if errors.Is(err, custody.ErrNothingOpen) {
		return withHints(err, "leave out --despite")
	}
	open, ok := errors.AsType[*custody.OpenError](err)
	if !ok {
		return err
	}
	for i, r := range open.Exhibits {
		if i == maxOpenShown {
			u.notef("and %d more", len(open.Exhibits)-i)
			break
		}
		u.notef("exhibit %s: %s", clean(r.Exhibit), leftText(r))
	}
	return withHints(err, "log what becomes of them first: exhibit custody return, destroy, accept or refuse", "if they stay as they are, close it with --despite REASON; every report will show that")
}

// maxOpenShown bounds the exhibits that a refusal names.
const maxOpenShown = 100

func leftText(r state.Report) string {
	if r.Handover != nil {
		return openText(r)
	}
	return "held by " + clean(holderText(r))
}

// closedText says by whom, when and why a log was closed, as far as it is revealed.
func closedText(e custody.Entry) string {
	p, ok := e.Predicate.(*record.CaseClosed)
	if !ok {
		return ""
	}
	by, _ := e.Openings.Value("/by")
	because, _ := e.Openings.Value("/because")
	text := fmt.Sprintf("closed by entry %d at %s, by %s, key %s", e.Index, p.Time.Wall(), named("", clean(by), "somebody not named"), e.KeyID[:16])
	if because != "" {
		text += fmt.Sprintf(", because %q", clean(because))
	}
	if p.Despite != nil {
		reason, _ := e.Openings.Value("/despite/reason")
		text += fmt.Sprintf(", despite %s that it left open (%q)", plural(p.Despite.Exhibits, "exhibit"), named("", clean(reason), "for a reason that is not revealed"))
	}
	return text
}

func showClosed(u *ui, c *custody.Case, closed custody.Entry, again, freed bool) error {
	g := c.Genesis()
	doc := closedDocument{Schema: "exhibit-case-closed/v1", Folder: c.Dir(), Case: g.Case, Entry: newEventDocument(closed), Again: again, Freed: freed}
	if p, ok := closed.Predicate.(*record.CaseClosed); ok && g.Counter != nil {
		doc.Counter, doc.Value = g.Counter.Handle, p.Counter
	}
	return u.result(doc, func() {
		if again {
			u.linef("Case %s was %s.", clean(doc.Case), closedText(closed))
		} else {
			u.linef("Closed case %s: its log was %s.", clean(doc.Case), closedText(closed))
		}
		switch {
		case doc.Freed:
			u.linef("Its counter %#x, which stood at %d, is no longer in the TPM.", doc.Counter, doc.Value)
		case g.Counter != nil:
			u.linef("Its counter %#x was no longer in the TPM.", doc.Counter)
		}
		u.linef("Nothing can be appended to its log any more; verify it as before with: exhibit verify %q", doc.Folder)
	})
}
