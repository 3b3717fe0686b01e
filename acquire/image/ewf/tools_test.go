package ewf_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

const mib = 1 << 20

// job is an image to be written.
type job struct {
	opts   ewf.WriterOptions
	medium []byte
	flush  int64 // after so many bytes of the medium each; a multiple of a chunk; 0: never
	unread []ewf.Range

	encoded []ewf.Chunk // all of the medium, for tests that write it often; nil: it is encoded each time
}

func newJob(medium []byte) job {
	return job{medium: medium, opts: ewf.WriterOptions{
		Name: "x", SizeBytes: int64(len(medium)), SectorBytes: 512, Level: ewf.Fast, SetID: [16]byte{7, 1},
		Header: ewf.Header{Case: "2026-0001", Evidence: "A1", Examiner: "Ada Beispiel", Description: "a stick", OS: "Linux"},
	}}
}

func (j job) compressor(t testing.TB) *ewf.Compressor {
	t.Helper()
	c, err := ewf.NewCompressor(j.opts.Level, ewf.SectorsPerChunk*j.opts.SectorBytes, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (j job) trailer() ewf.Trailer {
	m, s := md5.Sum(j.medium), sha1.Sum(j.medium)
	return ewf.Trailer{MD5: m[:], SHA1: s[:], Unread: j.unread}
}

// appendTo brings the image from what w has to the byte end of the medium.
func (j job) appendTo(c *ewf.Compressor, w *ewf.Writer, end int64) error {
	for at := w.Size(); at < end; at = w.Size() {
		n := min(mib, end-at)
		if j.flush > 0 {
			n = min(n, j.flush-at%j.flush)
		}
		chunks, err := j.encode(c, at, n)
		if err != nil {
			return err
		}
		if err := w.Append(chunks); err != nil {
			return err
		}
		if j.flush > 0 && w.Size()%j.flush == 0 {
			if err := flush(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// encode gives the chunks of n bytes of the medium.
func (j job) encode(c *ewf.Compressor, at, n int64) ([]ewf.Chunk, error) {
	if j.encoded != nil {
		return j.encoded[at/chunkBytes : (at+n+chunkBytes-1)/chunkBytes], nil
	}
	return c.Encode(j.medium[at : at+n])
}

func flush(w *ewf.Writer) error {
	sync, err := w.Flush()
	if err != nil {
		return err
	}
	return sync()
}

// run writes the image into root.
func (j job) run(c *ewf.Compressor, root *durable.Root) (ewf.Result, error) {
	w, err := ewf.NewWriter(root, j.opts)
	if err != nil {
		return ewf.Result{}, err
	}
	res, err := j.complete(c, w)
	return res, errors.Join(err, w.Abort())
}

func (j job) complete(c *ewf.Compressor, w *ewf.Writer) (ewf.Result, error) {
	if err := j.appendTo(c, w, j.opts.SizeBytes); err != nil {
		return ewf.Result{}, err
	}
	return w.Finish(j.trailer())
}

// scratch is an empty folder, in memory where there is such a place: the tests sync a lot.
func scratch(t testing.TB) (*durable.Root, string) {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "exhibit-ewf-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root, dir
}

// write writes the image into a new folder.
func (j job) write(t testing.TB) (dir string, res ewf.Result) {
	t.Helper()
	root, dir := scratch(t)
	res, err := j.run(j.compressor(t), root)
	if err != nil {
		t.Fatal(err)
	}
	return dir, res
}

func random(seed byte, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(p) // never fails, by its contract
	return p
}

// mixed has zeros, random bytes and text, in pieces that do not end with chunks.
func mixed(n int) []byte {
	var p []byte
	for i := byte(0); len(p) < n; i++ {
		p = append(p, random(i, 100_000)...)
		p = append(p, bytes.Repeat([]byte("call me Ishmael. "), 9_000)...)
		p = append(p, make([]byte, 70_000)...)
	}
	return p[:n]
}

// tools are the judges, which were written by others.
type tools struct{ verify, info, export, stat string }

func needTools(t testing.TB) tools {
	t.Helper()
	p := testtool.Need(t, "ewfverify", "ewfinfo", "ewfexport", "img_stat")
	return tools{p[0], p[1], p[2], p[3]}
}

func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// judge has the tools look at an image: they accept it, and export the medium.
func (j job) judge(t *testing.T, tl tools, dir string, res ewf.Result) (info string) {
	t.Helper()
	first := filepath.Join(dir, res.Segments[0].Name)
	verify := output(t, tl.verify, "-q", "-d", "sha1", first)
	m, s := md5.Sum(j.medium), sha1.Sum(j.medium)
	for _, want := range []string{
		fmt.Sprintf("MD5 hash stored in file:\t\t%x\n", m), fmt.Sprintf("SHA1 hash stored in file:\t\t%x\n", s), "ewfverify: SUCCESS",
	} {
		if !strings.Contains(verify, want) {
			t.Errorf("ewfverify says %s, want %q", verify, want)
		}
	}
	outDir := t.TempDir()
	output(t, tl.export, "-q", "-u", "-f", "raw", "-t", filepath.Join(outDir, "out"), first)
	got, err := os.ReadFile(filepath.Join(outDir, "out.raw"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, j.medium) {
		t.Errorf("%d bytes exported of %d, other ones", len(got), len(j.medium))
	}
	stat := output(t, tl.stat, "-i", "ewf", first)
	if want := fmt.Sprintf("Size of data in bytes:\t%d\n", len(j.medium)); !strings.Contains(stat, want) {
		t.Errorf("img_stat says %s, want %q", stat, want)
	}
	info = output(t, tl.info, first)
	for _, want := range []string{
		"EnCase 6", fmt.Sprintf("Bytes per sector:\t%d\n", j.opts.SectorBytes),
		fmt.Sprintf("Number of sectors:\t%d\n", len(j.medium)/j.opts.SectorBytes),
	} {
		if !strings.Contains(info, want) {
			t.Errorf("ewfinfo says %s, want %q", info, want)
		}
	}
	checkFiles(t, dir, res)
	j.readBack(t, dir, res)
	return info
}

// readBack has our own reader look at an image: it finds the files, nothing peculiar, and the medium.
func (j job) readBack(t *testing.T, dir string, res ewf.Result) {
	t.Helper()
	fsys := os.DirFS(dir)
	names, err := ewf.Find(fsys, res.Segments[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ewf.Open(fsys, names)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make([]byte, r.Size())
	if _, err := r.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, j.medium) {
		t.Errorf("%d bytes read of %d, other ones", len(got), len(j.medium))
	}
	if notes := r.Notes(); notes != nil || !slices.Equal(r.Segments(), res.Segments) || r.Header() != j.opts.Header {
		t.Errorf("notes %v, segments %v, header %v; want none, %v, %v", notes, r.Segments(), r.Header(), res.Segments, j.opts.Header)
	}
	if tr, st := j.trailer(), r.Stored(); !bytes.Equal(st.MD5, tr.MD5) || !bytes.Equal(st.SHA1, tr.SHA1) || !slices.Equal(r.Unread(), j.unread) {
		t.Errorf("stored %x %x, unread %v; want %x %x, %v", st.MD5, st.SHA1, r.Unread(), tr.MD5, tr.SHA1, j.unread)
	}
}

// checkFiles: the folder has the segments and nothing else, all of the length that was said, and read-only.
func checkFiles(t *testing.T, dir string, res ewf.Result) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(res.Segments) {
		t.Errorf("%d files, and %d segments", len(entries), len(res.Segments))
	}
	for _, s := range res.Segments {
		info, err := os.Stat(filepath.Join(dir, s.Name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != s.SizeBytes || info.Mode() != 0o444 {
			t.Errorf("%q: %d bytes, mode %v; want %d, read-only", s.Name, info.Size(), info.Mode(), s.SizeBytes)
		}
	}
}

func TestToolsAcceptSizes(t *testing.T) {
	tl := needTools(t)
	content := mixed(5 * mib)
	for _, sectors := range []int{1, 63, 64, 65, 127, 128, 8191, 10240} {
		for _, level := range []ewf.Level{ewf.Fast, ewf.Best}[:1+sectors%2] {
			j := newJob(content[:512*sectors])
			j.opts.Level = level
			dir, res := j.write(t)
			j.judge(t, tl, dir, res)
		}
	}
}

// Sectors of up to 4,096 bytes, content that cannot be compressed, zeros only, no flush and many, several segments.
func TestToolsAcceptContents(t *testing.T) {
	tl := needTools(t)
	contents := map[string][]byte{"zeros": make([]byte, 3*mib+4096), "random": random(9, 3*mib+4096), "mixed": mixed(3*mib + 4096)}
	for _, c := range []struct {
		content string
		sector  int
		flush   int64
	}{
		{"zeros", 512, 64 << 10}, {"random", 512, 0}, {"mixed", 512, 0}, {"mixed", 512, 32 << 10}, {"mixed", 2048, mib},
		{"zeros", 4096, 0}, {"random", 4096, 256 << 10}, {"mixed", 4096, 0}, {"mixed", 4096, 512 << 10},
	} {
		j := newJob(contents[c.content])
		j.opts.SectorBytes, j.flush, j.opts.SegmentBytes = c.sector, c.flush, mib
		want := []string{"Media type:\t\tfixed disk", "Is physical:\t\tno"}
		if c.flush == 0 {
			j.opts.Physical, j.opts.Removable = true, true
			want = []string{"Media type:\t\tremovable disk", "Is physical:\t\tyes"}
		}
		dir, res := j.write(t)
		info := j.judge(t, tl, dir, res)
		for _, want := range want {
			if !strings.Contains(info, want) {
				t.Errorf("ewfinfo says %s, want %q", info, want)
			}
		}
		if t.Failed() {
			t.Fatalf("%v", c)
		}
	}
}

var rangeLine = regexp.MustCompile(`(?m)^\s*at sector\(s\): (\d+) - (\d+) number: (\d+)`)

// listed are the ranges that ewfinfo shows.
func listed(t *testing.T, info string) (ranges []ewf.Range) {
	t.Helper()
	for _, m := range rangeLine.FindAllStringSubmatch(info, -1) {
		var r ewf.Range
		if _, err := fmt.Sscan(m[1]+" "+m[3], &r.FirstSector, &r.Sectors); err != nil {
			t.Fatal(err)
		}
		ranges = append(ranges, r)
	}
	return ranges
}

func TestToolsShowUnread(t *testing.T) {
	tl := needTools(t)
	j := newJob(mixed(3 * mib))
	j.unread = []ewf.Range{{FirstSector: 0, Sectors: 1}, {FirstSector: 100, Sectors: 8}, {FirstSector: 6143, Sectors: 1}}
	dir, res := j.write(t)
	info := j.judge(t, tl, dir, res)
	if got := listed(t, info); !slices.Equal(got, j.unread) {
		t.Errorf("ewfinfo lists %v, want %v; it says %s", got, j.unread, info)
	}
}

// More ranges than the last segment has room for get a segment of their own.
func TestToolsShowManyUnread(t *testing.T) {
	tl := needTools(t)
	j := newJob(append(random(1, 31*32768), make([]byte, 130*32768)...))
	j.opts.SegmentBytes = mib
	for s := range int64(4500) {
		j.unread = append(j.unread, ewf.Range{FirstSector: 2 * s, Sectors: 1})
	}
	dir, res := j.write(t)
	if len(res.Segments) != 2 {
		t.Errorf("%d segments, want 2", len(res.Segments))
	}
	info := j.judge(t, tl, dir, res)
	if got := listed(t, info); !slices.Equal(got, j.unread) || res.OmittedUnread != nil {
		t.Errorf("ewfinfo lists %d ranges of %d, %d were given back", len(got), len(j.unread), len(res.OmittedUnread))
	}
}

// Each hash alone, and none: the tools say what is there, and take nothing else for a hash.
func TestToolsReadHashes(t *testing.T) {
	tl := needTools(t)
	medium := mixed(mib)
	m, s := md5.Sum(medium), sha1.Sum(medium)
	for _, trailer := range []ewf.Trailer{{}, {MD5: m[:]}, {SHA1: s[:]}, {MD5: m[:], SHA1: s[:]}} {
		j := newJob(medium)
		root, dir := scratch(t)
		w, err := ewf.NewWriter(root, j.opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.appendTo(j.compressor(t), w, j.opts.SizeBytes); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Finish(trailer); err != nil {
			t.Fatal(err)
		}
		info := output(t, tl.info, filepath.Join(dir, "x.E01"))
		for line, sum := range map[string][]byte{"MD5:\t\t\t": trailer.MD5, "SHA1:\t\t\t": trailer.SHA1} {
			if want := fmt.Sprintf("%s%x\n", line, sum); strings.Contains(info, line) != (sum != nil) || sum != nil && !strings.Contains(info, want) {
				t.Errorf("ewfinfo says %s, want %q", info, want)
			}
		}
		output(t, tl.stat, filepath.Join(dir, "x.E01"))
	}
}
