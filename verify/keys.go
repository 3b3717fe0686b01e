package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// signer is a key that a log admits.
type signer struct {
	ledger.Signer
	key sign.PublicKey
}

// admissionError says that a key may not sign what it signed.
type admissionError struct{ text string }

// Error implements error.
func (e *admissionError) Error() string { return e.text }

// signerAt is the key of that identifier at entry i.
func (g *genesis) signerAt(keyID string, i int64) (signer, error) {
	s, key, err := g.keys.Signer(keyID, i)
	if errors.Is(err, ledger.ErrStatement) {
		text := fmt.Sprintf("signed by key %s, which the log does not admit", keyID)
		if s.Until > 0 {
			text = fmt.Sprintf("signed by key %s, which entry %d withdraws", keyID, s.Until)
		}
		err = &admissionError{text}
	}
	if err != nil {
		return signer{}, content(err)
	}
	return signer{s, key}, nil
}

// holder is the name behind a key, as far as it is revealed.
func (g *genesis) holder(s signer) string {
	openings := g.openings
	if s.From > 0 {
		openings = g.revealed[s.From]
	}
	if v, ok := openings.Value(s.Holder()); ok {
		return v
	}
	return "unknown"
}

// vouchers are the keys by which g says who may sign: of whoever signed it, and of whoever changed the keys after it.
func (g *genesis) vouchers() []string { return append([]string{g.by}, g.keys.ChangedBy()...) }

// follow takes into g the changes of keys that lead to the one that ref names, the newest that its signer saw. read returns the
// envelope of an entry. The leaf hash of each is what the one after it says; that the log has them is for others to show.
func (g *genesis) follow(ref *record.KeysRef, read func(i int64) ([]byte, error)) error {
	var refs []record.KeysRef
	var envelopes [][]byte
	for ref != nil {
		envelope, err := read(ref.Index)
		if err != nil {
			return err
		}
		e, err := sign.ParseEnvelope(envelope)
		if err != nil {
			return content(err)
		}
		p, err := record.Decode(e.Payload)
		if err != nil {
			return content(err)
		}
		c, ok := p.(*record.KeysChanged)
		if !ok || c.Log.Keys != nil && c.Log.Keys.Index >= ref.Index || len(refs) >= ledger.MaxKeyChanges {
			return content(fmt.Errorf("entry %d is no change of keys, and a later one says so", ref.Index))
		}
		refs, envelopes = append(refs, *ref), append(envelopes, envelope)
		ref = c.Log.Keys
	}
	for n, ref := range slices.Backward(refs) {
		_, leaf, err := g.keys.Change(ref.Index, envelopes[n])
		if err == nil && leaf != ref.Leaf {
			err = fmt.Errorf("the change of keys at entry %d is not the one that a later entry names", ref.Index)
		}
		if err != nil {
			return content(err)
		}
	}
	return nil
}

// changesAlone takes in what the folder has of the changes of keys that came before its record, and returns the record's index by
// its proof. Where one is missing or wrong that is said, and the record is read all the same, for line 1.
func (f *folder) changesAlone() (int64, error) {
	name := within(f.dir, layout.Statement)
	rec, err := readUnsignedBy(f.envelope)
	if err != nil {
		f.signature.add(fromError(name, err))
		return 0, err
	}
	f.rec = rec
	index := rec.event.Log.Size // no change lies between it and the record: a missing proof is no reason to call the signer a stranger
	if b, err := f.c.fsys.readFile(within(f.dir, layout.Proof), layout.MaxProof); err == nil {
		if p, err := ledger.ParseProof(b); err == nil {
			index = p.Index
		}
	}
	var at string
	err = f.gen.follow(rec.event.Log.Keys, func(i int64) ([]byte, error) {
		at = within(f.dir, layout.ChangeFile(i))
		return f.c.fsys.readFile(at, layout.MaxEnvelope)
	})
	if err != nil {
		out := fromError(at, err)
		if isMissing(err) {
			out.Text = "the record was made after the keys of the log had changed, and without this change nothing says which key may sign it"
		}
		f.signature.add(out)
		return 0, err
	}
	for _, c := range f.gen.keys.Changes() {
		f.changeProof(c)
	}
	return index, nil
}

// changeProof requires the proof that the log has a change of keys.
func (f *folder) changeProof(c record.KeysRef) {
	name := within(f.dir, layout.ChangeProof(c.Index))
	b, err := f.c.fsys.readFile(name, layout.MaxProof)
	if err != nil {
		f.log.add(fromError(name, err))
		return
	}
	entry, err := f.changeEntry(c.Index)
	if err != nil {
		f.log.add(fromError(within(f.dir, layout.ChangeFile(c.Index)), err))
		return
	}
	index, _, checkpoint, err := f.gen.keys.CheckProof(b, entry)
	if err != nil {
		f.log.add(fromError(name, content(err)))
		return
	}
	own, err := f.c.fsys.readFile(within(f.dir, layout.Proof), layout.MaxProof)
	if err != nil {
		return // that is said
	}
	p, err := ledger.ParseProof(own)
	switch {
	case index != c.Index:
		f.log.add(mismatch(name, "index", fmt.Sprint(c.Index), fmt.Sprint(index), "the proof is for another entry of the log"))
	case err == nil && !bytes.Equal(p.Checkpoint, checkpoint):
		f.log.add(mismatch(name, "checkpoint", "", "", "the proof is under another checkpoint than that of the record"))
	default:
		f.log.checked++
	}
}

