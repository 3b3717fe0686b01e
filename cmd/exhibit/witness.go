package main

import (
	"context"
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/anchor/remote"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/verify"
)

// The files of a witness's own folder; those of the logs that it follows are package anchor's.
const (
	witnessFile  = "witness.json"
	witnessKey   = "key.pem"
	witnessPQKey = "key-mldsa.pem"
	maxKeyFile   = 16 << 10
)

const witnessType = "exhibit-witness/v1"

type witnessSettings struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type witnessDocument struct {
	Schema string   `json:"schema"`
	Name   string   `json:"name"`
	Keys   []string `json:"keys"`
}

type cosignDocument struct {
	Schema string `json:"schema"`
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Lines  string `json:"lines"`
}

func newWitnessCommand(u *ui) *cobra.Command {
	return group("witness", "Be a witness: cosign the checkpoints of other stations' logs", newWitnessCreateCommand(u), newWitnessServeCommand(u), newWitnessCosignCommand(u))
}

// witnessFolder is the folder that was named, or the station's own.
func witnessFolder(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	own, err := home()
	return filepath.Join(own, "witness"), err
}

type witnessCreateOptions struct {
	dir  string
	pq   bool
	pass passphraseFlags
}

func newWitnessCreateCommand(u *ui) *cobra.Command {
	var o witnessCreateOptions
	return newCommand(command{
		use: "create NAME", short: "Make the key of a witness and the folder in which it remembers",
		long: "Make the key of a witness, and the folder in which it remembers what it saw of each log. NAME looks like an address\n" +
			"without its scheme: witness.example/w1. The verifier key that is shown is what others trust with exhibit trust add\n" +
			"witness. With --pq there is a second key, ML-DSA-44, and every cosignature has a second line. It protects the\n" +
			"checkpoint against whoever breaks the first key with a quantum computer, and nothing else; it is a key in a file.\n\n" +
			"Keep the folder: with an older copy of it in its place a witness has forgotten what it saw since.",
		args: cobra.ExactArgs(1), codes: []int{codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.dir, "dir", "", "the witness's `FOLDER` (default: witness in the folder of this station)")
			f.BoolVar(&o.pq, "pq", false, "make an ML-DSA-44 key, too")
			o.pass.register(f, false)
		},
		run: func(_ *cobra.Command, args []string) error { return runWitnessCreate(u, args[0], &o) },
	})
}

