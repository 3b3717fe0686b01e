package main

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/anchor/remote"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/verify"
)

type anchorsDocument struct {
	Schema  string           `json:"schema"`
	Origin  string           `json:"origin"`
	Size    int64            `json:"size"`
	Kept    []anchorDocument `json:"kept"`
	Pending []anchor.Pending `json:"pending"`
}

type anchorDocument struct {
	File string `json:"file"`
	Kind string `json:"kind"`
	Size int64  `json:"size"`
	Time string `json:"time"`
	By   string `json:"by"`
}

type anchorOptions struct {
	caseDir, request, witnessRequest, response, trust, chain string
	tsa, witness                                             []string
	old                                                      int64
	list                                                     bool
}

func newLogAnchorCommand(u *ui) *cobra.Command {
	var o anchorOptions
	return newCommand(command{
		use: "anchor", short: "Have the newest checkpoint time-stamped or cosigned by others",
		long: "Have the newest checkpoint of the home log time-stamped (RFC 3161) or cosigned by a witness (C2SP), and keep what they\n" +
			"say with the log, where the next event names it. Whoever has one of these knows that the log was not rewritten before\n" +
			"that. An address that does not answer is pending, and asked again by each later run (--list shows which); nothing ever\n" +
			"waits for it. Then the command ends with 5.\n\n" +
			"Without a network: --request writes a request for a time-stamp, which `openssl ts` and every authority know, and\n" +
			"--witness-request one for exhibit witness cosign; --response takes back what they answered.\n\n" +
			"A witness counts only when this station trusts it (exhibit trust add witness). A time-stamp must lead to a trusted root\n" +
			"where there is one (exhibit trust add time-stamp).",
		example: "  exhibit log anchor --tsa https://tsa.example/ --witness https://witness.example/w1\n" +
			"  exhibit log anchor --request checkpoint.tsq\n" +
			"  exhibit log anchor --response checkpoint.tsr",
		codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.caseDir, "case", ".", "the case `FOLDER`")
			f.StringArrayVar(&o.tsa, "tsa", nil, "ask the time-stamp authority at `URL`; may be repeated")
			f.StringArrayVar(&o.witness, "witness", nil, "ask the witness at `URL`; may be repeated")
			f.StringVar(&o.request, "request", "", "write a request for a time-stamp into `FILE`, and ask nobody")
			f.StringVar(&o.witnessRequest, "witness-request", "", "write a request for a witness into `FILE`, and ask nobody")
			f.Int64Var(&o.old, "old", -1, "for --witness-request: the `SIZE` that the witness knows the log at (default: as far as is known here)")
			f.Lookup("old").DefValue = ""
			f.StringVar(&o.response, "response", "", "keep the answer of an authority or a witness in `FILE`")
			f.StringVar(&o.chain, "chain", "", "certificates in PEM between the authority's and its root, which are kept beside a token that lacks them, `FILE`")
			f.BoolVar(&o.list, "list", false, "only list what is kept, and what is pending")
			f.StringVar(&o.trust, "trust", "", "use this trust `FILE` in place of the station's own")
		},
		run: func(cmd *cobra.Command, _ []string) error { return runLogAnchor(cmd.Context(), u, &o) },
	})
}

// anchoring is one run of log anchor.
type anchoring struct {
	c         *custody.Case
	log       *ledger.Log
	roots     []*x509.Certificate
	between   []*x509.Certificate
	chain     []byte // what --chain named
	witnesses []anchor.WitnessKey
	u         *ui
	kept      []anchorDocument
}