// changeEntry is the log entry of a change of keys that lies in the folder and was taken in.
func (f *folder) changeEntry(i int64) ([]byte, error) {
	envelope, err := f.c.fsys.readFile(within(f.dir, layout.ChangeFile(i)), layout.MaxEnvelope)
	if err != nil {
		return nil, err
	}
	s, err := f.gen.readStatement(envelope, i)
	return s.entry, err
}

// sameChanges requires that the folder has the changes of keys before its record as the log has them.
func (f *folder) sameChanges() {
	for _, c := range f.gen.keys.Changes() {
		if c.Index >= f.index {
			return
		}
		name := within(f.dir, layout.ChangeFile(c.Index))
		b, err := f.c.fsys.readFile(name, layout.MaxEnvelope)
		if err != nil {
			f.log.add(fromError(name, err))
			continue
		}
		logged, err := f.c.fsys.readFile(f.in.path(layout.StatementFile(c.Index)), layout.MaxEnvelope)
		if err != nil {
			continue // that is said of the log
		}
		if !bytes.Equal(b, logged) {
			f.log.add(mismatch(name, "", "", "", fmt.Sprintf("it differs from the statement that was logged, %q", f.in.path(layout.StatementFile(c.Index)))))
			continue
		}
		f.changeProof(c)
	}
}

// newestKeys are the keys as the statements before entry size lead to them, or those of the genesis when they lead nowhere. What
// they verify is verified again with the keys that follow from every entry.
func (l *logCheck) newestKeys(note []byte) *ledger.Keys {
	sub, err := fs.Sub(l.c.fsys, l.dir)
	if err == nil {
		if keys, err := ledger.ReadKeys(sub, l.gen.opened, note); err == nil {
			return keys
		}
	}
	return l.gen.keys
}

// changeKeys takes in entry i, which changes the keys of the log, and reads again what was read with the old ones.
func (l *logCheck) changeKeys(i int64, e *loadedEntry) {
	name := l.path(layout.StatementFile(i))
	change, _, err := l.gen.keys.Change(i, e.change)
	if err != nil {
		l.signature.add(fromError(name, content(err)))
		return
	}
	l.changed = true
	l.gen.revealed[i] = e.revealed
	l.loadNote(i, e)
	l.c.note(Finding{File: name, Text: fmt.Sprintf("entry %d changes the keys of the log: %s", i, changeWords(change, e.keyID))})
}

// changeWords says what a change of keys does, and who signed it.
func changeWords(k *record.KeysChanged, by string) string {
	var words []string
	id := func(publicKey string) string {
		key, err := sign.ParsePublicKeyBase64(publicKey)
		if err != nil {
			return "unknown"
		}
		return key.KeyID()[:16]
	}
	for _, s := range k.Admits {
		words = append(words, fmt.Sprintf("it admits %s key %s for %v", s.Kind, id(s.PublicKey), s.Events))
	}
	for _, w := range k.Withdraws {
		text := fmt.Sprintf("it withdraws key %s (%s)", id(w.PublicKey), w.Reason)
		if w.Successor != "" {
			text += ", which key " + id(w.Successor) + " succeeds"
		}
		if since, ok := w.Since.Get(); ok {
			text += ", by its words from " + since.UTC + " on; what the key signed before this entry counts all the same, unless the trust file revokes it"
		}
		words = append(words, text)
	}
	if k.LogKeys != nil {
		words = append(words, "another log key signs the checkpoints from here on")
	}
	return strings.Join(words, "; ") + "; signed by key " + by[:16]
}

// sameKeys requires that a statement names the newest change of keys before it.
func (l *logCheck) sameKeys(i int64, name string, s record.LogState) {
	want := l.gen.keys.Before(i)
	if want == nil && s.Keys == nil || want != nil && s.Keys != nil && *want == *s.Keys {
		return
	}
	words := func(r *record.KeysRef) string {
		if r == nil {
			return "none"
		}
		return fmt.Sprintf("entry %d, leaf %s", r.Index, r.Leaf)
	}
	f := mismatch(name, "event.log.keys", words(want), words(s.Keys), "the statement names another change of keys than the newest before it")
	if l.unreadable > 0 {
		f.Severity = Missing
	}
	l.log.add(f)
}

// unadmitted is the finding about a statement whose key the log does not admit. Where a statement before it cannot be read
// that one may have admitted the key.
func (l *logCheck) unadmitted(name string, err error) Finding {
	f := fromError(name, err)
	if _, ok := errors.AsType[*admissionError](err); ok && l.unreadable > 0 {
		f.Severity = Missing
		f.Text += "; an entry before it, which is missing or cannot be read, may do so"
	}
	return f
}
