package ledger

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// world holds the keys of one case, which all logs of a test share.
type world struct {
	person, station, stranger sign.Signer
	log                       *notary
	counter                   Counter // nil: the log has none
	genesis                   Item
	opened                    *record.CaseOpened
}

// key is what the log is written with.
func (w *world) key() sign.LogSigner {
	if w.counter == nil {
		return w.log
	}
	return WithCounter(w.log, w.counter)
}

// notary is a log key that remembers every note it signed.
type notary struct {
	sign.LogSigner
	mu     sync.Mutex
	notes  []string
	signed func(note string) // may be nil
}

func (n *notary) Sign(origin, text string) (string, error) {
	note, err := n.LogSigner.Sign(origin, text)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notes = append(n.notes, note)
	if n.signed != nil {
		n.signed(note)
	}
	return note, err
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func as[T any](v any) T {
	out, ok := v.(T)
	if !ok {
		panic(fmt.Sprintf("%T", v))
	}
	return out
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func newSigner() sign.Signer { return must(sign.NewSoftwareSigner(newKey())) }

func newEd25519() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return must(key, err)
}

func newNotary() *notary {
	return &notary{LogSigner: must(sign.NewSoftwareLogSigner(newKey(), newEd25519()))}
}

func testTime() record.Time {
	return record.NewTime(time.Date(2026, 11, 23, 8, 15, 0, 0, time.UTC), record.ClockSystem, record.Known(true))
}

// newWorld makes keys and a genesis. Panics stand for t.Fatal, because fuzz seeds and re-executed tests need it too.
func newWorld() *world { return worldOf(newSigner(), newNotary()) }

func worldOf(person sign.Signer, log *notary) *world {
	w := &world{person: person, station: newSigner(), stranger: newSigner(), log: log}
	keys := w.log.Keys()
	var nonce [32]byte
	must(rand.Read(nonce[:]))
	g := &record.CaseOpened{
		Agency: "Test agency", Case: "2026/1", LogKeys: keys[:], Nonce: hex.EncodeToString(nonce[:]),
		Origin: must(layout.NewOrigin(rand.Reader)), Time: testTime(),
		Signers: []record.Signer{
			{Events: []record.Type{record.TypeAcquired, record.TypeSeized}, Holder: record.Unknown[record.Personal]("test"), Kind: record.KindPerson, PublicKey: w.person.PublicKey().Base64()},
			{Events: []record.Type{record.TypeAcquired}, Holder: record.Unknown[record.Personal]("test"), Kind: record.KindStation, PublicKey: w.station.PublicKey().Base64()},
		},
	}
	var openings record.Openings
	g.OpenedBy = must(openings.CommitFact(rand.Reader, "/openedBy", "A. Person", ""))
	w.opened = g
	w.genesis = Item{Envelope: must(sign.Seal(w.person, must(record.Encode(g)))), Openings: openings}
	return w
}

// sharedWorld saves the making of keys where a test does not change them.
var sharedWorld = sync.OnceValue(newWorld)

// seized makes the event number of an exhibit, signed, for a log as h describes it.
func (w *world) seized(h Head, exhibit string, number int64, previous *record.LeafHash) Item {
	s := record.NewSeized(exhibit, testTime(), "test")
	s.Event = record.Header{
		Exhibit: exhibit, Number: number, Previous: previous, Time: testTime(),
		Log: record.LogState{Anchors: h.Anchors, Attestations: h.Attestations, Checkpoint: h.Checkpoint, Keys: h.Keys.Before(h.Size), Origin: h.Origin, Size: h.Size},
	}
	var openings record.Openings
	s.Seizure.Description = must(openings.Commit(rand.Reader, "/seizure/description", "a disk, serial 0815"))
	return Item{Envelope: must(sign.Seal(w.person, must(record.Encode(s)))), Openings: openings}
}

// next builds one next event for each exhibit named, in order; an exhibit may be named more than once.
func (w *world) next(exhibits ...string) func(Head) ([]Item, error) {
	return func(h Head) ([]Item, error) {
		last := map[string]head{}
		var items []Item
		for _, x := range exhibits {
			before, ok := last[x]
			if !ok {
				events, leaf, err := h.Events(x)
				if err != nil {
					return nil, err
				}
				if before.events = events; leaf != nil {
					before.leaf = *leaf
				}
			}
			var previous *record.LeafHash
			if before.number() > 0 {
				previous = &before.leaf
			}
			item := w.seized(h, x, before.number()+1, previous)
			e := must(sign.ParseEnvelope(item.Envelope))
			last[x] = head{events: append(before.events, 0), leaf: LeafHash(must(e.Entry(w.person.PublicKey())))}
			items = append(items, item)
		}
		return items, nil
	}
}

// recover completes what an interrupted append left, by an append of nothing.
func (w *world) recover(root *durable.Root) ([]Logged, error) {
	logged, err := Append(context.Background(), root, w.key(), nil, func(Head) ([]Item, error) { return nil, nil })
	if errors.Is(err, ErrNothing) {
		return nil, nil
	}
	return logged, err
}

// memoryDir is t.TempDir in memory where there is such a place: hundreds of real syncs take long, and no power fails here.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "exhibit-ledger-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func openRoot(t testing.TB, dir string) *durable.Root {
	t.Helper()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// create makes a log in a fresh folder.
func create(t testing.TB, w *world) (dir string, root *durable.Root) {
	t.Helper()
	dir = memoryDir(t)
	root = openRoot(t, dir)
	if err := Create(root, w.key(), w.genesis); err != nil {
		t.Fatal(err)
	}
	return dir, root
}

func (w *world) append(t testing.TB, root *durable.Root, exhibits ...string) []Logged {
	t.Helper()
	logged, err := Append(context.Background(), root, w.key(), nil, w.next(exhibits...))
	if err != nil {
		t.Fatal(err)
	}
	return logged
}

func (w *world) open(t testing.TB, dir string) *Log {
	t.Helper()
	l, err := Open(os.DirFS(dir), w.opened.Origin, w.opened.LogKeys)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// numbered makes n exhibits' names, a few of them again and again.
func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("exhibit %d", i%7)
	}
	return names
}

