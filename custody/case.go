// Package custody keeps a case folder: it opens the case with its genesis, and appends custody events to its log.
//
// Start with [Create] and [Open], then [Case.Append]. The promise: an event is numbered, tied to the exhibit's
// previous event and to the log's state, signed and logged under one lock, so that leaving one out or changing the
// order is seen; a case folder is complete from the moment its case.json is there. The package reads only what it
// needs to append; whether a case is sound is for package verify to say.
package custody

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"maps"
	"os"
	"slices"
	"sync"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Errors a caller branches on.
var (
	ErrNotCase     = errors.New("not a case folder")
	ErrNotAdmitted = errors.New("the case does not admit this key for this event")
	ErrExists      = errors.New("already exists")
	ErrSeized      = errors.New("the exhibit's chain has already begun")
	ErrRecorded    = errors.New("the log has another record of this acquisition")
	// ErrMissing says that a file which the case must have is not there.
	ErrMissing = errors.New("a file of the case is missing")
)

// missing says of a file of the case that is not there that it is ErrMissing, and which; any other error it returns as it is.
func missing(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ledger.ErrRefused) {
		return fmt.Errorf("%w: %q", ErrMissing, e.Path)
	}
	return err
}

// Case is an open case folder. Close it after use; its methods may be called from several goroutines.
type Case struct {
	// Recovered, if not nil, is told of each statement that an earlier, interrupted append had left and that an append has
	// logged now: the person who appends should know of an entry that they did not write.
	Recovered func(ledger.Logged)
	// Waiting, if not nil, is told once by an append that has waited for a second for the log's lock who holds it.
	Waiting func(held error)

	root    *durable.Root
	dir     string
	genesis *record.CaseOpened
	leaf    record.LeafHash

	mu   sync.Mutex
	made []string // folders of exhibits that were made since the case was opened
}

// Admission is a key that the genesis admits, with what it may sign.
type Admission struct {
	Key         sign.PublicKey
	Kind        string        // record.KindPerson or record.KindStation
	Holder      string        // a person's name, or empty; stands in the genesis only as a commitment
	Events      []record.Type // in any order
	Certificate []byte        // PEM, copied into keys/
}

// NewCase is what a genesis says. All but OpenedBy, Admission.Holder, Counter and Files is required.
type NewCase struct {
	Number, Agency string
	OpenedBy       string // a person's name; stands in the genesis only as a commitment
	Admit          []Admission
	Joins          *record.Joining   // the log that this one is opened beside, in a case that others have; nil: a case of its own
	Counter        *record.Counter   // of the log key; may be nil
	Files          map[string][]byte // further files of keys/, by their names below the case folder
	Clock          record.Clock
	Random         io.Reader
}

// Create makes the case folder dir, which must not exist or be empty, with the home log and its genesis signed by
// person. After an error the folder is no case: it lacks its case.json.
func Create(dir string, n NewCase, person sign.Signer, logKey sign.LogSigner) (*Case, error) {
	genesis, openings, err := newGenesis(n, logKey)
	if err != nil {
		return nil, err
	}
	payload, err := record.Encode(genesis)
	if err != nil {
		return nil, err
	}
	envelope, err := sign.Seal(person, payload)
	if err != nil {
		return nil, err
	}
	root, err := newFolder(dir)
	if err != nil {
		return nil, err
	}
	if err := fill(root, genesis, n, payload, ledger.Item{Envelope: envelope, Openings: openings}, logKey); err != nil {
		return nil, errors.Join(fmt.Errorf("create case %q: %w", dir, err), root.Close())
	}
	if err := root.Close(); err != nil {
		return nil, err
	}
	return Open(dir)
}

func newGenesis(n NewCase, logKey sign.LogSigner) (*record.CaseOpened, record.Openings, error) {
	var nonce [32]byte
	if _, err := io.ReadFull(n.Random, nonce[:]); err != nil {
		return nil, nil, fmt.Errorf("draw the nonce of the genesis: %w", err)
	}
	origin, err := layout.NewOrigin(n.Random)
	if err != nil {
		return nil, nil, err
	}
	keys := logKey.Keys()
	g := &record.CaseOpened{
		Agency: n.Agency, Case: n.Number, Counter: n.Counter, Joins: n.Joins, LogKeys: keys[:], Nonce: hex.EncodeToString(nonce[:]), Origin: origin, Time: n.Clock(),
	}
	var openings record.Openings
	if g.OpenedBy, err = openings.CommitFact(n.Random, "/openedBy", n.OpenedBy, "not given"); err != nil {
		return nil, nil, err
	}
	g.Signers, err = signers(n.Admit, "/signers", n.Random, &openings)
	return g, openings, err
}

