package acquire_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// ddrescued is what GNU ddrescue leaves of a disk: an image and its map.
type ddrescued struct{ image, mapfile string }

// ddrescue runs the real tool, which may end before everything was tried.
func ddrescue(t *testing.T, disk *faultdisk.Disk, args ...string) ddrescued {
	t.Helper()
	dir := t.TempDir()
	out := ddrescued{filepath.Join(dir, "other.img"), filepath.Join(dir, "other.map")}
	tool := testtool.Need(t, "ddrescue")[0]
	cmd := exec.Command(tool, append(append([]string{"--quiet", "--idirect"}, args...), disk.Path(), out.image, out.mapfile)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ddrescue: %v\n%s", err, text)
	}
	return out
}

// takeOver opens the two files as the command does.
func (d ddrescued) takeOver(t *testing.T) *acquire.TakeOver {
	t.Helper()
	return &acquire.TakeOver{Image: openMedium(t, d.image), Map: readFile(t, d.mapfile)}
}

// finished are the sectors of 512 bytes that the map calls finished.
func (d ddrescued) finished(t *testing.T) (sectors, ranges int64) {
	t.Helper()
	m, err := image.ParseMap(bytes.NewReader(readFile(t, d.mapfile)), image.MapLimits{})
	if err != nil {
		t.Fatal(err)
	}
	all := m.Total(image.Finished)
	return all.SizeBytes / 512, int64(all.Ranges)
}

// checkTaken requires record and list to say exactly what was not read, and the log of the disk to bear it out.
func checkTaken(t *testing.T, dir string, a record.Acquisition, from ddrescued, disk *faultdisk.Disk) {
	t.Helper()
	if len(a.TakenOver) != 1 {
		t.Fatalf("taken over: %+v, want one image", a.TakenOver)
	}
	got := a.TakenOver[0]
	sectors, ranges := from.finished(t)
	if got.Bytes != sectors*512 || got.Ranges != ranges || got.Map != record.SHA256Digest(sha256.Sum256(readFile(t, from.mapfile))) {
		t.Errorf("the record says %+v were taken over, want %d bytes in %d ranges", got, sectors*512, ranges)
	}
	list, err := image.ParseMap(bytes.NewReader(readFile(t, partial(dir), "7%2Fa.taken")), image.MapLimits{})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := image.ParseMap(bytes.NewReader(readFile(t, from.mapfile)), image.MapLimits{})
	if err != nil {
		t.Fatal(err)
	}
	for part := range theirs.All() {
		if have := list.At(part.Offset); (have.Status == image.Finished) != (part.Status == image.Finished) {
			t.Errorf("the list says %q of byte %d, ddrescue's map %q", have.Status, part.Offset, part.Status)
		}
	}
	if strings.Contains(string(readFile(t, partial(dir), "7%2Fa.taken")), from.image) {
		t.Error("the list names the path of the other image")
	}
	var again int64
	for _, access := range disk.Log() {
		for at := access.Offset; at < access.Offset+access.Length; at += 512 {
			if at < list.Size() && list.At(at).Status == image.Finished {
				again += 512
			}
		}
	}
	if most := got.Sampled*mib + 100*512; again > most { // and a sector now and then, to see whether it lives
		t.Errorf("%d bytes that were taken over were read from the medium, want at most the samples', %d", again, most)
	}
	disk.AssertNoWrites(t)
}

// A ddrescue run that did not get to its end is completed: no good sector is lost, and the unread ranges are exact.
func TestTakeOver(t *testing.T) {
	testtool.NeedRoot(t)
	const size = 12*mib + 4096
	last := int64(size/512 - 1)
	bad := []faultdisk.Range{{First: 100, Count: 9}, {First: 9000, Count: 1}, {First: 15000, Count: 3}, {First: last, Count: 1}}
	for name, args := range map[string][]string{
		"one pass":     {"--no-trim", "--no-scrape"},
		"half of it":   {"--size=6000000", "--extend-outfile=" + fmt.Sprint(size)},
		"the whole":    nil,
		"other blocks": {"--sector-size=4096", "--no-scrape"},
	} {
		for _, segment := range []int64{0, 5*mib + 512} {
			t.Run(fmt.Sprintf("%s, %d", name, segment), func(t *testing.T) {
				disk := faultdisk.New(t, faultdisk.Options{SizeBytes: size})
				disk.Bad(bad...)
				from := ddrescue(t, disk, args...)
				if name == "half of it" {
					from.pad(t, size)
				}
				opts := rescueOptions(t)
				opts.SegmentBytes, opts.Extra, opts.TakeOver = segment, []record.Algorithm{record.MD5}, from.takeOver(t)
				before := readFile(t, from.image)
				dir := memoryDir(t)
				disk.ForgetLog()
				a, err := acquire.Acquire(t.Context(), openMedium(t, disk.Path()), []acquire.Destination{destination(t, dir)}, opts)
				if err != nil {
					t.Fatal(err)
				}
				checkRescued(t, dir, a.Acquisition, truth(t, disk, bad), bad)
				checkTaken(t, dir, a.Acquisition, from, disk)
				if a.TakenOver[0].Sampled == 0 || a.TakenOver[0].Differing != 0 {
					t.Errorf("%d of %d samples differ, want none of some", a.TakenOver[0].Differing, a.TakenOver[0].Sampled)
				}
				if !bytes.Equal(readFile(t, from.image), before) {
					t.Error("the image that was taken over was written to")
				}
				if journal := readFile(t, partial(dir), "journal"); !bytes.Contains(journal, []byte(`{"event":"taken-over","offset":0,"sizeBytes":`)) {
					t.Errorf("the journal does not tell of it: %s", journal)
				}
			})
		}
	}
}

