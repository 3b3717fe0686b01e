package ledger

import (
	"archive/zip"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// MaxImport bounds the entries that one import takes in: they are in memory at once.
const MaxImport = 200_000

// ForkError says that a log has two histories, each under a checkpoint that its own keys signed.
type ForkError struct {
	Origin     string
	Held, Seen Checkpoint
}

// Error implements error.
func (e *ForkError) Error() string {
	return fmt.Sprintf("log %s has two histories: the one held here has %d entries with root %s, and the other has %d with root %s, which does not contain it",
		e.Origin, e.Held.Size, e.Held.Root, e.Seen.Size, e.Seen.Root)
}

// Unwrap makes a fork what it is: evidence that does not match.
func (e *ForkError) Unwrap() error { return record.ErrMalformed }

// Compare requires that the shorter of two views of one log is the beginning of the longer one. Else it is a *ForkError.
func Compare(held, seen *Log) error {
	size := min(held.Size(), seen.Size())
	a, err := held.prefixRoot(size)
	if err != nil {
		return err
	}
	b, err := seen.prefixRoot(size)
	if err != nil {
		return fromSource(err)
	}
	if a != b {
		return &ForkError{held.origin, held.checkpoint(), seen.checkpoint()}
	}
	return nil
}

func (l *Log) checkpoint() Checkpoint { return Checkpoint{l.origin, l.tree.N, l.tree.Hash} }

// Export hands every file of the log, as it is at l's checkpoint, to write; the caller bounds nothing, for each is one that
// Import reads. Of the openings of a statement reveal returns what is to be read, nil for none; a nil reveal reveals all.
func (l *Log) Export(reveal Reveal, write func(name string, data []byte) error) error {
	for i := range l.Size() {
		if err := l.exportStatement(i, reveal, write); err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
	}
	for n := int64(0); n*tileWidth < l.Size(); n++ {
		entries, err := l.bundle(n)
		if err != nil {
			return err
		}
		var b []byte
		for _, e := range entries {
			b = appendEntry(b, e)
		}
		if err := write(layout.TilePath(entriesLevel, n, len(entries)), b); err != nil {
			return err
		}
	}
	for _, t := range tlog.NewTiles(tileHeight, 0, l.Size()) {
		b, err := tlog.ReadTileData(t, l)
		if err != nil {
			return err
		}
		if err := write(tileFile(t), b); err != nil {
			return err
		}
	}
	if err := l.exportRest(write); err != nil {
		return err
	}
	return write(layout.Checkpoint, l.note)
}

// Reveal says what of the file of openings of statement i is handed on.
type Reveal func(i int64, p record.Predicate, openings []byte) ([]byte, error)

func (l *Log) exportStatement(i int64, reveal Reveal, write func(string, []byte) error) error {
	envelope, err := l.Statement(i)
	if err != nil {
		return err
	}
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return err
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return err
	}
	openings, err := l.Openings(i)
	if errors.Is(err, fs.ErrNotExist) {
		return write(layout.StatementFile(i), envelope)
	}
	if err == nil && reveal != nil {
		openings, err = reveal(i, p, openings)
	}
	if err == nil && openings != nil {
		err = write(layout.PersonalFile(i), openings)
	}
	if err != nil {
		return err
	}
	return write(layout.StatementFile(i), envelope)
}

// exportRest writes the earlier checkpoints, what certifies them, and the anchors.
func (l *Log) exportRest(write func(string, []byte) error) error {
	sizes, err := checkpointSizes(l.dir)
	if err != nil {
		return err
	}
	for _, size := range sizes {
		if size > l.Size() {
			break // appended since
		}
		old, err := l.At(size)
		if err != nil {
			return err
		}
		if err := write(layout.CheckpointFile(size), old.note); err != nil {
			return err
		}
		certificate, err := l.dir.readFile(layout.AttestFile(size), layout.MaxAttest)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := write(layout.AttestFile(size), certificate); err != nil {
			return err
		}
	}
	if err := l.eachQuote(write); err != nil {
		return err
	}
	return l.eachAnchor(write)
}

