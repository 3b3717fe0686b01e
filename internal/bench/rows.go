//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// row is one line of the result: run returns the ratio to compare with target; more is better.
type row struct {
	name   string
	target float64
	run    func(*bench) (float64, error)
}

var rows = []row{
	{"raw", 4, func(b *bench) (float64, error) {
		return b.acquireAgainst("dc3dd", func(out string) []string { return []string{"if=" + b.loop, "hash=sha256", "of=" + out} }, "--no-reread")
	}},
	{"raw-dd", 0.65, func(b *bench) (float64, error) {
		return b.acquireAgainst("dd", func(out string) []string { return []string{"if=" + b.loop, "of=" + out, "bs=1M", "iflag=direct"} }, "--no-reread")
	}},
	{"raw-safe", 4, func(b *bench) (float64, error) {
		return b.acquireAgainst("dc3dd", func(out string) []string { return []string{"if=" + b.loop, "hash=sha256", "hof=" + out} })
	}},
	{"journal", 0.9, runJournal},
	{"e01", 4.5, func(b *bench) (float64, error) {
		return b.acquireAgainst("ewfacquire", func(out string) []string {
			return []string{"-u", "-q", "-c", "fast", "-d", "sha256", "-t", out, b.loop}
		}, "--no-reread", "--format", "e01", "--compression", "fast", "--hash", "md5")
	}},
	{"e01-verify", 1.2, runVerifyE01},
	{"blake3", 0.75, func(b *bench) (float64, error) {
		return b.compare("b3sum", []string{"--num-threads", "2", b.input}, func() *exec.Cmd { return b.self("blake3", b.input) }, nil)
	}},
	{"verify", 0.9, runVerify},
	{"memory", 1, runMemory},
	{"append", 0.8, runAppend},
	{"append-tpm", 0.1, runAppendTPM},
}

var errNoPeer = errors.New("no peer")

// compare runs ours and the peer in turn and returns the median of peer's time over ours. after cleans up after each run.
func (b *bench) compare(peer string, args []string, ours func() *exec.Cmd, after func() error) (float64, error) {
	path, err := exec.LookPath(peer)
	if err != nil {
		return 0, errNoPeer
	}
	b.sayVersion(path)
	var ratios []float64
	for i := range b.pairs + 1 {
		a, err := b.timed(ours(), after)
		if err != nil {
			return 0, err
		}
		p, err := b.timed(exec.CommandContext(b.ctx, path, args...), after)
		if err != nil {
			return 0, err
		}
		if i > 0 { // the first pair warms up
			ratios = append(ratios, p.Seconds()/a.Seconds())
			b.sayf("  ours %v, %s %v", a, peer, p)
		}
	}
	return median(ratios), nil
}

// taken is how long a process took by the clock, and what it and the system for it took of the processors: on a machine
// that does other work too, only that can be compared with another day.
type taken struct {
	time.Duration
	user, system time.Duration
}

func (t taken) String() string {
	return fmt.Sprintf("%.3f s (processors %.2f + %.2f s)", t.Seconds(), t.user.Seconds(), t.system.Seconds())
}

func (b *bench) timed(cmd *exec.Cmd, after func() error) (taken, error) {
	if !b.said[cmd.Path+cmd.Args[len(cmd.Args)-1]] {
		b.said[cmd.Path+cmd.Args[len(cmd.Args)-1]] = true
		b.sayf("  $ %s", strings.Join(cmd.Args, " "))
	}
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	took := taken{Duration: time.Since(begun)}
	if err != nil {
		return taken{}, fmt.Errorf("%s: %w: %.500s", strings.Join(cmd.Args, " "), err, out)
	}
	took.user, took.system = cmd.ProcessState.UserTime(), cmd.ProcessState.SystemTime()
	if after != nil {
		err = after()
	}
	return took, err
}

func (b *bench) sayVersion(path string) {
	flag := "--version"
	switch filepath.Base(path) {
	case "openssl":
		flag = "version"
	case "ewfacquire", "ewfverify":
		flag = "-V"
	}
	out, err := exec.CommandContext(b.ctx, path, flag).CombinedOutput()
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil {
		first = "version not told"
	}
	b.sayf("  %s: %s", path, first)
}

