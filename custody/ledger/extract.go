package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const (
	extractFormat    = "exhibit-extract/v1"
	maxExtractEvents = 10_000
	maxExtractFrom   = 2000 // consistency proofs
)

// ErrNoConsistency says that an extract brings no proof from the size that was asked for.
var ErrNoConsistency = errors.New("the extract has no consistency proof from that size")

// Manifest is what an extract says of itself. Nobody signed it: that there is no later event is its writer's word.
type Manifest struct {
	Count   int64   `json:"count"`          // of the exhibit's events
	Events  []int64 `json:"events"`         // their indexes, rising
	Exhibit string  `json:"exhibit"`        // number
	Format  string  `json:"format"`         // exhibit-extract/v1
	From    []int64 `json:"from"`           // sizes with a consistency proof, rising
	Keys    []int64 `json:"keys,omitempty"` // indexes of the changes of keys, rising
	Last    int64   `json:"last"`           // index of the last event
	Origin  string  `json:"origin"`
	Size    int64   `json:"size"` // of the checkpoint
}

func (m Manifest) encode() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	return json.Marshal(m, json.Deterministic(true))
}

// ParseManifest reads extract.json. Any other spelling, unknown fields and indexes out of order wrap record.ErrMalformed; another
// format wraps record.ErrNewer.
func ParseManifest(b []byte) (Manifest, error) {
	var head struct {
		Format string `json:"format"`
	}
	if len(b) > layout.MaxExtractJSON {
		return Manifest{}, fmt.Errorf("extract: %w: %d bytes", record.ErrMalformed, len(b))
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Manifest{}, fmt.Errorf("extract: %w: %w", record.ErrMalformed, err)
	}
	if v, ok := strings.CutPrefix(head.Format, "exhibit-extract/"); ok && v != "v1" && laterVersion.MatchString(v) {
		return Manifest{}, fmt.Errorf("extract: format %.40q is %w", head.Format, record.ErrNewer)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m, json.RejectUnknownMembers(true)); err != nil {
		return Manifest{}, fmt.Errorf("extract: %w: %w", record.ErrMalformed, err)
	}
	again, err := m.encode()
	if err != nil {
		return Manifest{}, err
	}
	if !bytes.Equal(again, b) {
		return Manifest{}, fmt.Errorf("extract: %w: not the canonical text", record.ErrMalformed)
	}
	return m, nil
}

func (m Manifest) validate() error {
	fail := func(field string) error { return fmt.Errorf("extract: %w: %s", record.ErrMalformed, field) }
	switch {
	case m.Format != extractFormat:
		return fail("format")
	case m.Exhibit == "":
		return fail("exhibit")
	case !record.ValidOrigin(m.Origin):
		return fail("origin")
	case m.Size < 2 || m.Size > layout.MaxLogSize:
		return fail("size")
	case len(m.Events) == 0 || len(m.Events) > maxExtractEvents || !rising(m.Events, 1, m.Size-1):
		return fail("events")
	case m.Count != int64(len(m.Events)):
		return fail("count is not that of the events")
	case m.Last != m.Events[len(m.Events)-1]:
		return fail("last is not the last event")
	case len(m.Keys) > MaxKeyChanges || !rising(m.Keys, 1, m.Size-1):
		return fail("keys")
	case len(m.From) > maxExtractFrom || !rising(m.From, 1, m.Size):
		return fail("from")
	}
	return nil
}

// rising reports whether all are from low to high, each larger than the one before.
func rising(all []int64, low, high int64) bool {
	for _, n := range all {
		if n < low || n > high {
			return false
		}
		low = n + 1
	}
	return true
}

// entries are the indexes of the statements that are in the extract. The log's last entry names the newest change of keys.
func (m Manifest) entries() []int64 {
	all := slices.Concat([]int64{0, m.Size - 1}, m.Keys, m.Events)
	slices.Sort(all)
	return slices.Compact(all)
}

func encodeHashes(hashes []tlog.Hash) []byte {
	var b strings.Builder
	for _, h := range hashes {
		b.WriteString(h.String() + "\n")
	}
	return []byte(b.String())
}

