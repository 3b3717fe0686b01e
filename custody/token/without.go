//go:build !pkcs11 || !cgo

package token

// Open is ErrNotBuilt in this program.
func Open(URI, []byte) (Key, error) { return nil, ErrNotBuilt }

// Look is ErrNotBuilt in this program.
func Look(URI) (State, error) { return State{}, ErrNotBuilt }
