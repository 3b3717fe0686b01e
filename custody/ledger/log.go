package ledger

import (
	"bytes"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Log is a log as one of its checkpoints describes it, whatever was appended since. It is safe for concurrent use.
type Log struct {
	dir    *folder
	origin string
	keys   *Keys // as far as tree
	note   []byte
	tree   tlog.Tree

	mu     sync.Mutex // guards what follows
	hashes tlog.HashReader
	page   page
}

// page is the last bundle and its leaves, kept because logs are read in order.
type page struct {
	n       int64
	leaves  []tlog.Hash // nil: no page; proven
	entries [][]byte    // nil: not read; proven
}

// Open reads the newest checkpoint of the log folder fsys and verifies both its lines with keys, those of a genesis that
// the caller trusts or, to see what a log says of itself, of ReadGenesis. Tiles are read, and proven, when they are needed.
// The changes of keys that the log itself has are taken in, and are proven to stand in it.
func Open(fsys fs.FS, origin string, keys []record.LogKey) (*Log, error) {
	return openNewest(newFolder(fsys), origin, keys)
}

func openNewest(dir *folder, origin string, keys []record.LogKey) (*Log, error) {
	note, err := dir.readFile(layout.Checkpoint, layout.MaxCheckpoint)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Log, error) { return nil, fmt.Errorf("%q: %w", layout.Checkpoint, err) }
	size, err := peekSize(note)
	if err != nil {
		return fail(err)
	}
	_, g, _, err := readGenesis(dir)
	if err != nil {
		return nil, err
	}
	if g.Origin != origin || !slices.Equal(g.LogKeys, keys) {
		return nil, fmt.Errorf("%q: %w: it does not name the log keys by which log %s is to be read", layout.StatementFile(0), record.ErrMalformed, origin)
	}
	k, err := loadKeys(dir, g, size)
	if err != nil {
		return nil, err
	}
	l, err := newLog(dir, note, k)
	if err != nil {
		return fail(err)
	}
	if err := l.proveKeys(); err != nil {
		return nil, err
	}
	return l, nil
}

// At returns the log as it was at an earlier size, which must be that of a checkpoint: checkpoints/<size> is verified, and
// is proven to be a prefix of l.
func (l *Log) At(size int64) (*Log, error) {
	name := layout.CheckpointFile(size)
	note, err := l.dir.readFile(name, layout.MaxCheckpoint)
	if err != nil {
		return nil, err
	}
	old, err := newLog(l.dir, note, l.keys)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	if old.tree.N != size {
		return nil, fmt.Errorf("%q: %w: it is of size %d", name, record.ErrMalformed, old.tree.N)
	}
	root, err := l.prefixRoot(size)
	if err != nil {
		return nil, err
	}
	if root != old.tree.Hash {
		return nil, fmt.Errorf("%q: %w: its root is not that of the first %d entries of the log", name, record.ErrMalformed, size)
	}
	return old, nil
}

func newLog(dir *folder, note []byte, keys *Keys) (*Log, error) {
	c, err := keys.OpenCheckpoint(note)
	if err != nil {
		return nil, err
	}
	return makeLog(dir, note, keys, tlog.Tree{N: c.Size, Hash: c.Root}), nil
}

// makeLog makes the Log of a checkpoint that was verified.
func makeLog(dir *folder, note []byte, keys *Keys, tree tlog.Tree) *Log {
	tiles := &tileReader{dir: dir, proven: map[tlog.Tile][]byte{}}
	return &Log{
		dir: dir, origin: keys.genesis.Origin, keys: keys, note: note, tree: tree,
		hashes: tlog.TileHashReader(tree, tiles),
	}
}

// Origin is the log's name.
func (l *Log) Origin() string { return l.origin }

// Keys are those of the log's genesis, with the changes as far as the log was opened. The caller does not change them.
func (l *Log) Keys() *Keys { return l.keys }

// Size is the number of entries.
func (l *Log) Size() int64 { return l.tree.N }

