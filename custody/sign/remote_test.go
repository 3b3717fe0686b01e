package sign

import (
	"crypto"
	"crypto/elliptic"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

const testURI = "pkcs11:token=a;object=b?module-path=/lib.so"

// remoteStore is a store, and what holds the keys that it does not; a wrong PIN opens nothing.
func remoteStore(t *testing.T, held map[string]crypto.Signer) (*Store, *int) {
	t.Helper()
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	s.Remote = func(uri string, pin []byte) (crypto.Signer, error) {
		tries++
		if string(pin) != "1234" || held[uri] == nil {
			return nil, errors.New("refused")
		}
		return held[uri], nil
	}
	return s, &tries
}

// closable is a key that is open until it is closed, as one in a token is.
type closable struct {
	crypto.Signer
	closed bool
}

func (c *closable) Close() error {
	c.closed = true
	return nil
}

func TestRemoteKeys(t *testing.T) {
	held := map[string]crypto.Signer{testURI: newTestKey(t)}
	s, tries := remoteStore(t, held)
	info, err := s.CreateRemote("p", record.KindPerson, testURI, held[testURI])
	if err != nil || info.URI != testURI || !info.Protected || info.Kind != record.KindPerson {
		t.Fatalf("CreateRemote = %+v, %v", info, err)
	}
	if all, err := s.List(); err != nil || len(all) != 1 || all[0].URI != testURI {
		t.Errorf("List = %+v, %v", all, err)
	}
	key, err := s.Unlock("p", []byte("1234"))
	if err != nil || key.PublicKey() != info.PublicKey {
		t.Fatalf("Unlock = %v, %v", key, err)
	}
	if sig, err := key.Sign([]byte("x")); err != nil || info.PublicKey.Verify([]byte("x"), sig) != nil {
		t.Errorf("sign: %v", err)
	}
	*tries = 0
	if key, err := s.Unlock("p", []byte("1235")); err == nil || key != nil || *tries != 1 {
		t.Errorf("Unlock with a wrong PIN, tried %d times = %v, %v", *tries, key, err)
	}
	other := &closable{Signer: newTestKey(t)}
	held[testURI] = other
	if key, err := s.Unlock("p", []byte("1234")); !errors.Is(err, ErrReplaced) || key != nil || !other.closed {
		t.Errorf("Unlock of another key = %v, %v; closed: %v", key, err, other.closed)
	}
	s.Remote = nil
	if key, err := s.Unlock("p", []byte("1234")); !errors.Is(err, ErrNoDevice) || key != nil {
		t.Errorf("Unlock without what holds it = %v, %v", key, err)
	}
	if key, err := s.UnlockLog("p", []byte("1234")); !errors.Is(err, ErrKind) || key != nil {
		t.Errorf("UnlockLog = %v, %v", key, err)
	}
}

func TestRemoteRefused(t *testing.T) {
	key := newTestKey(t)
	s, _ := remoteStore(t, nil)
	if _, err := s.CreateRemote("there", record.KindStation, testURI, key); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, kind, uri string
		key             crypto.Signer
		want            error
	}{
		{"there", record.KindPerson, testURI, key, fs.ErrExist}, {"l", KindLog, testURI, key, ErrKind}, {"a", KindAuthority, testURI, key, ErrKind},
		{"x", "other", testURI, key, ErrKind}, {"x", record.KindPerson, "", key, record.ErrMalformed}, {"x", record.KindPerson, "a\nb", key, record.ErrMalformed},
		{"x", record.KindPerson, "a b", key, record.ErrMalformed}, {"x", record.KindPerson, strings.Repeat("a", 2049), key, record.ErrMalformed},
		{"x", record.KindPerson, testURI, newECDSA(t, elliptic.P384()), ErrKind},
	} {
		if info, err := s.CreateRemote(test.name, test.kind, test.uri, test.key); !errors.Is(err, test.want) || info.Name != "" {
			t.Errorf("CreateRemote(%q, %q, %.20q) = %+v, %v", test.name, test.kind, test.uri, info, err)
		}
	}
	// What somebody wrote there by hand.
	file := filepath.Join(s.dir, "there", uriFile)
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "\n", testURI, testURI + "\n\n", "a b\n", strings.Repeat("a", 9000) + "\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if info, err := s.Info("there"); err == nil || info.Name != "" {
			t.Errorf("Info with %.20q = %+v, %v", text, info, err)
		}
	}
}

// A URI beside a log key, whose second half is in a file, is no key of ours.
func TestRemoteLogKey(t *testing.T) {
	s, _ := remoteStore(t, nil)
	if _, err := s.Create("l", KindLog, []byte("a passphrase")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "l", uriFile), []byte(testURI+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Info("l"); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("Info = %v", err)
	}
}
