package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Item is a statement to be logged, with the openings of its personal fields; none is no file of openings.
type Item struct {
	Envelope []byte
	Openings record.Openings
	LogKey   sign.LogSigner // of a change of keys that brings a log key: that one, which signs the checkpoint beside the old one
}

// Head is what the next statements need to know of the log.
type Head struct {
	Origin     string
	Size       int64
	Checkpoint record.Digest // SHA-256 of the newest checkpoint's bytes
	Keys       *Keys         // in force; the next statement is entry Size
	// Events returns the indexes of an exhibit's events, in their order, and the leaf hash of the last; none and nil if it
	// has none. The number of the next event is one more than there are.
	Events func(exhibit string) (indexes []int64, last *record.LeafHash, err error)
	// Alike returns an exhibit with events whose number people take for the one given, see record.FoldExhibit; "" if there
	// is none.
	Alike func(exhibit string) (other string, err error)
	// Attestations are what the header of the next events names.
	Attestations []record.Digest
	// Closed says that the log's last statement closed it. Then nothing can be appended: see ErrClosed.
	Closed bool
	// NextCounter is what the log's counter will stand at with the next checkpoint; 0: it has none.
	NextCounter int64
	// Recovered are statements that an interrupted append had left and this call has just logged. Who repeats an append
	// looks for his own among them.
	Recovered []Logged
	// Anchors are the digests of the anchors that came since the last statement, sorted: the next ones commit to them.
	Anchors []record.Digest
}

// Logged is a statement that stands in the log.
type Logged struct {
	Index    int64
	Leaf     record.LeafHash
	Envelope []byte
	Openings record.Openings // nil when there are none
	Proof    []byte          // proof.tlog-proof, under the checkpoint that followed
}

// Create begins a log in an empty folder, with the genesis as its leaf 0. The genesis names the keys of key. After an error
// the folder is not a log to go on with.
func Create(root *durable.Root, key sign.LogSigner, genesis Item) (err error) {
	lock, err := root.TryLock(layout.Lock)
	if err != nil {
		return fmt.Errorf("create the log: %w", err)
	}
	w := &writer{root: root, dir: newFolder(root.FS()), key: key, careful: true}
	err = w.create(genesis)
	if uerr := lock.Unlock(); uerr != nil {
		err = errors.Join(err, uerr)
	}
	if err != nil {
		return fmt.Errorf("create the log: %w", err)
	}
	return nil
}

func (w *writer) create(genesis Item) error {
	names, err := w.dir.list(".")
	if err != nil {
		return err
	}
	for _, e := range names {
		if e.Name() != layout.Lock {
			return fmt.Errorf("the folder holds %q: %w", e.Name(), fs.ErrExist)
		}
	}
	b, err := w.admitGenesis(genesis)
	if err != nil {
		return err
	}
	if err := w.beginCounter(); err != nil {
		return err
	}
	if err := w.root.MkdirAll(layout.CheckpointsDir); err != nil {
		return err
	}
	_, err = w.commit([]entry{b}, newChains())
	return err
}

// patience is how long Append waits for the lock in silence.
const patience = time.Second

