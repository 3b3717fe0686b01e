package acquire

import (
	"errors"
	"os"
	"syscall"
)

// lockFolder is false if another process has locked the folder. A file system that cannot lock one, as NFS, does not hinder:
// there nothing keeps two runs apart.
func lockFolder(dir *os.File) bool {
	return !errors.Is(syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
