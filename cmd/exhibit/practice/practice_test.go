package practice_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/cmd/exhibit/practice"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

func TestMediumIsThePublishedOne(t *testing.T) {
	path := unpack(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != practice.SizeBytes {
		t.Errorf("size: got %d, want %d", info.Size(), practice.SizeBytes)
	}
	if got := digest(t, path); got != practice.SHA256 {
		t.Errorf("SHA-256: got %s, want %s", got, practice.SHA256)
	}
}

func TestProgramStaysSmall(t *testing.T) {
	info, err := os.Stat("medium.img.gz")
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(200_000); info.Size() > limit {
		t.Errorf("the embedded medium has %d bytes, want at most %d", info.Size(), limit)
	}
}

func TestScriptMakesTheSameMedium(t *testing.T) {
	testtool.Need(t, "bash", "sfdisk", "mkfs.fat", "mcopy", "mdel", "mmd")
	image := filepath.Join(t.TempDir(), "medium.img")
	out, err := exec.Command("bash", "make-medium.sh", image).CombinedOutput()
	if err != nil {
		t.Fatalf("make-medium.sh: %v\n%s", err, out)
	}
	if got := digest(t, image); got != practice.SHA256 {
		t.Errorf("SHA-256 of the medium made again: got %s, want %s", got, practice.SHA256)
	}
}

func TestExaminerFindsTheFiles(t *testing.T) {
	fls := testtool.Need(t, "fls")[0]
	icat := testtool.Need(t, "icat")[0]
	path := unpack(t)

	listing, err := exec.Command(fls, "-F", "-r", "-p", "-o", "2048", path).Output()
	if err != nil {
		t.Fatalf("fls: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(listing)), "\n")
	want := []string{
		"r/r 7:\tREADME.TXT",
		"r/r 517:\tNOTES/MONDAY.TXT",
		"r/r 518:\tNOTES/TUESDAY.TXT",
		"r/r * 519:\tNOTES/_HURSDAY.TXT",
		"r/r 581:\tPICTURES/CRANE3.PNG",
		"r/r 645:\tLEDGER/CRATES.CSV",
	}
	for _, w := range want {
		if !slices.Contains(lines, w) {
			t.Errorf("fls does not list %q; it lists\n%s", w, listing)
		}
	}

	deleted, err := exec.Command(icat, "-r", "-o", "2048", path, "519").Output()
	if err != nil {
		t.Fatalf("icat: %v", err)
	}
	if phrase := "Bring the second ledger."; !strings.Contains(string(deleted), phrase) {
		t.Errorf("the deleted note: got %q, want it to contain %q", deleted, phrase)
	}
}

// unpack writes the embedded medium to a file and returns its path.
func unpack(t *testing.T) string {
	t.Helper()
	r, err := practice.Open()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "practice.img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, io.LimitReader(r, practice.SizeBytes+1)); err != nil {
		t.Fatalf("decompress: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func digest(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}
