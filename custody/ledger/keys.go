package ledger

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// ErrKeys says that a change of keys does not fit the keys that the log has.
var ErrKeys = errors.New("the change does not fit the keys of the log")

// MaxKeyChanges bounds the changes of one log: whoever reads the log reads all of them first.
const MaxKeyChanges = 1000

// Next stands in place of an entry's index for that of the entry that comes next, however long the log is.
const Next = int64(layout.MaxLogSize)

// Keys are what a genesis and the changes after it say: who may sign which entry, and by which keys checkpoints are signed. Only
// Change changes it; copies of it share nothing that matters.
type Keys struct {
	genesis *record.CaseOpened
	signers map[string][]Signer // by key identifier; the last one that has begun counts
	pairs   []pair              // of log keys
	used    map[string]bool     // every public key of a checkpoint line that there ever was, base64
	older   map[string]string   // of a key identifier that of the key which it succeeds
	changes []record.KeysRef
	by      []string // key identifiers of who signed them
}

// Signer is a key and what it may sign.
type Signer struct {
	record.Signer
	KeyID string
	From  int64 // the entry that admits it, which holds for the entries after that; those of the genesis hold for it, too
	Nth   int   // of those that the entry admits
	Until int64 // the entry that withdraws it, the last that it may sign; 0: none does
}

// Holder is the JSON pointer of the holder's name in entry From.
func (s Signer) Holder() string {
	if s.From == 0 {
		return fmt.Sprintf("/signers/%d/holder", s.Nth)
	}
	return fmt.Sprintf("/admits/%d/holder", s.Nth)
}

// pair is a log key, and the entry that brings it.
type pair struct {
	from int64
	keys []record.LogKey
}

// GenesisKeys are the keys of a log in which they have not changed yet.
func GenesisKeys(g *record.CaseOpened) (*Keys, error) {
	k := &Keys{genesis: g, signers: map[string][]Signer{}, pairs: []pair{{0, g.LogKeys}}, used: map[string]bool{}, older: map[string]string{}}
	for _, l := range g.LogKeys {
		k.used[l.PublicKey] = true
	}
	for i, s := range g.Signers {
		id, err := keyID(s.PublicKey)
		if err != nil {
			return nil, err
		}
		k.signers[id] = []Signer{{Signer: s, KeyID: id, Nth: i}}
	}
	return k, nil
}

func keyID(publicKey string) (string, error) {
	der, err := base64.StdEncoding.DecodeString(publicKey)
	if err != nil {
		return "", fmt.Errorf("%w: public key: %w", record.ErrMalformed, err)
	}
	return sign.KeyID(der), nil
}

// Signer returns the key of that identifier and what it may sign as entry i. Only that key is parsed, for a log may admit a thousand.
// One that is not admitted there wraps ErrStatement; of one
// that was withdrawn the Signer says by which entry.
func (k *Keys) Signer(keyID string, i int64) (Signer, sign.PublicKey, error) {
	s, ok := k.at(keyID, i)
	switch {
	case !ok && s.Until > 0:
		return s, sign.PublicKey{}, fmt.Errorf("%w: entry %d withdraws key %.64q", ErrStatement, s.Until, keyID)
	case !ok:
		return Signer{}, sign.PublicKey{}, fmt.Errorf("%w: the log admits no key %.64q", ErrStatement, keyID)
	}
	key, err := sign.ParsePublicKeyBase64(s.PublicKey)
	if err != nil {
		return Signer{}, sign.PublicKey{}, err
	}
	return s, key, nil
}

// at returns what counts of a key at entry i, and whether it is admitted there.
func (k *Keys) at(keyID string, i int64) (Signer, bool) {
	for _, s := range slices.Backward(k.signers[keyID]) {
		if s.From < i || s.From == 0 {
			return s, s.Until == 0 || i <= s.Until
		}
	}
	return Signer{}, false
}

// MaySign reports whether the key of that identifier may sign a statement of type t as entry i.
func (k *Keys) MaySign(keyID string, t record.Type, i int64) bool {
	s, ok := k.at(keyID, i)
	return ok && s.MaySign(t)
}

