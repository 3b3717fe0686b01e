package acquire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

const mib = 1 << 20

// Every size around the edges of sector and block, as a file, as a stream that comes in crumbs, whole and in segments.
func TestSizes(t *testing.T) {
	sizes := []int{0, 1, 511, 512, 513, mib - 1, mib, mib + 1, 3*mib + 17}
	for _, size := range sizes {
		want := content(size)
		for _, segment := range []int64{0, mib, mib + 511} {
			for _, kind := range []string{"file", "stream"} {
				t.Run(fmt.Sprintf("%d-%d-%s", size, segment, kind), func(t *testing.T) {
					m := openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "medium"), want))
					if kind == "stream" {
						var err error
						m, err = medium.Open(t.Context(), "-", iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(want))))
						if err != nil {
							t.Fatal(err)
						}
						defer m.Close()
					}
					opts := options(t)
					opts.SegmentBytes = segment
					dir := memoryDir(t)
					if kind == "file" && segment != mib {
						dir = t.TempDir() // with direct I/O; its syncs take time
					}
					acquireTo(t, dir, m, opts, want)
				})
			}
		}
	}
}

func acquireAndCheck(t *testing.T, m *medium.Medium, opts acquire.Options, want []byte) record.Acquisition {
	t.Helper()
	return acquireTo(t, t.TempDir(), m, opts, want)
}

func acquireTo(t *testing.T, dir string, m *medium.Medium, opts acquire.Options, want []byte) record.Acquisition {
	t.Helper()
	d := destination(t, dir)
	a, err := acquire.Acquire(t.Context(), m, []acquire.Destination{d}, opts)
	if err != nil {
		t.Fatal(err)
	}
	checkFolder(t, partial(dir), want, a.Acquisition)
	checkSegments(t, a.Acquisition, int64(len(want)), opts.SegmentBytes)
	root, err := d.Root.Sub(testID + ".partial")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	u, err := acquire.ReadUnsigned(root)
	if err != nil {
		t.Fatal(err)
	}
	got, want2 := encode(t, u.Acquisition), encode(t, a.Acquisition)
	if u.Exhibit != opts.Exhibit || !bytes.Equal(got, want2) || len(u.Openings) != len(opts.Openings) {
		t.Errorf("unsigned.json says %s, want %s", got, want2)
	}
	return a.Acquisition
}

func checkSegments(t *testing.T, a record.Acquisition, size, segment int64) {
	t.Helper()
	var images []record.File
	for _, f := range a.Files {
		if f.Role == record.RoleImage {
			images = append(images, f)
		}
	}
	if segment == 0 {
		if len(images) != 1 || images[0].Name != "7%2Fa.raw" {
			t.Errorf("image files %v, want one 7%%2Fa.raw", images)
		}
		return
	}
	for i, f := range images {
		want := segment
		if i == len(images)-1 {
			want = size - int64(i)*segment
		}
		if name := fmt.Sprintf("7%%2Fa.%03d", i+1); f.Name != name || f.SizeBytes != want || i > 0 && want == 0 {
			t.Errorf("segment %d is %s of %d bytes, want %s of %d", i, f.Name, f.SizeBytes, name, want)
		}
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := record.EncodeJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWithoutReread(t *testing.T) {
	want := content(2*mib + 5)
	opts := options(t)
	opts.Reread = false
	a := acquireAndCheck(t, openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "m"), want)), opts, want)
	if a.Reread != (record.Reread{Kind: record.RereadNone}) {
		t.Errorf("re-read is %+v, want none", a.Reread)
	}
}

