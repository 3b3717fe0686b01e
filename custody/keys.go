package custody

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// KeyChange is what a change of keys says. At least one of Admit, Withdraw and LogKey is given.
type KeyChange struct {
	Admit    []Admission // of a key that is admitted already: what it may sign from now on
	Withdraw []Withdrawal
	LogKey   sign.LogSigner    // that signs the checkpoints from now on; nil: the log key stays
	Because  string            // in a person's words; stands in the log only as a commitment; may be empty
	Files    map[string][]byte // further files of keys/, as in NewCase; those that are there are left as they are
	Clock    record.Clock
	Random   io.Reader
}

// Withdrawal is a key that is admitted no more.
type Withdrawal struct {
	KeyID     string
	Reason    string // one of record.WithdrawalReasons
	Since     record.Fact[record.Time]
	Successor string // key identifier of the admitted key by which the same holder goes on; empty: nobody does
}

// Keys returns the keys of the home log.
func (c *Case) Keys() (*ledger.Keys, error) {
	l, err := c.openLog()
	if err != nil {
		return nil, err
	}
	return l.Keys(), nil
}

// Holder returns who holds a key of the home log, as far as the entry that admits it reveals that; else "".
func (c *Case) Holder(keyID string) (string, error) {
	keys, err := c.Keys()
	if err != nil {
		return "", err
	}
	s, _, err := keys.Signer(keyID, ledger.Next)
	if err != nil {
		return "", err
	}
	e, err := c.Entry(s.From)
	if err != nil {
		return "", err
	}
	name, _ := e.Openings.Value(s.Holder())
	return name, nil
}

// person returns what state.Book.Person is for the logs of the case; home are the keys of the home log.
func (c *Case) person(home *ledger.Keys) (func(string) string, error) {
	held, err := c.several()
	if c.givenUp(err) { // the record of an image is logged all the same; every other event needs the older log, and says so
		return home.Person, nil
	}
	if err != nil {
		return nil, err
	}
	logs := []*ledger.Keys{home}
	kept, err := c.Extracts()
	if err != nil {
		kept = nil // what cannot be read of them stands in the way of every event but the record of an image, and says so
	}
	for _, h := range held {
		if h.Origin == c.genesis.Origin {
			continue
		}
		l, err := c.openHeld(h)
		if c.givenUp(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		logs = append(logs, ledger.NewestKeys(l.Keys(), h.Origin, l.Size(), extractsOf(kept)))
	}
	for _, k := range kept {
		if !slices.ContainsFunc(held, func(h Held) bool { return h.Origin == k.Origin }) {
			logs = append(logs, ledger.NewestKeys(k.Keys, k.Origin, k.Size, extractsOf(kept)))
		}
	}
	return ledger.Persons(logs), nil
}

// newBook is a book for the events of the case's logs.
func (c *Case) newBook() (*state.Book, error) {
	keys, err := c.Keys()
	if err != nil {
		return nil, err
	}
	person, err := c.person(keys)
	return &state.Book{Person: person}, err
}

// ChangeKeys logs a change of the home log's keys, signed by a person whom the log admits for it. From the next entry on it
// holds. A change that does not fit the keys of the log wraps ledger.ErrKeys.
func (c *Case) ChangeKeys(ctx context.Context, n KeyChange, signer sign.Signer, logKey sign.LogSigner) (ledger.Logged, error) {
	for _, a := range n.Admit {
		if err := c.keep(layout.KeyFile(a.Key.KeyID()), a.Certificate); err != nil {
			return ledger.Logged{}, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.Files)) {
		if err := c.keep(name, n.Files[name]); err != nil {
			return ledger.Logged{}, err
		}
	}
	logged, err := c.append(ctx, logKey, func(h ledger.Head) ([]ledger.Item, error) {
		if err := admitted(h, signer, record.TypeKeysChanged); err != nil {
			return nil, err
		}
		change, openings, err := n.statement(h)
		if err != nil {
			return nil, err
		}
		payload, err := record.Encode(change)
		if err != nil {
			return nil, err
		}
		envelope, err := sign.Seal(signer, payload)
		return []ledger.Item{{Envelope: envelope, Openings: openings, LogKey: n.LogKey}}, err
	})
	if err != nil {
		return ledger.Logged{}, err
	}
	return logged[len(logged)-1], nil
}

// keep creates a file of the case that may be there already.
func (c *Case) keep(name string, data []byte) error {
	err := c.root.CreateEx(name, data)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (n *KeyChange) statement(h ledger.Head) (*record.KeysChanged, record.Openings, error) {
	k := &record.KeysChanged{Admits: []record.Signer{}, Log: logState(h), Time: n.Clock(), Withdraws: []record.Withdrawal{}}
	var openings record.Openings
	var err error
	if k.Because, err = openings.CommitFact(n.Random, "/because", n.Because, "not given"); err != nil {
		return nil, nil, err
	}
	if k.Admits, err = signers(n.Admit, "/admits", n.Random, &openings); err != nil {
		return nil, nil, err
	}
	known := map[string]string{} // public keys by their identifiers
	for _, s := range h.Keys.Signers(h.Size) {
		known[s.KeyID] = s.PublicKey
	}
	for _, a := range n.Admit {
		known[a.Key.KeyID()] = a.Key.Base64()
	}
	for _, w := range n.Withdraw {
		out := record.Withdrawal{PublicKey: known[w.KeyID], Reason: w.Reason, Since: w.Since, Successor: known[w.Successor]}
		for _, id := range []string{w.KeyID, w.Successor} {
			if id != "" && known[id] == "" {
				return nil, nil, fmt.Errorf("%w: key %s is not admitted", ledger.ErrKeys, id)
			}
		}
		k.Withdraws = append(k.Withdraws, out)
	}
	slices.SortFunc(k.Withdraws, func(a, b record.Withdrawal) int { return cmp.Compare(a.PublicKey, b.PublicKey) })
	if n.LogKey != nil {
		keys := n.LogKey.Keys()
		k.LogKeys = keys[:]
	}
	return k, openings, nil
}

// signers are the admissions as they stand in a statement, in the member of it that place points to.
func signers(admit []Admission, place string, random io.Reader, openings *record.Openings) ([]record.Signer, error) {
	out := []record.Signer{}
	for i, a := range admit {
		s := record.Signer{Events: slices.Sorted(slices.Values(a.Events)), Kind: a.Kind, PublicKey: a.Key.Base64()}
		var err error
		if s.Holder, err = openings.CommitFact(random, fmt.Sprintf("%s/%d/holder", place, i), a.Holder, "not given"); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// admissions are the keys that a log admits now, with their holders as far as they are revealed.
func admissions(l *ledger.Log) ([]Admission, error) {
	var out []Admission
	openings := map[int64]record.Openings{}
	for _, s := range l.Keys().Signers(l.Size()) {
		key, err := sign.ParsePublicKeyBase64(s.PublicKey)
		if err != nil {
			return nil, err
		}
		if _, ok := openings[s.From]; !ok {
			if openings[s.From], err = openingsOf(l, s.From); err != nil {
				return nil, err
			}
		}
		holder, _ := openings[s.From].Value(s.Holder())
		out = append(out, Admission{Key: key, Kind: s.Kind, Holder: holder, Events: s.Events})
	}
	return out, nil
}
