package tpm

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/attest"
)

// KindAttestation is the kind of key that a certificate for an attestation key names. Verifiers take no other for one.
const KindAttestation = "attestation"

// Issue checks the response, and then issues the certificates of the keys of the request: in PEM, the authority's own first,
// then that of the attestation key, then the others in their order. A response that does not hold is ErrEnrolment.
func (s Secret) Issue(r Response, authority *x509.Certificate, key crypto.Signer, now time.Time) ([]byte, error) {
	ak, keys, err := s.Check(r)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})
	one := func(kind string, p attest.Public) error {
		cert, err := issue(authority, key, kind, p, now)
		if err != nil {
			return fmt.Errorf("issue the certificate of the %s key: %w", kind, err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
		return nil
	}
	if err := one(KindAttestation, ak.Public); err != nil {
		return nil, err
	}
	for i, k := range keys {
		if err := one(s.Request.Keys[i].Kind, k); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func issue(authority *x509.Certificate, key crypto.Signer, kind string, p attest.Public, now time.Time) ([]byte, error) {
	public, err := p.ECDSA()
	if err != nil {
		return nil, err
	}
	der, err := p.DER()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	template := &x509.Certificate{ // without a SerialNumber x509 draws one
		Subject: pkix.Name{
			CommonName:         fmt.Sprintf("Exhibit %s key %s", kind, hex.EncodeToString(sum[:8])),
			OrganizationalUnit: []string{kind},
		},
		NotBefore:             now.UTC().Truncate(time.Second),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // no well-defined end (RFC 5280, 4.1.2.5)
		KeyUsage:              x509.KeyUsageDigitalSignature,                    // and no extended usage, which openssl cms would refuse
		BasicConstraintsValid: true,
	}
	return x509.CreateCertificate(rand.Reader, template, authority, public, key)
}
