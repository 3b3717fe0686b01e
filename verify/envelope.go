package verify

import (
	"errors"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// genesis is leaf 0 of a log: well-formed and signed by one of its own signers. Whether it is trusted is another matter,
// and until it is, nothing that hangs on it is.
type genesis struct {
	envelope []byte
	payload  []byte
	opened   *record.CaseOpened
	entry    []byte
	leaf     record.LeafHash
	by       string // key id of who signed it
	keys     *ledger.Keys
	openings record.Openings
	revealed map[int64]record.Openings // of the entries that change the keys
	trust    TrustEntry
	trusted  bool
}

// readGenesis checks the envelope of a genesis by itself and looks for it among the trust entries.
func readGenesis(envelope []byte, trust []TrustEntry) (*genesis, error) {
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return nil, content(err)
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return nil, content(err)
	}
	opened, ok := p.(*record.CaseOpened)
	if !ok {
		return nil, content(fmt.Errorf("leaf 0 is not %q but %q", record.TypeCaseOpened, p.Type()))
	}
	g := &genesis{envelope: envelope, payload: e.Payload, opened: opened, by: e.KeyID, revealed: map[int64]record.Openings{}}
	for i, s := range opened.Signers {
		if _, err := sign.ParsePublicKeyBase64(s.PublicKey); err != nil {
			return nil, content(fmt.Errorf("key of signer %d: %w", i, err))
		}
	}
	if g.keys, err = ledger.GenesisKeys(opened); err != nil {
		return nil, content(err)
	}
	if _, err := sign.LogVerifiers(opened.Origin, opened.LogKeys); err != nil {
		return nil, content(err)
	}
	by, err := g.signerAt(e.KeyID, 0)
	if err != nil || by.Kind != record.KindPerson {
		return nil, content(fmt.Errorf("the genesis is signed by key %s, which is not that of a person it admits", e.KeyID))
	}
	if err := e.Verify(by.key); err != nil {
		return nil, content(err)
	}
	if g.entry, err = e.Entry(by.key); err != nil {
		return nil, content(err)
	}
	g.leaf = ledger.LeafHash(g.entry)
	g.trust, g.trusted = trusts(trust, g.leaf)
	return g, nil
}

// statement is a signed claim after every check that it can pass by itself.
type statement struct {
	predicate record.Predicate
	payload   []byte
	by        signer
	entry     []byte
	leaf      record.LeafHash
}

// readStatement checks the envelope of entry i: its form, its signature, and that the log admits the key for the type there. When only
// what it says is of a later version or may not be signed by this key, entry and leaf are set beside the error.
func (g *genesis) readStatement(envelope []byte, i int64) (statement, error) {
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return statement{}, content(err)
	}
	by, err := g.signerAt(e.KeyID, i)
	if err != nil {
		return statement{}, err
	}
	if err := e.Verify(by.key); err != nil {
		return statement{}, content(err)
	}
	s := statement{payload: e.Payload, by: by}
	if s.entry, err = e.Entry(by.key); err != nil {
		return statement{}, content(err)
	}
	s.leaf = ledger.LeafHash(s.entry)
	p, err := record.Decode(e.Payload)
	if errors.Is(err, record.ErrNewer) {
		return s, err
	}
	if err != nil {
		return s, content(err)
	}
	if !by.MaySign(p.Type()) {
		return s, content(&admissionError{fmt.Sprintf("signed by key %s, which the log admits for %q and not for %q", e.KeyID, by.Events, p.Type())})
	}
	s.predicate = p
	return s, nil
}

// readUnsignedBy decodes a record whose signer cannot be checked, so that at least the image is compared with it.
func readUnsignedBy(envelope []byte) (*imageRecord, error) {
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return nil, content(err)
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return nil, content(err)
	}
	rec := recordOf(p)
	if rec == nil {
		return nil, content(fmt.Errorf("the statement is not a record of an acquisition but %q", p.Type()))
	}
	return rec, nil
}

// checkOpenings reads a file of openings and holds it against the statement. None is no fault: it was erased or withheld.
func (c *checker) checkOpenings(name string, payload []byte, l *line) record.Openings {
	b, err := c.fsys.readFile(name, layout.MaxOpenings)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		l.add(fromError(name, err))
		return nil
	}
	o, err := record.DecodeOpenings(b)
	if err == nil {
		_, err = o.Check(payload)
	}
	if errors.Is(err, record.ErrNewer) {
		l.add(fromError(name, err))
		return nil
	}
	if err != nil {
		l.add(fromError(name, content(err)))
		return nil
	}
	return o
}