// Signers returns the keys that are admitted at entry i, in the order in which they came.
func (k *Keys) Signers(i int64) []Signer {
	var out []Signer
	for id := range k.signers {
		if s, ok := k.at(id, i); ok {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Signer) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Nth, b.Nth)) })
	return out
}

// PublicKey is the key of that identifier, which is or was admitted.
func (k *Keys) PublicKey(keyID string) (sign.PublicKey, error) {
	all := k.signers[keyID]
	if len(all) == 0 {
		return sign.PublicKey{}, fmt.Errorf("%w: the log admits no key %.64q", ErrStatement, keyID)
	}
	return sign.ParsePublicKeyBase64(all[0].PublicKey)
}

// Kind is that of a key that is or was admitted.
func (k *Keys) Kind(keyID string) string {
	if all := k.signers[keyID]; len(all) > 0 {
		return all[0].Kind
	}
	return ""
}

// Kinds are those of every key, by its identifier, that a device can hold: the signers that are or were admitted, and the ECDSA
// half of each log key, whose kind is sign.KindLog.
func (k *Keys) Kinds() map[string]string {
	kinds := map[string]string{}
	for _, id := range k.All() {
		kinds[id] = k.Kind(id)
	}
	for _, l := range k.AllLogKeys() {
		if der, err := base64.StdEncoding.DecodeString(l.PublicKey); err == nil && l.Line == record.LineECDSA {
			kinds[sign.KeyID(der)] = sign.KindLog
		}
	}
	return kinds
}

// AllLogKeys are the keys of checkpoint lines that are or were in force, in their order.
func (k *Keys) AllLogKeys() []record.LogKey {
	var out []record.LogKey
	for _, p := range k.pairs {
		out = append(out, p.keys...)
	}
	return out
}

// All returns the identifiers of every key that is or was admitted, sorted.
func (k *Keys) All() []string { return slices.Sorted(maps.Keys(k.signers)) }

// LogKeys are the keys by which a checkpoint of that size is signed: the pair in force, and where its last entry is the one
// that brings this pair, the pair before it and this one.
func (k *Keys) LogKeys(size int64) []record.LogKey {
	at := 0
	for i, p := range k.pairs {
		if p.from < size {
			at = i
		}
	}
	if at > 0 && k.pairs[at].from == size-1 {
		return append(slices.Clone(k.pairs[at-1].keys), k.pairs[at].keys...)
	}
	return slices.Clone(k.pairs[at].keys)
}

// LogKey is the pair that signs the next checkpoint.
func (k *Keys) LogKey() []record.LogKey { return k.pairs[len(k.pairs)-1].keys }

// Before names the newest change that comes before entry i; nil if there is none.
func (k *Keys) Before(i int64) *record.KeysRef {
	for _, c := range slices.Backward(k.changes) {
		if c.Index < i {
			return &c
		}
	}
	return nil
}

// Changes lists the changes, in their order.
func (k *Keys) Changes() []record.KeysRef { return slices.Clone(k.changes) }

// ChangedBy lists who signed the changes, by their key identifiers, in their order.
func (k *Keys) ChangedBy() []string { return slices.Clone(k.by) }

// Person returns the identifier of the first key of whoever has the key: itself, unless it succeeds another.
func (k *Keys) Person(keyID string) string {
	for range k.older { // as many steps as there can be
		older, ok := k.older[keyID]
		if !ok {
			break
		}
		keyID = older
	}
	return keyID
}

