package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
)

const (
	oldContent = "the old content"
	content    = "the whole new content"
)

// read returns what a file holds, and whether it exists.
func read(t *testing.T, path string) (string, bool) {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	must(t, err)
	return string(data), true
}

func sealed(t *testing.T, path string) bool {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	return info.Mode().Perm()&0o222 == 0
}

// wantNoRest sweeps as a restarted program does, and then accepts only the wanted names.
func wantNoRest(t *testing.T, dir string, want ...string) {
	t.Helper()
	_, err := openRoot(t, dir).Sweep(".")
	must(t, err)
	wantNames(t, dir, want...)
}

func TestFaultsCreateEx(t *testing.T) {
	for fileSystem, lacking := range fileSystems {
		t.Run(fileSystem, func(t *testing.T) {
			faulttest.Case{
				Lacking: lacking,
				Run:     func(root *durable.Root) error { return root.CreateEx("f", []byte(content)) },
				Check: func(t *testing.T, dir string, err error) {
					path := filepath.Join(dir, "f")
					got, exists := read(t, path)
					claim := fileSystem == "no links" && got == "" && err != nil
					if exists && got != content && !claim {
						t.Errorf("after %v the name holds %q", err, got)
					}
					if exists && !claim && !sealed(t, path) {
						t.Errorf("after %v the complete file is writable", err)
					}
					if err == nil && !exists {
						t.Error("reported as written, and is not there")
					}
					if err != nil && !errors.Is(err, faulttest.ErrKilled) {
						if rest, gerr := filepath.Glob(filepath.Join(dir, "*.tmp")); gerr != nil || len(rest) > 0 {
							t.Errorf("after %v temporary files are left: %q", err, rest)
						}
					}
					must(t, openRoot(t, dir).CreateIdempotent("f", []byte(content)))
					wantFile(t, path, content, 0o444)
					wantNoRest(t, dir, "f")
				},
			}.Each(t)
		})
	}
}

func TestFaultsReplace(t *testing.T) {
	faulttest.Case{
		Prepare: func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "f"), []byte(oldContent), 0o644))
			must(t, os.WriteFile(filepath.Join(dir, "f.0123456789abcdef.tmp"), []byte("torn"), 0o600))
		},
		Run: func(root *durable.Root) error { return root.Replace("f", []byte(content)) },
		Check: func(t *testing.T, dir string, err error) {
			got, _ := read(t, filepath.Join(dir, "f"))
			if got != content && (got != oldContent || err == nil) {
				t.Errorf("after %v the name holds %q", err, got)
			}
			must(t, openRoot(t, dir).Replace("f", []byte("again")))
			wantFile(t, filepath.Join(dir, "f"), "again", 0o644)
			wantNames(t, dir, "f") // Replace itself removes what was left
		},
	}.Each(t)
}

func TestFaultsCreateIdempotent(t *testing.T) {
	for _, existing := range []string{"", content} {
		faulttest.Case{
			Prepare: func(t *testing.T, dir string) {
				must(t, os.WriteFile(filepath.Join(dir, "f"), []byte(existing), 0o444))
			},
			Run: func(root *durable.Root) error { return root.CreateIdempotent("f", []byte(content)) },
			Check: func(t *testing.T, dir string, err error) {
				got, _ := read(t, filepath.Join(dir, "f"))
				if got != content && (got != existing || err == nil) {
					t.Errorf("after %v the name holds %q", err, got)
				}
				must(t, openRoot(t, dir).CreateIdempotent("f", []byte(content)))
				wantNoRest(t, dir, "f")
			},
		}.Each(t)
	}
}

func TestFaultsFile(t *testing.T) {
	faulttest.Each(t, func(root *durable.Root) (err error) {
		f, err := root.OpenEx("image")
		if err != nil {
			return err
		}
		// As a caller does it: after a failure the bytes are kept.
		defer func() { err = errors.Join(err, f.Abort()) }()
		if _, err := f.Write([]byte(content[:8])); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		if _, err := f.WriteAt([]byte(content[8:]), 8); err != nil {
			return err
		}
		return f.Seal()
	}, func(t *testing.T, dir string, err error) {
		path := filepath.Join(dir, "image")
		got, exists := read(t, path)
		if !strings.HasPrefix(content, got) {
			t.Errorf("after %v the file holds %q, not a beginning", err, got)
		}
		if err == nil && (got != content || !sealed(t, path)) {
			t.Errorf("reported as sealed: %q", got)
		}
		if !exists {
			return
		}
		if sealed(t, path) {
			if got != content {
				t.Errorf("after %v the file is read-only and holds only %q", err, got)
			}
			return
		}
		f, err := openRoot(t, dir).Reopen("image")
		must(t, err)
		_, err = f.WriteAt([]byte(content), 0)
		must(t, err)
		must(t, f.Seal())
		wantFile(t, path, content, 0o444)
	})
}