// newFolder makes dir, or takes it when it is an empty folder.
func newFolder(dir string) (*durable.Root, error) {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err // without the path, which it does not quote
		}
		return nil, fmt.Errorf("make the folder %q: %w", dir, err)
	}
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("folder %q %w and is not empty", dir, ErrExists)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// fill writes the folder in this order: keys, the log with its genesis, and last case.json, which makes it a case.
func fill(root *durable.Root, g *record.CaseOpened, n NewCase, payload []byte, genesis ledger.Item, logKey sign.LogSigner) error {
	for _, d := range []string{layout.KeysDir, layout.ExhibitsDir, layout.LogDir(g.Origin)} {
		if err := root.MkdirAll(d); err != nil {
			return err
		}
	}
	for _, a := range n.Admit {
		if err := root.CreateEx(layout.KeyFile(a.Key.KeyID()), a.Certificate); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.Files)) {
		if err := root.CreateEx(name, n.Files[name]); err != nil {
			return err
		}
	}
	logRoot, err := root.Sub(layout.LogDir(g.Origin))
	if err != nil {
		return err
	}
	if err := ledger.Create(logRoot, logKey, genesis); err != nil {
		return errors.Join(err, logRoot.Close())
	}
	if err := logRoot.Close(); err != nil {
		return err
	}
	return root.CreateEx(layout.CaseFile, payload)
}

// Open opens the case folder dir. It requires that case.json and the genesis of the home log agree; it does not
// verify the case.
func Open(dir string) (*Case, error) {
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open case: %w", err)
	}
	c := &Case{root: root, dir: dir}
	if err := c.load(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return c, nil
}

func (c *Case) load() error {
	payload, err := c.root.ReadFile(layout.CaseFile, record.MaxJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q is %w: it has no %s", c.dir, ErrNotCase, layout.CaseFile)
	}
	if err != nil {
		return err
	}
	p, err := record.Decode(payload)
	if err != nil {
		return fmt.Errorf("%s: %w", layout.CaseFile, err)
	}
	opened, ok := p.(*record.CaseOpened)
	if !ok {
		return fmt.Errorf("%s: %w: a statement of type %q", layout.CaseFile, record.ErrMalformed, p.Type())
	}
	logFS, err := fs.Sub(c.root.FS(), layout.LogDir(opened.Origin))
	if err != nil {
		return err
	}
	envelope, genesis, leaf, err := ledger.ReadGenesis(logFS)
	if err != nil {
		return fmt.Errorf("log %s: %w", opened.Origin, missing(err))
	}
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return err
	}
	if !bytes.Equal(e.Payload, payload) {
		return fmt.Errorf("%s: %w: it differs from leaf 0 of the log %s", layout.CaseFile, record.ErrMalformed, opened.Origin)
	}
	c.genesis, c.leaf = genesis, leaf
	return nil
}

// Close removes what ExhibitFolder made and nobody used, and releases the folder.
func (c *Case) Close() error { return errors.Join(c.removeEmpty(), c.root.Close()) }

// Dir returns the folder's name as it was opened.
func (c *Case) Dir() string { return c.dir }

// FS returns the case folder for reading.
func (c *Case) FS() fs.FS { return c.root.FS() }

// Genesis returns the home log's leaf 0. The caller must not change it.
func (c *Case) Genesis() *record.CaseOpened { return c.genesis }

// Fingerprint returns the genesis' leaf hash, by which people recognise the case.
func (c *Case) Fingerprint() record.LeafHash { return c.leaf }

// LogFS returns the home log's folder for reading.
func (c *Case) LogFS() (fs.FS, error) { return fs.Sub(c.root.FS(), layout.LogDir(c.genesis.Origin)) }

