//go:build unix

package ledger

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// seenAttestations appends a seizure and returns the attestations that it names.
func seenAttestations(t *testing.T, w *world, root *durable.Root, exhibit string) []record.Digest {
	t.Helper()
	var seen []record.Digest
	_, err := Append(t.Context(), root, w.key(), nil, func(h Head) ([]Item, error) {
		seen = h.Attestations
		return []Item{w.seized(h, exhibit, 1, nil)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// A quote is named by the next statement, once, and stays; a second one for the same record takes nothing's place.
func TestQuotesAreCommitted(t *testing.T) {
	w := sharedWorld()
	_, root := create(t, w)
	seenAttestations(t, w, root, "1")
	if _, err := ReadQuote(root.FS(), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a quote before any: %v", err)
	}
	for _, quote := range []string{"one", "another"} {
		if err := AddQuote(t.Context(), root, nil, 1, []byte(quote), []byte("log of "+quote)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"attest/1.quote": "one", "attest/1.eventlog": "log of one"} {
		if b, err := root.ReadFile(name, 100); err != nil || string(b) != want {
			t.Errorf("%q: %q, %v", name, b, err)
		}
	}
	if b, err := ReadQuote(root.FS(), 1); err != nil || string(b) != "one" {
		t.Errorf("read %q, %v", b, err)
	}
	if _, err := AddAnchor(t.Context(), root, nil, 1, layout.AnchorToken, []byte("an anchor")); err != nil {
		t.Fatal(err)
	}
	if got, want := seenAttestations(t, w, root, "2"), digestsOf("one"); !slices.Equal(got, want) {
		t.Errorf("named %v, want %v", got, want)
	}
	if got := seenAttestations(t, w, root, "3"); len(got) != 0 {
		t.Errorf("named again: %v", got)
	}
	if _, err := root.Lstat(layout.Uncommitted); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the list is still there: %v", err)
	}
}

// A log with a counter names the counter's certificate too.
func TestQuotesBesideTheCounter(t *testing.T) {
	w := countedWorld(newTally(7))
	_, root := create(t, w)
	before := seenAttestations(t, w, root, "1")
	if len(before) != 1 {
		t.Fatalf("attestations %v, want one", before)
	}
	if err := AddQuote(t.Context(), root, nil, 1, []byte("one"), nil); err != nil {
		t.Fatal(err)
	}
	got := seenAttestations(t, w, root, "2")
	if len(got) != 2 || !slices.Contains(got, digestsOf("one")[0]) || slices.Contains(got, before[0]) {
		t.Errorf("named %v", got)
	}
	if got := seenAttestations(t, w, root, "3"); len(got) != 1 {
		t.Errorf("named again: %v", got)
	}
}

func TestAddQuoteRefuses(t *testing.T) {
	w := sharedWorld()
	_, root := create(t, w)
	for name, sizes := range map[string][2]int{"nothing": {0, 0}, "a large quote": {layout.MaxAttest + 1, 0}, "a large event log": {1, layout.MaxBootLog + 1}} {
		if err := AddQuote(t.Context(), root, nil, 1, make([]byte, sizes[0]), make([]byte, sizes[1])); err == nil {
			t.Errorf("%s: kept", name)
		}
	}
	for i := range int64(layout.MaxQuotes + 1) {
		err := AddQuote(t.Context(), root, nil, i+1, []byte{byte(i)}, nil)
		if full := i == layout.MaxQuotes; (err != nil) != full {
			t.Fatalf("quote %d: %v", i, err)
		}
	}
	if got := seenAttestations(t, w, root, "1"); len(got) != layout.MaxQuotes {
		t.Errorf("%d named", len(got))
	}
}

// An event that names what is not here is not logged.
func TestStrangeAttestations(t *testing.T) {
	w := sharedWorld()
	_, root := create(t, w)
	_, err := Append(t.Context(), root, w.log, nil, func(h Head) ([]Item, error) {
		h.Attestations = digestsOf("nowhere")
		return []Item{w.seized(h, "1", 1, nil)}, nil
	})
	if !errors.Is(err, ErrStatement) {
		t.Errorf("%v, want ErrStatement", err)
	}
}

// Whatever call fails, or wherever the process is killed: what a statement names is there, and what was kept is named.
func TestFaultsOfQuotes(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	keep := func(root *durable.Root) error {
		return AddQuote(context.Background(), root, nil, 1, []byte("one"), []byte("a log"))
	}
	faulttest.Case{
		Prepare: func(t *testing.T, dir string) {
			root := openRoot(t, dir)
			if err := Create(root, w.log, w.genesis); err != nil {
				t.Fatal(err)
			}
			if _, err := Append(context.Background(), root, w.log, nil, w.next("1")); err != nil {
				t.Fatal(err)
			}
		},
		Run: keep,
		Check: func(t *testing.T, dir string, err error) {
			root := openRoot(t, dir)
			if err != nil { // as the acquisition does when it is resumed, perhaps after the machine was started again
				if err := AddQuote(context.Background(), root, nil, 1, []byte("two"), []byte("another log")); err != nil {
					t.Fatalf("again: %v", err)
				}
			}
			quote, err := ReadQuote(root.FS(), 1)
			if err != nil {
				t.Fatal(err)
			}
			log, err := root.ReadFile(layout.StartFile(1, layout.AttestBootLog), 100)
			if want := map[string]string{"one": "a log", "two": "another log"}[string(quote)]; err != nil || string(log) != want {
				t.Errorf("quote %q, event log %q, %v", quote, log, err)
			}
			if got, want := seenAttestations(t, w, root, "2"), digestsOf(string(quote)); !slices.Equal(got, want) {
				t.Errorf("named %v, want %v", got, want)
			}
			w.sound(t, dir, 3)
		},
	}.Each(t)
}