// eachQuote calls do with each quote for a record that l has, and with the event log that belongs to it, before it.
func (l *Log) eachQuote(do func(name string, data []byte) error) error {
	entries, err := l.dir.list(layout.AttestDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	bounds := map[string]int64{layout.AttestQuote: layout.MaxAttest, layout.AttestBootLog: layout.MaxBootLog}
	for _, e := range entries {
		i, kind, ok := layout.ParseStart(e.Name())
		if !ok || i >= l.Size() {
			continue
		}
		name := layout.StartFile(i, kind)
		b, err := l.dir.readFile(name, bounds[kind])
		if err == nil {
			err = do(name, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eachAnchor calls do with each anchor of a checkpoint that l covers, if it is whole.
func (l *Log) eachAnchor(do func(name string, data []byte) error) error {
	entries, err := l.dir.list(layout.AnchorsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		size, sum, _, ok := layout.ParseAnchor(e.Name())
		if !ok || size > l.Size() {
			continue
		}
		name := layout.AnchorsDir + "/" + e.Name()
		b, err := l.dir.readFile(name, max(layout.MaxToken, layout.MaxCosigned))
		if err != nil {
			return err
		}
		if have := sha256.Sum256(b); hex.EncodeToString(have[:]) != sum {
			return fmt.Errorf("%q: %w: the anchor is not the one that its name says", name, record.ErrMalformed)
		}
		if err := do(name, b); err != nil {
			return err
		}
	}
	return nil
}

// Import takes a log that was handed over into its folder root, which is empty or holds an earlier state of it. The log src
// was opened from foreign files, with the keys of the genesis in them; nothing in it is trusted, and no name in it is
// used. What is held must be the beginning of it: else the error is a *ForkError, and nothing is changed. Every statement
// must be whole, logged and signed by a key that the genesis admits.
//
// The writes can be repeated, and end with those that show the new size: after a kill the log has its old size, or its new
// one and lacks files, until the import is repeated. Openings that were held stay. added is the number of new entries.
func Import(ctx context.Context, root *durable.Root, src *Log, waiting func(held error)) (added int64, err error) {
	err = Locked(ctx, root, waiting, func() error {
		added, err = take(ctx, root, src)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("import log %s: %w", src.origin, err)
	}
	return added, nil
}

func take(ctx context.Context, root *durable.Root, src *Log) (int64, error) {
	_, g, leaf, err := readGenesis(src.dir)
	if err != nil {
		return 0, fromSource(err)
	}
	if first, err := src.Leaf(0); err != nil || first != leaf || g.Origin != src.origin {
		return 0, fmt.Errorf("%w: %q is not leaf 0 of the log (%w)", record.ErrMalformed, layout.StatementFile(0), fromSource(err))
	}
	dir := newFolder(root.FS())
	held, err := openHeld(dir, leaf, src)
	if err != nil {
		return 0, err
	}
	grown := &growth{size: src.Size(), known: map[int64]tlog.Hash{}}
	if held != nil {
		if err := Compare(held, src); err != nil {
			return 0, err
		}
		grown.old, grown.start = held, held.Size()
	}
	if src.Size() < grown.start {
		return 0, nil // what is held has all of it
	}
	if src.Size()-grown.start > MaxImport {
		return 0, fmt.Errorf("%d new entries, at most %d are taken in at once", src.Size()-grown.start, int64(MaxImport))
	}
	w := &writer{root: root, dir: dir, genesis: g, careful: true}
	batch, err := w.takeStatements(ctx, src, grown.start)
	if err != nil {
		return 0, err
	}
	return int64(len(batch)), w.takeTree(src, grown, batch)
}

// openHeld opens the log as it is held; nil when the folder has none yet.
func openHeld(dir *folder, leaf record.LeafHash, src *Log) (*Log, error) {
	there, err := dir.exists(layout.Checkpoint)
	if err != nil || !there {
		return nil, err
	}
	_, g, own, err := readGenesis(dir)
	if err != nil {
		return nil, fmt.Errorf("what is held of it: %w", err)
	}
	if own != leaf {
		return nil, fmt.Errorf("%w: it begins with another genesis, of fingerprint %s, than the log of this name that is held, of fingerprint %s", record.ErrMalformed, leaf, own)
	}
	return openNewest(dir, src.origin, g.LogKeys)
}

// takeStatements writes the statements from start on, and the openings of all.
func (w *writer) takeStatements(ctx context.Context, src *Log, start int64) ([]entry, error) {
	var batch []entry
	for i := range src.Size() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, openings, err := w.readForeign(src, i)
		if err != nil {
			return nil, fmt.Errorf("log entry %d: %w", i, fromSource(err))
		}
		if i%1000 == 0 {
			if err := w.sweptFolder(layout.StatementFolder(i)); err != nil {
				return nil, err
			}
		}
		if openings != nil {
			err := w.root.CreateIdempotent(layout.PersonalFile(i), openings)
			if err != nil && !errors.Is(err, durable.ErrDiffers) { // somebody was shown more, or less: what is held stays
				return nil, err
			}
		}
		if i < start {
			continue
		}
		if err := w.root.CreateIdempotent(layout.StatementFile(i), e.envelope); err != nil {
			return nil, err
		}
		e.envelope = nil
		batch = append(batch, e)
	}
	return batch, nil
}

// sweptFolder makes a folder of the log, or takes out of it what an import that was killed left half written.
func (w *writer) sweptFolder(dir string) error {
	if err := w.root.MkdirAll(dir); err != nil {
		return err
	}
	_, err := w.root.Sweep(dir)
	return err
}

// readForeign reads one statement of a log that was handed over, and requires all that can be required of it alone.
func (w *writer) readForeign(src *Log, i int64) (e entry, openings []byte, err error) {
	if e.envelope, err = src.Statement(i); err != nil {
		return entry{}, nil, err
	}
	if e.leaf, err = src.Leaf(i); err != nil {
		return entry{}, nil, err
	}
	if e.bytes, err = src.Entry(i); err != nil {
		return entry{}, nil, err
	}
	envelope, err := sign.ParseEnvelope(e.envelope)
	if err != nil {
		return entry{}, nil, err
	}
	_, key, err := src.keys.Signer(envelope.KeyID, i)
	if err != nil {
		return entry{}, nil, fmt.Errorf("%w: %w", record.ErrMalformed, err)
	}
	if err := envelope.Verify(key); err != nil {
		return entry{}, nil, err
	}
	p, err := record.Decode(envelope.Payload)
	if err != nil {
		return entry{}, nil, err
	}
	if s := record.StateOf(p); (s == nil) != (i == 0) || s != nil && s.Origin != src.origin {
		return entry{}, nil, fmt.Errorf("%w: a statement of type %q that was not made for this place", record.ErrMalformed, p.Type())
	}
	if i > 0 && !src.keys.MaySign(envelope.KeyID, p.Type(), i) {
		return entry{}, nil, fmt.Errorf("%w: the log does not admit key %s for %q", record.ErrMalformed, envelope.KeyID, p.Type())
	}
	if _, ok := p.(*record.KeysChanged); ok && !slices.ContainsFunc(src.keys.changes, func(c record.KeysRef) bool { return c.Index == i }) {
		return entry{}, nil, fmt.Errorf("%w: it changes keys, and no later entry says so", record.ErrMalformed)
	}
	if s := record.StateOf(p); s != nil && !sameRef(s.Keys, src.keys.Before(i)) {
		return entry{}, nil, fmt.Errorf("%w: it does not name the newest change of keys before it", record.ErrMalformed)
	}
	openings, err = src.Openings(i)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil, nil
	}
	if err != nil {
		return entry{}, nil, err
	}
	o, err := record.DecodeOpenings(openings)
	if err != nil {
		return entry{}, nil, err
	}
	_, err = o.Check(envelope.Payload)
	return e, openings, err
}

// takeTree writes the tree that the held entries and the new ones give, which is the source's, and publishes it.
func (w *writer) takeTree(src *Log, grown *growth, batch []entry) error {
	if err := grown.add(batch); err != nil {
		return err
	}
	tree, tiles, err := grown.tree(batch)
	if err != nil {
		return err
	}
	if tree.Hash != src.Root() { // cannot be: Compare and the statements have proven it
		return fmt.Errorf("%w: the entries do not give the root of the checkpoint", record.ErrMalformed)
	}
	made := map[string]bool{}
	folder := func(name string) error {
		dir := path.Dir(name)
		if made[dir] {
			return nil
		}
		made[dir] = true
		return w.sweptFolder(dir)
	}
	for _, t := range tiles {
		if err := folder(t.name); err != nil {
			return err
		}
	}
	if err := eachFile(tiles, w.writeFile); err != nil {
		return err
	}
	if err := w.root.Replace(layout.Checkpoint, src.note); err != nil {
		return err
	}
	err = src.exportRest(func(name string, data []byte) error {
		if err := folder(name); err != nil {
			return err
		}
		return w.root.CreateIdempotent(name, data)
	})
	if err != nil {
		return fromSource(err)
	}
	return w.removePartials(grown.start, tree.N)
}

// fromSource says of what foreign files lack, or of an archive that is damaged, that they do not match.
func fromSource(err error) error {
	var lacks *fs.PathError
	var corrupt flate.CorruptInputError
	switch {
	case err == nil, errors.Is(err, record.ErrMalformed):
		return err
	case errors.As(err, &lacks) && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %q is missing", record.ErrMalformed, lacks.Path)
	case errors.As(err, &corrupt), errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrAlgorithm), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the archive is damaged: %w", record.ErrMalformed, err)
	}
	return err
}

// ReadForeign reads a file that was handed over, of at most max bytes.
func ReadForeign(fsys fs.FS, name string, max int64) ([]byte, error) {
	b, err := newFolder(fsys).readFile(name, max)
	return b, fromSource(err)
}

// OpenForeign opens a log that was handed over, with the keys of the genesis in it, and reads all of it: each file that
// Import takes is there and is what the checkpoint says. That is what the log says of itself, no more.
func OpenForeign(ctx context.Context, fsys fs.FS) (*Log, *record.CaseOpened, record.LeafHash, error) {
	fail := func(err error) (*Log, *record.CaseOpened, record.LeafHash, error) {
		return nil, nil, record.LeafHash{}, fmt.Errorf("the log that was handed over: %w", fromSource(err))
	}
	_, g, leaf, err := ReadGenesis(fsys)
	if err != nil {
		return fail(err)
	}
	l, err := Open(fsys, g.Origin, g.LogKeys)
	if err != nil {
		return fail(err)
	}
	w := &writer{genesis: g}
	for i := range l.Size() {
		if err := ctx.Err(); err != nil {
			return nil, nil, record.LeafHash{}, err
		}
		if _, _, err := w.readForeign(l, i); err != nil {
			return fail(fmt.Errorf("log entry %d: %w", i, fromSource(err)))
		}
	}
	if err := l.exportRest(func(string, []byte) error { return nil }); err != nil {
		return fail(err)
	}
	return l, g, leaf, nil
}