// ParseHashes reads a consistency proof: a base64 hash a line, none for the size itself.
func ParseHashes(b []byte) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for line := range strings.Lines(string(b)) {
		raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(line, "\n"))
		if err != nil || len(raw) != tlog.HashSize || len(out) > 2*maxProofHashes {
			return nil, fmt.Errorf("consistency proof: %w", record.ErrMalformed)
		}
		out = append(out, tlog.Hash(raw))
	}
	if !bytes.Equal(encodeHashes(out), b) {
		return nil, fmt.Errorf("consistency proof: %w: not the canonical text", record.ErrMalformed)
	}
	return out, nil
}

// ExtractEvent is an event of an extract.
type ExtractEvent struct {
	Index    int64
	Leaf     record.LeafHash
	KeyID    string
	Event    record.Event
	Openings record.Openings
}

// Extract is one exhibit's entries of a log, all checked. Its genesis is not trusted for that.
type Extract struct {
	Manifest
	Genesis    *record.CaseOpened
	Opening    []byte          // the envelope of the genesis
	Leaf       record.LeafHash // fingerprint
	Keys       *Keys
	Checkpoint Checkpoint
	Note       []byte
	LastBy     string // key id of who signed the log's last entry, which leads to the changes of keys
	List       []ExtractEvent
	SHA256     record.Digest // of the file; zero where it was opened from others
	Bytes      int64         // of that file

	dir *folder
}

// OpenExtractFile is OpenExtract for the one file of an extract. What is larger than an extract may be, packed or unpacked, wraps
// record.ErrMalformed: its events are in memory at once.
func OpenExtractFile(b []byte) (*Extract, error) {
	if len(b) > layout.MaxExtract {
		return nil, fmt.Errorf("the extract: %w: %d bytes, at most %d are allowed", record.ErrMalformed, len(b), layout.MaxExtract)
	}
	z, err := OpenArchive(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("the extract: %w", fromSource(err))
	}
	var total uint64
	for _, f := range z.File {
		if total += min(f.UncompressedSize64, layout.MaxUnpacked+1); total > layout.MaxUnpacked {
			return nil, fmt.Errorf("the extract: %w: it unpacks to more than %d bytes", record.ErrMalformed, layout.MaxUnpacked)
		}
	}
	x, err := OpenExtract(z)
	if err != nil {
		return nil, err
	}
	x.SHA256, x.Bytes = record.SHA256Of(b), int64(len(b))
	return x, nil
}

// OpenExtract reads an extract and requires of it all that it can show alone: every line of the checkpoint, the inclusion of each
// statement, its signature by a key admitted at its place, openings that fit, and a chain of events without a hole, from number 1 to count.
// It does not show that no later event of the exhibit stands in the log. Errors wrap record.ErrMalformed, or record.ErrNewer.
func OpenExtract(fsys fs.FS) (*Extract, error) {
	x := &Extract{dir: newFolder(fsys)}
	if err := x.read(); err != nil {
		return nil, fmt.Errorf("the extract: %w", fromSource(err))
	}
	return x, nil
}

func (x *Extract) read() error {
	b, err := x.dir.readFile(layout.ExtractManifest, layout.MaxExtractJSON)
	if err != nil {
		return err
	}
	if x.Manifest, err = ParseManifest(b); err != nil {
		return err
	}
	if x.Opening, x.Genesis, x.Leaf, err = readGenesis(x.dir); err != nil {
		return err
	}
	if x.Genesis.Origin != x.Origin {
		return fmt.Errorf("%w: it is of log %s, and its genesis of log %s", record.ErrMalformed, x.Origin, x.Genesis.Origin)
	}
	if x.Note, err = x.dir.readFile(layout.Checkpoint, layout.MaxCheckpoint); err != nil {
		return err
	}
	if x.Keys, err = loadKeys(x.dir, x.Genesis, x.Size); err != nil {
		return err
	}
	if x.Checkpoint, err = x.Keys.OpenCheckpoint(x.Note); err != nil {
		return err
	}
	if x.Checkpoint.Size != x.Size {
		return fmt.Errorf("%w: the checkpoint is of size %d, not %d", record.ErrMalformed, x.Checkpoint.Size, x.Size)
	}
	for _, i := range x.entries() {
		if err := x.statement(i); err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
	}
	return x.sameKeys()
}

