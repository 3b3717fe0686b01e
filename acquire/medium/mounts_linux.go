package medium

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
)

// mount is a line of /proc/self/mountinfo.
type mount struct {
	dev    uint64
	point  string
	kind   string // of the file system
	source string
	upper  string // of an overlay, the folder that is written to
}

// readMounts fails if there is a line it does not understand: a mount that is not seen is one that is not guarded.
func readMounts(path string) ([]mount, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", plain(err))
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	var mounts []mount
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20) // the options of an overlay name all its layers
	for lines.Scan() {
		m, ok := parseMount(lines.Text())
		if !ok {
			return nil, fmt.Errorf("read the mounts: line %q is not understood", lines.Text())
		}
		mounts = append(mounts, m)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	return mounts, nil
}

func parseMount(line string) (mount, bool) {
	m, ok := sysfs.ParseMount(line)
	if !ok {
		return mount{}, false
	}
	dev, ok := parseNumber(m.Number)
	return mount{dev, m.Point, m.Kind, m.Source, m.Upper}, ok
}

// mountOf finds the mount that holds path: the longest mount point above it, of equal ones the last.
func mountOf(mounts []mount, path string) (best mount, found bool) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return mount{}, false
	}
	if real, err = filepath.Abs(real); err != nil {
		return mount{}, false
	}
	for _, m := range mounts {
		inside := real == m.point || strings.HasPrefix(real, strings.TrimSuffix(m.point, "/")+"/")
		if inside && len(m.point) >= len(best.point) {
			best, found = m, true
		}
	}
	return best, found
}