// pad makes a map of a part of the medium one of all of it, as ddrescue itself would when it goes on.
func (d ddrescued) pad(t *testing.T, size int64) {
	t.Helper()
	m, err := image.ParseMap(bytes.NewReader(readFile(t, d.mapfile)), image.MapLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Size() < size {
		line := fmt.Sprintf("0x%X  0x%X  ?\n", m.Size(), size-m.Size())
		writeFile(t, d.mapfile, append(readFile(t, d.mapfile), line...))
	}
}

// Interrupted while it copies, or later, and resumed, it is what it would have been. What is not copied yet needs the
// image again, with the same map.
func TestTakeOverResume(t *testing.T) {
	testtool.NeedRoot(t)
	const size = 12*mib + 4096
	bad := []faultdisk.Range{{First: 100, Count: 9}, {First: 9000, Count: 1}, {First: 15000, Count: 60}}
	for _, c := range []struct {
		phase string
		at    int64
	}{{acquire.PhaseTakingOver, 1}, {acquire.PhaseTakingOver, 4 * mib}, {acquire.PhaseRescuing, 11 * mib}, {acquire.PhaseRereading, mib}} {
		t.Run(fmt.Sprintf("%s, %d", c.phase, c.at), func(t *testing.T) {
			disk := faultdisk.New(t, faultdisk.Options{SizeBytes: size})
			disk.Bad(bad...)
			from := ddrescue(t, disk, "--no-trim", "--no-scrape")
			opts := rescueOptions(t)
			opts.StretchBytes, opts.TakeOver = mib, from.takeOver(t)
			ctx, stop := context.WithCancel(t.Context())
			opts.Progress = &stopAt{phase: c.phase, bytes: c.at, stop: stop}
			dirs := []string{memoryDir(t), memoryDir(t)}
			m := openMedium(t, disk.Path())
			_, err := acquire.Acquire(ctx, m, []acquire.Destination{destination(t, dirs[0]), destination(t, dirs[1])}, opts)
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want it to be cancelled", err)
			}
			if c.phase == acquire.PhaseTakingOver {
				if _, err := resume(t, t.Context(), disk.Path(), dirs, nil); !errors.Is(err, acquire.ErrTakeOver) {
					t.Fatalf("without the image: got %v, want ErrTakeOver", err)
				}
				_, err := resume(t, t.Context(), disk.Path(), dirs, func(o *acquire.ResumeOptions) {
					o.TakeOver = from.takeOver(t)
					o.TakeOver.Map = append([]byte("# another\n"), o.TakeOver.Map...)
				})
				if !errors.Is(err, acquire.ErrTakeOver) {
					t.Fatalf("with another map: got %v, want ErrTakeOver", err)
				}
			}
			disk.ForgetLog()
			a, err := resume(t, t.Context(), disk.Path(), dirs, func(o *acquire.ResumeOptions) {
				if c.phase == acquire.PhaseTakingOver {
					o.TakeOver = from.takeOver(t)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range dirs {
				checkRescued(t, dir, a.Acquisition, truth(t, disk, bad), bad)
				a.TakenOver[0].Sampled += a.Interruptions[len(a.Interruptions)-1].Sampled
				checkTaken(t, dir, a.Acquisition, from, disk)
			}
		})
	}
}

// A medium that has died altogether, or reads otherwise, needs the word of a person; nothing is left of what was refused.
func TestTakeOverOtherMedium(t *testing.T) {
	testtool.NeedRoot(t)
	for _, died := range []bool{false, true} {
		disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib})
		disk.Bad(faultdisk.Range{First: 3000, Count: 200})
		from := ddrescue(t, disk, "--no-trim", "--no-scrape")
		want, bad := readFile(t, from.image), []faultdisk.Range{{First: 2048, Count: 2048}}
		if died {
			disk.Die()
		} else {
			if err := disk.ReviveAs(faultdisk.Pattern{Seed: 77, SizeBytes: 4 * mib}); err != nil {
				t.Fatal(err)
			}
			want, bad = truth(t, disk, nil), []faultdisk.Range{{First: 3000, Count: 200}}
		}
		dir := memoryDir(t)
		opts := rescueOptions(t)
		opts.TakeOver = from.takeOver(t)
		m := openMedium(t, disk.Path())
		if _, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, opts); !errors.Is(err, acquire.ErrOtherMedium) {
			t.Fatalf("died %t: got %v, want ErrOtherMedium", died, err)
		}
		mustBeEmpty(t, dir)
		opts.TakeOver.Despite = true
		a, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, opts)
		if err != nil {
			t.Fatalf("died %t: %v", died, err)
		}
		theirs, err := image.ParseMap(bytes.NewReader(readFile(t, from.mapfile)), image.MapLimits{})
		if err != nil {
			t.Fatal(err)
		}
		for part := range theirs.All() { // what was taken over is as the other image has it, the rest as the medium
			if part.Status == image.Finished {
				copy(want[part.Offset:part.End()], readFile(t, from.image)[part.Offset:part.End()])
			} else if died {
				clear(want[part.Offset:part.End()])
				bad = []faultdisk.Range{{First: part.Offset / 512, Count: part.SizeBytes / 512}}
			}
		}
		for _, r := range bad {
			clear(want[r.First*512 : (r.First+r.Count)*512])
		}
		checkRescued(t, dir, a.Acquisition, want, bad)
		if got := a.TakenOver[0]; (got.Sampled == 0) != died || (got.Differing == 0) != died {
			t.Errorf("died %t: %d of %d samples differ", died, got.Differing, got.Sampled)
		}
	}
}

