package ewf_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
)

func TestNewWriterRefuses(t *testing.T) {
	for what, change := range map[string]func(*ewf.WriterOptions){
		"a size":   func(o *ewf.WriterOptions) { o.SizeBytes++ },
		"a level":  func(o *ewf.WriterOptions) { o.Level = 3 },
		"no set":   func(o *ewf.WriterOptions) { o.SetID = [16]byte{} },
		"a header": func(o *ewf.WriterOptions) { o.Header.Notes = "one\ntwo" },
	} {
		j := newJob(make([]byte, 512))
		change(&j.opts)
		root, dir := scratch(t)
		if w, err := ewf.NewWriter(root, j.opts); !errors.Is(err, ewf.ErrValue) {
			t.Errorf("%s: %v, %v; want ErrValue", what, w, err)
		}
		if files := contents(t, dir); len(files) != 0 {
			t.Errorf("%s: %d files were made", what, len(files))
		}
	}
}

// No file is written over, the first one or a later one.
func TestWriterOverwritesNothing(t *testing.T) {
	j := resumable(t)
	for _, name := range []string{"x.E01", "x.E02"} {
		root, dir := scratch(t)
		there := map[string][]byte{name: []byte("evidence")}
		place(t, dir, there)
		w, err := j.start(root)
		if err == nil {
			_, err = j.complete(nil, w)
			if again := w.Append(nil); again == nil {
				t.Error("a writer that failed goes on")
			}
			if err := w.Abort(); err != nil {
				t.Error(err)
			}
		}
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("%q exists: %v, want fs.ErrExist", name, err)
		}
		if got := contents(t, dir)[name]; string(got) != "evidence" {
			t.Errorf("%q was changed", name)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	j := newJob(random(1, 2*chunkBytes+512))
	chunks, err := j.compressor(t).Encode(j.medium)
	if err != nil {
		t.Fatal(err)
	}
	whole, short := chunks[0], chunks[2]
	for what, chunks := range map[string][]ewf.Chunk{
		"nothing":             {{}},
		"a short one":         {short},
		"a long last one":     {whole, whole, whole},
		"one too many":        {whole, whole, short, short},
		"compressed to more":  {{Data: whole.Data, Compressed: true}},
		"without its Adler":   {{Data: whole.Data[:chunkBytes]}},
		"one that is longer ": {{Data: append(bytes.Clone(whole.Data), 0)}},
	} {
		root, _ := scratch(t)
		w, err := ewf.NewWriter(root, j.opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(chunks); err == nil {
			t.Errorf("%s: no error", what)
		}
		if _, err := w.Flush(); err == nil {
			t.Errorf("%s: it can still be flushed", what)
		}
		if res, err := w.Finish(ewf.Trailer{}); err == nil || res.Segments != nil {
			t.Errorf("%s: %v, finished", what, res)
		}
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
	}
}

func TestFinishRefuses(t *testing.T) {
	j := newJob(make([]byte, 100*512))
	c := j.compressor(t)
	for what, trailer := range map[string]ewf.Trailer{
		"MD5":            {MD5: make([]byte, 15)},
		"SHA-1":          {SHA1: make([]byte, 16)},
		"behind the end": {Unread: []ewf.Range{{FirstSector: 99, Sectors: 2}}},
		"overflow":       {Unread: []ewf.Range{{FirstSector: 1, Sectors: 1<<63 - 1}}},
		"negative":       {Unread: []ewf.Range{{FirstSector: -1, Sectors: 1}}},
		"empty":          {Unread: []ewf.Range{{FirstSector: 1, Sectors: 0}}},
		"overlap":        {Unread: []ewf.Range{{FirstSector: 1, Sectors: 5}, {FirstSector: 5, Sectors: 1}}},
	} {
		root, _ := scratch(t)
		w, err := ewf.NewWriter(root, j.opts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Finish(ewf.Trailer{}); err == nil {
			t.Fatal("an image without its chunks was finished")
		}
		if err := j.appendTo(c, w, j.opts.SizeBytes); err != nil {
			t.Fatal(err)
		}
		if res, err := w.Finish(trailer); !errors.Is(err, ewf.ErrValue) || res.Segments != nil {
			t.Errorf("%s: %v, %v; want ErrValue", what, res, err)
		}
		if _, err := w.Finish(ewf.Trailer{}); err != nil {
			t.Errorf("%s: after it was refused: %v", what, err)
		}
		if _, err := w.Finish(ewf.Trailer{}); err == nil {
			t.Error("finished twice")
		}
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
	}
}

// What the fields of error2 cannot say, or there is no room for, is given back.
func TestOmittedUnread(t *testing.T) {
	j := newJob(make([]byte, 150*mib))
	j.opts.SegmentBytes = mib
	for s := int64(0); s+1 < int64(len(j.medium))/512; s += 2 {
		j.unread = append(j.unread, ewf.Range{FirstSector: s, Sectors: 1})
	}
	all := j.unread
	_, res := j.write(t)
	kept := len(all) - len(res.OmittedUnread)
	if kept < 100_000 || kept == len(all) || !slices.Equal(res.OmittedUnread, all[kept:]) {
		t.Errorf("%d ranges of %d were kept", kept, len(all))
	}
	if s := res.Segments; len(s) != 2 || s[1].SizeBytes > mib || s[1].SizeBytes < mib-2_000 {
		t.Errorf("segments %v, want two, the last almost full", s)
	}
}

// Past 2^32 sectors: the writer is told that it stands there.
func TestOmittedUnreadFar(t *testing.T) {
	j := newJob(nil)
	j.opts.SizeBytes = 3 * tib
	in, out := ewf.Range{FirstSector: 1<<32 - 1, Sectors: 2}, ewf.Range{FirstSector: 1 << 32, Sectors: 1}
	root, _ := scratch(t)
	w, err := ewf.NewWriter(root, j.opts)
	if err != nil {
		t.Fatal(err)
	}
	ewf.SkipTestOnly(w)
	far := ewf.Range{FirstSector: 1<<32 + 5, Sectors: 7}
	res, err := w.Finish(ewf.Trailer{Unread: []ewf.Range{in, far}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []ewf.Range{far}; !slices.Equal(res.OmittedUnread, want) {
		t.Errorf("given back: %v, want %v", res.OmittedUnread, want)
	}
	if ewf.ErrorRangeFits(out) {
		t.Error("sector 2^32 fits into 32 bits")
	}
}

// A writer that would need one more segment than has a name says so, and keeps what it has.
func TestTooManySegments(t *testing.T) {
	j := resumable(t)
	root, dir := scratch(t)
	w, err := j.start(root)
	if err != nil {
		t.Fatal(err)
	}
	ewf.UseUpTestOnly(w)
	if _, err := j.complete(nil, w); !errors.Is(err, ewf.ErrSegments) || !strings.Contains(err.Error(), "kept") {
		t.Errorf("%v, want ErrSegments", err)
	}
	if got := slices.Collect(maps.Keys(contents(t, dir))); !slices.Equal(got, []string{"x.E01"}) {
		t.Errorf("files %v", got)
	}
}

// What was flushed can be read by others before the image is finished.
func TestWrittenIsWhatIsThere(t *testing.T) {
	j := resumable(t)
	root, dir := scratch(t)
	w, err := j.start(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.appendTo(nil, w, 20*chunkBytes); err != nil {
		t.Fatal(err)
	}
	if w.Size() != 20*chunkBytes {
		t.Errorf("%d bytes appended", w.Size())
	}
	written := w.Written()
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if len(written) < 2 {
		t.Errorf("segments %v", written)
	}
	for _, s := range written {
		info, err := os.Stat(filepath.Join(dir, s.Name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != s.SizeBytes {
			t.Errorf("%q has %d bytes, want %d", s.Name, info.Size(), s.SizeBytes)
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	third := 8 << 20
	medium := slices.Concat(mixed(third), make([]byte, third), random(1, third))
	for name, level := range map[string]ewf.Level{"none": ewf.None, "fast": ewf.Fast} {
		b.Run(name, func(b *testing.B) {
			j := newJob(medium)
			j.opts.Level, j.flush = level, 4*mib
			c := j.compressor(b)
			b.SetBytes(int64(len(medium)))
			for b.Loop() {
				root, _ := scratch(b)
				w, err := ewf.NewWriter(root, j.opts)
				if err != nil {
					b.Fatal(err)
				}
				if err := j.appendTo(c, w, j.opts.SizeBytes); err != nil {
					b.Fatal(err)
				}
				if _, err := w.Finish(ewf.Trailer{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
