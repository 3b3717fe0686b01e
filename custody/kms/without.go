//go:build !kms

package kms

import "crypto"

// Open is ErrNotBuilt in this program.
func Open(string) (crypto.Signer, error) { return nil, ErrNotBuilt }
