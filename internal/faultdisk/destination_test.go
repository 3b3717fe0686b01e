//go:build linux

package faultdisk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fsync syncs a file or a directory by its name.
func fsync(t testing.TB, path string) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	must(t, errors.Join(f.Sync(), f.Close()))
}

// tree is every file below a directory with its bytes, and every directory with "/".
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if e.IsDir() {
			got[name] = "/"
			return err
		}
		b, err2 := os.ReadFile(path)
		got[name] = string(b)
		return errors.Join(err, err2)
	}))
	return got
}

func TestPowerCut(t *testing.T) {
	type step = func(t *testing.T, dir string)
	write := func(name, text string) step {
		return func(t *testing.T, dir string) { must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
	}
	sync := func(name string) step { return func(t *testing.T, dir string) { fsync(t, filepath.Join(dir, name)) } }
	mkdir := func(name string) step {
		return func(t *testing.T, dir string) { must(t, os.Mkdir(filepath.Join(dir, name), 0o700)) }
	}
	rename := func(from, to string) step {
		return func(t *testing.T, dir string) { must(t, os.Rename(filepath.Join(dir, from), filepath.Join(dir, to))) }
	}
	remove := func(name string) step {
		return func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, name))) }
	}
	truncate := func(name string, size int64) step {
		return func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, name), size)) }
	}
	for name, c := range map[string]struct {
		steps []step
		want  map[string]string
	}{
		"nothing synced":               {[]step{write("a", "1")}, nil},
		"file without its directory":   {[]step{write("a", "1"), sync("a")}, nil},
		"directory without the file":   {[]step{write("a", "1"), sync(".")}, map[string]string{"a": ""}},
		"both":                         {[]step{write("a", "1"), sync("a"), sync(".")}, map[string]string{"a": "1"}},
		"changed afterwards":           {[]step{write("a", "12"), sync("a"), sync("."), write("a", "3")}, map[string]string{"a": "12"}},
		"cut off and written again":    {[]step{write("a", "12345"), sync("a"), sync("."), truncate("a", 2), truncate("a", 4)}, map[string]string{"a": "12345"}},
		"cut off, extended and synced": {[]step{write("a", "12345"), sync("a"), sync("."), truncate("a", 2), truncate("a", 4), sync("a")}, map[string]string{"a": "12\x00\x00"}},
		"rename not synced":            {[]step{write("a", "1"), sync("a"), sync("."), rename("a", "b")}, map[string]string{"a": "1"}},
		"rename synced":                {[]step{write("a", "1"), sync("a"), rename("a", "b"), sync(".")}, map[string]string{"b": "1"}},
		"replaced, not synced": {[]step{write("a", "1"), sync("a"), write("b", "2"), sync("b"), sync("."), rename("b", "a")},
			map[string]string{"a": "1", "b": "2"}},
		"removed, not synced":                {[]step{write("a", "1"), sync("a"), sync("."), remove("a")}, map[string]string{"a": "1"}},
		"removed and synced":                 {[]step{write("a", "1"), sync("a"), sync("."), remove("a"), sync(".")}, nil},
		"directory not synced in its parent": {[]step{mkdir("d"), write("d/a", "1"), sync("d/a"), sync("d")}, nil},
		"directory synced": {[]step{mkdir("d"), write("d/a", "1"), sync("d/a"), sync("d"), sync(".")},
			map[string]string{"d": "/", "d/a": "1"}},
		"moved, one side synced": {[]step{mkdir("d"), write("a", "1"), sync("a"), sync("."), rename("a", "d/a"), sync("d")},
			map[string]string{"d": "/", "d/a": "1"}},
		"moved, not synced": {[]step{mkdir("d"), write("a", "1"), sync("a"), sync("."), rename("a", "d/a")},
			map[string]string{"d": "/", "a": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: t.TempDir()})
			for _, s := range c.steps {
				s(t, d.Path())
			}
			must(t, d.PowerCut())
			if got := tree(t, d.Path()); !maps.Equal(got, c.want) {
				t.Errorf("after the power cut %q, want %q", got, c.want)
			}
			write("new", "x")(t, d.Path())
			sync("new")(t, d.Path())
			sync(".")(t, d.Path())
			must(t, d.PowerCut())
			if got := tree(t, d.Path()); got["new"] != "x" {
				t.Errorf("what was written after the power came back did not survive the next cut: %q", got)
			}
		})
	}
}

