package acquire_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// sealed stands for what signing gives; Seal does not look into it.
func sealed() acquire.SealFiles {
	return acquire.SealFiles{Statement: []byte("statement"), Personal: []byte("personal"), Proof: []byte("proof"), Genesis: []byte("genesis")}
}

// acquireTiny makes a finished acquisition of a few bytes.
func acquireTiny(t testing.TB, root *durable.Root, dir string) error {
	t.Helper()
	m, err := medium.Open(t.Context(), "-", strings.NewReader("seventeen bytes.."))
	if err != nil {
		return err
	}
	defer m.Close()
	_, err = acquire.Acquire(t.Context(), m, []acquire.Destination{{Root: root, Dir: dir}}, options(t))
	return err
}

func TestSeal(t *testing.T) {
	dir := t.TempDir()
	d := destination(t, dir)
	if err := acquireTiny(t, d.Root, dir); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing left to do
		if err := acquire.Seal(d.Root, testID, sealed()); err != nil {
			t.Fatal(err)
		}
	}
	checkSealed(t, dir)
	mustNotExist(t, partial(dir))
	other := sealed()
	other.Statement = []byte("another")
	if err := acquire.Seal(d.Root, testID, other); !errors.Is(err, durable.ErrDiffers) {
		t.Errorf("another statement: %v, want ErrDiffers", err)
	}
}

// What a killed Seal left is completed, also when the log has grown since then, which gives another proof.
func TestSealAfterTheLogHasGrown(t *testing.T) {
	dir := t.TempDir()
	d := destination(t, dir)
	if err := acquireTiny(t, d.Root, dir); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(partial(dir), "statement.dsse.json"), []byte("statement"))
	writeFile(t, filepath.Join(partial(dir), "statement.personal.json"), []byte("openings that were erased"))
	writeFile(t, filepath.Join(partial(dir), "proof.tlog-proof"), []byte("an older proof"))
	if err := acquire.Seal(d.Root, testID, sealed()); err != nil {
		t.Fatal(err)
	}
	checkSealed(t, dir)
}

func TestSealErasedOpenings(t *testing.T) {
	dir := t.TempDir()
	d := destination(t, dir)
	if err := acquireTiny(t, d.Root, dir); err != nil {
		t.Fatal(err)
	}
	files := sealed()
	files.Personal = nil
	if err := acquire.Seal(d.Root, testID, files); err != nil {
		t.Fatal(err)
	}
	mustNotExist(t, filepath.Join(dir, testID, "statement.personal.json"))
}

// A folder of the final name that holds anything is never touched.
func TestSealOverAnother(t *testing.T) {
	dir := t.TempDir()
	d := destination(t, dir)
	if err := acquireTiny(t, d.Root, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, testID), 0o700); err != nil {
		t.Fatal(err)
	}
	mine := writeFile(t, filepath.Join(dir, testID, "mine"), []byte("x"))
	if err := acquire.Seal(d.Root, testID, sealed()); !errors.Is(err, acquire.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
	if err := os.Remove(mine); err != nil {
		t.Fatal(err)
	}
	if err := acquire.Seal(d.Root, testID, sealed()); err != nil {
		t.Errorf("over an empty folder: %v", err)
	}
	checkSealed(t, dir)
}

func TestSealNothing(t *testing.T) {
	d := destination(t, t.TempDir())
	if err := acquire.Seal(d.Root, testID, sealed()); err == nil {
		t.Error("sealed a folder that is not there")
	}
	if err := acquire.Seal(d.Root, testID, acquire.SealFiles{}); !errors.Is(err, acquire.ErrOptions) {
		t.Errorf("got %v, want ErrOptions", err)
	}
	if err := acquire.Seal(d.Root, "..", sealed()); !errors.Is(err, acquire.ErrOptions) {
		t.Errorf("got %v, want ErrOptions", err)
	}
}

// checkSealed requires a whole folder.
func checkSealed(t *testing.T, dir string) {
	t.Helper()
	for name, want := range map[string]string{"statement.dsse.json": "statement", "statement.personal.json": "personal",
		"proof.tlog-proof": "proof", "genesis.dsse.json": "genesis", "7%2Fa.raw": "seventeen bytes.."} {
		if got, err := os.ReadFile(filepath.Join(dir, testID, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, testID))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	const want = "7%2Fa.raw 7%2Fa.tree B3SUMS SHA256SUMS genesis.dsse.json journal proof.tlog-proof statement.dsse.json statement.personal.json"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("the folder holds %s, want %s", got, want)
	}
	script := "cd \"$1\" && sha256sum --quiet --strict -c SHA256SUMS"
	testtool.Run(t, "sh", "-c", script, "sh", filepath.Join(dir, testID))
}

// Whatever call fails, what has the final name is whole, and what has not can be sealed exactly when it is finished.
func TestFaults(t *testing.T) {
	var dir string
	faulttest.Case{
		Prepare: func(t *testing.T, fresh string) { dir = fresh },
		Run: func(root *durable.Root) error {
			if err := acquireTiny(t, root, dir); err != nil {
				return err
			}
			return acquire.Seal(root, testID, sealed())
		},
		Check: func(t *testing.T, dir string, err error) {
			if _, serr := os.Lstat(filepath.Join(dir, testID)); serr == nil {
				checkSealed(t, dir)
				mustNotExist(t, partial(dir))
			} else if err == nil {
				t.Error("no error and no sealed folder")
			}
			again(t, dir)
		},
	}.Each(t)
}

// again does what a person does after a crash: seal what can be sealed.
func again(t *testing.T, dir string) {
	t.Helper()
	d := destination(t, dir)
	_, merr := os.Lstat(filepath.Join(partial(dir), "unsigned.json"))
	_, serr := os.Lstat(filepath.Join(partial(dir), "statement.dsse.json"))
	_, derr := os.Lstat(filepath.Join(dir, testID))
	checkUnsigned(t, d, merr == nil, serr == nil, derr == nil)
	err := acquire.Seal(d.Root, testID, sealed())
	if merr == nil || serr == nil || derr == nil {
		if err != nil {
			t.Errorf("Seal again: %v", err)
			return
		}
		checkSealed(t, dir)
		return
	}
	if err == nil {
		t.Error("an unfinished acquisition could be sealed")
	}
	mustNotExist(t, filepath.Join(dir, testID))
}

// checkUnsigned requires that ReadUnsigned tells what is left to do.
func checkUnsigned(t *testing.T, d acquire.Destination, record, statement, done bool) {
	t.Helper()
	if done {
		return
	}
	root, err := d.Root.Sub(testID + ".partial")
	if err != nil {
		return // the folder was never made
	}
	defer root.Close()
	want := acquire.ErrUnfinished
	if record {
		want = nil
	} else if statement {
		want = acquire.ErrSealing
	}
	if _, err := acquire.ReadUnsigned(root); !errors.Is(err, want) {
		t.Errorf("ReadUnsigned: %v, want %v", err, want)
	}
}
