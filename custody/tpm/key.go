package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/google/go-tpm/tpm2"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// KeyFile is a log or station key as it is kept outside the TPM. It is no secret: only that TPM can load it, and only who
// has its authorization value can use it.
type KeyFile struct {
	Private []byte `json:"private"` // wrapped by the TPM
	Public  []byte `json:"public"`  // TPMT_PUBLIC
	Type    string `json:"type"`
}

// Encode returns the file.
func (f KeyFile) Encode() ([]byte, error) {
	f.Type = keyType
	return record.EncodeJSON(f)
}

// ParseKeyFile reads the file.
func ParseKeyFile(b []byte) (KeyFile, error) { return parse[KeyFile](b, maxFile, keyType) }

// NewKey draws a signing key of that kind ("log", "station"), to be used with auth, and has it certified by the
// attestation key. The attestation was checked.
func (s *Station) NewKey(kind string, auth []byte) (KeyFile, attest.KeyFile, error) {
	fail := func(err error) (KeyFile, attest.KeyFile, error) {
		return KeyFile{}, attest.KeyFile{}, fmt.Errorf("make a key in the TPM: %w", err)
	}
	if err := checkAuth(auth); err != nil {
		return fail(err)
	}
	f, r, err := s.newKey(kind, auth)
	if err != nil {
		return fail(explain(err))
	}
	a := attest.KeyFile{Key: s.ak.Public.Bytes(), Parent: s.ak.Parent, Public: f.Public}
	if a.Signed, err = signed(r.CertifyInfo, r.Signature); err != nil {
		return fail(err)
	}
	if _, _, err := a.Check(kind); err != nil {
		return fail(err)
	}
	return f, a, nil
}

func (s *Station) newKey(kind string, auth []byte) (f KeyFile, r *tpm2.CertifyResponse, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Public, f.Private, err = s.create(template(false), auth); err != nil {
		return KeyFile{}, nil, err
	}
	h, err := s.load(f)
	if err != nil {
		return KeyFile{}, nil, err
	}
	ak, err := s.withAK()
	if err != nil {
		return KeyFile{}, nil, err
	}
	nonce := attest.KeyNonce(kind)
	r, err = tpm2.Certify{
		ObjectHandle: s.with(h, auth), SignHandle: ak, QualifyingData: tpm2.TPM2BData{Buffer: nonce[:]}, InScheme: scheme,
	}.Execute(s.tpm.conn)
	return f, r, err
}

// signer signs with a key in the TPM.
type signer struct {
	station *Station
	file    KeyFile
	auth    []byte
	public  *ecdsa.PublicKey
}

// Signer returns a key as a crypto.Signer that signs SHA-256 digests, in ASN.1 DER, until the station is closed. It has
// seen that the TPM can load the key; whether auth is right is seen by Sign. It is safe for concurrent use.
func (s *Station) Signer(f KeyFile, auth []byte) (crypto.Signer, error) {
	p, err := attest.ParsePublic(f.Public)
	if err != nil {
		return nil, err
	}
	public, err := p.ECDSA()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.load(f); err != nil {
		return nil, fmt.Errorf("load a key into the TPM: %w", err)
	}
	return &signer{s, f, auth, public}, nil
}

// Public implements crypto.Signer.
func (k *signer) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer. The signature was checked.
func (k *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil || opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, errors.New("sign with the TPM: not a SHA-256 digest")
	}
	r, err := k.sign(digest)
	if err != nil {
		return nil, fmt.Errorf("sign with the TPM: %w", explain(err))
	}
	e, err := r.Signature.Signature.ECDSA()
	if err != nil {
		return nil, fmt.Errorf("sign with the TPM: %w", err)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(e.SignatureR.Buffer), new(big.Int).SetBytes(e.SignatureS.Buffer)})
	if err != nil {
		return nil, fmt.Errorf("sign with the TPM: %w", err)
	}
	if k.public.Curve != elliptic.P256() || !ecdsa.VerifyASN1(k.public, digest, der) {
		return nil, errors.New("sign with the TPM: the signature does not verify")
	}
	return der, nil
}

func (k *signer) sign(digest []byte) (*tpm2.SignResponse, error) {
	s := k.station
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.load(k.file)
	if err != nil {
		return nil, err
	}
	return tpm2.Sign{
		KeyHandle: s.with(h, k.auth), Digest: tpm2.TPM2BDigest{Buffer: digest}, InScheme: scheme,
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
	}.Execute(s.tpm.conn)
}
