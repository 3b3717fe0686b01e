package ewf_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// smallSegment has room for some chunks.
const smallSegment = 130_000

// resumable is an image in three segments, flushed six times, with an odd last chunk.
func resumable(t testing.TB) job {
	t.Helper()
	j := newJob(mixed(23*chunkBytes + 3*512))
	j.flush = 4 * chunkBytes
	j.unread = []ewf.Range{{FirstSector: 7, Sectors: 2}}
	var err error
	if j.encoded, err = j.compressor(t).Encode(j.medium); err != nil {
		t.Fatal(err)
	}
	return j
}

// start begins the image; the tests of this file make segments smaller than may be.
func (j job) start(root *durable.Root) (*ewf.Writer, error) {
	return ewf.NewWriterTestOnly(root, j.opts, smallSegment)
}

func (j job) resume(root *durable.Root, size int64) (*ewf.Writer, error) {
	return ewf.ResumeWriterTestOnly(root, j.opts, smallSegment, size)
}

// finished is the image written without an interruption, file by file.
func finished(t *testing.T, j job) map[string][]byte {
	t.Helper()
	root, dir := scratch(t)
	w, err := j.start(root)
	if err != nil {
		t.Fatal(err)
	}
	res, err := j.complete(j.compressor(t), w)
	if err != nil {
		t.Fatal(err)
	}
	j.readBack(t, dir, res)
	return contents(t, dir)
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// place puts the files into a folder, as an interrupted run leaves them, and those in sealed read-only.
func place(t *testing.T, dir string, files map[string][]byte, sealed ...string) {
	t.Helper()
	for name, p := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, p, 0o600); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(sealed, name) {
			if err := os.Chmod(path, 0o444); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func same(a, b map[string][]byte) bool {
	return maps.EqualFunc(a, b, bytes.Equal)
}

// section is one section of a file, and the bytes of the medium that are in the image before it.
type section struct {
	kind string
	off  int64
	size int64
}

// sections walks through the files in order.
func sections(t *testing.T, j job, files map[string][]byte) map[string][]section {
	t.Helper()
	out := map[string][]section{}
	size := int64(0)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		p := files[name]
		for off := int64(ewf.FileHeaderBytes); ; {
			s, err := ewf.ParseSection(p[off:])
			if err != nil {
				t.Fatal(err)
			}
			out[name] = append(out[name], section{s.Type, off, size})
			if s.Next == off {
				break
			}
			if s.Type == ewf.TypeTable2 {
				h, err := ewf.ParseTableHeader(p[off+ewf.SectionBytes:])
				if err != nil {
					t.Fatal(err)
				}
				size = min(size+int64(h.Entries)*chunkBytes, j.opts.SizeBytes)
			}
			off = s.Next
		}
	}
	return out
}

// An interrupted run ended at any section, or within one; behind that stands nothing, or bytes that make no sense, and
// the files that followed are gone or torn. It had made durable what it flushed last, or the time before.
func TestResumeWriter(t *testing.T) {
	j := resumable(t)
	c := j.compressor(t)
	want := finished(t, j)
	names := slices.Sorted(maps.Keys(want))
	if len(names) != 3 {
		t.Fatalf("%d segments", len(names))
	}
	tried := 0
	for number, name := range names {
		for _, s := range sections(t, j, want)[name] {
			for _, cut := range []int64{s.off, s.off + 1, s.off + ewf.SectionBytes} {
				durable := s.size - s.size%j.flush
				if s.size == j.opts.SizeBytes { // which is flushed before Finish
					durable = s.size
				}
				for _, torn := range []int{0, 70_000} {
					left := map[string][]byte{}
					for i, n := range names {
						if i < number {
							left[n] = want[n]
						}
						if i > number && torn > 0 {
							left[n] = random(3, 5_000)
						}
					}
					left[name] = append(bytes.Clone(want[name][:cut]), random(2, torn)...)
					for _, size := range []int64{durable, max(0, (durable-1)/j.flush*j.flush)} {
						resumeAndCompare(t, j, c, left, size, want)
						tried++
					}
					if t.Failed() {
						t.Fatalf("%q cut at %d, at section %q, and %d bytes behind", name, cut, s.kind, torn)
					}
				}
			}
		}
	}
	t.Logf("%d resumed", tried)
}

func resumeAndCompare(t *testing.T, j job, c *ewf.Compressor, left map[string][]byte, size int64, want map[string][]byte, sealed ...string) {
	t.Helper()
	root, dir := scratch(t)
	place(t, dir, left, sealed...)
	w, err := j.resume(root, size)
	if err != nil {
		t.Fatalf("resume after %d bytes: %v", size, err)
	}
	if w.Size() != size {
		t.Errorf("resumed at %d, want %d", w.Size(), size)
	}
	res, err := j.complete(c, w)
	if err != nil {
		t.Fatalf("after %d bytes: %v", size, err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	if got := contents(t, dir); !same(got, want) {
		t.Errorf("after %d bytes other files than without an interruption", size)
		j.readBack(t, dir, res)
	}
	checkFiles(t, dir, res)
}

// A run that was interrupted while it made its files read-only is ended by the next, from any place.
func TestResumeSealed(t *testing.T) {
	j := resumable(t)
	c := j.compressor(t)
	want := finished(t, j)
	names := slices.Sorted(maps.Keys(want))
	for n := range len(names) + 1 {
		resumeAndCompare(t, j, c, want, j.opts.SizeBytes, want, names[:n]...)
	}
	for size := int64(0); size < j.opts.SizeBytes; size += j.flush {
		resumeAndCompare(t, j, c, want, size, want, names...)
	}
	// With another hash, or other unread sectors, it is another image.
	other := j
	other.unread = nil
	for n, wantErr := range map[int]error{len(names) - 1: nil, len(names): ewf.ErrPartial} {
		root, dir := scratch(t)
		place(t, dir, want, names[:n]...)
		w, err := j.resume(root, j.opts.SizeBytes)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Finish(other.trailer()); !errors.Is(err, wantErr) {
			t.Errorf("%d files are read-only, and the end is another one: %v, want %v", n, err, wantErr)
		}
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
	}
}

// The interrupted run flushed after every chunk and so had more segments than are needed now.
func TestResumeRemovesWhatIsLeft(t *testing.T) {
	j := newJob(random(5, 24*chunkBytes))
	often := j
	often.flush = chunkBytes
	j.flush = 12 * chunkBytes
	const segment = 4*(chunkBytes+4) + 3_700 // with room for three chunks that are flushed, or four
	for _, sealed := range []bool{false, true} {
		root, dir := scratch(t)
		w, err := ewf.NewWriterTestOnly(root, often.opts, segment)
		if err != nil {
			t.Fatal(err)
		}
		if err := often.appendTo(j.compressor(t), w, j.opts.SizeBytes); err != nil {
			t.Fatal(err)
		}
		before := len(w.Written())
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
		if sealed {
			place(t, dir, map[string][]byte{"x.E08": random(1, 10)}, "x.E08")
		}
		if w, err = ewf.ResumeWriterTestOnly(root, j.opts, segment, chunkBytes); err != nil {
			t.Fatal(err)
		}
		res, err := j.complete(j.compressor(t), w)
		if sealed {
			if !errors.Is(err, ewf.ErrPartial) {
				t.Errorf("a finished file behind the last segment: %v, want ErrPartial", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Segments) >= before {
			t.Fatalf("%d segments, and %d before: nothing was left", len(res.Segments), before)
		}
		checkFiles(t, dir, res)
		j.readBack(t, dir, res)
	}
}

// damaged is what an interrupted run left, with one fault.
type damaged struct {
	j     job
	size  int64
	files map[string][]byte
}

func damages(t *testing.T) map[string]damaged {
	t.Helper()
	j := resumable(t)
	want := finished(t, j)
	change := func(name string, do func(p []byte) []byte) map[string][]byte {
		files := maps.Clone(want)
		if files[name] = do(bytes.Clone(want[name])); files[name] == nil {
			delete(files, name)
		}
		return files
	}
	flip := func(name, kind string, at int64) map[string][]byte {
		return change(name, func(p []byte) []byte {
			found := slices.IndexFunc(sections(t, j, want)[name], func(s section) bool { return s.kind == kind })
			p[sections(t, j, want)[name][found].off+at] ^= 1
			return p
		})
	}
	otherSet, otherSize, otherSector := j, j, j
	otherSet.opts.SetID[0]++
	otherSize.opts.SizeBytes -= 512
	otherSector.opts.SectorBytes = 1024
	otherSector.opts.SizeBytes -= 512
	all, most := j.opts.SizeBytes, 20*int64(chunkBytes)
	return map[string]damaged{
		"no file":               {j, most, nil},
		"the first is missing":  {j, most, change("x.E01", func([]byte) []byte { return nil })},
		"the second is missing": {j, most, change("x.E02", func([]byte) []byte { return nil })},
		"the second is empty":   {j, most, change("x.E02", func([]byte) []byte { return []byte{} })},
		"the second is third":   {j, most, change("x.E02", func([]byte) []byte { return want["x.E03"] })},
		"the first goes on":     {j, most, change("x.E01", func(p []byte) []byte { return append(p, 0) })},
		"another set":           {otherSet, most, want},
		"another set, anew":     {otherSet, 0, want},
		"another size":          {otherSize, most, want},
		"other sectors":         {otherSector, most, want},
		"no group ends there":   {j, chunkBytes, want},
		"no sector ends there":  {j, 4*chunkBytes + 1, want},
		"more than the medium":  {j, all + 1, want},
		"less than nothing":     {j, -1, want},
		"the file header":       {j, most, change("x.E01", func(p []byte) []byte { p[0]++; return p })},
		"header2":               {j, most, flip("x.E01", ewf.TypeHeader2, 0)},
		"the volume":            {j, most, flip("x.E01", ewf.TypeVolume, 100)},
		"the data":              {j, most, flip("x.E02", ewf.TypeData, 100)},
		"sectors":               {j, most, flip("x.E01", ewf.TypeSectors, 20)},
		"a table":               {j, most, flip("x.E01", ewf.TypeTable, 105)},
		"a second table":        {j, most, flip("x.E01", ewf.TypeTable2, 105)},
		"next":                  {j, most, flip("x.E01", ewf.TypeNext, 0)},
	}
}

func TestResumeRefuses(t *testing.T) {
	for what, c := range damages(t) {
		root, dir := scratch(t)
		place(t, dir, c.files)
		if w, err := c.j.resume(root, c.size); !errors.Is(err, ewf.ErrPartial) {
			t.Errorf("%s: %v, %v; want ErrPartial", what, w, err)
		}
		if got := contents(t, dir); !same(got, c.files) {
			t.Errorf("%s: the files were changed", what)
		}
	}
}

// What a table says of the places of its chunks is not believed, even when its checksums are right.
func TestResumeRefusesEntries(t *testing.T) {
	j := resumable(t)
	want := finished(t, j)
	var table section
	for _, s := range sections(t, j, want)["x.E01"] {
		if table.kind = ""; s.kind == ewf.TypeTable {
			table = s
			break
		}
	}
	for what, do := range map[string]func(e []ewf.Entry) (int64, []ewf.Entry){
		"a base":          func(e []ewf.Entry) (int64, []ewf.Entry) { return 5, e },
		"the first":       func(e []ewf.Entry) (int64, []ewf.Entry) { e[0]++; return 0, e },
		"a step back":     func(e []ewf.Entry) (int64, []ewf.Entry) { e[1] = e[0]; return 0, e },
		"a stored one":    func(e []ewf.Entry) (int64, []ewf.Entry) { e[0] ^= 1 << 31; return 0, e },
		"behind the end":  func(e []ewf.Entry) (int64, []ewf.Entry) { e[3] = 1<<31 - 1; return 0, e },
		"larger than raw": func(e []ewf.Entry) (int64, []ewf.Entry) { return 0, e[:len(e)-1] },
	} {
		files := maps.Clone(want)
		p := bytes.Clone(want["x.E01"])
		s, err := ewf.ParseSection(p[table.off:])
		if err != nil {
			t.Fatal(err)
		}
		base, entries, err := ewf.ParseTable(p[table.off+ewf.SectionBytes : s.Next])
		if err != nil {
			t.Fatal(err)
		}
		add, entries := do(entries)
		content := ewf.AppendTable(nil, base+add, entries)
		end := table.off
		var b []byte
		for _, kind := range []string{ewf.TypeTable, ewf.TypeTable2} {
			end += ewf.SectionBytes + int64(len(content))
			b = ewf.Section{Type: kind, Next: end, SizeBytes: ewf.SectionBytes + int64(len(content))}.Append(b)
			b = append(b, content...)
		}
		files["x.E01"] = slices.Concat(p[:table.off], b)
		root, dir := scratch(t)
		place(t, dir, files)
		if _, err := j.resume(root, j.flush); !errors.Is(err, ewf.ErrPartial) {
			t.Errorf("%s: %v, want ErrPartial", what, err)
		}
	}
}
