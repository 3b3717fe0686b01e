//go:build unix

package durable

import (
	"os"
	"syscall"
)

// openNoWait keeps an open from waiting at a FIFO.
const openNoWait = syscall.O_NONBLOCK

func syncFolder(f *os.File) error { return f.Sync() }
