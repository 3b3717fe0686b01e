package acquire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// left is an acquisition that was stopped, to be damaged and gone on with.
type left struct {
	disk *faultdisk.Disk
	bad  []faultdisk.Range
	dir  string // with the folder as it was left
}

// leave stops an acquisition of 6 MiB in a phase when so many bytes of it are done.
func leave(t *testing.T, phase string, at int64, bad []faultdisk.Range) *left {
	t.Helper()
	l := &left{faultdisk.New(t, faultdisk.Options{SizeBytes: 6 * mib}), bad, memoryDir(t)}
	l.disk.Bad(bad...)
	ctx, stop := context.WithCancel(t.Context())
	j := job{Path: l.disk.Path(), Dirs: []string{l.dir}, Stretch: mib, progress: &stopAt{phase: phase, bytes: at, stop: stop}}
	if _, err := j.step(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want it to be cancelled", err)
	}
	return l
}

// job goes on in a copy of the folder.
func (l *left) job(t *testing.T) *job {
	t.Helper()
	dir := memoryDir(t)
	if err := os.CopyFS(dir, os.DirFS(l.dir)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(l.dir, func(path string, e os.DirEntry, err error) error {
		info, ierr := os.Lstat(path)
		if err := errors.Join(err, ierr); err != nil {
			return err
		}
		return os.Chmod(dir+strings.TrimPrefix(path, l.dir), info.Mode()) // CopyFS leaves them writable
	})
	if err != nil {
		t.Fatal(err)
	}
	return &job{Path: l.disk.Path(), Dirs: []string{dir}, Stretch: mib}
}

func (l *left) truth(t *testing.T) []byte { return truth(t, l.disk, l.bad) }

// change rewrites a file of a job's folder, whether it is read-only or not.
func change(t *testing.T, j *job, name string, edit func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(partial(j.Dirs[0]), name)
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	b := edit(readFile(t, path))
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600), os.Chmod(path, info.Mode())); err != nil {
		t.Fatal(err)
	}
}

func cut(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:min(n, len(b))] } }

// mustRefuse requires a job to fail with one of the errors, and not to leave a finished record.
func mustRefuse(t *testing.T, j *job, what string, want ...error) {
	t.Helper()
	_, err := j.step(t.Context())
	if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
		t.Errorf("%s: got %v, want one of %v", what, err, want)
	}
	mustNotExist(t, filepath.Join(partial(j.Dirs[0]), "unsigned.json"))
}

var middleBad = []faultdisk.Range{{First: 5000, Count: 1}, {First: 9000, Count: 30}}

// A state that is truncated anywhere, or has a bit turned over, is refused, or is not the one that was attested.
func TestDamagedState(t *testing.T) {
	testtool.NeedRoot(t)
	l := leave(t, acquire.PhaseReading, 3*mib, nil)
	whole := readFile(t, partial(l.dir), "resume")
	attested := func(b []byte) (string, error) {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "resume"), b)
		s, err := acquire.ReadState(destination(t, dir).Root)
		message, _ := s.Attested()
		return string(message), err
	}
	was, err := attested(whole)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole); n += 1 + len(whole)/200 {
		if _, err := attested(whole[:n]); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("cut to %d bytes: got %v, want ErrMalformed", n, err)
		}
	}
	for i := 0; i < len(whole); i += 1 + len(whole)/400 {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		if is, err := attested(b); err == nil && is == was && i < bytes.IndexByte(whole, '\n') {
			t.Errorf("bit %d of byte %d: nobody sees it", i%8, i)
		}
	}
	newer := bytes.Replace(whole, []byte("exhibit-resume/v1"), []byte("exhibit-resume/v2"), 1)
	if _, err := attested(newer); !errors.Is(err, record.ErrNewer) {
		t.Errorf("a newer version: got %v, want ErrNewer", err)
	}
	for what, edit := range map[string]struct{ from, to string }{
		"more safe than there is": {`"safeBytes":3145728`, `"safeBytes":8388608`},
		"within a group":          {`"safeBytes":3145728`, `"safeBytes":3145729`},
		"another size":            {`"sizeBytes":6291456`, `"sizeBytes":7340032`},
	} {
		j := l.job(t)
		change(t, j, "resume", func(b []byte) []byte {
			if !bytes.Contains(b, []byte(edit.from)) {
				t.Fatalf("%s: %q does not stand in %s", what, edit.from, b)
			}
			return bytes.ReplaceAll(b, []byte(edit.from), []byte(edit.to))
		})
		mustRefuse(t, j, what, record.ErrMalformed, acquire.ErrOtherMedium)
	}
}

// The state of another acquisition, whose image lies elsewhere, does not make this folder one of a finished image.
func TestStateOfAnother(t *testing.T) {
	testtool.NeedRoot(t)
	l, other := leave(t, acquire.PhaseReading, 3*mib, nil), leave(t, acquire.PhaseRescuing, 2*mib, middleBad)
	for what, mixed := range map[string][2]*left{"in order": {l, other}, "rescue": {other, l}} {
		j := mixed[0].job(t)
		change(t, j, "resume", func([]byte) []byte { return readFile(t, partial(mixed[1].dir), "resume") })
		_, err := j.step(t.Context())
		if err == nil { // whatever was said to be safe, what came out must be right
			checkFolderOf(t, j, mixed[0].truth(t))
			continue
		}
		mustNotExist(t, filepath.Join(partial(j.Dirs[0]), "unsigned.json"))
		t.Log(what, err)
	}
}

