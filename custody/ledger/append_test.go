//go:build unix

package ledger

import (
	"errors"
	"os"
	"testing"
)

func TestAppendAndRead(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	dir, root := create(t, w)
	for i, exhibits := range [][]string{{"1"}, {"1", "2", "1"}, {"3"}, {"2"}} {
		before := w.open(t, dir).Size()
		logged := w.append(t, root, exhibits...)
		if len(logged) != len(exhibits) {
			t.Fatalf("append %d logged %d statements, want %d", i, len(logged), len(exhibits))
		}
		l := w.sound(t, dir, before+int64(len(exhibits)))
		for j, got := range logged {
			entry := must(l.Entry(got.Index))
			index, size, checkpoint, err := CheckProof(got.Proof, entry, w.opened.Origin, w.opened.LogKeys)
			if err != nil {
				t.Fatal(err)
			}
			if index != before+int64(j) || index != got.Index || size != l.Size() || string(checkpoint) != string(l.Checkpoint()) {
				t.Errorf("proof of statement %d says index %d, size %d", got.Index, index, size)
			}
			if got.Leaf != LeafHash(entry) || string(got.Envelope) != string(must(l.Statement(got.Index))) {
				t.Errorf("statement %d was logged with other bytes than reported", got.Index)
			}
			if p := must(l.EncodeProof(got.Index)); string(p) != string(got.Proof) {
				t.Errorf("proof of statement %d read from the folder differs from the one returned", got.Index)
			}
		}
	}
}

func TestAppendCrossesTiles(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	dir, root := create(t, w)
	w.append(t, root, numbered(253)...)
	for range 5 { // sizes 255 to 259
		w.append(t, root, "1")
	}
	w.append(t, root, numbered(300)...)
	l := w.sound(t, dir, 559)
	for _, name := range []string{"tile/0/000.p", "tile/0/001.p", "tile/entries/000.p"} {
		if _, err := os.Lstat(dir + "/" + name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want no partial tiles beside the full one", name, err)
		}
	}
	if l.Size() != 559 {
		t.Errorf("size is %d, want 559", l.Size())
	}
}
