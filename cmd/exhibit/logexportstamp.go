package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/anchor/remote"
	"github.com/exhibit-forensics/exhibit/custody/bundle"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/verify"
)

// stamper has the signatures of exported statements time-stamped. The nil stamper stamps nothing.
type stamper struct {
	ctx            context.Context // of this run only
	u              *ui
	address        string
	roots, between []*x509.Certificate
	chain          []*x509.Certificate // of the tokens so far
	failed         bool                // it did not answer, and is asked no more
}

func newStamper(ctx context.Context, u *ui, o *exportOptions) (*stamper, error) {
	if o.tsa == "" && o.chain == "" && o.trust == "" {
		return nil, nil
	}
	if o.tsa == "" || o.sigstore == "" {
		return nil, withHints(errors.New("--tsa belongs to --sigstore, --chain and --trust to --tsa"), "see: exhibit log export -h")
	}
	if err := remote.CheckAddress(o.tsa); err != nil {
		return nil, withHints(err, "write it as https://tsa.example/")
	}
	trust, err := readTrust(o.trust)
	if err != nil {
		return nil, err
	}
	s := &stamper{ctx: ctx, u: u, address: o.tsa, roots: verify.TimeStampRoots(trust)}
	if len(s.roots) == 0 {
		// Without it the trusted root could not say whose time-stamps these are.
		return nil, withHints(errors.New("no time-stamp root is trusted on this station"), "exhibit trust add time-stamp FILE --name NAME")
	}
	if o.chain != "" {
		b, err := readSmall(o.chain, layout.MaxToken)
		if err == nil {
			s.between, err = anchor.ParseChain(b)
		}
		if err != nil {
			return nil, notEvidence(o.chain, err)
		}
	}
	return s, nil
}

// stamp returns the token for a signature, or none: an authority that does not answer holds nothing up.
func (s *stamper) stamp(i int64, signature []byte) ([][]byte, error) {
	if s == nil || s.failed {
		return nil, nil
	}
	answer, chain, err := s.ask(signature)
	if s.ctx.Err() != nil {
		return nil, s.ctx.Err()
	}
	if err == nil && len(s.chain) > 0 && !s.chain[0].Equal(chain[0]) {
		err = errors.New("the authority has changed its certificate meanwhile")
	}
	if err != nil {
		s.failed, s.u.code = true, codeMissing
		s.u.notef("no time-stamps from entry %d on: %s", i, clean(err.Error()))
		return nil, nil
	}
	s.chain = chain
	return [][]byte{answer}, nil
}

func (s *stamper) ask(signature []byte) (answer []byte, chain []*x509.Certificate, err error) {
	sum := sha256.Sum256(signature)
	nonce, err := newNonce()
	if err != nil {
		return nil, nil, err
	}
	request, err := anchor.NewRequest(sum, nonce)
	if err != nil {
		return nil, nil, err
	}
	if answer, err = remote.Stamp(s.ctx, s.address, request); err != nil {
		return nil, nil, err
	}
	token, err := anchor.ParseResponse(answer)
	if err != nil {
		return nil, nil, err
	}
	if token.Nonce() == nil || token.Nonce().Cmp(nonce) != 0 {
		return nil, nil, fmt.Errorf("%q: the answer belongs to another request", s.address)
	}
	stamp, err := token.Verify(sum, s.roots, s.between)
	return answer, stamp.Chain, err
}

// authorities are those of the tokens that were written.
func (s *stamper) authorities() []bundle.Authority {
	if s == nil || len(s.chain) == 0 {
		return nil
	}
	a := bundle.Authority{URL: s.address, Start: s.chain[0].NotBefore}
	for _, c := range s.chain {
		a.Chain = append(a.Chain, c.Raw)
	}
	return []bundle.Authority{a}
}
