package rescue

import (
	"context"
	"errors"
	"io"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image"
)

func span(from, to, step int64) []int64 {
	var all []int64
	for s := from; s < to; s += step {
		all = append(all, s)
	}
	return all
}

// TestShapes tries the media on which a reading order is most easily wrong.
func TestShapes(t *testing.T) {
	for _, c := range []struct {
		name         string
		size, sector int64
		bad          []int64
	}{
		{"healthy", 3 * mib, 512, nil},
		{"nothing", 0, 512, nil},
		{"one byte", 1, 512, nil},
		{"one byte, bad", 1, 512, []int64{0}},
		{"less than a sector, bad", 4095, 4096, []int64{0}},
		{"one sector", 512, 512, nil},
		{"one sector, bad", 512, 512, []int64{0}},
		{"two sectors, the first bad", 1024, 512, []int64{0}},
		{"two sectors, the last bad", 1024, 512, []int64{1}},
		{"one block", mib, 512, []int64{1000}},
		{"one block, sectors of a block", 3 * mib, mib, []int64{1}},
		{"less than a block", mib - 512, 512, []int64{3, 2046}},
		{"first and last", 4 * mib, 512, []int64{0, 4*2048 - 1}},
		{"first and last of 4096", 4 * mib, 4096, []int64{0, 4*256 - 1}},
		{"edges of blocks", 4 * mib, 512, []int64{2047, 2048, 4095, 4096}},
		{"odd tail", 2*mib + 700, 512, []int64{100}},
		{"odd tail, bad", 2*mib + 700, 512, []int64{4096, 4097}},
		{"odd tail of 4096", 2*mib + 4097, 4096, []int64{513}},
		{"odd tail after bad ones", 2*mib + 12345, 512, span(4090, 4118, 1)},
		{"all bad", 3*mib + 100, 4096, span(0, 3*256+1, 1)},
		{"every second", 2 * mib, 512, span(0, 4096, 2)},
		{"every second of 4096, odd tail", 2*mib + 1, 4096, span(0, 513, 2)},
		{"a physical sector", 4 * mib, 512, span(3000, 3008, 1)},
		{"two in a block", mib, 512, []int64{100, 1900}},
		{"a long run", 12 * mib, 4096, span(300, 2000, 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, retries := range []int{0, 1, 2} {
				medium := newMedium(t, c.size, c.sector, c.bad...)
				rescueAll(t, medium, Options{Retries: retries})
				checkReads(t, medium, retries)
			}
		})
	}
}

// checkReads requires that no good byte was read twice with success, that a bad sector was read alone once and once a
// retry, and that it was not in more reads than two halvings of a block for the edges and one for the inside.
func checkReads(t testing.TB, medium *fakeMedium, retries int) {
	t.Helper()
	sectors := (int64(len(medium.data)) + medium.sector - 1) / medium.sector
	alone, covered, good := make([]int, sectors), make([]int, sectors), make([]int, sectors)
	for _, a := range medium.log {
		for s := a.off / medium.sector; s*medium.sector < a.off+a.n; s++ {
			covered[s]++
			if a.n <= medium.sector {
				alone[s]++
			}
			if a.good {
				good[s]++
			}
		}
	}
	halvings := bits.Len64(uint64(BlockBytes/max(leafBytes, medium.sector))) - 1
	most := 1 + 3*(halvings+1) + 1 + retries
	for s := range sectors {
		if medium.bad[s] > 0 {
			if alone[s] != 1+retries || good[s] != 0 || covered[s] > most {
				t.Fatalf("bad sector %d: alone %d times, want %d; in %d reads, at most %d", s, alone[s], 1+retries, covered[s], most)
			}
		} else if good[s] != 1 || alone[s] > 1 || covered[s] > most {
			t.Fatalf("good sector %d: read %d times, alone %d; in %d reads, at most %d", s, good[s], alone[s], covered[s], most)
		}
	}
}

