package ledger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const headsType = "exhibit-heads/v1"

// head is an exhibit's last event.
type head struct {
	Exhibit string          `json:"exhibit"`
	Index   int64           `json:"index"`
	Leaf    record.LeafHash `json:"leaf"`
	Number  int64           `json:"number"`
}

// headsFile is the cache of heads, for the log under that checkpoint.
type headsFile struct {
	Checkpoint record.Digest `json:"checkpoint"`
	Heads      []head        `json:"heads"` // sorted by exhibit
	MAC        string        `json:"mac,omitzero"`
	Size       int64         `json:"size"`
	Type       string        `json:"type"`
}

// parseHeads reads the cache and requires that the holder of the log key wrote it: whoever else can write into the folder
// could otherwise lead the next event to a number that is wrong for good.
func parseHeads(b []byte, key []byte) (headsFile, error) {
	var f headsFile
	if err := record.DecodeTyped(b, headsType, &f); err != nil {
		return headsFile{}, fmt.Errorf("heads: %w", err)
	}
	if mac, err := f.authenticate(key); err != nil || !hmac.Equal([]byte(mac), []byte(f.MAC)) {
		return headsFile{}, fmt.Errorf("heads: %w: not written with the log key", record.ErrMalformed)
	}
	if f.Size < 1 || f.Size > layout.MaxLogSize || f.Checkpoint.Algorithm() != record.SHA256 {
		return headsFile{}, fmt.Errorf("heads: %w: size or checkpoint", record.ErrMalformed)
	}
	for i, h := range f.Heads {
		if err := record.CheckExhibit(h.Exhibit); err != nil {
			return headsFile{}, fmt.Errorf("heads: %w", err)
		}
		if i > 0 && f.Heads[i-1].Exhibit >= h.Exhibit {
			return headsFile{}, fmt.Errorf("heads: %w: exhibit %q is doubled or out of order", record.ErrMalformed, h.Exhibit)
		}
		// The genesis is leaf 0, so an exhibit's event n has at least index n.
		if h.Number < 1 || h.Index < h.Number || h.Index >= f.Size {
			return headsFile{}, fmt.Errorf("heads: %w: event %d of exhibit %q at index %d", record.ErrMalformed, h.Number, h.Exhibit, h.Index)
		}
	}
	return f, nil
}

// authenticate returns the HMAC of the file without its own.
func (f headsFile) authenticate(key []byte) (string, error) {
	f.MAC = ""
	b, err := record.EncodeJSON(f)
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// chains are the last events of all exhibits in the first size entries.
type chains struct {
	size int64
	last map[string]head
}

func newChains() *chains { return &chains{size: 1, last: map[string]head{}} }

func (c *chains) clone() *chains { return &chains{size: c.size, last: maps.Clone(c.last)} }

// add takes the next event in. It must be the exhibit's next.
func (c *chains) add(h *record.Header, leaf record.LeafHash) error {
	last, known := c.last[h.Exhibit]
	switch {
	case h.Number != last.Number+1:
		return fmt.Errorf("%w: event %d of exhibit %q, want number %d", ErrStatement, h.Number, h.Exhibit, last.Number+1)
	case known && *h.Previous != last.Leaf: // not nil: the number is not 1
		return fmt.Errorf("%w: event %d of exhibit %q names the previous event %s, want %s", ErrStatement, h.Number, h.Exhibit, h.Previous, last.Leaf)
	}
	c.last[h.Exhibit] = head{Exhibit: h.Exhibit, Index: c.size, Leaf: leaf, Number: h.Number}
	c.size++
	return nil
}

func (c *chains) encode(checkpoint record.Digest, key []byte) ([]byte, error) {
	f := headsFile{Checkpoint: checkpoint, Size: c.size, Type: headsType}
	for _, exhibit := range slices.Sorted(maps.Keys(c.last)) {
		f.Heads = append(f.Heads, c.last[exhibit])
	}
	var err error
	if f.MAC, err = f.authenticate(key); err != nil {
		return nil, err
	}
	return record.EncodeJSON(f)
}

// headsKey returns the key of the cache's HMAC.
func (w *writer) headsKey() ([]byte, error) { return w.key.Secret(w.genesis.Origin, headsType) }

// loadChains reads the cache. complete says that it is that of the published checkpoint; otherwise c holds what can be
// used of it, perhaps nothing. A cache that is damaged or somebody else's is no error: it is made again.
func (w *writer) loadChains() (c *chains, complete bool, err error) {
	b, err := w.dir.readFile(layout.Heads, record.MaxJSON)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, record.ErrMalformed) {
		return newChains(), false, nil
	}
	if err != nil {
		return nil, false, err
	}
	key, err := w.headsKey()
	if err != nil {
		return nil, false, err
	}
	f, err := parseHeads(b, key)
	if err != nil || f.Size > w.log.Size() {
		return newChains(), false, nil
	}
	c = newChains()
	c.size = f.Size
	for _, h := range f.Heads {
		c.last[h.Exhibit] = h
	}
	if f.Size == w.log.Size() {
		if f.Checkpoint != w.digest() {
			return newChains(), false, nil
		}
		return c, true, nil
	}
	note, err := w.dir.readFile(layout.CheckpointFile(f.Size), layout.MaxCheckpoint)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, record.ErrMalformed) {
		return nil, false, err
	}
	if err != nil || digestOf(note) != f.Checkpoint {
		return newChains(), false, nil
	}
	return c, false, nil
}

