package acquire_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/rescue"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

func e01Options(t testing.TB) acquire.Options {
	opts := options(t)
	opts.Format, opts.OnError = record.FormatE01, record.OnErrorInPlace
	opts.Extra = []record.Algorithm{record.MD5, record.SHA1}
	return opts
}

func acquireE01(t *testing.T, path string, opts acquire.Options, dirs ...string) acquire.Result {
	t.Helper()
	var dests []acquire.Destination
	for _, d := range dirs {
		dests = append(dests, destination(t, d))
	}
	a, err := acquire.Acquire(t.Context(), openMedium(t, path), dests, opts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// compressible is content of which half are zeros.
func compressible(size int) []byte {
	b := content(size)
	for i := range b {
		if i/3000%2 == 0 {
			b[i] = 0
		}
	}
	return b
}

// The tools that examiners have accept the image, and agree about what is in it.
func TestE01RealTools(t *testing.T) {
	testtool.Need(t, "ewfverify", "ewfinfo", "ewfexport")
	data := compressible(5*mib + 3*512)
	for name, set := range map[string]func(*acquire.Options){
		"fast":       func(*acquire.Options) {},
		"best":       func(o *acquire.Options) { o.Compression = record.CompressionBest },
		"none":       func(o *acquire.Options) { o.Compression = record.CompressionNone },
		"segments":   func(o *acquire.Options) { o.SegmentBytes = mib },
		"stretches":  func(o *acquire.Options) { o.StretchBytes = mib },
		"no re-read": func(o *acquire.Options) { o.Reread = false },
		"followed":   func(o *acquire.Options) { o.Reread, o.SegmentBytes, o.StretchBytes = false, mib, mib },
	} {
		t.Run(name, func(t *testing.T) {
			opts := e01Options(t)
			opts.Labels = ewf.Header{Case: "K-2026-17", Description: "a grey stick, scratched", Examiner: "A. Muster"}
			set(&opts)
			dir := memoryDir(t)
			a := acquireE01(t, writeFile(t, filepath.Join(t.TempDir(), "medium"), data), opts, dir)
			checkFolder(t, partial(dir), data, a.Acquisition)
			first := filepath.Join(partial(dir), "7%2Fa.E01")
			out := testtool.Run(t, "ewfverify", "-q", "-d", "sha1", first)
			if !strings.Contains(out, "SUCCESS") {
				t.Errorf("ewfverify says %s", out)
			}
			info := testtool.Run(t, "ewfinfo", first)
			for _, want := range []string{"K-2026-17", "7/a", "a grey stick, scratched", "A. Muster", fmt.Sprintf("%x", md5.Sum(data)), fmt.Sprintf("%x", sha1.Sum(data))} {
				if !strings.Contains(info, want) {
					t.Errorf("ewfinfo does not say %q:\n%s", want, info)
				}
			}
			target := filepath.Join(t.TempDir(), "exported")
			testtool.Run(t, "ewfexport", "-q", "-u", "-f", "raw", "-t", target, first)
			if got := readFile(t, target+".raw"); !bytes.Equal(got, data) {
				t.Errorf("ewfexport gives %d bytes, not those of the medium", len(got))
			}
		})
	}
}

// Two destinations hold the same files, and one that is lost does not cost the other.
func TestE01TwoDestinations(t *testing.T) {
	data := compressible(3*mib + 512)
	a, b := memoryDir(t), memoryDir(t)
	res := acquireE01(t, writeFile(t, filepath.Join(t.TempDir(), "medium"), data), e01Options(t), a, b)
	for _, dir := range []string{a, b} {
		checkFolder(t, partial(dir), data, res.Acquisition)
	}
}

// An image that does not read back is found, wherever it was changed.
func TestE01RereadOfDamage(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"a chunk": func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "7%2Fa.E02"), 100_000) },
		"cut off": func(t *testing.T, dir string) {
			unseal(t, filepath.Join(dir, "7%2Fa.E02"))
			if err := os.Truncate(filepath.Join(dir, "7%2Fa.E02"), 500_000); err != nil {
				t.Fatal(err)
			}
		},
		"longer": func(t *testing.T, dir string) {
			unseal(t, filepath.Join(dir, "7%2Fa.E02"))
			if err := os.Truncate(filepath.Join(dir, "7%2Fa.E02"), 2*mib); err != nil {
				t.Fatal(err)
			}
		},
		"missing": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "7%2Fa.E02")); err != nil {
				t.Fatal(err)
			}
		},
		"tree value": func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "7%2Fa.tree"), 100) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := memoryDir(t)
			opts := e01Options(t)
			opts.SegmentBytes = mib
			opts.Progress = &progress{at: map[string]func(){acquire.PhaseRereading: func() { damage(t, partial(dir)) }}}
			m := openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "m"), content(2*mib)))
			_, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, opts)
			if !errors.Is(err, acquire.ErrReread) {
				t.Errorf("got %v, want an ErrReread", err)
			}
			mustNotExist(t, filepath.Join(partial(dir), "unsigned.json"))
		})
	}
}

