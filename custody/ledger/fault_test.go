//go:build unix

package ledger

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// published remembers every checkpoint that was ever seen in one folder, pending ones included.
type published map[int64]string

// look takes in what the folder holds now. A checkpoint of a size seen before must be the same, byte for byte, and none that
// was seen may be gone.
func (p published) look(t testing.TB, w *world, dir string) {
	t.Helper()
	fsys := os.DirFS(dir)
	take := func(name string, note []byte) {
		c, err := OpenCheckpoint(note, w.opened.Origin, w.opened.LogKeys)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if before, ok := p[c.Size]; ok && before != string(note) {
			t.Fatalf("%s: a second checkpoint of size %d:\n%s\nbefore:\n%s", name, c.Size, note, before)
		}
		p[c.Size] = string(note)
		w.log.mu.Lock()
		defer w.log.mu.Unlock()
		if !slices.Contains(w.log.notes, string(note)) {
			t.Fatalf("%s: a checkpoint that was never signed", name)
		}
	}
	sizes, err := checkpointSizes(newFolder(fsys))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, size := range sizes {
		b := must(os.ReadFile(filepath.Join(dir, layout.CheckpointFile(size))))
		take(layout.CheckpointFile(size), b)
	}
	if b, err := os.ReadFile(filepath.Join(dir, layout.Checkpoint)); err == nil {
		take(layout.Checkpoint, b)
	}
	b, err := os.ReadFile(filepath.Join(dir, layout.Pending))
	if err == nil {
		note, _, perr := ParsePending(b)
		if perr != nil {
			t.Fatal(perr)
		}
		take(layout.Pending, note)
	}
	for size := range p {
		if !slices.Contains(sizes, size) && err != nil {
			t.Fatalf("the checkpoint of size %d, seen before, is gone", size)
		}
	}
}

// faulty fails every call of an append that adds exhibits to the log in start, and then requires that the log goes on.
func faulty(t *testing.T, w *world, start string, exhibits ...string) {
	t.Helper()
	seen := published{}
	var logged []Logged
	c := faulttest.Case{
		Prepare: func(t *testing.T, dir string) {
			if err := os.CopyFS(dir, os.DirFS(start)); err != nil {
				t.Fatal(err)
			}
			seen = published{}
			seen.look(t, w, dir)
		},
		Run: func(root *durable.Root) (err error) {
			logged, err = Append(context.Background(), root, w.key(), nil, w.next(exhibits...))
			return err
		},
		Check: func(t *testing.T, dir string, err error) {
			w.goesOn(t, dir, seen, logged, err, 0)
		},
	}
	c.Each(t)
}

// goesOn checks a folder after an append that ended with err: the next ones work, what was reported stands in the log, what
// was not reported stands there wholly or not at all, and no checkpoint has a rival.
func (w *world) goesOn(t *testing.T, dir string, seen published, logged []Logged, failed error, from int64) {
	t.Helper()
	seen.look(t, w, dir)
	root := openRoot(t, dir)
	_, perr := os.Lstat(filepath.Join(dir, layout.Pending))
	before := w.open(t, dir).Size()
	recovered, err := w.recover(root)
	if err != nil {
		t.Fatalf("recover after %v: %v", failed, err)
	}
	seen.look(t, w, dir)
	size := w.open(t, dir).Size()
	// With a pending checkpoint the last of the published statements may not have been reported either.
	if n := before + int64(len(recovered)); size != n && (perr != nil || size > n) {
		t.Errorf("recovered from size %d to %d and reported %d statements", before, size, len(recovered))
	}
	for i, l := range recovered {
		if want := size - int64(len(recovered)-i); l.Index != want {
			t.Errorf("recovered statement %d is number %d, want %d", l.Index, i, want)
		}
	}
	w.append(t, root, "1", "next")
	seen.look(t, w, dir)
	l := w.soundFrom(t, dir, size+2, from)
	for _, got := range append(logged, recovered...) {
		if leaf := must(l.Leaf(got.Index)); leaf != got.Leaf {
			t.Errorf("statement %d was reported with leaf %s and is %s", got.Index, got.Leaf, leaf)
		}
	}
	noStrangers(t, l, dir)
}

