package tpm

import (
	"bytes"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Enrolment shows an agency's officer that a station's keys are in a genuine TPM. The station and the officer pass four
// files to each other, on a stick if need be: request, challenge, response, and the certificates that are issued at last.
// Only the TPM with the endorsement key, and with the very attestation key, can open the challenge.
const (
	requestType   = "exhibit-enrolment-request/v1"
	challengeType = "exhibit-enrolment-challenge/v1"
	secretType    = "exhibit-enrolment-secret/v1"
	responseType  = "exhibit-enrolment-response/v1"
)

// ErrEnrolment says that an officer must not issue: something does not hold together.
var ErrEnrolment = errors.New("not to be enrolled")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrEnrolment, fmt.Errorf(format, args...))
}

// maxEnrolled bounds the keys of a request.
const maxEnrolled = 16

// RequestedKey is one key of a request.
type RequestedKey struct {
	Attestation attest.KeyFile `json:"attestation"`
	Kind        string         `json:"kind"`
}

// Request is what a station shows the officer. It holds the certificate of the endorsement key, which tells this machine
// from all others for ever: it goes to the officer and into no case.
type Request struct {
	EKCertificate []byte         `json:"ekCertificate"`  // DER
	Key           []byte         `json:"attestationKey"` // TPMT_PUBLIC
	Keys          []RequestedKey `json:"keys"`
	Parent        attest.Name    `json:"parent"`
	Type          string         `json:"type"`
}

// Challenge is what only the TPM of a request can open.
type Challenge struct {
	Credential []byte      `json:"credential"`
	Encrypted  []byte      `json:"encryptedSecret"`
	Name       attest.Name `json:"name"` // of the attestation key
	Type       string      `json:"type"`
}

// Secret is what the officer keeps until the response is there.
type Secret struct {
	Request Request `json:"request"`
	Secret  []byte  `json:"secret"`
	Type    string  `json:"type"`
}

// Response is what the TPM took out of the challenge.
type Response struct {
	Secret []byte `json:"secret"`
	Type   string `json:"type"`
}

// Encode returns the file.
func (r Request) Encode() ([]byte, error) { r.Type = requestType; return record.EncodeJSON(r) }

// Encode returns the file.
func (c Challenge) Encode() ([]byte, error) { c.Type = challengeType; return record.EncodeJSON(c) }

// Encode returns the file.
func (s Secret) Encode() ([]byte, error) { s.Type = secretType; return record.EncodeJSON(s) }

// Encode returns the file.
func (r Response) Encode() ([]byte, error) { r.Type = responseType; return record.EncodeJSON(r) }

// ParseRequest reads the file; nothing in it is checked.
func ParseRequest(b []byte) (Request, error) { return parse[Request](b, maxLargeFile, requestType) }

// ParseChallenge reads the file.
func ParseChallenge(b []byte) (Challenge, error) { return parse[Challenge](b, maxFile, challengeType) }

// ParseSecret reads the file.
func ParseSecret(b []byte) (Secret, error) { return parse[Secret](b, maxLargeFile, secretType) }

// ParseResponse reads the file.
func ParseResponse(b []byte) (Response, error) { return parse[Response](b, maxFile, responseType) }

// Request makes the request for the keys, whose attestations the station has kept.
func (s *Station) Request(keys []RequestedKey) (Request, error) {
	ek, err := s.tpm.ekCertificate()
	if err != nil {
		return Request{}, err
	}
	if ek == nil {
		return Request{}, errors.New("the TPM holds no certificate of its RSA endorsement key")
	}
	r := Request{EKCertificate: ek, Key: s.ak.Public.Bytes(), Keys: keys, Parent: s.ak.Parent}
	if _, _, err := r.check(); err != nil {
		return Request{}, err
	}
	return r, nil
}

// check requires that the keys are what they are said to be, if the attestation key is one of a genuine TPM.
func (r Request) check() (attest.Key, []attest.Public, error) {
	ak, err := attest.NewKey(r.Key, r.Parent)
	if err != nil {
		return attest.Key{}, nil, refuse("%w", err)
	}
	if len(r.Keys) == 0 || len(r.Keys) > maxEnrolled {
		return attest.Key{}, nil, refuse("%d keys, 1 to %d are allowed", len(r.Keys), maxEnrolled)
	}
	var keys []attest.Public
	for i, k := range r.Keys {
		own, key, err := k.Attestation.Check(k.Kind)
		if err != nil {
			return attest.Key{}, nil, refuse("key %d: %w", i+1, err)
		}
		if own != ak {
			return attest.Key{}, nil, refuse("key %d is certified by another attestation key", i+1)
		}
		keys = append(keys, key)
	}
	return ak, keys, nil
}

