package custody

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

func testClock() record.Time {
	return record.NewTime(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), record.ClockSystem, record.Known(true))
}

func newSigner(t *testing.T) sign.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sign.NewSoftwareSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newLogSigner(t *testing.T) sign.LogSigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sign.NewSoftwareLogSigner(key, second)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testCase is a case with a person who may sign everything and a station that may only acquire and copy.
type testCase struct {
	*Case
	person, station sign.Signer
	log             sign.LogSigner
}

func admit(person, station sign.Signer) NewCase {
	return NewCase{
		Number: "2026-001", Agency: "Example Police", OpenedBy: "I. N. Spector", Clock: testClock, Random: rand.Reader,
		Admit: []Admission{
			{person.PublicKey(), record.KindPerson, "I. N. Spector", []record.Type{record.TypeSeized, record.TypeAcquired}, []byte("certificate\n")},
			{station.PublicKey(), record.KindStation, "", []record.Type{record.TypeAcquired, record.TypeCopied}, []byte("certificate\n")},
		},
	}
}

func newCase(t *testing.T) *testCase {
	t.Helper()
	c := &testCase{person: newSigner(t), station: newSigner(t), log: newLogSigner(t)}
	var err error
	if c.Case, err = Create(filepath.Join(t.TempDir(), "case"), admit(c.person, c.station), c.person, c.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func seized(t *testing.T, exhibit string) Unlogged {
	t.Helper()
	var open record.Openings
	p, err := open.Commit(rand.Reader, "/seizure/description", "laptop")
	if err != nil {
		t.Fatal(err)
	}
	s := record.NewSeized(exhibit, testClock(), "not given")
	s.Seizure.Description = p
	return Unlogged{s, open}
}

func acquired(t *testing.T, exhibit, id string) Unlogged {
	t.Helper()
	var open record.Openings
	commit := func(path string) record.Personal {
		p, err := open.Commit(rand.Reader, path, "x")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	two := []record.Digest{record.BLAKE3Digest([32]byte{1}), record.SHA256Digest([32]byte{2})}
	file := func(name, role string) record.File { return record.File{Digests: two, Name: name, Role: role} }
	none, no := record.Unknown[record.Personal]("not given"), record.Unknown[int64]("a file")
	return Unlogged{&record.Acquired{
		Event: record.Header{Exhibit: exhibit},
		Circumstances: record.Circumstances{CommandLine: commit("/circumstances/commandLine"), MediumPath: commit("/circumstances/mediumPath"),
			Description: none, Despite: none, Examiner: none, Host: none, Live: none, WriteBlocker: none},
		Acquisition: record.Acquisition{
			Contents: record.Unknown[record.Contents]("a test"),
			ID:       id, Format: record.FormatRaw, Method: record.MethodPhysical, Mode: record.ModeSequential, Started: testClock(), Ended: testClock(),
			Destinations: []record.Destination{{Device: record.Unknown[string]("no"), FileSystem: record.Known("ext4")}},
			Digests:      []record.MediaDigest{{Computed: record.ComputedWhileReading, Digest: two[0]}, {Computed: record.ComputedWhileReading, Digest: two[1]}},
			Files: []record.File{file("7.raw", record.RoleImage), file("7.tree", record.RoleTree), file("SHA256SUMS", record.RoleSums),
				file("B3SUMS", record.RoleSums), file("journal", record.RoleJournal)},
			Host:    record.Host{Architecture: "amd64", Kernel: record.Known("6"), OS: "linux", Processors: 1},
			Medium:  record.Medium{Access: record.UnknownAccess("a file"), Container: record.Unknown[record.Container]("a file"), Hardware: record.Unknown[record.Hardware]("a file"), HealthAfter: record.Unknown[record.Health]("a file"), Kind: record.MediumFile, LogicalSectorBytes: no, PhysicalSectorBytes: no, Name: record.Unknown[string]("a file"), ReadOnly: record.Known(false)},
			Options: record.Options{Compression: record.CompressionNone, OnError: record.OnErrorRescue}, Reread: record.Reread{Kind: record.RereadNone}, Tool: record.Tool{Build: record.Unknown[record.Digest]("no"), Name: "exhibit", Version: "1"},
		},
	}, open}
}

func TestCreateAndOpen(t *testing.T) {
	c := newCase(t)
	again, err := Open(c.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Fingerprint() != c.Fingerprint() || again.Genesis().Case != "2026-001" {
		t.Errorf("opened again: %s, case %q", again.Fingerprint(), again.Genesis().Case)
	}
	e, err := again.Entry(0)
	if err != nil || e.Leaf != c.Fingerprint() {
		t.Errorf("entry 0 has the leaf %s (%v), want the fingerprint", e.Leaf, err)
	}
	if name, ok := e.Openings.Value("/openedBy"); !ok || name != "I. N. Spector" {
		t.Errorf("opened by %q, %t", name, ok)
	}
}

func TestCreateRefuses(t *testing.T) {
	c := newCase(t)
	before, err := os.ReadFile(filepath.Join(c.Dir(), layout.CaseFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(c.Dir(), admit(c.person, c.station), c.person, c.log); !errors.Is(err, ErrExists) {
		t.Errorf("Create over a case = %v, want ErrExists", err)
	}
	after, err := os.ReadFile(filepath.Join(c.Dir(), layout.CaseFile))
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("the existing case changed (%v)", err)
	}
	n := admit(c.person, c.station)
	n.Agency = "two\nlines"
	dir := filepath.Join(t.TempDir(), "bad")
	if _, err := Create(dir, n, c.person, c.log); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("Create with a forged line = %v, want ErrMalformed", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused case left a folder: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNotCase) {
		t.Errorf("Open of an empty folder = %v, want ErrNotCase", err)
	}
	c, other := newCase(t), newCase(t)
	name := filepath.Join(c.Dir(), layout.CaseFile)
	foreign, err := os.ReadFile(filepath.Join(other.Dir(), layout.CaseFile))
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	edited := slices.Clone(own)
	edited[slices.Index(edited, 'E')] = 'F' // of "Example Police"
	for what, b := range map[string][]byte{"edited": edited, "foreign": foreign, "empty": nil, "cut": own[:50]} {
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if c, err := Open(c.Dir()); err == nil || c != nil {
			t.Errorf("%s case.json was opened", what)
		}
	}
}

func TestAppendChains(t *testing.T) {
	c := newCase(t)
	ctx := context.Background()
	if _, err := c.AppendBatch(ctx, []Unlogged{seized(t, "7"), acquired(t, "7", "20261123T081500Z-00000001"), seized(t, "8")}, c.person, c.log, testClock); err != nil {
		t.Fatal(err)
	}
	e := acquired(t, "7", "20261123T081500Z-00000002")
	last, err := c.Append(ctx, e.Event, e.Openings, c.station, c.log, testClock)
	if err != nil || last.Index != 4 {
		t.Fatalf("Append = index %d, %v; want 4", last.Index, err)
	}
	var numbers []int64
	for e, err := range c.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if event, ok := e.Predicate.(record.Event); ok && event.Header().Exhibit == "7" {
			numbers = append(numbers, event.Header().Number)
		}
	}
	if !slices.Equal(numbers, []int64{3, 2, 1}) {
		t.Errorf("events of exhibit 7, newest first, are numbered %v", numbers)
	}
	found, ok, err := c.FindAcquisition("7", "20261123T081500Z-00000002")
	if err != nil || !ok || found.Index != 4 || len(found.Proof) == 0 || len(found.Genesis) == 0 || !slices.Equal(found.Statement, last.Envelope) {
		t.Errorf("FindAcquisition = index %d, %t, %v", found.Index, ok, err)
	}
	for _, miss := range [][2]string{{"8", "20261123T081500Z-00000002"}, {"7", "20261123T081500Z-00000003"}} {
		if _, ok, err := c.FindAcquisition(miss[0], miss[1]); ok || err != nil {
			t.Errorf("FindAcquisition%v = %t, %v; want not found", miss, ok, err)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	c := newCase(t)
	ctx := context.Background()
	append1 := func(e Unlogged, s sign.Signer, l sign.LogSigner) error {
		_, err := c.Append(ctx, e.Event, e.Openings, s, l, testClock)
		return err
	}
	if err := append1(seized(t, "7"), c.station, c.log); !errors.Is(err, ErrNotAdmitted) {
		t.Errorf("a station that seizes = %v, want ErrNotAdmitted", err)
	}
	if err := append1(seized(t, "7"), newSigner(t), c.log); !errors.Is(err, ErrNotAdmitted) {
		t.Errorf("a stranger's key = %v, want ErrNotAdmitted", err)
	}
	if err := append1(seized(t, "7"), c.person, newLogSigner(t)); err == nil {
		t.Error("another log key was taken")
	}
	if err := append1(seized(t, "7"), c.person, c.log); err != nil {
		t.Fatal(err)
	}
	if err := append1(seized(t, "7"), c.person, c.log); !errors.Is(err, ErrSeized) {
		t.Errorf("seized twice = %v, want ErrSeized", err)
	}
	if e, err := c.Entry(1); err != nil || e.Index != 1 {
		t.Errorf("Entry(1) = %v", err)
	}
	if _, err := c.Entry(2); err == nil {
		t.Error("a refused event was logged")
	}
}

// An acquisition is logged once, however often its record is appended: after an append that was killed before its
// checkpoint was published, and from several processes at once.
func TestAcquisitionIsLoggedOnce(t *testing.T) {
	c := newCase(t)
	ctx := context.Background()
	e, s := acquired(t, "7", "20261123T081500Z-00000001"), seized(t, "7")
	if _, err := c.Append(ctx, s.Event, s.Openings, c.person, c.log, testClock); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(c.Dir(), layout.LogDir(c.Genesis().Origin))
	before, err := os.ReadFile(filepath.Join(dir, layout.Checkpoint))
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.Append(ctx, e.Event, e.Openings, c.station, c.log, testClock)
	if err != nil {
		t.Fatal(err)
	}
	// As if killed before publishing: the statement lies there, the checkpoint is the one before.
	for name, b := range map[string][]byte{layout.Checkpoint: before, layout.CheckpointFile(3): nil, layout.Heads: nil} {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if b == nil {
			continue
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, found, err := c.FindAcquisition("7", "20261123T081500Z-00000001"); found || err != nil {
		t.Fatalf("after the kill FindAcquisition = %t, %v", found, err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			a, ok := e.Event.(*record.Acquired)
			if !ok {
				t.Error("not an acquisition")
				return
			}
			again := *a
			got, err := c.Append(ctx, &again, e.Openings, c.station, c.log, testClock)
			if err != nil || got.Index != first.Index || got.Leaf != first.Leaf || len(got.Proof) == 0 {
				t.Errorf("appended again: index %d, %v; want the entry %d that was left", got.Index, err, first.Index)
			}
		})
	}
	wg.Wait()
	other := acquired(t, "7", "20261123T081500Z-00000001") // other commitments
	if _, err := c.Append(ctx, other.Event, other.Openings, c.station, c.log, testClock); !errors.Is(err, ErrRecorded) {
		t.Errorf("another record of the acquisition = %v, want ErrRecorded", err)
	}
	twice := acquired(t, "7", "20261123T081500Z-00000002")
	if _, err := c.AppendBatch(ctx, []Unlogged{twice, twice}, c.station, c.log, testClock); !errors.Is(err, ErrRecorded) {
		t.Errorf("twice in one batch = %v, want ErrRecorded", err)
	}
	if _, err := c.Entry(3); err == nil {
		t.Error("the log has a fourth entry")
	}
}

func TestAppendAtOnce(t *testing.T) {
	c := newCase(t)
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for i := range 4 {
		e := seized(t, strconv.Itoa(i))
		wg.Go(func() {
			mine, err := Open(c.Dir())
			if err == nil {
				_, err = mine.Append(context.Background(), e.Event, e.Openings, c.person, c.log, testClock)
				err = errors.Join(err, mine.Close())
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	n := 0
	for _, err := range c.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 5 {
		t.Errorf("the log has %d entries, want the genesis and 4", n)
	}
}

func TestExhibitFolder(t *testing.T) {
	c := newCase(t)
	for number, want := range map[string]error{"a/b": nil, "A1": nil, "nul": layout.ErrName, "": record.ErrMalformed, "x\u202e": record.ErrMalformed} {
		if got := exhibitFolder(c, number); !errors.Is(got, want) {
			t.Errorf("ExhibitFolder(%q) = %v, want %v", number, got, want)
		}
	}
	if got := exhibitFolder(c, "a1"); !errors.Is(got, ErrExists) {
		t.Errorf("ExhibitFolder(a1) beside A1 = %v, want ErrExists", got)
	}
	if _, err := os.Stat(filepath.Join(c.Dir(), "exhibits", "a%2Fb")); err != nil {
		t.Error(err)
	}
}

func exhibitFolder(c *testCase, number string) error {
	root, _, err := c.ExhibitFolder(number)
	if err != nil {
		return err
	}
	return root.Close()
}

// A case whose creation was interrupted is no case, and is not taken over.
func TestCreateInterrupted(t *testing.T) {
	c := newCase(t)
	if err := os.Remove(filepath.Join(c.Dir(), layout.CaseFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c.Dir()); !errors.Is(err, ErrNotCase) {
		t.Errorf("Open = %v, want ErrNotCase", err)
	}
	if _, err := Create(c.Dir(), admit(c.person, c.station), c.person, c.log); !errors.Is(err, ErrExists) {
		t.Errorf("Create = %v, want ErrExists", err)
	}
}
