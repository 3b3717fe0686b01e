package durable_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// A file is sealed by its name, whether it is open, was closed, or was sealed before.
func TestSealByName(t *testing.T) {
	root, err := durable.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range []string{"open", "closed"} {
		f, err := root.OpenEx(name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "closed" {
			if err := f.Abort(); err != nil {
				t.Fatal(err)
			}
			f = nil
		}
		for range 2 { // the second time it is sealed
			if err := root.Seal(name, f); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			f = nil
		}
		if info, err := root.Lstat(name); err != nil || info.Mode().Perm() != 0o444 {
			t.Errorf("%s: %v, %v; want read-only", name, info, err)
		}
	}
	if err := root.Seal("none", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v, want fs.ErrNotExist", err)
	}
}
