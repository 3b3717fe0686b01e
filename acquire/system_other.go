//go:build !linux

package acquire

import (
	"errors"
	"fmt"
)

func lookAtSpace(string) (space, error) {
	return space{}, fmt.Errorf("acquisition works only on Linux: %w", errors.ErrUnsupported)
}

func noSpace(error) bool { return false }
