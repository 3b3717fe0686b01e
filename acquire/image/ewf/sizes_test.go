package ewf_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

const chunkBytes = 32768

// sparse is a medium of zeros, but for some chunks.
type sparse struct {
	opts   ewf.WriterOptions
	chunks int64
	spots  []int64 // the chunks that are random, in order
}

// newSparse is a medium of so many chunks, the last of three sectors.
func newSparse(chunks int64, spots ...int64) sparse {
	j := newJob(nil)
	j.opts.SizeBytes = (chunks-1)*chunkBytes + 3*512
	return sparse{j.opts, chunks, append(spots, chunks-1)}
}

func (s sparse) chunk(i int64) []byte {
	p := make([]byte, min(chunkBytes, s.opts.SizeBytes-i*chunkBytes))
	if slices.Contains(s.spots, i) {
		copy(p, random(byte(i), len(p)))
	}
	return p
}

func (s sparse) write(t *testing.T, dir string, w *ewf.Writer) ewf.Result {
	t.Helper()
	c := job{opts: s.opts}.compressor(t)
	encode := func(p []byte) []ewf.Chunk {
		chunks, err := c.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		return chunks
	}
	zero := encode(make([]byte, chunkBytes))[0]
	zeros := slices.Repeat([]ewf.Chunk{{Data: bytes.Clone(zero.Data), Compressed: true}}, 1024)
	at := int64(0)
	for _, spot := range s.spots {
		for ; at < spot; at = w.Size() / chunkBytes {
			if err := w.Append(zeros[:min(1024, spot-at)]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Append(encode(s.chunk(spot))); err != nil {
			t.Fatal(err)
		}
		at++
	}
	res, err := w.Finish(ewf.Trailer{})
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, dir, res)
	return res
}

// judge has the tools say the size, and give the chunks at and beside the spots.
func (s sparse) judge(t *testing.T, tl tools, dir string) {
	t.Helper()
	first := filepath.Join(dir, "x.E01")
	stat := output(t, tl.stat, "-i", "ewf", first)
	if want := fmt.Sprintf("Size of data in bytes:\t%d\n", s.opts.SizeBytes); !strings.Contains(stat, want) {
		t.Errorf("img_stat says %s, want %q", stat, want)
	}
	info := output(t, tl.info, first)
	if want := fmt.Sprintf("Number of sectors:\t%d\n", s.opts.SizeBytes/512); !strings.Contains(info, want) {
		t.Errorf("ewfinfo says %s, want %q", info, want)
	}
	for _, spot := range s.spots {
		from, to := max(spot-1, 0), min(spot+2, s.chunks)
		var want []byte
		for i := from; i < to; i++ {
			want = append(want, s.chunk(i)...)
		}
		out := filepath.Join(t.TempDir(), "part")
		output(t, tl.export, "-q", "-u", "-f", "raw", "-t", out, "-o", fmt.Sprint(from*chunkBytes), "-B", fmt.Sprint(len(want)), first)
		got, err := os.ReadFile(out + ".raw")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("of %d chunks, %d to %d are other ones", s.chunks, from, to)
		}
	}
}

// Tables have at most 16,375 entries here, and at most 65,534 elsewhere. ewfverify decodes every chunk.
func TestToolsAcceptManyChunks(t *testing.T) {
	tl := needTools(t)
	for _, s := range []sparse{
		newSparse(16_375, 0), newSparse(16_376, 16_374), newSparse(65_534, 65_532), newSparse(65_535, 16_374, 16_375, 65_533),
	} {
		root, dir := scratch(t)
		w, err := ewf.NewWriter(root, s.opts)
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, dir, w)
		s.judge(t, tl, dir)
		if verified := output(t, tl.verify, "-q", filepath.Join(dir, "x.E01")); !strings.Contains(verified, "ewfverify: SUCCESS") {
			t.Errorf("of %d chunks, ewfverify says %s", s.chunks, verified)
		}
	}
}

