package rescue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire/image"
)

const mib = 1 << 20

type access struct {
	off, n int64
	good   bool
}

// fakeMedium is a medium in memory that notes every read.
type fakeMedium struct {
	t      testing.TB
	data   []byte
	sector int64
	bad    map[int64]int                 // sector number: how many reads over it fail yet; for ever is a very large number
	took   func(off int64) time.Duration // of one read; nil is none
	now    time.Time
	log    []access
}

const forever = 1 << 60

var errBad = fmt.Errorf("sector: %w", ErrUnreadable)

// content is what every medium begins with.
var content = sync.OnceValue(func() []byte {
	data := make([]byte, 64*mib)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
	return data
})

func newMedium(t testing.TB, size, sector int64, bad ...int64) *fakeMedium {
	m := &fakeMedium{t: t, data: content()[:size], sector: sector, bad: map[int64]int{}, now: time.Unix(0, 0)}
	for _, s := range bad {
		m.bad[s] = forever
	}
	return m
}

func (m *fakeMedium) clock() time.Time { return m.now }

// slowBetween lets a read take 5 seconds, and 100 between two offsets.
func (m *fakeMedium) slowBetween(from, to int64) {
	m.took = func(off int64) time.Duration {
		if off >= from && off < to {
			return 100 * time.Second
		}
		return 5 * time.Second
	}
}

func (m *fakeMedium) ReadAt(p []byte, off int64) (int, error) {
	n := int64(len(p))
	switch {
	case n == 0 || n > BlockBytes || off < 0 || off+n > int64(len(m.data)):
		m.t.Errorf("read of %d bytes at %d of %d", n, off, len(m.data))
	case off%m.sector != 0 || n%m.sector != 0 && off+n != int64(len(m.data)):
		m.t.Errorf("read of %d bytes at %d is not of whole sectors", n, off)
	case off/BlockBytes != (off+n-1)/BlockBytes:
		m.t.Errorf("read of %d bytes at %d is of two groups", n, off)
	case cap(p) != BlockBytes:
		m.t.Errorf("capacity %d of a buffer", cap(p))
	}
	if m.took != nil {
		m.now = m.now.Add(m.took(off))
	}
	good := true
	for s := off / m.sector; s*m.sector < off+n; s++ {
		if m.bad[s] > 0 {
			m.bad[s]--
			good = false
		}
	}
	m.log = append(m.log, access{off, n, good})
	copy(p, m.data[off:])
	if !good {
		return len(p) / 2, errBad
	}
	return len(p), nil
}

// badRanges is the map that must come out.
func (m *fakeMedium) badRanges() []image.Range {
	var ranges []image.Range
	size := int64(len(m.data))
	for off := int64(0); off < size; off += m.sector {
		if m.bad[off/m.sector] == 0 {
			continue
		}
		n := min(m.sector, size-off)
		if last := len(ranges) - 1; last >= 0 && ranges[last].End() == off {
			ranges[last].SizeBytes += n
		} else {
			ranges = append(ranges, image.Range{Offset: off, SizeBytes: n, Status: image.Bad})
		}
	}
	return ranges
}

// unit is the finest that is stored, but for the end of the medium.
const unit = 512

// fakeImage takes what is stored, and refuses what is stored twice.
type fakeImage struct {
	t      testing.TB
	data   []byte
	stored []bool // by unit
}

func newImage(t testing.TB, size int64) *fakeImage {
	return &fakeImage{t, make([]byte, size), make([]bool, (size+unit-1)/unit)}
}

func (f *fakeImage) Store(off int64, p []byte) error {
	for at := off; at < off+int64(len(p)); at += unit {
		if f.stored[at/unit] {
			f.t.Errorf("offset %d is stored twice", at)
		}
		f.stored[at/unit] = true
	}
	copy(f.data[off:], p)
	return nil
}

func newMap(t testing.TB, size int64) *image.Map {
	t.Helper()
	m, err := image.NewMap(size, image.MapLimits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func encode(t testing.TB, m *image.Map) string {
	t.Helper()
	var text bytes.Buffer
	if err := m.Encode(&text, nil); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func parse(t testing.TB, text string) *image.Map {
	t.Helper()
	m, err := image.ParseMap(strings.NewReader(text), image.MapLimits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkEnd requires the end of a whole rescue: every good byte is there, once, and the map says exactly that.
func checkEnd(t testing.TB, medium *fakeMedium, img *fakeImage, m *image.Map) {
	t.Helper()
	if got, want := slices.Collect(m.Unread()), medium.badRanges(); !slices.Equal(got, want) {
		t.Errorf("unread %v, want %v", got, want)
	}
	if got := m.State().Phase; got != image.PhaseFinished {
		t.Errorf("phase %q, want finished", got)
	}
	for part := range m.All() {
		good := part.Status == image.Finished
		for off := part.Offset; off < part.End(); off += unit {
			if img.stored[off/unit] != good {
				t.Fatalf("offset %d: stored %v, the map says %q", off, img.stored[off/unit], part.Status)
			}
		}
		if good && !bytes.Equal(img.data[part.Offset:part.End()], medium.data[part.Offset:part.End()]) {
			t.Fatalf("the bytes from %d to %d differ", part.Offset, part.End())
		}
	}
}

// reads counts those of the log, and those that failed.
func (m *fakeMedium) reads() (all, failed int64) {
	for _, a := range m.log {
		if !a.good {
			failed++
		}
	}
	return int64(len(m.log)), failed
}

// rescueAll runs to the end and checks it, and that each read was reported. It returns the map and what retries read.
func rescueAll(t testing.TB, medium *fakeMedium, opts Options) (*image.Map, []int64) {
	t.Helper()
	size := int64(len(medium.data))
	m, img := newMap(t, size), newImage(t, size)
	opts.SectorBytes = medium.sector
	var told int
	var recovered []int64
	also := opts.Event
	opts.Event = func(e Event) {
		if told++; e.Phase == image.PhaseRetrying && e.Err == nil {
			recovered = append(recovered, e.Offset/medium.sector)
		}
		if also != nil {
			also(e)
		}
	}
	if err := Run(t.Context(), medium, img, m, opts); err != nil {
		t.Fatal(err)
	}
	checkEnd(t, medium, img, m)
	if told != len(medium.log) {
		t.Errorf("%d reads were reported, there were %d", told, len(medium.log))
	}
	return m, recovered
}

// stopAfter runs until n reads are reported and returns the map as it would have been saved then.
func stopAfter(t testing.TB, n int, medium *fakeMedium, img *fakeImage, m *image.Map, opts Options) string {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stop := errors.New("stopped")
	saved := ""
	opts.Event = func(Event) {
		if n--; n == 0 {
			saved = encode(t, m)
			cancel(stop)
		}
	}
	if err := Run(ctx, medium, img, m, opts); !errors.Is(err, stop) && err != nil {
		t.Fatalf("%v, want the cause of the context", err)
	}
	return saved
}
