package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// file is a file to be written, or only removed.
type file struct {
	name string
	data []byte
}

// commit logs a batch that was admitted; next are the chains with it. The order, each step synced before the next:
//
//	openings, so that an envelope that is found later is found with them
//	envelopes
//	entry bundles and tiles
//	pending: the checkpoint, signed. From here on it is published, by this append or by a later one
//	the counter is advanced, and certified for the checkpoint, where the log has one
//	publish
//	heads
func (w *writer) commit(batch []entry, next *chains) ([]Logged, error) {
	g := &growth{size: int64(len(batch)), known: map[int64]tlog.Hash{}}
	if w.log != nil {
		g.old, g.start = w.log, w.log.Size()
		g.size += g.start
	}
	if err := g.add(batch); err != nil {
		return nil, err
	}
	tree, tiles, err := g.tree(batch)
	if err != nil {
		return nil, err
	}
	note, err := w.write(batch, g.start, tiles, tree)
	if err == nil {
		err = w.count(Checkpoint{w.genesis.Origin, tree.N, tree.Hash}, w.value+1)
	}
	if err == nil {
		err = w.publish(note, g.start, tree)
	}
	if err == nil {
		w.chains = next
		err = w.saveChains()
	}
	if err != nil {
		return nil, err
	}
	logged := make([]Logged, len(batch))
	for i, e := range batch {
		index := g.start + int64(i)
		hashes, err := tlog.ProveRecord(g.size, index, g)
		if err != nil {
			return nil, fmt.Errorf("prove entry %d: %w", index, err)
		}
		proof := Proof{Index: index, Hashes: hashes, Checkpoint: note}
		logged[i] = Logged{Index: index, Leaf: e.leaf, Envelope: e.envelope, Openings: e.openings, Proof: proof.Encode()}
	}
	return logged, nil
}

// growth is the log with a batch added: the published tree, whose hashes are proven, and those that are new.
type growth struct {
	old   *Log // nil at the genesis
	start int64
	size  int64
	known map[int64]tlog.Hash
}

// ReadHashes implements tlog.HashReader.
func (g *growth) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var missing []int64
	for _, x := range indexes {
		if _, ok := g.known[x]; !ok {
			missing = append(missing, x)
		}
	}
	if len(missing) > 0 {
		if g.old == nil {
			return nil, errors.New("a hash is wanted that the new log does not have")
		}
		hashes, err := g.old.ReadHashes(missing)
		if err != nil {
			return nil, err
		}
		for i, x := range missing {
			g.known[x] = hashes[i]
		}
	}
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = g.known[x]
	}
	return out, nil
}

// add computes the hashes that the batch adds to the tree.
func (g *growth) add(batch []entry) error {
	if g.size > layout.MaxLogSize {
		return fmt.Errorf("the log is full: %d entries", g.start)
	}
	for i, e := range batch {
		index := g.start + int64(i)
		hashes, err := tlog.StoredHashesForRecordHash(index, tlog.Hash(e.leaf), g)
		if err != nil {
			return err
		}
		first := tlog.StoredHashIndex(0, index)
		for j, h := range hashes {
			g.known[first+int64(j)] = h
		}
	}
	return nil
}

// tree returns the new root and the tiles and entry bundles that the new tree has beyond the old.
func (g *growth) tree(batch []entry) (tlog.Tree, []file, error) {
	root, err := tlog.TreeHash(g.size, g)
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	var files []file
	for n := g.start / tileWidth; n*tileWidth < g.size; n++ {
		f, err := g.bundle(n, batch)
		if err != nil {
			return tlog.Tree{}, nil, err
		}
		files = append(files, f)
	}
	for _, t := range tlog.NewTiles(tileHeight, g.start, g.size) {
		data, err := tlog.ReadTileData(t, g)
		if err != nil {
			return tlog.Tree{}, nil, err
		}
		files = append(files, file{tileFile(t), data})
	}
	return tlog.Tree{N: g.size, Hash: root}, files, nil
}

