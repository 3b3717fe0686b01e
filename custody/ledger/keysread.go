package ledger

import (
	"fmt"
	"io/fs"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// ReadKeys returns the keys that the statements under a checkpoint of the log folder lead to. Neither is verified by that: note may
// then be, with them, and the statements by the log.
func ReadKeys(fsys fs.FS, g *record.CaseOpened, note []byte) (*Keys, error) {
	size, err := peekSize(note)
	if err != nil {
		return nil, err
	}
	return loadKeys(newFolder(fsys), g, size)
}

// loadKeys reads the changes of the first size entries of a log folder: from the last of these, which names the newest, back to the
// genesis. They are sound by themselves; that the log has them at their places is for the tiles to prove, see proveKeys.
func loadKeys(dir *folder, g *record.CaseOpened, size int64) (*Keys, error) {
	k, err := GenesisKeys(g)
	if err != nil || size <= 1 {
		return k, err
	}
	_, p, err := readLogged(dir, size-1)
	if err != nil {
		return nil, err
	}
	var ref *record.KeysRef
	if _, ok := p.(*record.KeysChanged); ok {
		ref = &record.KeysRef{Index: size - 1}
	} else if state := record.StateOf(p); state != nil {
		ref = state.Keys
	}
	var indexes []int64
	var envelopes [][]byte
	for ref != nil {
		if len(indexes) >= MaxKeyChanges || ref.Index >= size {
			return nil, fmt.Errorf("%q: %w: its changes of keys lead nowhere", layout.StatementFile(size-1), record.ErrMalformed)
		}
		envelope, p, err := readLogged(dir, ref.Index)
		if err != nil {
			return nil, err
		}
		c, ok := p.(*record.KeysChanged)
		if !ok {
			return nil, fmt.Errorf("%q: %w: it changes no keys, and a later entry says so", layout.StatementFile(ref.Index), record.ErrMalformed)
		}
		indexes, envelopes = append(indexes, ref.Index), append(envelopes, envelope)
		size, ref = ref.Index, c.Log.Keys
	}
	for n, i := range slices.Backward(indexes) {
		if _, _, err := k.Change(i, envelopes[n]); err != nil {
			return nil, fmt.Errorf("%q: %w: %w", layout.StatementFile(i), record.ErrMalformed, err)
		}
	}
	return k, nil
}

// readLogged reads the envelope of entry i and decodes what it says. Nothing of it is verified.
func readLogged(dir *folder, i int64) ([]byte, record.Predicate, error) {
	name := layout.StatementFile(i)
	b, err := dir.readFile(name, layout.MaxEnvelope)
	if err != nil {
		return nil, nil, err
	}
	e, err := sign.ParseEnvelope(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%q: %w", name, err)
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return nil, nil, fmt.Errorf("%q: %w", name, err)
	}
	return b, p, nil
}

// proveKeys requires that the log has every change at its place, and as its last entry the one that names the newest.
func (l *Log) proveKeys() error {
	if len(l.keys.changes) == 0 {
		return nil
	}
	for _, c := range l.keys.changes {
		leaf, err := l.oneLeaf(c.Index)
		if err != nil {
			return err
		}
		if leaf != c.Leaf {
			return fmt.Errorf("%q: %w: it is not the statement that was logged", layout.StatementFile(c.Index), record.ErrMalformed)
		}
	}
	_, err := l.Statement(l.tree.N - 1)
	return err
}
