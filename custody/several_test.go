package custody

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// handOver writes the home log of c into a new folder, whose name it returns.
func handOver(t *testing.T, c *testCase, exhibit string) string {
	t.Helper()
	dir := t.TempDir()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Export(exhibit, false, func(name string, data []byte) error {
		if err := root.MkdirAll(filepath.Dir(name)); err != nil {
			return err
		}
		return root.CreateEx(name, data)
	})
	if err := errors.Join(err, root.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openFolder(t *testing.T, dir string) *Foreign {
	t.Helper()
	f, err := OpenForeign(context.Background(), os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// joined returns a case beside c, which holds a copy of its log.
func joined(t *testing.T, c *testCase) *testCase {
	t.Helper()
	f := openFolder(t, handOver(t, c, ""))
	d := newCaseBeside(t, f)
	if _, err := d.Import(context.Background(), f); err != nil {
		t.Fatal(err)
	}
	return d
}

func (c *testCase) grow(t *testing.T, exhibits ...string) {
	t.Helper()
	var all []Unlogged
	for _, e := range exhibits {
		all = append(all, seized(t, e))
	}
	if _, err := c.AppendBatch(context.Background(), all, c.person, c.log, testClock); err != nil {
		t.Fatal(err)
	}
}

// files reads a folder of logs/ as it lies there.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == layout.Lock || d.Name() == layout.Heads ||
			filepath.Base(filepath.Dir(path)) == layout.HeadsDir {
			return err
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A copy that grows with each import is, file by file, the log that its writer has, across full tiles too.
func TestImportIsTheLog(t *testing.T) {
	c := newCarried(t)
	d := joined(t, c)
	origin := c.Genesis().Origin
	for round, n := range []int64{200, 2, 60} { // the first tile is full after 255 events
		var exhibits []string
		for i := range n - 1 {
			exhibits = append(exhibits, fmt.Sprintf("%d-%d", round, i))
		}
		c.grow(t, exhibits...)
		c.grow(t, fmt.Sprintf("single %d", round))
		if added, err := d.Import(context.Background(), openFolder(t, handOver(t, c, ""))); err != nil || added != n {
			t.Fatalf("round %d: %d added, %v", round, added, err)
		}
		mine, theirs := files(t, filepath.Join(c.Dir(), layout.LogDir(origin))), files(t, filepath.Join(d.Dir(), layout.LogDir(origin)))
		for name, want := range mine {
			if theirs[name] != want && !strings.Contains(name, ".p/") { // of partial tiles the newest count
				t.Errorf("round %d: %q differs, or is not there", round, name)
			}
		}
		for name := range theirs {
			if _, ok := mine[name]; !ok {
				t.Errorf("round %d: %q is too much", round, name)
			}
		}
	}
}

// Quotes of the writer's TPM travel with the log, for an event names them; and of openings what is held stays, whoever was shown
// less of them.
func TestImportTakesQuotesAndKeepsOpenings(t *testing.T) {
	c := newCarried(t)
	e := seized(t, "1")
	s, ok := e.Event.(*record.Seized)
	if !ok {
		t.Fatal("no seizure")
	}
	var err error
	s.Seizure.Place, err = e.Openings.CommitFact(rand.Reader, "/seizure/place", "a place", "not given")
	mustDo(t, err)
	_, err = c.AppendBatch(t.Context(), []Unlogged{e}, c.person, c.log, testClock)
	mustDo(t, err)
	c.grow(t, "2")
	own := filepath.Join(c.Dir(), layout.LogDir(c.Genesis().Origin))
	mustDo(t, os.MkdirAll(filepath.Join(own, layout.AttestDir), 0o755))
	for _, name := range []string{layout.StartFile(1, layout.AttestBootLog), layout.StartFile(1, layout.AttestQuote), layout.StartFile(9, layout.AttestQuote)} {
		mustDo(t, os.WriteFile(filepath.Join(own, name), []byte(name), 0o600))
	}
	d := joined(t, c)
	dir := filepath.Join(d.Dir(), layout.LogDir(c.Genesis().Origin))
	for name, want := range map[string]bool{layout.StartFile(1, layout.AttestBootLog): true, layout.StartFile(1, layout.AttestQuote): true, layout.StartFile(9, layout.AttestQuote): false} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); (err == nil) != want || want && string(b) != name {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	from := handOver(t, c, "")
	name := filepath.Join(from, layout.PersonalFile(1))
	b, err := os.ReadFile(name)
	mustDo(t, err)
	o, err := record.DecodeOpenings(b)
	mustDo(t, err)
	less, err := o[1:].Encode()
	mustDo(t, err)
	mustDo(t, os.Remove(name))
	mustDo(t, os.WriteFile(name, less, 0o600))
	if _, err := d.Import(t.Context(), openFolder(t, from)); err != nil {
		t.Fatal(err)
	}
	if held, err := os.ReadFile(filepath.Join(dir, layout.PersonalFile(1))); err != nil || string(held) != string(b) {
		t.Errorf("what was held is %q, %v", held, err)
	}
}

// Whatever an import had written when it was killed, the next one completes it.
func TestImportAfterKill(t *testing.T) {
	c := newCarried(t)
	d := joined(t, c)
	c.grow(t, "1", "2", "3")
	from := handOver(t, c, "")
	if _, err := d.Import(context.Background(), openFolder(t, from)); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(d.Dir(), layout.LogDir(c.Genesis().Origin))
	whole := files(t, dir)
	old, err := os.ReadFile(filepath.Join(dir, layout.CheckpointFile(1)))
	if err != nil {
		t.Fatal(err)
	}
	lost := []string{layout.CheckpointFile(4), layout.Checkpoint, layout.TilePath(0, 0, 4), layout.TilePath(-1, 0, 4), layout.StatementFile(3), layout.PersonalFile(3)}
	for n := 1; n <= len(lost); n++ {
		for _, name := range lost[:n] { // in the reverse of the order in which they are written
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if name == layout.Checkpoint {
				if err := os.WriteFile(filepath.Join(dir, name), old, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := d.Import(context.Background(), openFolder(t, from)); err != nil {
			t.Fatalf("after the loss of %q: %v", lost[:n], err)
		}
		for name, want := range files(t, dir) {
			if whole[name] != want {
				t.Errorf("after the loss of %q, %q differs", lost[:n], name)
			}
		}
	}
	stop, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.Import(stop, openFolder(t, from)); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestImportRefuses(t *testing.T) {
	ctx := context.Background()
	c := newCarried(t)
	d := joined(t, c)
	if _, err := d.Import(ctx, openFolder(t, handOver(t, newCarried(t), ""))); !errors.Is(err, ErrStrange) {
		t.Errorf("a log of another case: %v, want ErrStrange", err)
	}
	if _, err := c.Import(ctx, openFolder(t, handOver(t, c, ""))); !errors.Is(err, ErrExists) {
		t.Errorf("its own log: %v, want ErrExists", err)
	}
	// Two histories: the same keys go on from one state twice.
	from := t.TempDir()
	if err := os.CopyFS(from, os.DirFS(c.Dir())); err != nil {
		t.Fatal(err)
	}
	other, err := Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	twin := *c
	twin.Case = other
	c.grow(t, "1")
	twin.grow(t, "2", "3")
	if _, err := d.Import(ctx, openFolder(t, handOver(t, c, ""))); err != nil {
		t.Fatal(err)
	}
	before := files(t, filepath.Join(d.Dir(), layout.LogsDir))
	for _, into := range []*testCase{d, c} {
		_, err := into.Import(ctx, openFolder(t, handOver(t, &twin, "")))
		if _, fork := errors.AsType[*ledger.ForkError](err); !fork || !errors.Is(err, record.ErrMalformed) {
			t.Errorf("another history: %v, want a ForkError", err)
		}
		if kept, err := filepath.Glob(filepath.Join(into.Dir(), layout.ForksDir, c.Genesis().Origin, "*", layout.Checkpoint)); err != nil || len(kept) != 1 {
			t.Errorf("kept: %q, %v", kept, err)
		}
	}
	for name, want := range files(t, filepath.Join(d.Dir(), layout.LogsDir)) {
		if before[name] != want {
			t.Errorf("%q was changed by a log with another history", name)
		}
	}
}

// The personal fields of other exhibits stay at home; what comes later is added.
func TestExportReveals(t *testing.T) {
	c := newCarried(t)
	d := joined(t, c)
	c.grow(t, "7", "8")
	for _, exhibit := range []string{"7", "8"} {
		if _, err := d.Import(context.Background(), openFolder(t, handOver(t, c, exhibit))); err != nil {
			t.Fatal(err)
		}
		for i, want := range map[int64]bool{1: true, 2: exhibit == "8"} {
			_, err := os.Stat(filepath.Join(d.Dir(), layout.LogDir(c.Genesis().Origin), layout.PersonalFile(i)))
			if (err == nil) != want {
				t.Errorf("with exhibit %s: openings of entry %d: %v", exhibit, i, err)
			}
		}
	}
}

func TestAnchor(t *testing.T) {
	ctx := context.Background()
	c := newCarried(t)
	d := joined(t, c)
	origin := c.Genesis().Origin
	for _, want := range []bool{true, false} {
		if done, err := d.Anchor(ctx, origin, d.person, d.log, testClock); err != nil || done != want {
			t.Errorf("anchored: %t, %v, want %t", done, err, want)
		}
	}
	if _, err := d.Anchor(ctx, d.Genesis().Origin, d.person, d.log, testClock); !errors.Is(err, ErrMissing) {
		t.Errorf("its own checkpoint: %v, want ErrMissing", err)
	}
	if _, err := d.Anchor(ctx, origin, newSigner(t), d.log, testClock); err != nil {
		t.Errorf("nothing is new, and nothing need be signed: %v", err)
	}
	c.grow(t, "1")
	if _, err := d.Import(ctx, openFolder(t, handOver(t, c, ""))); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Anchor(ctx, origin, newSigner(t), d.log, testClock); !errors.Is(err, ledger.ErrStatement) {
		t.Errorf("a stranger anchored: %v, want ErrStatement", err)
	}
	// After an anchor, which is no event, exhibits are numbered as before, also without the cache of heads.
	d.grow(t, "9")
	if err := os.Remove(filepath.Join(d.Dir(), layout.LogDir(d.Genesis().Origin), layout.Heads)); err != nil {
		t.Fatal(err)
	}
	d.grow(t, "10")
}

// newCarried is newCase with certificates that are the keys' own, as a log needs that is handed over.
func newCarried(t *testing.T) *testCase { return newCaseWith(t, func(*NewCase) {}) }

// newCaseBeside is newCarried for a log that is opened beside f.
func newCaseBeside(t *testing.T, f *Foreign) *testCase {
	t.Helper()
	return newCaseWith(t, func(n *NewCase) { n.Number, n.Joins = f.Genesis.Case, f.Joining() })
}

func newCaseWith(t *testing.T, change func(*NewCase)) *testCase {
	t.Helper()
	c := &testCase{log: newLogSigner(t)}
	var n NewCase
	var certificates [2][]byte
	c.person, certificates[0] = newCertified(t)
	c.station, certificates[1] = newCertified(t)
	n = admit(c.person, c.station)
	for i := range n.Admit {
		n.Admit[i].Certificate = certificates[i]
	}
	change(&n)
	var err error
	if c.Case, err = Create(filepath.Join(t.TempDir(), "case"), n, c.person, c.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func newCertified(t *testing.T) (sign.Signer, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sign.NewSoftwareSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