// TestLoneBadSector bounds what one bad sector costs, wherever in the block it lies.
func TestLoneBadSector(t *testing.T) {
	var failed, reads, worst int64
	const step = 13
	for s := int64(0); s < 2048; s += step {
		medium := newMedium(t, mib, 512, s)
		rescueAll(t, medium, Options{})
		all, bad := medium.reads()
		failed, reads, worst = failed+bad, reads+all, max(worst, bad)
	}
	n := int64(2048/step + 1)
	t.Logf("a lone bad sector: %.1f failed of %.1f reads, at worst %d failed", float64(failed)/float64(n), float64(reads)/float64(n), worst)
	if failed > 7*n || reads > 25*n || worst > 18 {
		t.Errorf("%d failed of %d reads for %d media, at worst %d: more than there were", failed, reads, n, worst)
	}
}

// randomMedium has lone bad sectors, runs, dense areas, and any size.
func randomMedium(t testing.TB, random *rand.Rand) *fakeMedium {
	sector := int64(512)
	if random.IntN(2) == 0 {
		sector = 4096
	}
	size := random.Int64N(6*mib) + 1
	medium := newMedium(t, size, sector)
	sectors := (size + sector - 1) / sector
	for range random.IntN(6) {
		from, n := random.Int64N(sectors), int64(1)
		chance := 1.0
		switch random.IntN(4) {
		case 0:
			n = random.Int64N(12) + 1
		case 1:
			n = random.Int64N(sectors) + 1
		case 2:
			n, chance = random.Int64N(200)+1, 0.4
		}
		for s := from; s < min(from+n, sectors); s++ {
			if random.Float64() < chance {
				medium.bad[s] = forever
			}
		}
	}
	return medium
}

