package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

type keysChangedDocument struct {
	Schema    string              `json:"schema"`
	Index     int64               `json:"index"`
	Leaf      string              `json:"leaf"`
	Admitted  []signerDocument    `json:"admitted"`
	Withdrawn []withdrawnDocument `json:"withdrawn"`
	LogKey    string              `json:"logKey,omitzero"` // identifier of the new one
}

type withdrawnDocument struct {
	KeyID     string `json:"keyId"`
	Reason    string `json:"reason"`
	Successor string `json:"successor,omitzero"`
}

type caseKeysOptions struct {
	caseDir, key, because           string
	events, holder, kind            string
	replaces, reason, since, newLog string
	newLogPassphrase                string
	pass                            passphraseFlags
}

// register adds the flags that every change of keys has.
func (o *caseKeysOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.caseDir, "case", ".", "the case `FOLDER`")
	f.StringVar(&o.key, "key", "", "`NAME` of the person's key that signs the change (default: the one the case admits)")
	f.StringVar(&o.because, "because", "", "`TEXT`: why; kept as a commitment")
	o.pass.register(f, true)
}

const keysLater = "The change is an entry of the log, and holds from the next entry on; what was signed before stays as good as it was."

func newCaseAdmitCommand(u *ui) *cobra.Command {
	var o caseKeysOptions
	return newCommand(command{
		use: "admit KEY", short: "Let another key sign events of a case, or the same key other events",
		long: "Let another key sign events of a case, or change what a key that it admits may sign. KEY is the name of a key of this\n" +
			"station, or a file with the certificate of one that is elsewhere. By default a station's key signs acquisitions and\n" +
			"copies, a person's key all other events. With --replaces it takes the place of another key of the same holder, which\n" +
			"is withdrawn: what that one held, the new one holds.\n\n" + keysLater,
		example: "  exhibit case admit newcomer --holder \"C. Lab\"\n" +
			"  exhibit case admit inspector2 --replaces 02bd472947aa1c49... --reason lost --since 2026-11-23T09:00:00+01:00 \\\n      --key chief",
		args: cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			o.register(f)
			f.StringVar(&o.events, "events", "", "what it may sign: `EVENT,...` (default: all of its kind; keys-changed only when named)")
			f.StringVar(&o.holder, "holder", "", "`NAME` of who holds it; kept as a commitment")
			f.StringVar(&o.kind, "kind", "", "`KIND` of the key in a file, person or station (default: person)")
			f.StringVar(&o.replaces, "replaces", "", "`IDENTIFIER` of the key that it succeeds, 64 hex digits")
			f.StringVar(&o.reason, "reason", "", "why that key is withdrawn: `replaced`, lost or compromised (default: replaced)")
			f.StringVar(&o.since, "since", "", "`TIME` from when on that was so, if it was before")
		},
		run: func(cmd *cobra.Command, args []string) error { return runCaseAdmit(cmd.Context(), u, args[0], &o) },
	})
}

func newCaseWithdrawCommand(u *ui) *cobra.Command {
	var o caseKeysOptions
	return newCommand(command{
		use: "withdraw IDENTIFIER", short: "Let a key sign nothing more in a case",
		long: "Let a key sign nothing more in a case: its holder has left, or the key is lost or in other hands. Whoever verifies the\n" +
			"case reads the reason. What the key signed before the change still counts for them, unless they revoke it in their own\n" +
			"trust file: tell them (exhibit trust add -h), for the log cannot prove when a key was stolen.\n\n" + keysLater,
		example: "  exhibit case withdraw 02bd472947aa1c49... --reason compromised --since 2026-11-20T00:00:00+01:00",
		args:    cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			o.register(f)
			f.StringVar(&o.reason, "reason", "", "`left`, lost or compromised (required)")
			f.StringVar(&o.since, "since", "", "`TIME` from when on that was so, if it was before")
		},
		run: func(cmd *cobra.Command, args []string) error { return runCaseWithdraw(cmd.Context(), u, args[0], &o) },
	})
}