// What does not fit the medium is refused before anything is made, and what is hostile too.
func TestTakeOverRefused(t *testing.T) {
	const size = 4 * mib
	src := writeFile(t, filepath.Join(t.TempDir(), "medium"), content(size))
	whole := "0x0 + 1\n0x0 0x400000 +\n"
	for name, c := range map[string]struct {
		image   int
		mapfile string
		change  func(*acquire.Options)
		want    error
	}{
		"smaller map":         {size, "0x0 + 1\n0x0 0x3FFE00 +\n", nil, acquire.ErrTakeOver},
		"larger map":          {size, "0x0 + 1\n0x0 0x400200 +\n", nil, acquire.ErrTakeOver},
		"no map":              {size, "", nil, acquire.ErrTakeOver},
		"overlapping":         {size, "0x0 + 1\n0x0 0x300000 +\n0x200000 0x200000 +\n", nil, acquire.ErrTakeOver},
		"overflowing":         {size, "0x0 + 1\n0x0 0x300000 +\n0x300000 0x7FFFFFFFFFFFFFFF +\n", nil, acquire.ErrTakeOver},
		"nothing finished":    {size, "0x0 + 1\n0x0 0x400000 -\n", nil, acquire.ErrTakeOver},
		"no whole sector":     {size, "0x0 + 1\n0x0 0x1FF +\n0x1FF 0x3FFE01 ?\n", nil, acquire.ErrTakeOver},
		"larger image":        {size + 512, whole, nil, acquire.ErrTakeOver},
		"shorter image":       {size - 512, whole, nil, acquire.ErrTakeOver},
		"other bytes":         {-size, whole, nil, acquire.ErrOtherMedium},
		"to stop at an error": {size, whole, func(o *acquire.Options) { o.OnError = record.OnErrorStop }, acquire.ErrOptions},
		"without re-read":     {size, whole, func(o *acquire.Options) { o.Reread = false }, acquire.ErrOptions},
	} {
		t.Run(name, func(t *testing.T) {
			b := content(size)
			if c.image < 0 {
				b = bytes.Repeat([]byte{7}, size)
			} else {
				b = append(b, make([]byte, size)...)[:c.image]
			}
			from := ddrescued{image: writeFile(t, filepath.Join(t.TempDir(), "other"), b)}
			dir := t.TempDir()
			opts := rescueOptions(t)
			opts.TakeOver = &acquire.TakeOver{Image: openMedium(t, from.image), Map: []byte(c.mapfile)}
			if c.change != nil {
				c.change(&opts)
			}
			if _, err := acquire.Acquire(t.Context(), openMedium(t, src), []acquire.Destination{destination(t, dir)}, opts); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			mustBeEmpty(t, dir)
		})
	}
}

