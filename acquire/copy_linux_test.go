package acquire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// copied is an image in a folder that copies are made of.
type copied struct {
	dir    string
	source acquire.CopySource
}

func acquiredCopy(t *testing.T, dir string, a record.Acquisition) copied {
	t.Helper()
	return copied{partial(dir), acquire.CopySource{Image: a.Image(), Medium: a.Medium, Acquired: a.Started}}
}

func copyOptions(t *testing.T, n int, format string) acquire.CopyOptions {
	t.Helper()
	o := options(t)
	ref := record.Reference{ID: testID, Leaf: record.LeafHash{7}}
	return acquire.CopyOptions{Exhibit: o.Exhibit, ID: fmt.Sprintf("20261124T081500Z-%08x", n), Format: format, Original: ref, Source: ref,
		Tool: o.Tool, Host: o.Host, Clock: o.Clock}
}

// make makes a copy, which must have the bytes of want.
func (c copied) make(t *testing.T, want []byte, opts acquire.CopyOptions) copied {
	t.Helper()
	dir := memoryDir(t)
	m, err := c.run(t, t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	to := copied{filepath.Join(dir, opts.ID+".partial"), acquire.CopySource{Image: m.Image(), Medium: c.source.Medium, Acquired: c.source.Acquired}}
	i := m.Image()
	var names, all []string
	for _, f := range i.Files {
		b := readFile(t, filepath.Join(to.dir, f.Name))
		if got := digests(b); !slices.Equal(f.Digests, got) || f.SizeBytes != int64(len(b)) {
			t.Errorf("%s: the record says %d bytes, %v; the file has %d bytes, %v", f.Name, f.SizeBytes, f.Digests, len(b), got)
		}
		if all = append(all, f.Name); f.Role == record.RoleImage {
			names = append(names, f.Name)
		}
	}
	open := image.OpenRaw
	if opts.Format == record.FormatE01 {
		open = image.OpenE01
	}
	r, err := open(os.DirFS(to.dir), names)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make([]byte, r.Size())
	if _, err := r.ReadAt(got, 0); len(got) > 0 && err != nil || !bytes.Equal(got, want) {
		t.Errorf("the copy of %d bytes (%v) is not the medium of %d", len(got), err, len(want))
	}
	entries, err := os.ReadDir(to.dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	if have := slices.Collect(func(yield func(string) bool) {
		for _, e := range entries {
			yield(e.Name())
		}
	}); !slices.Equal(have, all) {
		t.Errorf("the folder holds %q, want %q", have, all)
	}
	return to
}

func (c copied) run(t *testing.T, ctx context.Context, dir string, opts acquire.CopyOptions) (record.Copy, error) {
	t.Helper()
	c.source.FS = os.DirFS(c.dir)
	return acquire.Copy(ctx, c.source, destination(t, dir), opts)
}

// Through all formats and back, around the edges of sector, chunk and group.
func TestCopySizes(t *testing.T) {
	for _, size := range []int{0, 1, 512, 32768, mib - 512, mib, mib + 512, 3*mib + 17*512} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			want := content(size)
			dir := memoryDir(t)
			opts := options(t)
			opts.Extra = []record.Algorithm{record.SHA1, record.SHA512}
			a := acquireTo(t, dir, openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "medium"), want)), opts, want)
			from := acquiredCopy(t, dir, a)
			split := copyOptions(t, 1, record.FormatRaw)
			split.SegmentBytes = mib
			from = from.make(t, want, split)
			if size%512 == 0 && size > 0 {
				e01 := copyOptions(t, 2, record.FormatE01)
				e01.SegmentBytes = mib
				from = from.make(t, want, e01)
				from = from.make(t, want, copyOptions(t, 3, record.FormatE01))
			}
			from = from.make(t, want, copyOptions(t, 4, record.FormatRaw))
			for _, d := range a.Digests {
				if got := from.source.Image.Digest(d.Digest.Algorithm()); got != d.Digest {
					t.Errorf("%s of the last copy is %s, of the medium %s", d.Digest.Algorithm(), got, d.Digest)
				}
			}
		})
	}
}

