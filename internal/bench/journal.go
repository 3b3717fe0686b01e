//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// runJournal is a reading onto a disk that keeps no place to go on from, over one that does, both to the last sync.
func runJournal(b *bench) (float64, error) {
	if err := b.attach(); err != nil {
		return 0, err
	}
	out := filepath.Join(b.disk, "journal")
	again := func() error { return errors.Join(os.RemoveAll(out), os.MkdirAll(out, 0o755)) }
	var ratios []float64
	for i := range b.pairs + 1 {
		var took [2]taken
		for n, stretch := range []int64{0, math.MaxInt64} {
			if err := again(); err != nil {
				return 0, err
			}
			var err error
			if took[n], err = b.timed(b.self("read", b.loop, out, strconv.FormatInt(stretch, 10)), nil); err != nil {
				return 0, err
			}
		}
		if i > 0 { // the first pair warms up
			b.sayf("  with journal %v, without %v", took[0], took[1])
			ratios = append(ratios, took[1].Seconds()/took[0].Seconds())
		}
	}
	return median(ratios), os.RemoveAll(out)
}

// selfRead reads a medium into a folder, with places to go on from after each stretch.
func selfRead(ctx context.Context, dev, dir, stretch string) error {
	n, err := strconv.ParseInt(stretch, 10, 64)
	if err != nil {
		return err
	}
	m, err := medium.Open(ctx, dev, nil)
	if err != nil {
		return err
	}
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return errors.Join(err, m.Close())
	}
	var o record.Openings
	none := record.Unknown[record.Personal]("a measurement")
	line, err := o.Commit(zeros{}, "/circumstances/commandLine", "bench")
	if err != nil {
		return err
	}
	path, err := o.Commit(zeros{}, "/circumstances/mediumPath", dev)
	if err != nil {
		return err
	}
	_, err = acquire.Acquire(ctx, m, []acquire.Destination{{Root: root, Dir: dir}}, acquire.Options{
		Exhibit: "1", ID: "20261123T081500Z-00000000", StretchBytes: n, Openings: o,
		Tool: record.Tool{Name: "bench", Version: "1", Build: record.Unknown[record.Digest]("a measurement")},
		Host: record.Host{OS: "linux", Architecture: "any", Processors: 1, Kernel: record.Unknown[string]("a measurement")},
		Circumstances: record.Circumstances{CommandLine: line, MediumPath: path, Description: none, Examiner: none, Host: none,
			Despite: none, Live: none, WriteBlocker: none},
		Clock: func() record.Time {
			return record.NewTime(time.Now(), record.ClockSystem, record.Unknown[bool]("a measurement"))
		},
	})
	if err != nil {
		err = fmt.Errorf("read %q: %w", dev, err)
	}
	return errors.Join(err, root.Close(), m.Close())
}
