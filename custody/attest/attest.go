// Package attest checks what a TPM says of its keys, its counter and its start, from the bytes it signed.
//
// Start with [Key], an attestation key, and its methods: [Key.CheckKey] for another key of the same TPM,
// [Key.CheckCounter] for the counter that the checkpoints of a log advance, [Key.CheckQuote] for the start of the
// machine, which [ReplayBootLog] explains. [Follow] says whether two statements of one TPM can have been made in that order. The files that hold
// attestations are described in docs/format.md, section 15.
//
// The promise: what is returned was read out of the very bytes that the signature covers, in the one form there is, and
// was made by a TPM's restricted key for the nonce that the caller names. Such a key signs nothing but what the TPM
// itself made. Whether the attestation key belongs to a genuine TPM is not decided here: software can make one that
// says all the same of itself. Only who has activated a credential with the TPM's endorsement key knows.
//
// The package is pure and builds for js/wasm.
package attest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// ErrMismatch says that an attestation is whole and is not one of what it should be: another key, nonce, type, index, or
// a key with other attributes.
var ErrMismatch = errors.New("the attestation does not fit")

func mismatch(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMismatch, fmt.Errorf(format, args...))
}

// Key is an attestation key: a restricted signing key that was made under a primary key of the endorsement hierarchy.
type Key struct {
	Public Public
	Parent Name // of that primary key
}

// NewKey reads an attestation key from its public area (TPMT_PUBLIC) and requires the attributes of one.
func NewKey(public []byte, parent Name) (Key, error) {
	p, err := ParsePublic(public)
	if err != nil {
		return Key{}, err
	}
	if p.Attributes != attributesAK {
		return Key{}, mismatch("the attributes of the attestation key are %#x, not those of a restricted signing key that cannot leave its TPM (%#x)", p.Attributes, attributesAK)
	}
	if parent.IsZero() {
		return Key{}, mismatch("the attestation key has no parent")
	}
	return Key{p, parent}, nil
}

// open requires that a is the TPMS_ATTEST that k signed for the nonce, and reads it.
func (k Key) open(a Signed, want Type, nonce [32]byte) (Attestation, error) {
	if k.Public.Attributes != attributesAK {
		return Attestation{}, mismatch("no attestation key")
	}
	if err := k.Public.verify(a.Attest, a.Signature); err != nil {
		return Attestation{}, err
	}
	got, err := Parse(a.Attest)
	if err != nil {
		return Attestation{}, err
	}
	switch {
	case got.Type != want:
		return Attestation{}, mismatch("it is of type %#x, not %#x", got.Type, want)
	case !bytes.Equal(got.Nonce, nonce[:]):
		return Attestation{}, mismatch("its nonce is %x, not %x", got.Nonce, nonce)
	case got.Signer != k.qualified(k.Public.Name()):
		return Attestation{}, mismatch("it names the signing key %s, not the attestation key under its primary", got.Signer)
	}
	return got, nil
}

// qualified returns the qualified Name of a key that has the same parent as k. It says of which hierarchy it is.
func (k Key) qualified(name Name) Name {
	return hashNames(hashNames(endorsementHierarchy, k.Parent.Bytes()).Bytes(), name.Bytes())
}

// Signed is an attestation as a TPM returned it: a TPMS_ATTEST, and a TPMT_SIGNATURE as NormalizeSignature writes it.
type Signed struct {
	Attest    []byte `json:"attest"`
	Signature []byte `json:"signature"`
}

// maxSigned bounds each of the two.
const maxSigned = 1 << 10

// File types of attestations.
const (
	typeCounter = "exhibit-counter/v1"
	typeKey     = "exhibit-key-attestation/v1"
	typeQuote   = "exhibit-quote/v1"
)

// nonceOf is the qualifying data of an attestation about text.
func nonceOf(purpose, text string) [32]byte { return sha256.Sum256([]byte(purpose + "\n" + text)) }

// counterFile is the file attest/<size> of a log.
type counterFile struct {
	Signed
	Type string `json:"type"`
}

// EncodeCounter returns the file of a counter's attestation.
func EncodeCounter(a Signed) ([]byte, error) { return record.EncodeJSON(counterFile{a, typeCounter}) }

// ParseCounter reads it. The attestation is not checked.
func ParseCounter(b []byte) (Signed, error) {
	var f counterFile
	if err := decode(b, typeCounter, &f); err != nil {
		return Signed{}, err
	}
	return f.Signed, nil
}

// KeyFile is the attestation of a key: which TPM key it is, and the word of an attestation key of the same TPM.
type KeyFile struct {
	Signed
	Key    []byte `json:"attestationKey"` // TPMT_PUBLIC of the attestation key
	Parent Name   `json:"parent"`         // of that key's parent
	Public []byte `json:"public"`         // TPMT_PUBLIC of the key
	Type   string `json:"type"`
}

