package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// newNonce draws 63 bits, so that the number is positive.
func newNonce() (*big.Int, error) { return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63)) }

// textSum is what a time-stamp of a checkpoint is about.
func textSum(l *ledger.Log) [sha256.Size]byte {
	return sha256.Sum256([]byte(ledger.Checkpoint{Origin: l.Origin(), Size: l.Size(), Root: l.Root()}.Text()))
}

// keepToken checks a token for the checkpoint of l and keeps the answer that it came in.
func (a *anchoring) keepToken(ctx context.Context, l *ledger.Log, token *anchor.Token, answer []byte) error {
	signer, err := token.CheckSignature()
	if err != nil {
		return err
	}
	by, at := signer.Subject.String(), ""
	stamp, err := token.Verify(textSum(l), a.roots, a.between)
	switch {
	case errors.Is(err, anchor.ErrUntrusted) && len(a.roots) == 0:
		at = stampText(token.Claimed())
		a.u.notef("no time-stamp root is trusted on this station: the token is whole, and whose it is was not checked")
	case errors.Is(err, anchor.ErrUntrusted):
		return withHints(err, "where the token lacks certificates between its signer and the root, give them with --chain FILE")
	case err != nil:
		return err
	default:
		at = stampText(stamp.Time)
	}
	if len(a.chain) > 0 {
		if _, err := a.c.KeepAnchor(ctx, l.Size(), layout.AnchorChain, a.chain); err != nil {
			return err
		}
	}
	name, err := a.c.KeepAnchor(ctx, l.Size(), layout.AnchorToken, answer)
	if err != nil {
		return err
	}
	a.kept = append(a.kept, anchorDocument{name, anchor.KindTimeStamp, l.Size(), at, by})
	return nil
}

// keepCosignature keeps those of the lines that hold by witnesses which this station trusts.
func (a *anchoring) keepCosignature(ctx context.Context, l *ledger.Log, answer []byte) error {
	all, err := anchor.ParseAnswer(ledger.Checkpoint{Origin: l.Origin(), Size: l.Size(), Root: l.Root()}, answer)
	if err != nil {
		return err
	}
	good, ok := all.Only(a.witnesses)
	if !ok {
		return withHints(errors.New("no line of the answer is a cosignature of this checkpoint by a witness that is trusted on this station"),
			"exhibit trust add witness KEY --name NAME")
	}
	name, err := a.c.KeepAnchor(ctx, l.Size(), layout.AnchorCosigned, good.Encode())
	if err != nil {
		return err
	}
	for _, k := range a.witnesses {
		if at, ok := good.By(k); ok {
			a.kept = append(a.kept, anchorDocument{name, anchor.KindWitness, l.Size(), stampText(at), k.Name()})
		}
	}
	return nil
}

func (a *anchoring) writeRequest(name string) error {
	b, err := anchor.NewRequest(textSum(a.log), nil)
	if err != nil {
		return err
	}
	return writeNew(name, b, false)
}

// writeWitnessRequest writes a request for a witness. Without a size that was given it is the largest one that a trusted
// witness is known here to have cosigned.
func (a *anchoring) writeWitnessRequest(name string, old int64) error {
	if old < 0 {
		old = 0
		anchors, err := a.c.Anchors()
		if err != nil {
			return err
		}
		for _, k := range anchors {
			c, err := anchor.ParseCosigned(k.Data)
			if _, ok := c.Only(a.witnesses); k.Kind == layout.AnchorCosigned && err == nil && ok {
				old = max(old, k.Size)
			}
		}
	}
	request, err := anchor.NewAddCheckpoint(a.log, old)
	if err != nil {
		return err
	}
	return writeNew(name, request.Encode(), false)
}

// takeResponse keeps an answer that was carried here: a time-stamp, or the lines of a witness. It is about the newest
// checkpoint or an older one.
func (a *anchoring) takeResponse(ctx context.Context, name string) error {
	b, err := readSmall(name, layout.MaxToken)
	if err != nil {
		return err
	}
	logFS, err := a.c.LogFS()
	if err != nil {
		return err
	}
	sizes, err := ledger.CheckpointSizes(logFS)
	if err != nil {
		return err
	}
	slices.Reverse(sizes)
	if len(b) > 0 && b[0] == 0x30 { // DER
		token, err := anchor.ParseResponse(b)
		if err != nil {
			return notEvidence(name, err)
		}
		for _, size := range sizes {
			l, err := a.log.At(size)
			if err != nil {
				return err
			}
			if token.About(textSum(l)) {
				return notEvidence(name, a.keepToken(ctx, l, token, b))
			}
		}
		return notEvidence(name, fmt.Errorf("time-stamp: %w than those of this log", anchor.ErrOther))
	}
	for _, size := range sizes {
		l, err := a.log.At(size)
		if err != nil {
			return err
		}
		all, err := anchor.ParseAnswer(ledger.Checkpoint{Origin: l.Origin(), Size: size, Root: l.Root()}, b)
		if err != nil {
			return notEvidence(name, err)
		}
		if _, ok := all.Only(a.witnesses); ok {
			return a.keepCosignature(ctx, l, b)
		}
	}
	return withHints(fmt.Errorf("%q: no line is a cosignature of a checkpoint of this log by a witness that is trusted on this station", name),
		"exhibit trust add witness KEY --name NAME")
}

// notEvidence marks an error about a file that was carried here: it is no part of the case, and nothing was kept.
func notEvidence(name string, err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return withCode(codeFailed, fmt.Errorf("%q was not kept: %w", name, err))
}

// list shows what is kept, as far as it says so itself; to know what it is worth use verify.
func (a *anchoring) list() error {
	anchors, err := a.c.Anchors()
	if err != nil {
		return err
	}
	for _, k := range anchors {
		d := anchorDocument{File: k.File, Kind: anchor.KindTimeStamp, Size: k.Size}
		switch k.Kind {
		case layout.AnchorChain:
			continue
		case layout.AnchorCosigned:
			d.Kind = anchor.KindWitness
		}
		if err := describeAnchor(&d, k.Kind, k.Data); err != nil && !errors.Is(err, record.ErrNewer) {
			return fmt.Errorf("%q: %w", k.File, err)
		}
		a.kept = append(a.kept, d)
	}
	return nil
}

func describeAnchor(d *anchorDocument, kind string, b []byte) error {
	if kind == layout.AnchorCosigned {
		c, err := anchor.ParseCosigned(b)
		if err == nil {
			d.By, d.Time = c.Claimed()
		}
		return err
	}
	token, err := anchor.ParseResponse(b)
	if err != nil {
		return err
	}
	d.Time = stampText(token.Claimed())
	if signer, err := token.CheckSignature(); err == nil {
		d.By = signer.Subject.String()
	}
	return nil
}