// Persons is Person over several logs of a case. Of its own keys each writer says who succeeds whom; of a key that the log of another
// writer admits, too, nobody but that one does: else whoever joins a case could make themselves the successor of its
// officers. A log and the one that it continues are those of one writer.
func Persons(logs []*Keys) func(keyID string) string {
	byOrigin := map[string]*Keys{}
	for _, k := range logs {
		byOrigin[k.genesis.Origin] = k
	}
	writer := func(k *Keys) string {
		origin := k.genesis.Origin
		for range logs { // as many steps as there can be
			at := byOrigin[origin]
			if at == nil || at.genesis.Continues == nil {
				break
			}
			origin = at.genesis.Continues.Origin
		}
		return origin
	}
	others := func(k *Keys, keyID string) bool {
		return slices.ContainsFunc(logs, func(other *Keys) bool { return writer(other) != writer(k) && other.Kind(keyID) != "" })
	}
	return func(keyID string) string {
		for range logs { // a key may succeed one in the log that was continued, which succeeded another
			before := keyID
			for _, k := range logs {
				if older := k.Person(keyID); older != keyID && !others(k, older) {
					keyID = older
				}
			}
			if keyID == before {
				break
			}
		}
		return keyID
	}
}

// OpenCheckpoint verifies every line of a signed checkpoint that is in force at its size, and reads it. Errors are those of the
// function OpenCheckpoint.
func (k *Keys) OpenCheckpoint(note []byte) (Checkpoint, error) {
	size, err := peekSize(note)
	if err != nil {
		return Checkpoint{}, err
	}
	return OpenCheckpoint(note, k.genesis.Origin, k.LogKeys(size))
}

// peekSize reads the size out of a signed checkpoint that nobody has verified yet.
func peekSize(note []byte) (int64, error) {
	text, _, _ := bytes.Cut(note, []byte("\n\n"))
	c, err := ParseCheckpoint(string(text) + "\n")
	return c.Size, err
}

// CheckProof checks a proof.tlog-proof as the function CheckProof does, with the keys in force at the size of its checkpoint.
func (k *Keys) CheckProof(b, entry []byte) (index, size int64, checkpoint []byte, err error) {
	p, err := ParseProof(b)
	if err == nil {
		size, err = peekSize(p.Checkpoint)
	}
	if err != nil {
		return 0, 0, nil, err
	}
	return CheckProof(b, entry, k.genesis.Origin, k.LogKeys(size))
}

// Change takes in the envelope of a record.KeysChanged as entry i, after every one before it, and returns it with its leaf hash. It
// is signed by a person whom the log admits for that, stands alone under the checkpoint that follows it, and fits the keys
// that the log has: else the error wraps ErrKeys, ErrStatement or what is wrong with the envelope, and k stays as it was.
func (k *Keys) Change(i int64, envelope []byte) (*record.KeysChanged, record.LeafHash, error) {
	fail := func(err error) (*record.KeysChanged, record.LeafHash, error) { return nil, record.LeafHash{}, err }
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return fail(err)
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return fail(err)
	}
	c, ok := p.(*record.KeysChanged)
	if !ok {
		return fail(fmt.Errorf("%w: a statement of type %q where the keys should change", record.ErrMalformed, p.Type()))
	}
	s, key, err := k.Signer(e.KeyID, i)
	if err != nil {
		return fail(err)
	}
	if !s.MaySign(record.TypeKeysChanged) {
		return fail(fmt.Errorf("%w: the log does not admit key %s to change its keys", ErrStatement, e.KeyID))
	}
	if err := e.Verify(key); err != nil {
		return fail(err)
	}
	entry, err := e.Entry(key)
	if err != nil {
		return fail(err)
	}
	next := k.clone()
	if err := next.apply(i, c, LeafHash(entry)); err != nil {
		return fail(err)
	}
	next.by = append(next.by, e.KeyID)
	*k = *next
	return c, LeafHash(entry), nil
}

// clone copies what apply changes.
func (k *Keys) clone() *Keys {
	c := *k
	c.signers, c.used, c.older = maps.Clone(k.signers), maps.Clone(k.used), maps.Clone(k.older)
	c.pairs, c.changes, c.by = slices.Clone(k.pairs), slices.Clone(k.changes), slices.Clone(k.by)
	return &c
}