// What an E01 cannot hold, or has no room for, is said before anything is made.
func TestE01Refused(t *testing.T) {
	odd := writeFile(t, filepath.Join(t.TempDir(), "odd"), content(1000))
	empty := writeFile(t, filepath.Join(t.TempDir(), "empty"), nil)
	even := writeFile(t, filepath.Join(t.TempDir(), "even"), content(1024))
	for name, c := range map[string]struct {
		path string
		set  func(*acquire.Options)
		want error
	}{
		"odd size":    {odd, func(*acquire.Options) {}, acquire.ErrOptions},
		"empty":       {empty, func(*acquire.Options) {}, acquire.ErrOptions},
		"rescue":      {even, func(o *acquire.Options) { o.OnError = record.OnErrorRescue }, acquire.ErrOptions},
		"segments":    {even, func(o *acquire.Options) { o.SegmentBytes = 1000 }, acquire.ErrSegments},
		"compression": {even, func(o *acquire.Options) { o.Compression = "hard" }, acquire.ErrOptions},
		"raw":         {even, func(o *acquire.Options) { o.Format, o.Compression = record.FormatRaw, record.CompressionBest }, acquire.ErrOptions},
		"format":      {even, func(o *acquire.Options) { o.Format = "aff4" }, acquire.ErrOptions},
	} {
		dir := memoryDir(t)
		opts := e01Options(t)
		c.set(&opts)
		_, err := acquire.Acquire(t.Context(), openMedium(t, c.path), []acquire.Destination{destination(t, dir)}, opts)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		mustBeEmpty(t, dir)
	}
}

// A stream says beforehand how long it is, and must be.
func TestE01Stream(t *testing.T) {
	data := compressible(2*mib + 512)
	for name, c := range map[string]struct {
		size int64
		want error
	}{
		"exact": {int64(len(data)), nil}, "longer": {int64(len(data)) - 512, acquire.ErrMediumChanged},
		"shorter": {int64(len(data)) + 512, acquire.ErrMediumChanged}, "not said": {0, acquire.ErrOptions},
	} {
		dir := memoryDir(t)
		opts := e01Options(t)
		opts.SizeBytes = c.size
		m, err := medium.Open(t.Context(), medium.Stdin, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		a, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, opts)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err == nil {
			checkFolder(t, partial(dir), data, a.Acquisition)
		} else if _, err := os.Lstat(filepath.Join(partial(dir), "unsigned.json")); err == nil {
			t.Errorf("%s: there is a record", name)
		}
	}
}