// Unlogged is an event to log; its header needs only the exhibit's number.
type Unlogged struct {
	Event    record.Event
	Openings record.Openings
}

// Append numbers, signs and logs one event. Waiting for the log's lock ends with ctx. An acquisition is logged once: when
// the log has its record already, as after an append that was interrupted and is repeated, that entry is returned.
func (c *Case) Append(ctx context.Context, e record.Event, openings record.Openings, signer sign.Signer, logKey sign.LogSigner, clock record.Clock) (ledger.Logged, error) {
	logged, err := c.AppendBatch(ctx, []Unlogged{{e, openings}}, signer, logKey, clock)
	if a, ok := e.(*record.Acquired); ok && errors.Is(err, ErrRecorded) {
		return c.recorded(a)
	}
	if err != nil {
		return ledger.Logged{}, err
	}
	return logged[len(logged)-1], nil
}

// AppendBatch logs events in order under one checkpoint: all of them, or none is reported as logged. An acquisition that
// the log has already is ErrRecorded.
func (c *Case) AppendBatch(ctx context.Context, events []Unlogged, signer sign.Signer, logKey sign.LogSigner, clock record.Clock) ([]ledger.Logged, error) {
	logged, err := c.append(ctx, logKey, func(h ledger.Head) ([]ledger.Item, error) {
		if h.Closed {
			return nil, ledger.ErrClosed
		}
		for _, e := range events {
			if err := admitted(h, signer, e.Event.Type()); err != nil {
				return nil, err
			}
		}
		b := builder{c: c, head: h, signer: signer, clock: clock, last: map[string]last{}, imaged: map[[2]string]bool{}, rules: rules{key: logKey}}
		var err error
		if b.rules.book.Person, err = c.person(h.Keys); err != nil {
			return nil, err
		}
		if err := b.unlikeOthers(events); err != nil {
			return nil, err
		}
		var items []ledger.Item
		for _, e := range events {
			item, err := b.item(e)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return items, nil
	})
	return logged, err
}

// append logs what build returns, and tells Recovered what an interrupted append had left.
func (c *Case) append(ctx context.Context, logKey sign.LogSigner, build func(ledger.Head) ([]ledger.Item, error)) ([]ledger.Logged, error) {
	var logged []ledger.Logged
	built := 0
	err := c.inLog(func(root *durable.Root) (err error) {
		logged, err = ledger.Append(ctx, root, logKey, c.Waiting, func(h ledger.Head) ([]ledger.Item, error) {
			items, err := build(h)
			built = len(items)
			return items, err
		})
		return missing(err)
	})
	if err != nil {
		return nil, err
	}
	for _, l := range logged[:len(logged)-built] {
		if c.Recovered != nil {
			c.Recovered(l)
		}
	}
	return logged, nil
}

// admitted requires that the log admits a key for the type as its next entry.
func admitted(h ledger.Head, signer sign.Signer, t record.Type) error {
	if id := signer.PublicKey().KeyID(); !h.Keys.MaySign(id, t, h.Size) {
		return fmt.Errorf("%w: key %s, event %q", ErrNotAdmitted, id, t)
	}
	return nil
}

// Settle completes what an interrupted append has left, without appending anything, and requires what an append requires
// of the log and its counter.
func (c *Case) Settle(ctx context.Context, logKey sign.LogSigner) error {
	_, err := c.append(ctx, logKey, func(ledger.Head) ([]ledger.Item, error) { return nil, nil })
	if errors.Is(err, ledger.ErrNothing) {
		return nil
	}
	return err
}

// builder numbers and signs the events of one append, under the log's lock.
type builder struct {
	c      *Case
	head   ledger.Head
	signer sign.Signer
	clock  record.Clock
	last   map[string]last    // of each exhibit that this batch has an event of
	imaged map[[2]string]bool // exhibits, and acquisitions or copies that this batch records
	rules  rules
}

type last struct {
	number int64
	leaf   *record.LeafHash
}

func (b *builder) item(e Unlogged) (ledger.Item, error) {
	header := e.Event.Header()
	logged, leaf, err := b.head.Events(header.Exhibit)
	if err != nil {
		return ledger.Item{}, err
	}
	before, ok := b.last[header.Exhibit]
	if !ok {
		before = last{int64(len(logged)), leaf}
	}
	if id, ok := imageID(e.Event); ok {
		if err := b.once(header.Exhibit, id, logged); err != nil {
			return ledger.Item{}, err
		}
	}
	header.Number, header.Previous, header.Time = before.number+1, before.leaf, b.clock()
	header.Log = logState(b.head)
	var orphan []state.Breach
	if whole := record.PartOf(e.Event); whole != "" {
		if orphan, err = b.orphan(e.Event, whole); err != nil {
			return ledger.Item{}, err
		}
	}
	if err := b.rules.hold(b.c, b.signer.PublicKey().KeyID(), e, logged, orphan...); err != nil {
		return ledger.Item{}, err
	}
	payload, err := record.Encode(e.Event)
	if err != nil {
		return ledger.Item{}, err
	}
	envelope, err := sign.Seal(b.signer, payload)
	if err != nil {
		return ledger.Item{}, err
	}
	sealed, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return ledger.Item{}, err
	}
	entry, err := sealed.Entry(b.signer.PublicKey())
	if err != nil {
		return ledger.Item{}, err
	}
	own := ledger.LeafHash(entry)
	b.last[header.Exhibit] = last{header.Number, &own}
	b.rules.add(state.LoggedEvent{Leaf: own, KeyID: sealed.KeyID, Event: e.Event, Openings: e.Openings})
	return ledger.Item{Envelope: envelope, Openings: e.Openings}, nil
}

