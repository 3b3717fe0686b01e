//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// bench holds what the rows share. Its folders are removed at the end.
type bench struct {
	ctx     context.Context
	pairs   int
	size    int64  // of the input
	dir     string // in memory
	disk    string // on the temporary folder's disk: the input and the log
	program string // the exhibit program, built for this run
	input   string
	loop    string // empty until attached
	caseDir string
	said    map[string]bool
}

func newBench(ctx context.Context, pairs int, size int64) (*bench, error) {
	if pairs < 1 || pairs%2 == 0 || size < 3<<20 {
		return nil, errors.New("the number of pairs must be odd, and the input 3 MiB at least")
	}
	b := &bench{ctx: ctx, pairs: pairs, size: size, said: map[string]bool{}}
	var err error
	if b.disk, err = os.MkdirTemp("", "exhibit-bench-"); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("/dev/shm", "exhibit-bench-"); err != nil {
		return nil, errors.Join(err, b.close())
	}
	b.program = filepath.Join(b.disk, "exhibit")
	b.input = filepath.Join(b.disk, "input.raw")
	b.caseDir = filepath.Join(b.dir, "case")
	for _, step := range []func() error{b.build, b.makeInput, b.makeCase} {
		if err := step(); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

// close detaches the loop device and removes everything.
func (b *bench) close() error {
	var err error
	if b.loop != "" {
		err = exec.Command("losetup", "-d", b.loop).Run()
	}
	return errors.Join(err, os.RemoveAll(b.dir), os.RemoveAll(b.disk))
}

func (b *bench) sayf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (b *bench) build() error {
	cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-o", b.program, "./cmd/exhibit")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build exhibit: %w: %s", err, out)
	}
	return nil
}

// makeInput writes the medium, in three thirds: a full file system, zeros, random bytes. It stays cached.
func (b *bench) makeInput() error {
	b.sayf("making %d MiB of input", b.size>>20)
	f, err := os.Create(b.input)
	if err != nil {
		return err
	}
	third := b.size / 3 >> 20 << 20
	n, err := writeFiles(f, third)
	if err == nil && n < third {
		err = f.Truncate(third)
	}
	if err == nil {
		_, err = f.Seek(third, io.SeekStart)
	}
	if err == nil {
		_, err = io.CopyN(f, zeros{}, third)
	}
	if err == nil {
		_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), b.size-2*third)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// writeFiles writes the files below /usr one after another, as a full file system would hold them, up to limit bytes.
func writeFiles(w io.Writer, limit int64) (n int64, err error) {
	err = filepath.WalkDir("/usr", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // a file that cannot be looked at is not needed
		}
		f, err := os.Open(path)
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		m, err := io.Copy(w, io.LimitReader(f, limit-n))
		n += m
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if n >= limit {
			return filepath.SkipAll
		}
		return nil
	})
	return n, err
}

// attach makes a loop device with direct I/O of the input, once.
func (b *bench) attach() error {
	if b.loop != "" {
		return nil
	}
	out, err := exec.CommandContext(b.ctx, "losetup", "-f", "--show", "-r", "--direct-io=on", b.input).CombinedOutput()
	if err != nil {
		return fmt.Errorf("attach a loop device (this needs root): %w: %s", err, out)
	}
	b.loop = strings.TrimSpace(string(out))
	return nil
}

func (b *bench) exhibit(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.ctx, b.program, args...)
	cmd.Env = append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(b.dir, "home"))
	return cmd
}

func (b *bench) passphrase() string { return filepath.Join(b.dir, "passphrase") }

func (b *bench) acquire(more ...string) *exec.Cmd {
	args := []string{"acquire", b.loop, "--exhibit", "1", "--case", b.caseDir, "--passphrase-file", b.passphrase()}
	return b.exhibit(append(args, more...)...)
}

// self runs this program again for the work of one row.
func (b *bench) self(args ...string) *exec.Cmd {
	return exec.CommandContext(b.ctx, "/proc/self/exe", append([]string{"-self", args[0], "--"}, args[1:]...)...)
}

func (b *bench) makeCase() error {
	if err := os.WriteFile(b.passphrase(), []byte("bench\n"), 0o600); err != nil {
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
	return b.trustCase()
}
