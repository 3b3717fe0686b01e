package record

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Algorithm names a hash function as in-toto's DigestSet does.
type Algorithm string

// The hash functions a record may carry. BLAKE3 is its 256-bit default mode.
const (
	BLAKE3 Algorithm = "blake3"
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
	SHA1   Algorithm = "sha1"
	MD5    Algorithm = "md5"
)

// digestBytes is the size of each algorithm's output, and the list of those known.
var digestBytes = map[Algorithm]int{BLAKE3: 32, SHA256: 32, SHA512: 64, SHA1: 20, MD5: 16}

// ErrDigest is wrapped by every error about a digest's text.
var ErrDigest = errors.New("not a digest")

// Digest is one hash value that carries its algorithm. It is comparable; its text is "algorithm:lower-case hex".
// The zero Digest is no digest: it equals no real one and refuses to be encoded.
type Digest struct {
	alg Algorithm
	hex string
}

// NewDigest makes a Digest of a raw sum, whose length must be the algorithm's.
func NewDigest(alg Algorithm, sum []byte) (Digest, error) {
	if want, ok := digestBytes[alg]; !ok || len(sum) != want {
		return Digest{}, fmt.Errorf("%w: %d bytes for algorithm %q", ErrDigest, len(sum), alg)
	}
	return Digest{alg, hex.EncodeToString(sum)}, nil
}

// SHA256Digest makes a Digest of a SHA-256 sum.
func SHA256Digest(sum [32]byte) Digest { return Digest{SHA256, hex.EncodeToString(sum[:])} }

// SHA256Of is the SHA-256 of b.
func SHA256Of(b []byte) Digest { return SHA256Digest(sha256.Sum256(b)) }

// BLAKE3Digest makes a Digest of a BLAKE3 root.
func BLAKE3Digest(sum [32]byte) Digest { return Digest{BLAKE3, hex.EncodeToString(sum[:])} }

// ParseDigest reads the text form. Upper-case digits, other lengths and unknown algorithms are errors.
func ParseDigest(text string) (Digest, error) {
	alg, digits, ok := strings.Cut(text, ":")
	want, known := digestBytes[Algorithm(alg)]
	if !ok || !known || len(digits) != 2*want || strings.Trim(digits, "0123456789abcdef") != "" {
		return Digest{}, fmt.Errorf("%w: %.100q", ErrDigest, text)
	}
	return Digest{Algorithm(alg), digits}, nil
}

// Algorithm returns the hash function, empty for the zero Digest.
func (d Digest) Algorithm() Algorithm { return d.alg }

// Hex returns the lower-case hex digits, empty for the zero Digest.
func (d Digest) Hex() string { return d.hex }

// IsZero reports whether d is no digest at all.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns the text form; of the zero Digest, "none".
func (d Digest) String() string {
	if d.IsZero() {
		return "none"
	}
	return string(d.alg) + ":" + d.hex
}

// MarshalText implements encoding.TextMarshaler and refuses the zero Digest.
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, fmt.Errorf("%w: empty", ErrDigest)
	}
	return []byte(d.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	got, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = got
	return nil
}

// LeafHash is the RFC 6962 hash of a log entry: SHA-256 of a zero byte and the entry. Its text is 64 lower-case
// hex digits.
type LeafHash [32]byte

// ParseLeafHash reads the text form.
func ParseLeafHash(text string) (LeafHash, error) {
	d, err := ParseDigest(string(SHA256) + ":" + text)
	if err != nil {
		return LeafHash{}, fmt.Errorf("not a leaf hash: %.80q", text)
	}
	var h LeafHash
	if _, err := hex.Decode(h[:], []byte(d.hex)); err != nil {
		return LeafHash{}, fmt.Errorf("not a leaf hash: %w", err)
	}
	return h, nil
}

// String returns the text form.
func (h LeafHash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h LeafHash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *LeafHash) UnmarshalText(text []byte) error {
	got, err := ParseLeafHash(string(text))
	if err != nil {
		return err
	}
	*h = got
	return nil
}
