package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// refuse says why the log is not continued.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, args...))
}

// finishPending publishes the checkpoint that an interrupted append had signed, after it was seen that all it covers is
// there. It is never dropped and never signed again.
func (w *writer) finishPending(leaf0 record.LeafHash) error {
	b, err := w.dir.readFile(layout.Pending, layout.MaxPending)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	w.careful = true
	note, value, err := ParsePending(b)
	if err != nil {
		return refuse("%q: %w", layout.Pending, err)
	}
	if (value > 0) != (w.counter != nil) {
		return refuse("%q names the value %d of a counter, and the log has one: %t", layout.Pending, value, w.counter != nil)
	}
	log, err := w.openPending(note)
	if err != nil {
		return refuse("%q: %w", layout.Pending, err)
	}
	old, err := w.beforePending(log)
	if err != nil {
		return err
	}
	logged, err := w.readPending(log, old, leaf0)
	if err != nil {
		return refuse("%q signs what the folder does not hold: %w", layout.Pending, err)
	}
	if err := w.countPending(Checkpoint{w.genesis.Origin, log.Size(), log.Root()}, note, value); err != nil {
		return err
	}
	if err := w.publish(note, old, log.tree); err != nil {
		return err
	}
	w.recovered = append(w.recovered, logged...)
	return nil
}

// openPending opens the log that a pending checkpoint describes.
func (w *writer) openPending(note []byte) (*Log, error) {
	size, err := peekSize(note)
	if err != nil {
		return nil, err
	}
	if w.after, err = loadKeys(w.dir, w.genesis, size); err != nil {
		return nil, err
	}
	return newLog(w.dir, note, w.after)
}

// beforePending returns the size of the checkpoint that was the newest when the pending one was signed, 0 if there was
// none, and requires that the pending one only appends to it.
func (w *writer) beforePending(pending *Log) (int64, error) {
	sizes, err := checkpointSizes(w.dir)
	if err != nil {
		return 0, err
	}
	old := int64(0)
	for _, size := range sizes {
		if size > pending.Size() {
			return 0, refuse("%q holds a checkpoint of size %d, and %q one of size %d", layout.CheckpointsDir, size, layout.Pending, pending.Size())
		}
		if size < pending.Size() {
			old = size
		}
	}
	newest, err := w.dir.readFile(layout.Checkpoint, layout.MaxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) && old == 0 {
		return 0, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0, refuse("%q is missing, and the newest in %q is of size %d", layout.Checkpoint, layout.CheckpointsDir, old)
	}
	if err != nil {
		return 0, err
	}
	if old > 0 {
		if _, err := pending.At(old); err != nil {
			return 0, refuse("%q does not append to the checkpoint of size %d: %w", layout.Pending, old, err)
		}
		before, err := w.dir.readFile(layout.CheckpointFile(old), layout.MaxCheckpoint)
		if err != nil || bytes.Equal(newest, before) {
			return old, err
		}
	}
	if !bytes.Equal(newest, pending.note) {
		return 0, refuse("%q is neither that of size %d nor the pending one of size %d", layout.Checkpoint, old, pending.Size())
	}
	return old, nil
}

// readPending reads the statements that a pending checkpoint adds, and requires that each is there as it was signed.
func (w *writer) readPending(log *Log, old int64, leaf0 record.LeafHash) ([]Logged, error) {
	leaf, err := log.Leaf(0)
	if err != nil {
		return nil, err
	}
	if leaf != leaf0 {
		return nil, fmt.Errorf("%q: %w: it is not leaf 0 of the log", layout.StatementFile(0), record.ErrMalformed)
	}
	var logged []Logged
	for i := old; i < log.Size(); i++ {
		l := Logged{Index: i}
		if l.Envelope, err = log.Statement(i); err != nil {
			return nil, err
		}
		if l.Leaf, err = log.Leaf(i); err != nil {
			return nil, err
		}
		if l.Proof, err = log.EncodeProof(i); err != nil {
			return nil, err
		}
		// Openings are no part of what is signed: without them, or when they are damaged, the log goes on.
		b, err := log.Openings(i)
		if err == nil {
			l.Openings, err = record.DecodeOpenings(b)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, record.ErrMalformed) {
			return nil, err
		}
		logged = append(logged, l)
	}
	return logged, nil
}