// Encode returns the file.
func (f KeyFile) Encode() ([]byte, error) {
	f.Type = typeKey
	return record.EncodeJSON(f)
}

// ParseKeyFile reads the file. Nothing in it is checked.
func ParseKeyFile(b []byte) (KeyFile, error) {
	var f KeyFile
	if err := decode(b, typeKey, &f); err != nil {
		return KeyFile{}, err
	}
	return f, nil
}

// Check requires that the file attests a key of that kind, as Key.CheckKey does with the attestation key in it, and
// returns both. Who the attestation key is remains the caller's question.
func (f KeyFile) Check(kind string) (ak Key, key Public, err error) {
	if ak, err = NewKey(f.Key, f.Parent); err != nil {
		return Key{}, Public{}, err
	}
	if key, err = ParsePublic(f.Public); err != nil {
		return Key{}, Public{}, err
	}
	if err := ak.CheckKey(f.Signed, key, kind); err != nil {
		return Key{}, Public{}, err
	}
	return ak, key, nil
}

// OpenKeyFile reads a file that attests the key with that identifier (SHA-256 of its SubjectPublicKeyInfo, in hex), which must be one of that kind, and returns
// the attestation key, as KeyFile.Check does.
func OpenKeyFile(b []byte, id, kind string) (Key, error) {
	f, err := ParseKeyFile(b)
	if err != nil {
		return Key{}, err
	}
	ak, key, err := f.Check(kind)
	if err != nil {
		return Key{}, err
	}
	der, err := key.DER()
	if err != nil {
		return Key{}, err
	}
	if record.SHA256Of(der).Hex() != id {
		return Key{}, errors.New("it is about another key than its name says")
	}
	return ak, nil
}

func decode(b []byte, want string, v any) error {
	if len(b) > maxFile {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", record.ErrMalformed, len(b), maxFile)
	}
	return record.DecodeTyped(b, want, v)
}

const maxFile = 16 << 10

// KeyNonce is the qualifying data with which an attestation key certifies a key of that kind.
func KeyNonce(kind string) [32]byte { return nonceOf("exhibit-key-v1", kind+"\n") }

// CheckKey requires that a is k's certificate (TPM2_Certify) for a key of that kind: one that was made in the same TPM,
// under the same parent, that cannot leave it, and that signs what it is given.
func (k Key) CheckKey(a Signed, key Public, kind string) error {
	got, err := k.open(a, TypeCertify, KeyNonce(kind))
	if err != nil {
		return err
	}
	switch {
	case key.Attributes != attributesSigning:
		return mismatch("the attributes of the key are %#x, not those of a signing key that cannot leave its TPM (%#x)", key.Attributes, attributesSigning)
	case got.Certified.Name != key.Name():
		return mismatch("it is about the key %s, not %s", got.Certified.Name, key.Name())
	case got.Certified.QualifiedName != k.qualified(key.Name()):
		return mismatch("the key is not one under the same primary")
	}
	return nil
}

// CounterNonce is the qualifying data with which a counter is certified for a checkpoint; text is the text of its note,
// with the final newline.
func CounterNonce(text string) [32]byte { return nonceOf("exhibit-counter-v1", text) }

// CheckCounter requires that a is k's certificate (TPM2_NV_Certify) for the counter with that handle, for the
// checkpoint, and returns its value and when it was made.
func (k Key) CheckCounter(a Signed, handle uint32, text string) (value uint64, at Clock, err error) {
	got, err := k.open(a, TypeNV, CounterNonce(text))
	if err != nil {
		return 0, Clock{}, err
	}
	want, err := CounterName(handle)
	if err != nil {
		return 0, Clock{}, err
	}
	if got.NV.Index != want {
		return 0, Clock{}, mismatch("it is about the index %s, not the counter %#x, whose Name is %s", got.NV.Index, handle, want)
	}
	return got.NV.Counter, got.Clock, nil
}

// CheckQuote requires that a is k's quote of the boot PCRs, whose values are given, for the qualifying data.
func (k Key) CheckQuote(a Signed, nonce [32]byte, pcrs [BootPCRs]PCR) (Clock, error) {
	got, err := k.open(a, TypeQuote, nonce)
	if err != nil {
		return Clock{}, err
	}
	h := sha256.New()
	for _, p := range pcrs {
		h.Write(p[:])
	}
	if [32]byte(h.Sum(nil)) != got.Quote {
		return Clock{}, mismatch("the values of the PCRs are not those that were quoted")
	}
	return got.Clock, nil
}
