// Package testtool finds the real tools that tests check our output with (b3sum, fls, openssl, ...).
//
// Start with [Need], and [Run] what it found. A tool that the Makefile builds lies in bin/ at the top of the module and is found there. The promise:
// with EXHIBIT_REQUIRE_TOOLS=1 in the environment, as on the clean machine of .ci/run, no test is skipped for a missing tool
// or privilege; it fails instead.
package testtool

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Need returns the path of each named program, in order. A missing one skips the test, or fails it when
// EXHIBIT_REQUIRE_TOOLS is "1".
func Need(t testing.TB, names ...string) []string {
	t.Helper()
	paths := make([]string, 0, len(names))
	for _, name := range names {
		p, err := find(name)
		if err != nil {
			missing(t, "the test needs the program "+name)
		}
		paths = append(paths, p)
	}
	return paths
}

// Run runs a program that must end well, and returns what it wrote to standard output, without spaces around it.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...) // without t's context, which is over when a test cleans up
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, &stdout, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

// find looks in PATH, and then in bin/ beside the go.mod above the test's folder.
func find(name string) (string, error) {
	p, err := exec.LookPath(name)
	if err == nil {
		return p, nil
	}
	for dir := "."; ; dir = filepath.Join("..", dir) {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			built, absErr := filepath.Abs(filepath.Join(dir, "bin", name))
			if absErr != nil {
				return "", absErr
			}
			return exec.LookPath(built)
		}
		if info, statErr := os.Stat(dir); statErr != nil || isRoot(info) {
			return "", err
		}
	}
}

func isRoot(info os.FileInfo) bool {
	root, err := os.Stat("/")
	return err != nil || os.SameFile(info, root)
}

// NeedRoot skips or fails, by the same rule, a test that must attach loop devices or mount.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "the test needs root for loop devices and mounts")
	}
}

func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("EXHIBIT_REQUIRE_TOOLS") == "1" {
		t.Fatal(why + ", and EXHIBIT_REQUIRE_TOOLS=1 forbids to skip it")
	}
	t.Skip(why)
}
