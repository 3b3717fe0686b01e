package sign

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

const pemCertificate = "CERTIFICATE"

// KindLog is the kind of a key that signs checkpoints; the other kinds are record.KindPerson and record.KindStation.
const KindLog = "log"

// KindAuthority is the kind of a key that signs certificates for keys in TPMs, and nothing else.
const KindAuthority = "authority"

var kinds = []string{record.KindPerson, record.KindStation, KindLog, KindAuthority}

// noExpiry is how RFC 5280 writes that a certificate has no well-defined end (section 4.1.2.5). When a key stops being
// trusted is said by logs and trust files, which a date guessed at its creation would only contradict.
var noExpiry = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// certificate is what a self-signed certificate says: that whoever holds the key called it this.
type certificate struct {
	kind    string
	der     []byte // SubjectPublicKeyInfo
	created time.Time
}

// subject names the kind and the key and never a person.
func subject(kind string, der []byte) pkix.Name {
	return pkix.Name{
		CommonName:         fmt.Sprintf("Exhibit %s key %s", kind, KeyID(der)[:16]),
		OrganizationalUnit: []string{kind},
	}
}

// newCertificate returns the PEM of a self-signed certificate.
func newCertificate(kind string, key crypto.Signer, created time.Time) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	template := &x509.Certificate{ // without a SerialNumber x509 draws one
		Subject:               subject(kind, der),
		NotBefore:             created.UTC().Truncate(time.Second),
		NotAfter:              noExpiry,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	if kind == KindAuthority {
		template.IsCA, template.MaxPathLenZero, template.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	b, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: b}), nil
}

// parseCertificate reads a certificate that newCertificate made, and checks that its own key signed it.
func parseCertificate(file []byte) (certificate, error) {
	b, err := parsePEM(file, pemCertificate)
	if err != nil {
		return certificate{}, err
	}
	c, err := x509.ParseCertificate(b)
	if err != nil {
		return certificate{}, fmt.Errorf("%w: certificate: %w", record.ErrMalformed, err)
	}
	if len(c.Subject.OrganizationalUnit) != 1 || !slices.Contains(kinds, c.Subject.OrganizationalUnit[0]) {
		return certificate{}, fmt.Errorf("%w: certificate: the subject names no kind of key", record.ErrMalformed)
	}
	kind, der := c.Subject.OrganizationalUnit[0], c.RawSubjectPublicKeyInfo
	want, err := asn1.Marshal(subject(kind, der).ToRDNSequence())
	if err != nil {
		return certificate{}, fmt.Errorf("encode the subject: %w", err)
	}
	if !bytes.Equal(c.RawSubject, want) || !bytes.Equal(c.RawIssuer, want) {
		return certificate{}, fmt.Errorf("%w: certificate: subject or issuer is not that of its key", record.ErrMalformed)
	}
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		return certificate{}, fmt.Errorf("certificate: %w: %w", ErrSignature, err)
	}
	return certificate{kind, der, c.NotBefore.UTC()}, nil
}

// CheckCertificate requires exactly one PEM certificate, of the key with that id, signed by itself.
func CheckCertificate(b []byte, keyID string) error {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" || !bytes.Equal(b, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})) {
		return errors.New("not exactly one PEM certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	if KeyID(cert.RawSubjectPublicKeyInfo) != keyID {
		return errors.New("the certificate is of another key than its name says")
	}
	return cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature)
}
