//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// bench is what the runs share: our program, its keys and a case. Its folder is in memory and removed at the end.
type bench struct {
	ctx     context.Context
	dir     string
	program string
	caseDir string
	verbose bool
}

func newBench(ctx context.Context) (*bench, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("loop devices and mounts need root")
	}
	dir, err := os.MkdirTemp("/dev/shm", "exhibit-faults-")
	if err != nil {
		return nil, err
	}
	b := &bench{ctx: ctx, dir: dir, program: filepath.Join(dir, "exhibit"), caseDir: filepath.Join(dir, "case")}
	for _, step := range []func() error{b.build, b.makeCase} {
		if err := step(); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

func (b *bench) close() error { return os.RemoveAll(b.dir) }

func (b *bench) build() error {
	cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-o", b.program, "./cmd/exhibit")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build exhibit: %w: %s", err, out)
	}
	return nil
}

func (b *bench) exhibit(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.ctx, b.program, args...)
	cmd.Env = append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(b.dir, "home"))
	return cmd
}

func (b *bench) passphrase() string { return filepath.Join(b.dir, "passphrase") }

func (b *bench) makeCase() error {
	if err := os.WriteFile(b.passphrase(), []byte("faults\n"), 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"key", "create", "p", "--kind", "person"}, {"key", "create", "s", "--kind", "station"}, {"key", "create", "l", "--kind", "log"},
		{"case", "create", b.caseDir, "--number", "1", "--agency", "Bench", "--key", "p", "--station", "s", "--log-key", "l"},
	} {
		if out, err := b.exhibit(append(args, "--passphrase-file", b.passphrase())...).CombinedOutput(); err != nil {
			return fmt.Errorf("exhibit %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}
