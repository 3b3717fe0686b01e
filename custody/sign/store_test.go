package sign

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

func newStore(t testing.TB) *Store {
	t.Helper()
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.Clock = func() time.Time { return testTime }
	return s
}

func mustCreate(t testing.TB, s *Store, name, kind string) Info {
	t.Helper()
	info, err := s.Create(name, kind, testPass)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// copyKey puts a copy of a key's folder under another name, as somebody with access to the disk can.
func copyKey(t testing.TB, s *Store, from, to string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(s.dir, to), os.DirFS(filepath.Join(s.dir, from))); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, s *Store, from, to string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, from))
	if err != nil {
		t.Fatal(err)
	}
	to = filepath.Join(s.dir, to)
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// One store with a key of each kind serves many checks: each key costs a quarter of a second of scrypt.
func TestStore(t *testing.T) {
	s := newStore(t)
	infos := map[string]Info{}
	for name, kind := range map[string]string{"inspector": record.KindPerson, "lab-1": record.KindStation, "lab-1.log": KindLog} {
		infos[name] = mustCreate(t, s, name, kind)
	}
	signer, err := s.Unlock("inspector", testPass)
	if err != nil {
		t.Fatal(err)
	}
	logSigner, err := s.UnlockLog("lab-1.log", testPass)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("info", func(t *testing.T) { testInfo(t, s, infos) })
	t.Run("private", func(t *testing.T) { testPrivate(t, s) })
	t.Run("unlock", func(t *testing.T) { testUnlock(t, s, infos, signer) })
	t.Run("unlock log", func(t *testing.T) { testUnlockLog(t, s, infos, logSigner) })
	t.Run("exists", func(t *testing.T) { testExists(t, s) })
	t.Run("exchanged files", func(t *testing.T) { testExchanged(t, s) })
	t.Run("openssl", func(t *testing.T) { testOpenSSL(t, s, signer, logSigner) })
}

