package sign

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// The files of a key that a device holds. The authorization value with which it is used stands in authFile, as hex digits
// and a newline, or encrypted in authFileEncrypted.
const (
	blobFile          = "tpm.json"
	attestationFile   = "attestation.json"
	authFile          = "auth"
	authFileEncrypted = "auth.pem"
)

var (
	// ErrNoDevice says that a key is held by a device, and none is there.
	ErrNoDevice = errors.New("the key is held by a device that is not there")
	// ErrExposed refuses a secret in a file that others can read.
	ErrExposed = errors.New("the file with the secret can be read by others")
)

// DeviceKey is a key that a device holds, such as a TPM, and what is kept of it.
type DeviceKey struct {
	Key         crypto.Signer
	Blob        []byte // from which Store.Device loads it
	Attestation []byte // which shows others that a device holds it
	Auth        []byte // its authorization value
}

// CreateDevice keeps a key that a device holds under a name that must be new (fs.ErrExist). Without a passphrase its
// authorization value stands in a file that only its owner can read. The Ed25519 half of a log key is in software; what
// encrypts it is the authorization value.
func (s *Store) CreateDevice(name, kind string, k DeviceKey, passphrase []byte) (Info, error) {
	fail := func(err error) (Info, error) { return Info{}, fmt.Errorf("create key %q: %w", name, err) }
	if err := checkName(name); err != nil {
		return Info{}, err
	}
	if kind != KindLog && kind != record.KindStation {
		return fail(fmt.Errorf("%w: %.40q: a person's key does not stay with a machine", ErrKind, kind))
	}
	if len(k.Auth) == 0 || len(k.Blob) == 0 || len(k.Attestation) == 0 {
		return fail(errors.New("the device's key is incomplete"))
	}
	if err := s.refuseExisting(name); err != nil {
		return Info{}, err
	}
	cert, err := newCertificate(kind, k.Key, s.now())
	if err != nil {
		return fail(err)
	}
	files := []file{{certFile, cert}, {blobFile, k.Blob}, {attestationFile, k.Attestation}}
	digits := []byte(hex.EncodeToString(k.Auth))
	auth := file{authFile, append(digits, '\n')}
	if len(passphrase) > 0 {
		auth.name = authFileEncrypted
		if auth.data, err = encryptSecret(pemAuth, digits, passphrase); err != nil {
			return fail(err)
		}
	}
	files = append(files, auth)
	if kind == KindLog {
		_, second, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return fail(err)
		}
		defer clear(second)
		more, err := filesOf(second, keyFileEd25519, certFileEd25519, kind, digits, s.now())
		if err != nil {
			return fail(err)
		}
		files = append(files, more...)
	}
	if err := s.write(name, files); err != nil {
		return fail(err)
	}
	return s.Info(name)
}

// deviceInfo adds what is known of a key that a device holds.
func (s *Store) deviceInfo(info *Info) error {
	attestation, err := s.read(info.Name, attestationFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info.Attestation = attestation
	_, err = os.Lstat(filepath.Join(s.dir, info.Name, authFileEncrypted))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	info.Protected = err == nil
	return nil
}

// Auth returns the authorization value of a key that a device holds. The passphrase is ignored where there is none.
func (s *Store) Auth(name string, passphrase []byte) ([]byte, error) {
	info, err := s.Info(name)
	if err != nil {
		return nil, err
	}
	if info.Attestation == nil {
		return nil, fmt.Errorf("key %q: %w: it is held by no device", name, ErrKind)
	}
	auth, err := s.auth(info, passphrase)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", name, err)
	}
	return auth, nil
}

func (s *Store) auth(info Info, passphrase []byte) ([]byte, error) {
	var digits []byte
	if info.Protected {
		b, err := s.read(info.Name, authFileEncrypted)
		if err != nil {
			return nil, err
		}
		if digits, err = decryptSecret(pemAuth, b, passphrase); err != nil {
			return nil, err
		}
	} else {
		if err := CheckPrivate(filepath.Join(s.dir, info.Name, authFile)); err != nil {
			return nil, err
		}
		b, err := s.read(info.Name, authFile)
		if err != nil {
			return nil, err
		}
		if len(b) == 0 || b[len(b)-1] != '\n' {
			return nil, fmt.Errorf("%w: %s", record.ErrMalformed, authFile)
		}
		digits = b[:len(b)-1]
	}
	auth, err := hex.DecodeString(string(digits))
	if err != nil || len(auth) == 0 || hex.EncodeToString(auth) != string(digits) {
		return nil, fmt.Errorf("%w: the authorization value is not hex digits", record.ErrMalformed)
	}
	return auth, nil
}

// CheckPrivate requires that only its owner can read a file that holds a secret; else ErrExposed. On Windows, whose rights
// are of another kind, it requires nothing.
func CheckPrivate(name string) error {
	info, err := os.Lstat(name)
	if err != nil {
		return err
	}
	if mode := info.Mode(); runtime.GOOS != "windows" && mode.Perm()&0o077 != 0 {
		return fmt.Errorf("%w: %q has the mode %#o", ErrExposed, name, mode.Perm())
	}
	return nil
}

// unlockDevice returns a key that a device holds, and its authorization value.
func (s *Store) unlockDevice(info Info, passphrase []byte) (Signer, []byte, error) {
	fail := func(err error) (Signer, []byte, error) { return nil, nil, fmt.Errorf("key %q: %w", info.Name, err) }
	if s.Device == nil {
		return fail(ErrNoDevice)
	}
	auth, err := s.auth(info, passphrase)
	if err != nil {
		return fail(err)
	}
	blob, err := s.read(info.Name, blobFile)
	if err != nil {
		return fail(err)
	}
	key, err := s.Device(blob, auth)
	if err != nil {
		return fail(err)
	}
	signer, err := NewDeviceSigner(key)
	if err != nil {
		return fail(err)
	}
	if signer.PublicKey() != info.PublicKey {
		return fail(fmt.Errorf("%w: %s is not the key of %s", record.ErrMalformed, blobFile, certFile))
	}
	return signer, auth, nil
}

func (s *Store) unlockDeviceLog(info Info, passphrase []byte) (LogSigner, error) {
	first, auth, err := s.unlockDevice(info, passphrase)
	if err != nil {
		return nil, err
	}
	second, err := s.decrypt(info.Name, keyFileEd25519, []byte(hex.EncodeToString(auth)))
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", info.Name, err)
	}
	edKey, ok := second.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key %q: %w: %s holds no Ed25519 key", info.Name, record.ErrMalformed, keyFileEd25519)
	}
	signer, err := NewLogSignerOf(first, edKey)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", info.Name, err)
	}
	if signer.Keys() != info.LogKeys {
		return nil, fmt.Errorf("key %q: %w: %s is not the key of %s", info.Name, record.ErrMalformed, keyFileEd25519, certFileEd25519)
	}
	return signer, nil
}