func (k *Keys) apply(i int64, c *record.KeysChanged, leaf record.LeafHash) error {
	switch before := k.Before(i); {
	case c.Log.Origin != k.genesis.Origin:
		return fmt.Errorf("%w: it was made for log %s", ErrKeys, c.Log.Origin)
	case c.Log.Size != i:
		return fmt.Errorf("%w: entry %d names the checkpoint of size %d, and is not the first entry after it", ErrKeys, i, c.Log.Size)
	case !sameRef(c.Log.Keys, before):
		return fmt.Errorf("%w: entry %d does not name the change before it", ErrKeys, i)
	case len(k.changes) >= MaxKeyChanges:
		return fmt.Errorf("%w: %d changes are the most that a log may have", ErrKeys, MaxKeyChanges)
	}
	if c.LogKeys != nil {
		if k.genesis.Counter != nil {
			return fmt.Errorf("%w: a log with a counter keeps its log key; it is continued in another log", ErrKeys)
		}
		for _, l := range c.LogKeys {
			if err := k.fresh(l.PublicKey); err != nil {
				return err
			}
			k.used[l.PublicKey] = true
		}
		k.pairs = append(k.pairs, pair{i, c.LogKeys})
	}
	for n, s := range c.Admits {
		if err := k.admit(i, n, s); err != nil {
			return err
		}
	}
	for _, w := range c.Withdraws {
		if err := k.withdraw(i, w); err != nil {
			return err
		}
	}
	k.changes = append(k.changes, record.KeysRef{Index: i, Leaf: leaf})
	return k.remain(i + 1)
}

func sameRef(a, b *record.KeysRef) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

// fresh requires that a key of a log was never anything else.
func (k *Keys) fresh(publicKey string) error {
	id, err := keyID(publicKey)
	if err != nil {
		return err
	}
	if k.used[publicKey] || k.signers[id] != nil {
		return fmt.Errorf("%w: key %s is not new", ErrKeys, id)
	}
	return nil
}

func (k *Keys) admit(i int64, n int, s record.Signer) error {
	id, err := keyID(s.PublicKey)
	if err != nil {
		return err
	}
	have, ok := k.at(id, i)
	switch {
	case k.used[s.PublicKey]:
		return fmt.Errorf("%w: key %s signs checkpoints", ErrKeys, id)
	case k.signers[id] != nil && !ok:
		return fmt.Errorf("%w: key %s was withdrawn by entry %d, and is never admitted again", ErrKeys, id, have.Until)
	case ok && have.Kind != s.Kind:
		return fmt.Errorf("%w: key %s is that of a %s, not of a %s", ErrKeys, id, have.Kind, s.Kind)
	}
	k.signers[id] = append(slices.Clone(k.signers[id]), Signer{Signer: s, KeyID: id, From: i, Nth: n})
	return nil
}

func (k *Keys) withdraw(i int64, w record.Withdrawal) error {
	id, err := keyID(w.PublicKey)
	if err != nil {
		return err
	}
	have, ok := k.at(id, i)
	if !ok {
		return fmt.Errorf("%w: key %s is withdrawn and not admitted", ErrKeys, id)
	}
	all := slices.Clone(k.signers[id])
	all[len(all)-1].Until = i
	k.signers[id] = all
	if w.Successor == "" {
		return nil
	}
	next, err := keyID(w.Successor)
	if err != nil {
		return err
	}
	if s, ok := k.at(next, i+1); !ok || s.Kind != have.Kind || k.older[next] != "" || k.Person(id) == next {
		return fmt.Errorf("%w: key %s cannot succeed key %s: it is not admitted, of another kind, or succeeds another", ErrKeys, next, id)
	}
	k.older[next] = id
	return nil
}

// remain requires of the keys at entry i that somebody can change them again, and that they are not too many.
func (k *Keys) remain(i int64) error {
	all := k.Signers(i)
	if len(all) > record.MaxSigners {
		return fmt.Errorf("%w: %d signers, at most %d are admitted at one time", ErrKeys, len(all), record.MaxSigners)
	}
	if !slices.ContainsFunc(all, func(s Signer) bool { return s.MaySign(record.TypeKeysChanged) }) {
		return fmt.Errorf("%w: nobody would be left who may change them", ErrKeys)
	}
	return nil
}
