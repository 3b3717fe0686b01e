// Package faulttest fails every system call of a durable write once, for the tests of the packages that write through
// package durable.
//
// Start with [Each], or with [Case] when the folder must be prepared first. The promise: each call that changes the disk
// in a clean run is failed with EIO, with ENOSPC, and by a "kill", after which nothing touches the disk any more, so
// that the folder is what kill -9 would have left; writes fail half done as well. A run that swallows such a failure
// fails the test. What a power cut does to data that was not synced is not simulated.
package faulttest

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// ErrKilled is what every call returns from the kill on.
var ErrKilled = errors.New("killed by faulttest")

// Case is one run to be failed at each of its calls.
type Case struct {
	// Prepare fills the fresh folder before each run, without faults; may be nil.
	Prepare func(t *testing.T, dir string)
	// Lacking makes the file system one that lacks calls: it is asked first, and an error of it is no fault but how
	// that system answers. May be nil.
	Lacking durable.Hook
	// Run does the work. It must be the same in each run, call for call, and must not keep state from one to the next.
	Run func(root *durable.Root) error
	// Check judges what is left in dir. err is what Run returned: nil in the clean run, else the fault, wrapped.
	Check func(t *testing.T, dir string, err error)
}

// Each runs Case{Run: run, Check: check}.
func Each(t *testing.T, run func(root *durable.Root) error, check func(t *testing.T, dir string, err error)) {
	t.Helper()
	Case{Run: run, Check: check}.Each(t)
}

// fault is one way to fail.
type fault struct {
	name string
	err  error
	half bool // of a write, after half of its bytes
}

var faults = []fault{
	{"EIO", syscall.EIO, false},
	{"ENOSPC", syscall.ENOSPC, false},
	{"ENOSPC-half", syscall.ENOSPC, true},
	{"kill", ErrKilled, false},
	{"kill-half", ErrKilled, true},
}

// Each runs the case once cleanly, and then once for each of its calls and each fault, in fresh folders.
func (c Case) Each(t *testing.T) {
	t.Helper()
	clean := &injector{lacking: c.Lacking}
	t.Run("clean", func(t *testing.T) {
		dir := freshDir(t)
		if err := c.run(t, dir, clean); err != nil {
			t.Fatalf("clean run: %v", err)
		}
		c.Check(t, dir, nil)
	})
	if len(clean.ops) == 0 {
		t.Fatal("the clean run changed nothing on the disk, so there is nothing to fail")
	}
	for i, op := range clean.ops {
		for _, f := range faults {
			if f.half && op != durable.OpWrite {
				continue
			}
			t.Run(fmt.Sprintf("%d-%s-%s", i+1, op, f.name), func(t *testing.T) {
				c.fail(t, i, f)
			})
		}
	}
}

// fail runs the case with call number at (from 0) failing.
func (c Case) fail(t *testing.T, at int, f fault) {
	t.Helper()
	dir := freshDir(t)
	in := &injector{lacking: c.Lacking, at: at, fault: &f}
	err := c.run(t, dir, in)
	if !in.fired {
		t.Fatalf("the run made %d calls and never came to call %d; it must be the same each time", len(in.ops), at+1)
	}
	if err == nil {
		t.Fatalf("call %d failed with %q and the run returned no error", at+1, f.err)
	}
	if !errors.Is(err, f.err) {
		t.Errorf("the run returned %q, which does not wrap the fault %q", err, f.err)
	}
	c.Check(t, dir, err)
}

func (c Case) run(t *testing.T, dir string, in *injector) error {
	t.Helper()
	if c.Prepare != nil {
		c.Prepare(t, dir)
	}
	root, err := durable.OpenRootFaults(dir, in.hook)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	})
	return c.Run(root)
}

// injector counts calls and fails one of them.
type injector struct {
	lacking durable.Hook
	at      int
	fault   *fault // nil: none

	mu    sync.Mutex
	ops   []durable.Op
	fired bool
}

func (in *injector) hook(op durable.Op, name string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.fired && errors.Is(in.fault.err, ErrKilled) {
		return ErrKilled
	}
	if in.lacking != nil {
		if err := in.lacking(op, name); err != nil {
			return err
		}
	}
	in.ops = append(in.ops, op)
	if in.fault == nil || in.fired || len(in.ops) != in.at+1 {
		return nil
	}
	in.fired = true
	if in.fault.half {
		return &durable.HalfWrite{Err: in.fault.err}
	}
	return in.fault.err
}

// freshDir is t.TempDir in memory where there is such a place: hundreds of real syncs would take minutes, and a power
// cut is not simulated anyway.
func freshDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "exhibit-faulttest-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