// Root is the root of the tree, as the checkpoint says it.
func (l *Log) Root() tlog.Hash { return l.tree.Hash }

// Checkpoint returns the signed note.
func (l *Log) Checkpoint() []byte { return slices.Clone(l.note) }

// ReadHashes implements tlog.HashReader. The hashes are proven by tiles that give the root.
func (l *Log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readHashes(indexes)
}

func (l *Log) readHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes, err := l.hashes.ReadHashes(indexes)
	return hashes, l.tileTrouble(err)
}

// tileTrouble gives damage its sentinel: all that is not an error of reading is tiles that contradict the root.
func (l *Log) tileTrouble(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*tileError](err); ok {
		return e.err
	}
	return fmt.Errorf("%q: %w: the tiles do not give the root of the checkpoint of size %d (%w)", layout.TileDir, record.ErrMalformed, l.tree.N, err)
}

// prefixRoot is the root that the first size entries had.
func (l *Log) prefixRoot(size int64) (tlog.Hash, error) {
	if size < 1 || size > l.tree.N {
		return tlog.Hash{}, fmt.Errorf("size %d is %w: the log has %d entries", size, record.ErrMalformed, l.tree.N)
	}
	return tlog.TreeHash(size, l)
}

func (l *Log) inRange(i int64) error {
	if i < 0 || i >= l.tree.N {
		return fmt.Errorf("log entry %d: %w: the log has %d entries", i, fs.ErrNotExist, l.tree.N)
	}
	return nil
}

// Leaf returns the leaf hash of entry i.
func (l *Log) Leaf(i int64) (record.LeafHash, error) {
	if err := l.inRange(i); err != nil {
		return record.LeafHash{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.turnTo(i / tileWidth); err != nil {
		return record.LeafHash{}, err
	}
	return record.LeafHash(l.page.leaves[i%tileWidth]), nil
}

// oneLeaf is Leaf for somebody who wants no other near it.
func (l *Log) oneLeaf(i int64) (record.LeafHash, error) {
	if err := l.inRange(i); err != nil {
		return record.LeafHash{}, err
	}
	hashes, err := l.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
	if err != nil {
		return record.LeafHash{}, err
	}
	return record.LeafHash(hashes[0]), nil
}

// Entry returns log entry i, which has the leaf hash that the tiles prove.
func (l *Log) Entry(i int64) ([]byte, error) {
	if err := l.inRange(i); err != nil {
		return nil, err
	}
	entries, err := l.bundle(i / tileWidth)
	if err != nil {
		return nil, err
	}
	return slices.Clone(entries[i%tileWidth]), nil
}

// bundle returns the entries of bundle n, as far as l has them. The caller does not change them.
func (l *Log) bundle(n int64) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.turnTo(n); err != nil {
		return nil, err
	}
	if l.page.entries == nil {
		if err := l.readPage(); err != nil {
			return nil, err
		}
	}
	return l.page.entries, nil
}

// turnTo loads the leaves of bundle n.
func (l *Log) turnTo(n int64) error {
	if l.page.leaves != nil && l.page.n == n {
		return nil
	}
	indexes := make([]int64, widthIn(l.tree.N, 0, n))
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, n*tileWidth+int64(i))
	}
	leaves, err := l.readHashes(indexes)
	if err != nil {
		return err
	}
	l.page = page{n: n, leaves: leaves}
	return nil
}

// readPage loads the entries of the page.
func (l *Log) readPage() error {
	entries, err := readBundle(l.dir, l.page.n, len(l.page.leaves))
	if err != nil {
		return err
	}
	for i, e := range entries {
		if tlog.RecordHash(e) != l.page.leaves[i] {
			name := layout.TilePath(entriesLevel, l.page.n, len(entries))
			return fmt.Errorf("%q: %w: entry %d does not have its leaf hash", name, record.ErrMalformed, l.page.n*tileWidth+int64(i))
		}
	}
	l.page.entries = entries
	return nil
}

