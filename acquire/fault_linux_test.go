package acquire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/rescue"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// readBelow is how many bytes were asked of the device before the given offset, but for samples of whole groups.
func readBelow(d *faultdisk.Disk, offset int64) (n int64) {
	for _, a := range d.Log() {
		if a.Op == faultdisk.OpRead && a.Offset < offset && a.Length == mib {
			n += a.Length
		}
	}
	return n
}

const faultSize = 24*mib + 4096

// stops are the ways in which a medium goes away at 40 %. Each returns how it comes back.
var stops = map[string]func(t *testing.T, d *faultdisk.Disk, j *job) (back func() error){
	"unplugged": func(_ *testing.T, d *faultdisk.Disk, _ *job) func() error {
		d.UnplugAt(faultSize * 4 / 10)
		return d.Revive
	},
	"dead": func(_ *testing.T, d *faultdisk.Disk, _ *job) func() error {
		d.DieAt(faultSize * 4 / 10)
		return d.Revive
	},
	"hanging": func(_ *testing.T, d *faultdisk.Disk, j *job) func() error {
		d.Hang(faultdisk.Range{First: faultSize * 4 / 10 / 512, Count: 1})
		j.Timeout = 4 * time.Second
		return func() error {
			d.Release()
			return d.Revive()
		}
	},
}

// A medium that goes away is lost, whether it was healthy until then or not, and reading goes on at the very place when it
// is back under another name: what was safe is not read again, but for samples, and no sector is called bad that is not.
func TestMediumLost(t *testing.T) {
	testtool.NeedRoot(t)
	for name, stop := range stops {
		for _, bad := range [][]faultdisk.Range{nil, {{First: 5000, Count: 3}, {First: 40000, Count: 1}}, {{First: 0, Count: 1}, {First: 30001, Count: 7}}} {
			t.Run(fmt.Sprint(name, bad), func(t *testing.T) {
				disk := faultdisk.New(t, faultdisk.Options{SizeBytes: faultSize})
				disk.Bad(bad...)
				j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib}
				back := stop(t, disk, &j)
				_, err := j.step(t.Context())
				if !errors.Is(err, medium.ErrLost) {
					t.Fatalf("got %v, want medium.ErrLost", err)
				}
				if err := back(); err != nil {
					t.Fatal(err)
				}
				disk.ForgetLog()
				j.Path = disk.Path()
				res, err := j.step(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if n := readBelow(disk, faultSize*4/10/mib*mib); bad == nil && n > 16*mib {
					t.Errorf("%d bytes of what was safe were read again", n)
				}
				if i := res.Interruptions; len(i) != 1 || i[0].Cause != record.CauseLost || i[0].Sampled == 0 || i[0].Differing != 0 {
					t.Errorf("interruptions %+v, want one, medium lost, with samples that are the same", i)
				}
				checkJob(t, &j, truth(t, disk, bad), bad)
				disk.AssertNoWrites(t)
			})
		}
	}
}

// A medium that dies in any place of a rescue has no more bad sectors afterwards than it had.
func TestDiesWhileRescuing(t *testing.T) {
	testtool.NeedRoot(t)
	bad := []faultdisk.Range{{First: 3000, Count: 4}, {First: 7001, Count: 1}, {First: 12000, Count: 40}}
	for after := int64(4); after < 160; after += 20 {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 8 * mib})
			disk.Bad(bad...)
			j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: 1 << 40} // no save asks whether it lives
			j.progress = &atRead{disk: disk, after: after}
			_, err := j.step(t.Context())
			if err == nil && after > 120 { // all was read by then
				checkJob(t, &j, truth(t, disk, bad), bad)
				return
			}
			if !errors.Is(err, medium.ErrLost) {
				t.Fatalf("dead after %d reads: got %v, want medium.ErrLost", after, err)
			}
			if err := disk.Revive(); err != nil {
				t.Fatal(err)
			}
			j.Path, j.progress = disk.Path(), nil
			if _, err := j.step(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkJob(t, &j, truth(t, disk, bad), bad)
		})
	}
}

// atRead lets a disk die some reads after reading began.
type atRead struct {
	disk  *faultdisk.Disk
	after int64
}

func (a *atRead) Phase(name string, _ int64) {
	if name == acquire.PhaseReading {
		a.disk.DieAfter(a.after)
	}
}
func (*atRead) Temperature(int64) {}

func (a *atRead) Doing(string, int64) {}
func (a *atRead) Done(int64)          {}

