//go:build unix

package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// poison rewrites the file of the heads; without a key its HMAC stays as it was.
func poison(f headsFile, key []byte, change func(*headsFile)) []byte {
	f.Parts = maps.Clone(f.Parts)
	change(&f)
	if key != nil {
		f.MAC = must(f.authenticate(key))
	}
	return must(record.EncodeJSON(f))
}

// The heads are made again whenever they do not fit or the log key did not write them, and a lie in them is not signed.
func TestHeadsAreACache(t *testing.T) {
	w := sharedWorld()
	key := func(n *notary, origin string) []byte { return must(n.Secret(origin, headsType)) }
	own := key(w.log, w.opened.Origin)
	first := layout.HeadsPartName(partOf("1"))
	leaveOut := func(f *headsFile) { delete(f.Parts, first) }
	for name, harm := range map[string]func(now, old headsFile) []byte{
		"missing":   func(headsFile, headsFile) []byte { return nil },
		"empty":     func(headsFile, headsFile) []byte { return []byte("{}") },
		"stale":     func(_, old headsFile) []byte { return poison(old, own, func(*headsFile) {}) },
		"too large": func(now, _ headsFile) []byte { return poison(now, own, func(f *headsFile) { f.Size++ }) },
		"of another": func(now, old headsFile) []byte {
			return poison(now, own, func(f *headsFile) { f.Checkpoint = old.Checkpoint })
		},
		"stale, of another": func(now, old headsFile) []byte {
			return poison(old, own, func(f *headsFile) { f.Checkpoint = now.Checkpoint })
		},
		"stale, called new": func(now, old headsFile) []byte {
			return poison(old, nil, func(f *headsFile) { f.Checkpoint, f.Size = now.Checkpoint, now.Size })
		},
		"a part of before": func(now, old headsFile) []byte {
			return poison(now, nil, func(f *headsFile) { f.Parts[first] = old.Parts[first] })
		},
		"a part under another name": func(now, _ headsFile) []byte {
			return poison(now, nil, func(f *headsFile) { f.Parts["zz"] = f.Parts[first]; leaveOut(f) })
		},
		"left out": func(now, _ headsFile) []byte { return poison(now, nil, leaveOut) },
		"left out, without HMAC": func(now, _ headsFile) []byte {
			return poison(now, nil, func(f *headsFile) { leaveOut(f); f.MAC = "" })
		},
		"left out, by another log key": func(now, _ headsFile) []byte {
			return poison(now, key(newNotary(), w.opened.Origin), leaveOut)
		},
		"left out, for another log of the key": func(now, _ headsFile) []byte {
			return poison(now, key(w.log, must(layout.NewOrigin(rand.Reader))), leaveOut)
		},
		"another version": func(now, _ headsFile) []byte {
			return poison(now, own, func(f *headsFile) { f.Type = "exhibit-heads/v9" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, root := create(t, w)
			w.append(t, root, "1", "2")
			old := must(parseHeads(read(t, dir, layout.Heads), own))
			w.append(t, root, "1", "2", "1")
			now := must(parseHeads(read(t, dir, layout.Heads), own))
			if b := harm(now, old); b == nil {
				remove(t, dir, layout.Heads)
			} else {
				overwrite(t, dir, layout.Heads, b)
			}
			w.headsAfter(t, dir, root, own)
		})
	}
}

// A part that is not the one the heads name is made again from the statements, and so are those of a log that grew without
// its heads.
func TestPartsOfHeadsAreACache(t *testing.T) {
	w := sharedWorld()
	own := must(w.log.Secret(w.opened.Origin, headsType))
	first := layout.HeadsPart(partOf("1"))
	for name, harm := range map[string]func(t *testing.T, dir string, old []byte){
		"missing": func(t *testing.T, dir string, _ []byte) { remove(t, dir, first) },
		"empty":   func(t *testing.T, dir string, _ []byte) { overwrite(t, dir, first, nil) },
		"stale":   func(t *testing.T, dir string, old []byte) { overwrite(t, dir, first, old) },
		"another's": func(t *testing.T, dir string, _ []byte) {
			overwrite(t, dir, first, read(t, dir, layout.HeadsPart(partOf("2"))))
		},
		"all gone": func(t *testing.T, dir string, _ []byte) {
			if err := os.RemoveAll(filepath.Join(dir, layout.HeadsDir)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for _, stale := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, heads stale %t", name, stale), func(t *testing.T) {
				dir, root := create(t, w)
				w.append(t, root, "1", "2")
				old, heads := read(t, dir, first), read(t, dir, layout.Heads)
				w.append(t, root, "1", "2", "1")
				if stale {
					overwrite(t, dir, layout.Heads, heads)
				}
				harm(t, dir, old)
				w.headsAfter(t, dir, root, own)
			})
		}
	}
}

// headsAfter appends to a log of six entries, and requires that it and its heads are sound afterwards.
func (w *world) headsAfter(t *testing.T, dir string, root *durable.Root, key []byte) {
	t.Helper()
	w.append(t, root, "1", "2")
	w.sound(t, dir, 8)
	f, err := parseHeads(read(t, dir, layout.Heads), key)
	if err != nil || f.Size != 8 || len(f.Parts) != 2 {
		t.Fatalf("afterwards the heads are %v (%v)", f, err)
	}
	for exhibit, want := range map[string][]int64{"1": {1, 3, 5, 6}, "2": {2, 4, 7}} {
		i := partOf(exhibit)
		b := read(t, dir, layout.HeadsPart(i))
		part, err := parsePart(b, i, 8)
		if err != nil || record.SHA256Of(b) != f.Parts[layout.HeadsPartName(i)] || !slices.Equal(part[exhibit].Events, want) {
			t.Errorf("afterwards the part of exhibit %s is %v (%v)", exhibit, part, err)
		}
	}
}

// Of two numbers that people take for one another only one has events; numbers that differ are not found alike.
func TestAlike(t *testing.T) {
	w := sharedWorld()
	_, root := create(t, w)
	w.append(t, root, "7a", "8")
	_, err := Append(context.Background(), root, w.key(), nil, func(h Head) ([]Item, error) {
		for exhibit, want := range map[string]string{"7A": "7a", " 7a": "7a", "7a": "", "8": "", "9": ""} {
			if other, err := h.Alike(exhibit); err != nil || other != want {
				t.Errorf("alike to %q is %q, %v; want %q", exhibit, other, err, want)
			}
		}
		return nil, nil
	})
	if !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}
