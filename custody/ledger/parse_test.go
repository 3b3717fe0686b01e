package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// sharedSample is a small log, as files.
var sharedSample = sync.OnceValue(func() *sample {
	w := sharedWorld()
	keyed := Checkpoint{Origin: w.opened.Origin, Size: 300, Root: tlog.Hash{1, 2, 3}}
	note := must(w.log.Sign(keyed.Origin, keyed.Text()))
	heads := headsFile{checkpoint: sha256.Sum256([]byte(note)), size: 5}
	heads.parts[7] = sum{7}
	return &sample{
		text:    keyed.Text(),
		proof:   Proof{Index: 255, Hashes: []tlog.Hash{{1}, {2}}, Checkpoint: []byte(note)}.Encode(),
		pending: must(encodePending([]byte(note), 0)),
		heads:   heads.encode(sampleKey),
		part:    encodePart(map[string]head{samplePart: {[]int64{1, 4}, samplePart, record.LeafHash{1}}}),
	}
})

// sampleKey is the key of sample heads.
var sampleKey = []byte("a key")

type sample struct {
	text                  string
	proof, pending, heads []byte
	part                  []byte // of samplePart, in a log of 5 entries
}

const samplePart = "7/a"

func TestParseCheckpointRefuses(t *testing.T) {
	good := sharedSample().text
	if c, err := ParseCheckpoint(good); err != nil || c.Size != 300 || c.Text() != good {
		t.Fatalf("ParseCheckpoint = %v, %v", c, err)
	}
	lines := strings.Split(good, "\n")
	for name, text := range map[string]string{
		"empty":                "",
		"no newline":           strings.TrimSuffix(good, "\n"),
		"a fourth line":        good + "more\n",
		"an empty fourth line": good + "\n",
		"another origin":       "example.org\n" + lines[1] + "\n" + lines[2] + "\n",
		"size 0":               strings.Replace(good, "\n300\n", "\n0\n", 1),
		"size 0300":            strings.Replace(good, "\n300\n", "\n0300\n", 1),
		"size +300":            strings.Replace(good, "\n300\n", "\n+300\n", 1),
		"size -1":              strings.Replace(good, "\n300\n", "\n-1\n", 1),
		"too large":            strings.Replace(good, "\n300\n", "\n1099511627777\n", 1),
		"carriage return":      strings.ReplaceAll(good, "\n", "\r\n"),
		"short root":           lines[0] + "\n300\nAAAA\n",
		"root unpadded":        strings.Replace(good, "=\n", "\n", 1),
		"root with loose bits": strings.Replace(good, "A=\n", "B=\n", 1),
	} {
		if c, err := ParseCheckpoint(text); !errors.Is(err, record.ErrMalformed) || c != (Checkpoint{}) {
			t.Errorf("%s: ParseCheckpoint = %v, %v; want nothing and %v", name, c, err, record.ErrMalformed)
		}
	}
}

func TestParseProofRefuses(t *testing.T) {
	good := string(sharedSample().proof)
	for name, text := range map[string]string{
		"empty":           "",
		"extra data":      strings.Replace(good, "index", "extra AAAA\nindex", 1),
		"empty extra":     strings.Replace(good, "index", "extra \nindex", 1),
		"index 0255":      strings.Replace(good, "index 255", "index 0255", 1),
		"index too large": strings.Replace(good, "index 255", "index 1099511627776", 1),
		"no index":        strings.Replace(good, "index 255\n", "", 1),
		"carriage return": strings.ReplaceAll(good, "\n", "\r\n"),
		"no checkpoint":   good[:strings.Index(good, "\n\n")+2],
		"short hash":      strings.Replace(good, "index 255\n", "index 255\nAAAA\n", 1),
		"41 hashes":       strings.Replace(good, "index 255\n", "index 255\n"+strings.Repeat(tlog.Hash{}.String()+"\n", 41), 1),
		"too long":        good + strings.Repeat("x", layout.MaxProof),
		"not a proof":     "c2sp.org/other@v1\n",
	} {
		if p, err := ParseProof([]byte(text)); !errors.Is(err, record.ErrMalformed) || p.Checkpoint != nil {
			t.Errorf("%s: ParseProof = %v, %v; want nothing and %v", name, p, err, record.ErrMalformed)
		}
	}
	if _, err := ParseProof([]byte(strings.Replace(good, "@v1", "@v2", 1))); !errors.Is(err, record.ErrNewer) {
		t.Errorf("version 2: %v, want %v", err, record.ErrNewer)
	}
}