func newCaseRekeyCommand(u *ui) *cobra.Command {
	var o caseKeysOptions
	return newCommand(command{
		use: "rekey --new-log-key NAME", short: "Sign the checkpoints of a case with another log key",
		long: "Sign the checkpoints of a case with another log key of this station. The first checkpoint is signed by both keys, those\n" +
			"after it by the new one alone. A log with a counter in a TPM keeps its key; when that cannot be, see:\n" +
			"exhibit log continue -h\n\n" + keysLater,
		example: "  exhibit case rekey --new-log-key lab1-log2 --because \"the old one was on the stolen laptop\"",
		codes:   []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			o.register(f)
			f.StringVar(&o.newLog, "new-log-key", "", "`NAME` of the new log key (required)")
			f.StringVar(&o.newLogPassphrase, "new-log-passphrase-file", "", "read the new log key's passphrase from the first line of `FILE` (default: the old log key's)")
		},
		run: func(cmd *cobra.Command, _ []string) error { return runCaseRekey(cmd.Context(), u, &o) },
	})
}

func runCaseAdmit(ctx context.Context, u *ui, name string, o *caseKeysOptions) error {
	if o.replaces == "" && (o.reason != "" || o.since != "") {
		return withHints(errors.New("--reason and --since belong to --replaces"), "see: exhibit case admit -h")
	}
	store, err := openStore(false)
	if err != nil {
		return err
	}
	a, err := o.admission(store, name)
	if err != nil {
		return err
	}
	change := custody.KeyChange{Admit: []custody.Admission{a}}
	if _, err := store.Info(name); err == nil {
		if change.Files, err = attestationFiles(store, name); err != nil {
			return err
		}
	}
	if o.replaces != "" {
		w, err := o.withdrawal(o.replaces, cmp.Or(o.reason, record.WithdrawnReplaced))
		if err != nil {
			return err
		}
		w.Successor = a.Key.KeyID()
		change.Withdraw = []custody.Withdrawal{w}
	}
	return o.change(ctx, u, change, nil)
}

func runCaseWithdraw(ctx context.Context, u *ui, id string, o *caseKeysOptions) error {
	if o.reason == "" || o.reason == record.WithdrawnReplaced {
		return withHints(errors.New("--reason is required: left, lost or compromised"), "a key that another one replaces is withdrawn with: exhibit case admit KEY --replaces "+id)
	}
	w, err := o.withdrawal(id, o.reason)
	if err != nil {
		return err
	}
	return o.change(ctx, u, custody.KeyChange{Withdraw: []custody.Withdrawal{w}}, nil)
}

func runCaseRekey(ctx context.Context, u *ui, o *caseKeysOptions) error {
	if o.newLog == "" {
		return withHints(errors.New("--new-log-key is required"), "make one with: exhibit key create NAME --kind log")
	}
	return o.change(ctx, u, custody.KeyChange{}, func(store keyStore) (sign.LogSigner, error) {
		info, err := store.Info(o.newLog)
		if err != nil {
			return nil, err
		}
		var passphrase []byte
		switch {
		case o.newLogPassphrase != "":
			passphrase, err = passphraseFromFile(o.newLogPassphrase)
		case o.pass.logFile != "":
			passphrase, err = passphraseFromFile(o.pass.logFile)
		case o.pass.file != "":
			passphrase, err = passphraseFromFile(o.pass.file)
		case info.Protected:
			passphrase, err = askTerminal(fmt.Sprintf("Passphrase of the log key %q", o.newLog))
		}
		if err != nil {
			return nil, err
		}
		return unlockLog(store, o.newLog, passphrase)
	})
}

