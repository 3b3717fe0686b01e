// Package sign makes and checks every signature of a case: the DSSE envelopes of statements, the two lines of a
// checkpoint, and the files that keep the keys.
//
// Start with [Seal], which signs a statement's bytes, and [ParseEnvelope] with [Envelope.Verify], which check one.
// [OpenNote] checks a checkpoint. [Store] keeps keys of three kinds, never the same: a person's key signs custody
// events, a station's key acquisition records, a log key checkpoints. The shapes are normative in docs/format.md,
// sections 4 and 9.
//
// The promise: nothing is accepted but the one spelling that the format knows, every signature made is verified before
// it is handed out, and no error or file of this package holds key material in the clear. Whether a key is trusted is
// not decided here.
//
// Keys are software keys; a key in a TPM, a token or a service takes their place by [NewDeviceSigner]. The package builds for
// js/wasm.
package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/signature"
)

var (
	// ErrSignature says that a signature does not fit the bytes or the key.
	ErrSignature = errors.New("signature does not match")
	// ErrPassphrase refuses a wrong passphrase. A damaged ciphertext looks the same.
	ErrPassphrase = errors.New("wrong passphrase, or the key file is damaged")
	// ErrPassphraseEmpty refuses the empty passphrase.
	ErrPassphraseEmpty = errors.New("empty passphrase")
	// ErrKind refuses a key of another kind than the use needs, and an unknown kind.
	ErrKind = errors.New("not the right kind of key")
)

// A Signer holds one unlocked ECDSA P-256 key. An implementation is safe for concurrent use and checks each signature
// with PublicKey before it returns it.
type Signer interface {
	// PublicKey is the key that verifies what Sign signs.
	PublicKey() PublicKey
	// Sign returns the ECDSA signature over the SHA-256 of message, in ASN.1 DER and with the smaller of the two possible s.
	Sign(message []byte) (signature []byte, err error)
}

type signer struct {
	key  PublicKey
	sign func(message []byte) ([]byte, error) // ASN.1 DER, in either spelling
}

// NewSigner makes a Signer of anything that sigstore can sign with: it has an ECDSA P-256 key and hashes with SHA-256.
func NewSigner(sv signature.SignerVerifier) (Signer, error) {
	public, err := sv.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("ask the signer for its public key: %w", err)
	}
	key, err := newPublicKey(public)
	if err != nil {
		return nil, err
	}
	return &signer{key, func(message []byte) ([]byte, error) { return sv.SignMessage(bytes.NewReader(message)) }}, nil
}

// NewDeviceSigner makes a Signer of an ECDSA P-256 key that a device holds, such as a TPM.
func NewDeviceSigner(device crypto.Signer) (Signer, error) {
	key, err := newPublicKey(device.Public())
	if err != nil {
		return nil, err
	}
	return &signer{key, func(message []byte) ([]byte, error) {
		sum := sha256.Sum256(message)
		return device.Sign(rand.Reader, sum[:], crypto.SHA256)
	}}, nil
}

// NewSoftwareSigner makes a Signer of a key in memory.
func NewSoftwareSigner(key *ecdsa.PrivateKey) (Signer, error) {
	sv, err := loadSoftware(key)
	if err != nil {
		return nil, err
	}
	return NewSigner(sv)
}

func loadSoftware(key *ecdsa.PrivateKey) (signature.SignerVerifier, error) {
	if key == nil {
		return nil, errors.New("no key")
	}
	sv, err := signature.LoadECDSASignerVerifier(key, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("use the key: %w", err)
	}
	return sv, nil
}

func (s *signer) PublicKey() PublicKey { return s.key }

func (s *signer) Sign(message []byte) ([]byte, error) {
	sig, err := s.sign(message)
	if err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", s.key.KeyID(), err)
	}
	// Half of all signatures, whatever makes them, come in the spelling that Verify refuses.
	if sig, err = lowS(sig); err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", s.key.KeyID(), err)
	}
	// A key that computed wrongly (a fault in the device, a bit in memory) is found now, not in court.
	if err := s.key.Verify(message, sig); err != nil {
		return nil, fmt.Errorf("check the signature just made: %w", err)
	}
	return sig, nil
}
