//go:build linux

package verify

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// realCase makes a case on the disk with the program's own rooms: custody, acquire, ledger.
type realCase struct {
	*custody.Case
	t               testing.TB
	person, station sign.Signer
	log             sign.LogSigner
}

func newRealCase(t testing.TB) *realCase {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("acquisition works on Linux only")
	}
	personKey, stationKey := newKey(), newKey()
	_, second, err := ed25519.GenerateKey(rand.Reader)
	c := &realCase{t: t, person: must(sign.NewSoftwareSigner(personKey)), station: must(sign.NewSoftwareSigner(stationKey)),
		log: must(sign.NewSoftwareLogSigner(newKey(), must(second, err)))}
	n := custody.NewCase{Number: "2026-001", Agency: "Example Police", OpenedBy: "A. Muster", Clock: testClock, Random: rand.Reader,
		Admit: []custody.Admission{
			{Key: c.person.PublicKey(), Kind: record.KindPerson, Holder: "A. Muster", Events: []record.Type{record.TypeSeized}, Certificate: certificateOf(personKey)},
			{Key: c.station.PublicKey(), Kind: record.KindStation, Events: []record.Type{record.TypeAcquired}, Certificate: certificateOf(stationKey)},
		}}
	if c.Case, err = custody.Create(filepath.Join(t.TempDir(), "case"), n, c.person, c.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func testClock() record.Time { return testTime }

func (c *realCase) seize(exhibit string) {
	c.t.Helper()
	var o record.Openings
	e := record.NewSeized(exhibit, testTime, "not given")
	e.Seizure.Description = must(o.Commit(rand.Reader, "/seizure/description", "laptop, black"))
	if _, err := c.Append(c.t.Context(), e, o, c.person, c.log, testClock); err != nil {
		c.t.Fatal(err)
	}
}

// acquire images data as the command does, and returns the folder below the case.
func (c *realCase) acquire(exhibit, id string, data []byte, segment int64) string {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "medium")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return c.acquirePath(exhibit, id, path, segment)
}

func (c *realCase) acquirePath(exhibit, id, path string, segment int64) string {
	c.t.Helper()
	return c.acquireWith(exhibit, id, path, segment, nil)
}

// acquireWith is acquirePath with options that set changes.
func (c *realCase) acquireWith(exhibit, id, path string, segment int64, set func(*acquire.Options)) string {
	t := c.t
	t.Helper()
	m := must(medium.Open(t.Context(), path, nil))
	defer m.Close()
	root, dir, err := c.ExhibitFolder(exhibit)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var o record.Openings
	none := record.Unknown[record.Personal]("not given")
	opts := acquire.Options{Exhibit: exhibit, ID: id, SegmentBytes: segment, Extra: []record.Algorithm{record.MD5}, Reread: true, Clock: testClock,
		Tool: record.Tool{Name: "exhibit", Version: "test", Build: record.Unknown[record.Digest]("a test")},
		Host: record.Host{OS: "linux", Architecture: "amd64", Processors: 2, Kernel: record.Unknown[string]("a test")},
		Circumstances: record.Circumstances{Description: none, Despite: none, Examiner: none, Host: none, Live: none, WriteBlocker: none,
			CommandLine: must(o.Commit(rand.Reader, "/circumstances/commandLine", "exhibit acquire")),
			MediumPath:  must(o.Commit(rand.Reader, "/circumstances/mediumPath", path))}}
	opts.Openings = o
	if set != nil {
		set(&opts)
	}
	if _, err := acquire.Acquire(t.Context(), m, []acquire.Destination{{Root: root, Dir: dir}}, opts); err != nil {
		t.Fatal(err)
	}
	c.signAndSeal(root, exhibit, id)
	return must(layout.ExhibitDir(exhibit)) + "/" + id
}

func (c *realCase) signAndSeal(root *durable.Root, exhibit, id string) {
	c.t.Helper()
	partial := must(root.Sub(id + layout.PartialSuffix))
	u, err := acquire.ReadUnsigned(partial)
	if err != nil {
		c.t.Fatal(err)
	}
	partial.Close()
	e := &record.Acquired{Acquisition: u.Acquisition, Circumstances: u.Circumstances, Event: record.Header{Exhibit: exhibit}}
	if _, err := c.Append(c.t.Context(), e, u.Openings, c.station, c.log, testClock); err != nil {
		c.t.Fatal(err)
	}
	logged, found, err := c.FindAcquisition(exhibit, id)
	if err != nil || !found {
		c.t.Fatalf("the acquisition just logged is not found: %t, %v", found, err)
	}
	files := acquire.SealFiles{Statement: logged.Statement, Personal: logged.Personal, Proof: logged.Proof, Genesis: logged.Genesis}
	if err := acquire.Seal(root, id, files); err != nil {
		c.t.Fatal(err)
	}
}

