//go:build !linux

package durable

import (
	"errors"
	"os"
)

// renameNoReplace is not available here; publish has other ways.
func renameNoReplace(*os.Root, string, string) error { return errors.ErrUnsupported }
