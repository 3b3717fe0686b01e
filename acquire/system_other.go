//go:build !linux

package acquire

import (
	"errors"
	"fmt"
)

func lookAtSpace(string) (space, error) {
	return space{}, fmt.Errorf("acquisition works only on Linux: %w", errors.ErrUnsupported)
}

func allocated(string) (int64, bool) { return 0, false }

func noSpace(error) bool { return false }
