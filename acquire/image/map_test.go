package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
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

// manualMap is the example of ddrescue's manual.
const manualMap = `# Mapfile. Created by GNU ddrescue version 1.25
# Command line: ddrescue -d -c18 /dev/fd0 fdimage mapfile
# Start time:   2015-07-21 09:37:44
# Current time: 2015-07-21 09:38:19
# Copying non-tried blocks... Pass 1 (forwards)
# current_pos  current_status  current_pass
0x00120000     ?               1
#      pos        size  status
0x00000000  0x00117000  +
0x00117000  0x00000200  -
0x00117200  0x00001000  /
0x00118200  0x00007E00  *
0x00120000  0x00048000  ?
`

func TestMapManual(t *testing.T) {
	m, err := ParseMap(strings.NewReader(manualMap), MapLimits{})
	if err != nil {
		t.Fatal(err)
	}
	checkMap(t, m)
	if got, want := runsOf(m), "1142784+ 512- 4096/ 32256* 294912?"; got != want {
		t.Errorf("ranges %s, want %s", got, want)
	}
	if got, want := m.State(), (MapState{0x120000, PhaseCopying, 1}); got != want {
		t.Errorf("state %v, want %v", got, want)
	}
	var comments []string
	for line := range strings.Lines(manualMap[:strings.Index(manualMap, "# current_pos")]) {
		comments = append(comments, strings.TrimSuffix(line[2:], "\n"))
	}
	if got := encode(t, m, comments...); got != manualMap {
		t.Errorf("encoded:\n%s", got)
	}
}

func TestMapEncodeWide(t *testing.T) {
	m := mapOf(t, "6597069766656+ 9223365439785009151-") // 6 TiB, and up to 2^63-1
	want := "# current_pos  current_status  current_pass\n0x00000000     ?               1\n#      pos        size  status\n" +
		"0x00000000  0x60000000000  +\n0x60000000000  0x7FFFF9FFFFFFFFFF  -\n"
	if got := encode(t, m); got != want {
		t.Errorf("encoded:\n%swant:\n%s", got, want)
	}
	for _, comment := range []string{"a\nb", "a\rb", "\x00", "\x7f"} {
		if err := m.Encode(io.Discard, []string{comment}); !errors.Is(err, ErrMap) {
			t.Errorf("comment %q: %v, want ErrMap", comment, err)
		}
	}
}

