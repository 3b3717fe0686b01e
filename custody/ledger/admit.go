package ledger

import (
	"fmt"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// entry is a statement that was admitted at its place.
type entry struct {
	envelope []byte
	openings record.Openings
	bytes    []byte // the log entry
	leaf     record.LeafHash
}

// opened is a statement that was read, and not yet judged.
type opened struct {
	envelope sign.Envelope
	event    record.Event        // nil for an anchor, a change of keys, and what closes the log
	change   *record.KeysChanged // nil for all else
	closes   *record.CaseClosed  // the same
	state    *record.LogState    // what the signer saw of the log
	key      sign.PublicKey      // one that the log admits
}

// admit requires that the statements fit the log, one after the other, and returns the chains with them. It leaves in w.after the
// keys with them.
func (w *writer) admit(items []Item) ([]entry, *chains, error) {
	read, batch := make([]opened, len(items)), make([]entry, len(items))
	which := func(i int, err error) error { return fmt.Errorf("statement %d of %d: %w", i+1, len(items), err) }
	for i, item := range items {
		o, err := w.open(item)
		if err != nil {
			return nil, nil, which(i, err)
		}
		read[i] = o
	}
	// Signatures are what takes long.
	err := each(len(items), func(i int) error {
		e, err := sealEntry(read[i].envelope, read[i].key, items[i])
		if err != nil {
			return which(i, err)
		}
		batch[i] = e
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	next := w.chains.clone()
	w.after, w.next = w.keys, nil
	for i, o := range read {
		if err := w.place(next, o, items[i], batch[i].leaf); err != nil {
			return nil, nil, which(i, err)
		}
	}
	return batch, next, nil
}

// open reads a statement.
func (w *writer) open(item Item) (opened, error) {
	e, err := sign.ParseEnvelope(item.Envelope)
	if err != nil {
		return opened{}, err
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return opened{}, err
	}
	state := record.StateOf(p)
	if state == nil {
		return opened{}, fmt.Errorf("%w: a statement of type %q is no event", ErrStatement, p.Type())
	}
	ev, _ := p.(record.Event)
	change, _ := p.(*record.KeysChanged)
	_, key, err := w.keys.Signer(e.KeyID, w.log.Size())
	if err != nil {
		return opened{}, err
	}
	closes, _ := p.(*record.CaseClosed)
	return opened{e, ev, change, closes, state, key}, nil
}

// place requires that the signer is admitted for that event and that the statement names the newest checkpoint and the
// exhibit's last event in c, and takes it into c.
func (w *writer) place(c *chains, o opened, item Item, leaf record.LeafHash) error {
	if o.event != nil && !w.keys.MaySign(o.envelope.KeyID, o.event.Type(), c.size) {
		return fmt.Errorf("%w: the log does not admit key %s for %q", ErrStatement, o.envelope.KeyID, o.event.Type())
	}
	if c.closed {
		return ErrClosed
	}
	if w.after != w.keys {
		return fmt.Errorf("%w: a change of keys is the only entry of its append", ErrStatement)
	}
	s := o.state
	if s.Origin != w.genesis.Origin || s.Size != w.log.Size() || s.Checkpoint != w.digest() {
		return fmt.Errorf("%w: it names the checkpoint of size %d of log %s, want the newest, of size %d", ErrStatement, s.Size, s.Origin, w.log.Size())
	}
	if !sameRef(s.Keys, w.keys.Before(c.size)) {
		return fmt.Errorf("%w: it does not name the newest change of keys", ErrStatement)
	}
	if err := w.placeAttestations(s.Attestations); err != nil {
		return err
	}
	if o.change != nil {
		if err := w.placeChange(c.size, o.change, item); err != nil {
			return err
		}
	}
	if o.closes != nil {
		return w.placeClosing(c, o)
	}
	if o.event == nil {
		c.size++
		return nil
	}
	return w.add(c, o.event.Header(), leaf)
}

// placeChange takes a change of keys in as entry i.
func (w *writer) placeChange(i int64, c *record.KeysChanged, item Item) error {
	after := w.keys.clone()
	if _, _, err := after.Change(i, item.Envelope); err != nil {
		return err
	}
	if c.LogKeys != nil {
		if item.LogKey == nil {
			return fmt.Errorf("%w: it brings a log key, which is not here to sign", ErrStatement)
		}
		if keys := item.LogKey.Keys(); !slices.Equal(keys[:], c.LogKeys) {
			return fmt.Errorf("%w: it brings another log key than the one that is here to sign", ErrStatement)
		}
		w.next = item.LogKey
	}
	w.after = after
	return nil
}

// placeClosing takes the last statement of the log into c: signed by a person, with the counter's value at the checkpoint over it.
func (w *writer) placeClosing(c *chains, o opened) error {
	if !w.keys.MaySign(o.envelope.KeyID, record.TypeCaseClosed, c.size) {
		return fmt.Errorf("%w: key %s is not that of a person, and cannot close the log", ErrStatement, o.envelope.KeyID)
	}
	if want := w.nextCounter(); o.closes.Counter != want {
		return fmt.Errorf("%w: it closes the log at the counter's value %d, want %d", ErrStatement, o.closes.Counter, want)
	}
	c.size++
	c.closed = true
	return nil
}

// sealEntry verifies the signature and the openings, and makes the log entry.
func sealEntry(e sign.Envelope, key sign.PublicKey, item Item) (entry, error) {
	if err := e.Verify(key); err != nil {
		return entry{}, err
	}
	if _, err := item.Openings.Check(e.Payload); err != nil {
		return entry{}, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	b, err := e.Entry(key)
	if err != nil {
		return entry{}, err
	}
	if len(b) > layout.MaxEntry {
		return entry{}, fmt.Errorf("%w: its log entry has %d bytes", ErrStatement, len(b))
	}
	return entry{envelope: item.Envelope, openings: item.Openings, bytes: b, leaf: LeafHash(b)}, nil
}

func (w *writer) admitGenesis(item Item) (entry, error) {
	e, err := sign.ParseEnvelope(item.Envelope)
	if err != nil {
		return entry{}, err
	}
	g, _, err := openGenesis(item.Envelope)
	if err != nil {
		return entry{}, err
	}
	keys := w.key.Keys()
	if keys[0] != g.LogKeys[0] || keys[1] != g.LogKeys[1] {
		return entry{}, fmt.Errorf("%w: the genesis does not name this log key", ErrStatement)
	}
	if w.keys, err = GenesisKeys(g); err != nil {
		return entry{}, err
	}
	_, key, err := w.keys.Signer(e.KeyID, 0)
	if err != nil {
		return entry{}, err
	}
	w.genesis, w.after = g, w.keys
	return sealEntry(e, key, item)
}