// Whoever has a file open when the power goes gets an error for ever, not the file of the next life.
func TestPowerCutEndsHandles(t *testing.T) {
	d := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: t.TempDir()})
	f, err := os.Create(filepath.Join(d.Path(), "a"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("first")
	must(t, err)
	must(t, f.Sync())
	fsync(t, d.Path())
	must(t, d.PowerCut())
	if _, err := f.WriteString("late"); err == nil {
		t.Error("a write through a handle of the former life succeeds")
	}
	if err := f.Sync(); err == nil {
		t.Error("fsync of a handle of the former life succeeds")
	}
	if got := tree(t, d.Path()); !maps.Equal(got, map[string]string{"a": "first"}) {
		t.Errorf("got %q", got)
	}
}

func TestCutAfter(t *testing.T) {
	d := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: t.TempDir()})
	work := func() error { // create, write, fsync, fsync of the directory
		f, err := os.Create(filepath.Join(d.Path(), "a"))
		if err != nil {
			return err
		}
		_, err = f.WriteString("1")
		err = errors.Join(err, f.Sync(), f.Close())
		dir, err2 := os.Open(d.Path())
		if err = errors.Join(err, err2); err != nil {
			return err
		}
		return errors.Join(dir.Sync(), dir.Close())
	}
	for n, want := range []map[string]string{nil, nil, nil, nil, {"a": "1"}} {
		d.CutAfter(int64(n))
		if err := work(); (err == nil) != (n == 4) {
			t.Errorf("cut after %d operations: %v", n, err)
		}
		if _, err := os.ReadDir(d.Path()); n < 4 && err == nil {
			t.Errorf("cut after %d operations: the directory can still be read", n)
		}
		must(t, d.PowerCut())
		if got := tree(t, d.Path()); !maps.Equal(got, want) {
			t.Errorf("cut after %d operations: %q, want %q", n, got, want)
		}
	}
}

// A file written and synced at random must hold, after a cut, exactly what it held at its last sync; after a torn cut,
// each block must be as it was then or later.
func TestPowerCutRandomly(t *testing.T) {
	const seed = 11
	r := rand.New(rand.NewPCG(seed, seed))
	d := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: t.TempDir()})
	path := filepath.Join(d.Path(), "a")
	torn := 0
	var safe []byte
	must(t, os.WriteFile(path, nil, 0o600))
	fsync(t, d.Path())
	for round := range 60 {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		now := bytes.Clone(safe)
		for range r.IntN(8) {
			if r.IntN(5) == 0 {
				size := r.IntN(60_000)
				must(t, f.Truncate(int64(size)))
				now = append(now[:min(size, len(now))], make([]byte, max(0, size-len(now)))...)
			}
			at, b := r.IntN(50_000), bytes.Repeat([]byte{byte(1 + r.IntN(255))}, 1+r.IntN(20_000))
			_, err := f.WriteAt(b, int64(at))
			must(t, err)
			now = append(now, make([]byte, max(0, at+len(b)-len(now)))...)
			copy(now[at:], b)
			if r.IntN(3) == 0 {
				must(t, f.Sync())
				safe = bytes.Clone(now)
			}
		}
		must(t, f.Close())
		if round%2 == 0 {
			must(t, d.PowerCut())
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, safe) {
				t.Fatalf("seed %d, round %d: %d bytes, %v, not the %d that were synced", seed, round, len(got), err, len(safe))
			}
			continue
		}
		must(t, d.PowerCutTorn(uint64(round)))
		got, err := os.ReadFile(path)
		must(t, err)
		if len(got) != len(safe) && len(got) != len(now) {
			t.Fatalf("seed %d, round %d: %d bytes, neither the %d synced nor the %d written", seed, round, len(got), len(safe), len(now))
		}
		if !bytes.Equal(got, safe) {
			torn++
		}
		must(t, os.WriteFile(path, got, 0o600))
		fsync(t, path)
		safe = got
	}
	if torn < 5 {
		t.Errorf("seed %d: only %d torn cuts kept something unsynced", seed, torn)
	}
}

