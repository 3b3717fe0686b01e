// Command exhibit images digital media, signs what it did, keeps custody logs that nobody can rewrite unseen, and
// checks all of it. Start with `exhibit demo`; every command explains itself with -h.
//
// Each subcommand is one file. It parses, calls a library and renders; ui.go is the only place that prints, and
// errors.go the only one that maps an error to an exit code. The promise: exit 0 means what docs/exit-codes.md says
// and nothing less.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
)

// spareThreads is how many goroutines may wait in a read or a write while others compute on every core. Without them an
// acquisition leaves a core idle whenever the medium or the destination is slow, and takes a third longer.
const spareThreads = 4

func main() {
	signal.Ignore(syscall.SIGPIPE)
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spareThreads)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit code. SIGINT, SIGTERM and SIGHUP cancel its context once; a
// second one ends the process as the system does by default.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, stopSignals()...)
	defer stop()
	context.AfterFunc(ctx, stop)
	u := newUI(stdin, stdout, stderr)
	root := newRootCommand(u)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if u.flagFailed && asksJSON(args) {
		u.json = true
	}
	return u.finish(err)
}

// asksJSON finds --json behind a bad flag, at which reading the flags ends.
func asksJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}

// stopSignals are what a person stops a command with.
func stopSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	// Under nohup the hang-up is ignored, and an acquisition must outlive the terminal it was started from.
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}