// sound requires that the folder holds a log of at least size entries that is right in every file, whatever else lies there.
func (w *world) sound(t testing.TB, dir string, size int64) *Log {
	t.Helper()
	return w.soundFrom(t, dir, size, 0)
}

// soundFrom is sound, but reads only the statements from an index on: no exhibit that they name has earlier ones.
func (w *world) soundFrom(t testing.TB, dir string, size, from int64) *Log {
	t.Helper()
	l := w.open(t, dir)
	if l.Size() < size {
		t.Fatalf("the log has %d entries, want at least %d", l.Size(), size)
	}
	_, _, leaf, err := ReadGenesis(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if got := must(l.Leaf(0)); got != leaf {
		t.Fatalf("leaf 0 is %s, want that of the genesis, %s", got, leaf)
	}
	sizes := must(checkpointSizes(l.dir))
	if len(sizes) == 0 || sizes[len(sizes)-1] != l.Size() {
		t.Fatalf("checkpoints are of sizes %v, want the last to be %d", sizes, l.Size())
	}
	digests := map[int64]record.Digest{}
	for _, size := range sizes {
		at, err := l.At(size)
		if err != nil {
			t.Fatalf("checkpoint of size %d: %v", size, err)
		}
		digests[size] = record.SHA256Of(at.Checkpoint())
	}
	c, book := newChains(), &writer{}
	c.size = max(1, from)
	for i := from; i < l.Size(); i++ {
		b, err := l.Statement(i)
		if err != nil {
			t.Fatalf("statement %d: %v", i, err)
		}
		if i == 0 {
			continue
		}
		e := must(sign.ParseEnvelope(b))
		if err := e.Verify(w.person.PublicKey()); err != nil {
			t.Fatalf("statement %d: %v", i, err)
		}
		p := must(record.Decode(e.Payload))
		if _, ok := p.(*record.KeysChanged); ok {
			c.size++
			continue
		}
		h := as[record.Event](p).Header()
		if err := book.add(c, h, must(l.Leaf(i))); err != nil {
			t.Fatalf("statement %d: %v", i, err)
		}
		if digests[h.Log.Size] != h.Log.Checkpoint {
			t.Fatalf("statement %d names checkpoint %s, which is not that of size %d", i, h.Log.Checkpoint, h.Log.Size)
		}
		openings := must(record.DecodeOpenings(must(l.Openings(i))))
		if closed, err := openings.Check(e.Payload); err != nil || closed != 0 {
			t.Fatalf("statement %d: openings: %v, %d stay closed", i, err, closed)
		}
	}
	return l
}

func base64Of(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }
