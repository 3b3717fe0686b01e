package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// deviceStore is a store with a device that holds key.
func deviceStore(t *testing.T, key *ecdsa.PrivateKey) (*Store, DeviceKey) {
	t.Helper()
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := DeviceKey{key, []byte("blob"), []byte("attestation"), bytes.Repeat([]byte{7}, 32)}
	s.Device = func(blob, auth []byte) (crypto.Signer, error) {
		if !bytes.Equal(blob, d.Blob) || !bytes.Equal(auth, d.Auth) {
			return nil, errors.New("the device refuses")
		}
		return key, nil
	}
	return s, d
}

func TestDeviceKeys(t *testing.T) {
	for _, passphrase := range []string{"", "a word"} {
		s, d := deviceStore(t, newTestKey(t))
		station, err := s.CreateDevice("station", record.KindStation, d, []byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
		if station.Protected != (passphrase != "") || !bytes.Equal(station.Attestation, d.Attestation) {
			t.Errorf("info is %+v", station)
		}
		key, err := s.Unlock("station", []byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
		if sig, err := key.Sign([]byte("x")); err != nil || station.PublicKey.Verify([]byte("x"), sig) != nil {
			t.Errorf("sign: %v", err)
		}
		info, err := s.CreateDevice("log", KindLog, d, []byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
		log, err := s.UnlockLog("log", []byte(passphrase))
		if err != nil || log.Keys() != info.LogKeys {
			t.Errorf("unlock the log key: %v", err)
		}
		if auth, err := s.Auth("log", []byte(passphrase)); err != nil || !bytes.Equal(auth, d.Auth) {
			t.Errorf("auth = %x, %v", auth, err)
		}
		if _, err := s.Unlock("station", []byte("another word")); passphrase != "" && !errors.Is(err, ErrPassphrase) {
			t.Errorf("another passphrase: %v, want ErrPassphrase", err)
		}
		if _, err := s.CreateDevice("log", KindLog, d, nil); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second time: %v, want fs.ErrExist", err)
		}
		other := s.Device
		s.Device = nil
		if _, err := s.Unlock("station", []byte(passphrase)); !errors.Is(err, ErrNoDevice) {
			t.Errorf("without a device: %v, want ErrNoDevice", err)
		}
		s.Device = func([]byte, []byte) (crypto.Signer, error) { return newTestKey(t), nil }
		if _, err := s.Unlock("station", []byte(passphrase)); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("the device has another key: %v, want ErrMalformed", err)
		}
		s.Device = other
	}
	s, d := deviceStore(t, newTestKey(t))
	if _, err := s.CreateDevice("person", record.KindPerson, d, nil); !errors.Is(err, ErrKind) {
		t.Errorf("a person's key: %v, want ErrKind", err)
	}
	d.Auth = nil
	if _, err := s.CreateDevice("log", KindLog, d, nil); err == nil {
		t.Error("a key without authorization value was kept")
	}
}

func TestAuthFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // its rights are of another kind
	}
	s, d := deviceStore(t, newTestKey(t))
	if _, err := s.CreateDevice("log", KindLog, d, nil); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(s.dir, "log", authFile)
	for mode, want := range map[fs.FileMode]error{0o600: nil, 0o400: nil, 0o640: ErrExposed, 0o604: ErrExposed, 0o660: ErrExposed} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := s.UnlockLog("log", nil); !errors.Is(err, want) {
			t.Errorf("mode %#o: %v, want %v", mode, err, want)
		}
	}
	for _, text := range []string{"", "\n", "zz\n", strings.Repeat("07", 32), strings.ToUpper(strings.Repeat("ab", 32)) + "\n"} {
		if err := errors.Join(os.Remove(name), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Auth("log", nil); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("file %q: %v, want ErrMalformed", text, err)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Unlock("log", nil); err == nil {
		t.Error("unlocked without the file")
	}
	if _, err := s.UnlockLog("log", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the file: %v, want fs.ErrNotExist", err)
	}
}

func TestAuthority(t *testing.T) {
	s, _ := deviceStore(t, newTestKey(t))
	info, err := s.Create("agency", KindAuthority, []byte("word"))
	if err != nil {
		t.Fatal(err)
	}
	key, cert, err := s.UnlockAuthority("agency", []byte("word"))
	if err != nil || !cert.IsCA || key == nil || cert.CheckSignatureFrom(cert) != nil {
		t.Errorf("unlocked: %+v, %v", info, err)
	}
	if _, err := s.Unlock("agency", []byte("word")); !errors.Is(err, ErrKind) {
		t.Errorf("as a signer: %v, want ErrKind", err)
	}
	if _, err := s.UnlockLog("agency", []byte("word")); !errors.Is(err, ErrKind) {
		t.Errorf("as a log key: %v, want ErrKind", err)
	}
	if _, err := s.Create("p", record.KindPerson, []byte("word")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.UnlockAuthority("p", []byte("word")); !errors.Is(err, ErrKind) {
		t.Errorf("a person's key: %v, want ErrKind", err)
	}
}

func newTestKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
