package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

func openRoot(t *testing.T, dir string) *durable.Root {
	t.Helper()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

func wantFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	must(t, err)
	if string(got) != content {
		t.Errorf("%q holds %q, want %q", filepath.Base(path), got, content)
	}
	info, err := os.Lstat(path)
	must(t, err)
	if info.Mode() != mode {
		t.Errorf("%q has mode %v, want %v", filepath.Base(path), info.Mode(), mode)
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("folder holds %q, want %q", got, want)
	}
}

// TestSystemCallOrder pins the orders that the doc comments state.
func TestSystemCallOrder(t *testing.T) {
	cases := []struct {
		name    string
		lacking durable.Hook
		run     func(*durable.Root) error
		want    string
	}{
		{"CreateEx", nil, createFile, "create t, write t, make read-only t, sync t, close t, rename without replacing d/f, sync folder d"},
		{"CreateEx by link", noRenameEx, createFile, "create t, write t, make read-only t, sync t, close t, link d/f, remove t, sync folder d"},
		{"CreateEx by claim", noLink, createFile, "create t, write t, make read-only t, sync t, close t, create d/f, close d/f, rename d/f, sync folder d"},
		{"Replace", nil, func(r *durable.Root) error { return r.Replace("d/f", []byte("x")) },
			"create t, write t, make read-only t, sync t, close t, rename d/f, sync folder d"},
		{"Seal", nil, func(r *durable.Root) error {
			f, err := r.OpenEx("d/f")
			if err != nil {
				return err
			}
			return f.Seal()
		}, "create d/f, sync folder d, sync d/f, make read-only d/f, sync d/f, close d/f, sync folder d"},
		{"Reopen", nil, func(r *durable.Root) error { return abort(r.Reopen("old")) }, "sync old, sync folder ., close old"},
		{"OpenAppend", nil, func(r *durable.Root) error { return appendOne(r, "old") },
			"sync old, sync folder ., write old, sync old, close old"},
		{"OpenAppend of a new file", nil, func(r *durable.Root) error { return appendOne(r, "d/f") },
			"create d/f, sync d/f, sync folder d, write d/f, sync d/f, close d/f"},
		{"Persist", nil, func(r *durable.Root) error { return r.Persist("old") }, "sync old, close old, sync folder ."},
		{"MkdirAll", nil, func(r *durable.Root) error { return r.MkdirAll("d/e/f") },
			"sync folder ., create folder d/e, sync folder d, create folder d/e/f, sync folder d/e"},
		{"Remove", nil, func(r *durable.Root) error { return r.Remove("old") }, "remove old, sync folder ."},
		{"Rename", nil, func(r *durable.Root) error { return r.Rename("old", "d/f") },
			"rename without replacing d/f, sync folder d, sync folder ."},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, "old"), nil, 0o600))
			var calls []string
			root, err := durable.OpenRootFaults(dir, func(op durable.Op, name string) error {
				if c.lacking != nil {
					if err := c.lacking(op, name); err != nil {
						return err
					}
				}
				if strings.HasPrefix(name, "d/f.") {
					name = "t"
				}
				calls = append(calls, string(op)+" "+name)
				return nil
			})
			must(t, err)
			defer root.Close()
			must(t, c.run(root))
			if got := strings.Join(calls, ", "); got != c.want {
				t.Errorf("calls\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func abort(f *durable.File, err error) error {
	if err != nil {
		return err
	}
	return f.Abort()
}

func appendOne(r *durable.Root, name string) error {
	a, err := r.OpenAppend(name)
	if err != nil {
		return err
	}
	return errors.Join(a.Append([]byte("x")), a.Close())
}

func createFile(r *durable.Root) error { return r.CreateEx("d/f", []byte("content")) }

// noRenameEx is a file system such as NTFS through FUSE, noLink one such as exFAT through FUSE.
func noRenameEx(op durable.Op, _ string) error {
	if op == durable.OpRenameEx {
		return syscall.EINVAL
	}
	return nil
}

func noLink(op durable.Op, name string) error {
	if op == durable.OpLink {
		return syscall.EPERM
	}
	return noRenameEx(op, name)
}

var fileSystems = map[string]durable.Hook{"all calls": nil, "no renameat2": noRenameEx, "no links": noLink}

func TestNothingIsOverwritten(t *testing.T) {
	for name, hook := range fileSystems {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			root, err := durable.OpenRootFaults(dir, hook)
			must(t, err)
			defer root.Close()
			must(t, root.CreateEx("f", []byte("first")))
			must(t, root.Mkdir("d"))
			must(t, root.Mkdir("e"))
			must(t, root.CreateEx("g", []byte("other")))
			wantErr(t, root.CreateEx("f", []byte("second")), fs.ErrExist)
			wantErr(t, root.CreateEx("d", []byte("second")), fs.ErrExist)
			wantErr(t, root.Mkdir("d"), fs.ErrExist)
			wantErr(t, root.Mkdir("f"), fs.ErrExist)
			wantErr(t, root.Rename("g", "f"), fs.ErrExist)
			wantErr(t, root.Rename("g", "d"), fs.ErrExist)
			wantErr(t, root.Rename("e", "d"), fs.ErrExist)
			wantErr(t, root.Rename("e", "f"), fs.ErrExist)
			_, err = root.OpenEx("f")
			wantErr(t, err, fs.ErrExist)
			_, err = root.OpenEx("d")
			wantErr(t, err, fs.ErrExist)
			wantFile(t, filepath.Join(dir, "f"), "first", 0o444)
			wantFile(t, filepath.Join(dir, "g"), "other", 0o444)
			wantNames(t, dir, "d", "e", "f", "g")
		})
	}
}

