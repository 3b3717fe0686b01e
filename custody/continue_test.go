package custody

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

func continuation() Continuation {
	return Continuation{Because: "restored from a backup", Live: record.Unknown[int64]("the log has no counter"), Clock: testClock, Random: rand.Reader,
		Files: map[string][]byte{layout.EnrolmentFile: []byte("certificates")}}
}

func TestContinue(t *testing.T) {
	c := newCase(t)
	logKey := newLogSigner(t)
	if _, err := c.AppendBatch(context.Background(), []Unlogged{seized(t, "7")}, c.person, c.log, testClock); err != nil {
		t.Fatal(err)
	}
	if err := c.Settle(context.Background(), c.log); err != nil {
		t.Errorf("a log in order does not settle: %v", err)
	}
	old, fingerprint := c.Genesis(), c.Fingerprint()
	if err := c.Continue(continuation(), c.person, logKey); err != nil {
		t.Fatal(err)
	}
	g := c.Genesis()
	k := g.Continues
	if g.Origin == old.Origin || c.Fingerprint() == fingerprint || g.Case != old.Case || len(g.Signers) != len(old.Signers) || k == nil || k.Origin != old.Origin || k.Size != 2 {
		t.Errorf("continued as %+v from %+v", g, k)
	}
	for i, s := range g.Signers {
		if s.PublicKey != old.Signers[i].PublicKey || s.Kind != old.Signers[i].Kind || !slices.Equal(s.Events, old.Signers[i].Events) {
			t.Errorf("signer %d is %+v, was %+v", i, s, old.Signers[i])
		}
	}
	if b, err := os.ReadFile(filepath.Join(c.Dir(), layout.EnrolmentFile)); err != nil || string(b) != "certificates" {
		t.Errorf("further file: %q, %v", b, err)
	}
	if _, err := c.AppendBatch(context.Background(), []Unlogged{seized(t, "7")}, c.person, c.log, testClock); err == nil {
		t.Error("the old log key appends to the new log")
	}
	logged, err := c.AppendBatch(context.Background(), []Unlogged{seized(t, "8")}, c.person, logKey, testClock)
	if err != nil || logged[0].Index != 1 {
		t.Errorf("append to the new log: %v, %v", logged, err)
	}
	if _, err := os.Stat(filepath.Join(c.Dir(), layout.LogDir(old.Origin), layout.Checkpoint)); err != nil {
		t.Errorf("the old log: %v", err)
	}
	// Once more, with a new station's key; the file that is there stays.
	again := continuation()
	station := newSigner(t)
	again.Admit = []Admission{{Key: station.PublicKey(), Kind: record.KindStation, Events: []record.Type{record.TypeAcquired}, Certificate: []byte("certificate")}}
	again.Files[layout.EnrolmentFile] = []byte("others")
	if err := c.Continue(again, c.person, newLogSigner(t)); err != nil || c.Genesis().Continues.Origin != g.Origin {
		t.Errorf("continue once more: %v", err)
	}
	keys, err := c.Keys()
	if id := station.PublicKey().KeyID(); err != nil || len(c.Genesis().Signers) != len(g.Signers)+1 ||
		!keys.MaySign(id, record.TypeAcquired, ledger.Next) || keys.MaySign(id, record.TypeSeized, ledger.Next) {
		t.Errorf("the new station is not admitted for what it should be: %+v, %v", c.Genesis().Signers, err)
	}
	if b, err := os.ReadFile(filepath.Join(c.Dir(), layout.KeyFile(station.PublicKey().KeyID()))); err != nil || string(b) != "certificate" {
		t.Errorf("its certificate: %q, %v", b, err)
	}
	twice := continuation()
	twice.Admit = again.Admit
	if err := c.Continue(twice, c.person, newLogSigner(t)); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("a key admitted twice: %v, want ErrMalformed", err)
	}
	if b, err := os.ReadFile(filepath.Join(c.Dir(), layout.EnrolmentFile)); err != nil || string(b) != "certificates" {
		t.Errorf("further file: %q, %v", b, err)
	}
}