// Append logs the statements that build returns, in their order and under one new checkpoint. It waits for the log's lock
// until ctx is done, and then says who holds it; after a second it tells waiting, if that is not nil, the same once. It
// completes what an interrupted append left; then build is called, under the lock, with what the next events need. Build
// itself numbers several events of one exhibit.
//
// The result begins with what was recovered, if anything, and ends with build's statements. If build returns none, that is
// ErrNothing unless something was recovered. An error that wraps ErrUnsettled came after the first write; after any other,
// nothing of build's is or will be logged.
func Append(ctx context.Context, root *durable.Root, key sign.LogSigner, waiting func(held error), build func(Head) ([]Item, error)) ([]Logged, error) {
	// A killed holder leaves its text in the lock file, which Lock then overwrites.
	text, err := root.ReadFile(layout.Lock, 1<<10)
	careful := err != nil || len(text) > 0
	lock, err := takeLock(ctx, root, waiting)
	if err != nil {
		return nil, fmt.Errorf("append to the log: %w", err)
	}
	w := &writer{root: root, dir: newFolder(root.FS()), key: key, careful: careful}
	logged, err := w.append(ctx, build)
	if uerr := lock.Unlock(); uerr != nil {
		err = errors.Join(err, uerr)
	}
	if err != nil && w.wrote {
		err = fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	if err != nil {
		return nil, fmt.Errorf("append to the log: %w", err)
	}
	return append(w.recovered, logged...), nil
}

func takeLock(ctx context.Context, root *durable.Root, waiting func(held error)) (*durable.Lock, error) {
	if waiting != nil {
		short, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		lock, err := root.Lock(short, layout.Lock)
		held, locked := errors.AsType[*durable.LockedError](err)
		if !locked || ctx.Err() != nil {
			return lock, err
		}
		waiting(held)
	}
	return root.Lock(ctx, layout.Lock)
}

// writer is one append; the lock is held.
type writer struct {
	root    *durable.Root
	dir     *folder
	key     sign.LogSigner
	genesis *record.CaseOpened
	counter Counter        // nil: the log has none
	log     *Log           // as published; nil while it is created
	keys    *Keys          // of the published log
	after   *Keys          // with the statements that are being appended
	next    sign.LogSigner // the log key that they bring; nil: the same stays
	chains  *chains        // of the published log

	value     int64  // of the counter at the newest checkpoint
	certified []byte // the file that says so

	// careful says that the previous append may not have ended as it should: then the folder is listed, and every folder
	// written to is synced in its own.
	careful     bool
	recovered   []Logged
	uncommitted uncommittedFile // what no statement names yet
	wrote       bool            // of the caller's statements something may be on the disk
}

func (w *writer) append(ctx context.Context, build func(Head) ([]Item, error)) ([]Logged, error) {
	var err error
	if w.uncommitted, err = readUncommitted(w.dir); err != nil {
		return nil, err
	}
	if err := w.prepare(); err != nil {
		w.wrote = false // nothing of the caller's
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.wrote = false // what was recovered is complete
	items, err := build(w.head())
	if err != nil {
		return nil, err
	}
	if len(items) == 0 && len(w.recovered) == 0 {
		return nil, ErrNothing
	}
	if len(items) == 0 {
		return nil, nil
	}
	batch, next, err := w.admit(items)
	if err != nil {
		return nil, err
	}
	logged, err := w.commit(batch, next)
	if err != nil {
		return nil, err
	}
	return logged, w.committed(items)
}

// prepare reads the genesis, completes what is unfinished, and leaves the published log and its chains in w.
func (w *writer) prepare() error {
	_, g, leaf, err := readGenesis(w.dir)
	if err != nil {
		return err
	}
	w.genesis = g
	if err := w.takeCounter(); err != nil {
		return err
	}
	if err := w.finishPending(leaf); err != nil {
		return err
	}
	if err := w.openPublished(leaf); err != nil {
		return err
	}
	keys := w.key.Keys()
	if !slices.Equal(keys[:], w.keys.LogKey()) {
		return fmt.Errorf("the log key is not that of the log %s", g.Origin)
	}
	if err := w.checkLive(); err != nil {
		return err
	}
	complete, err := w.inOrder()
	if err != nil || complete {
		return err
	}
	w.careful = true
	return w.tidy()
}

func (w *writer) head() Head {
	return Head{
		Origin: w.genesis.Origin, Size: w.log.Size(), Checkpoint: w.digest(), Keys: w.keys,
		Events: w.events, Alike: w.alike, Attestations: w.attestations(), Anchors: w.uncommitted.Anchors, Recovered: w.recovered,
		Closed: w.chains.closed, NextCounter: w.nextCounter(),
	}
}

func (w *writer) digest() record.Digest { return record.SHA256Of(w.log.note) }