func TestNewerFilesAreCalledNewer(t *testing.T) {
	s := sharedSample()
	newer := func(b []byte) []byte {
		b = bytes.Replace(b, []byte(`/v1"`), []byte(`/v2"`), 1)
		return bytes.Replace(b, []byte("{"), []byte(`{"added":1,`), 1)
	}
	if _, _, err := ParsePending(newer(s.pending)); !errors.Is(err, record.ErrNewer) {
		t.Errorf("pending: %v, want %v", err, record.ErrNewer)
	}
	next := func(b []byte) []byte { return bytes.Replace(b, []byte("/v1\n"), []byte("/v2\n"), 1) }
	if _, err := parseHeads(next(s.heads), sampleKey); !errors.Is(err, record.ErrNewer) {
		t.Errorf("heads: %v, want %v", err, record.ErrNewer)
	}
	if _, err := parsePart(next(s.part), partOf(samplePart), 5); !errors.Is(err, record.ErrNewer) {
		t.Errorf("part of heads: %v, want %v", err, record.ErrNewer)
	}
	if _, _, err := ParsePending(s.heads); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("heads read as pending: %v, want %v", err, record.ErrMalformed)
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(sharedSample().text)
	f.Add("a\n1\nb\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheckpoint(text)
		if err != nil && c != (Checkpoint{}) {
			t.Errorf("an error and a value: %v, %v", c, err)
		}
		if err == nil && c.Text() != text {
			t.Errorf("%q was read and is written as %q", text, c.Text())
		}
	})
}

func FuzzParseProof(f *testing.F) {
	f.Add(sharedSample().proof)
	f.Add([]byte(proofVersion + "v1\nindex 1\n\nx\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProof(b)
		if err != nil && (p.Index != 0 || p.Hashes != nil || p.Checkpoint != nil) {
			t.Errorf("an error and a value: %v, %v", p, err)
		}
		if err == nil && !bytes.Equal(p.Encode(), b) {
			t.Errorf("%q was read and is written as %q", b, p.Encode())
		}
	})
}

func FuzzParsePending(f *testing.F) {
	f.Add(sharedSample().pending)
	f.Fuzz(func(t *testing.T, b []byte) {
		note, counter, err := ParsePending(b)
		if err != nil && note != nil {
			t.Errorf("an error and a value: %q, %v", note, err)
		}
		if err == nil && !bytes.Equal(must(encodePending(note, counter)), b) {
			t.Errorf("%q was read and is written otherwise", b)
		}
	})
}

func FuzzParseHeads(f *testing.F) {
	f.Add(sharedSample().heads)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeads(b, sampleKey)
		if err != nil && h != (headsFile{}) {
			t.Errorf("an error and a value: %v, %v", h, err)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(h.encode(sampleKey), b) {
			t.Errorf("%q was read and is written otherwise", b)
		}
		if _, err := parseHeads(b, []byte("another key")); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("%q with another key: %v, want %v", b, err, record.ErrMalformed)
		}
	})
}

func FuzzParsePart(f *testing.F) {
	f.Add(sharedSample().part, partOf(samplePart))
	f.Fuzz(func(t *testing.T, b []byte, i int) {
		if i < 0 || i >= headParts {
			return
		}
		part, err := parsePart(b, i, 5)
		if err != nil {
			if part != nil {
				t.Errorf("an error and a value: %v, %v", part, err)
			}
			return
		}
		if !bytes.Equal(encodePart(part), b) {
			t.Errorf("%q was read and is written otherwise", b)
		}
	})
}