func runWitnessCreate(u *ui, name string, o *witnessCreateOptions) error {
	if !anchor.ValidWitnessName(name) {
		return withHints(fmt.Errorf("%.120q is no name of a witness", name), "1 to 100 characters a-z 0-9 . / -, such as witness.example/w1")
	}
	dir, err := witnessFolder(o.dir)
	if err != nil {
		return err
	}
	passphrase, _, err := o.pass.read(fmt.Sprintf("Passphrase for the witness %q", name))
	if err != nil {
		return err
	}
	key, files, err := newWitnessKeys(name, o.pq, passphrase)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	err = inNewFolder(dir, func(root *durable.Root) error {
		for _, f := range files {
			if err := root.CreateSecretEx(f.name, f.data); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return showWitness(u, key)
}

type namedFile struct {
	name string
	data []byte
}

// newWitnessKeys makes the keys, and the files that keep them; that of the settings comes last.
func newWitnessKeys(name string, pq bool, passphrase []byte) (anchor.Cosigner, []namedFile, error) {
	key := anchor.Cosigner{Name: name}
	var err error
	if _, key.Ed25519, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return key, nil, err
	}
	sealed, err := sign.SealKey(key.Ed25519, passphrase)
	if err != nil {
		return key, nil, err
	}
	files := []namedFile{{witnessKey, sealed}}
	if pq {
		if key.MLDSA, err = mldsa.GenerateKey(mldsa.MLDSA44()); err != nil {
			return key, nil, err
		}
		if sealed, err = sign.SealKey(key.MLDSA, passphrase); err != nil {
			return key, nil, err
		}
		files = append(files, namedFile{witnessPQKey, sealed})
	}
	settings, err := record.EncodeJSON(witnessSettings{name, witnessType})
	return key, append(files, namedFile{witnessFile, settings}), err
}

func showWitness(u *ui, key anchor.Cosigner) error {
	keys, err := key.Keys()
	if err != nil {
		return err
	}
	doc := witnessDocument{Schema: "exhibit-witness/v1", Name: key.Name}
	for _, k := range keys {
		doc.Keys = append(doc.Keys, k.String())
	}
	return u.result(doc, func() {
		u.linef("Witness %s", key.Name)
		for _, k := range keys {
			kind := "Ed25519"
			if k.PostQuantum() {
				kind = "ML-DSA-44"
			}
			u.linef("%s, fingerprint %s", kind, sign.Fingerprint(k.Fingerprint()))
			u.linef("  exhibit trust add witness %s --name NAME", k)
		}
	})
}

// openWitness unlocks a witness. The caller closes the root.
func openWitness(dir string, pass *passphraseFlags) (*anchor.Witness, *durable.Root, string, error) {
	dir, err := witnessFolder(dir)
	if err != nil {
		return nil, nil, "", err
	}
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return nil, nil, "", withHints(err, "make a witness with: exhibit witness create NAME")
	}
	key, err := readWitnessKeys(root, pass)
	if err != nil {
		return nil, nil, "", errors.Join(err, root.Close())
	}
	return anchor.NewWitness(root, key, time.Now), root, key.Name, nil
}

func readWitnessKeys(root *durable.Root, pass *passphraseFlags) (anchor.Cosigner, error) {
	b, err := root.ReadFile(witnessFile, record.MaxJSON)
	var settings witnessSettings
	if err == nil {
		err = record.DecodeTyped(b, witnessType, &settings)
	}
	if err != nil {
		return anchor.Cosigner{}, misused(fmt.Errorf("the folder of a witness: %w", err), "make a witness with: exhibit witness create NAME")
	}
	passphrase, _, err := pass.read(fmt.Sprintf("Passphrase of the witness %q", settings.Name))
	if err != nil {
		return anchor.Cosigner{}, err
	}
	key := anchor.Cosigner{Name: settings.Name}
	if key.Ed25519, err = openKeyFile[ed25519.PrivateKey](root, witnessKey, passphrase); err != nil {
		return anchor.Cosigner{}, err
	}
	if _, err := root.Lstat(witnessPQKey); errors.Is(err, fs.ErrNotExist) {
		return key, nil
	}
	key.MLDSA, err = openKeyFile[*mldsa.PrivateKey](root, witnessPQKey, passphrase)
	return key, err
}

func openKeyFile[T any](root *durable.Root, name string, passphrase []byte) (none T, err error) {
	b, err := root.ReadFile(name, maxKeyFile)
	if err != nil {
		return none, err
	}
	any, err := sign.OpenKey(b, passphrase)
	if err != nil {
		return none, fmt.Errorf("%q: %w", name, err)
	}
	key, ok := any.(T)
	if !ok {
		return none, fmt.Errorf("%q holds a key of another kind", name)
	}
	return key, nil
}

// admitLogs tells the witness of logs, by files of their genesis, which must be trusted by this station, and of changes of their
// keys.
func admitLogs(ctx context.Context, w *anchor.Witness, o *witnessOptions) error {
	trust, err := readTrust("")
	if err != nil {
		return err
	}
	for _, name := range o.genesis {
		b, err := readSmall(name, layout.MaxEnvelope)
		if err != nil {
			return err
		}
		_, leaf, err := ledger.ParseGenesis(b)
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		if !verify.TrustsGenesis(trust, leaf) {
			return withHints(withCode(codeMissing, fmt.Errorf("%q: the case with the fingerprint %s is not trusted on this station", name, sign.Fingerprint(leaf.String()))),
				"compare it by another channel, and then: exhibit trust add genesis "+leaf.String()+" --name NAME")
		}
		if _, err := w.Admit(ctx, b); err != nil {
			return err
		}
	}
	for _, name := range o.changes {
		b, err := readSmall(name, layout.MaxEnvelope)
		if err == nil {
			err = w.AdmitChange(ctx, b)
		}
		if err != nil {
			return withHints(fmt.Errorf("%q: %w", name, err), "name every change in its order; they are the entries called keys-changed in: exhibit log show")
		}
	}
	return nil
}

type witnessOptions struct {
	dir, listen string
	genesis     []string
	changes     []string
	pass        passphraseFlags
}

func (o *witnessOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.dir, "dir", "", "the witness's `FOLDER` (default: witness in the folder of this station)")
	f.StringArrayVar(&o.genesis, "genesis", nil, "follow the log of this genesis, a genesis.dsse.json `FILE` of a case that this station trusts; may be\nrepeated, and is remembered")
	f.StringArrayVar(&o.changes, "keys-changed", nil, "take a change of that log's keys in, the `FILE` of the entry; may be repeated, in their order, and is remembered")
	o.pass.register(f, false)
}