// What a medium did not give goes along: as map, in the record, and in the list of an E01.
func TestCopyUnread(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 6 * mib})
	bad := []faultdisk.Range{{First: 100, Count: 9}, {First: 2047, Count: 2}, {First: 6*2048 - 1, Count: 1}}
	disk.Bad(bad...)
	dir := memoryDir(t)
	a, err := acquire.Acquire(t.Context(), openMedium(t, disk.Path()), []acquire.Destination{destination(t, dir)}, rescueOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	want, from := truth(t, disk, bad), acquiredCopy(t, dir, a.Acquisition)
	mapped := readFile(t, filepath.Join(from.dir, "7%2Fa.map"))
	for n, format := range []string{record.FormatE01, record.FormatRaw, record.FormatE01} {
		from = from.make(t, want, copyOptions(t, n, format))
		if got := readFile(t, filepath.Join(from.dir, "7%2Fa.map")); !bytes.Equal(got, mapped) {
			t.Errorf("copy %d: the map is %q, want %q", n, got, mapped)
		}
		if got := from.source.Image.Unread; got != a.Unread {
			t.Errorf("copy %d: unread %+v, want %+v", n, got, a.Unread)
		}
	}
	r, err := image.OpenE01(os.DirFS(from.dir), []string{"7%2Fa.E01"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var ranges []ewf.Range
	for _, b := range bad {
		ranges = append(ranges, ewf.Range{FirstSector: b.First, Sectors: b.Count})
	}
	if got := r.E01().Unread(); !slices.Equal(got, ranges) {
		t.Errorf("the image lists %v as unread, want %v", got, ranges)
	}
}

// A source that is not as its record says is told from one of which a file is missing, and no record comes of either.
func TestCopyDamagedSource(t *testing.T) {
	want := content(3*mib + 512)
	dir := memoryDir(t)
	raw := acquiredCopy(t, dir, acquireTo(t, dir, openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "medium"), want)), options(t), want))
	e01 := raw.make(t, want, copyOptions(t, 1, record.FormatE01))
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	tests := map[string]struct {
		from copied
		name string
		edit func([]byte) []byte // nil: removed
		want error
		text string
	}{
		"first group":    {raw, "7%2Fa.raw", flip(5), acquire.ErrSource, "bytes 0 to 1048575"},
		"last group":     {raw, "7%2Fa.raw", flip(3*mib + 500), acquire.ErrSource, "bytes 3145728 to 3146239"},
		"cut off":        {raw, "7%2Fa.raw", func(b []byte) []byte { return b[:mib] }, acquire.ErrSource, "not a regular file of"},
		"longer":         {raw, "7%2Fa.raw", func(b []byte) []byte { return append(b, 0) }, acquire.ErrSource, "not a regular file of"},
		"no image":       {raw, "7%2Fa.raw", nil, fs.ErrNotExist, ""},
		"tree":           {raw, "7%2Fa.tree", flip(40), acquire.ErrSource, "tree"},
		"value in tree":  {raw, "7%2Fa.tree", flip(70), acquire.ErrSource, "tree"},
		"tree cut off":   {raw, "7%2Fa.tree", func(b []byte) []byte { return b[:64] }, acquire.ErrSource, "tree"},
		"no tree":        {raw, "7%2Fa.tree", nil, fs.ErrNotExist, ""},
		"chunk":          {e01, "7%2Fa.E01", flip(mib), acquire.ErrSource, "damaged"},
		"e01 cut off":    {e01, "7%2Fa.E01", func(b []byte) []byte { return b[:mib] }, acquire.ErrSource, "not a regular file of"},
		"e01, signature": {e01, "7%2Fa.E01", flip(0), acquire.ErrSource, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			from := tt.from
			from.dir = t.TempDir()
			if err := os.CopyFS(from.dir, os.DirFS(tt.from.dir)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(from.dir, tt.name)
			b := readFile(t, path)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if tt.edit != nil {
				writeFile(t, path, tt.edit(b))
			}
			m, err := from.run(t, t.Context(), memoryDir(t), copyOptions(t, 2, record.FormatRaw))
			if !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err), tt.text) || len(m.Files) != 0 {
				t.Errorf("got %v and %d files; want %v with %q and none", err, len(m.Files), tt.want, tt.text)
			}
		})
	}
}

