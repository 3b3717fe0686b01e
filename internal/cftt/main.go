//go:build linux

// Command cftt runs the disk imaging cases of NIST's Federated Testing, FT-DI-01 to FT-DI-15, that loop and FUSE devices can
// stand in for, and writes docs/cftt.md: each case, what was done, and what came of it.
//
// Start with the list of cases in cases.go. Its promise: every result is that of running the program that it is given, and is
// judged by the bytes of medium, image and clone, and by digests of Go's own library, never by what the program says of itself.
// A case, or a variant of one, that was not run says why, and stands in the document too. Run it as root with `make cftt`. It
// ends with 1, and writes the document all the same, when a result is not what it has to be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() { os.Exit(run()) }

func run() int {
	program := flag.String("exhibit", "bin/exhibit", "the program to run")
	document := flag.String("o", "docs/cftt.md", "the document to write")
	only := flag.String("case", "", "run only this case, and write no document")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := runAll(ctx, *program, *document, *only); err != nil {
		fmt.Fprintln(os.Stderr, "cftt:", err)
		return 1
	}
	return 0
}

var errShort = errors.New("the program falls short")

func runAll(ctx context.Context, program, document, only string) (err error) {
	b, err := newBench(ctx, program)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var done []result
	short := 0
	for _, c := range cases {
		if only != "" && c.id != only {
			continue
		}
		r := result{testCase: c}
		if c.run != nil {
			if r.runs, err = c.run(b); err != nil {
				return fmt.Errorf("%s: %w", c.id, err)
			}
		}
		for _, o := range r.runs {
			fmt.Printf("%s  %s: %s\n", c.id, o.variant, o.text())
			if len(o.wrong) > 0 {
				short++
			}
		}
		done = append(done, r)
	}
	switch {
	case len(done) == 0:
		return fmt.Errorf("there is no case %q", only)
	case only == "":
		err = b.write(document, done)
	}
	if short > 0 {
		err = errors.Join(err, fmt.Errorf("%w in %d runs", errShort, short))
	}
	return err
}