func newWitnessCosignCommand(u *ui) *cobra.Command {
	var o witnessOptions
	return newCommand(command{
		use: "cosign FILE", short: "Cosign a checkpoint that was carried here",
		long: "Cosign a checkpoint that was carried here, as exhibit log anchor --witness-request wrote it, and print the lines to\n" +
			"carry back for exhibit log anchor --response. It is done only when the log contains all that this witness has cosigned\n" +
			"before. What contradicts is kept in the witness's folder, and ends with 4.",
		example: "  exhibit witness cosign request --genesis genesis.dsse.json >answer",
		args:    cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: o.register,
		run:   func(cmd *cobra.Command, args []string) error { return runWitnessCosign(cmd.Context(), u, args[0], &o) },
	})
}

func runWitnessCosign(ctx context.Context, u *ui, name string, o *witnessOptions) error {
	request, err := readSmall(name, anchor.MaxRequest)
	if err != nil {
		return err
	}
	w, root, _, err := openWitness(o.dir, &o.pass)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // everything written is synced already
	if err := admitLogs(ctx, w, o); err != nil {
		return err
	}
	c, err := w.Add(ctx, request)
	if err != nil {
		return witnessError(err)
	}
	doc := cosignDocument{"exhibit-cosignature/v1", c.Checkpoint.Origin, c.Checkpoint.Size, string(c.Lines())}
	return u.result(doc, func() { u.print(doc.Lines) })
}

func witnessError(err error) error {
	if e, ok := errors.AsType[*anchor.SizeError](err); ok {
		return withHints(withCode(codeMissing, err), fmt.Sprintf("let the request be written again with: exhibit log anchor --witness-request FILE --old %d", e.Size))
	}
	switch {
	case errors.Is(err, anchor.ErrFork):
		return withHints(withCode(codeMismatch, err), "both sides are kept in the witness's folder, in a file fork-*: tell who keeps the log")
	case errors.Is(err, anchor.ErrUnknownLog):
		return withHints(withCode(codeMissing, err), "tell the witness of it with --genesis FILE")
	}
	return err
}

func newWitnessServeCommand(u *ui) *cobra.Command {
	var o witnessOptions
	return newCommand(command{
		use: "serve", short: "Cosign checkpoints over HTTP (C2SP tlog-witness)",
		long: "Answer requests to cosign checkpoints over HTTP (C2SP tlog-witness), until it is interrupted. By default only this\n" +
			"machine can ask; it is for the keeper of the network to say who else may, and to put TLS before it.",
		codes: []int{codeMismatch, codeMissing},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.listen, "listen", "127.0.0.1:8467", "listen at `ADDRESS`; port 0 is any that is free")
			o.register(f)
		},
		run: func(cmd *cobra.Command, _ []string) error { return runWitnessServe(cmd.Context(), u, &o) },
	})
}

func runWitnessServe(ctx context.Context, u *ui, o *witnessOptions) error {
	w, root, name, err := openWitness(o.dir, &o.pass)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // everything written is synced already
	if err := admitLogs(ctx, w, o); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listen at %q: %w", o.listen, err)
	}
	server := &http.Server{
		Handler:           remote.NewHandler(w, func(err error) { u.notef("not cosigned: %s", clean(err.Error())) }),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	stop := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(last) // Serve has returned by then, and the process ends
	})
	defer stop()
	u.notef("witness %s listens at http://%s", name, listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
