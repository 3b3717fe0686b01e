package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// The assurances that are derived of a key, from what is shown of it and never from what is claimed.
const (
	AssuranceHardware   = "tpm-hardware"   // an enrolment authority that is trusted saw it in a genuine TPM
	AssuranceUnverified = "tpm-unverified" // it says that a TPM holds it, and nobody who is trusted has looked
	AssuranceSoftware   = "software"       // nothing shows that it is more than a file
)

// attestationCertificate is the kind that the subject of a certificate names when it is that of an attestation key. A
// certificate of any other kind never vouches for one: that key signs whatever it is given, so it can sign false attestations.
const attestationCertificate = "attestation"

// maxCertificates bounds the certificates in one file.
const maxCertificates = 32

// attestations reads what shows that keys are in a TPM, and takes the assurance of each. It returns the files in keys/
// that were used.
func (c *checker) attestations(logs []*logCheck) map[string]bool {
	used := map[string]bool{}
	enrolled := c.enrolled(used)
	for _, l := range logs {
		if l.gen == nil {
			continue
		}
		kinds := map[string]string{}
		for _, id := range l.gen.keys.All() {
			kinds[id] = l.gen.keys.Kind(id)
		}
		for _, k := range l.gen.keys.AllLogKeys() {
			if id := logKeyID(k); k.Line == record.LineECDSA { // the one that can be in a device
				kinds[id], c.logKeys[id] = "log", true
			}
		}
		for _, id := range slices.Sorted(maps.Keys(kinds)) {
			kind := kinds[id]
			name := layout.KeyAttestationFile(id)
			b, err := c.fsys.readFile(name, layout.MaxAttest)
			if isMissing(err) {
				continue
			}
			used[name] = true
			if err == nil {
				err = content(c.attestedKey(b, id, kind, enrolled))
			}
			if err != nil {
				c.lines[2].add(fromError(name, err))
			}
		}
	}
	return used
}

// attestedKey requires that a file attests the key with that id, and takes the key's assurance.
func (c *checker) attestedKey(file []byte, id, kind string, enrolled map[string]bool) error {
	f, err := attest.ParseKeyFile(file)
	if err != nil {
		return err
	}
	ak, key, err := f.Check(kind)
	if err != nil {
		return err
	}
	der, err := key.DER()
	if err != nil {
		return err
	}
	if sign.KeyID(der) != id {
		return errors.New("it is about another key than its name says")
	}
	akDER, err := ak.Public.DER()
	if err != nil {
		return err
	}
	c.assurances[id], c.attestationKeys[id] = AssuranceUnverified, ak
	if enrolled[sign.KeyID(akDER)] {
		c.assurances[id] = AssuranceHardware
	}
	return nil
}

// enrolled are the attestation keys, by key id, that an enrolment authority of the trust file has certified.
func (c *checker) enrolled(used map[string]bool) map[string]bool {
	out := map[string]bool{}
	b, err := c.fsys.readFile(layout.EnrolmentFile, layout.MaxEnrolment)
	if isMissing(err) {
		return out
	}
	used[layout.EnrolmentFile] = true
	var certs []*x509.Certificate
	if err == nil {
		certs, err = parseCertificates(b)
		err = content(err)
	}
	if err != nil {
		c.lines[2].add(fromError(layout.EnrolmentFile, err))
		return out
	}
	for _, ca := range certs {
		if !trustsEnrolment(c.policy.Trust, sign.KeyID(ca.RawSubjectPublicKeyInfo)) {
			continue
		}
		for _, cert := range certs {
			if slices.Equal(cert.Subject.OrganizationalUnit, []string{attestationCertificate}) && !cert.IsCA && cert.CheckSignatureFrom(ca) == nil {
				out[sign.KeyID(cert.RawSubjectPublicKeyInfo)] = true
			}
		}
	}
	return out
}

// parseCertificates reads a file that is PEM certificates and nothing else.
func parseCertificates(b []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	var again bytes.Buffer
	for rest := b; len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || len(certs) == maxCertificates {
			return nil, fmt.Errorf("not at most %d PEM certificates and nothing else", maxCertificates)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
		again.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	if len(certs) == 0 || !bytes.Equal(again.Bytes(), b) {
		return nil, errors.New("not PEM certificates and nothing else")
	}
	return certs, nil
}

// assurance is what was derived of a key.
func (c *checker) assurance(id string) string {
	if a, ok := c.assurances[id]; ok {
		return a
	}
	return AssuranceSoftware
}

// logAssurance is that of the logs' keys.
func (c *checker) logAssurance() string {
	var all []string
	for _, id := range sortedKeys(c.logKeys) {
		all = append(all, c.assurance(id))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// assuranceWords are those of all keys whose signatures of statements were checked.
func (c *checker) assuranceWords() string {
	var all []string
	for _, id := range c.signingKeys() {
		all = append(all, c.assurance(id))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}
