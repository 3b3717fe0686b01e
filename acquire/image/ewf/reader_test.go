package ewf

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// medium makes the bytes of a medium: incompressible, compressible, zero, and mixed chunks.
func medium(sectors int) []byte {
	rng := rand.New(rand.NewPCG(1, uint64(sectors)))
	b := make([]byte, sectors*512)
	for i := 0; i < len(b); i += 16384 {
		part := b[i:min(i+16384, len(b))]
		switch rng.IntN(4) {
		case 0:
			for j := range part {
				part[j] = byte(rng.Uint32())
			}
		case 1:
			for j := range part {
				part[j] = byte('a' + rng.IntN(3))
			}
		case 2:
			copy(part, "the same line again\n")
		}
	}
	return b
}

// ewfacquire images data with the arguments, and returns the folder and the first file's name.
func ewfacquire(t testing.TB, data []byte, args ...string) (dir, first string) {
	t.Helper()
	tool := testtool.Need(t, "ewfacquire")[0]
	dir = t.TempDir()
	source := filepath.Join(t.TempDir(), "source.raw")
	if err := os.WriteFile(source, data, 0o600); err != nil {
		t.Fatal(err)
	}
	args = append(args, "-u", "-q", "-C", "2026-117", "-E", "A/3", "-D", "a description", "-e", "A. Muster", "-N", "some notes",
		"-t", filepath.Join(dir, "image"), source)
	if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
		t.Fatalf("ewfacquire %q: %v\n%s", args, err, out)
	}
	for _, name := range []string{"image.E01", "image.e01", "image.s01"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return dir, name
		}
	}
	t.Fatalf("ewfacquire %q wrote no first segment", args)
	return "", ""
}

func open(t testing.TB, dir, first string) *Reader {
	t.Helper()
	names, err := Find(os.DirFS(dir), first)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(os.DirFS(dir), names)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// sectionTypes lists the types of the sections of a segment file, to say which format a tool really wrote.
func sectionTypes(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for off := int64(FileHeaderBytes); ; {
		s, err := ParseSection(b[off:])
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, s.Type)
		if s.Type == TypeDone || s.Type == TypeNext {
			return strings.Join(types, " ")
		}
		off = s.Next
	}
}

// formats are those of ewfacquire, with the sections that show that it is written; encase7-v2 falls back to version 1.
var formats = []struct{ name, extension, sections string }{
	{"ewf", ".e01", "header volume table hash done"},
	{"smart", ".s01", "header volume table hash done"},
	{"ftk", ".E01", "header header volume sectors table table2 data hash done"},
	{"encase2", ".E01", "header header volume sectors table table2 data hash done"},
	{"encase3", ".E01", "header header volume sectors table table2 data hash done"},
	{"encase4", ".E01", "header2 header2 header volume sectors table table2 data hash done"},
	{"encase5", ".E01", "header2 header2 header volume sectors table table2 data hash done"},
	{"encase6", ".E01", "header2 header2 header volume sectors table table2 data digest hash done"},
	{"encase7", ".E01", "header2 header2 header volume sectors table table2 data digest hash done"},
	{"encase7-v2", ".E01", "header2 header2 header volume sectors table table2 data digest hash done"},
	{"linen5", ".E01", "header header volume sectors table table2 data hash done"},
	{"linen6", ".E01", "header header volume sectors table table2 data digest hash done"},
	{"linen7", ".E01", "header2 header2 header volume sectors table table2 data digest hash done"},
	{"ewfx", ".e01", "xheader header2 header volume sectors table table2 data hash xhash done"},
}

// TestEwfacquire reads what ewfacquire writes, in each format and compression that it offers.
func TestEwfacquire(t *testing.T) {
	data := medium(1991) // 31 chunks and 7 sectors
	for _, f := range formats {
		for _, level := range []string{"none", "empty-block", "fast", "best"} {
			t.Run(f.name+"/"+level, func(t *testing.T) {
				dir, first := ewfacquire(t, data, "-f", f.name, "-c", level, "-d", "sha1")
				if got := sectionTypes(t, filepath.Join(dir, first)); !strings.HasSuffix(first, f.extension) || got != f.sections {
					t.Fatalf("ewfacquire wrote %s with %s, want %s with %s", first, got, f.extension, f.sections)
				}
				r := open(t, dir, first)
				checkReader(t, r, data, strings.Contains(f.sections, "digest"))
				if f.name != "ewfx" && len(r.Notes()) > 1 {
					t.Errorf("notes: %+v", r.Notes())
				}
				for _, n := range r.Notes() {
					if n.Damage {
						t.Errorf("damage in a sound image: %+v", n)
					}
				}
			})
		}
	}
}

func checkReader(t *testing.T, r *Reader, data []byte, withSHA1 bool) {
	t.Helper()
	if r.Size() != int64(len(data)) || r.SectorBytes() != 512 {
		t.Errorf("%d bytes in sectors of %d, want %d of 512", r.Size(), r.SectorBytes(), len(data))
	}
	got := make([]byte, len(data)+1)
	if n, err := r.ReadAt(got, 0); n != len(data) || !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], data) {
		t.Fatalf("read %d bytes, %v, equal %t", n, err, bytes.Equal(got[:n], data))
	}
	if sum := md5.Sum(data); !bytes.Equal(r.Stored().MD5, sum[:]) {
		t.Errorf("stored MD5 %x, want %x", r.Stored().MD5, sum)
	}
	want := []byte(nil)
	if sum := sha1.Sum(data); withSHA1 {
		want = sum[:]
	}
	if !bytes.Equal(r.Stored().SHA1, want) {
		t.Errorf("stored SHA-1 %x, want %x", r.Stored().SHA1, want)
	}
	if r.Unread() != nil {
		t.Errorf("unread %v", r.Unread())
	}
	h := r.Header()
	if h.Case != "2026-117" || h.Evidence != "A/3" || h.Description != "a description" || h.Examiner != "A. Muster" ||
		h.Notes != "some notes" || h.Acquired.IsZero() || h.PasswordHash != "" {
		t.Errorf("header %+v", h)
	}
	if err := r.Check(t.Context(), func(d *DamageError) bool { t.Errorf("damage: %v", d); return true }); err != nil {
		t.Error(err)
	}
}

