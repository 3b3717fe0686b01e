package acquire_test

import (
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// childEnv holds the job that this test binary does when it is started again as a process of its own.
const childEnv = "EXHIBIT_ACQUIRE_TEST_JOB"

func TestMain(m *testing.M) {
	text := os.Getenv(childEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := childMain(text); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// job is an acquisition that goes on until it is done, as somebody with the command would have it.
type job struct {
	Path    string // of the medium
	Dirs    []string
	Format  string // "" is raw
	Segment int64
	Stretch int64
	Retries int64
	MaxBad  int64
	KillAt  int64         // the call of package durable before which the process dies; 0: it lives
	Timeout time.Duration `json:"-"`
	Stop    bool          // at the first read error
	Image   string        // and its Map are taken over; "": none
	Map     string
	Despite bool
	Unread  bool   // the image is not read again
	CopyOf  string // the directory of a finished acquisition, of which a copy is made instead, as CopyID
	CopyID  string

	hooks    map[string]durable.Hook // of the directories
	progress acquire.Progress
}

// step does what is left to be done. It returns the record's acquisition once there is one.
func (j *job) step(ctx context.Context) (acquire.Result, error) {
	var dests []acquire.Destination
	for _, dir := range j.Dirs {
		root, err := durable.OpenRootFaults(dir, j.hooks[dir])
		if err != nil {
			return acquire.Result{}, err
		}
		defer root.Close()
		dests = append(dests, acquire.Destination{Root: root, Dir: dir})
	}
	folder, err := dests[0].Root.Sub(testID + ".partial")
	if errors.Is(err, fs.ErrNotExist) {
		return j.begin(ctx, dests)
	}
	if err != nil {
		return acquire.Result{}, err
	}
	defer folder.Close()
	un, err := acquire.ReadUnsigned(folder)
	if err == nil {
		return acquire.Result{Acquisition: un.Acquisition}, nil
	}
	if !errors.Is(err, acquire.ErrUnfinished) {
		return acquire.Result{}, err
	}
	s, err := acquire.ReadState(folder)
	if errors.Is(err, acquire.ErrNotResumable) {
		return j.begin(ctx, dests)
	}
	if err != nil {
		return acquire.Result{}, err
	}
	if len(dests) > 1 {
		if other, err := j.state(dests[1]); err == nil && s.Behind(&other) > 0 {
			s = other
			dests[0], dests[1] = dests[1], dests[0]
		}
	}
	return j.resume(ctx, dests, s)
}

func (j *job) state(d acquire.Destination) (acquire.State, error) {
	folder, err := d.Root.Sub(testID + ".partial")
	if err != nil {
		return acquire.State{}, err
	}
	defer folder.Close()
	return acquire.ReadState(folder)
}

// begin acquires anew; what lies there is of a run that had not made anything durable yet.
func (j *job) begin(ctx context.Context, dests []acquire.Destination) (acquire.Result, error) {
	for _, dir := range j.Dirs {
		if err := os.RemoveAll(partial(dir)); err != nil {
			return acquire.Result{}, err
		}
	}
	m, err := medium.OpenWith(ctx, j.Path, medium.Options{ReadTimeout: j.Timeout})
	if err != nil {
		return acquire.Result{}, err
	}
	defer m.Close()
	opts := options(&testing.T{})
	opts.SegmentBytes, opts.StretchBytes, opts.Retries, opts.MaxBadBytes = j.Segment, j.Stretch, j.Retries, j.MaxBad
	opts.OnError, opts.Extra, opts.Progress = j.onError(), []record.Algorithm{record.SHA512}, j.progress
	opts.Format, opts.Reread = j.Format, !j.Unread
	if j.Stop {
		opts.OnError = record.OnErrorStop
	}
	done, err := j.takeOver(&opts.TakeOver)
	if err != nil {
		return acquire.Result{}, err
	}
	defer done()
	return acquire.Acquire(ctx, m, dests, opts)
}

func (j *job) onError() string {
	if j.Format == record.FormatE01 {
		return record.OnErrorInPlace
	}
	return record.OnErrorRescue
}

// takeOver opens what is to be taken over.
func (j *job) takeOver(to **acquire.TakeOver) (done func(), err error) {
	if j.Image == "" {
		return func() {}, nil
	}
	m, err := medium.Open(context.Background(), j.Image, nil)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(j.Map)
	*to = &acquire.TakeOver{Image: m, Map: text}
	return func() { m.Close() }, err
}

func (j *job) resume(ctx context.Context, dests []acquire.Destination, s acquire.State) (acquire.Result, error) {
	opts := options(&testing.T{})
	again := acquire.ResumeOptions{State: s, Openings: s.Openings, Clock: opts.Clock, StretchBytes: j.Stretch, MaxBadBytes: j.MaxBad,
		Retries: j.Retries, Progress: j.progress, Despite: j.Despite, OnError: j.onError(),
		Resumption: record.Resumption{CommandLine: opts.Circumstances.CommandLine, MediumPath: opts.Circumstances.MediumPath,
			Despite: record.Unknown[record.Personal]("not given"), Live: record.Unknown[record.Personal]("not given"), Operator: record.Unknown[record.Personal]("not given")}}
	var m *medium.Medium
	if s.Phase != acquire.PhaseRereading {
		var err error
		if m, err = medium.OpenWith(ctx, j.Path, medium.Options{ReadTimeout: j.Timeout, WasWritable: s.WritableBefore}); err != nil {
			return acquire.Result{}, err
		}
		defer m.Close()
	}
	done, err := j.takeOver(&again.TakeOver)
	if err != nil {
		return acquire.Result{}, err
	}
	defer done()
	return acquire.Resume(ctx, m, dests, again)
}

// sweep removes what a killed run leaves, as sealing does.
func sweep(t *testing.T, dir string) {
	t.Helper()
	root := destination(t, partial(dir)).Root
	if _, err := root.Sweep("."); err != nil {
		t.Fatal(err)
	}
	if err := root.Remove(layout.Resume); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, elem ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (j *job) encode(t *testing.T) string {
	t.Helper()
	b, err := json.Marshal(j, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
