//go:build unix

package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// RFC 6962, section 2.1, word for word and without any shortcut: independent of tiles and of package tlog.

func naiveRoot(leaves []tlog.Hash) tlog.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := naiveSplit(len(leaves))
	return naiveNode(naiveRoot(leaves[:k]), naiveRoot(leaves[k:]))
}

func naiveNode(left, right tlog.Hash) tlog.Hash {
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

// naiveSplit is the largest power of two below n.
func naiveSplit(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

func naivePath(m int, leaves []tlog.Hash) []tlog.Hash {
	if len(leaves) == 1 {
		return nil
	}
	k := naiveSplit(len(leaves))
	if m < k {
		return append(naivePath(m, leaves[:k]), naiveRoot(leaves[k:]))
	}
	return append(naivePath(m-k, leaves[k:]), naiveRoot(leaves[:k]))
}

func naiveConsistency(m int, leaves []tlog.Hash, whole bool) []tlog.Hash {
	n := len(leaves)
	if m == n {
		if whole {
			return nil
		}
		return []tlog.Hash{naiveRoot(leaves)}
	}
	k := naiveSplit(n)
	if m <= k {
		return append(naiveConsistency(m, leaves[:k], whole), naiveRoot(leaves[k:]))
	}
	return append(naiveConsistency(m-k, leaves[k:], false), naiveRoot(leaves[:k]))
}

// provable makes one log with a checkpoint at each of the sizes and returns it opened at each.
func provable(t *testing.T, sizes ...int64) (*world, []*Log) {
	t.Helper()
	w := sharedWorld()
	dir, root := create(t, w)
	have := int64(1)
	for _, size := range sizes {
		if size > have {
			w.append(t, root, numbered(int(size-have))...)
		}
		have = size
	}
	newest := w.open(t, dir)
	logs := make([]*Log, len(sizes))
	for i, size := range sizes {
		l, err := newest.At(size)
		if err != nil {
			t.Fatal(err)
		}
		logs[i] = l
	}
	return w, logs
}

func leavesOf(t *testing.T, l *Log) []tlog.Hash {
	t.Helper()
	var leaves []tlog.Hash
	for i := range l.Size() {
		leaves = append(leaves, sha256.Sum256(append([]byte{0}, must(l.Entry(i))...)))
	}
	return leaves
}

// Every size up to 20, sizes around the width of a tile, and one with several tiles; every index and, against the largest,
// every pair.
func TestProofsAgreeWithRFC6962(t *testing.T) {
	t.Parallel()
	sizes := []int64{}
	for n := int64(1); n <= 20; n++ {
		sizes = append(sizes, n)
	}
	sizes = append(sizes, 63, 127, 128, 255, 256, 257, 258, 300)
	_, logs := provable(t, sizes...)
	for _, l := range logs {
		leaves := leavesOf(t, l)
		if got, want := l.Root(), naiveRoot(leaves); got != want {
			t.Fatalf("size %d: root is %s, want %s", l.Size(), got, want)
		}
		for i := range l.Size() {
			if got, want := must(l.ProveInclusion(i)), naivePath(int(i), leaves); !slices.Equal(got, want) {
				t.Fatalf("size %d: inclusion proof of %d is %v, want %v", l.Size(), i, got, want)
			}
		}
		for m := int64(1); m <= l.Size(); m++ {
			if got, want := must(l.ProveConsistency(m)), naiveConsistency(int(m), leaves, true); !slices.Equal(got, want) {
				t.Fatalf("size %d: consistency proof from %d is %v, want %v", l.Size(), m, got, want)
			}
		}
	}
}

func TestProofsRefuse(t *testing.T) {
	t.Parallel()
	w, logs := provable(t, 1, 2, 5, 300)
	l := logs[3]
	for _, i := range []int64{0, 1, 4, 255, 256, 299} {
		entry := must(l.Entry(i))
		good := must(ParseProof(must(l.EncodeProof(i))))
		check := func(p Proof, entry []byte) error {
			_, _, _, err := CheckProof(p.Encode(), entry, w.opened.Origin, w.opened.LogKeys)
			return err
		}
		if err := check(good, entry); err != nil {
			t.Fatalf("proof of %d: %v", i, err)
		}
		bad := map[string]Proof{
			"index one less":      {i - 1, good.Hashes, good.Checkpoint},
			"index one more":      {i + 1, good.Hashes, good.Checkpoint},
			"index beyond":        {300, good.Hashes, good.Checkpoint},
			"smaller checkpoint":  {i, good.Hashes, logs[2].note},
			"no hashes":           {i, nil, good.Checkpoint},
			"a hash less":         {i, good.Hashes[1:], good.Checkpoint},
			"a hash more":         {i, append(slices.Clone(good.Hashes), tlog.Hash{}), good.Checkpoint},
			"altered checkpoint":  {i, good.Hashes, flip(good.Checkpoint, len(good.Checkpoint)-9)},
			"altered size":        {i, good.Hashes, []byte(string(good.Checkpoint[:43]) + "3" + string(good.Checkpoint[43:]))},
			"checkpoint of 1 key": {i, good.Hashes, cutLine(good.Checkpoint)},
		}
		for k := range good.Hashes {
			hashes := slices.Clone(good.Hashes)
			hashes[k][31] ^= 1
			bad[fmt.Sprintf("hash %d altered", k)] = Proof{i, hashes, good.Checkpoint}
		}
		for name, p := range bad {
			if p.Index < 0 {
				continue
			}
			if err := check(p, entry); err == nil {
				t.Errorf("proof of %d with %s: it was accepted", i, name)
			}
		}
		if err := check(good, flip(entry, 7)); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("proof of %d with another entry: %v, want %v", i, err, record.ErrMalformed)
		}
		if _, _, _, err := CheckProof(good.Encode(), entry, newWorld().opened.Origin, w.opened.LogKeys); err == nil {
			t.Errorf("proof of %d for another log: it was accepted", i)
		}
		if _, _, _, err := CheckProof(good.Encode(), entry, w.opened.Origin, newWorld().opened.LogKeys); err == nil {
			t.Errorf("proof of %d with other keys: it was accepted", i)
		}
	}
	for _, i := range []int64{-1, 300, 1 << 62} {
		if _, err := l.ProveInclusion(i); err == nil {
			t.Errorf("inclusion proof of %d: no error", i)
		}
		if _, err := l.ProveConsistency(i + 1); err == nil {
			t.Errorf("consistency proof from %d: no error", i+1)
		}
	}
}

func flip(b []byte, at int) []byte {
	out := slices.Clone(b)
	out[at] ^= 1
	return out
}

// cutLine removes the last signature line.
func cutLine(note []byte) []byte {
	end := len(note) - 1
	for note[end-1] != '\n' {
		end--
	}
	return note[:end]
}