func TestRandom(t *testing.T) {
	for seed := range uint64(60) {
		medium := randomMedium(t, rand.New(rand.NewPCG(seed, 1)))
		rescueAll(t, medium, Options{Retries: int(seed % 3)})
		checkReads(t, medium, int(seed%3))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// FuzzRun lets the fuzzer choose size, sector and bad runs.
func FuzzRun(f *testing.F) {
	f.Add(uint32(3*mib), true, []byte{0, 1, 5, 200, 3, 9})
	f.Add(uint32(1), false, []byte{0, 0, 1})
	f.Fuzz(func(t *testing.T, size uint32, small bool, runs []byte) {
		sector := int64(4096)
		if small {
			sector = 512
		}
		n := int64(size)%(4*mib) + 1
		medium := newMedium(t, n, sector)
		sectors := (n + sector - 1) / sector
		for ; len(runs) >= 3; runs = runs[3:] {
			from := (int64(runs[0])<<8 | int64(runs[1])) % sectors
			for s := from; s < min(from+int64(runs[2]), sectors); s++ {
				medium.bad[s] = forever
			}
		}
		rescueAll(t, medium, Options{Retries: 1})
		checkReads(t, medium, 1)
	})
}

// TestResume ends a run at every read and goes on from the map as saved there: nothing finished is read again, and the
// end is the same.
func TestResume(t *testing.T) {
	for _, c := range []struct {
		size, sector int64
		bad          []int64
		slow         bool
	}{
		{5*mib + 300, 512, []int64{0, 900, 3000, 3001, 6000, 10240}, false},
		{4 * mib, 4096, span(200, 900, 3), false},
		{24 * mib, 4096, []int64{1000, 3500}, true},
	} {
		opts := Options{SectorBytes: c.sector, Retries: 2}
		fresh := func() *fakeMedium {
			medium := newMedium(t, c.size, c.sector, c.bad...)
			if c.slow {
				medium.slowBetween(10*mib, 18*mib)
			}
			return medium
		}
		whole := fresh()
		want, _ := rescueAll(t, whole, with(opts, whole))
		total := len(whole.log)
		step := max(1, total/100)
		for n := 1; n < total; n += step {
			first := fresh()
			m, img := newMap(t, c.size), newImage(t, c.size)
			saved := stopAfter(t, n, first, img, m, with(opts, first))
			if len(first.log) != n {
				t.Fatalf("stopped after %d reads, but there were %d", n, len(first.log))
			}
			second, again := fresh(), parse(t, saved)
			if err := Run(t.Context(), second, img, again, with(opts, second)); err != nil {
				t.Fatal(err)
			}
			// img refuses bytes that are stored twice; here, that they are not read in vain either.
			done := parse(t, saved)
			for _, a := range second.log {
				if touches(done, a) {
					t.Fatalf("stopped after %d: %d bytes at %d are read again", n, a.n, a.off)
				}
			}
			checkEnd(t, second, img, again)
			if got := encode(t, again); body(got) != body(encode(t, want)) {
				t.Fatalf("stopped after %d reads, the end is\n%swant\n%s", n, got, encode(t, want))
			}
			if t.Failed() {
				t.Fatalf("stopped after %d of %d reads", n, total)
			}
		}
	}
}

func with(opts Options, medium *fakeMedium) Options {
	if medium.took != nil {
		opts.SlowRelative = true
		opts.Now = medium.clock
	}
	return opts
}

func touches(m *image.Map, a access) bool {
	part, ok := m.Next(a.off, image.Finished)
	return ok && part.Offset < a.off+a.n
}

// TestResumeRetry goes on in the retry pass, and at the place in it, where the run ended: no sector is tried more often
// than it would have been.
func TestResumeRetry(t *testing.T) {
	bad := []int64{5, 6, 700, 1500}
	for n := 1; n <= 3*len(bad); n++ {
		medium := newMedium(t, mib, 512, bad...)
		m, img := newMap(t, mib), newImage(t, mib)
		if err := Run(t.Context(), medium, img, m, Options{SectorBytes: 512}); err != nil {
			t.Fatal(err)
		}
		medium.log = nil
		opts := Options{SectorBytes: 512, Retries: 3}
		saved := parse(t, stopAfter(t, n, medium, img, m, opts))
		if err := Run(t.Context(), medium, img, saved, opts); err != nil {
			t.Fatal(err)
		}
		var want []access
		for pass := 1; pass <= 3; pass++ {
			for i := range bad {
				if pass%2 == 0 {
					i = len(bad) - 1 - i
				}
				want = append(want, access{bad[i] * 512, 512, false})
			}
		}
		if !slices.Equal(medium.log, want) {
			t.Fatalf("stopped after %d retries: reads %v, want %v", n, medium.log, want)
		}
	}
}

// TestFlaky recovers what fails at first and reads later, and tells what needed a retry.
func TestFlaky(t *testing.T) {
	medium := newMedium(t, 2*mib, 512)
	medium.bad[10] = 1    // fails in the block, reads alone
	medium.bad[2047] = 40 // reads after some retries
	medium.bad[2048] = 41 // its neighbour, in the next group
	medium.bad[4000] = forever
	m, recovered := rescueAll(t, medium, Options{Retries: 45})
	if slices.Sort(recovered); !slices.Equal(recovered, []int64{2047, 2048}) {
		t.Errorf("recovered sectors %v, want 2047 and 2048", recovered)
	}
	if got := m.Total(image.Bad); got.SizeBytes != 512 {
		t.Errorf("bad at the end: %+v, want one sector", got)
	}
}

// A part of the medium that gives nothing ends a run that has a limit long before all of it is tried; single bad places,
// however many, do not, and with a limit above it the run goes through.
func TestMaxBadOfADeadPart(t *testing.T) {
	const size, from, to = 1024 * mib, 300 * mib, 900 * mib
	reads, failed := 0, 0
	source := readerFunc(func(p []byte, off int64) (int, error) {
		reads++
		if off < to && off+int64(len(p)) > from {
			failed++
			return 0, errBad
		}
		return len(p), nil
	})
	discard := storeFunc(func(int64, []byte) error { return nil })
	m := newMap(t, size)
	if err := Run(t.Context(), source, discard, m, Options{SectorBytes: 4096, MaxBadBytes: 100 * mib}); !errors.Is(err, ErrTooManyBad) {
		t.Fatalf("%v, want ErrTooManyBad", err)
	}
	if m.State().Phase != image.PhaseCopying || failed > 300 || m.Total(image.Bad).SizeBytes > 0 {
		t.Errorf("it ended after %d failed of %d reads in phase %q with %+v, want to stop while copying, with at most half of it tried", failed, reads, m.State().Phase, m.Totals())
	}
	scattered := newMedium(t, 64*mib, 512, span(1000, 64*2048, 2*2048)...)
	rescueAll(t, scattered, Options{MaxBadBytes: 32 * 512})
	if _, failed := scattered.reads(); failed < 100 {
		t.Fatalf("%d reads failed, and the test shows nothing", failed)
	}
	if err := Run(t.Context(), source, discard, m, Options{SectorBytes: 4096, MaxBadBytes: 600 * mib}); err != nil || m.Total(image.Bad).SizeBytes != 600*mib {
		t.Errorf("with a limit of 600 MiB: %v, %+v", err, m.Totals())
	}
}

// TestEverySecondSector is the worst map of 64 MiB.
func TestEverySecondSector(t *testing.T) {
	medium := newMedium(t, 64*mib, 512, span(1, 64*2048, 2)...)
	m, _ := rescueAll(t, medium, Options{})
	if m.Ranges() != 64*2048 {
		t.Errorf("%d ranges, want %d", m.Ranges(), 64*2048)
	}
	all, failed := medium.reads()
	t.Logf("%d reads, %d failed", all, failed)
}

func TestMapLimit(t *testing.T) {
	medium := newMedium(t, 2*mib, 512, span(0, 4096, 2)...)
	m, err := image.NewMap(2*mib, image.MapLimits{Ranges: 100})
	if err != nil {
		t.Fatal(err)
	}
	img := newImage(t, 2*mib)
	if err := Run(t.Context(), medium, img, m, Options{SectorBytes: 512}); !errors.Is(err, image.ErrMapTooLarge) {
		t.Fatalf("%v, want ErrMapTooLarge", err)
	}
	for part := range m.All() {
		if part.Status == image.Finished && !img.stored[part.Offset/unit] {
			t.Errorf("%+v was not stored", part)
		}
	}
}

func TestMaxBad(t *testing.T) {
	medium := newMedium(t, 4*mib, 512, span(1000, 2000, 1)...)
	m, img := newMap(t, 4*mib), newImage(t, 4*mib)
	opts := Options{SectorBytes: 512, MaxBadBytes: 10 * 512}
	if err := Run(t.Context(), medium, img, m, opts); !errors.Is(err, ErrTooManyBad) {
		t.Fatalf("%v, want ErrTooManyBad", err)
	}
	if got := m.Total(image.Bad).SizeBytes; got != 11*512 {
		t.Errorf("%d bytes bad when it ended, want %d", got, 11*512)
	}
	before := len(medium.log)
	if err := Run(t.Context(), medium, img, m, opts); !errors.Is(err, ErrTooManyBad) || len(medium.log) != before {
		t.Errorf("again: %v, %d reads, want ErrTooManyBad and none", err, len(medium.log)-before)
	}
	opts.MaxBadBytes = 1000 * 512
	if err := Run(t.Context(), medium, img, m, opts); err != nil {
		t.Fatal(err)
	}
	checkEnd(t, medium, img, m)
}

// readerFunc is a source that fails as it likes.
type readerFunc func(p []byte, off int64) (int, error)

func (f readerFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

type storeFunc func(off int64, p []byte) error

func (f storeFunc) Store(off int64, p []byte) error { return f(off, p) }

// TestEndsAtOnce ends a run at the first error that does not say a place is bad, with the map still right.
func TestEndsAtOnce(t *testing.T) {
	lost := errors.New("no such device")
	full := errors.New("no space left")
	for _, c := range []struct {
		name  string
		n     int
		err   error
		store error
		want  error
	}{
		{"device lost", 0, lost, nil, lost},
		{"device lost behind a whole read", mib, lost, nil, lost},
		{"request not understood", 0, syscall.EINVAL, nil, syscall.EINVAL},
		{"plain EIO", 0, syscall.EIO, nil, syscall.EIO},
		{"clean end too early", 0, io.EOF, nil, io.ErrUnexpectedEOF},
		{"short and no error", 512, nil, nil, io.ErrUnexpectedEOF},
		{"destination full", mib, nil, full, full},
	} {
		reads := 0
		source := readerFunc(func(p []byte, off int64) (int, error) {
			if reads++; reads == 3 {
				return c.n, c.err
			}
			return len(p), io.EOF // as io.ReaderAt may at the end
		})
		sink := storeFunc(func(off int64, _ []byte) error {
			if off == 2*mib {
				return c.store
			}
			return nil
		})
		m, events := newMap(t, 5*mib), 0
		err := Run(t.Context(), source, sink, m, Options{SectorBytes: 512, Event: func(Event) { events++ }})
		if !errors.Is(err, c.want) || errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		want := []image.Range{{Offset: 0, SizeBytes: 2 * mib, Status: image.Finished}, {Offset: 2 * mib, SizeBytes: 3 * mib, Status: image.NonTried}}
		if got := slices.Collect(m.All()); !slices.Equal(got, want) || reads != 3 || events != 2 {
			t.Errorf("%s: map %v, %d reads, %d events", c.name, got, reads, events)
		}
		if state := m.State(); state != (image.MapState{Position: 2 * mib, Phase: image.PhaseCopying, Pass: 1}) {
			t.Errorf("%s: state %+v", c.name, state)
		}
	}
}

// TestHungRead returns when the context ends, though the read does not, and leaves the buffer alone.
func TestHungRead(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the operator had enough")
	hang, written := make(chan struct{}), make(chan struct{})
	source := readerFunc(func(p []byte, _ int64) (int, error) {
		cancel(stop)
		<-hang
		p[0], p[len(p)-1] = 1, 1 // would fault if the memory had been given back
		close(written)
		return len(p), nil
	})
	m := newMap(t, 2*mib)
	err := Run(ctx, source, storeFunc(func(int64, []byte) error { return nil }), m, Options{SectorBytes: 512})
	if !errors.Is(err, stop) {
		t.Errorf("%v, want the cause", err)
	}
	if m.Total(image.NonTried).SizeBytes != 2*mib {
		t.Errorf("the map has %+v", m.Totals())
	}
	close(hang)
	<-written
}

func TestRefuses(t *testing.T) {
	medium := newMedium(t, mib, 512)
	for _, opts := range []Options{
		{}, {SectorBytes: 256}, {SectorBytes: 1000}, {SectorBytes: 2 * mib}, {SectorBytes: -512},
		{SectorBytes: 512, Retries: -1}, {SectorBytes: 512, MaxBadBytes: -1}, {SectorBytes: 512, SlowBytesPerSecond: -1},
	} {
		if err := Run(t.Context(), medium, newImage(t, mib), newMap(t, mib), opts); err == nil {
			t.Errorf("options %+v were taken", opts)
		}
	}
	m := newMap(t, mib)
	if err := m.Set(512, 1024, image.Finished); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), medium, newImage(t, mib), m, Options{SectorBytes: 4096}); !errors.Is(err, ErrUnaligned) {
		t.Errorf("a map of smaller sectors: %v, want ErrUnaligned", err)
	}
	if len(medium.log) > 0 {
		t.Errorf("%d reads", len(medium.log))
	}
	if err := Run(t.Context(), medium, newImage(t, mib), m, Options{SectorBytes: 512}); err != nil {
		t.Errorf("with its own sectors: %v", err)
	}
}

// body is what a map says of the ranges.
func body(text string) string {
	_, ranges, _ := strings.Cut(text, "size  status\n")
	return ranges
}
