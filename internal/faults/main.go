//go:build linux

// Command faults reads failing media with Exhibit and with the peers found on the machine, and prints one line a run:
//
//	fault  tool  good sectors lost  unread ranges reported  exit code  seconds  writes to the medium
//
// Start with the table of faults in media.go. Its promise: each run gets a device of its own that fails in the same way,
// what was lost is counted by comparing the produced image with what a whole medium would have given, sector by sector, and
// what a tool reports as unread is held against exactly that. It installs nothing; a peer that is
// missing says so. Run it as root with `make faults`, or `make faults FAULT=name` for one fault. It ends with 1 when ours
// loses a good sector, reports other ranges than the missing ones, ends with another code than it should, or tries to write.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

func main() { os.Exit(run()) }

func run() int {
	only := flag.String("fault", "", "run only this fault")
	verbose := flag.Bool("v", false, "print what each tool said")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b, err := newBench(ctx)
	if err == nil {
		b.verbose = *verbose
		err = errors.Join(b.runAll(*only), b.close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 1
	}
	return 0
}

var errShort = errors.New("ours falls short")

func (b *bench) runAll(only string) error {
	fmt.Println("fault         tool         good sectors lost  unread ranges reported    exit  seconds  writes")
	var short []error
	ran := false
	for _, m := range media {
		if only != "" && m.name != only {
			continue
		}
		ran = true
		for i, tool := range tools {
			if _, err := exec.LookPath(tool.needs); i > 0 && err != nil {
				fmt.Printf("%-13s %-12s not installed\n", m.name, tool.name)
				continue
			}
			r, err := b.try(m, tool)
			if err != nil {
				return fmt.Errorf("%s with %s: %w", m.name, tool.name, err)
			}
			fmt.Printf("%-13s %-12s %17d  %-24s %5d %8.2f %7d\n", m.name, tool.name, r.lost, r.reported, r.exit, r.took.Seconds(), r.writes)
			if i == 0 && !r.holds(m) {
				short = append(short, fmt.Errorf("%w at %s", errShort, m.name))
			}
		}
	}
	if !ran {
		return fmt.Errorf("there is no fault %q", only)
	}
	return errors.Join(short...)
}

// result is what came of one run.
type result struct {
	lost     int // good sectors that are not in the image as they are on the medium
	reported string
	exit     int
	took     time.Duration
	writes   int
}

// holds says whether ours is as good as it has to be.
func (r result) holds(m medium) bool {
	want := 0
	if len(m.bad) > 0 {
		want = 3
	}
	return r.lost == 0 && r.reported == exact && r.exit == want && r.writes == 0
}

// setReadAhead sets what buffered reads fetch in advance to the 128 KiB that disks have had for long. This kernel's loop
// devices may have far more, and the peers that read through the cache would lose as much around each bad sector.
func setReadAhead(device string) (back func() error, err error) {
	name := "/sys/block/" + filepath.Base(device) + "/queue/read_ahead_kb"
	old, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return func() error { return os.WriteFile(name, old, 0o644) }, os.WriteFile(name, []byte("128"), 0o644)
}

// try reads a medium of its own with a tool.
func (b *bench) try(m medium, t tool) (r result, err error) {
	d, err := faultdisk.Attach(faultdisk.Options{SizeBytes: mediumBytes, SectorBytes: m.sectorBytes(), Seed: 1})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	dir, err := os.MkdirTemp(b.dir, t.needs+"-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	back, err := setReadAhead(d.Path())
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, back()) }()
	d.Bad(m.bad...)
	if m.more != nil {
		m.more(d)
	}
	cmd, err := t.command(b, d.Path(), dir, m)
	if err != nil {
		return r, err
	}
	begun := time.Now()
	said, err := cmd.CombinedOutput()
	r.took = time.Since(begun)
	r.exit = cmd.ProcessState.ExitCode()
	if b.verbose {
		fmt.Fprintf(os.Stderr, "$ %v\n%s\n", cmd.Args, said)
	}
	if r.exit < 0 {
		return r, fmt.Errorf("%v: %w", cmd.Args, err)
	}
	r.writes = len(d.Writes())
	image, unread, err := t.produced(b, dir, string(said), m)
	if err != nil {
		return r, err
	}
	gone, err := missing(image, d.Content(), m)
	r.lost, r.reported = lost(gone, m.bad), compare(unread, gone)
	return r, err
}
