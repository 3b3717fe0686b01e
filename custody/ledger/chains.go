package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// chains are the events of all exhibits in the first size entries. A part that nobody has asked for stays in its file.
type chains struct {
	size    int64
	closed  bool                       // the last of them closed the log
	parts   [headParts]map[string]head // nil: as in the file
	files   [headParts]sum             // of the parts' files
	of      int64                      // the size of the log that the files belong to
	changed [headParts]bool            // what the file does not say
}

func newChains() *chains { return &chains{size: 1, of: 1} }

// clone copies what add changes.
func (c *chains) clone() *chains {
	d := *c
	for i, part := range c.parts {
		d.parts[i] = maps.Clone(part)
	}
	return &d
}

// get returns an exhibit's events, and false if it has none.
func (w *writer) get(c *chains, exhibit string) (head, bool, error) {
	part, err := w.part(c, partOf(exhibit))
	if err != nil {
		return head{}, false, err
	}
	h, ok := part[exhibit]
	return h, ok, nil
}

// part returns part i of c, from its file when it was not asked for before. A file that is missing or not the one that the
// heads name is no error: then all that c lacks is made again from the statements.
func (w *writer) part(c *chains, i int) (map[string]head, error) {
	if c.parts[i] != nil {
		return c.parts[i], nil
	}
	if c.files[i] == (sum{}) {
		c.parts[i] = map[string]head{}
		return c.parts[i], nil
	}
	b, err := w.dir.readFile(layout.HeadsPart(i), maxPart)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, record.ErrMalformed) {
		return nil, err
	}
	if err == nil && sha256.Sum256(b) == c.files[i] {
		if c.parts[i], err = parsePart(b, i, c.of); err == nil {
			return c.parts[i], nil
		}
	}
	if err := w.restore(c); err != nil {
		return nil, err
	}
	return c.parts[i], nil
}

// restore makes the parts that c lacks again, as they were when the log had c.of entries.
func (w *writer) restore(c *chains) error {
	whole := newChains()
	for whole.size < c.of {
		if err := w.takeIn(whole); err != nil {
			return err
		}
	}
	for i := range c.parts {
		if c.parts[i] == nil {
			c.parts[i], c.changed[i] = whole.parts[i], true
		}
		if c.parts[i] == nil {
			c.parts[i] = map[string]head{}
		}
	}
	return nil
}

// add takes the next event in. It must be the exhibit's next.
func (w *writer) add(c *chains, h *record.Header, leaf record.LeafHash) error {
	last, known, err := w.get(c, h.Exhibit)
	switch {
	case err != nil:
		return err
	case h.Number != last.number()+1:
		return fmt.Errorf("%w: event %d of exhibit %q, want number %d", ErrStatement, h.Number, h.Exhibit, last.number()+1)
	case known && *h.Previous != last.leaf: // not nil: the number is not 1
		return fmt.Errorf("%w: event %d of exhibit %q names the previous event %s, want %s", ErrStatement, h.Number, h.Exhibit, h.Previous, last.leaf)
	}
	i := partOf(h.Exhibit)
	c.parts[i][h.Exhibit] = head{exhibit: h.Exhibit, events: append(last.events[:len(last.events):len(last.events)], c.size), leaf: leaf}
	c.changed[i] = true
	c.size++
	return nil
}

// takeIn adds the next statement of the log to c.
func (w *writer) takeIn(c *chains) error {
	p, leaf, err := w.logged(c.size)
	if err != nil {
		return err
	}
	name := layout.StatementFile(c.size)
	if c.closed {
		return refuse("%q stands after the statement that closed the log", name)
	}
	event, ok := p.(record.Event)
	if !ok {
		_, c.closed = p.(*record.CaseClosed)
		c.size++
		return nil
	}
	if err := w.add(c, event.Header(), leaf); err != nil {
		return refuse("%q: %w", name, err)
	}
	return nil
}

// follow brings w.chains up to the published size by reading the statements that are missing in it.
func (w *writer) follow() error {
	for w.chains.size < w.log.Size() {
		if err := w.takeIn(w.chains); err != nil {
			return err
		}
	}
	return nil
}

// headsKey returns the key of the heads' HMAC.
func (w *writer) headsKey() ([]byte, error) { return w.key.Secret(w.genesis.Origin, headsType) }