func checkFolderOf(t *testing.T, j *job, want []byte) {
	t.Helper()
	if got := readFile(t, partial(j.Dirs[0]), "7%2Fa.raw"); !bytes.Equal(got, want) {
		t.Error("the image is not the medium, and there is a finished record")
	}
}

// A map that is truncated anywhere, overlapping, foreign or missing never makes an image that is not what the map says.
func TestDamagedMap(t *testing.T) {
	testtool.NeedRoot(t)
	l := leave(t, acquire.PhaseRescuing, 5*mib, middleBad)
	whole := readFile(t, partial(l.dir), "7%2Fa.map")
	for n := 0; n < len(whole); n += 1 + len(whole)/12 {
		j := l.job(t)
		change(t, j, "7%2Fa.map", cut(n))
		mustRefuse(t, j, fmt.Sprintf("cut to %d of %d bytes", n, len(whole)), record.ErrMalformed)
	}
	head := "0x00000000     ?               1\n"
	for what, text := range map[string]string{
		"overlapping":  head + "0x0 0x400000 +\n0x200000 0x400000 ?\n",
		"a gap":        head + "0x0 0x200000 +\n0x300000 0x300000 ?\n",
		"another size": head + "0x0 0x400000 +\n0x400000 0x300000 ?\n",
		"short":        head + "0x0 0x200000 +\n0x200000 0x200000 ?\n",
		"prefix lost":  head + "0x0 0x200000 ?\n0x200000 0x400000 +\n",
		"negative":     head + "0x0 -0x600000 +\n",
	} {
		j := l.job(t)
		change(t, j, "7%2Fa.map", func([]byte) []byte { return []byte(text) })
		mustRefuse(t, j, what, record.ErrMalformed)
	}
	j := l.job(t)
	if err := os.Remove(filepath.Join(partial(j.Dirs[0]), "7%2Fa.map")); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, j, "no map", image.ErrPartial)
	// A foreign one of the same size calls finished what nobody read, or unread what is there.
	for what, text := range map[string]string{
		"all finished":   head + "0x0 0x600000 +\n",
		"within a group": head + "0x0 0x200000 +\n0x200000 0x280000 +\n0x480000 0x180000 ?\n",
		"less finished":  head + "0x0 0x200000 +\n0x200000 0x400000 ?\n",
		"bad":            head + "0x0 0x200000 +\n0x200000 0x400000 -\n",
	} {
		j := l.job(t)
		change(t, j, "7%2Fa.map", func([]byte) []byte { return []byte(text) })
		mustRefuse(t, j, what, record.ErrMalformed)
	}
}

// Image and tree that lost their end, or a bit of what was safe, end as a failed re-read or as not to be gone on with;
// never as a finished record.
func TestDamagedImage(t *testing.T) {
	testtool.NeedRoot(t)
	flipAt := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			b[at] ^= 0x10
			return b
		}
	}
	for name, l := range map[string]*left{
		"in order": leave(t, acquire.PhaseReading, 3*mib, nil), "rescue": leave(t, acquire.PhaseRescuing, 5*mib, middleBad),
		"read": leave(t, acquire.PhaseRereading, 0, nil), "rescued": leave(t, acquire.PhaseRereading, 0, middleBad),
	} {
		for what, test := range map[string]struct {
			file string
			edit func([]byte) []byte
			want error
		}{
			"image cut": {"7%2Fa.raw", cut(mib), image.ErrPartial}, "image empty": {"7%2Fa.raw", cut(0), image.ErrPartial},
			"tree cut": {"7%2Fa.tree", cut(64 + 32), image.ErrPartial}, "tree empty": {"7%2Fa.tree", cut(0), image.ErrPartial},
			"image": {"7%2Fa.raw", flipAt(mib + 77), acquire.ErrReread}, "first byte": {"7%2Fa.raw", flipAt(0), acquire.ErrReread},
			"tree": {"7%2Fa.tree", flipAt(64 + 32 + 5), acquire.ErrReread},
		} {
			j := l.job(t)
			j.Despite = true // a value that was altered makes a sample differ
			change(t, j, test.file, test.edit)
			mustRefuse(t, j, name+", "+what, test.want, acquire.ErrReread)
			mustRefuse(t, j, name+", "+what+", a second time", test.want, acquire.ErrReread)
		}
	}
}

// A group that was read in part and altered meanwhile is read again.
func TestDamagedPart(t *testing.T) {
	testtool.NeedRoot(t)
	l := leave(t, acquire.PhaseRescuing, 6*mib-40*512, middleBad)
	j := l.job(t)
	change(t, j, "7%2Fa.raw", func(b []byte) []byte {
		b[5000*512-700] ^= 1
		return b
	})
	if _, err := j.step(t.Context()); err != nil {
		if !errors.Is(err, acquire.ErrReread) {
			t.Errorf("got %v, want ErrReread or what is right", err)
		}
		return
	}
	checkJob(t, j, l.truth(t), l.bad)
}

