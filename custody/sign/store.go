package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// The files of a key's folder.
const (
	keyFile         = "key.pem"
	certFile        = "cert.pem"
	keyFileEd25519  = "key-ed25519.pem"  // only of a log key
	certFileEd25519 = "cert-ed25519.pem" // only of a log key
)

// Store is a folder of keys, each in a folder of its own: keys/<name>/. It is safe for concurrent use, also by several
// processes.
//
// Randomness is not passed in: since Go 1.26 the standard library takes keys from the system's generator whatever
// reader it is given.
type Store struct {
	// Clock gives the time of creation that a new certificate carries; nil is the system's clock.
	Clock func() time.Time
	// Device loads a key into the device that holds it, from what CreateDevice was given; nil: there is no device.
	Device func(blob, auth []byte) (crypto.Signer, error)
	// Remote opens a key that is held elsewhere by its URI, trying the PIN once; nil: there is nothing that can.
	Remote func(uri string, pin []byte) (crypto.Signer, error)

	dir  string
	hook durable.Hook // makes the calls that write fail; tests only
}

// Info is what is known of a key without its passphrase. Its self-signed certificate was checked, nothing else.
type Info struct {
	Name        string
	Kind        string // record.KindPerson, record.KindStation or KindLog
	KeyID       string // of PublicKey
	PublicKey   PublicKey
	Certificate []byte           // PEM
	Created     time.Time        // UTC, by the clock of the station that made it
	LogKeys     [2]record.LogKey // of a log key only; the first is PublicKey
	Attestation []byte           // of a key that a device holds: what shows it; else nil
	URI         string           // of a key that is held elsewhere, in a token or a service: where; else empty
	Protected   bool             // a passphrase, or a token's PIN, is needed to use it
}

// OpenStore opens an existing folder of keys; a missing one is fs.ErrNotExist.
func OpenStore(dir string) (*Store, error) {
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if err := root.Close(); err != nil {
		return nil, err
	}
	return &Store{dir: dir}, nil
}

// Create makes a key, protected by passphrase, under a name that must be new (fs.ErrExist). After an error there is no
// key of that name, unless only the last sync failed.
//
// System calls: mkdir(.new-<random>, 0700), each file as durable.CreateSecretEx writes it, rename(.new-<random>, name),
// fsync(folder). A process that was killed leaves at most a folder .new-<random>, which holds no key in use and may be
// deleted.
func (s *Store) Create(name, kind string, passphrase []byte) (Info, error) {
	if err := checkName(name); err != nil {
		return Info{}, err
	}
	if !slices.Contains(kinds, kind) {
		return Info{}, fmt.Errorf("%w: %.40q", ErrKind, kind)
	}
	if len(passphrase) == 0 {
		return Info{}, ErrPassphraseEmpty
	}
	if err := s.refuseExisting(name); err != nil {
		return Info{}, err
	}
	files, err := newFiles(kind, passphrase, s.now())
	if err != nil {
		return Info{}, fmt.Errorf("create key %q: %w", name, err)
	}
	if err := s.write(name, files); err != nil {
		return Info{}, fmt.Errorf("create key %q: %w", name, err)
	}
	return s.Info(name)
}

func (s *Store) now() time.Time {
	if s.Clock == nil {
		return time.Now()
	}
	return s.Clock()
}

func (s *Store) refuseExisting(name string) error {
	_, err := os.Lstat(filepath.Join(s.dir, name))
	if err == nil {
		return fmt.Errorf("create key %q: %w", name, fs.ErrExist)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for a key %q: %w", name, err)
	}
	return nil
}

type file struct {
	name string
	data []byte
}

func newFiles(kind string, passphrase []byte, created time.Time) ([]file, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("draw a key: %w", err)
	}
	files, err := filesOf(key, keyFile, certFile, kind, passphrase, created)
	if err != nil || kind != KindLog {
		return files, err
	}
	_, second, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("draw a key: %w", err)
	}
	defer clear(second)
	more, err := filesOf(second, keyFileEd25519, certFileEd25519, kind, passphrase, created)
	if err != nil {
		return nil, err
	}
	return append(files, more...), nil
}