// Another medium in the place of the lost one is refused, whatever is known of the first: by its size, or because places
// that were read before read differently. With a reason given it goes on, and the record says how many differ.
func TestOtherMedium(t *testing.T) {
	testtool.NeedRoot(t)
	for name, test := range map[string]struct {
		bad []faultdisk.Range
		at  int64 // how much is read by then
	}{
		"healthy":      {nil, mib},
		"first sector": {[]faultdisk.Range{{First: 0, Count: 1}}, 2 * mib},
		"each group":   {[]faultdisk.Range{{First: 9, Count: 1}, {First: 2049, Count: 1}, {First: 4097, Count: 1}}, mib},
	} {
		t.Run(name, func(t *testing.T) {
			bad := test.bad
			disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 3 * mib})
			disk.Bad(bad...)
			j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: 1 << 19}
			ctx, stop := context.WithCancel(t.Context())
			phase := acquire.PhaseReading
			if bad != nil {
				phase = acquire.PhaseRescuing
			}
			j.progress = &stopAt{phase: phase, bytes: test.at, stop: stop}
			if _, err := j.step(ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want it to be cancelled", err)
			}
			before := folderState(t, j.Dirs[0])
			larger := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib})
			other := job{Path: larger.Path(), Dirs: j.Dirs, Stretch: mib}
			if _, err := other.step(t.Context()); !errors.Is(err, acquire.ErrOtherMedium) {
				t.Errorf("larger: got %v, want ErrOtherMedium", err)
			}
			if err := disk.ReviveAs(faultdisk.Pattern{Seed: 99, SizeBytes: 3 * mib}); err != nil {
				t.Fatal(err)
			}
			j.Path, j.progress = disk.Path(), nil
			if _, err := j.step(t.Context()); !errors.Is(err, acquire.ErrOtherMedium) {
				t.Fatalf("other content: got %v, want ErrOtherMedium", err)
			}
			if after := folderState(t, j.Dirs[0]); after != before {
				t.Errorf("a refused medium changed the folder from\n%s to\n%s", before, after)
			}
			j.Despite = true
			res, err := j.step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if i := res.Interruptions; len(i) != 1 || i[0].Differing == 0 || i[0].Differing != i[0].Sampled {
				t.Errorf("interruptions %+v, want all samples to differ", i)
			}
			disk.AssertNoWrites(t)
		})
	}
}

// folderState is what lies in an acquisition's folder, but for access times.
func folderState(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"resume", "journal", "7%2Fa.raw", "7%2Fa.tree"} {
		fmt.Fprintf(&b, "%s %v\n", name, digests(readFile(t, partial(dir), name))[1])
	}
	return b.String()
}

// A source that becomes smaller while it is read is not the medium that was opened.
func TestShrinks(t *testing.T) {
	testtool.NeedRoot(t)
	for _, bad := range [][]faultdisk.Range{nil, {{First: 3000, Count: 1}}} {
		disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 12 * mib})
		disk.Bad(bad...)
		j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib}
		phase := acquire.PhaseReading
		if bad != nil {
			phase = acquire.PhaseRescuing
		}
		j.progress = &stopAt{phase: phase, bytes: mib, stop: func() {
			if err := disk.Shrink(8 * mib); err != nil {
				t.Error(err)
			}
		}}
		if _, err := j.step(t.Context()); !errors.Is(err, acquire.ErrMediumChanged) {
			t.Errorf("bad %v: got %v, want ErrMediumChanged", bad, err)
		}
		mustNotExist(t, partial(j.Dirs[0])+"/unsigned.json")
		disk.AssertNoWrites(t)
	}
}

// everySecond is each second sector of a stretch.
func everySecond(first, sectors int64) (out []faultdisk.Range) {
	for s := first; s < first+sectors; s += 2 {
		out = append(out, faultdisk.Range{First: s, Count: 1})
	}
	return out
}

// Every second sector of a stretch bad, on disks of 512 and 4096 bytes, first and last sector bad: no good one is lost.
func TestPatterns(t *testing.T) {
	testtool.NeedRoot(t)
	for _, sector := range []int64{512, 4096} {
		size := 6*mib + 4096
		last := int64(size)/sector - 1
		ends := []faultdisk.Range{{First: 0, Count: 1}, {First: last, Count: 1}}
		for name, bad := range map[string][]faultdisk.Range{
			"every second": everySecond(mib/sector*2+5, 120), "ends": ends, "one in between": {{First: 0, Count: 100}, {First: 101, Count: last/4 - 100}},
			"every second at the ends": slices.Concat(ends[:1], everySecond(2, 20), everySecond(last-20, 20), ends[1:]),
		} {
			t.Run(fmt.Sprintf("%d, %s", sector, name), func(t *testing.T) {
				if name == "every second at the ends" && last%2 == 0 {
					bad = bad[:len(bad)-1] // it is in the stretch
				}
				disk := faultdisk.New(t, faultdisk.Options{SizeBytes: int64(size), SectorBytes: int(sector)})
				disk.Bad(bad...)
				in512 := slices.Clone(bad)
				for i := range in512 {
					in512[i].First *= sector / 512
					in512[i].Count *= sector / 512
				}
				slices.SortFunc(in512, func(a, b faultdisk.Range) int { return int(a.First - b.First) })
				j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib}
				if _, err := j.step(t.Context()); err != nil {
					t.Fatal(err)
				}
				checkJob(t, &j, truth(t, disk, in512), in512)
				disk.AssertNoWrites(t)
			})
		}
	}
}

