package layout

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestEncodeDecode(t *testing.T) {
	for number, want := range map[string]string{
		"7": "7", "A-1_b": "A-1_b", "7/a": "7%2Fa", "..": "%2E%2E", "a.b": "a%2Eb", "é": "%C3%A9", "%": "%25", " ": "%20",
		"con1": "con1", "COM10": "COM10", "a\nb": "a%0Ab",
	} {
		got, err := Encode(number)
		if err != nil || got != want {
			t.Errorf("Encode(%q) = %q, %v; want %q", number, got, err, want)
		}
		if back, err := Decode(got); err != nil || back != number {
			t.Errorf("Decode(%q) = %q, %v; want %q", got, back, err, number)
		}
	}
	for _, number := range []string{"", "CON", "nul", "com1", "LPT9", "Aux", strings.Repeat("x", 181)} {
		if got, err := Encode(number); !errors.Is(err, ErrName) {
			t.Errorf("Encode(%q) = %q, %v; want ErrName", number, got, err)
		}
	}
	for _, name := range []string{"", "%", "%4", "%zz", "%41", "%2f", "a.b", "a/b", "nul"} {
		if got, err := Decode(name); !errors.Is(err, ErrName) {
			t.Errorf("Decode(%q) = %q, %v; want ErrName", name, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("7%2Fa")
	f.Add("%C3%A9")
	f.Fuzz(func(t *testing.T, name string) {
		number, err := Decode(name)
		if err != nil {
			return
		}
		if again, err := Encode(number); err != nil || again != name {
			t.Fatalf("Decode(%q) = %q, which encodes as %q (%v)", name, number, again, err)
		}
		if strings.ContainsAny(name, "/\\.:") {
			t.Fatalf("Decode accepted %q", name)
		}
	})
}

// The C2SP tlog-tiles names, as its text gives them.
func TestTilePath(t *testing.T) {
	for _, test := range []struct {
		level int
		n     int64
		width int
		want  string
	}{
		{0, 0, 256, "tile/0/000"}, {1, 5, 17, "tile/1/005.p/17"}, {0, 1234067, 256, "tile/0/x001/x234/067"},
		{-1, 1000, 1, "tile/entries/x001/000.p/1"},
	} {
		if got := TilePath(test.level, test.n, test.width); got != test.want {
			t.Errorf("TilePath(%d, %d, %d) = %q, want %q", test.level, test.n, test.width, got, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	random := bytes.NewReader(bytes.Repeat([]byte{0xff}, 100))
	id, err := NewAcquisitionID(time.Date(2026, 11, 23, 9, 15, 0, 0, time.FixedZone("", 3600)), random)
	if err != nil || id != "20261123T081500Z-ffffffff" {
		t.Errorf("NewAcquisitionID = %q, %v", id, err)
	}
	origin, err := NewOrigin(random)
	if err != nil || origin != strings.Repeat("7", 26)+".exhibit.invalid" {
		t.Errorf("NewOrigin = %q, %v", origin, err)
	}
	if _, err := NewOrigin(bytes.NewReader(nil)); err == nil {
		t.Error("NewOrigin made a name without randomness")
	}
	for got, want := range map[string]string{
		StatementFile(0):             "statement/000000/0.dsse.json",
		PersonalFile(1234):           "statement/000001/1234.personal.json",
		StatementFolder(999_999_999): "statement/999999",
		SegmentName("7", 0, false):   "7.raw",
		SegmentName("7", 998, true):  "7.999",
		CheckpointFile(12):           "checkpoints/12",
		must(ExhibitDir("7/a")):      "exhibits/7%2Fa",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestParseStart(t *testing.T) {
	for name, want := range map[string]bool{
		"2.quote": true, "17.eventlog": true, "0.quote": false, "02.quote": false, "-1.quote": false, "2": false, "2.": false, "2.log": false,
		"2.quote.": false, "x.quote": false, "1099511627776.quote": false, "": false,
	} {
		i, kind, ok := ParseStart(name)
		if ok != want || ok && StartFile(i, kind) != "attest/"+name {
			t.Errorf("ParseStart(%q) = %d, %q, %t", name, i, kind, ok)
		}
	}
}

func must(s string, err error) string {
	if err != nil {
		return err.Error()
	}
	return s
}
