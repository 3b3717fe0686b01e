package medium

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

// parseMount reads "36 35 98:0 /root /mount/point options... - type source superoptions" (proc_pid_mountinfo(5)).
// An empty source leaves nothing between two spaces.
func parseMount(line string) (mount, bool) {
	fields := strings.Split(line, " ")
	dash := slices.Index(fields, "-")
	if dash < 6 || len(fields) < dash+3 {
		return mount{}, false
	}
	dev, ok := parseNumber(fields[2])
	m := mount{dev: dev, point: unescape(fields[4]), kind: unescape(fields[dash+1]), source: unescape(fields[dash+2])}
	for _, option := range strings.Split(strings.Join(fields[dash+3:], " "), ",") {
		if upper, found := strings.CutPrefix(option, "upperdir="); found && m.kind == "overlay" {
			m.upper = unescape(upper)
		}
	}
	return m, ok
}

// unescape undoes the kernel's \040 for a space and the like.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
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
