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
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// stopped begins an acquisition of size bytes and stops it when half of a phase is done.
func stopped(t *testing.T, path, dir, phase string, bytes int64) {
	t.Helper()
	opts := rescueOptions(t)
	opts.StretchBytes = mib
	ctx, stop := context.WithCancel(t.Context())
	opts.Progress = &stopAt{phase: phase, bytes: bytes, stop: stop}
	m, err := medium.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := acquire.Acquire(ctx, m, []acquire.Destination{destination(t, dir)}, opts); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want that it was stopped", err)
	}
}

// Room is asked for before a run goes on, as before the first byte, but only for what is missing.
func TestResumeSpace(t *testing.T) {
	const size = 64 * mib
	_, dir := mountLoop(t, 120*mib, "mkfs.ext4", "-q", "-m", "0")
	src := writeFile(t, filepath.Join(memoryDir(t), "medium"), content(size))
	stopped(t, src, dir, acquire.PhaseReading, 40*mib)
	image, err := os.Stat(filepath.Join(partial(dir), "7%2Fa.raw"))
	if err != nil {
		t.Fatal(err)
	}
	fill := writeFile(t, filepath.Join(dir, "fill"), make([]byte, 45*mib))
	before := readFile(t, partial(dir), "resume")
	if _, err := resume(t, t.Context(), src, []string{dir}, nil); !errors.Is(err, acquire.ErrSpace) {
		t.Fatalf("got %v, want ErrSpace", err)
	}
	if after, err := os.Stat(filepath.Join(partial(dir), "7%2Fa.raw")); err != nil || after.Size() != image.Size() || string(readFile(t, partial(dir), "resume")) != string(before) {
		t.Errorf("what was kept is not as it was: %v", err)
	}
	if err := os.Truncate(fill, 20*mib); err != nil { // now there is room for what is missing, and not for all
		t.Fatal(err)
	}
	res, err := resume(t, t.Context(), src, []string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkFolder(t, partial(dir), content(size), res.Acquisition)
}

// A record that could not be encoded in the end is found before a run goes on.
func TestResumeRehearsal(t *testing.T) {
	dir := t.TempDir()
	src := writeFile(t, filepath.Join(t.TempDir(), "medium"), content(6*mib))
	stopped(t, src, dir, acquire.PhaseReading, 3*mib)
	before := readFile(t, partial(dir), "resume")
	_, err := resume(t, t.Context(), src, []string{dir}, func(o *acquire.ResumeOptions) { o.Resumption.Live = record.Fact[record.Personal]{} })
	if !errors.Is(err, acquire.ErrOptions) || string(readFile(t, partial(dir), "resume")) != string(before) {
		t.Errorf("got %v, want ErrOptions, and nothing changed", err)
	}
}

// A run that only finishes what was read asks the drive how it is.
func TestHealthOfAFinishingRun(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib})
	for _, bad := range [][]faultdisk.Range{nil, {{First: 3000, Count: 1}}} {
		disk.Bad(bad...)
		// The last state before "re-reading" says that all is read.
		j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib}
		calls, _ := j.process(t)
		done := false
		for at := calls; at > 0 && !done; at-- {
			j.Dirs, j.KillAt = []string{memoryDir(t)}, at
			if _, killed := j.process(t); !killed {
				continue
			}
			s, err := j.state(destination(t, j.Dirs[0]))
			if err != nil || s.Phase == acquire.PhaseRereading {
				continue
			}
			done = true
			if why := s.Acquisition.Medium.HealthAfter.Reason(); why != "it was not asked" {
				t.Fatalf("killed before call %d of %d, in phase %s: the state says of the health %q", at, calls, s.Phase, why)
			}
			j.KillAt = 0
			res, err := j.step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			// A loop device has no drive to be asked: the record has the drive's answer, that there is none, and the flags.
			if h, known := res.Medium.HealthAfter.Get(); !known || h.Temperature.Reason() == "" {
				t.Errorf("the record says of the health %q, want that the drive was asked", res.Medium.HealthAfter.Reason())
			}
			if _, known := res.Medium.Access.ReadOnlyAfter.Get(); !known {
				t.Errorf("the record does not have the flag in the end: %q", res.Medium.Access.ReadOnlyAfter.Reason())
			}
		}
		if !done {
			t.Error("no kill left a run that had only to finish")
		}
	}
}

// The state carries what the first run saw of the read-only flag, through runs that are killed.
func TestStateCarriesTheFlag(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 12 * mib})
	flag := func() string {
		return strings.TrimSpace(string(readFile(t, "/sys/block", filepath.Base(disk.Path()), "ro")))
	}
	j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib}
	for i, at := range []int64{50, 30, 30} {
		j.KillAt = at
		if _, killed := j.process(t); !killed {
			t.Fatalf("run %d was not killed", i)
		}
		if s, err := j.state(destination(t, j.Dirs[0])); err != nil || !s.WritableBefore || flag() != "1" {
			t.Fatalf("run %d: %v, the state says writable before: %t; the flag is %s", i, err, s.WritableBefore, flag())
		}
	}
	j.KillAt = 0
	res, err := j.step(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if notes := fmt.Sprint(res.Medium.Access.Notes); flag() != "0" || !strings.Contains(notes, "by a run that was killed") {
		t.Errorf("in the end the flag is %s, and the record notes %s", flag(), notes)
	}
}
