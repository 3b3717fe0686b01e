package tpm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/go-tpm/tpm2"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

const (
	stationType = "exhibit-tpm-station/v1"
	keyType     = "exhibit-tpm-key/v1"
)

// The bounds of the files of this package, in bytes; the large ones hold a certificate.
const (
	maxFile      = 16 << 10
	maxLargeFile = 256 << 10
)

// StationFile is what a station keeps of its TPM: a secret, for it holds the authorization value of the attestation key.
type StationFile struct {
	Address string `json:"address"` // as for Open
	Auth    []byte `json:"auth"`    // of the attestation key
	Parent  []byte `json:"parent"`  // TPMT_PUBLIC of the primary key
	Private []byte `json:"private"` // the attestation key, wrapped by the TPM
	Public  []byte `json:"public"`  // TPMT_PUBLIC of the attestation key
	Type    string `json:"type"`
}

// Encode returns the file.
func (f StationFile) Encode() ([]byte, error) {
	f.Type = stationType
	return record.EncodeJSON(f)
}

// ParseStationFile reads the file. Whether it fits a TPM is seen by Attach.
func ParseStationFile(b []byte) (StationFile, error) {
	f, err := parse[StationFile](b, maxFile, stationType)
	if err != nil {
		return StationFile{}, err
	}
	if err := checkAuth(f.Auth); err != nil {
		return StationFile{}, err
	}
	return f, nil
}

// parse reads a file of that type.
func parse[T any](b []byte, most int, want string) (T, error) {
	var v, none T
	if len(b) > most {
		return none, fmt.Errorf("%w: %d bytes, at most %d are allowed", record.ErrMalformed, len(b), most)
	}
	if err := record.DecodeTyped(b, want, &v); err != nil {
		return none, err
	}
	return v, nil
}

// parent returns the public area of the primary key and its Name.
func (f StationFile) parent() (*tpm2.TPMTPublic, attest.Name, error) {
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](f.Parent)
	if err != nil || !bytes.Equal(tpm2.Marshal(public), f.Parent) {
		return nil, attest.Name{}, fmt.Errorf("%w: the public area of the primary key", record.ErrMalformed)
	}
	raw, err := tpm2.ObjectName(public)
	if err != nil {
		return nil, attest.Name{}, fmt.Errorf("%w: the public area of the primary key: %w", record.ErrMalformed, err)
	}
	name, err := attest.NewName(raw.Buffer)
	return public, name, err
}

// AttestationKey returns the station's attestation key.
func (f StationFile) AttestationKey() (attest.Key, error) {
	_, parent, err := f.parent()
	if err != nil {
		return attest.Key{}, err
	}
	return attest.NewKey(f.Public, parent)
}

// Station is a TPM in use with the station's keys. It is safe for concurrent use.
type Station struct {
	tpm     *TPM
	ak      attest.Key
	akFile  KeyFile
	akAuth  []byte
	primary *tpm2.TPMTPublic
	parent  tpm2.NamedHandle

	mu     sync.Mutex // guards what follows, and is held while a loaded key is used
	closed bool
	loaded []loadedKey // the one used last comes last
}

type loadedKey struct {
	public string
	handle tpm2.NamedHandle
}

// maxLoaded is how many keys are loaded at a time beside the primary key: TPMs have room for three objects, and the
// kernel's resource manager gives each program three.
const maxLoaded = 2

// NewStation makes an attestation key. The file is to be kept where nobody else reads it.
func (t *TPM) NewStation(address string) (StationFile, error) {
	auth, err := NewAuth()
	if err != nil {
		return StationFile{}, err
	}
	parent, public, err := t.primary()
	if err != nil {
		return StationFile{}, err
	}
	f := StationFile{Address: address, Auth: auth, Parent: tpm2.Marshal(*public)}
	s := &Station{tpm: t, primary: public, parent: parent}
	f.Public, f.Private, err = s.create(template(true), f.Auth)
	if err := errors.Join(err, t.flush(parent.Handle)); err != nil {
		return StationFile{}, fmt.Errorf("make the attestation key: %w", err)
	}
	if _, err := f.AttestationKey(); err != nil {
		return StationFile{}, fmt.Errorf("make the attestation key: %w", err)
	}
	return f, nil
}

// Attach loads the station's attestation key. Another TPM is ErrOther. Close gives what it uses back to the TPM, which
// stays open.
func (t *TPM) Attach(f StationFile) (*Station, error) {
	ak, err := f.AttestationKey()
	if err != nil {
		return nil, err
	}
	want, _, err := f.parent()
	if err != nil {
		return nil, err
	}
	parent, got, err := t.primary()
	if err != nil {
		return nil, err
	}
	s := &Station{tpm: t, ak: ak, akFile: KeyFile{Private: f.Private, Public: f.Public}, akAuth: bytes.Clone(f.Auth), primary: want, parent: parent}
	if !bytes.Equal(tpm2.Marshal(*got), f.Parent) {
		return nil, errors.Join(ErrOther, s.Close())
	}
	s.mu.Lock()
	_, err = s.load(s.akFile)
	s.mu.Unlock()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load the attestation key: %w", err), s.Close())
	}
	return s, nil
}

