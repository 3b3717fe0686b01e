package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// closing makes the statement that closes the log, signed by by.
func (w *world) closing(h Head, by sign.Signer, counter int64) Item {
	var o record.Openings
	c := &record.CaseClosed{Because: must(o.Commit(rand.Reader, "/because", "final")), By: record.Unknown[record.Personal]("test"), Counter: counter, Time: testTime(),
		Log: record.LogState{Anchors: h.Anchors, Attestations: h.Attestations, Checkpoint: h.Checkpoint, Origin: h.Origin, Size: h.Size}}
	return Item{Envelope: must(sign.Seal(by, must(record.Encode(c)))), Openings: o}
}

// After the statement that closed it nothing is appended, also without the heads; and only a person closes a log.
func TestClosed(t *testing.T) {
	w := sharedWorld()
	dir := t.TempDir()
	root := openRoot(t, dir)
	if err := Create(root, w.key(), w.genesis); err != nil {
		t.Fatal(err)
	}
	appendTo := func(build func(Head) ([]Item, error)) error {
		_, err := Append(context.Background(), root, w.key(), nil, build)
		return err
	}
	one := func(by sign.Signer, counter int64) func(Head) ([]Item, error) {
		return func(h Head) ([]Item, error) { return []Item{w.closing(h, by, counter)}, nil }
	}
	for name, build := range map[string]func(Head) ([]Item, error){
		"by a station":         one(w.station, 0),
		"at a counter's value": one(w.person, 7),
	} {
		if err := appendTo(build); !errors.Is(err, ErrStatement) {
			t.Errorf("closed %s: %v, want ErrStatement", name, err)
		}
	}
	if err := appendTo(func(h Head) ([]Item, error) {
		return []Item{w.closing(h, w.person, 0), w.seized(h, "1", 1, nil)}, nil
	}); !errors.Is(err, ErrClosed) {
		t.Errorf("an event after it in one append: %v, want ErrClosed", err)
	}
	if err := appendTo(one(w.person, 0)); err != nil {
		t.Fatal(err)
	}
	for _, heads := range []bool{true, false} {
		if !heads {
			if err := os.Remove(filepath.Join(dir, layout.Heads)); err != nil {
				t.Fatal(err)
			}
		}
		closed := false
		err := appendTo(func(h Head) ([]Item, error) {
			closed = h.Closed
			return []Item{w.seized(h, "1", 1, nil)}, nil
		})
		if !errors.Is(err, ErrClosed) || !closed {
			t.Errorf("append after it, heads %t: %v, Head.Closed %t; want ErrClosed, true", heads, err, closed)
		}
		if err := appendTo(one(w.person, 0)); !errors.Is(err, ErrClosed) {
			t.Errorf("closed twice, heads %t: %v, want ErrClosed", heads, err)
		}
	}
}
