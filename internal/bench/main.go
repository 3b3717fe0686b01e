//go:build linux

// Command bench measures Exhibit against the peers found on the machine, and prints one line a row:
//
//	name<TAB>ratio<TAB>target<TAB>holds|short|no peer
//
// Start with the table of rows in rows.go. Its promise: it compares only within one run, our command and the peer's in
// turn, and the ratio is the median of the paired ratios (peer's time over ours, so that more is better), never a figure
// of another day. It installs nothing; a row whose peer is missing says so. Run it with `make bench`, or
// `make bench ROW=name` for one row. It ends with 1 when a row is short of its target.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
)

func main() { os.Exit(run()) }

func run() int {
	row := flag.String("row", "", "run only this row")
	pairs := flag.Int("pairs", 5, "how many pairs of runs")
	mib := flag.Int64("mib", 2048, "how many MiB of input; what is fixed counts for more the less there is")
	self := flag.String("self", "", "internal: the work of a row that is measured as a process of its own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *self != "" {
		return report(runSelf(ctx, *self, flag.Args()))
	}
	b, err := newBench(ctx, *pairs, *mib<<20)
	if err != nil {
		return report(err)
	}
	code := b.runRows(*row)
	if err := b.close(); err != nil {
		return report(err)
	}
	return code
}

func report(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	return 1
}

func (b *bench) runRows(only string) int {
	code, ran := 0, false
	for _, r := range rows {
		if only != "" && r.name != only {
			continue
		}
		ran = true
		ratio, err := r.run(b)
		verdict := "holds"
		switch {
		case errors.Is(err, errNoPeer):
			fmt.Printf("%s\t-\t%.2f\tno peer\n", r.name, r.target)
			continue
		case err != nil:
			return report(fmt.Errorf("row %s: %w", r.name, err))
		case ratio < r.target:
			verdict, code = "short", 1
		}
		fmt.Printf("%s\t%.2f\t%.2f\t%s\n", r.name, ratio, r.target, verdict)
	}
	if !ran {
		return report(fmt.Errorf("there is no row %q", only))
	}
	return code
}

// median of the ratios; the middle one, for the number of pairs is odd.
func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	return s[len(s)/2]
}
