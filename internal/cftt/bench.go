//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

// bench is what the runs share: the program, its keys and a case that it trusts. Its folder is in memory and removed at the
// end.
type bench struct {
	ctx     context.Context
	dir     string
	program string
	caseDir string
	n       int // of exhibits so far
}

func newBench(ctx context.Context, program string) (*bench, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("loop devices and mounts need root")
	}
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/dev/shm", "exhibit-cftt-")
	if err != nil {
		return nil, err
	}
	b := &bench{ctx: ctx, dir: dir, program: program, caseDir: filepath.Join(dir, "case")}
	err = os.WriteFile(b.passphrase(), []byte("cftt\n"), 0o600)
	for _, key := range [][]string{{"p", "person"}, {"s", "station"}, {"l", "log"}} {
		if err == nil {
			_, err = b.must("key", "create", key[0], "--kind", key[1], "--passphrase-file", b.passphrase())
		}
	}
	if err == nil {
		err = b.makeCase(b.caseDir)
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bench) close() error { return os.RemoveAll(b.dir) }

func (b *bench) passphrase() string { return filepath.Join(b.dir, "passphrase") }

var fingerprint = regexp.MustCompile(`(?m)^Fingerprint: ([0-9a-f ]+)$`)

// makeCase makes a case and trusts it.
func (b *bench) makeCase(dir string) error {
	said, err := b.must("case", "create", dir, "--number", "1", "--agency", "Example Police", "--key", "p", "--station", "s", "--log-key", "l",
		"--passphrase-file", b.passphrase())
	if err != nil {
		return err
	}
	m := fingerprint.FindStringSubmatch(said)
	if m == nil {
		return fmt.Errorf("no fingerprint in %q", said)
	}
	_, err = b.must("trust", "add", "genesis", strings.ReplaceAll(m[1], " ", ""), "--name", "cftt "+filepath.Base(filepath.Dir(dir)))
	return err
}

// exhibit runs the program and returns all that it printed, and its exit code.
func (b *bench) exhibit(args ...string) (said string, code int, err error) {
	cmd := exec.CommandContext(b.ctx, b.program, args...)
	cmd.Env = append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(b.dir, "home"))
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); ok && cmd.ProcessState.ExitCode() >= 0 {
		err = nil
	}
	return string(out), cmd.ProcessState.ExitCode(), err
}

// must runs the program where it is not what is tested.
func (b *bench) must(args ...string) (string, error) {
	said, code, err := b.exhibit(args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("exhibit %s ended with %d: %s", strings.Join(args, " "), code, said)
	}
	return said, err
}

// acquisition is one run of exhibit acquire, and what it left.
type acquisition struct {
	said   string
	code   int
	number string // of the exhibit
	folder string // "" if there is not exactly one
}

// acquire images a device as a new exhibit of the case in dir.
func (b *bench) acquire(dir, device string, args ...string) (a acquisition, err error) {
	b.n++
	a.number = fmt.Sprint(b.n)
	a.said, a.code, err = b.exhibit(append([]string{"acquire", device, "--exhibit", a.number, "--case", dir, "--passphrase-file", b.passphrase()}, args...)...)
	if err == nil {
		a.folder, err = folderOf(dir, a.number)
	}
	return a, err
}

func folderOf(dir, number string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "exhibits", number, "*"))
	if err != nil || len(found) != 1 {
		return "", err
	}
	return found[0], nil
}

// forget removes an acquisition, which is large.
func (a *acquisition) forget() error {
	if a.folder == "" {
		return nil
	}
	return os.RemoveAll(a.folder)
}

// loop is a file as a block device.
type loop struct{ file, dev string }

// attach writes content, and behind it fill bytes 0xee, into a file and makes a device of it.
func (b *bench) attach(content []byte, fill int, sector int) (l loop, err error) {
	f, err := os.CreateTemp(b.dir, "loop-")
	if err != nil {
		return l, err
	}
	l.file = f.Name()
	_, err = f.Write(append(bytes.Clone(content), bytes.Repeat([]byte{0xee}, fill)...))
	if err = errors.Join(err, f.Close()); err != nil {
		return l, err
	}
	out, err := b.tool("losetup", "--find", "--show", "--direct-io=on", "--sector-size", fmt.Sprint(sector), l.file)
	l.dev = strings.TrimSpace(out)
	return l, err
}

func (b *bench) detach(l loop) error {
	_, err := b.tool("losetup", "--detach", l.dev)
	return errors.Join(err, os.Remove(l.file))
}

// content is what stands on the device.
func (l loop) content() ([]byte, error) { return os.ReadFile(l.file) }

// tool runs a program of the system, which must succeed.
func (b *bench) tool(name string, args ...string) (string, error) {
	out, err := exec.CommandContext(b.ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// drive is a device that nobody can write to without being seen, and what a whole one of it would give.
func drive(size int64, sector int, bad ...faultdisk.Range) (*faultdisk.Disk, []byte, error) {
	d, err := faultdisk.Attach(faultdisk.Options{SizeBytes: size, SectorBytes: sector, Seed: 1})
	if err != nil {
		return nil, nil, err
	}
	want := make([]byte, size)
	if _, err := d.Content().ReadAt(want, 0); err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	d.Bad(bad...)
	return d, want, nil
}