// loadChains reads the heads. complete says that they are those of the published checkpoint; otherwise c holds what can be
// used of them, perhaps nothing. Heads that are damaged or somebody else's are no error: they are made again.
func (w *writer) loadChains() (c *chains, complete bool, err error) {
	b, err := w.dir.readFile(layout.Heads, int64(headsBytes))
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
	if err != nil || f.size > w.log.Size() {
		return newChains(), false, nil
	}
	c = &chains{size: f.size, of: f.size, files: f.parts}
	if f.size == w.log.Size() {
		if f.checkpoint != sha256.Sum256(w.log.note) {
			return newChains(), false, nil
		}
		c.closed, err = w.endsClosed()
		return c, true, err
	}
	note, err := w.dir.readFile(layout.CheckpointFile(f.size), layout.MaxCheckpoint)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, record.ErrMalformed) {
		return nil, false, err
	}
	if err != nil || sha256.Sum256(note) != f.checkpoint {
		return newChains(), false, nil
	}
	return c, false, nil
}

// endsClosed reports whether the last statement of the published log closed it.
func (w *writer) endsClosed() (bool, error) {
	if w.log.Size() == 1 {
		return false, nil
	}
	p, _, err := w.logged(w.log.Size() - 1)
	if err != nil {
		return false, err
	}
	_, closed := p.(*record.CaseClosed)
	return closed, nil
}

// saveChains writes the heads: the parts that changed, then the file that names them. After a crash between the two they are
// made again. A log with so many events that a part would pass its bound has no heads, and is then read from the start by
// each append.
func (w *writer) saveChains() error {
	key, err := w.headsKey()
	if err != nil {
		return err
	}
	c := w.chains
	there, err := w.dir.exists(layout.HeadsDir)
	if err == nil && (w.careful || !there) {
		err = w.root.MkdirAll(layout.HeadsDir)
	}
	if err != nil {
		return err
	}
	for i := range c.parts {
		if !c.changed[i] || len(c.parts[i]) == 0 {
			continue
		}
		b := encodePart(c.parts[i])
		if len(b) > maxPart {
			return removeIfThere(w.root, layout.Heads)
		}
		if err := w.root.Replace(layout.HeadsPart(i), b); err != nil {
			return err
		}
		c.files[i] = sha256.Sum256(b)
	}
	f := headsFile{checkpoint: sha256.Sum256(w.log.note), size: c.size, parts: c.files}
	c.of, c.changed = c.size, [headParts]bool{}
	return w.root.Replace(layout.Heads, f.encode(key))
}

// events returns the indexes of an exhibit's events, and the leaf of the last; none and nil if it has none.
func (w *writer) events(exhibit string) ([]int64, *record.LeafHash, error) {
	h, ok, err := w.get(w.chains, exhibit)
	if err != nil || !ok {
		return nil, nil, err
	}
	return slices.Clone(h.events), &h.leaf, nil
}

// alike returns an exhibit with events that people take for the one given, and is another; "" if there is none.
func (w *writer) alike(exhibit string) (string, error) {
	part, err := w.part(w.chains, partOf(exhibit))
	if err != nil {
		return "", err
	}
	folded := record.FoldExhibit(exhibit)
	for _, other := range slices.Sorted(maps.Keys(part)) {
		if other != exhibit && record.FoldExhibit(other) == folded {
			return other, nil
		}
	}
	return "", nil
}

// logged reads the statement of leaf i, which is not the genesis, and requires that it has the leaf hash that the
// tiles prove. Its signature was verified before it was logged.
func (w *writer) logged(i int64) (record.Predicate, record.LeafHash, error) {
	fail := func(err error) (record.Predicate, record.LeafHash, error) {
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
	_, key, err := w.keys.Signer(e.KeyID, i)
	if err != nil {
		return fail(fmt.Errorf("%w: %w", record.ErrMalformed, err))
	}
	entry, err := e.Entry(key)
	if err != nil {
		return fail(err)
	}
	leaf, err := w.log.Leaf(i)
	if err != nil {
		return nil, record.LeafHash{}, err
	}
	if LeafHash(entry) != leaf {
		return fail(fmt.Errorf("%w: it is not the statement that was logged", record.ErrMalformed))
	}
	return p, leaf, nil
}
