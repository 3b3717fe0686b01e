package ewf

import "golang.org/x/sys/unix"

// startWriteback asks for the bytes to be written and does not wait. It is advice only, so its error is not looked at:
// with this flag alone the call does not take away the error that fsync reports later.
func startWriteback(fd uintptr, off, length int64) {
	_ = unix.SyncFileRange(int(fd), off, length, unix.SYNC_FILE_RANGE_WRITE)
}