// No good sector is lost around bad ones, and image, map and record say exactly which are bad.
func TestInPlace(t *testing.T) {
	testtool.NeedRoot(t)
	testtool.Need(t, "ewfinfo")
	const size = 6*mib + 4096
	last := int64(size/512 - 1)
	for name, bad := range map[string][]faultdisk.Range{
		"one sector": {{First: 9000, Count: 1}},
		"first":      {{First: 0, Count: 1}},
		"last":       {{First: last, Count: 1}},
		"runs":       {{First: 100, Count: 9}, {First: 2047, Count: 2}, {First: 4096, Count: 300}, {First: 9001, Count: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			disk := faultdisk.New(t, faultdisk.Options{SizeBytes: size})
			disk.Bad(bad...)
			dir := memoryDir(t)
			opts := e01Options(t)
			opts.StretchBytes = mib
			a := acquireE01(t, disk.Path(), opts, dir)
			checkRescued(t, dir, a.Acquisition, truth(t, disk, bad), bad)
			disk.AssertNoWrites(t)
			r, err := image.Open(os.DirFS(partial(dir)), []string{"7%2Fa.E01"})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			same := func(u ewf.Range, b faultdisk.Range) bool { return u.FirstSector == b.First && u.Sectors == b.Count }
			if got := r.E01().Unread(); !slices.EqualFunc(got, bad, same) {
				t.Errorf("the image lists %v as unread, want %v", got, bad)
			}
			if info := testtool.Run(t, "ewfinfo", filepath.Join(partial(dir), "7%2Fa.E01")); !strings.Contains(info, fmt.Sprintf("total number: %d", len(bad))) {
				t.Errorf("ewfinfo does not count %d errors:\n%s", len(bad), info)
			}
		})
	}
}

// A drive with more bad places than allowed stops, and goes on with a higher bound to the same image.
func TestInPlaceLimit(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 8 * mib})
	bad := []faultdisk.Range{{First: 3000, Count: 4}, {First: 9000, Count: 4}, {First: 9100, Count: 2}}
	disk.Bad(bad...)
	j := job{Path: disk.Path(), Dirs: []string{memoryDir(t), memoryDir(t)}, Stretch: mib, Format: record.FormatE01, MaxBad: 8 * 512}
	if _, err := j.step(t.Context()); !errors.Is(err, rescue.ErrTooManyBad) {
		t.Fatalf("got %v, want %v", err, rescue.ErrTooManyBad)
	}
	j.MaxBad = 0
	res, err := j.step(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(res.Interruptions); n != 1 || res.Interruptions[0].Cause != record.CauseLimit || res.Interruptions[0].SafeBytes != 4*mib {
		t.Errorf("interruptions %+v; want one, at 4 MiB, for the limit", res.Interruptions)
	}
	checkJob(t, &j, truth(t, disk, bad), bad)
}

// Sectors that read at a later try are read, and counted.
func TestInPlaceRetries(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib})
	disk.Flaky(faultdisk.Range{First: 3000, Count: 1}, 20)
	opts := e01Options(t)
	opts.Retries = 30
	dir := memoryDir(t)
	a := acquireE01(t, disk.Path(), opts, dir)
	checkRescued(t, dir, a.Acquisition, truth(t, disk, nil), nil)
	if a.Unread.RecoveredBytes != 512 {
		t.Errorf("%d bytes recovered, want 512", a.Unread.RecoveredBytes)
	}
	if journal := string(readFile(t, partial(dir), "journal")); strings.Count(journal, `"event":"recovered"`) != 1 ||
		!strings.Contains(journal, `"event":"recovered","offset":1536000,"sizeBytes":512,`) {
		t.Errorf("the journal does not list the sector:\n%s", journal)
	}
}