func TestExtraDigests(t *testing.T) {
	paths := testtool.Need(t, "md5sum", "sha1sum", "sha512sum")
	want := content(mib + 9)
	file := writeFile(t, filepath.Join(t.TempDir(), "m"), want)
	opts := options(t)
	opts.Extra = []record.Algorithm{record.SHA512, record.MD5, record.SHA1}
	a := acquireAndCheck(t, openMedium(t, file), opts, want)
	var algs []record.Algorithm
	for _, d := range a.Digests {
		algs = append(algs, d.Digest.Algorithm())
		tool := map[record.Algorithm]string{record.MD5: paths[0], record.SHA1: paths[1], record.SHA512: paths[2]}[d.Digest.Algorithm()]
		if tool == "" {
			continue
		}
		if sum, _, _ := strings.Cut(testtool.Run(t, tool, file), " "); sum != d.Digest.Hex() {
			t.Errorf("%s is %s, %s says %s", d.Digest.Algorithm(), d.Digest.Hex(), tool, sum)
		}
	}
	if want := []record.Algorithm{"blake3", "md5", "sha1", "sha256", "sha512"}; !slices.Equal(algs, want) {
		t.Errorf("digests %v, want %v", algs, want)
	}
}

// One record binds both destinations, so every file but none must be the same in both.
func TestTwoDestinations(t *testing.T) {
	want := content(3*mib + 17)
	m := openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "m"), want))
	dirs := []string{t.TempDir(), t.TempDir()}
	opts := options(t)
	opts.SegmentBytes = mib + 1
	a, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dirs[0]), destination(t, dirs[1])}, opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Destinations) != 2 {
		t.Errorf("record has %d destinations, want 2", len(a.Destinations))
	}
	for _, dir := range dirs {
		checkFolder(t, partial(dir), want, a.Acquisition)
	}
	one, err1 := os.ReadFile(filepath.Join(partial(dirs[0]), "unsigned.json"))
	two, err2 := os.ReadFile(filepath.Join(partial(dirs[1]), "unsigned.json"))
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(one, two) {
		t.Errorf("unsigned.json differs (%v)", err)
	}
}

func TestSumsForTools(t *testing.T) {
	testtool.Need(t, "sha256sum", "b3sum")
	want := content(2*mib + 1)
	dir := t.TempDir()
	opts := options(t)
	opts.SegmentBytes = mib
	m := openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "m"), want))
	if _, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, opts); err != nil {
		t.Fatal(err)
	}
	script := "cd \"$1\" && sha256sum --strict -c SHA256SUMS && b3sum -c B3SUMS"
	got := testtool.Run(t, "sh", "-c", script, "sh", partial(dir))
	line := "7%2Fa.001: OK\n7%2Fa.002: OK\n7%2Fa.003: OK\n7%2Fa.tree: OK"
	if got != line+"\n"+line {
		t.Errorf("the tools say %q", got)
	}
}

func TestJournalOfAnAcquisition(t *testing.T) {
	dir := t.TempDir()
	m, err := medium.Open(t.Context(), "-", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, options(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(partial(dir), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	header, rest, _ := strings.Cut(string(b), "\n")
	var j acquire.Journal
	if err := record.DecodeTyped([]byte(header), "exhibit-journal/v1", &j); err != nil {
		t.Fatal(err)
	}
	var phases []string
	for line := range strings.Lines(rest) {
		var p acquire.JournalPhase
		if err := record.DecodeJSON([]byte(strings.TrimSuffix(line, "\n")), &p); err != nil {
			t.Fatal(err)
		}
		phases = append(phases, p.Phase)
	}
	if got, want := strings.Join(phases, " "), "reading re-reading finishing"; got != want {
		t.Errorf("phases %q, want %q", got, want)
	}
	if j.ID != a.ID || j.Exhibit != "7/a" || j.Medium.SizeBytes != 0 || a.Medium.SizeBytes != 5 {
		t.Errorf("journal %+v and record of %d bytes, want id and exhibit, size 0 and 5", j, a.Medium.SizeBytes)
	}
}

// progress records the phases and runs a function when one begins.
type progress struct {
	phases []string
	done   int64
	at     map[string]func()
}

func (p *progress) Phase(name string, total int64) {
	p.phases = append(p.phases, fmt.Sprintf("%s %d", name, total))
	if f := p.at[name]; f != nil {
		f()
	}
}

func (*progress) Temperature(int64) {}

func (p *progress) Doing(string, int64) {}

func (p *progress) Done(n int64) { p.done = n }

func TestProgress(t *testing.T) {
	p := &progress{}
	opts := options(t)
	opts.Progress = p
	opts.SegmentBytes = mib
	want := content(2*mib + 3)
	acquireAndCheck(t, openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "m"), want)), opts, want)
	if got := strings.Join(p.phases, ", "); got != "reading 2097155, re-reading 2097155, finishing -1" || p.done != 2*mib+3 {
		t.Errorf("phases %s, %d bytes done", got, p.done)
	}
}

