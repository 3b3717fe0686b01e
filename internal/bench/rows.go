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
	{"blake3", 0.75, func(b *bench) (float64, error) {
		return b.compare("b3sum", []string{"--num-threads", "2", b.input}, func() *exec.Cmd { return b.self("blake3", b.input) }, nil)
	}},
	{"verify", 0.9, runVerify},
	{"memory", 1, runMemory},
	{"append", 0.8, runAppend},
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
			b.sayf("  ours %.3f s, %s %.3f s", a.Seconds(), peer, p.Seconds())
		}
	}
	return median(ratios), nil
}

func (b *bench) timed(cmd *exec.Cmd, after func() error) (time.Duration, error) {
	if !b.said[cmd.Path+cmd.Args[len(cmd.Args)-1]] {
		b.said[cmd.Path+cmd.Args[len(cmd.Args)-1]] = true
		b.sayf("  $ %s", strings.Join(cmd.Args, " "))
	}
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(begun)
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %.500s", strings.Join(cmd.Args, " "), err, out)
	}
	if after != nil {
		err = after()
	}
	return took, err
}

func (b *bench) sayVersion(path string) {
	flag := "--version"
	if filepath.Base(path) == "openssl" {
		flag = "version"
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
	out := filepath.Join(b.dir, "peer.raw")
	return b.compare(peer, args(out), func() *exec.Cmd { return b.acquire(more...) }, func() error {
		return errors.Join(os.RemoveAll(filepath.Join(b.caseDir, "exhibits", "1")), os.RemoveAll(out))
	})
}

func runVerify(b *bench) (float64, error) {
	if err := b.attach(); err != nil {
		return 0, err
	}
	if out, err := b.acquire("--no-reread").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("acquire: %w: %.500s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(b.caseDir, "exhibits", "1", "*"))
	if err != nil || len(found) != 1 {
		return 0, fmt.Errorf("the acquisition folder is not there: %v, %w", found, err)
	}
	ratio, err := b.compare("openssl", []string{"dgst", "-sha256", filepath.Join(found[0], "1.raw")},
		func() *exec.Cmd { return b.exhibit("verify", found[0]) }, nil)
	return ratio, errors.Join(err, os.RemoveAll(filepath.Join(b.caseDir, "exhibits", "1")))
}

const memoryLimit = 256 << 20

// runMemory is the limit over the larger peak of two processes: an acquisition of the input, and root and tree file of
// 20 TiB from injected values.
func runMemory(b *bench) (float64, error) {
	if err := b.attach(); err != nil {
		return 0, err
	}
	var peak int64
	for name, cmd := range map[string]*exec.Cmd{"acquisition of the input": b.acquire(), "tree of 20 TiB": b.self("tree", filepath.Join(b.dir, "big.tree"))} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%s: %w: %.500s", name, err, out)
		}
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			return 0, fmt.Errorf("%s: the system did not say how much memory it took", name)
		}
		rss := usage.Maxrss << 10
		b.sayf("  %s: peak %d MiB", name, rss>>20)
		peak = max(peak, rss)
	}
	err := errors.Join(os.RemoveAll(filepath.Join(b.caseDir, "exhibits", "1")), os.RemoveAll(filepath.Join(b.dir, "big.tree")))
	return memoryLimit / float64(peak), err
}

// runAppend measures one append into a log of ten entries over one into a log of 100,000.
func runAppend(b *bench) (float64, error) {
	cmd := b.self("append", filepath.Join(b.disk, "append"), strconv.Itoa(b.pairs))
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, l := range lines[:len(lines)-1] {
		b.sayf("  %s", l)
	}
	return strconv.ParseFloat(lines[len(lines)-1], 64)
}
