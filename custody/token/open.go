//go:build pkcs11 && cgo

package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"sync"

	"github.com/miekg/pkcs11"
)

// key is a key in a token to which its session is logged in.
type key struct {
	mu      sync.Mutex // a session does one thing at a time
	module  *pkcs11.Ctx
	session pkcs11.SessionHandle
	private pkcs11.ObjectHandle
	public  *ecdsa.PublicKey
	again   []byte // the PIN, of a key that wants it before each signature; else nil
	refused error  // what the token said when it did not take that PIN
	closed  bool
}

// Open logs in to the token with the PIN, which is tried once, and finds the key. The errors are those of this package.
func Open(u URI, pin []byte) (Key, error) {
	module, slot, state, err := find(u)
	if err != nil {
		return nil, err
	}
	k := &key{module: module}
	if err := k.open(u, slot, state, pin); err != nil {
		release(module)
		return nil, err
	}
	return k, nil
}

// Look finds the token, without a PIN, and returns what it says of itself.
func Look(u URI) (State, error) {
	module, _, state, err := find(u)
	if err != nil {
		return State{}, err
	}
	release(module)
	return state, nil
}

// release ends the use of the module, and with it every session. Its failure changes nothing for the evidence.
func release(module *pkcs11.Ctx) {
	_ = module.Finalize()
	module.Destroy()
}

// find loads the module and finds the one token that fits.
func find(u URI) (*pkcs11.Ctx, uint, State, error) {
	fail := func(err error) (*pkcs11.Ctx, uint, State, error) { return nil, 0, State{}, err }
	module := pkcs11.New(u.Module)
	if module == nil {
		return fail(fmt.Errorf("%w: %q cannot be loaded", ErrModule, u.Module))
	}
	if err := module.Initialize(); err != nil {
		module.Destroy()
		return fail(fmt.Errorf("%w: %q does not start: %w", ErrModule, u.Module, err))
	}
	slot, state, err := findToken(module, u)
	if err != nil {
		release(module)
		return fail(err)
	}
	return module, slot, state, nil
}

func findToken(module *pkcs11.Ctx, u URI) (uint, State, error) {
	slots, err := module.GetSlotList(true)
	if err != nil {
		return 0, State{}, fmt.Errorf("%w: list its tokens: %w", ErrModule, err)
	}
	var there []string
	var fitting []State
	var slot uint
	for _, s := range slots {
		info, err := module.GetTokenInfo(s)
		if err != nil || info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			continue // no token, or an empty one
		}
		state := stateOf(info)
		there = append(there, fmt.Sprintf("%q (serial %q)", state.Label, state.Serial))
		if u.fits(state) {
			fitting, slot = append(fitting, state), s
		}
	}
	switch {
	case len(fitting) == 0 && len(there) == 0:
		return 0, State{}, fmt.Errorf("%w: the module sees no token at all", ErrAbsent)
	case len(fitting) == 0:
		return 0, State{}, fmt.Errorf("%w: the module sees only %s", ErrAbsent, strings.Join(there, ", "))
	case len(fitting) > 1:
		return 0, State{}, fmt.Errorf("%w: %d tokens, of %s: add serial=NUMBER to the URI", ErrSeveral, len(fitting), strings.Join(there, ", "))
	}
	return slot, fitting[0], nil
}

func stateOf(i pkcs11.TokenInfo) State {
	return State{
		Label: i.Label, Manufacturer: i.ManufacturerID, Model: i.Model, Serial: i.SerialNumber, PINWrong: i.Flags&pkcs11.CKF_USER_PIN_COUNT_LOW != 0,
		PINLastTry: i.Flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0, PINLocked: i.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0,
	}
}

func (u URI) fits(s State) bool {
	fit := func(want, is string) bool { return want == "" || want == is }
	return fit(u.Token, s.Label) && fit(u.Manufacturer, s.Manufacturer) && fit(u.Model, s.Model) && fit(u.Serial, s.Serial)
}

func (k *key) open(u URI, slot uint, state State, pin []byte) error {
	if len(pin) == 0 {
		return fmt.Errorf("%w: it is empty", ErrPIN) // and was not tried
	}
	if state.PINLocked {
		return fmt.Errorf("%w: %q", ErrLocked, state.Label)
	}
	session, err := k.module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return said(err)
	}
	k.session = session
	if err := k.module.Login(session, pkcs11.CKU_USER, string(pin)); err != nil {
		return said(err)
	}
	if k.private, err = k.findPrivate(u); err != nil {
		return err
	}
	if k.public, err = k.findPublic(); err != nil {
		return err
	}
	always, err := k.attribute(k.private, pkcs11.CKA_ALWAYS_AUTHENTICATE)
	if err != nil && !lacks(err) { // an older token does not know the attribute
		return err
	}
	if len(always) == 1 && always[0] != 0 {
		k.again = append([]byte(nil), pin...)
	}
	return nil
}

// said puts the errors that a token can give into the words of this package.
func said(err error) error {
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return err
	}
	switch uint(code) {
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE:
		return fmt.Errorf("%w: %w", ErrPIN, err)
	case pkcs11.CKR_PIN_LOCKED:
		return fmt.Errorf("%w: %w", ErrLocked, err)
	case pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_SESSION_HANDLE_INVALID,
		pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_USER_NOT_LOGGED_IN:
		return fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	return fmt.Errorf("the token: %w", err)
}

// Public returns the public half.
func (k *key) Public() crypto.PublicKey { return k.public }

// Sign returns the ECDSA signature of a SHA-256 digest in ASN.1 DER. The token draws its own random numbers.
func (k *key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, errors.New("the key signs SHA-256 digests only")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, fmt.Errorf("%w: it was closed", ErrAbsent)
	}
	if k.refused != nil { // the token counts wrong PINs: it is not asked again
		return nil, k.refused
	}
	if err := k.module.SignInit(k.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, k.private); err != nil {
		return nil, said(err)
	}
	if k.again != nil {
		if err := k.module.Login(k.session, pkcs11.CKU_CONTEXT_SPECIFIC, string(k.again)); err != nil {
			k.refused = said(err)
			return nil, k.refused
		}
	}
	raw, err := k.module.Sign(k.session, digest)
	if err != nil {
		return nil, said(err)
	}
	// PKCS #11 gives the two numbers bare, one after the other.
	if size := (elliptic.P256().Params().BitSize + 7) / 8; len(raw) != 2*size {
		return nil, fmt.Errorf("the token gave a signature of %d bytes, one of ECDSA P-256 has %d", len(raw), 2*size)
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:len(raw)/2]), new(big.Int).SetBytes(raw[len(raw)/2:])})
}

// Close logs out and gives the token free.
func (k *key) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed {
		k.closed = true
		clear(k.again)
		release(k.module)
	}
	return nil
}
