//go:build unix

package durable_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// byName is every method that takes a name, on the entry of that name.
var byName = map[string]func(r *durable.Root, name string) error{
	"CreateEx":         func(r *durable.Root, name string) error { return r.CreateEx(name, []byte("x")) },
	"CreateSecretEx":   func(r *durable.Root, name string) error { return r.CreateSecretEx(name, []byte("x")) },
	"CreateIdempotent": func(r *durable.Root, name string) error { return r.CreateIdempotent(name, []byte("x")) },
	"Replace":          func(r *durable.Root, name string) error { return r.Replace(name, []byte("x")) },
	"OpenEx":           func(r *durable.Root, name string) error { return abort(r.OpenEx(name)) },
	"Seal":             func(r *durable.Root, name string) error { return r.Seal(name, nil) },
	"Reopen":           func(r *durable.Root, name string) error { return abort(r.Reopen(name)) },
	"OpenAppend":       func(r *durable.Root, name string) error { _, err := r.OpenAppend(name); return err },
	"Open":             func(r *durable.Root, name string) error { _, err := r.Open(name); return err },
	"ReadFile":         func(r *durable.Root, name string) error { _, err := r.ReadFile(name, 100); return err },
	"Persist":          func(r *durable.Root, name string) error { return r.Persist(name) },
	"Mkdir":            func(r *durable.Root, name string) error { return r.Mkdir(name) },
	"Remove":           func(r *durable.Root, name string) error { return r.Remove(name) },
	"Rename from":      func(r *durable.Root, name string) error { return r.Rename(name, "new") },
	"Rename to":        func(r *durable.Root, name string) error { return r.Rename("file", name) },
	"TryLock":          func(r *durable.Root, name string) error { _, err := r.TryLock(name); return err },
	"Lock":             func(r *durable.Root, name string) error { _, err := r.Lock(context.Background(), name); return err },
	"Lstat":            func(r *durable.Root, name string) error { _, err := r.Lstat(name); return err },
	"Sub":              func(r *durable.Root, name string) error { _, err := r.Sub(name); return err },
	"MkdirAll":         func(r *durable.Root, name string) error { return r.MkdirAll(name) },
	"SyncDir":          func(r *durable.Root, name string) error { return r.SyncDir(name) },
	"Sweep":            func(r *durable.Root, name string) error { _, err := r.Sweep(name); return err },
}

// hostileDir returns a folder with a link of every kind, a FIFO, a socket and, for root, a device, beside an outside
// file and folder that nothing may touch.
func hostileDir(t *testing.T) (dir, outside string, entries []string) {
	t.Helper()
	top := t.TempDir()
	dir, outside = filepath.Join(top, "dir"), filepath.Join(top, "outside")
	for _, d := range []string{dir, outside, filepath.Join(dir, "folder")} {
		must(t, os.Mkdir(d, 0o755))
	}
	must(t, os.WriteFile(filepath.Join(outside, "victim"), []byte("untouched"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("inside"), 0o644))
	for name, target := range map[string]string{
		"out-file": "../outside/victim", "out-folder": "../outside", "out-absolute": filepath.Join(outside, "victim"),
		"out-dangling": "../outside/none", "in-file": "file", "in-folder": "folder", "in-dangling": "none",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
		entries = append(entries, name)
	}
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unix"})
	must(t, err)
	t.Cleanup(func() { socket.Close() })
	entries = append(entries, "fifo", "socket")
	// Without the privilege to make one, a device is the one kind left out.
	if err := syscall.Mknod(filepath.Join(dir, "device"), syscall.S_IFCHR|0o644, 1<<8|3); err == nil {
		entries = append(entries, "device")
	}
	return dir, outside, entries
}

func TestLinksAndSpecialFilesAreRefused(t *testing.T) {
	dir, outside, entries := hostileDir(t)
	root := openRoot(t, dir)
	before := listing(t, dir)
	for _, entry := range entries {
		for method, call := range byName {
			if method == "Lstat" {
				continue // it looks and does not open
			}
			if err := call(root, entry); err == nil {
				t.Errorf("%s of %q: got no error", method, entry)
			}
		}
		for method, call := range byName {
			if err := call(root, entry+"/victim"); !errors.Is(err, durable.ErrNotFolder) {
				t.Errorf("%s through %q: got %v, want %v", method, entry, err, durable.ErrNotFolder)
			}
		}
	}
	if after := listing(t, dir); !slices.Equal(before, after) {
		t.Errorf("the folder changed:\n got %q\nwant %q", after, before)
	}
	wantFile(t, filepath.Join(outside, "victim"), "untouched", 0o644)
	wantNames(t, outside, "victim")
	wantFile(t, filepath.Join(dir, "file"), "inside", 0o644)
}

func listing(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name()+" "+e.Type().String())
	}
	return names
}

func TestBadNamesAreRefused(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "dir")
	must(t, os.MkdirAll(filepath.Join(dir, "a"), 0o755))
	root := openRoot(t, dir)
	for _, name := range []string{
		"", "..", "../x", "a/../../x", "a/../b", "a/..", "/", "/x", "//x", "a//b", "a/", "./a", "a/.", "a\x00b",
		"a/f.0123456789abcdef.tmp", filepath.Join(top, "x"),
	} {
		for method, call := range byName {
			if err := call(root, name); !errors.Is(err, durable.ErrName) {
				t.Errorf("%s of %q: got %v, want %v", method, name, err, durable.ErrName)
			}
		}
	}
	for method, call := range byName {
		if slices.Contains([]string{"Sub", "MkdirAll", "SyncDir", "Sweep"}, method) {
			continue // the folder itself is a good answer here
		}
		if err := call(root, "."); !errors.Is(err, durable.ErrName) {
			t.Errorf("%s of \".\": got %v, want %v", method, err, durable.ErrName)
		}
	}
	wantNames(t, top, "dir")
	wantNames(t, dir, "a")
}