// A line of the journal that was torn at any byte while it was added was never written. One that a state knows of was, and
// whatever became of it is damage.
func TestTornJournal(t *testing.T) {
	testtool.NeedRoot(t)
	l := leave(t, acquire.PhaseReading, 5*mib, nil)
	whole := readFile(t, partial(l.dir), "journal")
	last := whole[bytes.LastIndexByte(whole[:len(whole)-1], '\n')+1:]
	for n := 0; n < len(last); n += 1 + len(last)/24 {
		j := l.job(t)
		change(t, j, "journal", func(b []byte) []byte { return append(b, last[:n]...) })
		if _, err := j.step(t.Context()); err != nil {
			t.Fatalf("torn at byte %d of %d: %v", n, len(last), err)
		}
		checkJob(t, j, l.truth(t), nil)
		journal := readFile(t, partial(j.Dirs[0]), "journal")
		if !bytes.HasPrefix(journal, whole) || !bytes.HasPrefix(journal[len(whole):], []byte(`{"event":"resumed"`)) {
			t.Errorf("torn at byte %d: the journal goes on with %.60q", n, journal[len(whole):])
		}
	}
	for name, damage := range map[string]func([]byte) []byte{
		"last line torn":    cut(len(whole) - 3),
		"last line missing": cut(len(whole) - len(last)),
		"a word exchanged":  func(b []byte) []byte { return bytes.Replace(b, []byte("reading"), []byte("reaping"), 1) },
	} {
		j := l.job(t)
		change(t, j, "journal", damage)
		mustRefuse(t, j, name, acquire.ErrReread)
	}
	j := l.job(t)
	change(t, j, "journal", cut(10))
	mustRefuse(t, j, "journal without a whole line", acquire.ErrNotResumable)
}

// doing runs a function once, when no more than so much is unread in a rescue.
type doing struct {
	unread int64
	do     func()
}

func (d *doing) Phase(string, int64) {}
func (d *doing) Done(int64)          {}
func (*doing) Temperature(int64)     {}

func (d *doing) Doing(_ string, unread int64) {
	if unread <= d.unread && d.do != nil {
		d.do()
		d.do = nil
	}
}

// A copy that is damaged while a rescue goes on is given up when it is read back; none of it gets into the other.
func TestDamagedCopy(t *testing.T) {
	testtool.NeedRoot(t)
	for which := range 2 {
		disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib})
		bad := []faultdisk.Range{{First: 2048 + 100, Count: 1}, {First: 2048 + 1900, Count: 1}, {First: 4096 + 100, Count: 1}, {First: 4096 + 1900, Count: 1}}
		disk.Bad(bad...)
		j := job{Path: disk.Path(), Dirs: []string{memoryDir(t), memoryDir(t)}, Stretch: mib}
		// The beginning of the first group and the end of the second are trimmed by then; next the first is read back, to be
		// scraped.
		done := false
		j.progress = &doing{unread: 2*mib - 240*512, do: func() {
			done = true
			change(t, &job{Dirs: j.Dirs[which:]}, "7%2Fa.raw", func(b []byte) []byte {
				b[mib] ^= 1
				return b
			})
		}}
		res, err := j.step(t.Context())
		if err != nil || !done {
			t.Fatalf("damaged %t: %v", done, err)
		}
		if len(res.Lost) != 1 || res.Lost[0].Dir != j.Dirs[which] || !errors.Is(res.Lost[0], acquire.ErrReread) {
			t.Errorf("lost are %v, want destination %d for ErrReread", res.Lost, which)
		}
		sweep(t, j.Dirs[1-which])
		checkRescued(t, j.Dirs[1-which], res.Acquisition, truth(t, disk, bad), bad)
	}
}

// A run that ends as soon as it has begun to go on is an interruption too.
func TestInterruptedAtOnce(t *testing.T) {
	testtool.NeedRoot(t)
	for phase, bad := range map[string][]faultdisk.Range{acquire.PhaseReading: nil, acquire.PhaseRescuing: middleBad} {
		l := leave(t, phase, 3*mib, bad)
		j := l.job(t)
		for range 3 {
			// nothing changes any more once image or tree would be written
			lines := &breaker{fault: errors.New("killed"), forGood: true}
			j.hooks = map[string]durable.Hook{j.Dirs[0]: func(op durable.Op, name string) error {
				if op == durable.OpWrite && (strings.HasSuffix(name, ".raw") || strings.HasSuffix(name, ".tree")) {
					lines.at = 1
				}
				return lines.hook(op, name)
			}}
			if _, err := j.step(t.Context()); err == nil {
				t.Fatal("it was not stopped")
			}
		}
		j.hooks = nil
		res, err := j.step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(res.Interruptions); n != 4 {
			t.Errorf("%s: %d interruptions, want 4", phase, n)
		}
		checkJob(t, j, l.truth(t), bad)
	}
}
