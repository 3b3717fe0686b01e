//go:build unix

package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// poison rewrites the file of the heads; without a key its HMAC stays as it was.
func poison(now []byte, f headsFile, key []byte, change func(*headsFile)) []byte {
	change(&f)
	b := f.encode(key)
	if key == nil {
		copy(b[headsBytes-sha256.Size:], now[headsBytes-sha256.Size:])
	}
	return b
}

// harmHeads makes another file of heads of the one that is there, given what both it and an older one say.
type harmHeads func(b []byte, now, old headsFile) []byte

// change makes another file of now, with the HMAC of key or, without one, that of before.
func change(key []byte, do func(f *headsFile, old headsFile)) harmHeads {
	return func(b []byte, now, old headsFile) []byte {
		return poison(b, now, key, func(f *headsFile) { do(f, old) })
	}
}

// The heads are made again whenever they do not fit or the log key did not write them, and a lie in them is not signed.
func TestHeadsAreACache(t *testing.T) {
	w := sharedWorld()
	key := func(n *notary, origin string) []byte { return must(n.Secret(origin, headsType)) }
	own := key(w.log, w.opened.Origin)
	first := partOf("1")
	leaveOut := func(f *headsFile) { f.parts[first] = sum{} }
	nothing := func(*headsFile) {}
	ofLog := func(key []byte, do func(*headsFile)) harmHeads {
		return change(key, func(f *headsFile, _ headsFile) { do(f) })
	}
	for name, harm := range map[string]harmHeads{
		"missing":    func([]byte, headsFile, headsFile) []byte { return nil },
		"empty":      func([]byte, headsFile, headsFile) []byte { return []byte{} },
		"cut":        func(b []byte, _, _ headsFile) []byte { return b[:len(b)-1] },
		"longer":     func(b []byte, _, _ headsFile) []byte { return append(b, 0) },
		"one bit":    func(b []byte, _, _ headsFile) []byte { b[100] ^= 1; return b },
		"in the MAC": func(b []byte, _, _ headsFile) []byte { b[len(b)-1] ^= 1; return b },
		"JSON":       func([]byte, headsFile, headsFile) []byte { return []byte(`{"size":6,"type":"exhibit-heads/v1"}`) },
		"stale":      func(b []byte, _, old headsFile) []byte { return poison(b, old, own, nothing) },
		"too large":  ofLog(own, func(f *headsFile) { f.size++ }),
		"of no log":  ofLog(own, func(f *headsFile) { f.size = 0 }),
		"of another": change(own, func(f *headsFile, old headsFile) { f.checkpoint = old.checkpoint }),
		"stale, of another": func(b []byte, now, old headsFile) []byte {
			return poison(b, old, own, func(f *headsFile) { f.checkpoint = now.checkpoint })
		},
		"stale, called new": func(b []byte, now, old headsFile) []byte {
			return poison(b, old, nil, func(f *headsFile) { f.checkpoint, f.size = now.checkpoint, now.size })
		},
		"a part of before":          change(nil, func(f *headsFile, old headsFile) { f.parts[first] = old.parts[first] }),
		"a part under another name": ofLog(nil, func(f *headsFile) { f.parts[first+1] = f.parts[first]; leaveOut(f) }),
		"left out":                  ofLog(nil, leaveOut),
		"left out, HMAC of zeros": func(_ []byte, now, _ headsFile) []byte {
			return poison(make([]byte, headsBytes), now, nil, leaveOut)
		},
		"left out, by another log key":         ofLog(key(newNotary(), w.opened.Origin), leaveOut),
		"left out, for another log of the key": ofLog(key(w.log, must(layout.NewOrigin(rand.Reader))), leaveOut),
		"another version": func(b []byte, now, _ headsFile) []byte {
			end := headsBytes - sha256.Size
			b = bytes.Replace(b[:end], []byte("/v1\n"), []byte("/v9\n"), 1)
			return append(b, authenticate(b, own)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, root := create(t, w)
			w.append(t, root, "1", "2")
			old := must(parseHeads(read(t, dir, layout.Heads), own))
			w.append(t, root, "1", "2", "1")
			heads := read(t, dir, layout.Heads)
			now := must(parseHeads(heads, own))
			if b := harm(slices.Clone(heads), now, old); b == nil {
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
	none := headParts - 2
	for _, d := range f.parts {
		if d == (sum{}) {
			none--
		}
	}
	if err != nil || f.size != 8 || none != 0 {
		t.Fatalf("afterwards the heads are %v (%v)", f, err)
	}
	for exhibit, want := range map[string][]int64{"1": {1, 3, 5, 6}, "2": {2, 4, 7}} {
		i := partOf(exhibit)
		b := read(t, dir, layout.HeadsPart(i))
		part, err := parsePart(b, i, 8)
		if err != nil || sha256.Sum256(b) != f.parts[i] || !slices.Equal(part[exhibit].events, want) {
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
