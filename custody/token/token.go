// Package token signs with keys that lie in a PKCS #11 token: a smart card, a USB token, a hardware security module.
//
// Start with [Parse], which reads the URI that names such a key, and [Open], which logs in to the token and finds the key.
// The URI is that of RFC 7512, narrowed: see [URI].
//
// The promise: a PIN is tried once and never again, for a token that has seen a few wrong ones locks itself; a URI never
// holds a PIN; and a key is only taken when exactly one fits. A token shows nobody else that it holds a key, so nothing
// here makes a key worth more to a verifier than one in a file.
//
// What talks to the token is the maker's own library, which is loaded into the program: it needs cgo and the build tag
// pkcs11. Without them URIs are read and checked all the same, and Open is ErrNotBuilt.
package token

import (
	"crypto"
	"errors"
	"io"
)

var (
	// ErrNotBuilt says that this program was built without the tag.
	ErrNotBuilt = errors.New("this exhibit was built without PKCS #11 (build tag pkcs11)")
	// ErrURI refuses a URI that names no key of a token.
	ErrURI = errors.New("not the URI of a key in a token")
	// ErrModule says that the maker's library cannot be loaded or does not start.
	ErrModule = errors.New("the PKCS #11 module cannot be used")
	// ErrAbsent says that no token fits the URI, or that the token is no longer there.
	ErrAbsent = errors.New("the token is not there")
	// ErrNoKey says that the token holds no key that fits the URI.
	ErrNoKey = errors.New("no such key in the token")
	// ErrSeveral refuses to choose where more than one token or key fits the URI.
	ErrSeveral = errors.New("more than one fits")
	// ErrAlgorithm refuses a key that is not one of ECDSA P-256.
	ErrAlgorithm = errors.New("not a key of ECDSA P-256")
	// ErrPIN says that the token refused the PIN.
	ErrPIN = errors.New("wrong PIN")
	// ErrLocked says that the token takes no PIN any more.
	ErrLocked = errors.New("the token is locked")
)

// Scheme begins the URI of a key in a token.
const Scheme = "pkcs11:"

// Key is a key of ECDSA P-256 in a token. It signs SHA-256 digests and is safe for concurrent use; whoever opened it closes
// it. A token that was pulled out and put back is another login: the key stays ErrAbsent.
type Key interface {
	crypto.Signer
	io.Closer
}

// State is what a token says of itself to anybody.
type State struct {
	Label, Manufacturer, Model, Serial string
	PINWrong                           bool // a wrong PIN was given since the last right one
	PINLastTry                         bool // one more wrong PIN locks it
	PINLocked                          bool
}
