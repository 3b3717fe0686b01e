package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/bundle"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

type exportDocument struct {
	Schema    string `json:"schema"`
	Origin    string `json:"origin"`
	Entries   int64  `json:"entries"`
	Sigstore  string `json:"sigstore,omitzero"`
	TlogProof string `json:"tlogProof,omitzero"`
	File      string `json:"file,omitzero"`
	// Of an extract.
	Exhibit string `json:"exhibit,omitzero"`
	Count   int64  `json:"count,omitzero"`
	Last    int64  `json:"last,omitzero"`
}

type exportOptions struct {
	caseDir, exhibit, file, sigstore, tlogProof, tsa, chain, trust string
	redact, extract                                                bool
	fields                                                         string
	from                                                           []int64
}

func newLogExportCommand(u *ui) *cobra.Command {
	var o exportOptions
	return newCommand(command{
		use: "export [FILE]", short: "Write the home log to be carried to others, or what others' tools check of it",
		long: "Write the home log into one new FILE, for whoever else keeps a log in the case to take in with exhibit log import, or to join the\n" +
			"case with exhibit case join. It holds every statement, and names and free text of all events or, with --exhibit, only\n" +
			"of that exhibit's. Or write a file for each statement of the home log, for tools of others: with --sigstore a Sigstore bundle, which cosign\n" +
			"verifies without a network, with the keys of the signers and trusted_root.json; with --tlog-proof a C2SP tlog-proof.\n" +
			"The folder must not exist, or be empty. With --tsa each bundle gets a time-stamp of its signature, where the authority\n" +
			"answers; cosign then takes --use-signed-timestamps. Nothing that lies in it is a reason to trust it: see the documents on what each\n" +
			"tool does not see (docs/verify-without-exhibit.md).",
		example: "  exhibit log export --case case-2026-001 --sigstore bundles\n" +
			"  cosign verify-blob-attestation --bundle bundles/2.sigstore.json --trusted-root bundles/trusted_root.json \\\n" +
			"      --key bundles/KEYID.pub --type https://github.com/exhibit-forensics/exhibit/acquired/v1 SHA256SUMS",
		args:  cobra.MaximumNArgs(1),
		codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.caseDir, "case", ".", "the case `FOLDER`")
			f.StringVar(&o.exhibit, "exhibit", "", "into FILE: reveal names and free text of this exhibit's `NUMBER` only")
			f.StringVar(&o.fields, "redact", "", "with --exhibit: leave out what its newest disclosure withholds (exhibit custody disclose --withhold); --redact=`FIELD,...` is refused if one of these is not among it")
			f.Lookup("redact").NoOptDefVal = allWithheld
			f.BoolVar(&o.extract, "extract", false, "with --exhibit: write only that exhibit's entries, with inclusion proofs, into FILE"+layout.ExtractSuffix)
			f.Int64SliceVar(&o.from, "from", nil, "with --extract: prove consistency with the log of `SIZE`, too (default: with its newest 1000 checkpoints)")
			f.StringVar(&o.tsa, "tsa", "", "with --sigstore: ask the time-stamp authority at `URL` to stamp each signature")
			f.StringVar(&o.chain, "chain", "", "with --tsa: certificates in PEM between the authority's and its root, `FILE`")
			f.StringVar(&o.trust, "trust", "", "with --tsa: use this trust `FILE` in place of the station's own")
			f.StringVar(&o.sigstore, "sigstore", "", "write Sigstore bundles into `FOLDER`")
			f.StringVar(&o.tlogProof, "tlog-proof", "", "write C2SP tlog-proofs into `FOLDER`")
		},
		run: func(cmd *cobra.Command, args []string) error {
			o.file, o.redact = append(args, "")[0], cmd.Flags().Changed("redact")
			return runLogExport(cmd.Context(), u, &o)
		},
	})
}

// allWithheld is what --redact means without a list.
const allWithheld = "all"

// checkFields requires that what the user counts on being left out is withheld by the log, with its ground.
func (o *exportOptions) checkFields(c *custody.Case) error {
	if !o.redact || o.fields == allWithheld {
		return nil
	}
	w, err := c.Withheld(o.exhibit)
	if err != nil {
		return withHints(err, "say what, on what ground and by whose decision: exhibit custody disclose NUMBER --withhold FIELD --ground TEXT --authorised-by NAME --to NAME")
	}
	for _, name := range fieldNames(o.fields) {
		if !w.Has(name) {
			return withHints(fmt.Errorf("--redact %.80q: event %d withholds %s, and not this", name, w.Number, strings.Join(w.Fields, ", ")),
				"withhold it first, with the ground: exhibit custody disclose NUMBER --withhold FIELD,... --ground TEXT --authorised-by NAME --to NAME")
		}
	}
	return nil
}