// noStrangers requires that every file belongs to the log or was set aside.
func noStrangers(t *testing.T, l *Log, dir string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), layout.TornPrefix) {
			return err
		}
		tile, ok := parseTileFile(name)
		switch {
		case ok && widthIn(l.Size(), tile.L, tile.N) >= tile.W:
		case slices.Contains([]string{layout.Checkpoint, layout.Heads, layout.Lock}, name):
		case strings.HasPrefix(name, layout.HeadsDir+"/") && !strings.HasSuffix(name, ".tmp"):
		case strings.HasPrefix(name, layout.CheckpointsDir+"/"):
		case strings.HasPrefix(name, layout.StatementDir+"/") && !strings.HasSuffix(name, ".tmp"):
		default:
			t.Errorf("%q is left in the folder", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// killed is faulty for kills alone: nothing touches the disk from one call on. For from see soundFrom.
func killed(t *testing.T, w *world, start string, from int64, exhibits ...string) {
	t.Helper()
	for at := 0; ; at++ {
		dir := memoryDir(t)
		if err := os.CopyFS(dir, os.DirFS(start)); err != nil {
			t.Fatal(err)
		}
		seen := published{}
		seen.look(t, w, dir)
		calls := 0
		root, err := durable.OpenRootFaults(dir, func(durable.Op, string) error {
			if calls++; calls > at {
				return faulttest.ErrKilled
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		logged, err := Append(context.Background(), root, w.key(), nil, w.next(exhibits...))
		root.Close()
		if err != nil && !errors.Is(err, faulttest.ErrKilled) {
			t.Fatalf("killed at call %d: %v", at+1, err)
		}
		w.goesOn(t, dir, seen, logged, err, from)
		if err == nil && at < 20 {
			t.Fatalf("the append made only %d calls", calls)
		}
		if err == nil {
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFaultsOfAnAppend(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	dir, root := create(t, w)
	w.append(t, root, "1", "2")
	faulty(t, w, dir, "1")
}

func TestKillsOfABatch(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	dir, _ := create(t, w)
	killed(t, w, dir, 0, "1", "1", "2")
}

// killAt makes an append that is killed at the first call of that kind on a name that begins so.
func (w *world) killAt(t testing.TB, dir string, op durable.Op, prefix string, exhibits ...string) {
	t.Helper()
	killed := false
	root, err := durable.OpenRootFaults(dir, func(o durable.Op, name string) error {
		killed = killed || o == op && strings.HasPrefix(name, prefix)
		if killed {
			return faulttest.ErrKilled
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_, err = Append(context.Background(), root, w.key(), nil, w.next(exhibits...))
	if !errors.Is(err, faulttest.ErrKilled) || !errors.Is(err, ErrUnsettled) {
		t.Fatalf("append to be killed at %s of %s: %v", op, prefix, err)
	}
}

func TestKillsOfPublishingWhatIsPending(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	dir, root := create(t, w)
	w.append(t, root, "1", "2")
	w.killAt(t, dir, durable.OpCreate, "checkpoints/4", "2")
	killed(t, w, dir, 0, "1")
}

func TestKillsOfAdopting(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	dir, root := create(t, w)
	w.append(t, root, "1", "2")
	w.killAt(t, dir, durable.OpCreate, "pending", "2", "1", "2")
	// Statement 3 can be adopted, 5 and the openings of 4 cannot.
	if err := os.Remove(filepath.Join(dir, layout.StatementFile(4))); err != nil {
		t.Fatal(err)
	}
	killed(t, w, dir, 0, "1")
}

func TestKillsAtATilesEnd(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	dir, root := create(t, w)
	w.append(t, root, slices.Repeat([]string{"bulk"}, 253)...)
	for i := int64(1); i < 254; i++ { // an append never reads them, and copies are made faster without
		remove(t, dir, layout.PersonalFile(i))
	}
	w.append(t, root, "1")
	killed(t, w, dir, 254, "1", "2")
}

func TestFaultsOfCreate(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	faulttest.Each(t, func(root *durable.Root) error { return Create(root, w.key(), w.genesis) },
		func(t *testing.T, dir string, err error) {
			seen := published{}
			seen.look(t, w, dir)
			root := openRoot(t, dir)
			if _, rerr := w.recover(root); rerr != nil {
				if err == nil || !errors.Is(rerr, ErrRefused) && !errors.Is(rerr, fs.ErrNotExist) {
					t.Errorf("recover after %v: %v", err, rerr)
				}
				if len(seen) > 0 {
					t.Errorf("a checkpoint was signed, and the log does not go on: %v", rerr)
				}
				return
			}
			w.append(t, root, "1")
			seen.look(t, w, dir)
			w.sound(t, dir, 2)
		})
}

// A statement's openings are written before it, so that one adopted later has them.
func TestAdoptedStatementsKeepTheirOpenings(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	dir, root := create(t, w)
	w.killAt(t, dir, durable.OpCreate, "tile/", "1", "2")
	var recovered []Logged
	logged, err := Append(context.Background(), root, w.key(), nil, func(h Head) ([]Item, error) {
		recovered = h.Recovered
		return w.next("1")(h)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(recovered) != 2 || len(logged) != 3 {
		t.Fatalf("recovered %d statements and logged %d, want 2 and 3", len(recovered), len(logged))
	}
	for i, l := range logged {
		if v, ok := l.Openings.Value("/seizure/description"); !ok || v == "" || l.Index != int64(i+1) {
			t.Errorf("statement %d of index %d has no opening", i, l.Index)
		}
	}
	w.sound(t, dir, 4)
}

// A statement that was left by an append to another state of the log cannot be used.
func TestLeftoversThatDoNotFitAreSetAside(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	dir, root := create(t, w)
	w.append(t, root, "1")
	stale := w.seized(Head{Origin: w.opened.Origin, Size: 1, Checkpoint: record.SHA256Digest([32]byte{1}), Keys: must(GenesisKeys(w.opened))}, "2", 1, nil)
	for i, name := range []string{layout.StatementFile(2), layout.PersonalFile(2), layout.PersonalFile(4)} {
		if err := os.WriteFile(filepath.Join(dir, name), [][]byte{stale.Envelope, must(stale.Openings.Encode()), []byte("half")}[i], 0o400); err != nil {
			t.Fatal(err)
		}
	}
	w.append(t, root, "1", "3")
	l := w.sound(t, dir, 4)
	if l.Size() != 4 {
		t.Errorf("size is %d, want 4", l.Size())
	}
	for _, name := range []string{"2.dsse.json", "2.personal.json", "4.personal.json"} {
		if _, err := os.Lstat(filepath.Join(dir, "statement/000000/.torn-"+name+"-1")); err != nil {
			t.Error(err)
		}
	}
	noStrangers(t, l, dir)
}

// A pending checkpoint is not published over statements that are gone or are others, and stays.
func TestPendingNeedsWhatItSigned(t *testing.T) {
	w := sharedWorld()
	for name, do := range map[string]func(t *testing.T, dir string){
		"a statement gone": func(t *testing.T, dir string) { remove(t, dir, layout.StatementFile(3)) },
		"another statement": func(t *testing.T, dir string) {
			overwrite(t, dir, layout.StatementFile(3), read(t, dir, layout.StatementFile(2)))
		},
		"a bundle gone":   func(t *testing.T, dir string) { remove(t, dir, "tile/entries/000.p/4") },
		"a tile gone":     func(t *testing.T, dir string) { remove(t, dir, "tile/0/000.p/4") },
		"another history": nil, // see fork
	} {
		t.Run(name, func(t *testing.T) {
			dir, root := create(t, w)
			if do == nil {
				w.fork(t, dir, root)
			} else {
				w.append(t, root, "1", "2")
				w.killAt(t, dir, durable.OpCreate, "checkpoints/4", "2")
				do(t, dir)
			}
			pending, signed := read(t, dir, layout.Pending), len(w.log.notes)
			if _, err := w.recover(root); !errors.Is(err, ErrRefused) {
				t.Errorf("recover: %v, want %v", err, ErrRefused)
			}
			if string(read(t, dir, layout.Pending)) != string(pending) || len(w.log.notes) != signed {
				t.Error("pending was changed, or something was signed")
			}
			if l := w.open(t, dir); l.Size() != 3 {
				t.Errorf("the log has %d entries, want 3", l.Size())
			}
		})
	}
}

// fork leaves a log of three entries with a pending checkpoint of four, which was signed in a copy taken at two: complete,
// but for the third entry.
func (w *world) fork(t *testing.T, dir string, root *durable.Root) {
	t.Helper()
	w.append(t, root, "1")
	copied := memoryDir(t)
	mustDo(t, os.CopyFS(copied, os.DirFS(dir)))
	w.append(t, root, "2")
	w.killAt(t, copied, durable.OpCreate, "checkpoints/4", "3", "4")
	for _, name := range []string{layout.Pending, layout.StatementFile(3), layout.PersonalFile(3), "tile/0/000.p/4", "tile/entries/000.p/4"} {
		overwrite(t, dir, name, read(t, copied, name))
	}
}

// Openings that lie where a statement without any is written would be taken for its own.
func TestStaleOpeningsAreSetAside(t *testing.T) {
	w := sharedWorld()
	dir, root := create(t, w)
	overwrite(t, dir, layout.PersonalFile(2), []byte("stale"))
	_, err := Append(context.Background(), root, w.key(), nil, func(h Head) ([]Item, error) {
		items, err := w.next("1", "2")(h)
		items[1].Openings = nil
		return items, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.open(t, dir).Openings(2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("openings of a statement without any: %v, want %v", err, fs.ErrNotExist)
	}
	if got := read(t, dir, "statement/000000/.torn-2.personal.json-1"); string(got) != "stale" {
		t.Errorf("what was set aside is %q", got)
	}
}
