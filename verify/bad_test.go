package verify

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// harms are what can happen to one file. Each returns nil when it would change nothing.
var harms = map[string]func(file, others []byte) *fstest.MapFile{
	"cut":               func(b, _ []byte) *fstest.MapFile { return changed(b, b[:len(b)/2]) },
	"cut by one":        func(b, _ []byte) *fstest.MapFile { return changed(b, b[:max(0, len(b)-1)]) },
	"emptied":           func(b, _ []byte) *fstest.MapFile { return changed(b, nil) },
	"extended":          func(b, _ []byte) *fstest.MapFile { return changed(b, append(slices.Clone(b), '\n')) },
	"another case's":    func(b, others []byte) *fstest.MapFile { return changed(b, others) },
	"first bit":         func(b, _ []byte) *fstest.MapFile { return flipped(b, 0, 0) },
	"bit in the middle": func(b, _ []byte) *fstest.MapFile { return flipped(b, len(b)/2, 5) },
	"last bit":          func(b, _ []byte) *fstest.MapFile { return flipped(b, len(b)-1, 0) },
	"a folder":          func(_, _ []byte) *fstest.MapFile { return &fstest.MapFile{Mode: fs.ModeDir | 0o755} },
	"a link": func(_, _ []byte) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("case.json"), Mode: fs.ModeSymlink | 0o777}
	},
	"a pipe":   func(_, _ []byte) *fstest.MapFile { return &fstest.MapFile{Mode: fs.ModeNamedPipe | 0o644} },
	"a device": func(_, _ []byte) *fstest.MapFile { return &fstest.MapFile{Mode: fs.ModeDevice | 0o644} },
	"deleted":  nil,
}

func changed(old, now []byte) *fstest.MapFile {
	if bytes.Equal(old, now) {
		return nil
	}
	return &fstest.MapFile{Data: now, Mode: 0o444}
}

func flipped(b []byte, at, bit int) *fstest.MapFile {
	if len(b) == 0 {
		return nil
	}
	now := slices.Clone(b)
	now[at] ^= 1 << bit
	return changed(b, now)
}

// expected is the exit code for a harm to a file: 4 for whatever contradicts, 5 for what is missing. The exceptions are
// the files that may be absent, and those that verifiers ignore.
func expected(name, harm string) int {
	switch base := path.Base(name); {
	case ofHeads(name) && base != layout.Heads:
		return ExitVerified
	case base == layout.Heads, base == layout.Lock:
		if harm == "a link" || harm == "a pipe" || harm == "a device" {
			return ExitMismatch
		}
		return ExitVerified
	case strings.HasSuffix(base, ".personal.json") && harm == "deleted":
		return ExitVerified
	case harm == "deleted":
		return ExitUnknown
	}
	return ExitMismatch
}

// ofHeads says whether a file is one of the writer's cache.
func ofHeads(name string) bool {
	return path.Base(name) == layout.Heads || path.Base(path.Dir(name)) == layout.HeadsDir
}

func TestHarmToEachFile(t *testing.T) {
	t.Parallel()
	f, other := smallCase(t), exampleCase(t, 701, 950, 475)
	whole := f.build()
	theirs := renamed(f, other)
	for _, dir := range []string{"", f.sealed[1].dir} {
		sound := whole.fs(dir)
		count := 0
		for _, name := range slices.Sorted(maps.Keys(sound)) {
			full := path.Join(dir, name)
			for harm, do := range harms {
				fsys := maps.Clone(sound)
				delete(fsys, name)
				if do != nil {
					if fsys[name] = do(whole[full], theirs[full]); fsys[name] == nil {
						continue
					}
				}
				count++
				expectHarm(t, fsys, f.policy(), name, harm)
			}
		}
		if count < 100 {
			t.Errorf("only %d harms were tried in %q", count, dir)
		}
	}
}

// expectHarm also takes 5 for 4 when the harm made a file look like one of a later version.
func expectHarm(t *testing.T, fsys fs.FS, p Policy, name, harm string) {
	t.Helper()
	r, err := Verify(t.Context(), fsys, "", p)
	if err != nil {
		t.Errorf("%s %s: %v", name, harm, err)
		return
	}
	got, want := r.ExitCode(), expected(name, harm)
	if got == want || got == ExitUnknown && want == ExitMismatch && strings.Contains(show(r), "this program does not know") {
		return
	}
	t.Errorf("%s %s: exit code %d, want %d\n%s", name, harm, got, want, show(r))
}

// renamed gives another case's files the names they have in f.
func renamed(f, other *forge) fileSet {
	out := fileSet{}
	ids := strings.NewReplacer(other.origin, f.origin, other.person.PublicKey().KeyID(), f.person.PublicKey().KeyID(),
		other.station.PublicKey().KeyID(), f.station.PublicKey().KeyID())
	for name, b := range other.build() {
		out[ids.Replace(name)] = b
	}
	return out
}

// flip is one bit of one file.
type flip struct {
	name    string
	at, bit int
}

// TestFlippedBits flips bits spread over every small file of a case, and of a folder alone; with EXHIBIT_EVERY_BIT=1
// every bit, which takes an hour.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	f := exampleCase(t, 40, 50, 0)
	whole := f.build()
	for _, dir := range []string{"", f.sealed[0].dir} {
		sound := whole.fs(dir)
		var flips []flip
		for _, name := range slices.Sorted(maps.Keys(sound)) {
			if dir == "" && strings.HasPrefix(name, "exhibits/") || ofHeads(name) {
				continue // those are flipped in the folder alone; these are ignored
			}
			for i := range 8 * len(sound[name].Data) {
				flips = append(flips, flip{name, i / 8, i % 8})
			}
		}
		step := max(1, len(flips)/200)
		if os.Getenv("EXHIBIT_EVERY_BIT") == "1" {
			step = 1
		} else if step%8 == 0 {
			step++ // every bit of a byte has its turn
		}
		for i := 0; i < len(flips); i += step {
			expectFlip(t, sound, f, flips[i])
		}
		if len(flips) < 10_000 {
			t.Errorf("only %d bits in %q", len(flips), dir)
		}
	}
}

func expectFlip(t *testing.T, sound fstest.MapFS, f *forge, at flip) {
	t.Helper()
	fsys := maps.Clone(sound)
	fsys[at.name] = flipped(sound[at.name].Data, at.at, at.bit)
	r, err := Verify(t.Context(), fsys, "", f.policy())
	if err != nil || r.ExitCode() == ExitVerified {
		t.Errorf("%s: bit %d of byte %d flipped: exit code %d, %v", at.name, at.bit, at.at, r.ExitCode(), err)
	}
}
