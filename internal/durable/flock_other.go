//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package durable

import (
	"errors"
	"os"
)

// flock is not available; nothing is locked rather than something weaker.
func flock(*os.File) (held bool, err error) { return false, errors.ErrUnsupported }
