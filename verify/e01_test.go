//go:build linux

package verify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// newE01 acquires a medium into an E01 of several segments, and returns the acquisition's folder below the case.
func newE01(t *testing.T, c *realCase) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "medium")
	if err := os.WriteFile(path, pattern(3*mib+512, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	c.seize("7")
	return c.acquireWith("7", idA, path, mib, func(o *acquire.Options) {
		o.Format, o.Compression, o.Extra = record.FormatE01, record.CompressionNone, []record.Algorithm{record.MD5, record.SHA1}
	})
}

type e01Damage struct {
	do   func(t *testing.T, dir string)
	code int
	says []string
}

// e01Damages are what is done to the folder of an E01, and what verify says of it.
func e01Damages() map[string]e01Damage {
	return map[string]e01Damage{
		"a byte of a chunk": {func(t *testing.T, dir string) { flipByte(t, filepath.Join(dir, "7.E02"), 100_000) }, ExitMismatch,
			[]string{"7.E02", "chunk ", "sectors ", "bytes 1048576 to 2097151"}},
		"a byte of a chunk, no tree": {func(t *testing.T, dir string) {
			flipByte(t, filepath.Join(dir, "7.E02"), 100_000)
			remove(t, filepath.Join(dir, "7.tree"))
		}, ExitMismatch, []string{"7.E02", "chunk ", "sectors ", "7.tree: the file is missing"}},
		"a section": {func(t *testing.T, dir string) { flipByte(t, filepath.Join(dir, "7.E03"), 20) }, ExitMismatch, []string{"7.E03"}},
		"no segment": {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "7.E02")) }, ExitUnknown,
			[]string{"7.E02: the file is missing", "segment 2 (.E02) not there: chunks 31 to ", "of the medium, are missing (acquisition.digests)"}},
		"not the last segment": {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "7.E04")) }, ExitUnknown,
			[]string{"7.E04: the file is missing", "segment 4 (.E04) and what followed it not there: chunks ", "what the last segment said of unread sectors"}},
		"not the first segment": {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "7.E01")) }, ExitUnknown,
			[]string{"7.E01: the file is missing", "was not decoded"}},
		"no segment, and damage in another": {func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "7.E02"))
			flipByte(t, filepath.Join(dir, "7.E03"), 100_000)
		}, ExitMismatch, []string{"7.E02: the file is missing", "segment 2 (.E02) not there", "7.E03", "sectors ", "bytes 2097152 to 3145727 of the medium are not those"}},
		"no segment, and no tree": {func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "7.E02"))
			remove(t, filepath.Join(dir, "7.tree"))
		}, ExitUnknown, []string{"segment 2 (.E02) not there", "7.tree: the file is missing"}},
		"cut off": {func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, "7.E03"), 5000); err != nil {
				t.Fatal(err)
			}
		}, ExitMismatch, []string{"7.E03", "it was cut off"}},
		"two in each other's place": {func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, "7.E02"), filepath.Join(dir, "x"))
			rename(t, filepath.Join(dir, "7.E03"), filepath.Join(dir, "7.E02"))
			rename(t, filepath.Join(dir, "x"), filepath.Join(dir, "7.E03"))
		}, ExitMismatch, []string{"7.E02", "7.E03"}},
		"no image": {func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "7.E01"), []byte("EVF\x09\x0d\x0a\xff\x00"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, ExitMismatch, []string{"7.E01", "it was cut off"}},
	}
}

func TestE01(t *testing.T) {
	c := newRealCase(t)
	dir := newE01(t, c)
	r := c.verify("", ExitVerified)
	if len(r.Acquisitions) != 1 || len(r.Notes) != 0 || r.Lines[0].Status != Verified {
		t.Errorf("%s", show(r))
	}
	from, aside := filepath.Join(c.Dir(), dir), filepath.Join(t.TempDir(), "aside")
	if err := os.CopyFS(aside, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for name, damage := range e01Damages() {
		t.Run(name, func(t *testing.T) {
			copied := &realCase{Case: c.Case, t: t}
			again(t, from, aside)
			damage.do(t, from)
			r := copied.verify("", damage.code)
			for _, s := range damage.says {
				if !strings.Contains(show(r), s) {
					t.Errorf("the report does not say %q:\n%s", s, show(r))
				}
			}
		})
	}
	again(t, from, aside)
	c.verify("", ExitVerified)
}

// again makes a folder what it was, of files that can be written to: those of an acquisition are read-only, which root does
// not notice.
func again(t *testing.T, dir, from string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// What an image states about itself is held against the record, also where every file is as it was recorded.
func TestE01StoredDigest(t *testing.T) {
	c := newRealCase(t)
	dir := filepath.Join(c.Dir(), newE01(t, c))
	r, err := image.OpenE01(os.DirFS(dir), []string{"7.E01", "7.E02", "7.E03", "7.E04"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	a := record.Acquisition{Digests: []record.MediaDigest{{Digest: must(record.NewDigest(record.MD5, make([]byte, 16)))}}}
	i := a.Image()
	f := &files{a: &i}
	if err := f.compareStored(r.E01()); err != nil || f.line.worst != Mismatch {
		t.Errorf("a stored digest that is another: %v, %v", f.line.worst, err)
	}
}

func flipByte(t *testing.T, path string, off int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[off] ^= 1
	remove(t, path)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