// sameKeys requires that the changes of keys, which the last entry leads to, are those that were proven.
func (x *Extract) sameKeys() error {
	changes := x.Keys.Changes()
	if len(changes) != len(x.Manifest.Keys) {
		return fmt.Errorf("%w: it has %d changes of keys, and its last entry leads to %d", record.ErrMalformed, len(x.Manifest.Keys), len(changes))
	}
	for n, c := range changes {
		if c.Index != x.Manifest.Keys[n] {
			return fmt.Errorf("%w: the change of keys at entry %d is not in it", record.ErrMalformed, c.Index)
		}
	}
	return nil
}

// statement checks one statement at its place.
func (x *Extract) statement(i int64) error {
	envelope, p, err := readLogged(x.dir, i)
	if err != nil {
		return err
	}
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return err
	}
	by, key, err := x.Keys.Signer(e.KeyID, i)
	if err != nil {
		return fmt.Errorf("%w: %w", record.ErrMalformed, err)
	}
	if err := e.Verify(key); err != nil {
		return err
	}
	entry, err := e.Entry(key)
	if err != nil {
		return err
	}
	if err := x.included(i, entry); err != nil {
		return err
	}
	if s := record.StateOf(p); (s == nil) != (i == 0) || s != nil && s.Origin != x.Origin {
		return fmt.Errorf("%w: a statement of type %q that was not made for this place", record.ErrMalformed, p.Type())
	} else if s != nil && !sameRef(s.Keys, x.Keys.Before(i)) {
		return fmt.Errorf("%w: it does not name the newest change of keys before it", record.ErrMalformed)
	}
	if i == x.Size-1 {
		x.LastBy = e.KeyID
	}
	ev, ok := p.(record.Event)
	if ok && !by.MaySign(ev.Type()) {
		return fmt.Errorf("%w: the log does not admit key %s for %q", record.ErrMalformed, e.KeyID, ev.Type())
	}
	openings, err := x.openings(i, e.Payload)
	if err != nil {
		return err
	}
	_, listed := slices.BinarySearch(x.Events, i)
	if (ok && ev.Header().Exhibit == x.Exhibit) != listed {
		return fmt.Errorf("%w: its list of the events of exhibit %q is wrong about it", record.ErrMalformed, x.Exhibit)
	}
	if !listed {
		return nil
	}
	return x.event(ExtractEvent{i, LeafHash(entry), e.KeyID, ev, openings})
}

func (x *Extract) included(i int64, entry []byte) error {
	b, err := x.dir.readFile(layout.InclusionFile(i), layout.MaxProof)
	if err != nil {
		return err
	}
	p, err := ParseProof(b)
	if err != nil {
		return err
	}
	if p.Index != i || !bytes.Equal(p.Checkpoint, x.Note) {
		return fmt.Errorf("%w: the proof is for another entry or another checkpoint", record.ErrMalformed)
	}
	if err := tlog.CheckRecord(p.Hashes, x.Size, x.Checkpoint.Root, i, tlog.RecordHash(entry)); err != nil {
		return fmt.Errorf("%w: the log does not have this statement there", record.ErrMalformed)
	}
	return nil
}

func (x *Extract) openings(i int64, payload []byte) (record.Openings, error) {
	b, err := x.dir.readFile(layout.PersonalFile(i), layout.MaxOpenings)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // withheld
	}
	if err != nil {
		return nil, err
	}
	o, err := record.DecodeOpenings(b)
	if err == nil {
		_, err = o.Check(payload)
	}
	return o, err
}