func TestParseMapForms(t *testing.T) {
	long := "# " + strings.Repeat("x", 3*maxMapLine) + "\n"
	for _, c := range []struct{ name, text, want string }{
		{"decimal", "0 + 1\n0 16 +\n16 4 -\n", "16+ 4-"},
		{"octal and hexadecimal", "010 ? 1\n00 020 +\n0X10 0xfF ?\n", "16+ 255?"},
		{"no pass, as before 1.22", "0x10 /\n0 9 /\n", "9/"},
		{"comments behind, blanks, tabs", "\n  0 + 1 # so\n \t\n0\t16\t+\t#  0 B é\n16 4 -\n", "16+ 4-"},
		{"long comment", long + "0 + 1\n" + long + "0 16 +\n", "16+"},
		{"one status in two lines", "0 + 1\n0 16 +\n16 4 +\n20 1 -\n", "20+ 1-"},
		{"no ranges", "0 ? 1\n", ""},
		{"a medium without bytes", "0x0 + 1\n0x00000000  0x00000000  ?\n", ""},
		{"greatest", "0 + 1\n0 0x7FFFFFFFFFFFFFFF ?\n", "9223372036854775807?"},
	} {
		m, err := ParseMap(strings.NewReader(c.text), MapLimits{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		checkMap(t, m)
		if got := runsOf(m); got != c.want {
			t.Errorf("%s: ranges %s, want %s", c.name, got, c.want)
		}
	}
}

// badMaps are texts with one fault each.
var badMaps = []struct {
	name, text string
	limits     MapLimits
	want       error
}{
	{"nothing", "", MapLimits{}, ErrMap},
	{"comments only", "# a\n", MapLimits{}, ErrMap},
	{"gap", "0 + 1\n0 4 +\n5 1 -\n", MapLimits{}, ErrMap},
	{"gap at the beginning", "0 + 1\n1 4 +\n", MapLimits{}, ErrMap},
	{"overlap", "0 + 1\n0 4 +\n3 1 -\n", MapLimits{}, ErrMap},
	{"wrong order", "0 + 1\n4 4 +\n0 4 -\n", MapLimits{}, ErrMap},
	{"overflow of the sum", "0 + 1\n0 4 +\n4 0x7FFFFFFFFFFFFFFF -\n", MapLimits{}, ErrMap},
	{"overflow of a number", "0 + 1\n0 0x8000000000000000 +\n", MapLimits{}, ErrMap},
	{"negative", "0 + 1\n0 -4 +\n", MapLimits{}, ErrMap},
	{"plus sign", "0 + 1\n0 +4 +\n", MapLimits{}, ErrMap},
	{"underscore", "0 + 1\n0 1_0 +\n", MapLimits{}, ErrMap},
	{"binary", "0 + 1\n0 0b1 +\n", MapLimits{}, ErrMap},
	{"0o octal", "0 + 1\n0 0o7 +\n", MapLimits{}, ErrMap},
	{"bad octal", "0 + 1\n0 08 +\n", MapLimits{}, ErrMap},
	{"bare 0x", "0 + 1\n0 0x +\n", MapLimits{}, ErrMap},
	{"unit", "0 + 1\n0 4k +\n", MapLimits{}, ErrMap},
	{"unknown status", "0 + 1\n0 4 x\n", MapLimits{}, ErrMap},
	{"phase as a status", "0 + 1\n0 4 F\n", MapLimits{}, ErrMap},
	{"two statuses", "0 + 1\n0 4 +-\n", MapLimits{}, ErrMap},
	{"status without a blank", "0 + 1\n0 4+\n", MapLimits{}, ErrMap},
	{"no status", "0 + 1\n0 4\n", MapLimits{}, ErrMap},
	{"a fourth word", "0 + 1\n0 4 + 5\n", MapLimits{}, ErrMap},
	{"empty range", "0 + 1\n0 4 +\n4 0 -\n", MapLimits{}, ErrMap},
	{"range behind an empty one", "0 + 1\n0 0 ?\n0 4 +\n", MapLimits{}, ErrMap},
	{"unknown phase", "0 x 1\n0 4 +\n", MapLimits{}, ErrMap},
	{"no phase", "0\n0 4 +\n", MapLimits{}, ErrMap},
	{"pass 0", "0 + 0\n0 4 +\n", MapLimits{}, ErrMap},
	{"pass in hexadecimal", "0 + 0x1\n0 4 +\n", MapLimits{}, ErrMap},
	{"fourth word of the state", "0 + 1 1\n0 4 +\n", MapLimits{}, ErrMap},
	{"no status line", "0 4 +\n4 4 -\n", MapLimits{}, ErrMap},
	{"no last newline", "0 + 1\n0 4 +", MapLimits{}, ErrMap},
	{"cut", manualMap[:len(manualMap)-4], MapLimits{}, ErrMap},
	{"carriage return", "0 + 1\r\n0 4 +\r\n", MapLimits{}, ErrMap},
	{"zero byte", "0 + 1\n0 4 +\n\x00\n", MapLimits{}, ErrMap},
	{"no-break space", "0 + 1\n0\u00a04 +\n", MapLimits{}, ErrMap},
	{"long line", "0 + 1\n0" + strings.Repeat(" ", maxMapLine) + "4 +\n", MapLimits{}, ErrMap},
	{"more ranges than allowed", "0 + 1\n0 4 +\n4 4 -\n", MapLimits{Ranges: 1}, ErrMapTooLarge},
	{"more bytes than allowed", "0 + 1\n0 4 +\n", MapLimits{SizeBytes: 11}, ErrMapTooLarge},
	{"a comment longer than allowed", "# " + strings.Repeat("x", 9000), MapLimits{SizeBytes: 8000}, ErrMapTooLarge},
}

func TestParseMapRefuses(t *testing.T) {
	for _, c := range badMaps {
		if m, err := ParseMap(strings.NewReader(c.text), c.limits); !errors.Is(err, c.want) || m != nil {
			t.Errorf("%s: %v, %v, want %v", c.name, m, err, c.want)
		}
	}
	if _, err := ParseMap(strings.NewReader("0 + 1\n0 4 +\n"), MapLimits{SizeBytes: 12, Ranges: 1}); err != nil {
		t.Errorf("a map exactly at its limits: %v", err)
	}
	broken := io.MultiReader(strings.NewReader("0 + 1\n0 4 +\n"), errReader{})
	if _, err := ParseMap(broken, MapLimits{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a failing reader: %v, want its error", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// FuzzParseMap requires that what parses is sound, and that its text is read back to the same text.
func FuzzParseMap(f *testing.F) {
	f.Add([]byte(manualMap))
	f.Add([]byte("010 F 7\n00 020 +\n0X10 0xfF ?\n271 1 - # x\n"))
	f.Add([]byte("0 ? 1\n0 0 ?\n"))
	for _, c := range badMaps {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		limits := MapLimits{Ranges: 1000, SizeBytes: 1 << 20}
		m, err := ParseMap(bytes.NewReader(text), limits)
		if err != nil {
			if m != nil || !errors.Is(err, ErrMap) && !errors.Is(err, ErrMapTooLarge) {
				t.Fatalf("map %v, error %v", m, err)
			}
			return
		}
		checkMap(t, m)
		canonical := encode(t, m, "fuzz")
		again, err := ParseMap(strings.NewReader(canonical), limits)
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, canonical)
		}
		if got := encode(t, again, "fuzz"); got != canonical {
			t.Fatalf("written:\n%sread and written again:\n%s", canonical, got)
		}
	})
}

// run runs a tool and requires its exit code.
func run(t *testing.T, code int, tool string, args ...string) string {
	t.Helper()
	command := exec.Command(tool, args...)
	out, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	if got := command.ProcessState.ExitCode(); got != code {
		t.Fatalf("%s %q: exit code %d, want %d\n%s", tool, args, got, code, out)
	}
	return string(out)
}

func writeFile(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMapDdrescuelog lets ddrescuelog read our maps and compare them with what it makes itself.
func TestMapDdrescuelog(t *testing.T) {
	tool := testtool.Need(t, "ddrescuelog")[0]
	dir := t.TempDir()
	m := mapOf(t, "4096+ 512- 3584+ 1024/ 8192* 2048? 1024- 6597069766656+")
	ours := writeFile(t, dir, "ours.map", []byte(encode(t, m, "Mapfile. Created by a test", "Command line: a b")))

	status := run(t, 0, tool, "-t", ours)
	for _, want := range []string{"current status: copying", "bad-sector:     1536 B", "non-scraped:     1024 B", "non-trimmed:     8192 B"} {
		if !strings.Contains(status, want) {
			t.Errorf("ddrescuelog -t does not say %q:\n%s", want, status)
		}
	}
	if got, want := run(t, 0, tool, "-l-", ours), "8\n38\n39\n"; got != want {
		t.Errorf("ddrescuelog -l- lists %q, want %q", got, want)
	}
	run(t, 1, tool, "-D", ours)

	// Changing no type makes ddrescuelog write the map in its own hand.
	theirs := run(t, 0, tool, "-a", "?,?", ours)
	run(t, 0, tool, "-p", writeFile(t, dir, "theirs.map", []byte(theirs)), ours)
	parsed, err := ParseMap(strings.NewReader(theirs), MapLimits{})
	if err != nil {
		t.Fatal(err)
	}
	body := func(text string) string { return text[strings.Index(text, "# current_pos"):] }
	if got := encode(t, parsed); got != body(theirs) || got != encode(t, m) {
		t.Errorf("ddrescuelog writes\n%swe write\n%s", body(theirs), got)
	}
	// Its comments behind the numbers do no harm.
	annotated, err := ParseMap(strings.NewReader(run(t, 0, tool, "-A", ours)), MapLimits{})
	if err != nil || runsOf(annotated) != runsOf(m) {
		t.Errorf("annotated: %v, %v", annotated, err)
	}

	if err := m.Set(0, 512, Bad); err != nil {
		t.Fatal(err)
	}
	other := writeFile(t, dir, "other.map", []byte(encode(t, m)))
	run(t, 1, tool, "-p", other, ours)
	empty := writeFile(t, dir, "empty.map", []byte(encode(t, mapOf(t, ""))))
	run(t, 0, tool, "-t", empty)
}

// TestMapDdrescue lets ddrescue go on from a map of ours, and reads the maps it leaves half-way and at the end.
func TestMapDdrescue(t *testing.T) {
	tool := testtool.Need(t, "ddrescue")[0]
	dir := t.TempDir()
	data := make([]byte, 300<<10+100)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	medium := writeFile(t, dir, "medium", data)
	// What ddrescue is to find: these sectors are bad.
	truth := mapOf(t, "4096+ 512- 15872+ 1536- 285284+")
	if truth.Size() != int64(len(data)) {
		t.Fatal("the truth does not fit the medium")
	}
	faults := writeFile(t, dir, "truth.map", []byte(encode(t, truth)))

	// Ours has 64 KiB finished, wrongly in the output, so that it is seen whether ddrescue reads them again.
	m := mapOf(t, fmt.Sprintf("131072? 65536+ %d?", len(data)-196608))
	mapfile := writeFile(t, dir, "ours.map", []byte(encode(t, m, "Mapfile. Created by a test")))
	output := writeFile(t, dir, "output", bytes.Repeat([]byte{'x'}, 196608))

	run(t, 1, tool, "-q", "-X", "0", "-H", faults, medium, output, mapfile) // stops at the first error
	half := parseFile(t, mapfile)
	if half.Total(NonTrimmed).SizeBytes == 0 || half.State().Phase != PhaseCopying {
		t.Errorf("half-way: %s, state %v", runsOf(half), half.State())
	}
	run(t, 0, tool, "-q", "-H", faults, medium, output, mapfile)
	done := parseFile(t, mapfile)
	if got, want := runsOf(done), runsOf(truth); got != want || done.State().Phase != PhaseFinished {
		t.Errorf("at the end: %s, want %s; state %v", got, want, done.State())
	}
	got, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(data)
	copy(want[131072:], bytes.Repeat([]byte{'x'}, 65536))
	for r := range truth.Unread() {
		copy(want[r.Offset:r.End()], bytes.Repeat([]byte{'x'}, int(r.SizeBytes)))
	}
	if !bytes.Equal(got, want) {
		t.Error("ddrescue did not go on from our map")
	}
}

func parseFile(t *testing.T, path string) *Map {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := ParseMap(f, MapLimits{})
	if err != nil {
		t.Fatal(err)
	}
	checkMap(t, m)
	return m
}
