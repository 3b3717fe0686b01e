package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrUnfinished marks what an interrupted append left: it is not logged yet, and no damage.
var ErrUnfinished = errors.New("left by an interrupted append")

// Audit checks every checkpoint, every tile and every entry bundle of the folder against l, the newest checkpoint, and
// yields the name of each file that is wrong, with what is wrong: damage wraps record.ErrMalformed, what an interrupted
// append left ErrUnfinished. When ctx is done it yields that error last. The statements are not read: see Statement.
func (l *Log) Audit(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(name string, err error) bool) {
		a := &audit{l: l, ctx: ctx, yield: yield}
		err := a.checkpoints()
		if err == nil {
			err = walkTiles(l.dir, layout.TileDir, a.tiles)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(layout.TileDir, err)
		}
	}
}

// errStop ends an audit whose caller has seen enough.
var errStop = errors.New("stop")

type audit struct {
	l     *Log
	ctx   context.Context
	yield func(string, error) bool
}

// found reports a wrong file, and says whether to go on.
func (a *audit) found(name string, err error) error {
	if err == nil {
		return a.ctx.Err()
	}
	if !a.yield(name, err) {
		return errStop
	}
	return a.ctx.Err()
}

func (a *audit) checkpoints() error {
	pending, err := a.pending()
	if err != nil {
		return err
	}
	sizes, err := checkpointSizes(a.l.dir)
	if err != nil {
		return a.found(layout.CheckpointsDir, err)
	}
	for _, size := range sizes {
		name := layout.CheckpointFile(size)
		if size > a.l.Size() {
			err = a.beyond(name, pending)
		} else {
			_, err = a.l.At(size)
		}
		if err == nil && size == a.l.Size() {
			err = a.same(name)
		}
		if err := a.found(name, err); err != nil {
			return err
		}
	}
	if !slices.Contains(sizes, a.l.Size()) {
		return a.found(layout.CheckpointFile(a.l.Size()), fs.ErrNotExist)
	}
	return nil
}

// pending reports a checkpoint that is being published, and returns its note.
func (a *audit) pending() ([]byte, error) {
	b, err := a.l.dir.readFile(layout.Pending, layout.MaxPending)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var note []byte
	if err == nil {
		note, err = parsePending(b)
	}
	if err == nil {
		_, err = openNote(note, a.l.origin, a.l.keys)
	}
	if err == nil {
		return note, a.found(layout.Pending, fmt.Errorf("a signed checkpoint %w: the next append publishes it", ErrUnfinished))
	}
	return nil, a.found(layout.Pending, err)
}

// beyond judges a checkpoint that is newer than the newest.
func (a *audit) beyond(name string, pending []byte) error {
	b, err := a.l.dir.readFile(name, layout.MaxCheckpoint)
	if err == nil && len(pending) > 0 && bytes.HasPrefix(pending, b) {
		return fmt.Errorf("a checkpoint %w", ErrUnfinished)
	}
	if err == nil {
		err = fmt.Errorf("%w: it is newer than the newest checkpoint, of size %d", record.ErrMalformed, a.l.Size())
	}
	return err
}

func (a *audit) same(name string) error {
	b, err := a.l.dir.readFile(name, layout.MaxCheckpoint)
	if err == nil && !bytes.Equal(b, a.l.note) {
		err = fmt.Errorf("%w: it differs from %q, which is of the same size", record.ErrMalformed, layout.Checkpoint)
	}
	return err
}

func (a *audit) tiles(_ string, tiles []tlog.Tile) error {
	for _, t := range tiles {
		var err error
		switch {
		case widthIn(a.l.Size(), t.L, t.N) < t.W:
			err = fmt.Errorf("a tile %w", ErrUnfinished)
		case t.L == entriesLevel:
			err = a.bundle(t)
		default:
			err = a.tile(t)
		}
		if err := a.found(tileFile(t), err); err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) tile(t tlog.Tile) error {
	have, err := a.l.dir.readFile(tileFile(t), layout.MaxTile)
	if err != nil {
		return err
	}
	want, err := tlog.ReadTileData(t, a.l)
	if err == nil && !bytes.Equal(have, want) {
		err = fmt.Errorf("%w: it does not hold the hashes of the log", record.ErrMalformed)
	}
	return err
}

func (a *audit) bundle(t tlog.Tile) error {
	b, err := a.l.dir.readFile(tileFile(t), layout.MaxBundle)
	if err != nil {
		return err
	}
	entries, err := parseBundle(b, t.W)
	if err != nil {
		return err
	}
	for i, e := range entries {
		leaf, err := a.l.Leaf(t.N*tileWidth + int64(i))
		if err != nil {
			return err
		}
		if LeafHash(e) != leaf {
			return fmt.Errorf("%w: entry %d does not have its leaf hash", record.ErrMalformed, i)
		}
	}
	return nil
}
