package verify

import (
	"path"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Whoever asks about a case, or about one acquisition, is not told that something else, sound in itself and trusted, that
// was put in its place holds.
func TestSomethingElseInItsPlace(t *testing.T) {
	f := soundCase(t)
	whole := f.build()
	dir := f.sealed[0].dir
	id := path.Base(dir)
	for name, tt := range map[string]struct {
		folder string
		below  string // the rest of the case goes there; empty: it is gone
		kind   Kind
		code   int
	}{
		"the folder itself":                         {id, "", KindAcquisition, ExitVerified},
		"its files, of a folder without a name":     {"", "", KindAcquisition, ExitVerified},
		"in the place of another acquisition":       {"20200101T000000Z-00000000", "", KindAcquisition, ExitMismatch},
		"in the place of a case":                    {"case-2026-001", "", KindAcquisition, ExitUnknown},
		"in the place of case.json and the logs":    {"case-2026-001", layout.ExhibitsDir, KindCase, ExitMismatch},
		"the same, the case called after a record":  {id, layout.ExhibitsDir, KindCase, ExitMismatch},
		"in the place of a case that is moved away": {"case-2026-001", "old", KindAcquisition, ExitUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			files := fileSet{}
			for n, b := range whole {
				if below, ok := strings.CutPrefix(n, dir+"/"); ok {
					files[below] = b
				}
				if tt.below != "" && strings.HasPrefix(n, layout.ExhibitsDir) {
					files[tt.below+strings.TrimPrefix(n, layout.ExhibitsDir)] = []byte("changed")
				}
			}
			p := f.policy()
			p.FolderName = tt.folder
			if r := check(t, files.fs(""), "", p, tt.code); r.Kind != tt.kind {
				t.Errorf("kind %q, want %q", r.Kind, tt.kind)
			}
		})
	}
}

// The log of another case, however trusted, does not make its exhibits this case's.
func TestTwoTrustedCasesInOneFolder(t *testing.T) {
	f, other := soundCase(t), exampleCase(t, 10, 20, 0)
	files := f.build()
	for name, b := range other.build() {
		if name != layout.CaseFile {
			files[name] = b
		}
	}
	p := f.policy()
	p.Trust = append(p.Trust, other.policy().Trust...)
	r := check(t, files.fs(""), "", p, ExitUnknown)
	if s := show(r); !strings.Contains(s, "a second log lies here") {
		t.Errorf("nothing about a second log:\n%s", s)
	}
}

// A name in a hostile folder passes neither for words of the report nor for a command.
func TestHostileNamesInSentences(t *testing.T) {
	for name, want := range map[string]string{
		"exhibits/8%2Fb/x.001": "exhibits/8%2Fb/x.001: text",
		"x: sound":             `"x: sound": text`,
		"logs/" + strings.Repeat(" ", 4) + "VERIFIED": `"logs/\x20\x20\x20\x20VERIFIED": text`,
		strings.Repeat("y", 200) + " VERIFIED":        `"` + strings.Repeat("y", 150) + `...": text`,
		"\x1b[2J":                                     "\"\x1b[2J\": text",
	} {
		if got := (Finding{Severity: Missing, File: name, Text: "text"}).String(); got != want {
			t.Errorf("of %q: %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{"exhibits/7/" + idA + ".partial": idA + ".partial", "; touch x; .partial": "FOLDER", "$(x).partial": "FOLDER", "": "FOLDER"} {
		if got := adviceFinish(true, name); !strings.HasSuffix(got, "--resume "+want) {
			t.Errorf("advice for %q: %s", name, got)
		}
		if got := adviceFinish(false, name); !strings.HasSuffix(got, "image convert "+want) {
			t.Errorf("advice for %q without a journal: %s", name, got)
		}
	}
}

// A log that is said to be long, and lies in a few files, does not keep a verifier busy for an hour.
func TestLongLogThatIsNotThere(t *testing.T) {
	f := soundCase(t)
	files := f.build()
	for range 20_000 {
		f.leaves = append(f.leaves, f.leaves[0])
	}
	f.publish()
	note := f.checkpoints[f.newest()]
	files[logFile(f, layout.Checkpoint)], files[logFile(f, layout.CheckpointFile(f.newest()))] = note, note
	r := check(t, files.fs(""), "", f.policy(), ExitUnknown)
	if s := show(r); !strings.Contains(s, "were not checked") {
		t.Errorf("all of it was looked at:\n%s", s)
	}
}