// A byte that changes on the disk between writing and re-reading is found and named, and nothing can be sealed.
func TestRereadMismatch(t *testing.T) {
	for _, segment := range []int64{0, mib + 100} {
		t.Run(fmt.Sprint(segment), func(t *testing.T) {
			dir := t.TempDir()
			d := destination(t, dir)
			opts := options(t)
			opts.SegmentBytes = segment
			opts.Progress = &progress{at: map[string]func(){acquire.PhaseRereading: func() {
				name := "7%2Fa.raw"
				if segment > 0 {
					name = "7%2Fa.003" // begins at 2 MiB + 200
				}
				flip(t, filepath.Join(partial(dir), name), map[bool]int64{true: 3*mib + 16, false: mib - 190}[segment == 0])
			}}}
			m := openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "m"), content(3*mib+17)))
			_, err := acquire.Acquire(t.Context(), m, []acquire.Destination{d}, opts)
			e, ok := errors.AsType[*acquire.RereadError](err)
			if !ok || !errors.Is(err, acquire.ErrReread) {
				t.Fatalf("got %v, want an ErrReread", err)
			}
			if want := []acquire.Range{{Offset: 3 * mib, SizeBytes: 17}}; !slices.Equal(e.Ranges, want) {
				t.Errorf("ranges %v, want %v", e.Ranges, want)
			}
			mustNotExist(t, filepath.Join(partial(dir), "unsigned.json"))
			if err := acquire.Seal(d.Root, testID, sealed()); !errors.Is(err, acquire.ErrUnfinished) {
				t.Errorf("Seal: %v, want ErrUnfinished", err)
			}
		})
	}
}

// flip changes one bit, on the disk too.
func flip(t *testing.T, path string, off int64) {
	t.Helper()
	unseal(t, path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// unseal lets a test that does not run as root damage a finished file.
func unseal(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A short image, and a tree that was exchanged, are mismatches too.
func TestRereadOfDamage(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"short image": func(t *testing.T, dir string) {
			unseal(t, filepath.Join(dir, "7%2Fa.raw"))
			if err := os.Truncate(filepath.Join(dir, "7%2Fa.raw"), mib); err != nil {
				t.Fatal(err)
			}
		},
		"no image": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "7%2Fa.raw")); err != nil {
				t.Fatal(err)
			}
		},
		"tree value": func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "7%2Fa.tree"), 100) },
		"tree size":  func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "7%2Fa.tree"), 23) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			opts := options(t)
			opts.Progress = &progress{at: map[string]func(){acquire.PhaseRereading: func() { damage(t, partial(dir)) }}}
			m := openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "m"), content(2*mib)))
			_, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, opts)
			if !errors.Is(err, acquire.ErrReread) {
				t.Errorf("got %v, want an ErrReread", err)
			}
			mustNotExist(t, filepath.Join(partial(dir), "unsigned.json"))
		})
	}
}