func TestParsePartRefuses(t *testing.T) {
	good := string(sharedSample().part)
	i := partOf(samplePart)
	if part, err := parsePart([]byte(good), i, 5); err != nil || part[samplePart].number() != 2 {
		t.Fatalf("parsePart = %v, %v", part, err)
	}
	one := strings.TrimPrefix(good, partType+"\n")
	other := "x0" // of the same part, and of a later place in it
	for n := 1; partOf(other) != i; n++ {
		other = fmt.Sprintf("x%d", n)
	}
	two := strings.TrimPrefix(string(encodePart(map[string]head{other: {[]int64{2}, other, record.LeafHash{2}}})), partType+"\n")
	if part, err := parsePart([]byte(good+two), i, 5); err != nil || len(part) != 2 {
		t.Fatalf("parsePart of two = %v, %v", part, err)
	}
	events := "\x02\x01\x03" // two of them: 1, and 3 after it
	if !strings.HasSuffix(good, events) {
		t.Fatalf("the sample %q does not end with its events", good)
	}
	with := func(events string) string { return good[:len(good)-3] + events }
	for name, text := range map[string]string{
		"empty":                    "",
		"no exhibit":               partType + "\n",
		"an exhibit twice":         good + one,
		"exhibits out of order":    partType + "\n" + two + one,
		"an exhibit elsewhere":     strings.Replace(good, samplePart, "7/b", 1),
		"no number of exhibits":    strings.Replace(good, samplePart, "7\n/", 1),
		"a number beyond the file": strings.Replace(good, "\x03"+samplePart, "\x7f"+samplePart, 1),
		"no events":                with("\x00"),
		"more events than bytes":   with("\x03\x01\x03"),
		"a count beyond the file":  with("\xff\xff\xff\xff\x7f\x01\x03"),
		"the genesis":              with("\x02\x00\x03"),
		"beyond the log":           with("\x02\x01\x04"),
		"an event twice":           with("\x02\x04\x00"),
		"a number written long":    with("\x02\x81\x00\x03"),
		"a number without end":     with("\x02\x01\x83"),
		"a number of 70 bits":      with("\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		"bytes after the last":     good + "\x00",
		"too large":                good + strings.Repeat(two, maxPart/len(two)),
	} {
		if part, err := parsePart([]byte(text), i, 5); !errors.Is(err, record.ErrMalformed) || part != nil {
			t.Errorf("%s: parsePart = %v, %v; want nothing and %v", name, part, err, record.ErrMalformed)
		}
	}
	if _, err := parsePart([]byte(good), i^1, 5); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("as another part: %v, want %v", err, record.ErrMalformed)
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0}, 2)
	f.Fuzz(func(t *testing.T, b []byte, w int) {
		if w < 0 || w > tileWidth {
			return
		}
		entries, err := parseBundle(b, w)
		if err != nil {
			if entries != nil {
				t.Errorf("an error and %d entries", len(entries))
			}
			return
		}
		var again []byte
		for _, e := range entries {
			again = appendEntry(again, e)
		}
		if len(entries) != w || !bytes.Equal(again, b) {
			t.Errorf("%q was read as %d entries, which are written as %q", b, len(entries), again)
		}
	})
}

func FuzzParseTileFile(f *testing.F) {
	for _, name := range []string{"tile/0/000", "tile/entries/x001/234.p/17", "tile/5/001.p/255", "tile/8/0/000"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		tile, ok := parseTileFile(name)
		if ok && (tileFile(tile) != name || tile.W < 1 || tile.W > tileWidth || tile.N < 0 || tile.L < entriesLevel) {
			t.Errorf("%q was read as %v", name, tile)
		}
	})
}
