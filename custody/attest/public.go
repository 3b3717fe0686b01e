package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Attributes are the TPMA_OBJECT of a key.
type Attributes uint32

// The bits that the keys of a log have.
const (
	FixedTPM            Attributes = 1 << 1  // it cannot be copied to another TPM
	FixedParent         Attributes = 1 << 4  // nor under another key
	SensitiveDataOrigin Attributes = 1 << 5  // the TPM drew it
	UserWithAuth        Attributes = 1 << 6  // used with its authorization value
	NoDA                Attributes = 1 << 10 // a power cut does not count as a failed try
	Restricted          Attributes = 1 << 16 // it signs what the TPM made, and nothing that looks like it
	Sign                Attributes = 1 << 18
)

// The attributes are required exactly: a bit more, such as one that lets the key be duplicated or be used by policy, is
// another kind of key.
const (
	attributesSigning = FixedTPM | FixedParent | SensitiveDataOrigin | UserWithAuth | NoDA | Sign
	attributesAK      = attributesSigning | Restricted
)

// Public is the public area of an ECDSA P-256 key that signs SHA-256. The zero Public is no key.
type Public struct {
	Attributes Attributes
	bytes      string // TPMT_PUBLIC
	x, y       [32]byte
}

// ParsePublic reads a TPMT_PUBLIC; its grammar:
//
//	ECC u16 | nameAlg SHA-256 u16 | attributes u32 | authPolicy 2B, empty | symmetric NULL u16 |
//	scheme ECDSA u16 SHA-256 u16 | curve P-256 u16 | kdf NULL u16 | x 2B | y 2B
//
// Any other kind of key, a point that is not on the curve, a byte too many wraps record.ErrMalformed. The attributes are
// not judged here.
func ParsePublic(b []byte) (Public, error) {
	r := &reader{rest: b}
	p := Public{bytes: string(b)}
	r.want("type", uint32(r.u16()), algECC)
	r.want("nameAlg", uint32(r.u16()), algSHA256)
	p.Attributes = Attributes(r.u32())
	r.want("size of authPolicy", uint32(r.u16()), 0)
	r.want("symmetric", uint32(r.u16()), algNull)
	r.want("scheme", uint32(r.u16()), algECDSA)
	r.want("hash of the scheme", uint32(r.u16()), algSHA256)
	r.want("curve", uint32(r.u16()), curveP256)
	r.want("kdf", uint32(r.u16()), algNull)
	r.coordinate("x", &p.x)
	r.coordinate("y", &p.y)
	if err := r.end("public area"); err != nil {
		return Public{}, err
	}
	if _, err := p.ECDSA(); err != nil {
		return Public{}, fmt.Errorf("public area: %w: %w", record.ErrMalformed, err)
	}
	return p, nil
}

// coordinate reads a number; some TPMs leave out leading zeros.
func (r *reader) coordinate(field string, to *[32]byte) {
	b := r.sized(field, 32)
	if len(b) < 32 && (len(b) == 0 || b[0] == 0) {
		r.fail("%s has %d bytes and begins with a zero", field, len(b))
		return
	}
	copy(to[32-len(b):], b)
}

// ECDSA returns the key as the standard library has it; the zero Public is none.
func (p Public) ECDSA() (*ecdsa.PublicKey, error) {
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, p.x[:], p.y[:]))
}

// Bytes returns the TPMT_PUBLIC; of the zero Public, nothing.
func (p Public) Bytes() []byte { return []byte(p.bytes) }

// Name returns the key's Name; of the zero Public, the zero Name.
func (p Public) Name() Name {
	if p.bytes == "" {
		return Name{}
	}
	return hashNames([]byte(p.bytes))
}

// DER returns the SubjectPublicKeyInfo.
func (p Public) DER() ([]byte, error) {
	key, err := p.ECDSA()
	if err != nil {
		return nil, fmt.Errorf("public area: %w: %w", record.ErrMalformed, err)
	}
	return x509.MarshalPKIXPublicKey(key)
}