// orphan is that of the rules, which do not know the events of this append.
func (b *builder) orphan(e record.Event, whole string) ([]state.Breach, error) {
	if _, now := b.last[whole]; now {
		return nil, nil
	}
	logged, _, err := b.head.Events(whole)
	if err != nil {
		return nil, err
	}
	return b.rules.orphan(b.c, e, logged)
}

// unlikeOthers requires that the chains that begin here begin under numbers that nobody takes for another's. Of an
// acquisition without a seizure ExhibitFolder required the same before the image was made; its record is not refused any
// more.
func (b *builder) unlikeOthers(events []Unlogged) error {
	begun := map[string]string{}
	for _, e := range events {
		exhibit := e.Event.Header().Exhibit
		first := e.Event.Type() == record.TypeSeized
		if e.Event.Type() == record.TypeReceived { // which may come later in a chain, too
			logged, _, err := b.head.Events(exhibit)
			if err != nil {
				return err
			}
			first = len(logged) == 0
		}
		if !first {
			continue
		}
		other, err := b.head.Alike(exhibit)
		if err != nil {
			return err
		}
		if other != "" {
			return errAlike(exhibit, other)
		}
		begun[record.FoldExhibit(exhibit)] = exhibit
	}
	if len(begun) == 0 {
		return nil
	}
	others, err := b.c.exhibitFolders()
	if err != nil {
		return err
	}
	for _, e := range events {
		others = append(others, e.Event.Header().Exhibit)
	}
	for _, other := range others {
		if number, ok := begun[record.FoldExhibit(other)]; ok && number != other {
			return errAlike(number, other)
		}
	}
	return nil
}

// once refuses the record of an acquisition or copy that the log has already. It must be asked under the lock: another
// process may have logged it, or the append that was just completed for one that was killed. A second record could never be
// taken back.
func (b *builder) once(exhibit, id string, logged []int64) error {
	key := [2]string{exhibit, id}
	found := b.imaged[key]
	entries, err := b.c.events(exhibit, logged)
	if err != nil {
		return err
	}
	for _, e := range entries {
		have, ok := imageID(e.logged().Event)
		found = found || ok && have == id
	}
	if found {
		return fmt.Errorf("exhibit %q, acquisition %s: %w", exhibit, id, ErrRecorded)
	}
	b.imaged[key] = true
	return nil
}

// imageID is the identifier of the image that an event records, if it is the record of one.
func imageID(e record.Event) (id string, ok bool) {
	switch e := e.(type) {
	case *record.Acquired:
		return e.Acquisition.ID, true
	case *record.Copied:
		return e.Copy.ID, true
	}
	return "", false
}
