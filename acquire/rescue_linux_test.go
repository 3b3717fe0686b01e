package acquire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

func rescueOptions(t testing.TB) acquire.Options {
	opts := options(t)
	opts.OnError = record.OnErrorRescue
	return opts
}

// truth is the content of a disk with zeros in its bad sectors.
func truth(t testing.TB, d *faultdisk.Disk, bad []faultdisk.Range) []byte {
	t.Helper()
	b := make([]byte, d.SizeBytes())
	if _, err := d.Content().ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for _, r := range bad {
		clear(b[r.First*512 : min((r.First+r.Count)*512, int64(len(b)))])
	}
	return b
}

// checkRescued requires that no good sector was lost, and that map and record say exactly what was.
func checkRescued(t *testing.T, dir string, a record.Acquisition, want []byte, bad []faultdisk.Range) {
	t.Helper()
	checkFolder(t, partial(dir), want, a)
	text, err := os.ReadFile(filepath.Join(partial(dir), "7%2Fa.map"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := image.ParseMap(bytes.NewReader(text), image.MapLimits{})
	if err != nil {
		t.Fatal(err)
	}
	var got []faultdisk.Range
	var lost int64
	for r := range m.Unread() {
		got = append(got, faultdisk.Range{First: r.Offset / 512, Count: r.SizeBytes / 512})
		lost += r.SizeBytes
	}
	if !slices.Equal(got, bad) {
		t.Errorf("the map calls %v unread, want %v", got, bad)
	}
	mode := record.ModeRescue
	if a.Format == record.FormatE01 {
		mode = record.ModeInPlace
	}
	if a.Mode != mode || a.Unread.Bytes != lost || a.Unread.Ranges != int64(len(bad)) {
		t.Errorf("the record says mode %s, %+v; want %s, %d bytes in %d ranges", a.Mode, a.Unread, mode, lost, len(bad))
	}
	for _, d := range a.Digests {
		want := record.ComputedFromImage
		if d.Digest.Algorithm() == record.BLAKE3 || mode == record.ModeInPlace {
			want = record.ComputedWhileReading
		}
		if d.Computed != want {
			t.Errorf("%s was computed %s, want %s", d.Digest.Algorithm(), d.Computed, want)
		}
	}
}

func TestRescue(t *testing.T) {
	testtool.NeedRoot(t)
	const size = 12*mib + 4096
	last := int64(size/512 - 1)
	for name, bad := range map[string][]faultdisk.Range{
		"one sector": {{First: 9000, Count: 1}},
		"first":      {{First: 0, Count: 1}},
		"last":       {{First: last, Count: 1}},
		"runs":       {{First: 100, Count: 9}, {First: 2047, Count: 2}, {First: 4096, Count: 2048}, {First: 20000, Count: 1}},
	} {
		for _, segment := range []int64{0, 5*mib + 512} {
			t.Run(fmt.Sprintf("%s, %d", name, segment), func(t *testing.T) {
				disk := faultdisk.New(t, faultdisk.Options{SizeBytes: size})
				disk.Bad(bad...)
				opts := rescueOptions(t)
				opts.SegmentBytes, opts.Extra = segment, []record.Algorithm{record.MD5}
				dir := memoryDir(t)
				a, err := acquire.Acquire(t.Context(), openMedium(t, disk.Path()), []acquire.Destination{destination(t, dir)}, opts)
				if err != nil {
					t.Fatal(err)
				}
				checkRescued(t, dir, a.Acquisition, truth(t, disk, bad), bad)
				disk.AssertNoWrites(t)
			})
		}
	}
}

// Sectors that read at the third try are read, counted, and listed in the journal.
func TestRescueRetries(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib})
	disk.Flaky(faultdisk.Range{First: 3000, Count: 1}, 20)
	dir := memoryDir(t)
	opts := rescueOptions(t)
	opts.Retries = 30
	a, err := acquire.Acquire(t.Context(), openMedium(t, disk.Path()), []acquire.Destination{destination(t, dir)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	checkRescued(t, dir, a.Acquisition, truth(t, disk, nil), nil)
	journal, err := os.ReadFile(filepath.Join(partial(dir), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	if line := fmt.Sprintf(`{"event":"recovered","offset":%d,"sizeBytes":512`, 3000*512); a.Unread.RecoveredBytes != 512 || !bytes.Contains(journal, []byte(line)) {
		t.Errorf("%d bytes recovered, journal %s; want 512 bytes, and the place", a.Unread.RecoveredBytes, journal)
	}
}

// resume goes on with what lies in dirs.
func resume(t *testing.T, ctx context.Context, path string, dirs []string, change func(*acquire.ResumeOptions)) (acquire.Result, error) {
	t.Helper()
	opts := options(t)
	var dests []acquire.Destination
	for _, dir := range dirs {
		dests = append(dests, destination(t, dir))
	}
	root, err := dests[0].Root.Sub(testID + ".partial")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s, err := acquire.ReadState(root)
	if err != nil {
		t.Fatal(err)
	}
	again := acquire.ResumeOptions{State: s, Openings: s.Openings, Clock: opts.Clock, StretchBytes: mib,
		Resumption: record.Resumption{CommandLine: opts.Circumstances.CommandLine, MediumPath: opts.Circumstances.MediumPath,
			Despite: record.Unknown[record.Personal]("not given"), Live: record.Unknown[record.Personal]("not given"), Operator: record.Unknown[record.Personal]("not given")}}
	if change != nil {
		change(&again)
	}
	m, err := medium.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	return acquire.Resume(ctx, m, dests, again)
}

// stopAt cancels when that much is done of a phase.
type stopAt struct {
	phase, now string
	bytes      int64
	stop       func()
}

func (s *stopAt) Phase(name string, _ int64) { s.now = name }
func (*stopAt) Temperature(int64)            {}

func (s *stopAt) Doing(string, int64) {}
func (s *stopAt) Done(n int64) {
	if s.now == s.phase && n >= s.bytes {
		s.stop()
	}
}

// Interrupted anywhere, and resumed, the acquisition is what it would have been.
func TestResume(t *testing.T) {
	testtool.NeedRoot(t)
	const size = 12*mib + 4096
	bad := []faultdisk.Range{{First: 9000, Count: 1}, {First: 15000, Count: 60}}
	for _, damaged := range []bool{false, true} {
		for _, segment := range []int64{0, 5*mib + 512} {
			for phase, places := range map[string][]int64{
				acquire.PhaseReading: {0, 1, 2 * mib, 3*mib + 1, size}, acquire.PhaseRescuing: {0, 5 * mib, 6 * mib, 8 * mib, 9 * mib, size - 61*512},
				acquire.PhaseRereading: {0, mib, size},
			} {
				for _, at := range places {
					if phase == acquire.PhaseRescuing && !damaged || phase == acquire.PhaseReading && damaged && at > 4*mib {
						continue
					}
					t.Run(fmt.Sprintf("%t, %d, %s, %d", damaged, segment, phase, at), func(t *testing.T) {
						stopAndResume(t, damaged, segment, phase, at, size, bad)
					})
				}
			}
		}
	}
}

func stopAndResume(t *testing.T, damaged bool, segment int64, phase string, at, size int64, bad []faultdisk.Range) {
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: size})
	if damaged {
		disk.Bad(bad...)
	} else {
		bad = nil
	}
	opts := rescueOptions(t)
	opts.SegmentBytes, opts.StretchBytes, opts.Extra = segment, mib, []record.Algorithm{record.SHA512}
	ctx, stop := context.WithCancel(t.Context())
	opts.Progress = &stopAt{phase: phase, bytes: at, stop: stop}
	dir := memoryDir(t)
	m := openMedium(t, disk.Path())
	_, err := acquire.Acquire(ctx, m, []acquire.Destination{destination(t, dir)}, opts)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want it to be cancelled", err)
	}
	disk.ForgetLog()
	a, err := resume(t, t.Context(), disk.Path(), []string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := truth(t, disk, bad)
	if damaged {
		checkRescued(t, dir, a.Acquisition, want, bad)
	} else {
		checkFolder(t, partial(dir), want, a.Acquisition)
	}
	if n := len(a.Interruptions); n != 1 || a.Interruptions[0].Cause != record.CauseInterrupted && phase != acquire.PhaseRereading {
		t.Errorf("interruptions %+v, want one, by the user", a.Interruptions)
	}
	disk.AssertNoWrites(t)
}

// Image and tree, altered together while nobody was reading, do not pass for what the medium gave: the states of the
// hashes were kept.
func TestAlteredBeforeResume(t *testing.T) {
	testtool.NeedRoot(t)
	for _, damaged := range []bool{false, true} {
		disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 12 * mib})
		phase, at := acquire.PhaseReading, int64(6*mib)
		if damaged {
			disk.Bad(faultdisk.Range{First: 10000, Count: 1})
			phase, at = acquire.PhaseRescuing, 5*mib
		}
		opts := rescueOptions(t)
		opts.StretchBytes = mib
		ctx, stop := context.WithCancel(t.Context())
		opts.Progress = &stopAt{phase: phase, bytes: at, stop: stop}
		dir := memoryDir(t)
		m := openMedium(t, disk.Path())
		_, err := acquire.Acquire(ctx, m, []acquire.Destination{destination(t, dir)}, opts)
		if err := errors.Join(m.Close()); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		alterGroup(t, dir, 2)
		if _, err := resume(t, t.Context(), disk.Path(), []string{dir}, func(o *acquire.ResumeOptions) { o.Despite = true }); !errors.Is(err, acquire.ErrReread) {
			t.Errorf("damaged %t: got %v, want ErrReread", damaged, err)
		}
	}
}

// alterGroup changes a byte of a group in the image, and puts the value that fits it into the tree.
func alterGroup(t *testing.T, dir string, group int64) {
	t.Helper()
	img, err := os.OpenFile(filepath.Join(partial(dir), "7%2Fa.raw"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	tree, err := os.OpenFile(filepath.Join(partial(dir), "7%2Fa.tree"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	b := make([]byte, mib)
	_, err = img.ReadAt(b, group*mib)
	b[77] ^= 1
	v := hashtree.Sum(b, group)
	_, err1 := img.WriteAt(b, group*mib)
	_, err2 := tree.WriteAt(v[:], 64+32*group)
	if err := errors.Join(err, err1, err2); err != nil {
		t.Fatal(err)
	}
	if got, err := hashtree.ReadValue(tree, group); err != nil || got != v {
		t.Fatalf("the tree's group %d is at another place: %v", group, err)
	}
}
