package tpm

import (
	"bytes"
	"testing"
)

func TestAuthHasNoZero(t *testing.T) {
	auth := newAuth(t)
	seen := map[string]bool{}
	for i := range 2000 {
		drawn, derived := newAuth(t), DeriveAuth(auth, string(rune('a'+i)))
		for _, b := range [][]byte{drawn, derived} {
			if err := checkAuth(b); err != nil || seen[string(b)] {
				t.Fatalf("%x: %v, or a second time", b, err)
			}
			seen[string(b)] = true
		}
	}
	if !bytes.Equal(DeriveAuth(auth, "x"), DeriveAuth(auth, "x")) || bytes.Equal(DeriveAuth(auth, "x"), DeriveAuth(newAuth(t), "x")) {
		t.Error("what is derived does not follow from the value and the purpose")
	}
}
