// Package anchor makes and checks what others say of a log's checkpoint: RFC 3161 time-stamps of its text, and the
// cosignatures of witnesses (C2SP tlog-cosignature). The shapes are normative in docs/format.md, section 16.
//
// To check, start with [ParseResponse] and [Token.Verify], [ParseCosigned] and [Cosigned.By]. To ask an authority,
// [NewRequest]; to ask a witness, [AddCheckpoint]; to be one, [Witness]. [Store] keeps anchors in the log's folder.
//
// The promises: what is reported of a token or a cosignature was verified with a key or a root that the caller trusts for
// just that; neither says anything of who signed the statements. Whatever is read is bounded and in the one form that this
// package knows. Nothing here waits for a network but what is called for that. Checking builds for js/wasm.
package anchor

import (
	"errors"
	"fmt"
)

var (
	// ErrOther says that a token or a cosignature holds, and is about something else.
	ErrOther = errors.New("it is about another checkpoint")
	// ErrNoCertificate says that a token does not hold the certificate of its signer: whose it is cannot be known.
	ErrNoCertificate = errors.New("the token does not hold the certificate of its signer")
	// ErrUntrusted says that a token's chain does not lead to a root that was trusted, or did not when it was made.
	ErrUntrusted = errors.New("no chain of certificates leads to a trusted time-stamp root")
	// ErrFork says that a witness and a log do not agree on what the log held: one of the two was changed.
	ErrFork = errors.New("there are two histories of the log")
	// ErrSameSize is an ErrFork of the plainest kind: two checkpoints of one size.
	ErrSameSize = fmt.Errorf("%w: two checkpoints of one size", ErrFork)
	// ErrRefused says that an authority or a witness answered, and refused.
	ErrRefused = errors.New("refused")
)
