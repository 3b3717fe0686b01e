package custody

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Continuation is what a new log says of the one that it goes on from. Because is required.
type Continuation struct {
	Because  string             // in a person's words; stands in the genesis only as a commitment
	Admit    []Admission        // keys that the old log does not admit, as those of a new station
	Live     record.Fact[int64] // what the old log's counter stands at
	OpenedBy string             // as in NewCase
	Counter  *record.Counter    // of the new log; may be nil
	Files    map[string][]byte  // as in NewCase; those that are there are left as they are
	Clock    record.Clock
	Random   io.Reader
}

// Continue opens a new home log for the case, for when the old one is refused: its genesis names the old one's last
// checkpoint, admits the same signers and those of n.Admit, and is signed by one of the old ones, a person. The old log stays
// as it is. Each exhibit's chain begins anew in the new log. After an error before the last step the case goes on with the old log.
func (c *Case) Continue(n Continuation, person sign.Signer, logKey sign.LogSigner) error {
	keys, err := c.Keys()
	if err != nil {
		return err
	}
	if s, _, err := keys.Signer(person.PublicKey().KeyID(), ledger.Next); err != nil || s.Kind != record.KindPerson {
		return fmt.Errorf("%w: key %s, and a person's key continues a log", ErrNotAdmitted, person.PublicKey().KeyID())
	}
	genesis, openings, err := c.continuation(n, logKey)
	if err != nil {
		return err
	}
	payload, err := record.Encode(genesis)
	if err != nil {
		return err
	}
	envelope, err := sign.Seal(person, payload)
	if err != nil {
		return err
	}
	for _, a := range n.Admit {
		if err := c.keep(layout.KeyFile(a.Key.KeyID()), a.Certificate); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.Files)) {
		if err := c.keep(name, n.Files[name]); err != nil {
			return err
		}
	}
	dir := layout.LogDir(genesis.Origin)
	if err := c.root.MkdirAll(dir); err != nil {
		return err
	}
	root, err := c.root.Sub(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(ledger.Create(root, logKey, ledger.Item{Envelope: envelope, Openings: openings}), root.Close()); err != nil {
		return err
	}
	if err := c.root.Replace(layout.CaseFile, payload); err != nil {
		return err
	}
	return c.load()
}

// continuation makes the genesis of the new log.
func (c *Case) continuation(n Continuation, logKey sign.LogSigner) (*record.CaseOpened, record.Openings, error) {
	old := c.genesis
	logFS, err := c.LogFS()
	if err != nil {
		return nil, nil, err
	}
	log, err := ledger.Open(logFS, old.Origin, old.LogKeys)
	if err != nil {
		return nil, nil, fmt.Errorf("the last checkpoint of log %s: %w", old.Origin, missing(err))
	}
	nc := NewCase{Number: old.Case, Agency: old.Agency, OpenedBy: n.OpenedBy, Counter: n.Counter, Clock: n.Clock, Random: n.Random}
	if nc.Admit, err = admissions(log); err != nil {
		return nil, nil, err
	}
	nc.Admit = append(nc.Admit, n.Admit...)
	g, openings, err := newGenesis(nc, logKey)
	if err != nil {
		return nil, nil, err
	}
	g.Continues = &record.Continuation{Checkpoint: record.SHA256Of(log.Checkpoint()), Counter: n.Live, Origin: old.Origin, Size: log.Size()}
	if g.Continues.Because, err = openings.Commit(n.Random, "/continues/because", n.Because); err != nil {
		return nil, nil, err
	}
	return g, openings, nil
}

// openingsOf are those of an entry; none, when they were erased or are damaged.
func openingsOf(log *ledger.Log, i int64) (record.Openings, error) {
	b, err := log.Openings(i)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o, err := record.DecodeOpenings(b)
	if errors.Is(err, record.ErrMalformed) {
		return nil, nil
	}
	return o, err
}
