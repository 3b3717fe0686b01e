package rescue

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// bigMedium has a thousand blocks and no content; a block is good, bad or slow as a whole.
type bigMedium struct {
	bad, slow func(block int64) bool
	now       time.Time
	events    []Event
}

const bigBlocks = 1000

func (m *bigMedium) ReadAt(p []byte, off int64) (int, error) {
	block := off / BlockBytes
	m.now = m.now.Add(time.Second)
	if m.slow != nil && m.slow(block) {
		m.now = m.now.Add(19 * time.Second)
	}
	if m.bad(block) {
		return 0, errBad
	}
	return len(p), nil
}

// run copies, stops before trimming, and returns the blocks that each pass read, in order. Some may be finished before.
func (m *bigMedium) run(t *testing.T, opts Options, finished ...int64) [passes + 1][]int64 {
	t.Helper()
	start := newMap(t, bigBlocks*BlockBytes)
	for _, b := range finished {
		if err := start.Set(b*BlockBytes, BlockBytes, image.Finished); err != nil {
			t.Fatal(err)
		}
	}
	opts.SectorBytes = 512
	opts.Now = func() time.Time { return m.now }
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	opts.Event = func(e Event) {
		if e.Phase != image.PhaseCopying {
			stop()
			return
		}
		m.events = append(m.events, e)
	}
	discard := storeFunc(func(int64, []byte) error { return nil })
	if err := Run(ctx, m, discard, start, opts); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var got [passes + 1][]int64
	for _, e := range m.events {
		if e.SizeBytes != BlockBytes || e.Backwards != (e.Pass%2 == 0) {
			t.Fatalf("event %+v", e)
		}
		got[e.Pass] = append(got[e.Pass], e.Offset/BlockBytes)
	}
	return got
}

// blocks lists runs of blocks, each from its first to its last, in either direction.
func blocks(runs ...[2]int64) []int64 {
	var all []int64
	for _, run := range runs {
		step := int64(1)
		if run[1] < run[0] {
			step = -1
		}
		for b := run[0]; b != run[1]+step; b += step {
			all = append(all, b)
		}
	}
	return all
}

func one(b int64) [2]int64 { return [2]int64{b, b} }

func comparePasses(t *testing.T, got, want [passes + 1][]int64) {
	t.Helper()
	for pass := range got {
		if !slices.Equal(got[pass], want[pass]) {
			t.Errorf("pass %d reads\n%v, want\n%v", pass, got[pass], want[pass])
		}
	}
}

// The area from block 100 to 160 is bad or slow. Skips are 1, 2, 4, 8 and then 10 blocks, a hundredth of the medium.
func inArea(block int64) bool { return block >= 100 && block <= 160 }

var (
	firstPass  = blocks([2]int64{0, 100}, one(102), one(105), one(110), one(119), one(130), one(141), one(152), [2]int64{163, 999})
	secondPass = blocks([2]int64{162, 160}, one(151), one(140), one(129), one(118), one(109), one(104), one(101))
	restOfArea = [][2]int64{one(103), {106, 108}, {111, 117}, {120, 128}, {131, 139}, {142, 150}, {153, 159}}
)

func TestOrderBadArea(t *testing.T) {
	m := &bigMedium{bad: inArea}
	comparePasses(t, m.run(t, Options{}), [passes + 1][]int64{1: firstPass, 2: secondPass, 5: blocks(restOfArea...)})
}

// Good data behind a bad area, and finished blocks in between, make the skip small again.
func TestOrderTwoAreas(t *testing.T) {
	m := &bigMedium{bad: func(b int64) bool { return b >= 100 && b <= 105 || b >= 300 && b <= 302 }}
	want := [passes + 1][]int64{
		1: blocks([2]int64{0, 100}, one(102), one(105), [2]int64{110, 300}, one(302), [2]int64{305, 999}),
		2: blocks([2]int64{304, 303}, one(301), [2]int64{109, 106}, one(104), one(101)),
		5: {103},
	}
	comparePasses(t, m.run(t, Options{}), want)

	m = &bigMedium{bad: func(b int64) bool { return b >= 100 && b <= 105 || b >= 108 && b <= 109 }}
	want = [passes + 1][]int64{
		1: blocks([2]int64{0, 100}, one(102), one(105), one(108), [2]int64{110, 999}),
		2: blocks(one(109), one(104), one(101)),
		5: {103},
	}
	comparePasses(t, m.run(t, Options{}, 106, 107), want)
}