// change logs the change; newLog, if not nil, opens the log key that it brings.
func (o *caseKeysOptions) change(ctx context.Context, u *ui, change custody.KeyChange, newLog func(keyStore) (sign.LogSigner, error)) error {
	c, err := openToAppend(u, o.caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	keys, err := unlock(c, o.key, record.TypeKeysChanged, &o.pass)
	if err != nil {
		return err
	}
	if newLog != nil {
		store, err := openStore(false)
		if err != nil {
			return err
		}
		if change.LogKey, err = newLog(store); err != nil {
			return err
		}
	}
	change.Because, change.Clock, change.Random = o.because, now, rand.Reader
	logged, err := c.ChangeKeys(ctx, change, keys.signer, keys.log)
	if errors.Is(err, ledger.ErrKeys) || errors.Is(err, record.ErrMalformed) && !errors.Is(err, ledger.ErrRefused) {
		return misused(err, "see which keys the case admits with: exhibit case show")
	}
	if err != nil {
		return err
	}
	return showChange(u, &change, logged)
}

// admission is the key that is named, with what it may sign.
func (o *caseKeysOptions) admission(store keyStore, name string) (custody.Admission, error) {
	fail := func(err error) (custody.Admission, error) { return custody.Admission{}, err }
	a := custody.Admission{Holder: o.holder}
	if info, err := store.Info(name); err == nil {
		if info.Kind == sign.KindLog || o.kind != "" && o.kind != info.Kind {
			return fail(withHints(fmt.Errorf("key %q is of kind %s", name, info.Kind), "a log key takes the place of another with: exhibit case rekey"))
		}
		a.Key, a.Kind, a.Certificate = info.PublicKey, info.Kind, info.Certificate
	} else {
		pemText, key, certErr := keyOfCertificate(name)
		if certErr != nil {
			return fail(withHints(errors.Join(err, certErr), "name a key of this station (exhibit key list), or a file with its certificate"))
		}
		a.Key, a.Kind, a.Certificate = key, cmp.Or(o.kind, record.KindPerson), pemText
	}
	if a.Kind != record.KindPerson && a.Kind != record.KindStation {
		return fail(misused(fmt.Errorf("--kind %.40q is neither person nor station", a.Kind)))
	}
	var err error
	a.Events, err = eventsOf(a.Kind, o.events)
	return a, err
}

// keyOfCertificate reads the certificate of a signer's key that is on another station.
func keyOfCertificate(name string) ([]byte, sign.PublicKey, error) {
	der, err := readCertificate(name)
	if err != nil {
		return nil, sign.PublicKey{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, sign.PublicKey{}, fmt.Errorf("%q: %w", name, err)
	}
	key, err := sign.ParsePublicKey(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, sign.PublicKey{}, fmt.Errorf("%q: %w", name, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, nil
}

// withdrawal is that of a key that is named by its identifier.
func (o *caseKeysOptions) withdrawal(id, reason string) (custody.Withdrawal, error) {
	if b, err := hex.DecodeString(id); err != nil || len(b) != 32 || hex.EncodeToString(b) != id {
		return custody.Withdrawal{}, withHints(fmt.Errorf("%.80q is not the identifier of a key, 64 hex digits", id), "see: exhibit case show --json")
	}
	if !slices.Contains(record.WithdrawalReasons, reason) {
		return custody.Withdrawal{}, withHints(fmt.Errorf("--reason %.40q is no reason", reason), fmt.Sprintf("choose one of %v", record.WithdrawalReasons))
	}
	w := custody.Withdrawal{KeyID: id, Reason: reason, Since: record.Unknown[record.Time]("not given")}
	if o.since == "" {
		return w, nil
	}
	at, err := enteredTime("since", o.since)
	if err != nil {
		return custody.Withdrawal{}, err
	}
	w.Since = record.Known(at)
	return w, nil
}

func showChange(u *ui, change *custody.KeyChange, logged ledger.Logged) error {
	doc := keysChangedDocument{Schema: "exhibit-keys-changed/v1", Index: logged.Index, Leaf: logged.Leaf.String(), Admitted: []signerDocument{}, Withdrawn: []withdrawnDocument{}}
	for _, a := range change.Admit {
		doc.Admitted = append(doc.Admitted, signerDocument{a.Key.KeyID(), a.Kind, a.Events, a.Holder})
	}
	for _, w := range change.Withdraw {
		doc.Withdrawn = append(doc.Withdrawn, withdrawnDocument{w.KeyID, w.Reason, w.Successor})
	}
	if change.LogKey != nil {
		id, err := keyIDOf(change.LogKey.Keys()[0].PublicKey)
		if err != nil {
			return err
		}
		doc.LogKey = id
	}
	return u.result(doc, func() {
		u.linef("Entry %d of the log changes its keys", doc.Index)
		for _, a := range doc.Admitted {
			u.linef("Admitted:  %s key %s, for %v", a.Kind, a.KeyID, a.Events)
		}
		for _, w := range doc.Withdrawn {
			u.linef("Withdrawn: key %s (%s)", w.KeyID, w.Reason)
		}
		if doc.LogKey != "" {
			u.linef("Log key:   %s", doc.LogKey)
		}
	})
}