// TestPublishRace lets the name appear after CreateEx has looked: the publishing call itself must refuse.
func TestPublishRace(t *testing.T) {
	for name, lacking := range fileSystems {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			root, err := durable.OpenRootFaults(dir, func(op durable.Op, name string) error {
				if op == durable.OpWrite {
					return os.WriteFile(filepath.Join(dir, "f"), []byte("theirs"), 0o600)
				}
				if lacking != nil {
					return lacking(op, name)
				}
				return nil
			})
			must(t, err)
			defer root.Close()
			wantErr(t, root.CreateEx("f", []byte("ours")), fs.ErrExist)
			wantFile(t, filepath.Join(dir, "f"), "theirs", 0o600)
			wantNames(t, dir, "f")
		})
	}
}

func TestRename(t *testing.T) {
	for name, hook := range fileSystems {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			root, err := durable.OpenRootFaults(dir, hook)
			must(t, err)
			defer root.Close()
			must(t, root.MkdirAll("a/x.partial"))
			must(t, root.CreateEx("a/x.partial/f", []byte("1")))
			must(t, root.Rename("a/x.partial", "a/x"))
			must(t, root.Rename("a/x/f", "g"))
			wantNames(t, dir, "a", "g")
			wantNames(t, filepath.Join(dir, "a"), "x")
			wantNames(t, filepath.Join(dir, "a/x"))
			wantFile(t, filepath.Join(dir, "g"), "1", 0o444)
			wantErr(t, root.Rename("none", "h"), fs.ErrNotExist)
		})
	}
}

func TestModes(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	must(t, root.CreateEx("sealed", []byte("1")))
	must(t, root.CreateSecretEx("secret", []byte("2")))
	must(t, root.Replace("changing", []byte("3")))
	must(t, root.Replace("changing", []byte("4")))
	f, err := root.OpenEx("image")
	must(t, err)
	_, err = f.Write([]byte("abc"))
	must(t, err)
	wantFile(t, filepath.Join(dir, "image"), "abc", 0o600)
	must(t, f.Seal())
	wantFile(t, filepath.Join(dir, "sealed"), "1", 0o444)
	wantFile(t, filepath.Join(dir, "secret"), "2", 0o400)
	wantFile(t, filepath.Join(dir, "changing"), "4", 0o644)
	wantFile(t, filepath.Join(dir, "image"), "abc", 0o444)
	_, err = root.Reopen("image")
	wantErr(t, err, durable.ErrSealed)
	_, err = root.OpenAppend("image")
	wantErr(t, err, durable.ErrSealed)
	_, err = f.Write([]byte("d"))
	wantErr(t, err, fs.ErrClosed)
	must(t, f.Abort())
	wantErr(t, f.Seal(), fs.ErrClosed)
}