// TestManySegments goes past .E99 and past the number of files that are open at once.
func TestManySegments(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	data := make([]byte, 140<<20+512*3)
	for i := 0; i+8 < len(data); i += 8 {
		copy(data[i:], []byte{byte(rng.Uint32()), byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24), 1, 2, byte(rng.Uint32())})
	}
	dir, first := ewfacquire(t, data, "-f", "encase6", "-c", "none", "-S", "1048576")
	r := open(t, dir, first)
	if n := len(r.Segments()); n < maxOpen+5 || r.Segments()[99].Name != "image.EAA" {
		t.Fatalf("%d segments, the hundredth %q", n, r.Segments()[99].Name)
	}
	var jobs sync.WaitGroup
	for job := range 4 {
		jobs.Go(func() {
			rng := rand.New(rand.NewPCG(9, uint64(job)))
			for range 300 {
				off, n := rng.IntN(len(data)), 1+rng.IntN(200_000)
				want := data[off:min(off+n, len(data))]
				got := make([]byte, n)
				read, err := r.ReadAt(got, int64(off))
				if read != len(want) || !bytes.Equal(got[:read], want) || (read == n) != (err == nil) {
					t.Errorf("ReadAt(%d bytes at %d) = %d, %v", n, off, read, err)
				}
			}
		})
	}
	jobs.Wait()
	got := make([]byte, len(data))
	if n, err := r.ReadAt(got, 0); n != len(data) || err != nil || !bytes.Equal(got, data) {
		t.Errorf("the whole: %d, %v", n, err)
	}
	if len(r.files.open) > maxOpen {
		t.Errorf("%d files are open, more than %d", len(r.files.open), maxOpen)
	}
	if _, err := Open(os.DirFS(dir), []string{first}); !errors.Is(err, ErrSegments) || !strings.Contains(err.Error(), "segment 2 is missing") {
		t.Errorf("the first segment alone: %v", err)
	}
}

// TestSizes reads media around the size of a chunk, with other cuts, and from ewfacquirestream.
func TestSizes(t *testing.T) {
	for _, sectors := range []int{1, 63, 64, 65, 128, 129} {
		data := medium(sectors)
		dir, first := ewfacquire(t, data, "-c", "fast")
		checkReader(t, open(t, dir, first), data, false)
	}
	data := medium(32768 + 8)
	for _, cut := range []string{"16", "1024", "32768"} {
		dir, first := ewfacquire(t, data, "-c", "fast", "-b", cut, "-S", "5242880")
		checkReader(t, open(t, dir, first), data, false)
	}
	dir, first := ewfacquire(t, data, "-c", "fast", "-f", "smart", "-S", "5242880")
	checkReader(t, open(t, dir, first), data, false)
	wide := medium(8 * 65)
	dir, first = ewfacquire(t, wide, "-P", "4096")
	if r := open(t, dir, first); r.SectorBytes() != 4096 || r.ChunkBytes() != 64*4096 || r.Size() != int64(len(wide)) {
		t.Errorf("%d bytes in sectors of %d, chunks of %d", r.Size(), r.SectorBytes(), r.ChunkBytes())
	}
}

// TestOddSource: of a source that is no multiple of a sector, no byte is lost, and the stored hash holds. ewfverify says
// of these images that they are wrong.
func TestOddSource(t *testing.T) {
	for _, size := range []int{100, 511, 513, 4097, 32767, 32868, 65636} {
		data := medium(size/512 + 1)[:size]
		for _, args := range [][]string{{"-c", "none"}, {"-c", "fast"}, {"-c", "fast", "-f", "smart"}} {
			dir, first := ewfacquire(t, data, args...)
			r := open(t, dir, first)
			checkReader(t, r, data, false)
			p := make([]byte, 1)
			if n, err := r.ReadAt(p, int64(size-1)); n != 1 || err != nil || p[0] != data[size-1] {
				t.Errorf("%d bytes, %q: the last one: %d, %v", size, args, n, err)
			}
			last := r.Notes()[len(r.Notes())-1]
			if last.Damage || !strings.Contains(last.Text, "bytes more") {
				t.Errorf("%d bytes, %q: note %+v", size, args, last)
			}
		}
	}
}

func TestEwfacquirestream(t *testing.T) {
	data := medium(20_001)
	tool := testtool.Need(t, "ewfacquirestream")[0]
	dir := t.TempDir()
	cmd := exec.Command(tool, "-q", "-c", "fast", "-d", "sha1", "-S", "2097152", "-C", "2026-117", "-E", "A/3", "-D", "a description",
		"-e", "A. Muster", "-N", "some notes", "-t", filepath.Join(dir, "image"))
	cmd.Stdin = bytes.NewReader(data)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ewfacquirestream: %v\n%s", err, out)
	}
	r := open(t, dir, "image.E01")
	if len(r.Segments()) < 2 {
		t.Errorf("%d segments", len(r.Segments()))
	}
	checkReader(t, r, data, true)
}
