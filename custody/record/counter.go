package record

import (
	"bytes"
	"encoding/hex"
	"fmt"
)

// Counter is the counter in a TPM that every checkpoint of the log advances by one. It stands in the genesis of a log
// that has one.
type Counter struct {
	AttestationKey []byte `json:"attestationKey"` // TPMT_PUBLIC of the key that certifies the counter's value
	First          int64  `json:"first"`          // its value before the first checkpoint
	Handle         int64  `json:"handle"`         // of its index
	Name           string `json:"name"`           // of its index, 68 hex digits
	Parent         string `json:"parent"`         // Name of the attestation key's parent, 68 hex digits
}

// Equal reports whether both are the same counter.
func (c Counter) Equal(o Counter) bool {
	return bytes.Equal(c.AttestationKey, o.AttestationKey) && c.First == o.First && c.Handle == o.Handle && c.Name == o.Name && c.Parent == o.Parent
}

// maxPublicArea bounds a TPMT_PUBLIC; that of an ECDSA P-256 key has 86 bytes at most.
const maxPublicArea = 128

// Validate reports the first thing wrong with the values. What the bytes mean is for package attest to say.
func (c *Counter) Validate() error {
	if len(c.AttestationKey) == 0 || len(c.AttestationKey) > maxPublicArea {
		return fmt.Errorf("%w: attestationKey of %d bytes", ErrMalformed, len(c.AttestationKey))
	}
	if err := checkCount("first", c.First); err != nil {
		return err
	}
	if c.Handle < 0 || c.Handle > 1<<32-1 {
		return fmt.Errorf("%w: handle is %d", ErrMalformed, c.Handle)
	}
	for field, s := range map[string]string{"name": c.Name, "parent": c.Parent} {
		if b, err := hex.DecodeString(s); err != nil || len(b) != 34 || hex.EncodeToString(b) != s {
			return fmt.Errorf("%w: %s is not a Name of SHA-256", ErrMalformed, field)
		}
	}
	return nil
}