// A healthy medium is read once, forwards.
func TestOrderHealthy(t *testing.T) {
	m := &bigMedium{bad: func(int64) bool { return false }}
	comparePasses(t, m.run(t, Options{SlowRelative: true}), [passes + 1][]int64{1: blocks([2]int64{0, 999})})
}

// The same area, slow: what was skipped is read in pass 3, and behind an error there, from the other side in pass 4.
func TestOrderSlowArea(t *testing.T) {
	m := &bigMedium{bad: func(b int64) bool { return b == 145 }, slow: inArea}
	third := blocks(restOfArea[0], restOfArea[1], restOfArea[2], restOfArea[3], restOfArea[4], [2]int64{142, 145}, restOfArea[6])
	want := [passes + 1][]int64{1: firstPass, 2: secondPass, 3: third, 4: blocks([2]int64{150, 146})}
	comparePasses(t, m.run(t, Options{SlowBytesPerSecond: 512 << 10}), want)

	m = &bigMedium{bad: m.bad, slow: inArea} // nobody asked for it
	want = [passes + 1][]int64{1: blocks([2]int64{0, 145}, [2]int64{147, 999}), 2: {146}}
	comparePasses(t, m.run(t, Options{}), want)
}

// TestResumeOrder ends copying at every read: the run that goes on reads next what the other would have read.
func TestResumeOrder(t *testing.T) {
	area := func() *bigMedium { return &bigMedium{bad: inArea} }
	whole := area()
	whole.run(t, Options{})
	for n := 1; n < len(whole.events); n++ {
		if n > 20 && n < 90 || n > 130 && n < 920 {
			continue // a healthy stretch
		}
		m, first := newMap(t, bigBlocks*BlockBytes), area()
		ctx, cancel := context.WithCancel(t.Context())
		left, saved := n, ""
		discard := storeFunc(func(int64, []byte) error { return nil })
		err := Run(ctx, first, discard, m, Options{SectorBytes: 512, Event: func(Event) {
			if left--; left == 0 {
				saved = encode(t, m)
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		err = Run(ctx, area(), discard, parse(t, saved), Options{SectorBytes: 512, Event: func(e Event) {
			want := whole.events[n]
			if e.Offset != want.Offset || e.SizeBytes != want.SizeBytes || e.Pass != want.Pass {
				t.Errorf("behind read %d comes block %d in pass %d, want %d in pass %d", n, e.Offset/BlockBytes, e.Pass, want.Offset/BlockBytes, want.Pass)
			}
			cancel()
		}})
		cancel()
		if !errors.Is(err, context.Canceled) || t.Failed() {
			t.Fatal(err)
		}
	}
}

// TestMeter wants a full window, the delay, and a rate below the least or a tenth of the average.
func TestMeter(t *testing.T) {
	m := meter{relative: true}
	for i := range 100 {
		if m.observe(mib, 500*time.Millisecond) {
			t.Fatalf("read %d of an even medium is slow", i)
		}
	}
	if m.observe(mib, 900*time.Millisecond); m.window.n != mib {
		t.Errorf("window of %d bytes, want one read", m.window.n)
	}
	m.forget()
	if !m.observe(mib, 20*time.Second) {
		t.Error("a read at a fortieth of the average is not slow")
	}
	if m.observe(mib, 900*time.Millisecond) || !m.observe(1, time.Hour) {
		t.Error("slow without a full window, or not with one")
	}
	early := meter{least: 1 << 30}
	for range 29 {
		if early.observe(mib, time.Second) {
			t.Fatal("slow before the delay")
		}
	}
	if !early.observe(mib, time.Second) {
		t.Error("not slow behind the delay")
	}
	backwards := meter{least: 1 << 30}
	backwards.observe(mib, -time.Hour)
	backwards.observe(mib, 0)
	slow := false
	for range 31 {
		slow = backwards.observe(mib, time.Second)
	}
	if !slow {
		t.Error("a clock that once went back hides a slow medium")
	}
}

// TestPhaseOrder trims every group before it scrapes one, scrapes group by group, and retries last.
func TestPhaseOrder(t *testing.T) {
	medium := newMedium(t, 16*mib, 512, slices.Concat(span(500, 700, 9), span(5000, 9000, 50), span(20000, 20050, 7))...)
	rank := map[image.Phase]int{image.PhaseCopying: 1, image.PhaseTrimming: 2, image.PhaseScraping: 3, image.PhaseRetrying: 4}
	var last Event
	seen := map[image.Phase]bool{}
	rescueAll(t, medium, Options{Retries: 1, Event: func(e Event) {
		if rank[e.Phase] < rank[last.Phase] {
			t.Errorf("%s after %s", e.Name(), last.Name())
		}
		if e.Phase == last.Phase && e.Phase == image.PhaseScraping && e.Offset < last.Offset/BlockBytes*BlockBytes {
			t.Errorf("scraping at %d after %d", e.Offset, last.Offset)
		}
		sum := e.Totals.NonTried.SizeBytes + e.Totals.NonTrimmed.SizeBytes + e.Totals.NonScraped.SizeBytes +
			e.Totals.Bad.SizeBytes + e.Totals.Finished.SizeBytes
		if sum != 16*mib {
			t.Errorf("totals %+v", e.Totals)
		}
		last, seen[e.Phase] = e, true
	}})
	if len(seen) != 4 {
		t.Errorf("phases seen: %v", seen)
	}
}

// TestHalves follows trimming and scraping read by read: 64 sectors, of which 10, 30 and 50 are bad.
func TestHalves(t *testing.T) {
	medium := newMedium(t, 64*512, 512, 10, 30, 50)
	rescueAll(t, medium, Options{})
	want := []struct {
		from, to int64
		good     bool
	}{
		{0, 64, false},                                                                             // copied as a block
		{0, 32, false}, {0, 16, false}, {0, 8, true}, {8, 9, true}, {9, 10, true}, {10, 11, false}, // from the front
		{11, 64, false}, {32, 64, false}, {48, 64, false}, {56, 64, true}, // from the end
		{55, 56, true}, {54, 55, true}, {53, 54, true}, {52, 53, true}, {51, 52, true}, {50, 51, false},
		{11, 50, false}, {11, 24, true}, // inside; so 24 to 50 is bad and not read as a whole
		{24, 32, false}, {24, 25, true}, {25, 26, true}, {26, 27, true}, {27, 28, true}, {28, 29, true}, {29, 30, true}, {30, 31, false}, {31, 32, true},
		{32, 50, true},
	}
	var reads []access
	for _, w := range want {
		reads = append(reads, access{w.from * 512, (w.to - w.from) * 512, w.good})
	}
	if !slices.Equal(medium.log, reads) {
		t.Errorf("reads %v, want %v", medium.log, reads)
	}
}

// TestTrimmedEdges does not trim an edge that is beside a bad sector.
func TestTrimmedEdges(t *testing.T) {
	for edges, want := range map[string]image.Phase{"both": image.PhaseScraping, "left": image.PhaseTrimming, "right": image.PhaseTrimming} {
		medium, m, img := newMedium(t, mib, 512, 0, 1000, 2047), newMap(t, mib), newImage(t, mib)
		left, right := int64(0), int64(mib)
		if edges != "right" {
			left = 512
		}
		if edges != "left" {
			right -= 512
		}
		for _, part := range []image.Range{{SizeBytes: mib, Status: image.Bad}, {Offset: left, SizeBytes: right - left, Status: image.NonTrimmed}} {
			if err := m.Set(part.Offset, part.SizeBytes, part.Status); err != nil {
				t.Fatal(err)
			}
		}
		var first *Event
		if err := Run(t.Context(), medium, img, m, Options{SectorBytes: 512, Event: func(e Event) {
			if first == nil {
				first = &e
			}
		}}); err != nil {
			t.Fatal(err)
		}
		checkEnd(t, medium, img, m)
		if first.Phase != want || first.Backwards != (edges == "left") {
			t.Errorf("%s trimmed: first comes %s of %d bytes at %d", edges, first.Name(), first.SizeBytes, first.Offset)
		}
	}
}

func TestEventName(t *testing.T) {
	for want, e := range map[string]Event{
		"copying, pass 2 backwards":             {Phase: image.PhaseCopying, Pass: 2, Backwards: true},
		"trimming failed blocks":                {Phase: image.PhaseTrimming, Pass: 1},
		"scraping failed blocks":                {Phase: image.PhaseScraping, Pass: 1},
		"retrying bad sectors, pass 3 forwards": {Phase: image.PhaseRetrying, Pass: 3},
		"finished":                              {Phase: image.PhaseFinished, Pass: 1},
	} {
		if got := e.Name(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func ddrescue(t *testing.T, tool string, args ...string) {
	t.Helper()
	command := exec.Command(tool, append([]string{"-q"}, args...)...)
	if out, err := command.CombinedOutput(); command.ProcessState == nil || command.ProcessState.ExitCode() > 1 {
		t.Fatalf("%q: %v\n%s", command.Args, err, out)
	}
}

// TestDdrescue rescues one medium three ways: ddrescue alone, we alone, and we from the map and image that ddrescue left
// half-way. All end with the same map.
func TestDdrescue(t *testing.T) {
	tool := testtool.Need(t, "ddrescue")[0]
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	const size = 4*mib + 700
	fresh := func() *fakeMedium {
		return newMedium(t, size, 512, slices.Concat([]int64{0, 129, 4000, 8192}, span(2040, 2060, 1), span(6000, 6300, 3))...)
	}
	medium := fresh()
	truth := newMap(t, size)
	if err := truth.Set(0, size, image.Finished); err != nil {
		t.Fatal(err)
	}
	for _, part := range medium.badRanges() {
		if err := truth.Set(part.Offset, part.SizeBytes, image.Bad); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string][]byte{"medium": medium.data, "truth.map": []byte(encode(t, truth))} {
		if err := os.WriteFile(file(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ddrescue(t, tool, "-H", file("truth.map"), file("medium"), file("whole"), file("whole.map"))
	whole := readMap(t, file("whole.map"))
	ours, _ := rescueAll(t, medium, Options{})
	if body(encode(t, ours)) != body(encode(t, whole)) {
		t.Errorf("our map\n%sddrescue's\n%s", encode(t, ours), encode(t, whole))
	}

	phases := map[image.Phase]bool{}
	for _, errorsAllowed := range []string{"0", "3", "9", "20", "60"} {
		output, mapfile := file("half"+errorsAllowed), file("half.map"+errorsAllowed)
		ddrescue(t, tool, "-X", errorsAllowed, "-H", file("truth.map"), file("medium"), output, mapfile)
		half, img := readMap(t, mapfile), newImage(t, size)
		phases[half.State().Phase] = true
		got, err := os.ReadFile(output)
		if err != nil {
			t.Fatal(err)
		}
		for part := range half.All() {
			if part.Status == image.Finished {
				if err := img.Store(part.Offset, got[part.Offset:part.End()]); err != nil {
					t.Fatal(err)
				}
			}
		}
		medium := fresh()
		if err := Run(t.Context(), medium, img, half, Options{SectorBytes: 512}); err != nil {
			t.Fatal(err)
		}
		checkEnd(t, medium, img, half)
	}
	if len(phases) < 2 {
		t.Errorf("ddrescue was stopped in %v only", phases)
	}
}

func readMap(t *testing.T, path string) *image.Map {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}