// TestNoModes: a file system without modes is tolerated, any other refusal is an error.
func TestNoModes(t *testing.T) {
	for errno, tolerated := range map[error]bool{
		syscall.EPERM: true, syscall.ENOTSUP: true, syscall.ENOSYS: true, syscall.EACCES: false, syscall.EROFS: false, syscall.EIO: false,
	} {
		root, err := durable.OpenRootFaults(t.TempDir(), func(op durable.Op, _ string) error {
			if op == durable.OpChmod {
				return errno
			}
			return nil
		})
		must(t, err)
		defer root.Close()
		f, err := root.OpenEx("image")
		must(t, err)
		for what, err := range map[string]error{"CreateEx": root.CreateEx("f", nil), "Seal": f.Seal(), "Replace": root.Replace("r", nil)} {
			if (err == nil) != tolerated || err != nil && !errors.Is(err, errno) {
				t.Errorf("chmod says %q: %s returned %v, want tolerated = %v", errno, what, err, tolerated)
			}
		}
	}
}

// TestNoFolderSync: file systems that cannot sync folders are tolerated.
func TestNoFolderSync(t *testing.T) {
	for errno, tolerated := range map[error]bool{syscall.EINVAL: true, syscall.ENOTSUP: true, syscall.EBADF: false} {
		root, err := durable.OpenRootFaults(t.TempDir(), func(op durable.Op, _ string) error {
			if op == durable.OpSyncDir {
				return errno
			}
			return nil
		})
		must(t, err)
		defer root.Close()
		if err := root.SyncDir("."); (err == nil) != tolerated {
			t.Errorf("fsync of a folder says %q: got %v, want tolerated = %v", errno, err, tolerated)
		}
	}
}

func TestCreateIdempotent(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	must(t, root.CreateIdempotent("f", []byte("one")))
	must(t, root.CreateIdempotent("f", []byte("one")))
	for _, other := range []string{"two", "on", "one more", ""} {
		wantErr(t, root.CreateIdempotent("f", []byte(other)), durable.ErrDiffers)
	}
	wantFile(t, filepath.Join(dir, "f"), "one", 0o444)
	must(t, os.WriteFile(filepath.Join(dir, "claim"), nil, 0o600))
	must(t, root.CreateIdempotent("claim", []byte("done")))
	wantFile(t, filepath.Join(dir, "claim"), "done", 0o444)
	wantNames(t, dir, "claim", "f")
}

func TestFileGoesOn(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	f, err := root.OpenEx("image")
	must(t, err)
	_, err = f.WriteAt([]byte("world"), 6)
	must(t, err)
	_, err = f.Write([]byte("hello"))
	must(t, err)
	must(t, f.Sync())
	must(t, f.Abort())
	must(t, f.Abort())
	wantFile(t, filepath.Join(dir, "image"), "hello\x00world", 0o600)
	f, err = root.Reopen("image")
	must(t, err)
	must(t, f.Truncate(5))
	if size, err := f.Size(); size != 5 || err != nil {
		t.Errorf("size %d, %v, want 5", size, err)
	}
	_, err = f.Seek(0, 2)
	must(t, err)
	_, err = f.Write([]byte("!"))
	must(t, err)
	got := make([]byte, 2)
	_, err = f.ReadAt(got, 4)
	must(t, err)
	if string(got) != "o!" {
		t.Errorf("read back %q, want %q", got, "o!")
	}
	must(t, f.Seal())
	wantFile(t, filepath.Join(dir, "image"), "hello!", 0o444)
	_, err = root.Reopen("none")
	wantErr(t, err, fs.ErrNotExist)
}

func TestAppend(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	for _, line := range []string{"one\n", "two\n"} {
		a, err := root.OpenAppend("journal")
		must(t, err)
		must(t, a.Append([]byte(line)))
		must(t, a.Close())
		wantErr(t, a.Append([]byte("late")), fs.ErrClosed)
	}
	wantFile(t, filepath.Join(dir, "journal"), "one\ntwo\n", 0o600)
	a, err := root.OpenAppend("journal")
	must(t, err)
	if size, err := a.Size(); size != 8 || err != nil {
		t.Errorf("size %d, %v, want 8", size, err)
	}
	must(t, a.Seal())
	must(t, a.Close())
	wantFile(t, filepath.Join(dir, "journal"), "one\ntwo\n", 0o444)
}