// bundle returns entry bundle n: what was published of it, proven, and what the batch adds.
func (g *growth) bundle(n int64, batch []entry) (file, error) {
	var b []byte
	if n*tileWidth < g.start {
		entries, err := g.old.bundle(n)
		if err != nil {
			return file{}, err
		}
		for _, e := range entries {
			b = appendEntry(b, e)
		}
	}
	end := min((n+1)*tileWidth, g.size)
	for i := max(n*tileWidth, g.start); i < end; i++ {
		b = appendEntry(b, batch[i-g.start].bytes)
	}
	return file{layout.TilePath(entriesLevel, n, int(end-n*tileWidth)), b}, nil
}

// write brings statements and tiles to the disk, signs the checkpoint, and brings it to the disk as pending.
func (w *writer) write(batch []entry, start int64, tiles []file, tree tlog.Tree) ([]byte, error) {
	var envelopes, openings, stale []file
	for i, e := range batch {
		index := start + int64(i)
		envelopes = append(envelopes, file{layout.StatementFile(index), e.envelope})
		personal := layout.PersonalFile(index)
		if len(e.openings) == 0 {
			stale = append(stale, file{name: personal})
			continue
		}
		b, err := e.openings.Encode()
		if err != nil {
			return nil, err
		}
		if len(b) > layout.MaxOpenings {
			return nil, fmt.Errorf("%w: %d bytes of openings", ErrStatement, len(b))
		}
		openings = append(openings, file{personal, b})
	}
	if err := w.alone(); err != nil {
		return nil, err
	}
	w.wrote = true
	if err := w.makeFolders(start, append(slices.Clone(envelopes), tiles...)); err != nil {
		return nil, err
	}
	if err := eachFile(stale, w.setAsideIfThere); err != nil {
		return nil, err
	}
	for _, files := range [][]file{openings, envelopes, tiles} {
		if err := eachFile(files, w.writeFile); err != nil {
			return nil, err
		}
	}
	if err := w.alone(); err != nil {
		return nil, err
	}
	note, err := w.sign(tree)
	if err != nil {
		return nil, err
	}
	next := int64(0)
	if w.counter != nil {
		next = w.value + 1
	}
	pending, err := encodePending(note, next)
	if err != nil {
		return nil, err
	}
	return note, w.root.Replace(layout.Pending, pending)
}

// alone requires that the log is still the one that this append found. Under the lock it is, unless the storage grants every
// lock, as some network shares do. What comes between this look and pending is not seen here, but by every verifier.
func (w *writer) alone() error {
	if w.log == nil {
		return nil
	}
	note, err := w.dir.readFile(layout.Checkpoint, layout.MaxCheckpoint)
	if err != nil {
		return err
	}
	_, err = w.dir.readFile(layout.Pending, layout.MaxPending)
	if !bytes.Equal(note, w.log.note) || !errors.Is(err, fs.ErrNotExist) {
		return refuse("another program appended to it at the same time: this storage does not keep the lock. Keep the case where one program at a time can write")
	}
	return nil
}

// sign signs the checkpoint of the new tree.
func (w *writer) sign(tree tlog.Tree) ([]byte, error) {
	want := Checkpoint{Origin: w.genesis.Origin, Size: tree.N, Root: tree.Hash}
	note, err := w.key.Sign(want.Origin, want.Text())
	if err == nil && w.next != nil {
		note, err = addLines(note, w.next, want)
	}
	if err != nil {
		return nil, fmt.Errorf("sign the checkpoint: %w", err)
	}
	got, err := w.after.OpenCheckpoint([]byte(note))
	if err != nil {
		return nil, fmt.Errorf("sign the checkpoint: %w", err)
	}
	if got != want {
		return nil, errors.New("sign the checkpoint: the key signed another text")
	}
	return []byte(note), nil
}

