package image_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

const mib = 1 << 20

func content(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)*7 ^ byte(i>>16)*13
	}
	return b
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		size, segment int64
		count         int
		last          int64
	}{
		{0, 0, 1, 0}, {5, 0, 1, 5}, {0, mib, 1, 0}, {1, mib, 1, 1}, {mib - 1, mib, 1, mib - 1}, {mib, mib, 1, mib},
		{mib + 1, mib, 2, 1}, {2 * mib, mib, 2, mib}, {999 * mib, mib, 999, mib}, {998*mib + 1, mib, 999, 1},
		{3*mib + 17, mib + 511, 3, mib + 17 - 2*511}, {1 << 52, 1 << 51, 2, 1 << 51},
	} {
		got, err := image.Plan("7", c.size, c.segment)
		if err != nil {
			t.Errorf("%d in %d: %v", c.size, c.segment, err)
			continue
		}
		if len(got) != c.count || got[len(got)-1].SizeBytes != c.last {
			t.Errorf("%d in %d: %d segments, the last of %d; want %d and %d", c.size, c.segment, len(got), got[len(got)-1].SizeBytes, c.count, c.last)
		}
		var total int64
		for i, s := range got {
			total += s.SizeBytes
			want := "7.raw"
			if c.segment > 0 {
				want = fmt.Sprintf("7.%03d", i+1)
			}
			if s.Name != want {
				t.Errorf("%d in %d: segment %d is called %s, want %s", c.size, c.segment, i, s.Name, want)
			}
		}
		if total != c.size {
			t.Errorf("%d in %d: the segments hold %d bytes", c.size, c.segment, total)
		}
	}
	for _, c := range [][2]int64{{999*mib + 1, mib}, {1 << 52, mib}, {1, mib - 1}, {1, 1}, {1, -1}} {
		if _, err := image.Plan("7", c[0], c[1]); !errors.Is(err, image.ErrSegments) {
			t.Errorf("%d in %d: got %v, want ErrSegments", c[0], c[1], err)
		}
	}
	if _, err := image.Plan("7", -1, 0); err == nil {
		t.Error("a medium of -1 bytes has a plan")
	}
}

func root(t testing.TB) (*durable.Root, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, dir
}

// What is written, in pieces of any size, is what the plan says and what a reader gives.
func TestWriteAndRead(t *testing.T) {
	for _, size := range []int{0, 1, 513, mib - 1, mib, mib + 1, 2 * mib, 3*mib + 17} {
		for _, segment := range []int64{0, mib, mib + 511} {
			for _, piece := range []int{mib, 1000_003} {
				t.Run(fmt.Sprintf("%d-%d-%d", size, segment, piece), func(t *testing.T) {
					r, dir := root(t)
					want := content(size)
					segments := write(t, r, want, segment, piece)
					if plan, err := image.Plan("x", int64(size), segment); err != nil || !slices.Equal(segments, plan) {
						t.Errorf("written %v, planned %v, %v", segments, plan, err)
					}
					readBack(t, os.DirFS(dir), segments, want)
				})
			}
		}
	}
}

func write(t *testing.T, r *durable.Root, want []byte, segment int64, piece int) []image.Segment {
	t.Helper()
	w, err := image.NewWriter(r, image.WriterOptions{Name: "x", SegmentBytes: segment})
	if err != nil {
		t.Fatal(err)
	}
	defer giveUp(t, w)
	for p := range slices.Chunk(want, piece) {
		if n, err := w.Write(p); n != len(p) || err != nil {
			t.Fatalf("wrote %d of %d, %v", n, len(p), err)
		}
	}
	segments, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a finished image could be written to")
	}
	return segments
}

func giveUp(t *testing.T, w *image.Writer) {
	t.Helper()
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
}

func readBack(t *testing.T, fsys fs.FS, segments []image.Segment, want []byte) {
	t.Helper()
	found, err := image.Find(fsys, segments[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range segments {
		names = append(names, s.Name)
		if info, err := fs.Stat(fsys, s.Name); err != nil || info.Mode() != 0o444 || info.Size() != s.SizeBytes {
			t.Errorf("%s: %v, %v, want mode 0444 and %d bytes", s.Name, info, err, s.SizeBytes)
		}
	}
	if !slices.Equal(found, names) {
		t.Errorf("found %q, want %q", found, names)
	}
	img, err := image.Open(fsys, names)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if img.Size() != int64(len(want)) || !slices.Equal(img.Segments(), segments) {
		t.Errorf("image of %d bytes in %v, want %d in %v", img.Size(), img.Segments(), len(want), segments)
	}
	if got, err := io.ReadAll(img); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v, want %d", len(got), err, len(want))
	}
	for _, off := range []int64{0, 1, mib - 1, mib, mib + 510, 2 * mib, int64(len(want)) - 1, int64(len(want)), int64(len(want)) + 5} {
		checkReadAt(t, img, want, off)
	}
}

// checkReadAt compares with the same call on the bytes themselves.
func checkReadAt(t *testing.T, img *image.Reader, want []byte, off int64) {
	t.Helper()
	got, exp := make([]byte, mib+3), make([]byte, mib+3)
	n, err := img.ReadAt(got, off)
	wantN, wantErr := bytes.NewReader(want).ReadAt(exp, off)
	if n != wantN || (err == nil) != (wantErr == nil) || !bytes.Equal(got[:n], exp[:wantN]) {
		t.Errorf("ReadAt(%d): %d bytes, %v; want %d, %v", off, n, err, wantN, wantErr)
	}
	if errors.Is(wantErr, io.EOF) && !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt(%d): %v, want io.EOF", off, err)
	}
}

// The thousandth segment is refused, what was written before is kept.
func TestTooManySegments(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "exhibit-image-") // 999 syncs on a disk take long
	if err != nil {
		t.Skip("no /dev/shm")
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	r, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := image.NewWriter(r, image.WriterOptions{Name: "x", SegmentBytes: mib})
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, mib)
	for i := range 999 {
		if _, err := w.Write(block); err != nil {
			t.Fatalf("segment %d: %v", i+1, err)
		}
	}
	if n, err := w.Write([]byte("x")); n != 0 || !errors.Is(err, image.ErrSegments) {
		t.Errorf("wrote %d, %v, want ErrSegments", n, err)
	}
	if _, err := w.Finish(); !errors.Is(err, image.ErrSegments) {
		t.Errorf("Finish: %v, want the same error", err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	kept := w.Written()
	if len(kept) != 999 || kept[998].Name != "x.999" || kept[998].SizeBytes != mib {
		t.Errorf("%d segments are kept, want 999", len(kept))
	}
}

func TestMaxFileBytes(t *testing.T) {
	r, _ := root(t)
	w, err := image.NewWriter(r, image.WriterOptions{Name: "x", MaxFileBytes: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer giveUp(t, w)
	if _, err := w.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write([]byte("x")); n != 0 || !errors.Is(err, image.ErrFileTooLarge) {
		t.Errorf("wrote %d, %v, want ErrFileTooLarge", n, err)
	}
	if kept := w.Written(); len(kept) != 1 || kept[0].SizeBytes != 10 {
		t.Errorf("kept %v, want 10 bytes", kept)
	}
}

func TestWriterNeverOverwrites(t *testing.T) {
	r, dir := root(t)
	if err := os.WriteFile(filepath.Join(dir, "x.002"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := image.NewWriter(r, image.WriterOptions{Name: "x", SegmentBytes: mib})
	if err != nil {
		t.Fatal(err)
	}
	defer giveUp(t, w)
	if _, err := w.Write(make([]byte, mib+1)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want fs.ErrExist", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "x.002")); string(b) != "mine" || err != nil {
		t.Errorf("x.002 holds %q, %v", b, err)
	}
}

// A failed sync of a segment that is sealed beside the writing is the image's failure.
func TestSealFails(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("broken")
	for _, name := range []string{"x.001", "x.002"} {
		r, err := durable.OpenRootFaults(dir, func(op durable.Op, at string) error {
			if op == durable.OpChmod && at == name {
				return broken
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		w, err := image.NewWriter(r, image.WriterOptions{Name: "x", SegmentBytes: mib})
		if err != nil {
			t.Fatal(err)
		}
		_, werr := w.Write(make([]byte, mib+1))
		_, ferr := w.Finish()
		if !errors.Is(ferr, broken) {
			t.Errorf("%s: Write %v, Finish %v, want the failure", name, werr, ferr)
		}
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
		for _, s := range []string{"x.001", "x.002"} {
			if err := os.Remove(filepath.Join(dir, s)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{nil, {"missing"}, {"a", "missing"}, {"link"}, {"folder"}, {"../x"}} {
		if r, err := image.Open(os.DirFS(dir), names); err == nil {
			r.Close()
			t.Errorf("%q could be opened", names)
		}
	}
	if _, err := image.Open(iotestFS{}, []string{"a"}); err == nil {
		t.Error("files that cannot be read at an offset could be opened")
	}
}

// iotestFS has files that can only be read in order.
type iotestFS struct{}

func (iotestFS) Open(name string) (fs.File, error) {
	f, err := fstest.MapFS{"a": {Data: []byte("x")}}.Open(name)
	return struct{ fs.File }{f}, err
}

// A file that changes its length under the reader is no image.
func TestReaderChanges(t *testing.T) {
	for name, size := range map[string]int64{"shrinks": 2, "grows": 6} {
		path := filepath.Join(t.TempDir(), "a")
		if err := os.WriteFile(path, []byte("abcd"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := image.Open(os.DirFS(filepath.Dir(path)), []string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); !errors.Is(err, image.ErrChanged) {
			t.Errorf("%s: got %v, want ErrChanged", name, err)
		}
	}
}

func TestReaderIsAReader(t *testing.T) {
	fsys := fstest.MapFS{"a": {Data: []byte("ab")}, "b": {Data: nil}, "c": {Data: []byte("cde")}}
	r, err := image.Open(fsys, []string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(r, []byte("abcde")); err != nil {
		t.Error(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			b := make([]byte, 3)
			if _, err := r.ReadAt(b, 1); err != nil || string(b) != "bcd" {
				t.Errorf("ReadAt gives %q, %v", b, err)
			}
		})
	}
	wg.Wait()
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		folder, name, want string // want empty: refused
	}{
		{"x.raw", "x.raw", "x.raw"},
		{"x.dd x.001", "x.dd", "x.dd"},
		{"x.001", "x.001", "x.001"},
		{"x.001 x.002 x.003 y.004", "x.001", "x.001 x.002 x.003"},
		{"x.001 x.002 x.tree x.1 x.0003 x.00a x.1000", "x.001", "x.001 x.002"},
		{"x.001 x.003", "x.001", ""},
		{"x.001 x.002 x.004", "x.001", ""},
		{"x.001 x.002", "x.002", ""},
		{"x.002", "x.002", ""},
		{"", "x.001", ""},
		{"x.000 x.001", "x.000", ""},
		{"x.000 x.001", "x.001", ""},
		{"x.000", "x.000", "x.000"},
		{"a.b.001 a.b.002 b.003", "a.b.001", "a.b.001 a.b.002"},
		{".001", ".001", ".001"},
	} {
		fsys := fstest.MapFS{"d": {Mode: fs.ModeDir}}
		for name := range strings.FieldsSeq(c.folder) {
			fsys["d/"+name] = &fstest.MapFile{}
		}
		got, err := image.Find(fsys, "d/"+c.name)
		want := strings.Fields(strings.ReplaceAll(" "+c.want, " ", " d/"))
		if c.want == "" {
			want = nil
			if !errors.Is(err, image.ErrSegments) {
				t.Errorf("%s of %s: got %v, want ErrSegments", c.name, c.folder, err)
			}
		}
		if !slices.Equal(got, want) || c.want != "" && err != nil {
			t.Errorf("%s of %s: got %q, %v, want %q", c.name, c.folder, got, err, want)
		}
	}
}

// What cannot be looked at is told, and is no image of unknown format.
func TestFindUnreadable(t *testing.T) {
	for name, mode := range map[string]fs.FileMode{"link": fs.ModeSymlink, "pipe": fs.ModeNamedPipe, "folder": fs.ModeDir} {
		if got, err := image.Find(fstest.MapFS{name: {Mode: mode}}, name); got != nil || err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: got %q, %v; want that it is not a regular file", name, got, err)
		}
	}
}

func TestFindPast999(t *testing.T) {
	fsys := fstest.MapFS{}
	for i := range 1000 {
		fsys[fmt.Sprintf("x.%03d", i+1)] = &fstest.MapFile{}
	}
	if names, err := image.Find(fsys, "x.001"); !errors.Is(err, image.ErrSegments) {
		t.Errorf("got %d names, %v, want ErrSegments", len(names), err)
	}
	delete(fsys, "x.1000")
	if names, err := image.Find(fsys, "x.001"); len(names) != 999 || err != nil {
		t.Errorf("got %d names, %v, want 999", len(names), err)
	}
}

// Whatever lies in a folder, Find names files that are there, the first one first, without a gap, or none.
func FuzzFind(f *testing.F) {
	f.Add("x.001 x.002 x.003", "x.001")
	f.Add("x.001 x.003", "x.001")
	f.Add("x.000 x.001 x.999 x.1000", "x.000")
	f.Add("x.raw", "x.raw")
	f.Add(". .. .001 ..001", "..001")
	f.Fuzz(func(t *testing.T, folder, name string) {
		fsys := fstest.MapFS{}
		for n := range strings.FieldsSeq(folder) {
			if fs.ValidPath(n) && n != "." && !strings.Contains(n, "/") {
				fsys[n] = &fstest.MapFile{}
			}
		}
		names, err := image.Find(fsys, name)
		if err != nil {
			if names != nil {
				t.Errorf("names %q with error %v", names, err)
			}
			return
		}
		if len(names) == 0 || names[0] != name {
			t.Fatalf("%q for %q", names, name)
		}
		if len(names) == 1 {
			return
		}
		stem := strings.TrimSuffix(name, ".001")
		for i, n := range names {
			if fsys[n] == nil || n != fmt.Sprintf("%s.%03d", stem, i+1) {
				t.Fatalf("segment %d of %q is %q", i+1, name, n)
			}
		}
		if fsys[fmt.Sprintf("%s.%03d", stem, len(names)+1)] != nil {
			t.Errorf("%q leaves out the next segment", names)
		}
	})
}