// writeCheckpoint creates checkpoints/<size>, or completes what a torn write left of it.
func (w *writer) writeCheckpoint(name string, note []byte) error {
	err := w.root.CreateIdempotent(name, note)
	if !errors.Is(err, durable.ErrDiffers) {
		return err
	}
	have, rerr := w.dir.readFile(name, layout.MaxCheckpoint)
	if rerr != nil {
		return rerr
	}
	if !bytes.HasPrefix(note, have) {
		return refuse("%q exists with other bytes than the pending checkpoint of that size", name)
	}
	if err := w.setAside(name); err != nil {
		return err
	}
	return w.root.CreateEx(name, note)
}

// openPublished opens the log at its newest checkpoint, and requires that checkpoints/ has the same, and that the tiles
// give its root over this genesis.
func (w *writer) openPublished(leaf0 record.LeafHash) error {
	log, err := openNewest(w.dir, w.genesis.Origin, w.genesis.LogKeys)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse("%q is missing; the newest of %q may be what it should be: %w", layout.Checkpoint, layout.CheckpointsDir, err)
	}
	if err != nil {
		return err
	}
	name := layout.CheckpointFile(log.Size())
	own, err := w.dir.readFile(name, layout.MaxCheckpoint)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !bytes.Equal(own, log.note) {
		return refuse("%q is of size %d, and %q is missing or differs from it", layout.Checkpoint, log.Size(), name)
	}
	leaf, err := log.oneLeaf(0) // reads, and so proves, the tiles of the right edge
	if err != nil {
		return err
	}
	if leaf != leaf0 {
		return refuse("%q is not leaf 0 of the log", layout.StatementFile(0))
	}
	w.log, w.keys = log, log.keys
	return nil
}

// inOrder loads the chains and reports whether the previous append ended as it should. Then the folder need not be listed,
// which in a log of 100,000 checkpoints takes longer than an append: the cache of heads is written last and names the
// published checkpoint, and nothing lies directly beyond it, as it would if an older copy had been put over the folder.
func (w *writer) inOrder() (bool, error) {
	chains, complete, err := w.loadChains()
	if err != nil {
		return false, err
	}
	w.chains = chains
	if w.careful || !complete {
		return false, nil
	}
	n := w.log.Size()
	for _, name := range []string{layout.StatementFile(n), layout.PersonalFile(n), layout.CheckpointFile(n + 1)} {
		there, err := w.dir.exists(name)
		if err != nil || there {
			return false, err
		}
	}
	return true, nil
}

// tidy looks through the folder after an append that may not have ended as it should. What lies beyond the published log is
// not logged: complete statements directly after it are logged now, all else is set aside.
func (w *writer) tidy() error {
	sizes, err := checkpointSizes(w.dir)
	if err != nil {
		return err
	}
	if newest := slices.Max(append(sizes, 0)); newest > w.log.Size() {
		return refuse("%q is of size %d, and %q holds one of size %d: an older copy was put in place of the log", layout.Checkpoint, w.log.Size(), layout.CheckpointsDir, newest)
	}
	if err := w.follow(); err != nil {
		return err
	}
	swept := []string{"."}
	for _, dir := range []string{layout.CheckpointsDir, layout.HeadsDir, layout.AttestDir} {
		there, err := w.dir.exists(dir)
		if err != nil {
			return err
		}
		if there {
			swept = append(swept, dir)
		}
	}
	for _, dir := range swept {
		if _, err := w.root.Sweep(dir); err != nil {
			return err
		}
	}
	if err := w.tidyTiles(); err != nil {
		return err
	}
	adopted, rest, err := w.leftStatements()
	if err != nil {
		return err
	}
	// From the end, so that what lies directly beyond the log, which shows that it is not in order, goes last.
	for _, name := range slices.Backward(rest) {
		if err := w.setAside(name); err != nil {
			return err
		}
	}
	if len(adopted) == 0 {
		return w.saveChains()
	}
	batch, next, err := w.admit(adopted)
	if err != nil {
		return err
	}
	logged, err := w.commit(batch, next)
	w.recovered = append(w.recovered, logged...)
	return err
}