func filesOf(key crypto.Signer, keyName, certName, kind string, passphrase []byte, created time.Time) ([]file, error) {
	secret, err := encryptKey(key, passphrase)
	if err != nil {
		return nil, err
	}
	cert, err := newCertificate(kind, key, created)
	if err != nil {
		return nil, err
	}
	return []file{{keyName, secret}, {certName, cert}}, nil
}

// write puts files into the folder name, which appears complete or not at all.
func (s *Store) write(name string, files []file) (err error) {
	temp, err := os.MkdirTemp(s.dir, ".new-") // mode 0700
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp)) // without effect after the rename
		}
	}()
	root, err := durable.OpenRootFaults(temp, s.hook)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := root.CreateSecretEx(f.name, f.data); err != nil {
			return errors.Join(err, root.Close())
		}
	}
	if err := root.Close(); err != nil {
		return err
	}
	// A rename replaces an empty folder at most, which is no key.
	if err := os.Rename(temp, filepath.Join(s.dir, name)); err != nil {
		return err
	}
	parent, err := durable.OpenRootFaults(s.dir, s.hook)
	if err != nil {
		return err
	}
	return errors.Join(parent.SyncDir("."), parent.Close())
}

// List returns every key, sorted by name. One that cannot be read is an error that names it. Files, and folders whose
// name no key can have, are passed over.
func (s *Store) List() ([]Info, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var infos []Info
	for _, e := range entries {
		if !e.IsDir() || checkName(e.Name()) != nil {
			continue
		}
		info, err := s.Info(e.Name())
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// Info describes a key. An unknown name is fs.ErrNotExist.
func (s *Store) Info(name string) (Info, error) {
	if err := checkName(name); err != nil {
		return Info{}, err
	}
	pem, c, err := s.readCertificate(name, certFile)
	if err != nil {
		return Info{}, fmt.Errorf("key %q: %w", name, err)
	}
	key, err := ParsePublicKey(c.der)
	if err != nil {
		return Info{}, fmt.Errorf("key %q: %w", name, err)
	}
	info := Info{Name: name, Kind: c.kind, KeyID: key.KeyID(), PublicKey: key, Certificate: pem, Created: c.created, Protected: true}
	if err := s.deviceInfo(&info); err != nil {
		return Info{}, fmt.Errorf("key %q: %w", name, err)
	}
	if err := s.remoteInfo(&info); err != nil {
		return Info{}, fmt.Errorf("key %q: %w", name, err)
	}
	if info.Kind != KindLog {
		return info, nil
	}
	_, second, err := s.readCertificate(name, certFileEd25519)
	if err != nil {
		return Info{}, fmt.Errorf("key %q: %w", name, err)
	}
	if second.kind != KindLog {
		return Info{}, fmt.Errorf("key %q: %w: the second certificate is one of a %s key", name, record.ErrMalformed, second.kind)
	}
	if _, err := parseEd25519(second.der); err != nil {
		return Info{}, fmt.Errorf("key %q: %w", name, err)
	}
	info.LogKeys = logKeys(key, second.der)
	return info, nil
}

func (s *Store) readCertificate(name, base string) ([]byte, certificate, error) {
	b, err := s.read(name, base)
	if err != nil {
		return nil, certificate{}, err
	}
	c, err := parseCertificate(b)
	if err != nil {
		return nil, certificate{}, fmt.Errorf("%s: %w", base, err)
	}
	return b, c, nil
}

func (s *Store) read(name, base string) ([]byte, error) {
	root, err := durable.OpenRoot(s.dir)
	if err != nil {
		return nil, err
	}
	b, err := root.ReadFile(name+"/"+base, maxKeyFile)
	if err := errors.Join(err, root.Close()); err != nil {
		return nil, err
	}
	return b, nil
}

// Unlock decrypts the key of a person or a station; a key of another kind is ErrKind, a wrong passphrase ErrPassphrase.
func (s *Store) Unlock(name string, passphrase []byte) (Signer, error) {
	info, err := s.Info(name)
	if err != nil {
		return nil, err
	}
	if info.Kind == KindLog {
		return nil, fmt.Errorf("key %q: %w: a log key signs checkpoints only", name, ErrKind)
	}
	if info.Kind == KindAuthority {
		return nil, fmt.Errorf("key %q: %w: an authority's key signs certificates only", name, ErrKind)
	}
	if info.Attestation != nil {
		signer, _, err := s.unlockDevice(info, passphrase)
		return signer, err
	}
	if info.URI != "" {
		return s.unlockRemote(info, passphrase)
	}
	key, err := s.unlockECDSA(info, passphrase)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", name, err)
	}
	return NewSoftwareSigner(key)
}

// UnlockLog decrypts a log key; another kind is ErrKind, a wrong passphrase ErrPassphrase.
func (s *Store) UnlockLog(name string, passphrase []byte) (LogSigner, error) {
	info, err := s.Info(name)
	if err != nil {
		return nil, err
	}
	if info.Kind != KindLog {
		return nil, fmt.Errorf("key %q: %w: it is a %s key, not a log key", name, ErrKind, info.Kind)
	}
	if info.Attestation != nil {
		return s.unlockDeviceLog(info, passphrase)
	}
	// Decrypting is slow on purpose (scrypt): both at once, for an acquisition waits for it.
	var second crypto.PrivateKey
	var secondErr error
	var wg sync.WaitGroup
	wg.Go(func() { second, secondErr = s.decrypt(name, keyFileEd25519, passphrase) })
	first, err := s.unlockECDSA(info, passphrase)
	wg.Wait()
	if err == nil {
		err = secondErr
	}
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", name, err)
	}
	edKey, ok := second.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key %q: %w: %s holds no Ed25519 key", name, record.ErrMalformed, keyFileEd25519)
	}
	signer, err := NewSoftwareLogSigner(first, edKey)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", name, err)
	}
	if signer.Keys() != info.LogKeys {
		return nil, fmt.Errorf("key %q: %w: %s is not the key of %s", name, record.ErrMalformed, keyFileEd25519, certFileEd25519)
	}
	return signer, nil
}