// Challenge checks a request and makes the challenge for it. roots are the certificates of the TPM makers that the officer
// trusts, intermediates what else their chains need. A request that does not hold together is ErrEnrolment.
func (r Request) Challenge(roots, intermediates *x509.CertPool, random io.Reader) (Challenge, Secret, error) {
	fail := func(err error) (Challenge, Secret, error) { return Challenge{}, Secret{}, err }
	ak, _, err := r.check()
	if err != nil {
		return fail(err)
	}
	public, err := r.endorsementKey(roots, intermediates)
	if err != nil {
		return fail(err)
	}
	ek, err := tpm2.ImportEncapsulationKey(public)
	if err != nil {
		return fail(refuse("the endorsement key: %w", err))
	}
	s := Secret{Request: r, Secret: make([]byte, AuthBytes)}
	if _, err := io.ReadFull(random, s.Secret); err != nil {
		return fail(fmt.Errorf("draw the secret of the challenge: %w", err))
	}
	c := Challenge{Name: ak.Public.Name()}
	if c.Credential, c.Encrypted, err = tpm2.CreateCredential(random, ek, c.Name.Bytes(), s.Secret); err != nil {
		return fail(fmt.Errorf("make the challenge: %w", err))
	}
	return c, s, nil
}

// endorsementKey requires a certificate of an endorsement key under roots, and returns the key as the TPM's template has it.
func (r Request) endorsementKey(roots, intermediates *x509.CertPool) (*tpm2.TPMTPublic, error) {
	if roots == nil {
		return nil, refuse("no roots of TPM makers are given")
	}
	cert, err := x509.ParseCertificate(r.EKCertificate)
	if err != nil {
		return nil, refuse("the certificate of the endorsement key: %w", err)
	}
	// The name of the TPM stands in a critical extension of which the standard library knows only other kinds of name.
	subjectAlternativeName := asn1.ObjectIdentifier{2, 5, 29, 17}
	var unknown []asn1.ObjectIdentifier
	for _, id := range cert.UnhandledCriticalExtensions {
		if !id.Equal(subjectAlternativeName) {
			unknown = append(unknown, id)
		}
	}
	cert.UnhandledCriticalExtensions = unknown
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return nil, refuse("the certificate of the endorsement key: %w", err)
	}
	ekUsage := asn1.ObjectIdentifier{2, 23, 133, 8, 1}
	found := false
	for _, id := range cert.UnknownExtKeyUsage {
		found = found || id.Equal(ekUsage)
	}
	if !found {
		return nil, refuse("the certificate is not one of an endorsement key")
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() != 2048 || key.E != 65537 {
		return nil, refuse("the endorsement key is not RSA-2048")
	}
	public := tpm2.RSAEKTemplate
	public.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()})
	return &public, nil
}

// Respond opens a challenge in the TPM. A challenge for another TPM, or another attestation key, cannot be opened.
func (s *Station) Respond(c Challenge) (Response, error) {
	fail := func(err error) (Response, error) {
		return Response{}, fmt.Errorf("open the challenge: %w", explainOwned(err))
	}
	if c.Name != s.ak.Public.Name() {
		return fail(errors.New("it is one for another attestation key"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ak, err := s.withAK()
	if err != nil {
		return fail(err)
	}
	if err := s.makeRoom(1); err != nil { // for the endorsement key
		return fail(err)
	}
	ek, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(tpm2.RSAEKTemplate)}.Execute(s.tpm.conn)
	if err != nil {
		return fail(err)
	}
	out, err := tpm2.ActivateCredential{
		ActivateHandle: ak,
		KeyHandle:      tpm2.AuthHandle{Handle: ek.ObjectHandle, Name: ek.Name, Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, endorse)},
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: c.Credential}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: c.Encrypted},
	}.Execute(s.tpm.conn)
	if err := errors.Join(err, s.tpm.flush(ek.ObjectHandle)); err != nil {
		return fail(err)
	}
	return Response{Secret: out.CertInfo.Buffer}, nil
}

// Check requires the response to the challenge of s, checks the request again, and returns the keys that may be certified:
// the attestation key, and those of the request, in its order.
func (s Secret) Check(r Response) (attest.Key, []attest.Public, error) {
	if len(s.Secret) != AuthBytes || subtle.ConstantTimeCompare(s.Secret, r.Secret) != 1 {
		return attest.Key{}, nil, refuse("the response is not that to this challenge")
	}
	return s.Request.check()
}

// firstDER returns the certificate at the beginning of b, which the index may fill up with whatever.
func firstDER(b []byte) ([]byte, error) {
	var raw asn1.RawValue
	if _, err := asn1.Unmarshal(b, &raw); err != nil {
		return nil, err
	}
	return bytes.Clone(raw.FullBytes), nil
}

// endorse satisfies the policy of the endorsement key: whoever may use the endorsement hierarchy may use the key.
func endorse(t transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
	_, err := tpm2.PolicySecret{
		AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		PolicySession: session, NonceTPM: nonce,
	}.Execute(t)
	return err
}