// Sectors that read at a later try are read, counted exactly, and listed; with fewer tries they stay unread.
func TestFlakyCounts(t *testing.T) {
	testtool.NeedRoot(t)
	for _, retries := range []int64{1, 2, 3, 5} {
		disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib})
		disk.Bad(faultdisk.Range{First: 1000, Count: 1})
		disk.Flaky(faultdisk.Range{First: 3000, Count: 1}, 1+2) // read alone once before the retries
		disk.Flaky(faultdisk.Range{First: 5000, Count: 1}, 1+4)
		bad := []faultdisk.Range{{First: 1000, Count: 1}}
		var recovered int64
		for s, tries := range map[int64]int64{3000: 3, 5000: 5} {
			if retries >= tries {
				recovered += 512
			} else {
				bad = append(bad, faultdisk.Range{First: s, Count: 1})
			}
		}
		slices.SortFunc(bad, func(a, b faultdisk.Range) int { return int(a.First - b.First) })
		j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib, Retries: retries}
		res, err := j.step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if res.Unread.RecoveredBytes != recovered {
			t.Errorf("%d retries: %d bytes recovered, want %d", retries, res.Unread.RecoveredBytes, recovered)
		}
		journal := readFile(t, partial(j.Dirs[0]), "journal")
		if n := bytes.Count(journal, []byte(`"event":"recovered"`)); int64(n) != recovered/512 {
			t.Errorf("%d retries: the journal lists %d, want %d:\n%s", retries, n, recovered/512, journal)
		}
		checkJob(t, &j, truth(t, disk, bad), bad)
	}
}

// A bound of bad bytes stops the rescue, to be resumed with another; a stop at the first error can go on as a rescue.
func TestBounds(t *testing.T) {
	testtool.NeedRoot(t)
	bad := []faultdisk.Range{{First: 3000, Count: 60}}
	for name, test := range map[string]struct {
		change func(*job)
		cause  string
		want   func(error) bool
	}{
		"bound": {func(j *job) { j.MaxBad = 10 * 512 }, record.CauseLimit, func(err error) bool { return errors.Is(err, rescue.ErrTooManyBad) }},
		"stop": {func(j *job) { j.Stop = true }, record.CauseError, func(err error) bool {
			e, ok := errors.AsType[*acquire.ReadError](err)
			return ok && e.Offset <= 3000*512 && e.Offset+e.SizeBytes > 3000*512
		}},
	} {
		t.Run(name, func(t *testing.T) {
			disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib})
			disk.Bad(bad...)
			j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib}
			test.change(&j)
			if _, err := j.step(t.Context()); !test.want(err) {
				t.Fatalf("got %v", err)
			}
			j.MaxBad, j.Stop = 0, false
			res, err := j.step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if i := res.Interruptions; len(i) != 1 || i[0].Cause != test.cause {
				t.Errorf("interruptions %+v, want one for %s", i, test.cause)
			}
			checkJob(t, &j, truth(t, disk, bad), bad)
		})
	}
}

// A slow area costs time and nothing else.
func TestSlowArea(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 8 * mib})
	disk.Slow(faultdisk.Range{First: 6000, Count: 3000}, 100*time.Millisecond)
	bad := []faultdisk.Range{{First: 2000, Count: 1}, {First: 8000, Count: 1}}
	disk.Bad(bad...)
	j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib, Timeout: 10 * time.Second}
	if _, err := j.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkJob(t, &j, truth(t, disk, bad), bad)
}

// A place that was read and went bad since then does not keep a rescue from going on; when all of them are, nothing tells
// that it is the same medium.
func TestSamplesGoneBad(t *testing.T) {
	testtool.NeedRoot(t)
	for _, all := range []bool{false, true} {
		disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 6 * mib})
		bad := []faultdisk.Range{{First: 9000, Count: 1}}
		disk.Bad(bad...)
		ctx, stop := context.WithCancel(t.Context())
		j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib}
		j.progress = &stopAt{phase: acquire.PhaseReading, bytes: 3 * mib, stop: stop}
		if _, err := j.step(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want it to be cancelled", err)
		}
		j.progress = nil
		if all {
			disk.Bad(faultdisk.Range{First: 0, Count: 4 * mib / 512})
			if _, err := j.step(t.Context()); !errors.Is(err, acquire.ErrOtherMedium) {
				t.Errorf("no sample can be read: got %v, want ErrOtherMedium", err)
			}
			continue
		}
		want := truth(t, disk, bad) // what became bad was read before
		disk.Bad(faultdisk.Range{First: 0, Count: 1}, faultdisk.Range{First: 2048, Count: 2})
		if _, err := j.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkJob(t, &j, want, bad)
	}
}