// UnlockAuthority decrypts the key of an authority and returns its certificate with it; another kind is ErrKind, a wrong
// passphrase ErrPassphrase.
func (s *Store) UnlockAuthority(name string, passphrase []byte) (crypto.Signer, *x509.Certificate, error) {
	fail := func(err error) (crypto.Signer, *x509.Certificate, error) {
		return nil, nil, fmt.Errorf("key %q: %w", name, err)
	}
	info, err := s.Info(name)
	if err != nil {
		return nil, nil, err
	}
	if info.Kind != KindAuthority {
		return fail(fmt.Errorf("%w: it is a %s key, not an authority's", ErrKind, info.Kind))
	}
	der, err := parsePEM(info.Certificate, pemCertificate)
	if err != nil {
		return fail(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fail(err)
	}
	key, err := s.unlockECDSA(info, passphrase)
	if err != nil {
		return fail(err)
	}
	return key, cert, nil
}

func (s *Store) unlockECDSA(info Info, passphrase []byte) (*ecdsa.PrivateKey, error) {
	secret, err := s.decrypt(info.Name, keyFile, passphrase)
	if err != nil {
		return nil, err
	}
	key, ok := secret.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s holds no ECDSA key", record.ErrMalformed, keyFile)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil || !bytes.Equal(der, info.PublicKey.DER()) {
		return nil, fmt.Errorf("%w: %s is not the key of %s", record.ErrMalformed, keyFile, certFile)
	}
	return key, nil
}

func (s *Store) decrypt(name, base string, passphrase []byte) (crypto.PrivateKey, error) {
	b, err := s.read(name, base)
	if err != nil {
		return nil, err
	}
	key, err := decryptKey(b, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", base, err)
	}
	return key, nil
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// checkName requires a name that means the same folder on every operating system.
func checkName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%w: key name %.80q is not of 1 to 64 characters a-z 0-9 . _ -, the first a letter or digit", layout.ErrName, name)
	}
	// Windows drops a final dot; ".tmp" ends the unfinished files of the house.
	if strings.HasSuffix(name, ".") || strings.HasSuffix(name, ".tmp") {
		return fmt.Errorf("%w: key name %q ends in a dot or .tmp", layout.ErrName, name)
	}
	device, _, _ := strings.Cut(name, ".")
	if _, err := layout.Encode(device); err != nil {
		return fmt.Errorf("key name %q: %w", name, err)
	}
	return nil
}
