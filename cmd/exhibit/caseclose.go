package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type closedDocument struct {
	Schema  string `json:"schema"`
	Folder  string `json:"folder"`
	Case    string `json:"case"`
	Counter int64  `json:"counter"`
	Value   int64  `json:"value"`
}

func newCaseCloseCommand(u *ui) *cobra.Command {
	var pass passphraseFlags
	return newCommand(command{
		use: "close DIR", short: "Free the counter that a case has in the TPM",
		long: "Free the counter that the log of a case has in this machine's TPM, so that the TPM has room for another case. From then\n" +
			"on nothing can be appended to the log; it is verified as before. What an interrupted append left is completed first,\n" +
			"and the log must be in order. A case without a counter needs no closing.",
		args: cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) { pass.register(f, false) },
		run:   func(cmd *cobra.Command, args []string) error { return runCaseClose(cmd, u, args[0], &pass) },
	})
}

func runCaseClose(cmd *cobra.Command, u *ui, dir string, pass *passphraseFlags) error {
	c, err := openToAppend(u, dir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	g := c.Genesis()
	if g.Counter == nil {
		return errors.New("the log of this case has no counter in a TPM: there is nothing to free")
	}
	store, err := openStore(false)
	if err != nil {
		return err
	}
	infos, err := store.List()
	if err != nil {
		return err
	}
	info, err := chooseLogKey(infos, c)
	if err != nil {
		return err
	}
	var passphrase []byte
	if info.Protected || pass.given() {
		if passphrase, _, err = pass.read(fmt.Sprintf("Passphrase of the log key %q", info.Name)); err != nil {
			return err
		}
	}
	key, err := unlockLog(store, info.Name, passphrase)
	if err != nil {
		return err
	}
	if key, err = store.withCounter(g, info.Name, passphrase, key); err != nil {
		return err
	}
	if err := c.Settle(cmd.Context(), key); err != nil {
		return err
	}
	counter, err := store.counter(g, info.Name, passphrase)
	if err != nil {
		return err
	}
	value, err := counter.Value()
	if err != nil {
		return err
	}
	if err := counter.Free(); err != nil {
		return err
	}
	doc := closedDocument{Schema: "exhibit-case-closed/v1", Folder: c.Dir(), Case: g.Case, Counter: g.Counter.Handle, Value: value}
	return u.result(doc, func() {
		u.linef("Closed case %s: its counter %#x, which stood at %d, is no longer in the TPM.", clean(doc.Case), doc.Counter, doc.Value)
		u.linef("Nothing can be appended to its log any more; verify it as before with: exhibit verify %q", doc.Folder)
	})
}
