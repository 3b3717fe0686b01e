//go:build !pkcs11 || !cgo

package token

import (
	"errors"
	"testing"
)

func TestNotBuilt(t *testing.T) {
	if k, err := Open(URI{}, nil); !errors.Is(err, ErrNotBuilt) || k != nil {
		t.Errorf("Open = %v, %v", k, err)
	}
	if s, err := Look(URI{}); !errors.Is(err, ErrNotBuilt) || s != (State{}) {
		t.Errorf("Look = %v, %v", s, err)
	}
}
