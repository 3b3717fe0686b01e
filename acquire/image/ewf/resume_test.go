package ewf_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
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

func TestResumeRefuses(t *testing.T) {
	j := resumable(t)
	want := finished(t, j)
	change := func(name string, do func(p []byte) []byte) map[string][]byte {
		files := maps.Clone(want)
		if files[name] = do(bytes.Clone(want[name])); files[name] == nil {
			delete(files, name)
		}
		return files
	}
	find := func(name, kind string) int64 {
		for _, s := range sections(t, j, want)[name] {
			if s.kind == kind {
				return s.off
			}
		}
		t.Fatalf("%q has no section %q", name, kind)
		return 0
	}
	flip := func(name, kind string, at int64) map[string][]byte {
		return change(name, func(p []byte) []byte {
			p[find(name, kind)+at] ^= 1
			return p
		})
	}
	otherSet, otherSize, otherSector := j, j, j
	otherSet.opts.SetID[0]++
	otherSize.opts.SizeBytes -= 512
	otherSector.opts.SectorBytes = 1024
	otherSector.opts.SizeBytes -= 512
	all, most := j.opts.SizeBytes, 20*int64(chunkBytes)
	for what, c := range map[string]struct {
		j     job
		size  int64
		files map[string][]byte
	}{
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
	} {
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

// The function that Flush returned waits for a file that became full meanwhile, and tells what went wrong with it.
func TestFlushWhileAppending(t *testing.T) {
	j := newJob(random(6, 24*chunkBytes))
	for _, fail := range []bool{false, true} {
		_, dir := scratch(t)
		broken := errors.New("broken")
		fails := false
		root, err := durable.OpenRootFaults(dir, func(op durable.Op, name string) error {
			if fails && op == durable.OpSync && name == "x.E01" {
				return broken
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		w, err := j.start(root)
		if err != nil {
			t.Fatal(err)
		}
		c := j.compressor(t)
		if err := j.appendTo(c, w, 2*chunkBytes); err != nil {
			t.Fatal(err)
		}
		sync, err := w.Flush()
		if err != nil {
			t.Fatal(err)
		}
		fails = fail
		err = j.appendTo(c, w, 5*chunkBytes)
		if len(w.Written()) != 2 {
			t.Fatalf("%d segments", len(w.Written()))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := sync(); errors.Is(err, broken) != fail || err != nil && !fail {
			t.Errorf("the sync failing is %v, and Flush's function says: %v", fail, err)
		}
		if err := w.Abort(); errors.Is(err, broken) != fail {
			t.Errorf("the sync failing is %v, and Abort says: %v", fail, err)
		}
	}
}

// Every call that changes the disk fails once: the run says so, and what is left can be gone on from, as far as it was
// made durable, and becomes the same image.
func TestWriterFaults(t *testing.T) {
	j := resumable(t)
	c := j.compressor(t)
	want := finished(t, j)
	var size int64 // that was made durable
	faulttest.Each(t, func(root *durable.Root) error {
		size = 0
		w, err := j.start(root)
		if err != nil {
			return err
		}
		for err == nil && w.Size() < j.opts.SizeBytes {
			if err = j.appendTo(c, w, min(w.Size()+j.flush, j.opts.SizeBytes)); err == nil {
				if err = flush(w); err == nil {
					size = w.Size()
				}
			}
		}
		if err == nil {
			_, err = w.Finish(j.trailer())
		}
		return errors.Join(err, w.Abort())
	}, func(t *testing.T, dir string, err error) {
		if err != nil {
			completeLeft(t, j, c, dir, size)
		}
		if !same(contents(t, dir), want) {
			t.Error("the files are other ones")
		}
	})
}

func completeLeft(t *testing.T, j job, c *ewf.Compressor, dir string, size int64) {
	t.Helper()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	w, err := j.resume(root, size)
	if err != nil {
		t.Fatalf("resume after %d bytes: %v", size, err)
	}
	if _, err := j.complete(c, w); err != nil {
		t.Fatalf("after %d bytes: %v", size, err)
	}
}

// The same for the run that goes on.
func TestResumeFaults(t *testing.T) {
	j := resumable(t)
	c := j.compressor(t)
	want := finished(t, j)
	for _, size := range []int64{0, 2 * j.flush, j.opts.SizeBytes} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			faulttest.Case{
				Prepare: func(t *testing.T, dir string) {
					left := maps.Clone(want)
					left["x.E04"] = random(1, 100)
					if size == 0 {
						left["x.E01"] = left["x.E01"][:5_000]
						place(t, dir, left)
						return
					}
					place(t, dir, left, "x.E01")
				},
				Run: func(root *durable.Root) error {
					w, err := j.resume(root, size)
					if err != nil {
						return err
					}
					_, err = j.complete(c, w)
					return errors.Join(err, w.Abort())
				},
				Check: func(t *testing.T, dir string, err error) {
					if err != nil {
						completeLeft(t, j, c, dir, size)
					}
					if !same(contents(t, dir), want) {
						t.Error("the files are other ones")
					}
				},
			}.Each(t)
		})
	}
}

// FuzzResumeWriter changes the files of an interrupted run. Either that is seen, and nothing else is changed, or the
// image becomes one in whose structure our reader sees nothing wrong.
func FuzzResumeWriter(f *testing.F) {
	j := resumable(f)
	root, dir := scratch(f)
	w, err := j.start(root)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := j.complete(nil, w); err != nil {
		f.Fatal(err)
	}
	want := map[string][]byte{}
	for _, s := range w.Written() {
		if want[s.Name], err = os.ReadFile(filepath.Join(dir, s.Name)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(uint32(13), []byte("header"), uint32(0), uint8(3))
	f.Add(uint32(1700), []byte{1, 2, 3}, uint32(90_000), uint8(1))
	f.Add(uint32(130_000), []byte{0xff}, uint32(0), uint8(0))
	f.Fuzz(func(t *testing.T, at uint32, change []byte, cut uint32, flushes uint8) {
		size := min(int64(flushes)*j.flush, j.opts.SizeBytes)
		files := maps.Clone(want)
		name := fmt.Sprintf("x.E%02d", 1+at%2)
		p := bytes.Clone(files[name])
		copy(p[int(at)%len(p):], change)
		files[name] = p[:max(0, len(p)-int(cut))]
		root, dir := scratch(t)
		place(t, dir, files)
		w, err := j.resume(root, size)
		if err != nil {
			if !errors.Is(err, ewf.ErrPartial) || w != nil {
				t.Errorf("%v, %v; want ErrPartial", w, err)
			}
			if !same(contents(t, dir), files) {
				t.Error("it was refused, and files were changed")
			}
			return
		}
		if w.Size() != size {
			t.Errorf("resumed at %d, want %d", w.Size(), size)
		}
		if _, err := j.complete(nil, w); err != nil {
			t.Fatal(err)
		}
		r, err := ewf.Open(os.DirFS(dir), slices.Sorted(maps.Keys(want)))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, n := range r.Notes() {
			if n.Damage && !strings.Contains(n.Text, "header") { // those texts were not looked at
				t.Errorf("our reader notes %+v", n)
			}
		}
	})
}