// A record that says something else than its files cannot be satisfied.
func TestCopyOtherRecord(t *testing.T) {
	want := content(mib + 512)
	dir := memoryDir(t)
	opts := options(t)
	opts.Extra = []record.Algorithm{record.MD5}
	from := acquiredCopy(t, dir, acquireTo(t, dir, openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "medium"), want)), opts, want))
	for n := range from.source.Image.Digests {
		other := from
		other.source.Image.Digests = slices.Clone(from.source.Image.Digests)
		d := &other.source.Image.Digests[n].Digest
		wrong, err := record.NewDigest(d.Algorithm(), make([]byte, len(d.Hex())/2))
		if err != nil {
			t.Fatal(err)
		}
		*d = wrong
		if _, err := other.run(t, t.Context(), memoryDir(t), copyOptions(t, 2, record.FormatE01)); !errors.Is(err, acquire.ErrSource) {
			t.Errorf("with another %s: %v, want %v", wrong.Algorithm(), err, acquire.ErrSource)
		}
	}
}

// A copy that was stopped leaves a folder that cannot be sealed as one of an acquisition, and one that is there already
// is not touched.
func TestCopyStopped(t *testing.T) {
	want := content(2 * mib)
	dir := memoryDir(t)
	from := acquiredCopy(t, dir, acquireTo(t, dir, openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "medium"), want)), options(t), want))
	to := memoryDir(t)
	ctx, stop := context.WithCancel(t.Context())
	opts := copyOptions(t, 2, record.FormatE01)
	opts.Progress = stopper{stop}
	if _, err := from.run(t, ctx, to, opts); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "unfinished, kept in") {
		t.Errorf("stopped: %v, want %v", err, context.Canceled)
	}
	opts.Progress = nil
	if _, err := from.run(t, t.Context(), to, opts); !errors.Is(err, acquire.ErrExists) {
		t.Errorf("again: %v, want %v", err, acquire.ErrExists)
	}
	root, err := durable.OpenRoot(to)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	files := acquire.SealFiles{Statement: []byte("s"), Proof: []byte("p"), Genesis: []byte("g")}
	if err := acquire.Seal(root, opts.ID, files); !errors.Is(err, acquire.ErrUnfinished) {
		t.Errorf("sealed as an acquisition: %v, want %v", err, acquire.ErrUnfinished)
	}
	partialRoot, err := root.Sub(opts.ID + ".partial")
	if err != nil {
		t.Fatal(err)
	}
	defer partialRoot.Close()
	if _, err := acquire.ReadState(partialRoot); !errors.Is(err, acquire.ErrNotResumable) {
		t.Errorf("ReadState: %v, want %v", err, acquire.ErrNotResumable)
	}
	if _, err := acquire.ReadUnsigned(partialRoot); !errors.Is(err, acquire.ErrUnfinished) {
		t.Errorf("ReadUnsigned: %v, want %v", err, acquire.ErrUnfinished)
	}
}

// stopper stops as soon as the first bytes are done.
type stopper struct{ stop func() }

func (s stopper) Phase(string, int64) {}
func (s stopper) Doing(string, int64) {}
func (s stopper) Done(int64)          { s.stop() }
func (s stopper) Temperature(int64)   {}