// check refuses what does not go together, before anything is opened.
func (o *exportOptions) check() error {
	if o.sigstore == "" && o.tlogProof == "" && o.file == "" {
		return withHints(errors.New("nothing to export"), "say what with FILE, --sigstore FOLDER or --tlog-proof FOLDER")
	}
	if o.exhibit != "" && o.file == "" {
		return withHints(errors.New("--exhibit belongs to FILE"), "see: exhibit log export -h")
	}
	if o.redact && o.exhibit == "" {
		return withHints(errors.New("--redact belongs to --exhibit"), "name the exhibit: --exhibit NUMBER")
	}
	if o.sigstore == o.tlogProof && o.sigstore != "" {
		return withHints(errors.New("--sigstore and --tlog-proof name the same folder"), "give each its own folder")
	}
	return o.checkExtract()
}

func runLogExport(ctx context.Context, u *ui, o *exportOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	stamper, err := newStamper(ctx, u, o)
	if err != nil {
		return err
	}
	c, err := custody.Open(o.caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // opened for reading
	if err := o.checkFields(c); err != nil {
		return err
	}
	l, err := c.Log()
	if err != nil {
		return err
	}
	if o.tlogProof != "" {
		if err := inNewFolder(o.tlogProof, func(to *durable.Root) error { return exportProofs(l, to) }); err != nil {
			return err
		}
	}
	if o.sigstore != "" {
		if err := inNewFolder(o.sigstore, func(to *durable.Root) error { return exportBundles(c.Genesis(), l, to, stamper) }); err != nil {
			return err
		}
	}
	if o.extract {
		return exportExtract(u, c, o)
	}
	if o.file != "" {
		_, err := writeLog(c, o.exhibit, o.redact, o.file)
		if errors.Is(err, custody.ErrNoRedaction) {
			err = withHints(err, "say what, on what ground and by whose decision: exhibit custody disclose NUMBER --withhold FIELD --ground TEXT --authorised-by NAME --to NAME")
		}
		if err != nil {
			return err
		}
	}
	doc := exportDocument{"exhibit-export/v1", c.Genesis().Origin, l.Size(), o.sigstore, o.tlogProof, o.file, "", 0, 0}
	return u.result(doc, func() {
		for _, dir := range []string{o.tlogProof, o.sigstore, o.file} {
			if dir != "" {
				u.linef("Wrote %s of log %s into %q.", plural(l.Size(), "statement"), doc.Origin, dir)
			}
		}
	})
}

// inNewFolder calls fill with a folder that did not exist, or is empty. After an error it is named as partial.
func inNewFolder(dir string, fill func(*durable.Root) error) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err == nil && len(entries) > 0 {
		err = withHints(fmt.Errorf("folder %q exists and is not empty", dir), "name a folder that does not exist yet")
		return errors.Join(err, root.Close())
	}
	if err == nil {
		err = fill(root)
	}
	if err := errors.Join(err, root.Close()); err != nil {
		return fmt.Errorf("folder %q is partial: %w", dir, err)
	}
	return nil
}

func exportProofs(l *ledger.Log, to *durable.Root) error {
	for i := range l.Size() {
		proof, err := l.EncodeProof(i)
		if err != nil {
			return err
		}
		if err := to.CreateEx(strconv.FormatInt(i, 10)+layout.TlogProofSuffix, proof); err != nil {
			return err
		}
	}
	return nil
}

func exportBundles(g *record.CaseOpened, l *ledger.Log, to *durable.Root, stamper *stamper) error {
	keys, err := exportKeys(l, to)
	if err != nil {
		return err
	}
	for i := range l.Size() {
		b, err := bundleOf(g, l, keys, i, stamper)
		if err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
		if err := to.CreateEx(strconv.FormatInt(i, 10)+layout.BundleSuffix, b); err != nil {
			return err
		}
	}
	root, err := bundle.TrustedRoot(g, l.Keys().LogKeys(l.Size()), stamper.authorities())
	if err != nil {
		return err
	}
	return to.CreateEx(layout.TrustedRoot, root)
}

func bundleOf(g *record.CaseOpened, l *ledger.Log, keys map[string]sign.PublicKey, i int64, stamper *stamper) ([]byte, error) {
	envelope, err := l.Statement(i)
	if err != nil {
		return nil, err
	}
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	proof, err := l.EncodeProof(i)
	if err != nil {
		return nil, err
	}
	s := bundle.Statement{Envelope: envelope, Key: keys[e.KeyID], Origin: g.Origin, LogKeys: l.Keys().LogKeys(l.Size()), Proof: proof}
	s.Tokens, err = stamper.stamp(i, e.Signature)
	if err != nil {
		return nil, err
	}
	return bundle.Encode(s)
}

// exportKeys writes the public keys of the signers that are or were admitted, and returns them by their identifier.
func exportKeys(l *ledger.Log, to *durable.Root) (map[string]sign.PublicKey, error) {
	keys := map[string]sign.PublicKey{}
	for _, id := range l.Keys().All() {
		key, err := l.Keys().PublicKey(id)
		if err != nil {
			return nil, err
		}
		keys[id] = key
		b := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key.DER()})
		if err := to.CreateEx(key.KeyID()+layout.PublicKeySuffix, b); err != nil {
			return nil, err
		}
	}
	return keys, nil
}