// verify requires a TPMT_SIGNATURE over b, as NormalizeSignature writes it.
func (p Public) verify(b, signature []byte) error {
	if len(b) > maxSigned || len(signature) > maxSigned {
		return fmt.Errorf("%w: more than %d bytes", record.ErrMalformed, maxSigned)
	}
	again, err := NormalizeSignature(signature)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, signature) {
		return fmt.Errorf("signature: %w: it is the second spelling (r, n-s), or short", record.ErrMalformed)
	}
	key, err := p.ECDSA()
	if err != nil {
		return mismatch("no key")
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[6:38]), new(big.Int).SetBytes(signature[40:])})
	if err != nil {
		return fmt.Errorf("signature: %w: %w", record.ErrMalformed, err)
	}
	sum := sha256.Sum256(b)
	if !ecdsa.VerifyASN1(key, sum[:], der) {
		return mismatch("the signature is not one of the key %s", p.Name())
	}
	return nil
}

// NormalizeSignature reads a TPMT_SIGNATURE with ECDSA and SHA-256 and writes it in the one form that is accepted: both
// numbers in 32 bytes, and of the two signatures (r, s) and (r, n-s), which anyone can compute from each other, the one
// with the smaller s.
//
//	ECDSA u16 | SHA-256 u16 | r 2B | s 2B
func NormalizeSignature(b []byte) ([]byte, error) {
	r := &reader{rest: b}
	r.want("scheme", uint32(r.u16()), algECDSA)
	r.want("hash of the scheme", uint32(r.u16()), algSHA256)
	first, second := r.sized("r", 32), r.sized("s", 32)
	if err := r.end("signature"); err != nil {
		return nil, err
	}
	n := elliptic.P256().Params().N
	numbers := [2]*big.Int{new(big.Int).SetBytes(first), new(big.Int).SetBytes(second)}
	for _, i := range numbers {
		if i.Sign() == 0 || i.Cmp(n) >= 0 {
			return nil, fmt.Errorf("signature: %w: a number is out of range", record.ErrMalformed)
		}
	}
	if new(big.Int).Lsh(numbers[1], 1).Cmp(n) > 0 {
		numbers[1].Sub(n, numbers[1])
	}
	out := []byte{algECDSA >> 8, algECDSA, algSHA256 >> 8, algSHA256}
	for _, i := range numbers {
		out = append(out, 0, 32)
		out = append(out, i.FillBytes(make([]byte, 32))...)
	}
	return out, nil
}

// Name is the Name of an object or an index of a TPM: SHA-256 of its public area, after the number of that hash. It is
// comparable; the zero Name is none.
type Name struct{ b [34]byte }

// NewName reads a Name of SHA-256.
func NewName(b []byte) (Name, error) {
	var n Name
	if len(b) != len(n.b) || binary.BigEndian.Uint16(b) != algSHA256 {
		return Name{}, fmt.Errorf("%w: not a Name of SHA-256: %.80x", record.ErrMalformed, b)
	}
	copy(n.b[:], b)
	return n, nil
}

// hashNames is the Name of the concatenation.
func hashNames(parts ...[]byte) Name {
	n := Name{[34]byte{algSHA256 >> 8, algSHA256}}
	sum := sha256.Sum256(slices.Concat(parts...))
	copy(n.b[2:], sum[:])
	return n
}

// IsZero reports whether n is no Name.
func (n Name) IsZero() bool { return n == Name{} }

// Bytes returns the 34 bytes.
func (n Name) Bytes() []byte { return n.b[:] }

// String returns the Name in hex; of the zero Name, nothing.
func (n Name) String() string {
	if n.IsZero() {
		return ""
	}
	return hex.EncodeToString(n.b[:])
}

// MarshalText implements encoding.TextMarshaler with String.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: 68 lower-case hex digits.
func (n *Name) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("%w: Name %.80q", record.ErrMalformed, text)
	}
	got, err := NewName(b)
	if err != nil {
		return err
	}
	if got.String() != string(text) {
		return fmt.Errorf("%w: Name %.80q", record.ErrMalformed, text)
	}
	*n = got
	return nil
}

// endorsementHierarchy is the Name of TPM_RH_ENDORSEMENT, under which a primary key's qualified Name is made.
var endorsementHierarchy = []byte{0x40, 0x00, 0x00, 0x0b}