// Segments are called .E01 to .E99, then .EAA to .EZZ, then .FAA: 775 is .EZZ.
func TestToolsAcceptManySegments(t *testing.T) {
	tl := needTools(t)
	medium := random(4, 776*chunkBytes)
	for _, n := range []int{65, 99, 100, 776} {
		j := newJob(medium[:n*chunkBytes])
		j.opts.Level = ewf.None
		root, dir := scratch(t)
		w, err := ewf.NewWriterTestOnly(root, j.opts, 40_000) // with room for a chunk
		if err != nil {
			t.Fatal(err)
		}
		res, err := j.complete(j.compressor(t), w)
		if err != nil {
			t.Fatal(err)
		}
		want := map[int]string{65: "x.E65", 99: "x.E99", 100: "x.EAA", 776: "x.FAA"}[n]
		if got := res.Segments[len(res.Segments)-1].Name; len(res.Segments) != n || got != want {
			t.Errorf("%d segments, the last %q; want %d and %q", len(res.Segments), got, n, want)
		}
		j.judge(t, tl, dir, res)
	}
}

// Both sides of the byte 2^32; with EXHIBIT_SOAK=1 of the sector 2^32, in an image of 4 GB of zeros that were compressed.
func TestToolsAcceptManySectors(t *testing.T) {
	tl := needTools(t)
	boundary := int64(1 << 32)
	if os.Getenv("EXHIBIT_SOAK") == "1" {
		boundary <<= 9
	}
	at := boundary / chunkBytes
	s := newSparse(at+100, 0, at/2-1, at/2, at-1, at, at+1)
	s.opts.Physical = true
	root, dir := scratch(t)
	w, err := ewf.NewWriter(root, s.opts)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, dir, w)
	s.judge(t, tl, dir)
}

// A file system is found through the image as in the medium itself.
func TestSleuthkitListsFiles(t *testing.T) {
	p := testtool.Need(t, "mke2fs", "fls")
	tl := needTools(t)
	raw := filepath.Join(t.TempDir(), "raw")
	output(t, p[0], "-q", "-t", "ext4", "-d", ".", raw, "8M")
	medium, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := output(t, p[1], "-r", "-p", "-i", "raw", raw)
	if !strings.Contains(want, "sizes_test.go") {
		t.Fatalf("fls of the raw file system says %s", want)
	}
	for _, flush := range []int64{0, mib} {
		j := newJob(medium)
		j.flush, j.opts.SegmentBytes = flush, mib
		dir, res := j.write(t)
		j.judge(t, tl, dir, res)
		if got := output(t, p[1], "-r", "-p", "-i", "ewf", filepath.Join(dir, "x.E01")); got != want {
			t.Errorf("fls says %s, of the raw file system %s", got, want)
		}
	}
}

// Sectors of 4,096 bytes in one large file: a table's entries reach 2^31 bytes before it is full, and the next table's
// base lies beyond. With EXHIBIT_SOAK=1 there are so many chunks that this happens.
func TestToolsAcceptLargeSegment(t *testing.T) {
	tl := needTools(t)
	const chunk = 64 * 4096
	boundary := int64(100)
	if os.Getenv("EXHIBIT_SOAK") == "1" {
		boundary = 1 << 31 / chunk
	}
	j := newJob(nil)
	j.opts.SectorBytes, j.opts.Level, j.opts.SegmentBytes, j.opts.SizeBytes = 4096, ewf.None, 8*gib, (boundary+20)*chunk
	c := j.compressor(t)
	root, dir := scratch(t)
	w, err := ewf.NewWriter(root, j.opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range boundary + 20 {
		p := make([]byte, chunk)
		copy(p, fmt.Sprint(i))
		chunks, err := c.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(chunks); err != nil {
			t.Fatal(err)
		}
	}
	res, err := w.Finish(ewf.Trailer{})
	if err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(dir, res.Segments[0].Name)
	for i := boundary - 3; i < boundary+20; i++ {
		out := filepath.Join(t.TempDir(), "part")
		output(t, tl.export, "-q", "-u", "-f", "raw", "-t", out, "-o", fmt.Sprint(i*chunk), "-B", fmt.Sprint(chunk), first)
		got, err := os.ReadFile(out + ".raw")
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprint(i); len(got) != chunk || string(got[:len(want)]) != want || got[len(want)] != 0 {
			t.Errorf("chunk %d is another one", i)
		}
	}
}
