package acquire

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// exfatMagic and ntfs3Magic are not in package unix.
const (
	exfatMagic = 0x2011bab0
	ntfs3Magic = 0x7366746e
)

// lookAtSpace asks the file system of a folder what fits.
func lookAtSpace(dir string) (space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return space{}, fmt.Errorf("ask for free space: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return space{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return space{}, errors.New("the system does not say which device holds the folder")
	}
	s := space{device: stat.Dev, freeBytes: freeBytes(&st)}
	switch int64(st.Type) & math.MaxUint32 {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, exfatMagic:
		s.reread = record.RereadDirect
	case unix.MSDOS_SUPER_MAGIC:
		s.reread = record.RereadDirect
		s.fileBytes, s.fileWhy = 1<<32-1, "the FAT file system"
	case unix.BTRFS_SUPER_MAGIC, ntfs3Magic:
		// They take the flag for direct I/O and read some files through the page cache all the same.
		s.reread = record.RereadCacheDropped
	default:
		// tmpfs, overlay, FUSE, the network: whatever we ask, something may answer from memory.
		s.reread = record.RereadCached
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return space{}, fmt.Errorf("ask for the file size limit: %w", err)
	}
	if limit.Cur <= math.MaxInt64 && (s.fileBytes == 0 || int64(limit.Cur) < s.fileBytes) {
		s.fileBytes, s.fileWhy = int64(limit.Cur), "the limit of this process (ulimit -f)"
	}
	return s, nil
}

// allocated is how much of its file system a file takes, and whether it is there. One that cannot be looked at takes nothing.
func allocated(path string) (sizeBytes int64, there bool) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Blocks < 0 || st.Blocks > math.MaxInt64/512 {
		return 0, false
	}
	return min(st.Blocks*512, st.Size), true // blocks beyond its end are not its for good
}

// freeBytes is what a process without privileges may use; bounded, because some file systems claim to be endless.
func freeBytes(st *unix.Statfs_t) int64 {
	unit := uint64(st.Frsize)
	if unit == 0 {
		unit = uint64(st.Bsize)
	}
	if unit != 0 && st.Bavail > math.MaxInt64/unit {
		return math.MaxInt64
	}
	return int64(st.Bavail * unit)
}

// noSpace recognises a full disk or quota.
func noSpace(err error) bool {
	return !errors.Is(err, ErrSpace) && (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT))
}
