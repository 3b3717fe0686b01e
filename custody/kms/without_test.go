//go:build !kms

package kms

import (
	"errors"
	"testing"
)

func TestNotBuilt(t *testing.T) {
	if k, err := Open("hashivault://a"); !errors.Is(err, ErrNotBuilt) || k != nil {
		t.Errorf("Open = %v, %v", k, err)
	}
}