// follow brings w.chains up to the published size by reading the statements that are missing in it.
func (w *writer) follow() error {
	for w.chains.size < w.log.Size() {
		i := w.chains.size
		header, leaf, err := w.loggedEvent(i)
		if err != nil {
			return err
		}
		if header == nil {
			w.chains.size++
			continue
		}
		if err := w.chains.add(header, leaf); err != nil {
			return refuse("%q: %w", layout.StatementFile(i), err)
		}
	}
	return nil
}

// previous returns the exhibit's last event, number 0 if it has none.
func (w *writer) previous(exhibit string) (number int64, leaf *record.LeafHash) {
	h, ok := w.chains.last[exhibit]
	if !ok {
		return 0, nil
	}
	return h.Number, &h.Leaf
}

// loggedEvent reads the statement of leaf i, which is not the genesis, and requires that it has the leaf hash that the
// tiles prove; the header of an anchor is nil. Its signature was verified before it was logged.
func (w *writer) loggedEvent(i int64) (*record.Header, record.LeafHash, error) {
	fail := func(err error) (*record.Header, record.LeafHash, error) {
		return nil, record.LeafHash{}, fmt.Errorf("%q: %w", layout.StatementFile(i), err)
	}
	b, err := w.dir.readFile(layout.StatementFile(i), layout.MaxEnvelope)
	if err != nil {
		return nil, record.LeafHash{}, err
	}
	e, err := sign.ParseEnvelope(b)
	if err != nil {
		return fail(err)
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return fail(err)
	}
	if record.StateOf(p) == nil {
		return fail(fmt.Errorf("%w: a statement of type %q", record.ErrMalformed, p.Type()))
	}
	key, _, err := findSigner(w.genesis, e.KeyID)
	if err != nil {
		return fail(fmt.Errorf("%w: %w", record.ErrMalformed, err))
	}
	entry, err := e.Entry(key)
	if err != nil {
		return fail(err)
	}
	leaf, err := w.log.oneLeaf(i)
	if err != nil {
		return nil, record.LeafHash{}, err
	}
	if LeafHash(entry) != leaf {
		return fail(fmt.Errorf("%w: it is not the statement that was logged", record.ErrMalformed))
	}
	if ev, ok := p.(record.Event); ok {
		return ev.Header(), leaf, nil
	}
	return nil, leaf, nil
}