func runLogAnchor(ctx context.Context, u *ui, o *anchorOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	trust, err := readTrust(o.trust)
	if err != nil {
		return err
	}
	c, err := openMaybeClosed(u, o.caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	l, err := c.Log()
	if err != nil {
		return err
	}
	a := &anchoring{c: c, log: l, roots: verify.TimeStampRoots(trust), u: u}
	a.witnesses, _ = verify.Witnesses(trust)
	if o.chain != "" {
		if a.chain, err = readSmall(o.chain, layout.MaxToken); err == nil {
			a.between, err = anchor.ParseChain(a.chain)
		}
		if err != nil {
			return notEvidence(o.chain, err)
		}
	}
	switch {
	case o.list:
		err = a.list()
	case o.request != "":
		err = a.writeRequest(o.request)
	case o.witnessRequest != "":
		err = a.writeWitnessRequest(o.witnessRequest, o.old)
	case o.response != "":
		err = a.takeResponse(ctx, o.response)
	default:
		err = a.askAll(ctx, o)
	}
	if err != nil {
		return err
	}
	return a.show()
}

func (o *anchorOptions) check() error {
	n := 0
	for _, given := range []bool{o.list, o.request != "", o.witnessRequest != "", o.response != "", len(o.tsa)+len(o.witness) > 0} {
		if given {
			n++
		}
	}
	if n > 1 {
		return withHints(errors.New("these flags exclude each other"), "ask (--tsa, --witness), write a request, or take a response")
	}
	if o.old >= 0 && o.witnessRequest == "" {
		return withHints(errors.New("--old belongs to --witness-request"), "see: exhibit log anchor -h")
	}
	for _, address := range append(append([]string{}, o.tsa...), o.witness...) {
		if err := remote.CheckAddress(address); err != nil {
			return withHints(err, "write it as https://tsa.example/")
		}
	}
	return nil
}

// askAll asks who was named, and again who has not answered before.
func (a *anchoring) askAll(ctx context.Context, o *anchorOptions) error {
	wanted, err := a.c.PendingAnchors()
	if err != nil {
		return err
	}
	for _, address := range o.tsa {
		wanted = addPending(wanted, anchor.Pending{Address: address, Kind: anchor.KindTimeStamp, Size: a.log.Size()})
	}
	for _, address := range o.witness {
		wanted = addPending(wanted, anchor.Pending{Address: address, Kind: anchor.KindWitness, Size: a.log.Size()})
	}
	if len(wanted) == 0 {
		return withHints(errors.New("nobody to ask, and nothing is pending"), "name a time-stamp authority with --tsa URL, or a witness with --witness URL")
	}
	var done, failed []anchor.Pending
	for _, p := range wanted {
		if err := a.ask(ctx, &p); err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			a.u.notef("%s %q: %s", p.Kind, p.Address, clean(err.Error()))
			a.u.code = worse(a.u.code, err)
			failed = append(failed, p)
			continue
		}
		done = append(done, p)
	}
	return a.c.SettlePendingAnchors(context.WithoutCancel(ctx), done, failed)
}

// addPending adds p, unless it is asked for already. A witness is asked about the newest checkpoint only.
func addPending(list []anchor.Pending, p anchor.Pending) []anchor.Pending {
	for i, q := range list {
		if q.Kind == p.Kind && q.Address == p.Address && (q.Size == p.Size || p.Kind == anchor.KindWitness) {
			list[i] = p
			return list
		}
	}
	return append(list, p)
}

// worse is the exit code for a failure beside others: two histories outweigh an answer that did not come.
func worse(code int, err error) int {
	if code == codeMismatch || errors.Is(err, anchor.ErrFork) {
		return codeMismatch
	}
	if errors.Is(err, context.Canceled) || code == codeInterrupted {
		return codeInterrupted
	}
	return codeMissing
}

func (a *anchoring) ask(ctx context.Context, p *anchor.Pending) error {
	if p.Kind == anchor.KindWitness {
		p.Size = a.log.Size()
		return a.askWitness(ctx, p.Address)
	}
	l, err := a.log.At(p.Size)
	if err != nil {
		return err
	}
	nonce, err := newNonce()
	if err != nil {
		return err
	}
	request, err := anchor.NewRequest(textSum(l), nonce)
	if err != nil {
		return err
	}
	answer, err := remote.Stamp(ctx, p.Address, request)
	if err != nil {
		return err
	}
	token, err := anchor.ParseResponse(answer)
	if err != nil {
		return err
	}
	if token.Nonce() == nil || token.Nonce().Cmp(nonce) != 0 {
		return errors.New("the answer belongs to another request")
	}
	return a.keepToken(ctx, l, token, answer)
}

// askWitness asks a witness, beginning with the size that it is known to have cosigned.
func (a *anchoring) askWitness(ctx context.Context, address string) error {
	if len(a.witnesses) == 0 {
		return withHints(errors.New("no witness is trusted on this station, so no answer could be checked"), "exhibit trust add witness KEY --name NAME")
	}
	old := int64(0)
	for range 3 {
		request, err := anchor.NewAddCheckpoint(a.log, old)
		if err != nil {
			return err
		}
		answer, err := remote.Cosign(ctx, address, request.Encode())
		if size, ok := errors.AsType[*anchor.SizeError](err); ok {
			old = size.Size
			continue
		}
		if err != nil {
			return err
		}
		return a.keepCosignature(ctx, a.log, answer)
	}
	return errors.New("the witness names another size each time")
}

// show prints what this run kept, and what is pending.
func (a *anchoring) show() error {
	pending, err := a.c.PendingAnchors()
	if err != nil {
		return err
	}
	doc := anchorsDocument{"exhibit-anchors/v1", a.c.Genesis().Origin, a.log.Size(), a.kept, pending}
	return a.u.result(doc, func() {
		for _, k := range doc.Kept {
			a.u.linef("%-10s of size %d, %s, by %s", k.Kind, k.Size, k.Time, clean(k.By))
			a.u.linef("  %s", k.File)
		}
		for _, p := range doc.Pending {
			a.u.linef("pending: %s of size %d, %q", p.Kind, p.Size, p.Address)
		}
		if len(doc.Kept)+len(doc.Pending) == 0 {
			a.u.notef("nothing is kept, and nothing pending")
		}
	})
}

func stampText(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
