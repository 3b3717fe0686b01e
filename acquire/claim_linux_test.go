package acquire_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// TestTwoRuns tries to go on with a folder while the run that made it is at work, while another one goes on, and with a state
// from before another one went on.
func TestTwoRuns(t *testing.T) {
	path := writeFile(t, filepath.Join(t.TempDir(), "medium"), content(6*mib))
	dir := t.TempDir()
	dest := []acquire.Destination{destination(t, dir)}
	locked := func(when string) {
		t.Helper()
		_, err := resume(t, t.Context(), path, []string{dir}, nil)
		if !errors.Is(err, durable.ErrLocked) {
			t.Errorf("resume %s: error %v, want ErrLocked", when, err)
			return
		}
		if named := fmt.Sprintf("held by process %d;", os.Getpid()); !strings.Contains(err.Error(), named) {
			t.Errorf("resume %s: error %v, want that it is %s", when, err, named)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opts := options(t)
	opts.StretchBytes = mib
	opts.Progress = &stopAt{phase: acquire.PhaseRereading, bytes: mib, stop: func() {
		if ctx.Err() == nil {
			locked("while the first run is at work")
			cancel()
		}
	}}
	if _, err := acquire.Acquire(ctx, openMedium(t, path), dest, opts); !errors.Is(err, context.Canceled) {
		t.Fatalf("the first run: error %v, want that it was stopped", err)
	}
	var before acquire.State
	_, err := resume(t, t.Context(), path, []string{dir}, func(o *acquire.ResumeOptions) {
		before = o.State
		o.Progress = &stopAt{phase: acquire.PhaseRereading, stop: func() { locked("while another goes on") }}
	})
	if err != nil {
		t.Fatal(err)
	}
	unsigned := readFile(t, partial(dir), "unsigned.json")
	opts2 := acquire.ResumeOptions{State: before, Openings: before.Openings, Clock: opts.Clock,
		Resumption: record.Resumption{CommandLine: opts.Circumstances.CommandLine, MediumPath: opts.Circumstances.MediumPath, Despite: opts.Circumstances.Live,
			Live: opts.Circumstances.Live, Operator: opts.Circumstances.Live}}
	if _, err := acquire.Resume(t.Context(), openMedium(t, path), []acquire.Destination{destination(t, dir)}, opts2); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("resume with a state of before: error %v, want ErrLocked", err)
	}
	if string(readFile(t, partial(dir), "unsigned.json")) != string(unsigned) {
		t.Error("the finished record was changed")
	}
}
