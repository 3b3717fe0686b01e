package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/tpm"
)

type continueOptions struct {
	admit                                []string // as in case create
	caseDir, because, openedBy, key, log string
	pass                                 passphraseFlags
}

func newLogContinueCommand(u *ui) *cobra.Command {
	var o continueOptions
	return newCommand(command{
		use: "continue --because TEXT", short: "Go on in a new log, after the old one was refused",
		long: "Go on in a new log of the same case, after a command refused the old one because this folder, or the TPM, is not in\n" +
			"the state in which it was left. First look for the newest copy of the folder: with it nothing is lost. The new log\n" +
			"names the old one's last checkpoint, what its counter stands at, and your reason; it has a fingerprint of its own.\n" +
			"From then on exhibit verify says how many checkpoints may be lost, and the case is verified no more than that.\n\n" +
			"When the TPM that held the log's and the station's keys is dead, make new keys, and name them with --log-key and --admit: a\n" +
			"person's key that the old log admits signs for them. What the old keys signed stays as good as it was.",
		example: "  exhibit log continue --because \"the disk failed; restored from the backup of Monday\" --key inspector\n" +
			"  exhibit log continue --because \"the TPM died\" --key inspector --log-key log2 --admit lab2",
		codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.caseDir, "case", ".", "the case `FOLDER`")
			f.StringVar(&o.because, "because", "", "`TEXT`: why the log cannot go on; kept as a commitment (required)")
			f.StringVar(&o.openedBy, "opened-by", "", "`NAME` of the person who opens the new log; kept as a commitment")
			f.StringVar(&o.key, "key", "", "`NAME` of the person's key that signs the new genesis (required)")
			f.StringArrayVar(&o.admit, "admit", nil, "admit another `KEY` of this station, such as a new station's: NAME for what its kind signs, or NAME=EVENT,EVENT; may be repeated")
			f.StringVar(&o.log, "log-key", "", "`NAME` of the new log's key (default: the old log's)")
			o.pass.register(f, true)
		},
		run: func(cmd *cobra.Command, _ []string) error { return runLogContinue(cmd.Context(), u, &o) },
	})
}

func runLogContinue(ctx context.Context, u *ui, o *continueOptions) error {
	if o.because == "" || o.key == "" {
		return withHints(errors.New("--because and --key are required"), "see: exhibit log continue -h")
	}
	c, err := openMaybeClosed(u, o.caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	store, err := openStore(false)
	if err != nil {
		return err
	}
	person, err := continuingPerson(store, c, o.key)
	if err != nil {
		return err
	}
	if o.log == "" {
		infos, err := store.List()
		if err != nil {
			return err
		}
		info, err := chooseLogKey(infos, c)
		if err != nil {
			return err
		}
		o.log = info.Name
	}
	signer, logKey, logPassphrase, err := unlockWithLog(store, person, o.log, &o.pass)
	if err != nil {
		return err
	}
	live, err := refusal(ctx, store, c, o.log, logPassphrase, logKey)
	if err != nil {
		return err
	}
	admit, names, err := o.admissions(store, c)
	if err != nil {
		return err
	}
	files, err := attestationFiles(store, append(names, o.log)...)
	if err != nil {
		return err
	}
	logKey, counter, err := store.newCounter(o.log, logPassphrase, logKey)
	if err != nil {
		return err
	}
	err = c.Continue(custody.Continuation{
		Because: o.because, Admit: admit, Live: live, OpenedBy: o.openedBy, Counter: identityOf(counter), Files: files, Clock: now, Random: rand.Reader,
	}, signer, logKey)
	if err != nil && counter != nil {
		err = errors.Join(err, counter.Free())
	}
	if err != nil {
		return err
	}
	return showCase(u, c, "Continued")
}

// continuingPerson is the person's key that signs the new genesis.
func continuingPerson(store keyStore, c *custody.Case, name string) (sign.Info, error) {
	info, err := store.Info(name)
	if err != nil {
		return sign.Info{}, err
	}
	keys, err := c.Keys()
	if err != nil {
		return sign.Info{}, err
	}
	if s, _, err := keys.Signer(info.KeyID, ledger.Next); err == nil && s.Kind == record.KindPerson {
		return info, nil
	}
	return sign.Info{}, fmt.Errorf("key %q: %w: a person's key that the case admits signs the new genesis", name, custody.ErrNotAdmitted)
}

// admissions are the keys that the new log admits beside those of the old one, and their names.
func (o *continueOptions) admissions(store keyStore, c *custody.Case) (admit []custody.Admission, names []string, err error) {
	if admit, err = admissions(store, o.admit); err != nil {
		return nil, nil, err
	}
	keys, err := c.Keys()
	if err != nil {
		return nil, nil, err
	}
	for i, a := range admit {
		name, _, _ := strings.Cut(o.admit[i], "=")
		if _, _, err := keys.Signer(a.Key.KeyID(), ledger.Next); err == nil {
			return nil, nil, withHints(fmt.Errorf("key %q is admitted already, and stays so", name), "leave out --admit "+name)
		}
		names = append(names, name)
	}
	return admit, names, nil
}

// refusal requires that the old log cannot be appended to, or was closed, and returns what its counter stands at.
func refusal(ctx context.Context, store keyStore, c *custody.Case, logName string, passphrase []byte, key sign.LogSigner) (record.Fact[int64], error) {
	g := c.Genesis()
	if e, closed, err := c.Closed(); err == nil && closed {
		p, _ := e.Predicate.(*record.CaseClosed)
		if p.Counter == 0 {
			return record.Unknown[int64]("the log has no counter"), nil
		}
		return record.Known(p.Counter), nil // for good
	}
	counter, err := store.counter(g, logName, passphrase)
	switch {
	case errors.Is(err, tpm.ErrOther), errors.Is(err, sign.ErrKind):
		return record.Unknown[int64]("the counter is in another TPM, or in none that this station has: " + err.Error()), nil
	case err != nil:
		return record.Fact[int64]{}, err
	case counter != nil:
		key = ledger.WithCounter(key, counter)
	}
	err = c.Settle(ctx, key)
	switch {
	case err == nil:
		return record.Fact[int64]{}, withHints(errors.New("the log is in order: there is nothing to continue in another"), "append to it as always")
	case errors.Is(err, tpm.ErrNoCounter):
		return record.Unknown[int64]("the counter is no longer in the TPM: " + err.Error()), nil
	case !errors.Is(err, ledger.ErrRefused):
		return record.Fact[int64]{}, err
	case counter == nil:
		return record.Unknown[int64]("the log has no counter"), nil
	}
	value, err := counter.Value()
	if err != nil {
		return record.Fact[int64]{}, err
	}
	return record.Known(value), nil
}
