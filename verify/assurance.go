package verify

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/attest"
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

// attestations reads what shows that keys are in a TPM, and takes the assurance of each. It returns the files in keys/
// that were used.
func (c *checker) attestations(logs []*logCheck) map[string]bool {
	used := map[string]bool{}
	enrolled := c.enrolled(logs, used)
	for _, l := range logs {
		if l.gen == nil {
			continue
		}
		kinds := l.gen.keys.Kinds()
		for _, id := range slices.Sorted(maps.Keys(kinds)) {
			kind := kinds[id]
			if kind == sign.KindLog {
				c.logKeys[id] = true
			}
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
		c.requireHardware(l)
	}
	return used
}

// requireHardware says which key of an acquisition, or of the log in which it stands, is not shown to be in a genuine TPM.
func (c *checker) requireHardware(l *logCheck) {
	if !c.policy.requires(RequireHardware) || l.gen == nil || len(l.images) == 0 {
		return
	}
	ids := map[string]bool{}
	for _, image := range l.images {
		ids[image.keyID] = true
	}
	for id, kind := range l.gen.keys.Kinds() {
		if kind == sign.KindLog {
			ids[id] = true
		}
	}
	for _, id := range sortedKeys(ids) {
		f := Finding{Severity: Missing, File: layout.KeyAttestationFile(id), Advice: adviceEnrolled, Text: fmt.Sprintf("a key in a genuine TPM is required, and nothing shows that a TPM holds key %.16s", id)}
		switch c.assurance(id) {
		case AssuranceHardware:
			continue
		case AssuranceUnverified:
			f.Text = fmt.Sprintf("a key in a genuine TPM is required, and no certificate in %q, nor in that of another agency, %q, shows that an enrolment authority that is trusted has certified the TPM of key %.16s",
				layout.EnrolmentFile, layout.EnrolmentOf(l.origin), id)
		}
		c.lines[2].add(f)
	}
}

const adviceEnrolled = "ask the agency for the certificates of its enrolled keys, and trust its authority: exhibit trust add enrolment -h"

// attestedKey requires that a file attests the key with that id, and takes the key's assurance.
func (c *checker) attestedKey(file []byte, id, kind string, enrolled map[string]bool) error {
	ak, err := attest.OpenKeyFile(file, id, kind)
	if err != nil {
		return err
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
func (c *checker) enrolled(logs []*logCheck, used map[string]bool) map[string]bool {
	out := map[string]bool{}
	c.enrolledIn(layout.EnrolmentFile, out, used)
	for _, l := range logs {
		c.enrolledIn(layout.EnrolmentOf(l.origin), out, used)
	}
	return out
}

// enrolledIn takes those that one file has certificates of.
func (c *checker) enrolledIn(name string, out, used map[string]bool) {
	b, err := c.fsys.readFile(name, layout.MaxEnrolment)
	if isMissing(err) {
		return
	}
	used[name] = true
	var certs []*x509.Certificate
	if err == nil {
		certs, err = attest.ParseCertificates(b)
		err = content(err)
	}
	if err != nil {
		c.lines[2].add(fromError(name, err))
		return
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