// AttestationKey returns the key that certifies.
func (s *Station) AttestationKey() attest.Key { return s.ak }

// Close removes the station's keys from the TPM's memory. What was made of the station cannot be used any more.
func (s *Station) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	errs := []error{s.tpm.flush(s.parent.Handle)}
	for _, k := range s.loaded {
		errs = append(errs, s.tpm.flush(k.handle.Handle))
	}
	return errors.Join(errs...)
}

// session is one that is salted to the primary key and proves an authorization value. What the command's first parameter
// holds is encrypted when it is a secret.
func (s *Station) session(auth []byte, more ...tpm2.AuthOption) tpm2.Session {
	options := append([]tpm2.AuthOption{tpm2.Salted(s.parent.Handle, *s.primary), tpm2.Auth(auth)}, more...)
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, options...)
}

// secret is an option for session: the first parameter travels encrypted.
func secret() tpm2.AuthOption { return tpm2.AESEncryption(128, tpm2.EncryptIn) }

func (s *Station) with(h tpm2.NamedHandle, auth []byte, more ...tpm2.AuthOption) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: h.Handle, Name: h.Name, Auth: s.session(auth, more...)}
}

// create draws a key under the primary key. The caller holds mu, if s is in use.
func (s *Station) create(public tpm2.TPMTPublic, auth []byte) (publicArea, private []byte, err error) {
	if err := s.makeRoom(1); err != nil {
		return nil, nil, err
	}
	r, err := tpm2.Create{
		ParentHandle: s.with(s.parent, nil, secret()),
		InSensitive:  tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: auth}}},
		InPublic:     tpm2.New2B(public),
	}.Execute(s.tpm.conn)
	if err != nil {
		return nil, nil, explain(err)
	}
	return r.OutPublic.Bytes(), r.OutPrivate.Buffer, nil
}

// load returns a key's handle, which is good until the next two loads. It requires that the TPM loaded the key of that
// public area. The caller holds mu.
func (s *Station) load(f KeyFile) (tpm2.NamedHandle, error) {
	if s.closed {
		return tpm2.NamedHandle{}, errors.New("the station was closed")
	}
	if i := slices.IndexFunc(s.loaded, func(k loadedKey) bool { return k.public == string(f.Public) }); i >= 0 {
		k := s.loaded[i]
		s.loaded = append(slices.Delete(s.loaded, i, i+1), k)
		return k.handle, nil
	}
	if err := s.makeRoom(maxLoaded - 1); err != nil {
		return tpm2.NamedHandle{}, err
	}
	p, err := attest.ParsePublic(f.Public)
	if err != nil {
		return tpm2.NamedHandle{}, err
	}
	r, err := tpm2.Load{
		ParentHandle: s.with(s.parent, nil), InPrivate: tpm2.TPM2BPrivate{Buffer: f.Private},
		InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](f.Public),
	}.Execute(s.tpm.conn)
	if err != nil {
		return tpm2.NamedHandle{}, explain(err)
	}
	if !bytes.Equal(p.Name().Bytes(), r.Name.Buffer) {
		return tpm2.NamedHandle{}, errors.Join(errors.New("the TPM loaded another key"), s.tpm.flush(r.ObjectHandle))
	}
	h := tpm2.NamedHandle{Handle: r.ObjectHandle, Name: r.Name}
	s.loaded = append(s.loaded, loadedKey{string(f.Public), h})
	return h, nil
}

// makeRoom leaves at most that many keys loaded. The caller holds mu.
func (s *Station) makeRoom(left int) error {
	for len(s.loaded) > left {
		if err := s.tpm.flush(s.loaded[0].handle.Handle); err != nil {
			return explain(err)
		}
		s.loaded = slices.Delete(s.loaded, 0, 1)
	}
	return nil
}

// withAK returns the attestation key, ready to sign. The caller holds mu.
func (s *Station) withAK() (tpm2.AuthHandle, error) {
	h, err := s.load(s.akFile)
	if err != nil {
		return tpm2.AuthHandle{}, err
	}
	return s.with(h, s.akAuth), nil
}

// template is the public area of a key to be drawn.
func template(restricted bool) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true,
			Restricted: restricted, SignEncrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
	}
}

// scheme is that of the key itself.
var scheme = tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull}

// signed puts an attestation into the form in which it is kept.
func signed(a tpm2.TPM2BAttest, signature tpm2.TPMTSignature) (attest.Signed, error) {
	normal, err := attest.NormalizeSignature(tpm2.Marshal(signature))
	if err != nil {
		return attest.Signed{}, fmt.Errorf("the TPM's signature: %w", err)
	}
	return attest.Signed{Attest: a.Bytes(), Signature: normal}, nil
}