// tidyTiles sets aside the tiles and bundles that hold more than the published log: they are made again when needed.
func (w *writer) tidyTiles() error {
	return walkTiles(w.dir, layout.TileDir, func(name string, tiles []tlog.Tile) error {
		if _, err := w.root.Sweep(name); err != nil {
			return err
		}
		for _, t := range tiles {
			if widthIn(w.log.Size(), t.L, t.N) < t.W {
				if err := w.setAside(tileFile(t)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// leftStatements finds the files of statements beyond the published log. Complete ones that fit, directly after it, are
// adopted; the names of all others are returned in the order of their index.
func (w *writer) leftStatements() (adopted []Item, rest []string, err error) {
	left, err := w.listBeyond()
	if err != nil {
		return nil, nil, err
	}
	c := w.chains.clone()
	w.after = w.keys
	i := w.log.Size()
	for ; len(left[i]) > 0; i++ {
		item, err := w.readLeft(i)
		if err != nil {
			return nil, nil, err
		}
		if item.Envelope == nil {
			break
		}
		err = w.admitLeft(c, item)
		if errors.Is(err, record.ErrNewer) {
			return nil, nil, fmt.Errorf("%q: %w", layout.StatementFile(i), err)
		}
		if err != nil {
			break // torn, or not made for this place
		}
		adopted = append(adopted, item)
		delete(left, i)
	}
	for _, i := range slices.Sorted(maps.Keys(left)) {
		rest = append(rest, left[i]...)
	}
	return adopted, rest, nil
}

// admitLeft requires that a statement that was left fits the log after those in c, and takes it into c.
func (w *writer) admitLeft(c *chains, item Item) error {
	o, err := w.open(item)
	if err != nil {
		return err
	}
	e, err := sealEntry(o.envelope, o.key, item)
	if err != nil {
		return err
	}
	return w.place(c, o, item, e.leaf)
}

// readLeft reads the statement i that an append left; without an Envelope it is not complete.
func (w *writer) readLeft(i int64) (Item, error) {
	envelope, err := w.dir.readFile(layout.StatementFile(i), layout.MaxEnvelope)
	var openings []byte
	if err == nil {
		openings, err = w.dir.readFile(layout.PersonalFile(i), layout.MaxOpenings)
		if errors.Is(err, fs.ErrNotExist) {
			return Item{Envelope: envelope}, nil
		}
	}
	item := Item{Envelope: envelope}
	if err == nil {
		item.Openings, err = record.DecodeOpenings(openings)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, record.ErrMalformed) {
		return Item{}, nil
	}
	if err != nil {
		return Item{}, err
	}
	return item, nil
}

// listBeyond lists the statements' files beyond the published log, by index, and sweeps their folders.
func (w *writer) listBeyond() (map[int64][]string, error) {
	folders, err := w.dir.list(layout.StatementDir)
	if err != nil {
		return nil, err
	}
	size := w.log.Size()
	left := map[int64][]string{}
	for _, d := range folders {
		k, err := strconv.ParseInt(d.Name(), 10, 64)
		if err != nil || k < size/1000 || k > layout.MaxLogSize/1000 || path.Base(layout.StatementFolder(k*1000)) != d.Name() {
			continue
		}
		dir := layout.StatementFolder(k * 1000)
		if _, err := w.root.Sweep(dir); err != nil {
			return nil, err
		}
		names, err := w.dir.list(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range names {
			digits, _, _ := strings.Cut(e.Name(), ".")
			i, err := strconv.ParseInt(digits, 10, 64)
			name := dir + "/" + e.Name()
			if err == nil && i >= size && (name == layout.StatementFile(i) || name == layout.PersonalFile(i)) {
				left[i] = append(left[i], name)
			}
		}
	}
	return left, nil
}

// setAside renames a file that is no part of the log to .torn-<name>-<n>, beside it.
func (w *writer) setAside(name string) error {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s/%s%s-%d", path.Dir(name), layout.TornPrefix, path.Base(name), n)
		err := w.root.Rename(name, aside)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

func (w *writer) setAsideIfThere(f file) error {
	there, err := w.dir.exists(f.name)
	if err != nil || !there {
		return err
	}
	return w.setAside(f.name)
}
