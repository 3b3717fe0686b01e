package anchor

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// liar is a log whose keeper signs whatever he likes.
type liar struct {
	t       *testing.T
	key     sign.LogSigner
	next    sign.LogSigner // that signs beside key; nil: none does
	person  sign.Signer
	origin  string
	genesis []byte
	hashes  []tlog.Hash // as tlog stores them
	size    int64
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newLiar(t *testing.T) *liar {
	t.Helper()
	_, second, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{t: t}
	if l.key, err = sign.NewSoftwareLogSigner(newKey(t), second); err != nil {
		t.Fatal(err)
	}
	person, err := sign.NewSoftwareSigner(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	l.person = person
	if l.origin, err = layout.NewOrigin(rand.Reader); err != nil {
		t.Fatal(err)
	}
	keys, nonce := l.key.Keys(), sha256.Sum256([]byte(l.origin))
	payload, err := record.Encode(&record.CaseOpened{
		Agency: "Example Police", Case: "2026-001", LogKeys: keys[:], Nonce: hex.EncodeToString(nonce[:]), Origin: l.origin,
		OpenedBy: record.Unknown[record.Personal]("a test"), Time: record.NewTime(sawIt, record.ClockSystem, record.Known(true)),
		Signers: []record.Signer{{Events: []record.Type{record.TypeKeysChanged, record.TypeSeized}, Holder: record.Unknown[record.Personal]("a test"), Kind: record.KindPerson,
			PublicKey: person.PublicKey().Base64()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if l.genesis, err = sign.Seal(person, payload); err != nil {
		t.Fatal(err)
	}
	l.append("genesis")
	return l
}

func (l *liar) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

func (l *liar) append(entry string) {
	l.t.Helper()
	h, err := tlog.StoredHashes(l.size, []byte(entry), l)
	if err != nil {
		l.t.Fatal(err)
	}
	l.hashes, l.size = append(l.hashes, h...), l.size+1
}

// request asks a witness that knows the first old entries.
func (l *liar) request(old int64) []byte {
	l.t.Helper()
	root, err := tlog.TreeHash(l.size, l)
	if err != nil {
		l.t.Fatal(err)
	}
	text := ledger.Checkpoint{Origin: l.origin, Size: l.size, Root: root}.Text()
	note, err := l.key.Sign(l.origin, text)
	if err != nil {
		l.t.Fatal(err)
	}
	if l.next != nil {
		other, err := l.next.Sign(l.origin, text)
		if err != nil {
			l.t.Fatal(err)
		}
		note += strings.TrimPrefix(other, text+"\n")
	}
	r := AddCheckpoint{Old: old, Checkpoint: []byte(note)}
	if old > 0 && old <= l.size {
		if r.Proof, err = tlog.ProveTree(l.size, old, l); err != nil {
			l.t.Fatal(err)
		}
	}
	return r.Encode()
}

func (l *liar) clone() *liar {
	c := *l
	c.hashes = append([]tlog.Hash(nil), l.hashes...)
	return &c
}

func newWitness(t *testing.T) (*Witness, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return NewWitness(root, newCosigner(t), func() time.Time { return sawIt }), dir
}

func forks(t *testing.T, w *Witness, origin string) (texts []string) {
	t.Helper()
	names, err := fs.Glob(w.root.FS(), origin+"/fork-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(w.root.FS(), name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	return texts
}

// rekey is the envelope of the log's next entry, which brings next as the log key.
func (l *liar) rekey(next sign.LogSigner) []byte {
	l.t.Helper()
	keys := next.Keys()
	payload, err := record.Encode(&record.KeysChanged{Admits: []record.Signer{}, Because: record.Unknown[record.Personal]("a test"), LogKeys: keys[:],
		Log:  record.LogState{Anchors: []record.Digest{}, Attestations: []record.Digest{}, Checkpoint: record.SHA256Of(nil), Origin: l.origin, Size: l.size},
		Time: record.NewTime(sawIt, record.ClockSystem, record.Known(true)), Withdraws: []record.Withdrawal{}})
	if err != nil {
		l.t.Fatal(err)
	}
	envelope, err := sign.Seal(l.person, payload)
	if err != nil {
		l.t.Fatal(err)
	}
	return envelope
}

// A witness follows a log whose key changes, once it was told of the change, and remembers it.
func TestWitnessFollowsALogKey(t *testing.T) {
	l := newLiar(t)
	w, dir := newWitness(t)
	if _, err := w.Admit(t.Context(), l.genesis); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add(t.Context(), l.request(0)); err != nil {
		t.Fatal(err)
	}
	stranger := newLiar(t)
	change := l.rekey(stranger.key)
	if err := w.AdmitChange(t.Context(), stranger.rekey(l.key)); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("a change of another log: %v, want %v", err, ErrUnknownLog)
	}
	if err := w.AdmitChange(t.Context(), l.genesis); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("a genesis as a change: %v, want %v", err, record.ErrMalformed)
	}
	forged := *l
	forged.person = stranger.person
	if err := w.AdmitChange(t.Context(), forged.rekey(stranger.key)); !errors.Is(err, ledger.ErrStatement) {
		t.Errorf("a change by a stranger: %v, want %v", err, ledger.ErrStatement)
	}
	l.append(string(change))
	l.next = stranger.key
	if _, err := w.Add(t.Context(), l.request(1)); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("before it was told: %v, want %v", err, record.ErrMalformed)
	}
	for range 2 { // to be told again is nothing new
		if err := w.AdmitChange(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Add(t.Context(), l.request(1)); err != nil {
		t.Fatal(err)
	}
	old := l.key
	l.key, l.next = l.next, nil
	l.append("more")
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	again := NewWitness(root, w.key, w.now)
	if _, err := again.Add(t.Context(), l.request(2)); err != nil {
		t.Errorf("after a start: %v", err)
	}
	l.key = old
	l.append("still more")
	if _, err := again.Add(t.Context(), l.request(3)); !errors.Is(err, sign.ErrSignature) {
		t.Errorf("by the old log key: %v, want %v", err, sign.ErrSignature)
	}
}

// A log that grows is cosigned at each size; the witness remembers across its starts, and refuses what goes back.
func TestWitnessFollowsALog(t *testing.T) {
	l := newLiar(t)
	w, dir := newWitness(t)
	if _, err := w.Add(t.Context(), l.request(0)); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("a log that it was not told of: %v, want %v", err, ErrUnknownLog)
	}
	origin, err := w.Admit(t.Context(), l.genesis)
	if err != nil || origin != l.origin {
		t.Fatalf("admit: %q, %v", origin, err)
	}
	old := int64(0)
	var first []byte
	for i := range 5 {
		request := l.request(old)
		if i == 0 {
			first = request
		}
		c, err := w.Add(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keysOf(t, w.key) {
			if at, ok := c.By(k); !ok || !at.Equal(sawIt) || c.Checkpoint.Size != l.size {
				t.Errorf("size %d: %v, %t, %d", l.size, at, ok, c.Checkpoint.Size)
			}
		}
		old = l.size
		l.append(fmt.Sprint(i))
		l.append(fmt.Sprint(i, "b"))
	}
	// The same once more is no harm; the past is.
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	again := NewWitness(root, w.key, w.now)
	var size *SizeError
	if _, err := again.Add(t.Context(), first); !errors.As(err, &size) || size.Size != old {
		t.Errorf("the first checkpoint again: %v, want %d", err, old)
	}
	if _, err := again.Add(t.Context(), l.request(old)); err != nil {
		t.Error(err)
	}
	if _, err := again.Add(t.Context(), l.request(l.size)); err != nil {
		t.Errorf("the newest once more: %v", err)
	}
	if got := forks(t, w, l.origin); len(got) != 0 {
		t.Errorf("evidence of a fork that was none: %q", got)
	}
}

// A fork is refused in each of its shapes, and both sides of it are kept.
func TestWitnessRefusesAFork(t *testing.T) {
	l := newLiar(t)
	w, _ := newWitness(t)
	if _, err := w.Admit(t.Context(), l.genesis); err != nil {
		t.Fatal(err)
	}
	l.append("one")
	other := l.clone()
	l.append("two")
	cosigned := l.request(0)
	if _, err := w.Add(t.Context(), cosigned); err != nil {
		t.Fatal(err)
	}
	other.append("another two")
	if _, err := w.Add(t.Context(), other.request(3)); !errors.Is(err, ErrSameSize) {
		t.Errorf("another of the same size: %v, want %v", err, ErrSameSize)
	}
	other.append("three")
	if _, err := w.Add(t.Context(), other.request(3)); !errors.Is(err, ErrFork) || errors.Is(err, ErrSameSize) {
		t.Errorf("a larger one with another past: %v, want %v", err, ErrFork)
	}
	got := forks(t, w, l.origin)
	_, checkpoint, _ := strings.Cut(string(cosigned), "\n\n")
	if len(got) != 2 {
		t.Fatalf("%d pieces of evidence, want 2", len(got))
	}
	for _, text := range got {
		if !strings.HasPrefix(text, checkpoint+"\nold 3\n") {
			t.Errorf("the evidence does not hold both sides: %q", text)
		}
	}
	l.append("three")
	if _, err := w.Add(t.Context(), l.request(3)); err != nil {
		t.Errorf("the first history goes on: %v", err)
	}
}

func TestWitnessRefuses(t *testing.T) {
	l, stranger := newLiar(t), newLiar(t)
	w, _ := newWitness(t)
	if _, err := w.Admit(t.Context(), l.genesis); err != nil {
		t.Fatal(err)
	}
	forged := l.clone()
	forged.key = stranger.key
	for name, test := range map[string]struct {
		request []byte
		want    error
	}{
		"nothing":             {nil, record.ErrMalformed},
		"another's signature": {forged.request(0), sign.ErrSignature},
		"an old size beyond":  {l.request(2), record.ErrMalformed},
		"an unknown log":      {stranger.request(0), ErrUnknownLog},
		"a foreign origin":    {[]byte("old 0\n\n../x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"), ErrUnknownLog},
		"one line stripped":   {withoutLastLine(l.request(0)), record.ErrMalformed},
	} {
		if c, err := w.Add(t.Context(), test.request); !errors.Is(err, test.want) || len(c.lines) != 0 {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if _, err := w.root.Lstat(l.origin + "/" + witnessCheckpoint); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was remembered: %v", err)
	}
}

func withoutLastLine(b []byte) []byte {
	s := strings.TrimSuffix(string(b), "\n")
	return []byte(s[:strings.LastIndexByte(s, '\n')+1])
}

func FuzzParseAddCheckpoint(f *testing.F) {
	f.Add([]byte("old 0\n\ntext\n"))
	f.Add([]byte("old 1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\ntext\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseAddCheckpoint(b)
		if err == nil && string(r.Encode()) != string(b) {
			t.Fatalf("%q reads as %q", b, r.Encode())
		}
		if err != nil && (r.Old != 0 || r.Proof != nil || r.Checkpoint != nil) {
			t.Fatalf("%+v beside %v", r, err)
		}
	})
}