// What was taken over from another program's image, and not read from the medium, stays said so in every copy, with its list.
func TestCopyTakenOver(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 6 * mib})
	bad := []faultdisk.Range{{First: 100, Count: 9}, {First: 9000, Count: 1}}
	disk.Bad(bad...)
	opts := rescueOptions(t)
	opts.TakeOver = ddrescue(t, disk, "--no-trim", "--no-scrape").takeOver(t)
	dir := memoryDir(t)
	a, err := acquire.Acquire(t.Context(), openMedium(t, disk.Path()), []acquire.Destination{destination(t, dir)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	want, from := truth(t, disk, bad), acquiredCopy(t, dir, a.Acquisition)
	list := readFile(t, filepath.Join(from.dir, "7%2Fa.taken"))
	for n, format := range []string{record.FormatE01, record.FormatRaw} {
		from = from.make(t, want, copyOptions(t, n, format))
		i := from.source.Image
		if got := readFile(t, filepath.Join(from.dir, "7%2Fa.taken")); !bytes.Equal(got, list) {
			t.Errorf("copy %d: the list is %q, want %q", n, got, list)
		}
		if !slices.Equal(i.TakenOver, a.TakenOver) || len(i.TakenOver) != 1 || i.Unread != a.Unread || len(i.Role(record.RoleTakenOver)) != 1 {
			t.Errorf("copy %d: taken over %+v, unread %+v; want %+v, %+v", n, i.TakenOver, i.Unread, a.TakenOver, a.Unread)
		}
	}
	for name, change := range map[string]func(path string, c *copied){
		"another list":     func(path string, _ *copied) { writeOver(t, path, append([]byte("# \n"), list...)) },
		"no list":          func(path string, _ *copied) { mustRemove(t, path) },
		"of another image": func(_ string, c *copied) { c.source.Image.TakenOver = []record.TakenOver{{Bytes: 512, Ranges: 1}} },
	} {
		other := copied{t.TempDir(), from.source}
		if err := os.CopyFS(other.dir, os.DirFS(from.dir)); err != nil {
			t.Fatal(err)
		}
		change(filepath.Join(other.dir, "7%2Fa.taken"), &other)
		to := memoryDir(t)
		if _, err := other.run(t, t.Context(), to, copyOptions(t, 9, record.FormatE01)); !errors.Is(err, acquire.ErrSource) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v", name, err)
		}
		mustBeEmpty(t, to)
	}
}

func mustRemove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func writeOver(t *testing.T, path string, b []byte) {
	t.Helper()
	mustRemove(t, path)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Options that do not fit leave nothing.
func TestCopyRefused(t *testing.T) {
	want := content(1000)
	dir := memoryDir(t)
	from := acquiredCopy(t, dir, acquireTo(t, dir, openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "medium"), want)), options(t), want))
	for name, tt := range map[string]struct {
		edit func(*acquire.CopyOptions)
		want error
	}{
		"no sectors":     {func(o *acquire.CopyOptions) { o.Format = record.FormatE01 }, acquire.ErrOptions},
		"format":         {func(o *acquire.CopyOptions) { o.Format = "ex02" }, acquire.ErrOptions},
		"compressed raw": {func(o *acquire.CopyOptions) { o.Compression = record.CompressionBest }, acquire.ErrOptions},
		"small segments": {func(o *acquire.CopyOptions) { o.SegmentBytes = 5 }, acquire.ErrSegments},
		"exhibit":        {func(o *acquire.CopyOptions) { o.Exhibit = "" }, acquire.ErrOptions},
		"id":             {func(o *acquire.CopyOptions) { o.ID = "x" }, acquire.ErrOptions},
		"clock":          {func(o *acquire.CopyOptions) { o.Clock = nil }, acquire.ErrOptions},
	} {
		t.Run(name, func(t *testing.T) {
			opts := copyOptions(t, 2, record.FormatRaw)
			tt.edit(&opts)
			to := memoryDir(t)
			if _, err := from.run(t, t.Context(), to, opts); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			mustBeEmpty(t, to)
		})
	}
}
