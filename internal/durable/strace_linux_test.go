package durable_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// TestRealSystemCalls lets strace fail the real system calls of CreateEx, so that a call that by-passes the hook, or a
// result that is dropped, is seen.
func TestRealSystemCalls(t *testing.T) {
	strace := testtool.Need(t, "strace")[0]
	if err := exec.Command(strace, "-o", os.DevNull, "true").Run(); err != nil {
		t.Skipf("ptrace is not allowed here: %v", err)
	}
	cases := []struct {
		name, inject string
		wantOutput   string
		wantFile     bool
	}{
		{"nothing", "", "written", true},
		{"every fsync", "fsync:error=EIO", "input/output error", false},
		{"fchmod", "fchmod:error=EIO", "input/output error", false},
		{"fchmod unsupported", "fchmod:error=EPERM", "written", true},
		{"rename", "renameat2:error=EIO", "input/output error", false},
		{"no renameat2", "renameat2:error=EINVAL", "written", true},
		{"no links", "renameat2:error=EINVAL -e inject=linkat:error=EPERM", "written", true},
		{"no links, no rename", "renameat2,renameat:error=EINVAL -e inject=linkat:error=EPERM", "invalid argument", false},
	}
	exe, err := os.Executable()
	must(t, err)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			args := []string{"-f", "-qq", "-o", os.DevNull, "-e", "signal=none"}
			if c.inject != "" {
				args = append(args, strings.Fields("-e inject="+c.inject)...)
			}
			cmd := exec.Command(strace, append(args, exe, dir)...)
			cmd.Env = append(os.Environ(), childEnv+"=once")
			out, _ := cmd.CombinedOutput() // the output says it better than the exit code
			if !strings.Contains(string(out), c.wantOutput) {
				t.Errorf("the writer says %q, want %q", out, c.wantOutput)
			}
			if !c.wantFile {
				wantNames(t, dir)
				return
			}
			got, _ := read(t, filepath.Join(dir, "f"))
			if got != content {
				t.Errorf("the file holds %q, want %q", got, content)
			}
			wantNames(t, dir, "f")
		})
	}
}
