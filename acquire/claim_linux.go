package acquire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockFolder is false if another process has locked the folder. A file system that cannot lock one, as NFS, does not hinder:
// there nothing keeps two runs apart.
func lockFolder(dir *os.File) bool {
	return !errors.Is(syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// maxLocks bounds what is read of the kernel's list.
const maxLocks = 1 << 20

// lockHolder is the process that the kernel names as the holder of the folder's lock; 0 if it names none, as of another
// machine, or of another process namespace.
func lockHolder(dir *os.File) int {
	var st unix.Stat_t
	if unix.Fstat(int(dir.Fd()), &st) != nil {
		return 0
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	return findHolder(io.LimitReader(f, maxLocks), fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino))
}

// findHolder looks in lines as "1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF" for the holder of a file; one who waits for the
// lock has "->" behind the number.
func findHolder(locks io.Reader, file string) int {
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		w := strings.Fields(lines.Text())
		if len(w) < 6 || w[1] != "FLOCK" || w[5] != file {
			continue
		}
		if pid, err := strconv.Atoi(w[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}
