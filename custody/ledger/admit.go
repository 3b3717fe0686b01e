package ledger

import (
	"fmt"

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
	event    record.Event // nil for an anchor, and for what closes the log
	closes   *record.CaseClosed
	state    *record.LogState // what the signer saw of the log
	key      sign.PublicKey   // one that the genesis names
}

// admit requires that the statements fit the log, one after the other, and returns the chains with them.
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
	for i, o := range read {
		if err := w.place(next, o, batch[i].leaf); err != nil {
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
	key, _, err := findSigner(w.genesis, e.KeyID)
	if err != nil {
		return opened{}, err
	}
	closes, _ := p.(*record.CaseClosed)
	return opened{e, ev, closes, state, key}, nil
}

// place requires that the signer is admitted for that event and that the statement names the newest checkpoint and the
// exhibit's last event in c, and takes it into c.
func (w *writer) place(c *chains, o opened, leaf record.LeafHash) error {
	if c.closed {
		return ErrClosed
	}
	if o.event != nil && !w.genesis.MaySign(o.key.Base64(), o.event.Type()) {
		return fmt.Errorf("%w: the genesis does not admit key %s for %q", ErrStatement, o.envelope.KeyID, o.event.Type())
	}
	s := o.state
	if s.Origin != w.genesis.Origin || s.Size != w.log.Size() || s.Checkpoint != w.digest() {
		return fmt.Errorf("%w: it names the checkpoint of size %d of log %s, want the newest, of size %d", ErrStatement, s.Size, s.Origin, w.log.Size())
	}
	if err := w.placeAttestations(s.Attestations); err != nil {
		return err
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

// placeClosing takes the last statement of the log into c: signed by a person, with the counter's value at the checkpoint over it.
func (w *writer) placeClosing(c *chains, o opened) error {
	if !w.genesis.MaySign(o.key.Base64(), record.TypeCaseClosed) {
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
	key, _, err := findSigner(g, e.KeyID)
	if err != nil {
		return entry{}, err
	}
	w.genesis = g
	return sealEntry(e, key, item)
}
