package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// The sizes of a DER SubjectPublicKeyInfo: there is one spelling of each kind of key, and so one size.
const (
	ecdsaDERBytes   = 91
	ed25519DERBytes = 44
)

// PublicKey is an ECDSA P-256 key. It is comparable. The zero PublicKey is no key: it verifies nothing.
type PublicKey struct{ der string }

// ParsePublicKey reads a DER SubjectPublicKeyInfo. Any other spelling, curve or algorithm wraps record.ErrMalformed.
func ParsePublicKey(der []byte) (PublicKey, error) {
	if len(der) != ecdsaDERBytes {
		return PublicKey{}, fmt.Errorf("%w: public key of %d bytes, one of ECDSA P-256 has %d", record.ErrMalformed, len(der), ecdsaDERBytes)
	}
	k := PublicKey{string(der)}
	if _, err := k.ecdsa(); err != nil {
		return PublicKey{}, err
	}
	return k, nil
}

// ParsePublicKeyBase64 reads the base64 text of a DER SubjectPublicKeyInfo, as in record.Signer and record.LogKey.
func ParsePublicKeyBase64(s string) (PublicKey, error) {
	der, err := decodeBase64(s, ecdsaDERBytes)
	if err != nil {
		return PublicKey{}, err
	}
	return ParsePublicKey(der)
}

func newPublicKey(key crypto.PublicKey) (PublicKey, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return PublicKey{}, fmt.Errorf("encode public key: %w", err)
	}
	return ParsePublicKey(der)
}

// ecdsa is the key as the standard library wants it; the DER is checked again, which also refuses the zero PublicKey.
func (k PublicKey) ecdsa() (*ecdsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey([]byte(k.der))
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", record.ErrMalformed, err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: public key is not one of ECDSA P-256", record.ErrMalformed)
	}
	again, err := x509.MarshalPKIXPublicKey(key)
	if err != nil || !bytes.Equal(again, []byte(k.der)) {
		return nil, fmt.Errorf("%w: public key is not in its canonical form", record.ErrMalformed)
	}
	return key, nil
}

// DER returns the SubjectPublicKeyInfo; of the zero PublicKey, nothing.
func (k PublicKey) DER() []byte { return []byte(k.der) }

// Base64 returns the DER in standard base64.
func (k PublicKey) Base64() string { return base64.StdEncoding.EncodeToString([]byte(k.der)) }

// KeyID returns the SHA-256 of the DER in lower-case hex; of the zero PublicKey, nothing.
func (k PublicKey) KeyID() string {
	if k.der == "" {
		return ""
	}
	return KeyID([]byte(k.der))
}

// IsZero reports whether k is no key.
func (k PublicKey) IsZero() bool { return k.der == "" }

// Verify requires sig to be the ECDSA signature over the SHA-256 of message, in ASN.1 DER, of whose two spellings, (r, s)
// and (r, n-s), it takes the one with the smaller s; else ErrSignature.
func (k PublicKey) Verify(message, sig []byte) error {
	key, err := k.ecdsa()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	sum := sha256.Sum256(message)
	// Not sigstore's verifier, which takes the two bare numbers of IEEE P1363 as well as DER.
	if !ecdsa.VerifyASN1(key, sum[:], sig) {
		return fmt.Errorf("%w: key %s", ErrSignature, k.KeyID())
	}
	// Anyone can compute the other spelling. Were it good, a signed file could be changed and stay valid.
	if low, err := lowS(sig); err != nil || !bytes.Equal(low, sig) {
		return fmt.Errorf("%w: key %s: it is the second spelling (r, n-s) of a signature, which anyone can compute", ErrSignature, k.KeyID())
	}
	return nil
}

// lowS returns the spelling of an ECDSA P-256 signature, in ASN.1 DER, whose s is at most half the order n of the group.
func lowS(sig []byte) ([]byte, error) {
	var numbers struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(sig, &numbers)
	if err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: signature is not two numbers in ASN.1 DER", ErrSignature)
	}
	n := elliptic.P256().Params().N
	if new(big.Int).Lsh(numbers.S, 1).Cmp(n) > 0 {
		numbers.S.Sub(n, numbers.S)
	}
	return asn1.Marshal(numbers)
}

// KeyID is the identifier of a public key of any kind, given as the DER of its SubjectPublicKeyInfo: SHA-256 in lower-case hex.
func KeyID(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// Fingerprint writes hex digits in groups of four, as people read them to each other by telephone.
func Fingerprint(hexDigits string) string {
	var groups []string
	for len(hexDigits) > 4 {
		groups = append(groups, hexDigits[:4])
		hexDigits = hexDigits[4:]
	}
	return strings.Join(append(groups, hexDigits), " ")
}

// decodeBase64 reads the one standard base64 text of exactly that many bytes.
func decodeBase64(s string, size int) ([]byte, error) {
	if len(s) != base64.StdEncoding.EncodedLen(size) {
		return nil, fmt.Errorf("%w: base64 of %d characters, want %d bytes", record.ErrMalformed, len(s), size)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	// The decoder skips line breaks.
	if err != nil || len(b) != size || base64.StdEncoding.EncodeToString(b) != s {
		return nil, fmt.Errorf("%w: not canonical base64 of %d bytes", record.ErrMalformed, size)
	}
	return b, nil
}