// TestFailureStays: after one failed call nothing is retried and nothing sealed, although the disk works again.
func TestFailureStays(t *testing.T) {
	for _, failing := range []durable.Op{durable.OpWrite, durable.OpSync, durable.OpTruncate} {
		t.Run(string(failing), func(t *testing.T) {
			dir := t.TempDir()
			armed := false
			root, err := durable.OpenRootFaults(dir, func(op durable.Op, _ string) error {
				if armed && op == failing {
					armed = false
					return syscall.EIO
				}
				return nil
			})
			must(t, err)
			defer root.Close()
			f, err := root.OpenEx("image")
			must(t, err)
			_, err = f.Write([]byte("abc"))
			must(t, err)
			armed = true
			_, werr := f.Write([]byte("d"))
			terr := f.Truncate(3)
			wantErr(t, errors.Join(werr, terr, f.Sync()), syscall.EIO)
			_, err = f.Write([]byte("e"))
			wantErr(t, err, syscall.EIO)
			_, err = f.WriteAt([]byte("e"), 0)
			wantErr(t, err, syscall.EIO)
			wantErr(t, f.Sync(), syscall.EIO)
			wantErr(t, f.Truncate(0), syscall.EIO)
			wantErr(t, f.Seal(), syscall.EIO)
			wantFile(t, filepath.Join(dir, "image"), "abc"+map[bool]string{true: "d"}[failing == durable.OpTruncate], 0o600)
		})
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	stale := []string{"f.0123456789abcdef.tmp", "g.0123456789abcdef.tmp"}
	kept := []string{"f.0123456789ABCDEF.tmp", "f.0123456789abcde.tmp", "f.tmp", ".0123456789abcdef.tmp", "f.0123456789abcdef"}
	for _, name := range append(stale, kept...) {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("part"), 0o600))
	}
	must(t, root.Replace("f", []byte("new")))
	removed, err := root.Sweep(".")
	must(t, err)
	if want := stale[1:]; !slices.Equal(removed, want) {
		t.Errorf("after Replace of f, Sweep removed %q, want %q", removed, want)
	}
	slices.Sort(kept)
	wantNames(t, dir, slices.Sorted(slices.Values(append(kept, "f")))...)
}

func TestReadFileBound(t *testing.T) {
	root := openRoot(t, t.TempDir())
	must(t, root.CreateEx("f", []byte("12345")))
	got, err := root.ReadFile("f", 5)
	if string(got) != "12345" || err != nil {
		t.Errorf("got %q, %v, want all five bytes", got, err)
	}
	got, err = root.ReadFile("f", 4)
	wantErr(t, err, durable.ErrTooLarge)
	if got != nil {
		t.Errorf("got %q beside the error, want nothing", got)
	}
	// /proc files say size 0 and give more, like a file that grows while it is read.
	if proc, err := durable.OpenRoot("/proc/self"); err == nil {
		defer proc.Close()
		_, err = proc.ReadFile("status", 10)
		wantErr(t, err, durable.ErrTooLarge)
	}
}

func TestSub(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	must(t, root.MkdirAll("a/b"))
	sub, err := root.Sub("a/b")
	must(t, err)
	defer sub.Close()
	same, err := sub.Sub(".")
	must(t, err)
	must(t, root.Close())
	must(t, sub.CreateEx("f", []byte("1")))
	must(t, same.Close())
	must(t, sub.CreateEx("g", []byte("2")))
	wantNames(t, filepath.Join(dir, "a/b"), "f", "g")
	if want := filepath.Join(dir, "a/b"); sub.Name() != want {
		t.Errorf("name %q, want %q", sub.Name(), want)
	}
	err = sub.CreateEx("f", nil)
	if want := `create "a/b/f": file already exists`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if got, err := fs.ReadFile(sub.FS(), "g"); string(got) != "2" || err != nil {
		t.Errorf("through FS: %q, %v, want \"2\"", got, err)
	}
}

// TestErrorsQuoteNames: a name from the medium must not forge a line of the log.
func TestErrorsQuoteNames(t *testing.T) {
	root := openRoot(t, t.TempDir())
	_, err := root.ReadFile("a\nerror: all verified", 10)
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q, want one line", err)
	}
}
