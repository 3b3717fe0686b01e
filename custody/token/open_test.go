//go:build pkcs11 && cgo

package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool/softhsm"
)

// uri is that of a key in a token of the test.
func uri(t *testing.T, token, object string) URI {
	t.Helper()
	return URI{Token: token, Object: object, Module: softhsm.Module(t)}
}

func open(t *testing.T, u URI) Key {
	t.Helper()
	k, err := Open(u, []byte(softhsm.PIN))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func verifies(t *testing.T, k Key, message string) error {
	t.Helper()
	sum := sha256.Sum256([]byte(message))
	sig, err := k.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		return err
	}
	public, ok := k.Public().(*ecdsa.PublicKey)
	if !ok {
		t.Fatalf("public key is a %T", k.Public())
	}
	if !ecdsa.VerifyASN1(public, sum[:], sig) {
		t.Error("the signature does not verify")
	}
	return nil
}

func TestSign(t *testing.T) {
	s := softhsm.New(t)
	s.Init(t, "Fall 7; ü")
	s.Key(t, "Fall 7; ü", "inspector", "01", "EC:prime256v1")
	k := open(t, uri(t, "Fall 7; ü", "inspector"))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := verifies(t, k, "a statement"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := k.Sign(nil, make([]byte, 48), crypto.SHA384); err == nil {
		t.Error("signed another digest")
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if err := verifies(t, k, "x"); !errors.Is(err, ErrAbsent) {
		t.Errorf("a closed key: %v", err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

// A card may want its PIN before each signature.
func TestAlwaysAuthenticate(t *testing.T) {
	s := softhsm.New(t)
	s.Init(t, "card")
	s.Tool(t, "card", "--keypairgen", "--key-type", "EC:prime256v1", "--label", "sign", "--id", "02", "--always-auth")
	k := open(t, uri(t, "card", "sign"))
	if asked, ok := k.(*key); !ok || asked.again == nil {
		t.Fatal("the token did not say that it wants the PIN each time")
	}
	for range 2 {
		if err := verifies(t, k, "x"); err != nil {
			t.Error(err)
		}
	}
}

func TestRefuses(t *testing.T) {
	s := softhsm.New(t)
	s.Init(t, "card")
	s.Key(t, "card", "twice", "01", "EC:prime256v1")
	s.Key(t, "card", "twice", "02", "EC:prime256v1")
	s.Key(t, "card", "large", "03", "EC:secp384r1")
	s.Key(t, "card", "rsa", "04", "rsa:2048")
	s.Key(t, "card", "half", "05", "EC:prime256v1")
	s.Tool(t, "card", "--delete-object", "--type", "pubkey", "--id", "05")
	s.Init(t, "same")
	s.Init(t, "same")
	for _, test := range []struct {
		token, object string
		want          error
		says          string
	}{
		{"card", "twice", ErrSeveral, "2 keys"}, {"card", "large", ErrAlgorithm, ""}, {"card", "rsa", ErrAlgorithm, ""}, {"card", "half", ErrNoKey, "public half"},
		{"card", "none", ErrNoKey, "none"}, {"other", "twice", ErrAbsent, `"card"`}, {"same", "twice", ErrSeveral, "serial"},
	} {
		k, err := Open(uri(t, test.token, test.object), []byte(softhsm.PIN))
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || k != nil {
			t.Errorf("Open %s of %s = %v, %v", test.object, test.token, k, err)
		}
	}
	// With its id, one of the two is chosen.
	u := uri(t, "card", "twice")
	u.ID = []byte{2}
	open(t, u)
}

func TestNoModule(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.so")
	for _, m := range []string{none, "/etc/passwd"} {
		if k, err := Open(URI{Token: "a", Object: "b", Module: m}, []byte("1")); !errors.Is(err, ErrModule) || k != nil {
			t.Errorf("Open with the module %s = %v, %v", m, k, err)
		}
	}
	softhsm.New(t)
	if _, err := Look(uri(t, "a", "b")); !errors.Is(err, ErrAbsent) {
		t.Errorf("Look without a token: %v", err)
	}
}

// A wrong PIN reaches the token once.
func TestWrongPIN(t *testing.T) {
	s := softhsm.New(t)
	s.Init(t, "card")
	s.Key(t, "card", "k", "01", "EC:prime256v1")
	calls := filepath.Join(t.TempDir(), "calls")
	t.Setenv("PKCS11SPY", softhsm.Module(t))
	t.Setenv("PKCS11SPY_OUTPUT", calls)
	u := uri(t, "card", "k")
	u.Module = softhsm.Spy(t)
	for i, pin := range []string{"wrong-pin", "1", strings.Repeat("9", 400)} {
		if k, err := Open(u, []byte(pin)); !errors.Is(err, ErrPIN) || k != nil {
			t.Errorf("Open with the PIN %.20q = %v, %v", pin, k, err)
		} else if len(pin) > 1 && strings.Contains(err.Error(), pin) {
			t.Errorf("the error repeats the PIN: %v", err)
		}
		b, err := os.ReadFile(calls)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), ": C_Login\n"); n != i+1 {
			t.Errorf("%d logins after %d PINs", n, i+1)
		}
	}
	if k, err := Open(u, nil); !errors.Is(err, ErrPIN) || k != nil {
		t.Errorf("Open without a PIN = %v, %v", k, err)
	}
	if state, err := Look(uri(t, "card", "k")); err != nil || !state.PINWrong || state.PINLocked {
		t.Errorf("Look after wrong PINs = %+v, %v", state, err)
	}
	open(t, uri(t, "card", "k"))
}

// A token that is taken away while its key is open.
func TestRemoved(t *testing.T) {
	s := softhsm.New(t)
	s.Init(t, "card")
	s.Key(t, "card", "k", "01", "EC:prime256v1")
	k := open(t, uri(t, "card", "k"))
	if err := verifies(t, k, "x"); err != nil {
		t.Fatal(err)
	}
	s.Delete(t, "card")
	if err := verifies(t, k, "x"); !errors.Is(err, ErrAbsent) {
		t.Errorf("sign without the token: %v", err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if k, err := Open(uri(t, "card", "k"), []byte(softhsm.PIN)); !errors.Is(err, ErrAbsent) || k != nil {
		t.Errorf("Open without the token = %v, %v", k, err)
	}
}

// What a token that is gone does not say is no statement about the key.
func TestAttributeLost(t *testing.T) {
	s := softhsm.New(t)
	s.Init(t, "card")
	s.Key(t, "card", "k", "01", "EC:prime256v1")
	k, ok := open(t, uri(t, "card", "k")).(*key)
	if !ok {
		t.Fatal("not a key of this package")
	}
	if err := k.module.CloseSession(k.session); err != nil {
		t.Fatal(err)
	}
	if p, err := k.publicKey(k.private); !errors.Is(err, ErrAbsent) || errors.Is(err, ErrAlgorithm) || p != nil {
		t.Errorf("publicKey without a session = %v, %v", p, err)
	}
}
