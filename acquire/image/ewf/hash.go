package ewf

import (
	"encoding/binary"
	"fmt"
)

// HashBytes and DigestBytes are the lengths of the two sections after their descriptors.
const (
	HashBytes   = 36
	DigestBytes = 80
)

// Hash is the MD5 of the medium: 16 bytes, 16 bytes that EnCase fills with something unknown and others with 00, and the
// Adler-32 of the 32 bytes.
type Hash struct{ MD5 [16]byte }

// Append appends the section's content to b.
func (h Hash) Append(b []byte) []byte {
	start := len(b)
	b = append(b, h.MD5[:]...)
	b = append(b, make([]byte, 16)...)
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// ParseHash reads a section's content, which must be exactly b.
func ParseHash(b []byte) (Hash, error) {
	if err := sealed(b, HashBytes, TypeHash); err != nil {
		return Hash{}, err
	}
	return Hash{[16]byte(b)}, nil
}

// Digest is what EnCase writes since 6.12: MD5, SHA-1, 40 bytes 00, and the Adler-32 of the 76 bytes. A hash of zeros
// is one that was not computed.
type Digest struct {
	MD5  [16]byte
	SHA1 [20]byte
}

// Append appends the section's content to b.
func (d Digest) Append(b []byte) []byte {
	start := len(b)
	b = append(b, d.MD5[:]...)
	b = append(b, d.SHA1[:]...)
	b = append(b, make([]byte, 40)...)
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// ParseDigest reads a section's content, which must be exactly b.
func ParseDigest(b []byte) (Digest, error) {
	if err := sealed(b, DigestBytes, TypeDigest); err != nil {
		return Digest{}, err
	}
	return Digest{[16]byte(b), [20]byte(b[16:])}, nil
}

// sealed checks a content of that size whose last four bytes are the checksum of the others.
func sealed(b []byte, size int, what string) error {
	if len(b) != size {
		return fmt.Errorf("%w: a %s section of %d bytes, not %d", ErrStructure, what, len(b), size)
	}
	if checksum(b[:size-4]) != binary.LittleEndian.Uint32(b[size-4:]) {
		return fmt.Errorf("%w: wrong checksum of the %s section", ErrStructure, what)
	}
	return nil
}