// What the old log says of an exhibit stays true: its chain goes on in the new log, without another seizure.
func TestContinuedExhibits(t *testing.T) {
	c, _ := pairCase(t)
	e := seized(t, "7")
	seizure, ok := e.Event.(*record.Seized)
	if !ok {
		t.Fatal("no seizure")
	}
	seizure.Seizure.Seals = []string{"S-1"}
	const id = "20261123T081500Z-00000001"
	image := acquired(t, "7", id)
	_, err := c.by(c.person, e)
	mustDo(t, err)
	_, err = c.by(c.station, image)
	mustDo(t, err)
	old := c.Genesis().Origin
	mustDo(t, c.Continue(continuation(), c.person, c.log))

	states, err := c.States()
	if err != nil || len(states) != 1 || states[0].Events != 2 || states[0].Holder.KeyID != c.person.PublicKey().KeyID() {
		t.Fatalf("after the continuation: %+v, %v", states, err)
	}
	chain, err := c.Chain("7")
	if err != nil || len(chain) != 2 || chain[0].Log != old {
		t.Errorf("chain %+v, %v", chain, err)
	}
	_, err = c.by(c.person, seized(t, "7"))
	if !errors.Is(err, ErrSeized) || broken(err) != string(record.RuleAlreadyBegun) {
		t.Errorf("seized again: %v, want ErrSeized", err)
	}
	_, err = c.by(c.person, handled(t, record.TypeSealed, "", func(h *record.Handling) { h.SealsApplied = []string{"S-1"} }))
	if broken(err) != string(record.RuleSealedTwice) {
		t.Errorf("a seal that was on: %v", err)
	}
	_, err = c.by(c.person, handled(t, record.TypeSealed, "", func(h *record.Handling) { h.SealsApplied = []string{"S-2"} }))
	mustDo(t, err)
	chain, err = c.Chain("7")
	if err != nil || len(chain) != 3 || chain[2].logged().Event.Header().Number != 1 {
		t.Errorf("chain in both logs: %+v, %v", chain, err)
	}
	found, ok, err := c.FindImage("7", id)
	if err != nil || !ok || len(found.Proof) == 0 || c.CheckSignature(&found) != nil {
		t.Errorf("the image of the old log: %+v, %t, %v", found, ok, err)
	}
	if _, ok, err := c.FindImage("7", "20261123T081500Z-00000009"); ok || err != nil {
		t.Errorf("an image that is in neither: %t, %v", ok, err)
	}
	withoutOld(t, c, old)
}

// withoutOld moves the old log away: then no event goes by the new one alone, but an image is signed.
func withoutOld(t *testing.T, c *testCase, old string) {
	t.Helper()
	mustDo(t, os.Rename(filepath.Join(c.Dir(), layout.LogDir(old)), filepath.Join(t.TempDir(), "log")))
	if _, err := c.States(); !errors.Is(err, ErrMissing) {
		t.Errorf("without the old log: %v, want ErrMissing", err)
	}
	if _, err := c.Append(t.Context(), seized(t, "9").Event, nil, c.person, c.log, testClock); !errors.Is(err, ErrMissing) {
		t.Errorf("append without the old log: %v, want ErrMissing", err)
	}
	// An image is logged and sealed whatever became of the old log: its medium may not be there tomorrow.
	const late = "20261124T081500Z-00000002"
	if _, found, err := c.FindAcquisition("7", late); found || err != nil {
		t.Errorf("look for a new image without the old log: %t, %v", found, err)
	}
	_, err := c.by(c.station, acquired(t, "7", late))
	mustDo(t, err)
	if _, found, err := c.FindAcquisition("7", late); !found || err != nil {
		t.Errorf("find it: %t, %v", found, err)
	}
}

// A partner who holds a log takes in the one that continues it, and the old one beside the new, and no log that says so falsely.
func TestImportContinued(t *testing.T) {
	c := newCarried(t)
	c.grow(t, "1")
	d := joined(t, c)
	n := continuation()
	n.Files = nil
	before := c.Fingerprint()
	old := openFolder(t, handOver(t, c, ""))
	mustDo(t, c.Continue(n, c.person, c.log))
	c.grow(t, "2")
	next := openFolder(t, handOver(t, c, ""))
	if added, err := d.Import(t.Context(), next); err != nil || added != 2 {
		t.Fatalf("the new log: %d added, %v", added, err)
	}
	states, err := d.States()
	if err != nil || len(states) != 2 {
		t.Errorf("states %+v, %v", states, err)
	}
	late := newCaseBeside(t, next)
	if _, err := late.Import(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if added, err := late.Import(t.Context(), old); err != nil || added != 2 || old.Leaf != before {
		t.Errorf("the old log: %d added, %v", added, err)
	}
	next.Genesis.Continues.Checkpoint = record.SHA256Digest([32]byte{1})
	if err := d.related(next); !errors.Is(err, ErrStrange) {
		t.Errorf("continued from another checkpoint: %v, want ErrStrange", err)
	}
}

func TestContinueRefuses(t *testing.T) {
	c := newCase(t)
	fingerprint := c.Fingerprint()
	for name, key := range map[string]sign.Signer{"a stranger": newSigner(t), "the station": c.station} {
		if err := c.Continue(continuation(), key, newLogSigner(t)); !errors.Is(err, ErrNotAdmitted) {
			t.Errorf("%s continued the log: %v, want ErrNotAdmitted", name, err)
		}
	}
	if err := os.Remove(filepath.Join(c.Dir(), layout.LogDir(c.Genesis().Origin), layout.Checkpoint)); err != nil {
		t.Fatal(err)
	}
	if err := c.Continue(continuation(), c.person, newLogSigner(t)); !errors.Is(err, ErrMissing) {
		t.Errorf("without a checkpoint: %v, want ErrMissing", err)
	}
	again, err := Open(c.Dir())
	if err != nil || again.Fingerprint() != fingerprint {
		t.Fatalf("the case is not what it was: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