// Statement returns the envelope of entry i. It is the one that was logged: the entry rebuilt from it, with the key that
// the entry names, is entry i. Its signature is not verified here, nor whether the key was admitted.
func (l *Log) Statement(i int64) ([]byte, error) {
	entry, err := l.Entry(i)
	if err != nil {
		return nil, err
	}
	name := layout.StatementFile(i)
	b, err := l.dir.readFile(name, layout.MaxEnvelope)
	if err != nil {
		return nil, err
	}
	if err := belongs(b, entry); err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	return b, nil
}

// belongs requires that entry is the log's entry of the envelope.
func belongs(envelope, entry []byte) error {
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return err
	}
	key, err := EntryKey(entry)
	if err != nil {
		return err
	}
	again, err := e.Entry(key)
	if err != nil || !bytes.Equal(again, entry) {
		return fmt.Errorf("%w: it is not the envelope that was logged", record.ErrMalformed)
	}
	return nil
}

// EntryKey reads the public key out of a log entry. What else the entry says is compared by who rebuilds it.
func EntryKey(entry []byte) (sign.PublicKey, error) {
	if len(entry) > layout.MaxEntry {
		return sign.PublicKey{}, fmt.Errorf("log entry: %w: %d bytes", record.ErrMalformed, len(entry))
	}
	var e struct {
		Spec struct {
			HashedRekord struct {
				Signature struct {
					Verifier struct {
						PublicKey struct {
							RawBytes []byte `json:"rawBytes"`
						} `json:"publicKey"`
					} `json:"verifier"`
				} `json:"signature"`
			} `json:"hashedRekordV002"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(entry, &e); err != nil {
		return sign.PublicKey{}, fmt.Errorf("log entry: %w: %w", record.ErrMalformed, err)
	}
	key, err := sign.ParsePublicKey(e.Spec.HashedRekord.Signature.Verifier.PublicKey.RawBytes)
	if err != nil {
		return sign.PublicKey{}, fmt.Errorf("log entry: %w", err)
	}
	return key, nil
}

// Openings returns the file of openings of statement i, unchecked; fs.ErrNotExist when it has none, or they were erased.
func (l *Log) Openings(i int64) ([]byte, error) {
	if err := l.inRange(i); err != nil {
		return nil, err
	}
	return l.dir.readFile(layout.PersonalFile(i), layout.MaxOpenings)
}

// ProveInclusion returns the inclusion proof of entry i.
func (l *Log) ProveInclusion(i int64) ([]tlog.Hash, error) {
	if err := l.inRange(i); err != nil {
		return nil, err
	}
	return tlog.ProveRecord(l.tree.N, i, l)
}

// ProveConsistency returns the proof that the log of size old, at least 1, is a prefix of this one.
func (l *Log) ProveConsistency(old int64) ([]tlog.Hash, error) {
	if old < 1 || old > l.tree.N {
		return nil, fmt.Errorf("size %d is %w: the log has %d entries", old, record.ErrMalformed, l.tree.N)
	}
	return tlog.ProveTree(l.tree.N, old, l)
}

// EncodeProof returns the proof.tlog-proof of entry i: its inclusion proof and the checkpoint.
func (l *Log) EncodeProof(i int64) ([]byte, error) {
	hashes, err := l.ProveInclusion(i)
	if err != nil {
		return nil, err
	}
	return Proof{Index: i, Hashes: hashes, Checkpoint: l.note}.Encode(), nil
}

// checkpointSizes returns the sizes of all checkpoints in the folder, sorted. It reads their names only, see At.
func checkpointSizes(dir *folder) ([]int64, error) {
	names, err := dir.list(layout.CheckpointsDir)
	if err != nil {
		return nil, err
	}
	var sizes []int64
	for _, e := range names {
		size, err := strconv.ParseInt(e.Name(), 10, 64)
		if err == nil && size > 0 && strconv.FormatInt(size, 10) == e.Name() {
			sizes = append(sizes, size)
		}
	}
	slices.Sort(sizes)
	return sizes, nil
}
