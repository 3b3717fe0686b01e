package custody

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// ErrStrange says that a log which was handed over has nothing to do with the case.
var ErrStrange = errors.New("the log is of another case")

// Foreign is a log that was handed over: what it says of itself. It is not trusted for that.
type Foreign struct {
	Log     *ledger.Log
	Genesis *record.CaseOpened
	Leaf    record.LeafHash // its fingerprint

	keyFiles map[string][]byte // certificates of the keys that it admits, and what shows that a TPM holds one, by their names below a case folder
}

// OpenForeign opens the files of a log that was handed over, as Export wrote them, and requires that all are there and fit.
func OpenForeign(ctx context.Context, fsys fs.FS) (*Foreign, error) {
	l, g, leaf, err := ledger.OpenForeign(ctx, fsys)
	if err != nil {
		return nil, err
	}
	f := &Foreign{Log: l, Genesis: g, Leaf: leaf}
	f.keyFiles, err = readKeyFiles(fsys, l.Keys(), g.Origin)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Joining is what the genesis of a log says that is opened beside this one.
func (f *Foreign) Joining() *record.Joining {
	return &record.Joining{Checkpoint: record.SHA256Digest(sha256.Sum256(f.Log.Checkpoint())), Genesis: f.Leaf, Origin: f.Genesis.Origin, Size: f.Log.Size()}
}

// Export hands the files of the home log, and those of its keys, to write, by names that
// OpenForeign and Import read. Of the personal fields only those of the genesis and of one exhibit's events are revealed,
// or all, when exhibit is empty. With redact what the exhibit's newest redaction in the home log withholds is left out of the
// events before it; ErrNoRedaction if there is none.
func (c *Case) Export(exhibit string, redact bool, write func(name string, data []byte) error) (*ledger.Log, error) {
	l, err := c.openLog()
	if err != nil {
		return nil, err
	}
	if err := c.exportKeys(l.Keys(), write); err != nil {
		return nil, err
	}
	reveal, err := c.reveal(exhibit, redact)
	if err != nil {
		return nil, err
	}
	return l, missing(l.Export(reveal, write))
}

// Extract hands the files of an extract of one exhibit's events in the home log to write; redact is as in Export, from are sizes as in
// ledger.Log.WriteExtract.
func (c *Case) Extract(exhibit string, from []int64, redact bool, write func(name string, data []byte) error) (ledger.Manifest, error) {
	l, err := c.openLog()
	if err != nil {
		return ledger.Manifest{}, err
	}
	reveal, err := c.reveal(exhibit, redact)
	if err != nil {
		return ledger.Manifest{}, err
	}
	m, err := l.WriteExtract(exhibit, from, reveal, write)
	return m, missing(err)
}

// reveal says which openings are handed on, as Export tells.
func (c *Case) reveal(exhibit string, redact bool) (ledger.Reveal, error) {
	var withheld Withheld
	if redact {
		var err error
		if withheld, err = c.Withheld(exhibit); err != nil {
			return nil, err
		}
	}
	return func(i int64, p record.Predicate, openings []byte) ([]byte, error) {
		ev, ok := p.(record.Event)
		of := ok && ev.Header().Exhibit == exhibit
		if exhibit != "" && i > 0 && !of {
			return nil, nil
		}
		if !redact || !of {
			return openings, nil
		}
		o, err := record.DecodeOpenings(openings)
		if err != nil {
			return nil, err
		}
		return Redact(Entry{Index: i, Openings: o}, withheld)
	}, nil
}

// Withheld finds what the newest redaction of an exhibit withholds; none is ErrNoRedaction. A redaction is about the events of the log it stands in.
func (c *Case) Withheld(exhibit string) (Withheld, error) {
	chain, err := c.scan(exhibit)
	if err != nil {
		return Withheld{}, err
	}
	w, found := LastWithheld(chain)
	if !found {
		return Withheld{}, fmt.Errorf("exhibit %q: %w", exhibit, ErrNoRedaction)
	}
	return w, nil
}

// Import takes a log that was handed over into the case: one that was opened beside a log of the case, or beside which one
// of them was. It returns the number of new entries. The case then holds it in its own folder of logs/; of a log that has
// two histories, both are kept, the other one in forks/, and the error is a *ledger.ForkError.
func (c *Case) Import(ctx context.Context, f *Foreign) (added int64, err error) {
	origin := f.Genesis.Origin
	if origin == c.genesis.Origin {
		return 0, c.compareOwn(f)
	}
	if err := c.related(f); err != nil {
		return 0, err
	}
	if err := c.againstExtracts(f); err != nil {
		return 0, c.keepFork(f, err)
	}
	dir := layout.LogDir(origin)
	if err := c.root.MkdirAll(dir); err != nil {
		return 0, err
	}
	root, err := c.root.Sub(dir)
	if err != nil {
		return 0, err
	}
	added, err = ledger.Import(ctx, root, f.Log, c.Waiting)
	if err := errors.Join(err, root.Close()); err != nil {
		return 0, c.keepFork(f, err)
	}
	return added, c.keepKeyFiles(origin, f.keyFiles)
}

// compareOwn says of a copy of the home log that it is one, or that it shows another history.
func (c *Case) compareOwn(f *Foreign) error {
	own, err := c.openLog()
	if err != nil {
		return err
	}
	if f.Leaf != c.leaf {
		return fmt.Errorf("%w: it has the name of the case's own log, and another genesis", record.ErrMalformed)
	}
	if err := ledger.Compare(own, f.Log); err != nil {
		return c.keepFork(f, err)
	}
	if f.Log.Size() > own.Size() {
		return fmt.Errorf("%w: it is the case's own log with %d entries, of which only %d are here: an older copy was put in place of this folder", record.ErrMalformed, f.Log.Size(), own.Size())
	}
	return fmt.Errorf("%w: it is a copy of the case's own log", ErrExists)
}

// keepFork keeps the other history of a log as evidence, when err says that it is one.
func (c *Case) keepFork(f *Foreign, err error) error {
	if _, ok := errors.AsType[*ledger.ForkError](err); !ok {
		return err
	}
	sum := sha256.Sum256(f.Log.Checkpoint())
	dir := layout.ForkDir(f.Genesis.Origin, hex.EncodeToString(sum[:]))
	made := map[string]bool{}
	kerr := f.Log.Export(nil, func(name string, data []byte) error {
		name = dir + "/" + name
		if parent := path.Dir(name); !made[parent] {
			made[parent] = true
			if err := c.root.MkdirAll(parent); err != nil {
				return err
			}
		}
		return c.root.CreateIdempotent(name, data)
	})
	if kerr != nil {
		return errors.Join(err, fmt.Errorf("keep the other history in %q: %w", dir, kerr))
	}
	return fmt.Errorf("%w; both are kept, the other one in %q", err, dir)
}

// related requires that a log belongs to the case by what one genesis says of another.
func (c *Case) related(f *Foreign) error {
	if f.Genesis.Case != c.genesis.Case {
		return fmt.Errorf("%w: %q, and this is %q", ErrStrange, f.Genesis.Case, c.genesis.Case)
	}
	here, err := c.Logs()
	if err != nil {
		return err
	}
	for _, l := range here {
		j, k := f.Genesis.Joins, l.Genesis.Joins
		if j != nil && j.Origin == l.Origin && j.Genesis == l.Leaf || k != nil && k.Origin == f.Genesis.Origin && k.Genesis == f.Leaf {
			return nil
		}
		if continues(f.Genesis, l.Origin) || continues(l.Genesis, f.Genesis.Origin) {
			return c.continuedFrom(f, l)
		}
	}
	return fmt.Errorf("%w: neither was it opened beside a log that is here, nor one of those beside it, nor does one continue the other", ErrStrange)
}

func continues(g *record.CaseOpened, origin string) bool {
	return g.Continues != nil && g.Continues.Origin == origin
}

// continuedFrom requires that the older of two logs, of which one continues the other, has the checkpoint that the newer one
// names. Where the older one is here as a copy that is not that long yet, package verify says so.
func (c *Case) continuedFrom(f *Foreign, l Held) error {
	older, k := f.Log, l.Genesis.Continues
	if continues(f.Genesis, l.Origin) {
		held, err := c.openHeld(l)
		if err != nil {
			return err
		}
		older, k = held, f.Genesis.Continues
	}
	if older.Size() < k.Size {
		return nil
	}
	at, err := older.At(k.Size)
	if err != nil {
		return missing(err)
	}
	if record.SHA256Of(at.Checkpoint()) != k.Checkpoint {
		return fmt.Errorf("%w: of log %s it was continued from another checkpoint of size %d than the one that is known", ErrStrange, k.Origin, k.Size)
	}
	return nil
}

// Held is a log of the case.
type Held struct {
	Origin  string
	Genesis *record.CaseOpened
	Leaf    record.LeafHash
}

// Logs returns the logs that lie in the case folder, the home log first, the others by name. A folder that has no genesis
// yet, as after an import that was killed, is left out. Nothing is verified.
func (c *Case) Logs() ([]Held, error) {
	held := []Held{c.home()}
	entries, err := fs.ReadDir(c.root.FS(), layout.LogsDir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() == c.genesis.Origin || !record.ValidOrigin(e.Name()) || !e.IsDir() {
			continue
		}
		logFS, err := fs.Sub(c.root.FS(), layout.LogDir(e.Name()))
		if err != nil {
			return nil, err
		}
		_, g, leaf, err := ledger.ReadGenesis(logFS)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && g.Origin != e.Name() {
			err = fmt.Errorf("%w: its genesis is that of log %s", record.ErrMalformed, g.Origin)
		}
		if err != nil {
			return nil, fmt.Errorf("log %s: %w", e.Name(), err)
		}
		held = append(held, Held{e.Name(), g, leaf})
	}
	return held, nil
}

// several returns the logs of the case when stations or agencies have joined it, or a log continues another, else nil: then the
// home log alone says what is known. A log that the home log goes on from, and that is not here, is ErrMissing: without it an
// exhibit would look as if nothing had happened to it.
func (c *Case) several() ([]Held, error) {
	held, err := c.Logs()
	if err == nil && c.hasExtracts() {
		_, err = c.own(held)
		return held, err
	}
	if err != nil || !slices.ContainsFunc(held, func(h Held) bool { return h.Genesis.Joins != nil || h.Genesis.Continues != nil }) {
		return nil, err
	}
	_, err = c.own(held)
	return held, err
}

// own returns the logs of this case's writer: the home log, the one that it continues, and so on.
func (c *Case) own(held []Held) ([]Held, error) {
	own := held[:1:1]
	for k := held[0].Genesis.Continues; k != nil; k = own[len(own)-1].Genesis.Continues {
		i := slices.IndexFunc(held, func(h Held) bool { return h.Origin == k.Origin })
		if i < 0 {
			return nil, fmt.Errorf("log %s, which log %s continues: %w: %q", k.Origin, own[len(own)-1].Origin, ErrMissing, layout.LogDir(k.Origin))
		}
		if len(own) == len(held) {
			return nil, fmt.Errorf("%w: the logs of the case continue each other in a circle", record.ErrMalformed)
		}
		own = append(own, held[i])
	}
	return own, nil
}

// merged reads the events of one exhibit, or of all when it is empty, from every log of the case, in one order.
func (c *Case) merged(held []Held, exhibit string) ([]Entry, error) {
	logs, entries := make([]state.Sequence, len(held)), make([][]Entry, len(held))
	for i, h := range held {
		l, err := c.openHeld(h)
		if err != nil {
			return nil, err
		}
		logs[i] = state.SequenceOf(h.Genesis)
		for n := int64(1); n < l.Size(); n++ {
			e, err := readEntry(l, n)
			if err != nil {
				return nil, fmt.Errorf("log %s: %w", h.Origin, err)
			}
			logs[i].Steps = append(logs[i].Steps, state.StepOf(n, e.Leaf, e.Predicate))
			if i > 0 {
				e.Log = h.Origin
			}
			if !e.of(exhibit) && exhibit != "" {
				e = Entry{}
			}
			if exhibit == "" { // of all events in memory at once, the states need none
				e.Envelope = nil
			}
			entries[i] = append(entries[i], e)
		}
	}
	extra, err := c.withExtracts(held, &logs)
	if err != nil {
		return nil, err
	}
	order, err := orderOf(logs)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, p := range order {
		e, only := extra[p]
		if !only {
			e = entries[p.Log][p.Step]
		}
		if e.Predicate != nil && e.logged().Event != nil && (!only || exhibit == "" || e.of(exhibit)) {
			out = append(out, e)
		}
	}
	return out, nil
}

func orderOf(logs []state.Sequence) ([]state.Place, error) {
	order, circular := state.Order(logs)
	if circular {
		return nil, fmt.Errorf("%w: what the logs of the case say of each other's order cannot be true", record.ErrMalformed)
	}
	return order, nil
}

func (c *Case) openHeld(h Held) (*ledger.Log, error) {
	logFS, err := fs.Sub(c.root.FS(), layout.LogDir(h.Origin))
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(logFS, h.Origin, h.Genesis.LogKeys)
	if err != nil {
		return nil, fmt.Errorf("log %s: %w", h.Origin, missing(err))
	}
	return l, nil
}

// Anchor takes the newest checkpoint that the case holds of another log in as an entry of the home log, unless the home
// log's newest entry about it names that very one, or a larger one. Any key that the genesis admits signs it.
func (c *Case) Anchor(ctx context.Context, origin string, signer sign.Signer, logKey sign.LogSigner, clock record.Clock) (done bool, err error) {
	held, err := c.Logs()
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(held[1:], func(h Held) bool { return h.Origin == origin })
	if i < 0 {
		return false, fmt.Errorf("log %s: %w", origin, ErrMissing)
	}
	h := held[i+1]
	l, err := c.openHeld(h)
	if err != nil {
		return false, err
	}
	return c.anchor(ctx, sighting{origin: origin, leaf: h.Leaf, size: l.Size(), note: l.Checkpoint()}, signer, logKey, clock)
}

// sighting is a checkpoint of another log.
type sighting struct {
	origin string
	leaf   record.LeafHash // of its genesis
	size   int64
	note   []byte
	from   *record.Extract // in which it came; nil: with the whole log
}

// covers reports whether an entry of the home log says what another about the sighting would. That an extract came says nothing of
// the whole log: without an entry of its own it could vanish unseen.
func (s sighting) covers(a *record.Anchored) bool {
	if s.from != nil {
		return a.Extract != nil && *a.Extract == *s.from
	}
	return a.Extract == nil && a.Size >= s.size
}

func (c *Case) anchor(ctx context.Context, s sighting, signer sign.Signer, logKey sign.LogSigner, clock record.Clock) (done bool, err error) {
	if _, found, err := c.newestAnchor(s.origin, s.covers); err != nil || found {
		return false, err
	}
	_, err = c.append(ctx, logKey, func(head ledger.Head) ([]ledger.Item, error) {
		if head.Closed {
			return nil, ledger.ErrClosed
		}
		a := &record.Anchored{Checkpoint: string(s.note), Extract: s.from, Genesis: s.leaf, Log: logState(head), Origin: s.origin, Size: s.size, Time: clock()}
		payload, err := record.Encode(a)
		if err != nil {
			return nil, err
		}
		envelope, err := sign.Seal(signer, payload)
		return []ledger.Item{{Envelope: envelope}}, err
	})
	return err == nil, err
}

func logState(h ledger.Head) record.LogState {
	return record.LogState{Anchors: h.Anchors, Attestations: h.Attestations, Checkpoint: h.Checkpoint, Keys: h.Keys.Before(h.Size), Origin: h.Origin, Size: h.Size}
}
