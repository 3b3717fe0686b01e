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
	logged, err := c.AppendBatch(context.Background(), []Unlogged{seized(t, "7")}, c.person, logKey, testClock)
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