func testInfo(t *testing.T, s *Store, infos map[string]Info) {
	for name, kind := range map[string]string{"inspector": record.KindPerson, "lab-1": record.KindStation, "lab-1.log": KindLog} {
		got, err := s.Info(name)
		if err != nil || !reflect.DeepEqual(got, infos[name]) {
			t.Errorf("Info(%s) = %+v, %v; want what Create returned, %+v", name, got, err, infos[name])
		}
		if got.Name != name || got.Kind != kind || got.KeyID == "" || got.KeyID != got.PublicKey.KeyID() || !got.Created.Equal(testTime.Truncate(time.Second)) {
			t.Errorf("Info(%s) = %+v", name, got)
		}
		if bytes.Contains(got.Certificate, []byte(name)) {
			t.Errorf("the certificate of %s holds its name", name)
		}
		if logKey := got.LogKeys != [2]record.LogKey{}; logKey != (kind == KindLog) {
			t.Errorf("Info(%s).LogKeys = %v", name, got.LogKeys)
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{".new-123", "Upper", "x.tmp"} {
		if err := os.Mkdir(filepath.Join(s.dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.List()
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	if want := []string{"inspector", "lab-1", "lab-1.log"}; err != nil || !reflect.DeepEqual(names, want) {
		t.Errorf("List = %v, %v; want %v", names, err, want)
	}
	if i, err := s.Info("nobody"); !errors.Is(err, fs.ErrNotExist) || i.Name != "" {
		t.Errorf("Info(nobody) = %v, %v; want fs.ErrNotExist", i, err)
	}
}

func testPrivate(t *testing.T, s *Store) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	files := 0
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == s.dir || filepath.Dir(path) == s.dir && !d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		if !d.IsDir() {
			files++
		}
		return nil
	})
	if err != nil || files != 2+2+4 {
		t.Errorf("%d files (%v), want 8", files, err)
	}
}

func testUnlock(t *testing.T, s *Store, infos map[string]Info, signer Signer) {
	if signer.PublicKey() != infos["inspector"].PublicKey {
		t.Errorf("the unlocked key is %s, want %s", signer.PublicKey().KeyID(), infos["inspector"].KeyID)
	}
	b, err := Seal(signer, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := ParseEnvelope(b); err != nil || e.Verify(infos["inspector"].PublicKey) != nil {
		t.Errorf("what the key signed does not verify: %v", err)
	}
	for _, test := range []struct {
		name, pass string
		want       error
	}{
		{"inspector", "wrong", ErrPassphrase}, {"inspector", "", ErrPassphraseEmpty}, {"lab-1.log", string(testPass), ErrKind},
		{"lab-1.log", "wrong", ErrKind}, {"nobody", string(testPass), fs.ErrNotExist}, {"../inspector", string(testPass), layout.ErrName},
	} {
		if signer, err := s.Unlock(test.name, []byte(test.pass)); !errors.Is(err, test.want) || signer != nil {
			t.Errorf("Unlock(%s, %q) = %v, %v; want %v", test.name, test.pass, signer, err, test.want)
		}
	}
}

func testUnlockLog(t *testing.T, s *Store, infos map[string]Info, signer LogSigner) {
	if signer.Keys() != infos["lab-1.log"].LogKeys {
		t.Errorf("the unlocked keys are %v, want %v", signer.Keys(), infos["lab-1.log"].LogKeys)
	}
	n := mustSign(t, signer, origin, noteText)
	keys := infos["lab-1.log"].LogKeys
	if text, err := OpenNote([]byte(n), origin, keys[:]); err != nil || text != noteText {
		t.Errorf("OpenNote = %q, %v", text, err)
	}
	for _, test := range []struct {
		name, pass string
		want       error
	}{
		{"lab-1.log", "wrong", ErrPassphrase}, {"lab-1.log", "", ErrPassphraseEmpty}, {"lab-1", string(testPass), ErrKind},
		{"inspector", string(testPass), ErrKind}, {"nobody", string(testPass), fs.ErrNotExist},
	} {
		if signer, err := s.UnlockLog(test.name, []byte(test.pass)); !errors.Is(err, test.want) || signer != nil {
			t.Errorf("UnlockLog(%s, %q) = %v, %v; want %v", test.name, test.pass, signer, err, test.want)
		}
	}
}

func testExists(t *testing.T, s *Store) {
	before, err := os.ReadFile(filepath.Join(s.dir, "inspector", keyFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"inspector", "notes"} {
		if i, err := s.Create(name, record.KindStation, testPass); !errors.Is(err, fs.ErrExist) || i.Name != "" {
			t.Errorf("Create(%s) again = %v, %v; want fs.ErrExist", name, i, err)
		}
		if err := s.write(name, []file{{keyFile, []byte("new")}}); err == nil {
			t.Errorf("write(%s) over what is there: no error", name)
		}
	}
	after, err := os.ReadFile(filepath.Join(s.dir, "inspector", keyFile))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key file changed (%v)", err)
	}
	for name, test := range map[string]struct {
		kind string
		pass []byte
		want error
	}{
		"unknown": {"judge", testPass, ErrKind}, "nokind": {"", testPass, ErrKind}, "nopass": {KindLog, nil, ErrPassphraseEmpty}, "com1": {KindLog, testPass, layout.ErrName},
	} {
		if i, err := s.Create(name, test.kind, test.pass); !errors.Is(err, test.want) || i.Name != "" {
			t.Errorf("Create(%s, %q, %q) = %v, %v; want %v", name, test.kind, test.pass, i, err, test.want)
		}
		if _, err := os.Lstat(filepath.Join(s.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a refused Create left %s", name)
		}
	}
}

func testExchanged(t *testing.T, s *Store) {
	for _, name := range []string{"k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"} {
		from := "lab-1.log"
		if name < "k4" {
			from = "lab-1"
		}
		copyKey(t, s, from, name)
	}
	copyFile(t, s, "inspector/cert.pem", "k1/cert.pem")         // a station's key as a person's
	copyFile(t, s, "lab-1.log/key-ed25519.pem", "k2/key.pem")   // another algorithm
	copyFile(t, s, "lab-1.log/cert-ed25519.pem", "k3/cert.pem") // another algorithm
	copyFile(t, s, "lab-1/key.pem", "k4/key.pem")               // a station's key as a log's
	copyFile(t, s, "lab-1/key.pem", "k5/key-ed25519.pem")
	copyFile(t, s, "lab-1.log/cert.pem", "k6/cert-ed25519.pem")
	copyFile(t, s, "lab-1/cert.pem", "k7/cert-ed25519.pem")
	another, err := newCertificate(KindLog, newEd25519(t), testTime)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "another"), another, 0o600); err != nil {
		t.Fatal(err)
	}
	copyFile(t, s, "another", "k8/cert-ed25519.pem")
	another, err = newCertificate(record.KindStation, newEd25519(t), testTime)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "another"), another, 0o600); err != nil {
		t.Fatal(err)
	}
	copyFile(t, s, "another", "k9/cert-ed25519.pem") // the right algorithm, the wrong kind
	for _, name := range []string{"k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"} {
		if err := unlockAny(s, name); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	if i, err := s.Info("k9"); !errors.Is(err, record.ErrMalformed) || i.Name != "" {
		t.Errorf("Info(k9) = %v, %v; want ErrMalformed", i, err)
	}
	if all, err := s.List(); !errors.Is(err, record.ErrMalformed) || all != nil || !strings.Contains(err.Error(), `"k3"`) {
		t.Errorf("List = %v, %v; want an error that names k3", all, err)
	}
}

// unlockAny unlocks a key as what its certificate says it is.
func unlockAny(s *Store, name string) error {
	info, err := s.Info(name)
	if err != nil {
		return err
	}
	if info.Kind == KindLog {
		_, err = s.UnlockLog(name, testPass)
	} else {
		_, err = s.Unlock(name, testPass)
	}
	return err
}

func TestOpenStoreMissing(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"missing", "missing/keys"} {
		if s, err := OpenStore(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) || s != nil {
			t.Errorf("OpenStore = %v, %v; want fs.ErrNotExist", s, err)
		}
	}
	if _, err := new(Store).List(); err == nil {
		t.Error("the zero Store lists keys")
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "0", "inspector", "lab-1.log", "a_b", "console", "com10", "x.con", strings.Repeat("a", 64)} {
		if err := checkName(name); err != nil {
			t.Errorf("checkName(%q) = %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", ".new-1", "-a", "_a", "A", "é", "a b", "a/b", `a\b`, "a:b", "a\n", "a\x00", "a.", "a..", "con", "nul.pem",
		"com1", "lpt9.x.y", "a.tmp", "a.0123456789abcdef.tmp", strings.Repeat("a", 65)} {
		if err := checkName(name); !errors.Is(err, layout.ErrName) {
			t.Errorf("checkName(%q) = %v, want ErrName", name, err)
		}
	}
}

// What lies in a key's folder is not opened when it is no file, and not read when it is too large.
func TestStoreRefusesHostileFiles(t *testing.T) {
	s := newStore(t)
	cert, err := newCertificate(record.KindPerson, rfcKey(t), testTime)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.write("good", []file{{certFile, cert}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Info("good"); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(dir string) error{
		"large": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, certFile), append(cert, bytes.Repeat([]byte("\n"), maxKeyFile)...), 0o600)
		},
		"link": func(dir string) error {
			return os.Symlink(filepath.Join(s.dir, "good", certFile), filepath.Join(dir, certFile))
		},
		"folder": func(dir string) error { return os.Mkdir(filepath.Join(dir, certFile), 0o700) },
		"empty":  func(dir string) error { return os.WriteFile(filepath.Join(dir, certFile), nil, 0o600) },
		"none":   func(string) error { return nil },
	} {
		dir := filepath.Join(s.dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := make(dir); err != nil {
			t.Fatal(err)
		}
		if i, err := s.Info(name); err == nil || i.Name != "" {
			t.Errorf("%s: Info = %v, %v; want an error", name, i, err)
		}
	}
	if err := os.Symlink(filepath.Join(s.dir, "good"), filepath.Join(s.dir, "linked")); err != nil {
		t.Fatal(err)
	}
	if i, err := s.Info("linked"); !errors.Is(err, durable.ErrNotFolder) || i.Name != "" {
		t.Errorf("a linked folder: Info = %v, %v; want ErrNotFolder", i, err)
	}
}

// Each call of a write fails once, alone or with all that follow as after a kill: the key is there whole, or not at all.
func TestWriteFaults(t *testing.T) {
	files := []file{{keyFile, []byte("key")}, {certFile, []byte("certificate")}}
	errFault := errors.New("fault")
	for _, kill := range []bool{false, true} {
		for at := 0; ; at++ {
			s := newStore(t)
			calls := 0
			var last durable.Op
			renamed := false // before the last call
			s.hook = func(op durable.Op, _ string) error {
				calls++
				last = op
				_, err := os.Lstat(filepath.Join(s.dir, "new"))
				renamed = err == nil
				if calls == at || kill && at > 0 && calls > at {
					return errFault
				}
				return nil
			}
			err := s.write("new", files)
			if at > 0 && calls < at {
				if at < 10 {
					t.Fatalf("only %d calls were seen", at)
				}
				break
			}
			if (at > 0) != errors.Is(err, errFault) {
				t.Errorf("call %d failed, kill %t: write = %v", at, kill, err)
			}
			if err == nil && (last != durable.OpSyncDir || !renamed) {
				t.Errorf("the last call is %q, after the rename: %t; want the folder synced after the rename", last, renamed)
			}
			checkWhole(t, s, files, err)
		}
	}
}

func checkWhole(t *testing.T, s *Store, files []file, result error) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.dir, "new"))
	if errors.Is(err, fs.ErrNotExist) && result != nil {
		if left, err := os.ReadDir(s.dir); err != nil || len(left) != 0 {
			t.Errorf("write failed (%v) and left %v, %v", result, left, err)
		}
		return
	}
	if err != nil || len(entries) != len(files) {
		t.Errorf("after %v the folder holds %v, %v", result, entries, err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(filepath.Join(s.dir, "new", f.name)); err != nil || !bytes.Equal(b, f.data) {
			t.Errorf("after %v: %s holds %q, %v", result, f.name, b, err)
		}
	}
}

// Of several that create one name, one wins and its files stay.
func TestWriteRace(t *testing.T) {
	s := newStore(t)
	var wg sync.WaitGroup
	won := make(chan string, 8)
	for i := range 8 {
		data := strings.Repeat(string(rune('a'+i)), 100)
		wg.Go(func() {
			err := s.write("k", []file{{keyFile, []byte(data)}, {certFile, []byte(data)}})
			switch {
			case err == nil:
				won <- data
			case !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY):
				t.Errorf("write = %v", err)
			}
		})
	}
	wg.Wait()
	close(won)
	winner := <-won
	if second, more := <-won; winner == "" || more {
		t.Fatalf("the winners are %.1q and %.1q", winner, second)
	}
	for _, name := range []string{keyFile, certFile} {
		if b, err := os.ReadFile(filepath.Join(s.dir, "k", name)); err != nil || string(b) != winner {
			t.Errorf("%s holds %.1q, %v; want the winner's %.1q", name, b, err, winner)
		}
	}
}
