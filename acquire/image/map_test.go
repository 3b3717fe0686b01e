package image

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// mapOf builds a map from runs like "8+ 3- 1?".
func mapOf(t testing.TB, runs string) *Map {
	t.Helper()
	m := &Map{limit: DefaultMapRanges, state: MapState{Phase: PhaseCopying, Pass: 1}}
	for _, run := range strings.Fields(runs) {
		var n int64
		var status byte
		if _, err := fmt.Sscanf(run, "%d%c", &n, &status); err != nil {
			t.Fatal(err)
		}
		if err := m.append(n, Status(status)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func runsOf(m *Map) string {
	var runs []string
	for r := range m.All() {
		runs = append(runs, fmt.Sprintf("%d%c", r.SizeBytes, r.Status))
	}
	return strings.Join(runs, " ")
}

func encode(t testing.TB, m *Map, comments ...string) string {
	t.Helper()
	var text bytes.Buffer
	if err := m.Encode(&text, comments); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// checkMap requires what the type promises, and that the totals are what the ranges come to.
func checkMap(t testing.TB, m *Map) {
	t.Helper()
	at, ranges, before := int64(0), 0, Status(0)
	var totals [256]Total
	for r := range m.All() {
		if r.Offset != at || r.SizeBytes <= 0 || r.Status == before || !r.Status.valid() {
			t.Fatalf("range %+v, %q before, expected at %d", r, before, at)
		}
		totals[r.Status].SizeBytes += r.SizeBytes
		totals[r.Status].Ranges++
		at, before, ranges = r.End(), r.Status, ranges+1
	}
	if at != m.Size() || ranges != m.Ranges() || totals != m.totals {
		t.Fatalf("ranges end at %d of %d; %d ranges, counted %d; totals %v, counted %v",
			at, m.Size(), m.Ranges(), ranges, m.Totals(), totals)
	}
	for i, chunk := range m.chunks {
		if len(chunk) == 0 || len(chunk) > maxChunk {
			t.Fatalf("chunk %d has %d entries", i, len(chunk))
		}
	}
}

// TestMapSet holds a map against an array with one status a byte.
func TestMapSet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int64{1, 2, 7, 100, 5000} {
		m, err := NewMap(size, MapLimits{})
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte{'?'}, int(size))
		for step := range 6000 {
			off := random.Int64N(size)
			n := 1 + random.Int64N(min(3, size-off))
			if step%500 == 499 {
				n = 1 + random.Int64N(size-off) // sweeps many ranges away
			}
			status := statuses[random.IntN(len(statuses))]
			if err := m.Set(off, n, status); err != nil {
				t.Fatal(err)
			}
			for i := off; i < off+n; i++ {
				want[i] = byte(status)
			}
			if step%50 == 0 || size < 10 {
				checkMap(t, m)
				compareMap(t, m, want, random.Int64N(size))
			}
		}
	}
}

func compareMap(t *testing.T, m *Map, want []byte, at int64) {
	t.Helper()
	for r := range m.All() {
		if got := want[r.Offset:r.End()]; len(bytes.Trim(got, string(r.Status))) > 0 {
			t.Fatalf("range %+v, but the array has %q", r, got)
		}
	}
	if got := m.At(at); got.Status != Status(want[at]) || got.Offset > at || got.End() <= at {
		t.Fatalf("At(%d) = %+v, want status %q", at, got, want[at])
	}
	for _, status := range statuses {
		next := bytes.IndexByte(want[at:], byte(status))
		got, ok := m.Next(at, status)
		if ok != (next >= 0) || ok && (got.Offset != at+int64(next) || got.End() != m.At(got.Offset).End()) {
			t.Fatalf("Next(%d, %q) = %+v %v, want %d bytes further", at, status, got, ok, next)
		}
		prev := bytes.LastIndexByte(want[:at], byte(status))
		got, ok = m.Prev(at, status)
		if ok != (prev >= 0) || ok && (got.End() != int64(prev)+1 || got.Offset != m.At(int64(prev)).Offset) {
			t.Fatalf("Prev(%d, %q) = %+v %v, want it to end behind %d", at, status, got, ok, prev)
		}
	}
}

func TestMapSetRefuses(t *testing.T) {
	m := mapOf(t, "4+ 4?")
	for _, c := range []struct {
		off, n int64
		status Status
	}{{-1, 1, Bad}, {0, 0, Bad}, {0, -1, Bad}, {0, 9, Bad}, {8, 1, Bad}, {7, math.MaxInt64, Bad}, {0, 1, 'x'}, {0, 1, 0}} {
		if err := m.Set(c.off, c.n, c.status); !errors.Is(err, ErrMap) {
			t.Errorf("Set(%d, %d, %q) = %v, want ErrMap", c.off, c.n, c.status, err)
		}
	}
	if got := runsOf(m); got != "4+ 4?" {
		t.Errorf("after refusals the map is %s", got)
	}
	if _, err := NewMap(-1, MapLimits{}); !errors.Is(err, ErrMap) {
		t.Errorf("a map of -1 bytes: %v, want ErrMap", err)
	}
	for _, state := range []MapState{{-1, PhaseCopying, 1}, {0, PhaseCopying, 0}, {0, 'x', 1}, {}} {
		if err := m.SetState(state); !errors.Is(err, ErrMap) {
			t.Errorf("SetState(%v) = %v, want ErrMap", state, err)
		}
	}
}

// TestMapLimit fills a map to its limit: nothing that fits is refused, nothing that does not is taken.
func TestMapLimit(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const limit = 9
	m, err := NewMap(60, MapLimits{Ranges: limit})
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for range 20000 {
		off := random.Int64N(60)
		n := 1 + random.Int64N(min(12, 60-off))
		status := statuses[random.IntN(len(statuses))]
		free := mapOf(t, runsOf(m))
		if err := free.Set(off, n, status); err != nil {
			t.Fatal(err)
		}
		before := runsOf(m)
		err := m.Set(off, n, status)
		if free.Ranges() > limit {
			refused++
			if !errors.Is(err, ErrMapTooLarge) || runsOf(m) != before {
				t.Fatalf("Set(%d, %d, %q) of %s, %d ranges: %v, then %s", off, n, status, before, free.Ranges(), err, runsOf(m))
			}
			continue
		}
		if err != nil || runsOf(m) != runsOf(free) {
			t.Fatalf("Set(%d, %d, %q) of %s: %v, then %s, want %s", off, n, status, before, err, runsOf(m), runsOf(free))
		}
		checkMap(t, m)
	}
	if refused < 1000 {
		t.Errorf("only %d refusals: the test tries nothing", refused)
	}
}

// TestMapEverySecondSector makes the map of 64 MiB of which every second sector is bad, in three orders. It would take
// minutes if one Set moved all that follows.
func TestMapEverySecondSector(t *testing.T) {
	const size, sector = 64 << 20, 512
	order := make([]int64, size/sector/2)
	for i := range order {
		order[i] = int64(i)
	}
	shuffled := slices.Clone(order)
	rand.New(rand.NewPCG(5, 6)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	backwards := slices.Clone(order)
	slices.Reverse(backwards)
	for _, order := range [][]int64{order, backwards, shuffled} {
		m, err := NewMap(size, MapLimits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range order {
			if err := m.Set(2*i*sector, sector, Bad); err != nil {
				t.Fatal(err)
			}
		}
		checkMap(t, m)
		if got := m.Ranges(); got != 131072 {
			t.Fatalf("%d ranges, want 131072", got)
		}
		for off := int64(0); off < size; off += 128 * sector {
			if err := m.Set(off, 126*sector, Finished); err != nil {
				t.Fatal(err)
			}
		}
		checkMap(t, m)
		if most := m.Ranges() / (maxChunk / 16); len(m.chunks) > most {
			t.Errorf("%d ranges lie in %d chunks, want at most %d", m.Ranges(), len(m.chunks), most)
		}
		if err := m.Set(0, size, Finished); err != nil {
			t.Fatal(err)
		}
		if m.Ranges() != 1 || len(m.chunks) != 1 {
			t.Errorf("finished, the map has %d ranges in %d chunks, want 1 in 1", m.Ranges(), len(m.chunks))
		}
	}
}

func BenchmarkMapSet(b *testing.B) {
	const size, sector = 64 << 20, 512
	for b.Loop() {
		m, err := NewMap(size, MapLimits{})
		if err != nil {
			b.Fatal(err)
		}
		for off := int64(0); off < size; off += 2 * sector {
			if err := m.Set(size-sector-off, sector, Bad); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func TestMapUnread(t *testing.T) {
	m := mapOf(t, "1+ 2- 3/ 4+ 5*")
	want := []Range{{1, 2, Bad}, {3, 3, NonScraped}, {10, 5, NonTrimmed}}
	if got := slices.Collect(m.Unread()); !slices.Equal(got, want) {
		t.Errorf("Unread() = %v, want %v", got, want)
	}
	if got := slices.Collect(mapOf(t, "9+").Unread()); got != nil {
		t.Errorf("Unread() of a finished map = %v", got)
	}
	totals := MapTotals{NonTrimmed: Total{5, 1}, NonScraped: Total{3, 1}, Bad: Total{2, 1}, Finished: Total{5, 2}}
	if got := m.Totals(); got != totals || got.Finished != m.Total(Finished) {
		t.Errorf("Totals() = %+v, want %+v", got, totals)
	}
}
