//go:build unix

package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// childImport takes the log in the folder from into the folder dir. It prints a line when it begins to write.
func childImport(dir, from string) int {
	root := must(durable.OpenRoot(dir))
	l, _, _, err := OpenForeign(context.Background(), os.DirFS(from))
	if err == nil {
		must(fmt.Fprintln(os.Stdout, "begins"))
		_, err = Import(context.Background(), root, l, nil)
	}
	if err != nil {
		must(fmt.Fprintln(os.Stdout, "error", err))
		return 1
	}
	return 0
}

// carried is a log that was handed over in two states: held has taken the first in, and full the second after it. Each file is
// read that one has.
type carried struct {
	w          *world
	from, held string
	old, size  int64
	full       map[string]string
}

func newCarried(t *testing.T, first, second int) *carried {
	t.Helper()
	c := &carried{w: sharedWorld(), held: memoryDir(t)}
	var root *durable.Root
	c.from, root = create(t, c.w)
	c.w.append(t, root, numbered(first)...)
	c.take(t, c.held)
	c.old = c.w.open(t, c.held).Size()
	c.w.append(t, root, numbered(second)...)
	c.w.append(t, root, "one more")
	full := memoryDir(t)
	if err := os.CopyFS(full, os.DirFS(c.held)); err != nil {
		t.Fatal(err)
	}
	c.take(t, full)
	c.size, c.full = c.w.open(t, full).Size(), taken(t, full)
	return c
}

func (c *carried) take(t *testing.T, dir string) {
	t.Helper()
	if err := c.run(openRoot(t, dir)); err != nil {
		t.Fatalf("import: %v", err)
	}
}

func (c *carried) run(root *durable.Root) error {
	l, _, _, err := OpenForeign(context.Background(), os.DirFS(c.from))
	if err != nil {
		return err
	}
	_, err = Import(context.Background(), root, l, nil)
	return err
}

// taken reads every file of a log that was taken in.
func taken(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == layout.Lock {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		out[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mends requires of a folder in which an import ended somehow that it holds the old state or the new one, and that the next import
// makes every file what it should be, and leaves none that is too much.
func (c *carried) mends(t *testing.T, dir string) (size int64) {
	t.Helper()
	l := c.w.open(t, dir)
	if size = l.Size(); size != c.old && size != c.size {
		t.Fatalf("the log has %d entries, want %d or %d", size, c.old, c.size)
	}
	for i := range size { // those that the checkpoint stands for are there, whatever it is
		if _, err := l.Statement(i); err != nil {
			t.Fatalf("of %d entries, statement %d: %v", size, i, err)
		}
	}
	c.take(t, dir)
	got := taken(t, dir)
	for name, want := range c.full {
		if got[name] != want {
			t.Errorf("%s is not what it should be, or is not there", name)
		}
	}
	for name := range got {
		if _, ok := c.full[name]; !ok {
			t.Errorf("%s is left over", name)
		}
	}
	return size
}

// Each system call of an import fails, or is the last before a kill.
func TestFaultsOfAnImport(t *testing.T) {
	c := newCarried(t, 1, 1)
	faulttest.Case{
		Prepare: func(t *testing.T, dir string) {
			if err := os.CopyFS(dir, os.DirFS(c.held)); err != nil {
				t.Fatal(err)
			}
		},
		Run:   c.run,
		Check: func(t *testing.T, dir string, _ error) { c.mends(t, dir) },
	}.Each(t)
}

// A process that takes a log in is killed, at whatever place it is.
func TestKillMinus9OfAnImport(t *testing.T) {
	t.Parallel()
	c := newCarried(t, 200, 300) // across the end of a tile, and of another
	sizes := map[int64]int{}
	begun := time.Now()
	if _, err := c.killed(t, -1); err != nil {
		t.Fatalf("the child that was not killed: %v", err)
	}
	whole := time.Since(begun)
	for i := range 6 { // the first as soon as it begins to write
		if dir, err := c.killed(t, whole*time.Duration(i)/12); err != nil {
			sizes[c.mends(t, dir)]++
		} else {
			c.mends(t, dir)
		}
	}
	if sizes[c.old] == 0 {
		t.Errorf("of 6 kills none came before the new checkpoint: %v", sizes)
	}
	t.Logf("killed with the old size %d times, with the new one %d times", sizes[c.old], sizes[c.size])
}

// killed lets a child take the log into a copy of what is held, and kills it some time after it began to write; below zero never.
func (c *carried) killed(t *testing.T, after time.Duration) (dir string, err error) {
	t.Helper()
	dir = memoryDir(t)
	if err := os.CopyFS(dir, os.DirFS(c.held)); err != nil {
		t.Fatal(err)
	}
	cmd, lines := start(t, "import", dir, c.from)
	if !lines.Scan() || lines.Text() != "begins" {
		t.Fatalf("the child says %q", lines.Text())
	}
	if after >= 0 {
		<-time.After(after)
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
	}
	for lines.Scan() {
		t.Errorf("the child says %q", lines.Text())
	}
	return dir, cmd.Wait()
}