func TestDestinationFaults(t *testing.T) {
	data := make([]byte, 1<<20)
	for name, c := range map[string]struct {
		fault   func(d *faultdisk.Destination) error
		written int64 // of 1 MiB, before the error
		want    syscall.Errno
	}{
		"full":         {func(d *faultdisk.Destination) error { d.Full(10*4096 + 5); return nil }, 10 * 4096, unix.ENOSPC},
		"read-only":    {func(d *faultdisk.Destination) error { d.ReadOnly(); return nil }, 0, unix.EROFS},
		"file too big": {func(d *faultdisk.Destination) error { d.LimitFile(100_000); return nil }, 100_000, unix.EFBIG},
		"vanished":     {func(d *faultdisk.Destination) error { d.Vanish(); return nil }, 0, unix.EIO},
		"disconnected": {(*faultdisk.Destination).Disconnect, 0, unix.ENOTCONN},
	} {
		t.Run(name, func(t *testing.T) {
			d := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: t.TempDir()})
			f, err := os.Create(filepath.Join(d.Path(), "a"))
			must(t, err)
			defer f.Close()
			must(t, c.fault(d))
			n, err := f.Write(data)
			aborted := c.want == unix.ENOTCONN && errors.Is(err, unix.ECONNABORTED)
			if int64(n) != c.written || !errors.Is(err, c.want) && !aborted {
				t.Errorf("wrote %d bytes, %v; want %d and %v", n, err, c.written, c.want)
			}
			err = os.WriteFile(filepath.Join(d.Path(), "b"), nil, 0o600)
			if (err == nil) != (name == "file too big") {
				t.Errorf("a new file afterwards: %v", err)
			}
			if c.want == unix.ENOTCONN {
				return
			}
			d.Heal()
			if _, err := f.WriteAt(data, 0); err != nil {
				t.Errorf("after Heal: %v", err)
			}
		})
	}
}

func TestHonestlyFull(t *testing.T) {
	d := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: t.TempDir(), SizeBytes: 1 << 20})
	path := filepath.Join(d.Path(), "a")
	free := func() int64 {
		var s unix.Statfs_t
		must(t, unix.Statfs(d.Path(), &s))
		return int64(s.Bavail) * s.Bsize
	}
	if got := free(); got != 1<<20 {
		t.Errorf("%d bytes free, want 1 MiB", got)
	}
	must(t, os.WriteFile(path, make([]byte, 100_000), 0o600))
	if got, want := free(), int64(1<<20-102_400); got != want {
		t.Errorf("%d bytes free, want %d", got, want)
	}
	must(t, os.WriteFile(path, make([]byte, 100_000), 0o600)) // takes no more room
	if err := os.WriteFile(path, make([]byte, 1<<20+1), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("one byte too many: %v, want %v", err, unix.ENOSPC)
	}
	must(t, os.Remove(path))
	if got := free(); got != 1<<20 {
		t.Errorf("%d bytes free after the file was removed, want 1 MiB", got)
	}
}

func TestSlowDestination(t *testing.T) {
	d := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: t.TempDir()})
	d.Slow(1 << 20)
	begun := time.Now()
	must(t, os.WriteFile(filepath.Join(d.Path(), "a"), make([]byte, 1<<17), 0o600))
	if took := time.Since(begun); took < 120*time.Millisecond {
		t.Errorf("128 KiB at 1 MiB/s took %v, want 125 ms", took)
	}
}

// What the house does with files must work: exclusive creation, renames that do not replace, links, locks, modes.
func TestDestinationIsAFileSystem(t *testing.T) {
	d := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: t.TempDir()})
	at := func(name string) string { return filepath.Join(d.Path(), name) }
	f, err := os.OpenFile(at("a"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	must(t, err)
	defer f.Close()
	if _, err := os.OpenFile(at("a"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second exclusive creation: %v", err)
	}
	must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 8192))
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	g, err := os.Open(at("a"))
	must(t, err)
	defer g.Close()
	if err := unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("a second lock: %v, want %v", err, unix.EWOULDBLOCK)
	}
	must(t, os.WriteFile(at("b"), []byte("b"), 0o600))
	if err := unix.Renameat2(unix.AT_FDCWD, at("a"), unix.AT_FDCWD, at("b"), unix.RENAME_NOREPLACE); !errors.Is(err, unix.EEXIST) {
		t.Errorf("a rename onto what is there: %v, want %v", err, unix.EEXIST)
	}
	must(t, os.Link(at("b"), at("c")))
	must(t, os.Remove(at("b")))
	must(t, os.Chmod(at("c"), 0o400))
	if i, err := os.Stat(at("c")); err != nil || i.Mode() != 0o400 || i.Size() != 1 {
		t.Errorf("the linked file: %v, %v", i, err)
	}
	if err := os.Remove(at("b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removing it twice: %v", err)
	}
	must(t, os.Mkdir(at("many"), 0o700))
	var want []string
	for i := range 600 { // more than one answer of the directory holds
		name := fmt.Sprintf("%04d-%0100d", i, i)
		want = append(want, name)
		must(t, os.WriteFile(at("many/"+name), nil, 0o600))
	}
	entries, err := os.ReadDir(at("many"))
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the directory lists %d names, want %d", len(got), len(want))
	}
	if err := os.Remove(at("many")); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("removing a full directory: %v", err)
	}
}