// addLines adds the lines of the key that the last entry brings.
func addLines(note string, key sign.LogSigner, c Checkpoint) (string, error) {
	other, err := key.Sign(c.Origin, c.Text())
	if err != nil {
		return "", err
	}
	return note + strings.TrimPrefix(other, c.Text()+"\n"), nil
}

// publish makes a checkpoint that stands in pending the newest one; old is the size of the one before. Every step can be
// repeated after a crash.
func (w *writer) publish(note []byte, old int64, tree tlog.Tree) error {
	if err := w.writeCheckpoint(layout.CheckpointFile(tree.N), note); err != nil {
		return err
	}
	if err := w.root.Replace(layout.Checkpoint, note); err != nil {
		return err
	}
	if err := w.removePartials(old, tree.N); err != nil {
		return err
	}
	if err := w.root.Remove(layout.Pending); err != nil {
		return err
	}
	w.log, w.keys = makeLog(w.dir, note, w.after, tree), w.after
	if w.next != nil {
		w.key, w.next = w.next, nil
	}
	return nil
}

// removePartials removes the partial tiles whose full tile the new checkpoint covers.
func (w *writer) removePartials(old, size int64) error {
	for _, t := range partials(old) {
		if widthIn(size, t.L, t.N) < tileWidth {
			continue
		}
		folder := path.Dir(tileFile(t))
		names, err := w.dir.list(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		var files []file
		for _, e := range names {
			if _, ok := parseTileFile(folder + "/" + e.Name()); ok {
				files = append(files, file{name: folder + "/" + e.Name()})
			}
		}
		if err := eachFile(files, func(f file) error { return w.root.Remove(f.name) }); err != nil {
			return err
		}
		if len(files) < len(names) {
			continue // something else lies there, such as what was set aside
		}
		if err := w.root.Remove(folder); err != nil {
			return err
		}
	}
	return nil
}

// makeFolders makes the folders of the files. In the ordinary case those that the published log has files in are left
// alone, because making sure of a folder costs a sync for each of its components.
func (w *writer) makeFolders(start int64, files []file) error {
	there := map[string]bool{}
	if !w.careful {
		there = publishedFolders(start)
	}
	wanted := map[string]bool{}
	for _, f := range files {
		if dir := path.Dir(f.name); !there[dir] {
			wanted[dir] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(wanted)) {
		if err := w.root.MkdirAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// publishedFolders are the folders at the right edge of a log of that size, in which it has files.
func publishedFolders(size int64) map[string]bool {
	there := map[string]bool{}
	if size == 0 {
		return there
	}
	there[layout.StatementFolder(size-1)] = true
	for _, t := range partials(size) {
		there[path.Dir(tileFile(t))] = true
	}
	for level := entriesLevel; size>>(tileHeight*max(level, 0)) > 0; level++ {
		if n := size >> (tileHeight * (max(level, 0) + 1)); n > 0 {
			there[path.Dir(layout.TilePath(level, n-1, tileWidth))] = true
		}
	}
	return there
}

// writeFile writes a file that lies beyond the published log. Something else under that name is no part of the log.
func (w *writer) writeFile(f file) error {
	err := w.root.CreateIdempotent(f.name, f.data)
	if !errors.Is(err, durable.ErrDiffers) {
		return err
	}
	if err := w.setAside(f.name); err != nil {
		return err
	}
	return w.root.CreateEx(f.name, f.data)
}

// eachFile calls do for each file, as each does.
func eachFile(files []file, do func(file) error) error {
	return each(len(files), func(i int) error { return do(files[i]) })
}

// each calls do for 0 to n-1; many at once for a batch, because the system then syncs files together.
func each(n int, do func(i int) error) error {
	workers := min(n/8, 32)
	if workers < 2 {
		for i := range n {
			if err := do(i); err != nil {
				return err
			}
		}
		return nil
	}
	var next atomic.Int64
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(n) {
					return
				}
				if err := do(int(i)); err != nil {
					errs[worker] = err
					next.Store(int64(n)) // the others stop
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