// Borders within a sector shrink what is taken over; the pieces are read from the medium. An image that is shorter than the
// medium is as good, if its map wants nothing behind its end.
func TestTakeOverBorders(t *testing.T) {
	const size = 4*mib + 77
	src := writeFile(t, filepath.Join(t.TempDir(), "medium"), content(size))
	other := content(size)
	clear(other[700:5000]) // not finished, and not to be seen again
	from := ddrescued{image: writeFile(t, filepath.Join(t.TempDir(), "other"), other[:3*mib])}
	dir := t.TempDir()
	opts := rescueOptions(t)
	opts.TakeOver = &acquire.TakeOver{Image: openMedium(t, from.image), Map: fmt.Appendf(nil, "0 + 1\n0 700 +\n700 4300 -\n5000 %d +\n%d %d *\n", 3*mib-5000, 3*mib, size-3*mib)}
	a, err := acquire.Acquire(t.Context(), openMedium(t, src), []acquire.Destination{destination(t, dir)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	checkFolder(t, partial(dir), content(size), a.Acquisition)
	if got := a.TakenOver[0]; got.Bytes != 512+3*mib-5120 || got.Ranges != 2 {
		t.Errorf("taken over: %+v, want %d bytes in 2 ranges", got, 512+3*mib-5120)
	}
}

// An image that changes, or is not what it was, while it is copied is not taken over.
func TestTakeOverImageCut(t *testing.T) {
	const size = 4 * mib
	src := writeFile(t, filepath.Join(t.TempDir(), "medium"), content(size))
	other := writeFile(t, filepath.Join(t.TempDir(), "other"), content(size))
	dir := t.TempDir()
	opts := rescueOptions(t)
	opts.TakeOver = &acquire.TakeOver{Image: openMedium(t, other), Map: []byte("0x0 + 1\n0x0 0x400000 +\n")}
	opts.Progress = &progress{at: map[string]func(){acquire.PhaseTakingOver: func() {
		if err := os.Truncate(other, mib); err != nil {
			t.Error(err)
		}
	}}}
	_, err := acquire.Acquire(t.Context(), openMedium(t, src), []acquire.Destination{destination(t, dir)}, opts)
	if !errors.Is(err, acquire.ErrTakeOver) || errors.Is(err, acquire.ErrMediumChanged) {
		t.Errorf("got %v, want ErrTakeOver, and nothing said of the medium", err)
	}
}

// Killed at random calls that change a disk, and resumed with the same image and map, it is what it would have been.
func TestTakeOverKill9(t *testing.T) {
	testtool.NeedRoot(t)
	const size = 8*mib + 4096
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: size})
	bad := []faultdisk.Range{{First: 5000, Count: 1}, {First: 7000, Count: 20}, {First: 12288, Count: 24}}
	disk.Bad(bad...)
	from := ddrescue(t, disk, "--no-trim", "--no-scrape")
	want := truth(t, disk, bad)
	for _, two := range []bool{false, true} {
		j := job{Path: disk.Path(), Stretch: mib, Segment: 3*mib + 512, Image: from.image, Map: from.mapfile}
		folders := func() []string {
			if two {
				return []string{memoryDir(t), memoryDir(t)}
			}
			return []string{memoryDir(t)}
		}
		j.Dirs = folders()
		calls, _ := j.process(t)
		for point := range uint64(4) {
			j.Dirs = folders()
			killTillDone(t, &j, rand.New(rand.NewPCG(3, point)), calls)
			checkJob(t, &j, want, bad)
			list := readFile(t, partial(j.Dirs[0]), "7%2Fa.taken")
			if m, err := image.ParseMap(bytes.NewReader(list), image.MapLimits{}); err != nil || m.Total(image.Finished).SizeBytes == 0 {
				t.Errorf("the list of what was taken over: %v\n%s", err, list)
			}
		}
	}
	disk.AssertNoWrites(t)
}

// The power is cut at random while an image is taken over and completed: what was not synced is lost, copied again, and the
// end is what it would have been.
func TestTakeOverPowerCut(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 6*mib + 4096})
	bad := []faultdisk.Range{{First: 5000, Count: 1}, {First: 7000, Count: 20}}
	disk.Bad(bad...)
	from := ddrescue(t, disk, "--no-trim", "--no-scrape")
	want := truth(t, disk, bad)
	var ops int64
	for point := range uint64(4) {
		to := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: memoryDir(t)})
		j := job{Path: disk.Path(), Dirs: []string{to.Path()}, Stretch: mib, Image: from.image, Map: from.mapfile}
		if ops == 0 {
			before := to.Ops()
			if _, err := j.step(t.Context()); err != nil {
				t.Fatal(err)
			}
			ops = to.Ops() - before
			if err := os.RemoveAll(partial(to.Path())); err != nil {
				t.Fatal(err)
			}
		}
		cutTillDone(t, &j, to, rand.New(rand.NewPCG(5, point)), ops)
		checkJob(t, &j, want, bad)
		if err := to.PowerCut(); err != nil { // and what is finished stays
			t.Fatal(err)
		}
		checkAfterCut(t, &j, want, bad)
	}
	disk.AssertNoWrites(t)
}
