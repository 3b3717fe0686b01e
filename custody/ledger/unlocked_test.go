package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// TestWritersWithoutALock lets a second program append in the middle of an append, at each of its calls, as on a network
// share that grants every lock. It cannot be prevented there. What must hold: no checkpoint that was published is ever
// another one, and who was told that a statement is logged finds it in the log; or the next append refuses to go on, or a
// checkpoint is no prefix of the newest, which a verifier calls damage.
func TestWritersWithoutALock(t *testing.T) {
	t.Parallel()
	for name, counter := range map[string]func() *tally{"keys alone": func() *tally { return nil }, "a counter": func() *tally { return newTally(3) }} {
		t.Run(name, func(t *testing.T) {
			told := 0
			for at, more := 1, true; more; at++ {
				var err error
				if more, err = unlocked(t, at, counter()); errors.Is(err, ErrRefused) {
					told++
				}
				if t.Failed() {
					t.Fatalf("the second came at call %d", at)
				}
			}
			if told == 0 {
				t.Errorf("the first never learnt of the second")
			}
		})
	}
}

// unlocked lets the second program come at that call, reports whether the append made so many, and how it ended.
func unlocked(t *testing.T, at int, c *tally) (more bool, ended error) {
	t.Helper()
	w := newWorld()
	if c != nil {
		w = countedWorld(c)
	}
	dir, root := create(t, w)
	w.append(t, root, "1")
	calls := 0
	var second []Logged
	var secondErr error
	seen := map[int64]string{}
	slow, err := durable.OpenRootFaults(dir, func(durable.Op, string) error {
		if calls++; calls == at {
			if err := os.Remove(filepath.Join(dir, layout.Lock)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
			second, secondErr = Append(context.Background(), openRoot(t, dir), w.key(), nil, w.next("1"))
			rivals(t, dir, seen)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	first, firstErr := Append(context.Background(), slow, w.key(), nil, w.next("1", "2"))
	slow.Close()
	rivals(t, dir, seen)
	_, err = w.recover(openRoot(t, dir))
	rivals(t, dir, seen)
	if err != nil {
		return calls >= at, firstErr // the next one refuses to go on
	}
	l := w.open(t, dir)
	for size := range seen {
		if _, err := l.At(size); err != nil {
			return calls >= at, firstErr // every verifier sees it
		}
	}
	if firstErr != nil && secondErr != nil {
		t.Errorf("neither came through: %v, %v", firstErr, secondErr)
	}
	for _, got := range append(first, second...) {
		if leaf, err := l.Leaf(got.Index); err != nil || leaf != got.Leaf {
			t.Errorf("statement %d, which was reported (first %v, second %v), is not in the log: %v", got.Index, firstErr, secondErr, err)
		}
	}
	return calls >= at, firstErr
}

// rivals requires that each checkpoint that is published is the one that was.
func rivals(t *testing.T, dir string, seen map[int64]string) {
	t.Helper()
	sizes, err := CheckpointSizes(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range sizes {
		b := must(os.ReadFile(filepath.Join(dir, layout.CheckpointFile(size))))
		if before, ok := seen[size]; ok && before != string(b) {
			t.Errorf("a second checkpoint of size %d", size)
		}
		seen[size] = string(b)
	}
}
