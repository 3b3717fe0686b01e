//go:build unix

package ledger

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

func TestAuditNamesEveryWrongFile(t *testing.T) {
	w := sharedWorld()
	dir, root := create(t, w)
	w.append(t, root, numbered(270)...)
	w.append(t, root, "1")
	findings := func() map[string]error {
		found := map[string]error{}
		for name, err := range w.open(t, dir).Audit(context.Background()) {
			found[name] = err
		}
		return found
	}
	if found := findings(); len(found) != 0 {
		t.Fatalf("a sound log: %v", found)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range w.open(t, dir).Audit(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled audit: %v, want %v", err, context.Canceled)
		}
	}
	for name, want := range map[string]error{
		"tile/0/000":            record.ErrMalformed,
		"tile/0/001.p/15":       record.ErrMalformed,
		"tile/entries/000":      record.ErrMalformed,
		"tile/entries/001.p/15": record.ErrMalformed,
		"checkpoints/1":         sign.ErrSignature,
		"checkpoints/271":       sign.ErrSignature,
		"checkpoints/272":       sign.ErrSignature,
	} {
		before := read(t, dir, name)
		at := len(before) / 2
		if len(before) < 1000 && name[0] == 'c' {
			at = 60 // in the root
		}
		overwrite(t, dir, name, flip(before, at))
		found := findings()
		if err := found[name]; !errors.Is(err, want) {
			t.Errorf("%s altered: %v, want %v", name, err, want)
		}
		// A wrong tile takes what it proves with it: its bundle and the checkpoint whose root it holds.
		if len(found) > 3 || name[0] == 'c' && len(found) > 1 {
			t.Errorf("%s altered: %v are called wrong", name, slices.Sorted(maps.Keys(found)))
		}
		overwrite(t, dir, name, before)
	}
	remove(t, dir, "checkpoints/272")
	if err := findings()["checkpoints/272"]; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the newest checkpoint missing: %v, want %v", err, os.ErrNotExist)
	}
}

func TestAuditTellsUnfinishedFromDamaged(t *testing.T) {
	w := sharedWorld()
	dir, _ := create(t, w)
	w.killAt(t, dir, durable.OpCreate, layout.Checkpoint+".", "1")
	want := []string{"checkpoints/2", "pending", "tile/0/000.p/2", "tile/entries/000.p/2"}
	for n := range 2 {
		l := w.open(t, dir)
		var names []string
		for name, err := range l.Audit(context.Background()) {
			if names = append(names, name); n == 0 && !errors.Is(err, ErrUnfinished) || errors.Is(err, ErrUnfinished) && errors.Is(err, record.ErrMalformed) {
				t.Errorf("%s: %v, want %v", name, err, ErrUnfinished)
			}
			if n == 1 && name == "checkpoints/2" && !errors.Is(err, record.ErrMalformed) {
				t.Errorf("a newer checkpoint that is not pending: %v, want %v", err, record.ErrMalformed)
			}
		}
		if slices.Sort(names); !slices.Equal(names, want) {
			t.Errorf("found %v, want %v", names, want)
		}
		if n == 0 {
			remove(t, dir, layout.Pending)
			want = []string{"checkpoints/2", "tile/0/000.p/2", "tile/entries/000.p/2"}
		}
	}
}
