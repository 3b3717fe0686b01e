package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

func digestsOf(texts ...string) []record.Digest {
	var out []record.Digest
	for _, s := range texts {
		out = append(out, record.SHA256Digest(sha256.Sum256([]byte(s))))
	}
	slices.SortFunc(out, func(a, b record.Digest) int { return strings.Compare(a.Hex(), b.Hex()) })
	return out
}

// seenAnchors appends a seizure that names the anchors that came since, and returns them.
func seenAnchors(t *testing.T, w *world, root *durable.Root, exhibit string) []record.Digest {
	t.Helper()
	var seen []record.Digest
	_, err := Append(t.Context(), root, w.log, nil, func(h Head) ([]Item, error) {
		seen = h.Anchors
		return []Item{w.seized(h, exhibit, 1, nil)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// An anchor is named by the next statement, once, and stays.
func TestAnchorsAreCommitted(t *testing.T) {
	w := sharedWorld()
	_, root := create(t, w)
	if got := seenAnchors(t, w, root, "1"); got != nil {
		t.Errorf("anchors of a log without any: %v", got)
	}
	var names []string
	for _, a := range []string{"one", "two", "one"} {
		name, err := AddAnchor(t.Context(), root, nil, 1, layout.AnchorToken, []byte(a))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	sum := sha256.Sum256([]byte("one"))
	if want := layout.AnchorFile(1, hex.EncodeToString(sum[:]), layout.AnchorToken); names[0] != want || names[2] != want {
		t.Errorf("names %q, want the first and the last to be %q", names, want)
	}
	if got, want := seenAnchors(t, w, root, "2"), digestsOf("one", "two"); !slices.Equal(got, want) {
		t.Errorf("named %v, want %v", got, want)
	}
	if got := seenAnchors(t, w, root, "3"); got != nil {
		t.Errorf("named again: %v", got)
	}
	if b, err := root.ReadFile(names[1], 100); err != nil || string(b) != "two" {
		t.Errorf("%q: %q, %v", names[1], b, err)
	}
	if _, err := root.Lstat(layout.Uncommitted); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the list is still there: %v", err)
	}
}

// A list that was tampered with stops the append before anything is signed.
func TestUncommittedRefuses(t *testing.T) {
	w := sharedWorld()
	_, root := create(t, w)
	if _, err := AddAnchor(t.Context(), root, nil, 1, layout.AnchorToken, []byte("one")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no JSON":  "x",
		"unsorted": `{"anchors":["sha256:` + hexOf("ff") + `","sha256:` + hexOf("00") + `"],"type":"exhibit-uncommitted/v1"}`,
		"doubled":  `{"anchors":["sha256:` + hexOf("ff") + `","sha256:` + hexOf("ff") + `"],"type":"exhibit-uncommitted/v1"}`,
	} {
		if err := root.Replace(layout.Uncommitted, []byte(text)); err != nil {
			t.Fatal(err)
		}
		_, err := Append(t.Context(), root, w.log, nil, func(Head) ([]Item, error) { t.Error("build was called"); return nil, nil })
		if !errors.Is(err, record.ErrMalformed) {
			t.Errorf("%s: error %v, want %v", name, err, record.ErrMalformed)
		}
	}
}

func hexOf(pair string) string {
	var s string
	for range 32 {
		s += pair
	}
	return s
}

// Whatever call fails, or wherever the process is killed: what a statement names is there, and what was kept is named at
// last, twice at most.
func TestFaultsOfAnchors(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	prepare := func(t *testing.T, dir string) {
		root := openRoot(t, dir)
		if err := Create(root, w.log, w.genesis); err != nil {
			t.Fatal(err)
		}
	}
	keep := func(root *durable.Root) error {
		_, err := AddAnchor(context.Background(), root, nil, 1, layout.AnchorToken, []byte("one"))
		return err
	}
	check := func(kept bool) func(t *testing.T, dir string, err error) {
		return func(t *testing.T, dir string, err error) {
			root := openRoot(t, dir)
			if !kept && err != nil {
				if err := keep(root); err != nil {
					t.Fatalf("again: %v", err)
				}
			}
			if _, err := Append(context.Background(), root, w.log, nil, w.next("2")); err != nil {
				t.Fatalf("the next append: %v", err)
			}
			named := 0
			l := w.sound(t, dir, 2)
			for i := int64(1); i < l.Size(); i++ {
				for _, d := range anchorsOf(t, l, i) {
					named++
					if _, err := root.Lstat(layout.AnchorFile(1, d.Hex(), layout.AnchorToken)); err != nil {
						t.Errorf("entry %d names an anchor that is not there: %v", i, err)
					}
				}
			}
			if named < 1 || named > 2 {
				t.Errorf("the anchor is named %d times", named)
			}
		}
	}
	t.Run("keep", func(t *testing.T) { faulttest.Case{Prepare: prepare, Run: keep, Check: check(false)}.Each(t) })
	t.Run("append", func(t *testing.T) {
		faulttest.Case{
			Prepare: func(t *testing.T, dir string) {
				prepare(t, dir)
				if err := keep(openRoot(t, dir)); err != nil {
					t.Fatal(err)
				}
			},
			Run: func(root *durable.Root) error {
				_, err := Append(context.Background(), root, w.log, nil, w.next("1"))
				return err
			},
			Check: check(true),
		}.Each(t)
	})
}

func anchorsOf(t *testing.T, l *Log, i int64) []record.Digest {
	t.Helper()
	b, err := l.Statement(i)
	if err != nil {
		t.Fatal(err)
	}
	e, err := sign.ParseEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return as[record.Event](p).Header().Log.Anchors
}