// Cancelling keeps the folder and says where it is, also while a pipe is silent.
func TestCancel(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	defer in.Close()
	m, err := medium.Open(ctx, "-", in)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	go func() {
		if _, err := out.Write(content(2 * mib)); err != nil {
			t.Error(err)
		}
		cancel() // the writer says nothing more and does not close
	}()
	_, err = acquire.Acquire(ctx, m, []acquire.Destination{destination(t, dir)}, options(t))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), partial(dir)) {
		t.Errorf("got %v, want context.Canceled and the folder's name", err)
	}
	mustNotExist(t, filepath.Join(partial(dir), "unsigned.json"))
	if _, err := os.Stat(filepath.Join(partial(dir), "7%2Fa.raw")); err != nil {
		t.Errorf("the image is not kept: %v", err)
	}
}

func TestCancelRereading(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	opts := options(t)
	opts.Progress = &progress{at: map[string]func(){acquire.PhaseRereading: cancel}}
	m := openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "m"), content(2*mib)))
	_, err := acquire.Acquire(ctx, m, []acquire.Destination{destination(t, dir)}, opts)
	if !errors.Is(err, context.Canceled) || errors.Is(err, acquire.ErrReread) {
		t.Errorf("got %v, want context.Canceled and no ErrReread", err)
	}
}

// What is wrong before the first byte is said before anything is made.
func TestRefusals(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big")
	writeFile(t, big, nil)
	if err := os.Truncate(big, 1000*mib); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*acquire.Options)
		want   error
	}{
		"exhibit":          {func(o *acquire.Options) { o.Exhibit = "" }, acquire.ErrOptions},
		"device name":      {func(o *acquire.Options) { o.Exhibit = "con" }, acquire.ErrOptions},
		"id":               {func(o *acquire.Options) { o.ID = "../x" }, acquire.ErrOptions},
		"clock":            {func(o *acquire.Options) { o.Clock = nil }, acquire.ErrOptions},
		"split, no reread": {func(o *acquire.Options) { o.SegmentBytes = mib; o.Reread = false }, acquire.ErrOptions},
		"digest twice":     {func(o *acquire.Options) { o.Extra = []record.Algorithm{"md5", "md5"} }, acquire.ErrOptions},
		"digest unknown":   {func(o *acquire.Options) { o.Extra = []record.Algorithm{"crc32"} }, acquire.ErrOptions},
		"digest in vain":   {func(o *acquire.Options) { o.Extra = []record.Algorithm{"sha256"} }, acquire.ErrOptions},
		"forgotten fact":   {func(o *acquire.Options) { o.Host.Kernel = record.Fact[string]{} }, acquire.ErrOptions},
		"tool without name": {func(o *acquire.Options) { o.Tool.Name = "" },
			acquire.ErrOptions},
		"wrong openings":  {func(o *acquire.Options) { o.Openings[0].Value += "x" }, acquire.ErrOptions},
		"small segments":  {func(o *acquire.Options) { o.SegmentBytes = mib - 1 }, acquire.ErrSegments},
		"too many pieces": {func(o *acquire.Options) { o.SegmentBytes = mib }, acquire.ErrSegments},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			opts := options(t)
			c.change(&opts)
			_, err := acquire.Acquire(t.Context(), openMedium(t, big), []acquire.Destination{destination(t, dir)}, opts)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			mustBeEmpty(t, dir)
		})
	}
}

func TestExists(t *testing.T) {
	for _, name := range []string{testID, testID + ".partial"} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		m := openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "m"), nil))
		_, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, options(t))
		if !errors.Is(err, acquire.ErrExists) {
			t.Errorf("with %s: got %v, want ErrExists", name, err)
		}
		mustBeEmpty(t, filepath.Join(dir, name))
	}
}

// The two halves of a Destination must be one folder, or the checks look at the wrong disk.
func TestDestinationOfTwoFolders(t *testing.T) {
	root, err := durable.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	m := openMedium(t, writeFile(t, filepath.Join(t.TempDir(), "m"), nil))
	_, err = acquire.Acquire(t.Context(), m, []acquire.Destination{{Root: root, Dir: t.TempDir()}}, options(t))
	if !errors.Is(err, acquire.ErrOptions) {
		t.Errorf("got %v, want ErrOptions", err)
	}
}
