//go:build unix

package ledger

import (
	"bytes"
	"errors"
	"maps"
	"testing"
	"testing/fstest"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// cut makes a log in which exhibit 1 has the entries 1, 3 and 4 of 6, and an extract of them.
func cut(t *testing.T) (*Log, fstest.MapFS, Manifest) {
	t.Helper()
	w := sharedWorld()
	dir, root := create(t, w)
	for _, x := range []string{"1", "2", "1", "1", "2"} {
		w.append(t, root, x)
	}
	l := w.open(t, dir)
	files, m := extractOf(t, l, "1")
	return l, files, m
}

func extractOf(t *testing.T, l *Log, exhibit string) (fstest.MapFS, Manifest) {
	t.Helper()
	files := fstest.MapFS{}
	m, err := l.WriteExtract(exhibit, nil, nil, func(name string, data []byte) error {
		files[name] = &fstest.MapFile{Data: bytes.Clone(data)}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, m
}

func TestExtract(t *testing.T) {
	l, files, m := cut(t)
	x, err := OpenExtract(files)
	if err != nil {
		t.Fatal(err)
	}
	if m.Count != 3 || m.Last != 4 || x.Size != 6 || len(x.List) != 3 || x.List[1].Index != 3 {
		t.Errorf("got %+v with %d events, want entries 1, 3, 4 of 6", m, len(x.List))
	}
	if len(x.List[0].Openings) == 0 || files[layout.PersonalFile(5)] != nil {
		t.Error("the openings are not those of exhibit 1 alone")
	}
	for size := int64(1); size <= l.Size(); size++ {
		old, err := l.At(size)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Follows(old.checkpoint()); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
		other := old.checkpoint()
		other.Root[0] ^= 1
		if _, fork := errors.AsType[*ForkError](x.Follows(other)); !fork {
			t.Errorf("size %d: another root is no fork", size)
		}
	}
	if err := x.Follows(Checkpoint{Origin: x.Origin, Size: 7}); !errors.Is(err, ErrNoConsistency) {
		t.Errorf("a larger log: %v, want %v", err, ErrNoConsistency)
	}
	if _, err := l.WriteExtract("3", nil, nil, nil); !errors.Is(err, ErrNoEvents) {
		t.Errorf("an exhibit without events: %v, want %v", err, ErrNoEvents)
	}
}

// An extract from which something was taken, or in which something was changed, is refused.
func TestExtractTampered(t *testing.T) {
	_, files, m := cut(t)
	_, strange, _ := cut(t) // of the same name and keys, and another history
	relist := func(f fstest.MapFS, events ...int64) {
		n := m
		n.Events, n.Count, n.Last = events, int64(len(events)), events[len(events)-1]
		f[layout.ExtractManifest] = &fstest.MapFile{Data: must(n.encode())}
	}
	swap := func(f fstest.MapFS, a, b string) { f[a], f[b] = f[b], f[a] }
	for name, harm := range map[string]func(f fstest.MapFS){
		"an event left out and unlisted": func(f fstest.MapFS) { relist(f, 1, 4) },
		"the first event left out":       func(f fstest.MapFS) { relist(f, 3, 4) },
		"another exhibit's entry listed": func(f fstest.MapFS) { relist(f, 1, 3, 4, 5) },
		"an event's file removed":        func(f fstest.MapFS) { delete(f, layout.StatementFile(3)) },
		"two events reordered":           func(f fstest.MapFS) { swap(f, layout.StatementFile(3), layout.StatementFile(4)) },
		"two events reordered, with proofs": func(f fstest.MapFS) {
			swap(f, layout.StatementFile(3), layout.StatementFile(4))
			swap(f, layout.InclusionFile(3), layout.InclusionFile(4))
		},
		"an event altered":                  func(f fstest.MapFS) { alter(f, layout.StatementFile(3)) },
		"openings altered":                  func(f fstest.MapFS) { alter(f, layout.PersonalFile(3)) },
		"a proof altered":                   func(f fstest.MapFS) { alter(f, layout.InclusionFile(3)) },
		"a proof removed":                   func(f fstest.MapFS) { delete(f, layout.InclusionFile(3)) },
		"the checkpoint altered":            func(f fstest.MapFS) { alter(f, layout.Checkpoint) },
		"the checkpoint of another history": func(f fstest.MapFS) { f[layout.Checkpoint] = strange[layout.Checkpoint] },
		"an event of another history":       func(f fstest.MapFS) { f[layout.StatementFile(3)] = strange[layout.StatementFile(3)] },
		"the last entry of the log removed": func(f fstest.MapFS) { delete(f, layout.StatementFile(5)) },
		"the genesis removed":               func(f fstest.MapFS) { delete(f, layout.StatementFile(0)) },
		"the manifest altered":              func(f fstest.MapFS) { alter(f, layout.ExtractManifest) },
		"no manifest":                       func(f fstest.MapFS) { delete(f, layout.ExtractManifest) },
		"a change of keys that is none, listed": func(f fstest.MapFS) {
			n := m
			n.Keys = []int64{1}
			f[layout.ExtractManifest] = &fstest.MapFile{Data: must(n.encode())}
		},
	} {
		f := maps.Clone(files)
		harm(f)
		if x, err := OpenExtract(f); !errors.Is(err, record.ErrMalformed) && !errors.Is(err, record.ErrOpening) && !errors.Is(err, sign.ErrSignature) || x != nil {
			t.Errorf("%s: %v, want %v", name, err, record.ErrMalformed)
		}
	}
}

func alter(f fstest.MapFS, name string) {
	b := bytes.Clone(f[name].Data)
	b[len(b)/2] ^= 1
	f[name] = &fstest.MapFile{Data: b}
}

// The tail can be cut off unseen by whoever writes the extract: docs/format.md 17.4 says so, and this pins it.
func TestExtractTail(t *testing.T) {
	_, files, m := cut(t)
	m.Events, m.Count, m.Last = m.Events[:2], 2, 3
	files[layout.ExtractManifest] = &fstest.MapFile{Data: must(m.encode())}
	if x, err := OpenExtract(files); err != nil || len(x.List) != 2 {
		t.Errorf("got %v, want the two events that are listed", err)
	}
}

func TestExtractNewer(t *testing.T) {
	if _, err := ParseManifest([]byte(`{"format":"exhibit-extract/v2","more":1}`)); !errors.Is(err, record.ErrNewer) {
		t.Errorf("got %v, want %v", err, record.ErrNewer)
	}
}

func FuzzParseManifest(f *testing.F) {
	m := Manifest{Count: 2, Events: []int64{1, 3}, Exhibit: "7", Format: extractFormat, From: []int64{1, 4}, Last: 3, Origin: "abcdefghijklmnopqrstuvwxyz.exhibit.invalid", Size: 4}
	f.Add(must(m.encode()))
	m.Keys = []int64{2}
	f.Add(must(m.encode()))
	f.Add([]byte(`{"format":"exhibit-extract/v2"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			if m.Format != "" || m.Events != nil {
				t.Error("an error with a value")
			}
			return
		}
		if again := must(m.encode()); !bytes.Equal(again, b) {
			t.Errorf("got %q, want %q", again, b)
		}
	})
}
