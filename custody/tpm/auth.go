package tpm

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// AuthBytes is the size of every authorization value: too many bytes to guess, and as many as a TPM takes.
const AuthBytes = 32

// NewAuth draws an authorization value. None of its bytes is zero: a TPM drops zeros at the end of one, and go-tpm v0.9.8
// (hmacKeyFromAuthValue) whatever follows any zero.
func NewAuth() ([]byte, error) {
	auth := make([]byte, AuthBytes)
	for {
		if _, err := rand.Read(auth); err != nil {
			return nil, fmt.Errorf("draw an authorization value: %w", err)
		}
		if checkAuth(auth) == nil {
			return auth, nil
		}
	}
}

// DeriveAuth returns the authorization value that follows from another one for a purpose, always the same.
func DeriveAuth(auth []byte, purpose string) []byte {
	for i := byte(0); ; i++ {
		h := hmac.New(sha256.New, auth)
		h.Write([]byte("exhibit-auth-v1\n" + purpose + "\n"))
		h.Write([]byte{i})
		if derived := h.Sum(nil); checkAuth(derived) == nil {
			return derived
		}
	}
}

// checkAuth requires a value as NewAuth draws it.
func checkAuth(auth []byte) error {
	if len(auth) != AuthBytes || bytes.IndexByte(auth, 0) >= 0 {
		return fmt.Errorf("%w: an authorization value is %d bytes, none of them zero", record.ErrMalformed, AuthBytes)
	}
	return nil
}