// verify opens the folder as the command does.
func (c *realCase) verify(below string, want int) Report {
	c.t.Helper()
	root, err := os.OpenRoot(filepath.Join(c.Dir(), below))
	if err != nil {
		c.t.Fatal(err)
	}
	defer root.Close()
	p := trusting(c.Fingerprint())
	p.FolderName = filepath.Base(filepath.Join(c.Dir(), below))
	return check(c.t, root.FS(), "", p, want)
}

func TestRealCase(t *testing.T) {
	c := newRealCase(t)
	c.seize("7/a")
	one := c.acquire("7/a", idA, pattern(2*mib+7, 1), 0)
	c.seize("8")
	two := c.acquire("8", idB, pattern(3*mib+7, 2), mib)
	r := c.verify("", ExitVerified)
	if r.Kind != KindCase || len(r.Acquisitions) != 2 || len(r.Notes) != 0 {
		t.Errorf("%s", show(r))
	}
	c.verify(one, ExitVerified)
	c.verify(two, ExitVerified)
	if err := os.Rename(filepath.Join(c.Dir(), two), filepath.Join(c.Dir(), two+layout.PartialSuffix)); err != nil {
		t.Fatal(err)
	}
	c.verify("", ExitUnknown)
	if r := c.verify(two+layout.PartialSuffix, ExitUnknown); r.Kind != KindPartial {
		t.Errorf("a .partial folder is taken for %s", r.Kind)
	}
}

// TestLongRealLog holds package ledger's tiles against those that follow from the statements, over the edge of a tile.
func TestLongRealLog(t *testing.T) {
	t.Parallel()
	c := newRealCase(t)
	var batch []custody.Unlogged
	for i := range 260 {
		var o record.Openings
		e := record.NewSeized(strings.Repeat("x", i%50+1)+string(rune('a'+i/50)), testTime, "not given")
		e.Seizure.Description = must(o.Commit(rand.Reader, "/seizure/description", "laptop"))
		batch = append(batch, custody.Unlogged{Event: e, Openings: o})
	}
	for _, part := range [][]custody.Unlogged{batch[:1], batch[1:200], batch[200:]} {
		if _, err := c.AppendBatch(t.Context(), part, c.person, c.log, testClock); err != nil {
			t.Fatal(err)
		}
	}
	c.seize("7")
	c.acquire("7", idA, pattern(10, 1), 0)
	if r := c.verify("", ExitVerified); r.Cases[0].Entries != 263 || r.Cases[0].Checkpoints != 6 {
		t.Errorf("%d entries and %d checkpoints, want 263 and 6", r.Cases[0].Entries, r.Cases[0].Checkpoints)
	}
}

// TestStrangeThings puts links, pipes and folders where files belong, on a real file system: nothing is followed and
// nothing hangs, also when a link leads to the very file that should be there.
func TestStrangeThings(t *testing.T) {
	t.Parallel()
	c := newRealCase(t)
	c.seize("7")
	dir := c.acquire("7", idA, pattern(100, 1), 0)
	logDir := layout.LogDir(c.Genesis().Origin)
	names := []string{layout.CaseFile, dir + "/7.raw", dir + "/7.tree", dir + "/journal", dir + "/" + layout.Statement, dir + "/" + layout.Genesis, dir,
		logDir, logDir + "/" + layout.Checkpoint, logDir + "/" + layout.CheckpointFile(2), logDir + "/" + layout.StatementFile(1), logDir + "/tile",
		"exhibits/7", layout.LogsDir, layout.KeysDir, layout.KeyFile(c.person.PublicKey().KeyID())}
	c.verify("", ExitVerified)
	aside := filepath.Join(c.Dir(), "aside")
	for _, name := range names {
		path := filepath.Join(c.Dir(), name)
		for what, put := range map[string]func() error{
			"link":   func() error { return os.Symlink(must(filepath.Rel(filepath.Dir(path), aside)), path) },
			"pipe":   func() error { return syscall.Mkfifo(path, 0o644) },
			"socket": func() error { return syscall.Mknod(path, syscall.S_IFSOCK|0o644, 0) },
		} {
			steps := []func() error{func() error { return os.Rename(path, aside) }, put}
			for _, do := range steps {
				if err := do(); err != nil {
					t.Fatalf("%s for %s: %v", what, name, err)
				}
			}
			r := c.verify("", ExitMismatch)
			if !strings.Contains(show(r), kindName[what]) {
				t.Errorf("%s in place of %s is not called so\n%s", what, name, show(r))
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(aside, path); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.verify("", ExitVerified)
}

var kindName = map[string]string{"link": "a symbolic link", "pipe": "a named pipe", "socket": "a socket"}