// acquireAgainst measures a whole acquisition, from a loop device with direct I/O into memory.
func (b *bench) acquireAgainst(peer string, args func(out string) []string, more ...string) (float64, error) {
	if err := b.attach(); err != nil {
		return 0, err
	}
	dir := filepath.Join(b.dir, "peer")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return 0, err
	}
	ratio, err := b.compare(peer, args(filepath.Join(dir, "image")), func() *exec.Cmd { return b.acquire(more...) }, func() error {
		return errors.Join(b.forget(), os.RemoveAll(dir), os.Mkdir(dir, 0o755))
	})
	return ratio, errors.Join(err, os.RemoveAll(dir))
}

// forget removes what was acquired.
func (b *bench) forget() error { return os.RemoveAll(filepath.Join(b.caseDir, "exhibits", "1")) }

// acquired makes an acquisition to be verified, and returns its folder.
func (b *bench) acquired(more ...string) (string, error) {
	if err := b.attach(); err != nil {
		return "", err
	}
	if out, err := b.acquire(append(more, "--no-reread")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("acquire: %w: %.500s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(b.caseDir, "exhibits", "1", "*"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("the acquisition folder is not there: %v, %w", found, err)
	}
	return found[0], nil
}

func runVerify(b *bench) (float64, error) {
	dir, err := b.acquired()
	if err != nil {
		return 0, err
	}
	ratio, err := b.compare("openssl", []string{"dgst", "-sha256", filepath.Join(dir, "1.raw")},
		func() *exec.Cmd { return b.exhibit("verify", dir) }, nil)
	return ratio, errors.Join(err, b.forget())
}

// runVerifyE01 has ewfverify check the MD5 that our image states, and compute a SHA-256, which it has nothing to hold against.
func runVerifyE01(b *bench) (float64, error) {
	dir, err := b.acquired("--format", "e01", "--hash", "md5")
	if err != nil {
		return 0, err
	}
	ratio, err := b.compare("ewfverify", []string{"-q", "-d", "sha256", filepath.Join(dir, "1.E01")},
		func() *exec.Cmd { return b.exhibit("verify", dir) }, nil)
	return ratio, errors.Join(err, b.forget())
}

const memoryLimit = 256 << 20

// runMemory is the limit over the largest peak of these processes: acquisitions of the input, raw and E01 of many segments,
// with all that is read again, the verification of such an E01, and root and tree file of 20 TiB from injected values.
func runMemory(b *bench) (float64, error) {
	dir, err := b.acquired("--format", "e01", "--split", "4M")
	if err != nil {
		return 0, err
	}
	var peak int64
	for _, work := range []struct {
		name string
		cmd  *exec.Cmd
	}{
		{"verification as E01", b.exhibit("verify", dir)},
		{"acquisition as E01", b.acquire("--format", "e01", "--split", "4M")},
		{"acquisition", b.acquire()},
		{"tree of 20 TiB", b.self("tree", filepath.Join(b.dir, "big.tree"))},
	} {
		rss, err := peakOf(work.cmd)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", work.name, err)
		}
		b.sayf("  %s: peak %d MiB", work.name, rss>>20)
		peak = max(peak, rss)
		if err := b.forget(); err != nil {
			return 0, err
		}
	}
	return memoryLimit / float64(peak), os.RemoveAll(filepath.Join(b.dir, "big.tree"))
}

// peakOf runs a process and returns how many bytes of memory it had at most.
func peakOf(cmd *exec.Cmd) (int64, error) {
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %.500s", err, out)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, errors.New("the system did not say how much memory it took")
	}
	return usage.Maxrss << 10, nil
}

// runAppend measures one append into a log of ten entries over one into a log of 100,000.
func runAppend(b *bench) (float64, error) {
	return b.selfRatio("append", filepath.Join(b.disk, "append"))
}

// selfRatio runs such a work, to which it says the number of pairs last, and takes the ratio from its last line.
func (b *bench) selfRatio(work string, args ...string) (float64, error) {
	cmd := b.self(append(append([]string{work}, args...), strconv.Itoa(b.pairs))...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", work, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, l := range lines[:len(lines)-1] {
		b.sayf("  %s", l)
	}
	return strconv.ParseFloat(lines[len(lines)-1], 64)
}