func TestFaultsReopen(t *testing.T) {
	faulttest.Case{
		Prepare: func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "image"), []byte(content+"torn"), 0o600))
		},
		Run: func(root *durable.Root) error {
			f, err := root.Reopen("image")
			if err != nil {
				return err
			}
			if err := f.Truncate(int64(len(content))); err != nil {
				return errors.Join(err, f.Abort())
			}
			return f.Seal()
		},
		Check: func(t *testing.T, dir string, err error) {
			path := filepath.Join(dir, "image")
			got, _ := read(t, path)
			if got != content && (got != content+"torn" || err == nil || sealed(t, path)) {
				t.Errorf("after %v: %q, sealed %v", err, got, sealed(t, path))
			}
		},
	}.Each(t)
}

func TestFaultsAppend(t *testing.T) {
	records := []string{"first record\n", "second record\n", "third record\n"}
	whole := strings.Join(records, "")
	var acknowledged int
	faulttest.Each(t, func(root *durable.Root) error {
		acknowledged = 0
		a, err := root.OpenAppend("journal")
		if err != nil {
			return err
		}
		defer a.Close()
		for _, record := range records {
			if err := a.Append([]byte(record)); err != nil {
				return err
			}
			acknowledged++
		}
		return a.Seal()
	}, func(t *testing.T, dir string, err error) {
		path := filepath.Join(dir, "journal")
		got, exists := read(t, path)
		if !strings.HasPrefix(whole, got) {
			t.Errorf("after %v the journal holds %q, not a beginning", err, got)
		}
		if safe := strings.Join(records[:acknowledged], ""); !strings.HasPrefix(got, safe) {
			t.Errorf("after %v the journal holds %q, without all of the acknowledged %q", err, got, safe)
		}
		if exists && sealed(t, path) && got != whole {
			t.Errorf("after %v the journal is frozen and holds only %q", err, got)
		}
		if err == nil && !sealed(t, path) {
			t.Error("reported as sealed, and writable")
		}
	})
}

func TestFaultsFolders(t *testing.T) {
	faulttest.Each(t, func(root *durable.Root) error {
		if err := root.MkdirAll("a/b"); err != nil {
			return err
		}
		return root.Mkdir("a/b/c")
	}, func(t *testing.T, dir string, err error) {
		if info, serr := os.Lstat(filepath.Join(dir, "a/b/c")); err == nil && (serr != nil || !info.IsDir()) {
			t.Errorf("reported as made: %v", serr)
		}
		must(t, openRoot(t, dir).MkdirAll("a/b/c"))
		wantNames(t, filepath.Join(dir, "a/b"), "c")
	})
}

func TestFaultsRemove(t *testing.T) {
	faulttest.Case{
		Prepare: func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "f"), []byte(content), 0o444))
			must(t, os.WriteFile(filepath.Join(dir, "f.0123456789abcdef.tmp"), nil, 0o444))
		},
		Run: func(root *durable.Root) error {
			_, err := root.Sweep(".")
			return errors.Join(err, root.Remove("f"))
		},
		Check: func(t *testing.T, dir string, err error) {
			got, exists := read(t, filepath.Join(dir, "f"))
			if exists && (got != content || err == nil) {
				t.Errorf("after %v: %q", err, got)
			}
		},
	}.Each(t)
}

func TestFaultsRename(t *testing.T) {
	for fileSystem, lacking := range fileSystems {
		for _, kind := range []string{"file", "folder"} {
			t.Run(fileSystem+"/"+kind, func(t *testing.T) { faultsRename(t, lacking, kind == "folder") })
		}
	}
}

func faultsRename(t *testing.T, lacking durable.Hook, isDir bool) {
	in := func(dir, name string) string {
		if isDir {
			return filepath.Join(dir, name, "f")
		}
		return filepath.Join(dir, name)
	}
	faulttest.Case{
		Lacking: lacking,
		Prepare: func(t *testing.T, dir string) {
			must(t, os.MkdirAll(filepath.Dir(in(dir, "old")), 0o755))
			must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
			must(t, os.WriteFile(in(dir, "old"), []byte(content), 0o444))
		},
		Run: func(root *durable.Root) error { return root.Rename("old", "d/new") },
		Check: func(t *testing.T, dir string, err error) {
			before, isOld := read(t, in(dir, "old"))
			after, isNew := read(t, in(dir, "d/new"))
			if isOld && before != content || isNew && after != content && after != "" || before != content && after != content {
				t.Errorf("after %v: old %q, new %q", err, before, after)
			}
			if err == nil && (isOld || after != content) {
				t.Errorf("reported as renamed: old exists %v, new %q", isOld, after)
			}
		},
	}.Each(t)
}

func TestFaultsPersist(t *testing.T) {
	faulttest.Case{
		Prepare: func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "f"), []byte(content), 0o444))
		},
		Run:   func(root *durable.Root) error { return root.Persist("f") },
		Check: func(t *testing.T, dir string, _ error) { wantFile(t, filepath.Join(dir, "f"), content, 0o444) },
	}.Each(t)
}

func TestFaultsLock(t *testing.T) {
	faulttest.Each(t, func(root *durable.Root) error {
		l, err := root.TryLock("lock")
		if err != nil {
			return err
		}
		return l.Unlock()
	}, func(t *testing.T, dir string, _ error) {
		l, err := openRoot(t, dir).TryLock("lock")
		if err != nil {
			t.Fatalf("the lock is not free: %v", err)
		}
		must(t, l.Unlock())
	})
}
