package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

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
