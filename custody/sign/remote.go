package sign

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

const (
	// uriFile is, of a key that is held elsewhere, the URI that names it and a newline.
	uriFile = "key.uri"
	// maxURI bounds the URI, in bytes.
	maxURI = 2048
	// schemeToken begins the URI of a key in a PKCS #11 token, the one kind that a PIN unlocks; a service has settings of its own.
	schemeToken = "pkcs11:"
)

// ErrReplaced says that the URI leads to another key than it did when the key was taken up.
var ErrReplaced = errors.New("another key is held there now")

// CreateRemote takes up a key that is held elsewhere, in a token or a service, under a name that must be new (fs.ErrExist).
// The key signs its certificate. What is kept is the certificate and the URI, and nothing that is secret.
func (s *Store) CreateRemote(name, kind, uri string, key crypto.Signer) (Info, error) {
	fail := func(err error) (Info, error) { return Info{}, fmt.Errorf("create key %q: %w", name, err) }
	if err := checkName(name); err != nil {
		return Info{}, err
	}
	if kind != record.KindPerson && kind != record.KindStation {
		return fail(fmt.Errorf("%w: %.40q: only a person's or a station's key can be held elsewhere", ErrKind, kind))
	}
	if err := checkURI(uri); err != nil {
		return fail(err)
	}
	if err := s.refuseExisting(name); err != nil {
		return Info{}, err
	}
	if _, err := newPublicKey(key.Public()); err != nil {
		return fail(fmt.Errorf("%w: it is not one of ECDSA P-256", ErrKind))
	}
	cert, err := newCertificate(kind, key, s.now())
	if err != nil {
		return fail(err)
	}
	if err := s.write(name, []file{{certFile, cert}, {uriFile, []byte(uri + "\n")}}); err != nil {
		return fail(err)
	}
	return s.Info(name)
}

// checkURI requires one line of printable ASCII without blanks. What it means is for those to check who follow it.
func checkURI(uri string) error {
	odd := strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' })
	if uri == "" || len(uri) > maxURI || odd {
		return fmt.Errorf("%w: %s is not one line of at most %d printable characters", record.ErrMalformed, uriFile, maxURI)
	}
	return nil
}

// remoteInfo adds what is known of a key that is held elsewhere.
func (s *Store) remoteInfo(info *Info) error {
	b, err := s.read(info.Name, uriFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	uri, ended := bytes.CutSuffix(b, []byte("\n"))
	if !ended {
		return fmt.Errorf("%w: %s does not end its line", record.ErrMalformed, uriFile)
	}
	if err := checkURI(string(uri)); err != nil {
		return err
	}
	if info.Kind != record.KindPerson && info.Kind != record.KindStation || info.Attestation != nil {
		return fmt.Errorf("%w: %s beside a key that cannot be held elsewhere", record.ErrMalformed, uriFile)
	}
	info.URI, info.Protected = string(uri), strings.HasPrefix(string(uri), schemeToken)
	return nil
}

// unlockRemote follows the URI, once: a token counts how often a wrong PIN was tried.
func (s *Store) unlockRemote(info Info, pin []byte) (Signer, error) {
	fail := func(err error) (Signer, error) { return nil, fmt.Errorf("key %q: %w", info.Name, err) }
	if s.Remote == nil {
		return fail(ErrNoDevice)
	}
	key, err := s.Remote(info.URI, pin)
	if err != nil {
		return fail(err)
	}
	signer, err := NewDeviceSigner(key)
	if err == nil && signer.PublicKey() != info.PublicKey {
		err = fmt.Errorf("%w: it is %s, and was %s", ErrReplaced, signer.PublicKey().KeyID(), info.KeyID)
	}
	if err != nil {
		if c, ok := key.(io.Closer); ok { // a token is not kept for a key that is not used
			err = errors.Join(err, c.Close())
		}
		return fail(err)
	}
	return signer, nil
}