// TestE01Kill9 is TestKill9 for an image that is compressed and written in order.
func TestE01Kill9(t *testing.T) {
	testtool.NeedRoot(t)
	size, points := int64(6*mib+4096), 6
	if os.Getenv("EXHIBIT_SOAK") == "1" {
		size, points = 64*mib+4096, 200
	}
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: size, Seed: 7})
	bad := []faultdisk.Range{{First: 5000, Count: 1}, {First: 7000, Count: 20}, {First: size/512 - 1, Count: 1}}
	disk.Bad(bad...)
	want := truth(t, disk, bad)
	for point := range points {
		t.Run(fmt.Sprint(point), func(t *testing.T) {
			j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib, Format: record.FormatE01, Segment: mib * int64(point%3)}
			if point&1 != 0 {
				j.Dirs = append(j.Dirs, memoryDir(t))
			}
			undisturbed := j
			undisturbed.Dirs = nil
			for range j.Dirs {
				undisturbed.Dirs = append(undisturbed.Dirs, memoryDir(t))
			}
			calls, _ := undisturbed.process(t)
			killTillDone(t, &j, rand.New(rand.NewPCG(3, uint64(point))), calls)
			checkJob(t, &j, want, bad)
		})
	}
	disk.AssertNoWrites(t)
}

// TestE01KillEverywhere is TestKillEverywhere for an E01.
func TestE01KillEverywhere(t *testing.T) {
	testtool.NeedRoot(t)
	step := 17
	if os.Getenv("EXHIBIT_SOAK") == "1" {
		step = 1
	}
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 3*mib + 512})
	bad := []faultdisk.Range{{First: 700, Count: 1}, {First: 2500, Count: 8}, {First: 4095, Count: 1}}
	disk.Bad(bad...)
	want := truth(t, disk, bad)
	count := &killer{}
	clean := job{Path: disk.Path(), Dirs: []string{memoryDir(t), memoryDir(t)}, Stretch: 1 << 19, Format: record.FormatE01, Segment: mib}
	clean.hooks = count.hooks(clean.Dirs)
	if _, err := clean.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	for at := 1; at <= count.calls; at += step {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			j := clean
			j.Dirs = []string{memoryDir(t), memoryDir(t)}
			for i, n := range []int{at, 1 + at*7919%count.calls, 0} {
				k := &killer{at: n}
				j.hooks = k.hooks(j.Dirs)
				res, err := j.step(t.Context())
				lost := err != nil || len(res.Lost) > 0
				if n > 0 && k.calls >= n && !lost || err != nil && !errors.Is(err, faulttest.ErrKilled) {
					t.Fatalf("run %d, killed before call %d: got %v", i, n, err)
				}
			}
			checkJob(t, &j, want, bad)
		})
	}
	disk.AssertNoWrites(t)
}

// TestE01PowerCut is TestPowerCut for an E01: in one file and in segments, on a sound and on a failing medium.
func TestE01PowerCut(t *testing.T) {
	testtool.NeedRoot(t)
	points := 4
	if os.Getenv("EXHIBIT_SOAK") == "1" {
		points = 200
	}
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 5*mib + 512, Seed: 11})
	bad := []faultdisk.Range{{First: 3000, Count: 1}, {First: 7001, Count: 3}, {First: 10240, Count: 1}}
	disk.Bad(bad...)
	want := truth(t, disk, bad)
	for point := range points {
		t.Run(fmt.Sprint(point), func(t *testing.T) {
			to := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: memoryDir(t)})
			j := job{Path: disk.Path(), Dirs: []string{to.Path()}, Stretch: mib, Retries: 1, Format: record.FormatE01, Segment: mib * int64(point%2)}
			undisturbed := j
			if _, err := undisturbed.step(t.Context()); err != nil {
				t.Fatal(err)
			}
			ops := to.Ops()
			if err := os.RemoveAll(partial(to.Path())); err != nil {
				t.Fatal(err)
			}
			cutTillDone(t, &j, to, rand.New(rand.NewPCG(5, uint64(point))), ops)
			checkJob(t, &j, want, bad)
			if err := to.PowerCut(); err != nil { // and what is finished stays
				t.Fatal(err)
			}
			checkJob(t, &j, want, bad)
		})
	}
	disk.AssertNoWrites(t)
}