// event takes the exhibit's next event, which names the one before it.
func (x *Extract) event(e ExtractEvent) error {
	h := e.Event.Header()
	n := len(x.List)
	if h.Number != int64(n)+1 {
		return fmt.Errorf("%w: event %d of exhibit %q comes where event %d should be: one was left out", record.ErrMalformed, h.Number, x.Exhibit, n+1)
	}
	if n > 0 && *h.Previous != x.List[n-1].Leaf {
		return fmt.Errorf("%w: event %d of exhibit %q does not name the event before it", record.ErrMalformed, h.Number, x.Exhibit)
	}
	x.List = append(x.List, e)
	return nil
}

// Revealed are the openings of a statement in the extract, nil if none is there. OpenExtract has checked them.
func (x *Extract) Revealed(i int64) (record.Openings, error) {
	b, err := x.dir.readFile(layout.PersonalFile(i), layout.MaxOpenings)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fromSource(err)
	}
	return record.DecodeOpenings(b)
}

// SameLog are the first of extracts that are sorted by origin: those of one log.
func SameLog(sorted []*Extract) []*Extract {
	n := slices.IndexFunc(sorted, func(x *Extract) bool { return x.Origin != sorted[0].Origin })
	if n < 0 {
		n = len(sorted)
	}
	return sorted[:n]
}

// Newest are those of extracts, sorted by origin and size, after which none of the same log and exhibit comes.
func Newest(sorted []*Extract) []*Extract {
	var out []*Extract
	for i, x := range sorted {
		if !slices.ContainsFunc(sorted[i+1:], func(o *Extract) bool { return o.Origin == x.Origin && o.Exhibit == x.Exhibit }) {
			out = append(out, x)
		}
	}
	return out
}

// NewestKeys are the keys of the log of that origin at the largest size that is known of it: keys are those at size.
func NewestKeys(keys *Keys, origin string, size int64, extracts []*Extract) *Keys {
	for _, x := range extracts {
		if x.Origin == origin && x.Size > size {
			size, keys = x.Size, x.Keys
		}
	}
	return keys
}

// EventsOf are the events of extracts of one log, each once, from that entry on and in their order. Where several have one, it is
// that of an extract with its openings.
func EventsOf(extracts []*Extract, from int64) []ExtractEvent {
	byIndex := map[int64]ExtractEvent{}
	for _, x := range extracts {
		for _, e := range x.List {
			if old, there := byIndex[e.Index]; e.Index >= from && (!there || old.Openings == nil) {
				byIndex[e.Index] = e
			}
		}
	}
	var out []ExtractEvent
	for _, i := range slices.Sorted(maps.Keys(byIndex)) {
		out = append(out, byIndex[i])
	}
	return out
}

// Within requires that the log, which was opened from what is held, and the extract are of one history: the shorter is the
// beginning of the longer one. Errors are those of Follows.
func (x *Extract) Within(held *Log) error {
	if held.Size() < x.Size {
		return x.Follows(held.checkpoint())
	}
	root, err := held.prefixRoot(x.Size)
	if err != nil {
		return err
	}
	if root != x.Checkpoint.Root {
		return &ForkError{x.Origin, held.checkpoint(), x.Checkpoint}
	}
	return nil
}

// Follows requires that the log whose checkpoint held was seen before is the beginning of the extract's. Without a proof from its size
// the error wraps ErrNoConsistency; of two histories it is a *ForkError.
func (x *Extract) Follows(held Checkpoint) error {
	fork := &ForkError{x.Origin, held, x.Checkpoint}
	if held.Size > x.Size || held.Origin != x.Origin {
		return fmt.Errorf("%w: %d, the extract is of size %d", ErrNoConsistency, held.Size, x.Size)
	}
	if held.Size == x.Size {
		if held.Root != x.Checkpoint.Root {
			return fork
		}
		return nil
	}
	if _, ok := slices.BinarySearch(x.From, held.Size); !ok {
		return fmt.Errorf("%w: %d", ErrNoConsistency, held.Size)
	}
	b, err := x.dir.readFile(layout.ConsistencyFile(held.Size), layout.MaxProof)
	if err != nil {
		return fromSource(err)
	}
	hashes, err := ParseHashes(b)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(hashes, x.Size, x.Checkpoint.Root, held.Size, held.Root); err != nil {
		return fork
	}
	return nil
}
