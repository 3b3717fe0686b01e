package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropTyped drops what lies in a terminal and was not read. What is no terminal has nothing to drop.
func dropTyped(tty *os.File) {
	_ = unix.IoctlSetInt(int(tty.Fd()), unix.TCFLSH, unix.TCIFLUSH)
}
