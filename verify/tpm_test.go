package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// softTPM makes what a TPM makes, with keys that anybody can have: all but an enrolment.
type softTPM struct {
	ak     *ecdsa.PrivateKey
	parent attest.Name
	value  int64
	clock  tpm2.TPMSClockInfo
}

const (
	counterHandle = attest.FirstCounter + 9
	counterFirst  = 40
)

func newSoftTPM() *softTPM {
	return &softTPM{newKey(), must(attest.NewName(append([]byte{0, 11}, make([]byte, 32)...))), counterFirst,
		tpm2.TPMSClockInfo{Clock: 1000, ResetCount: 3, Safe: true}}
}

func publicArea(key *ecdsa.PrivateKey, restricted bool) []byte {
	point := must(key.PublicKey.Bytes())
	return tpm2.Marshal(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, SignEncrypt: true, Restricted: restricted},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme:  tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})},
			CurveID: tpm2.TPMECCNistP256,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]}}),
	})
}

func nameOf(area []byte) []byte {
	sum := sha256.Sum256(area)
	return append([]byte{0, 11}, sum[:]...)
}

// qualified is the qualified Name of a key under the parent.
func (s *softTPM) qualified(area []byte) []byte {
	return nameOf(slices.Concat(nameOf(slices.Concat([]byte{0x40, 0, 0, 0x0b}, s.parent.Bytes())), nameOf(area)))
}

func (s *softTPM) sign(typ tpm2.TPMST, nonce [32]byte, attested tpm2.TPMUAttest) attest.Signed {
	b := tpm2.Marshal(tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: typ, QualifiedSigner: tpm2.TPM2BName{Buffer: s.qualified(publicArea(s.ak, true))},
		ExtraData: tpm2.TPM2BData{Buffer: nonce[:]}, ClockInfo: s.clock, Attested: attested,
	})
	sum := sha256.Sum256(b)
	var sig struct{ R, S *big.Int }
	must(asn1.Unmarshal(must(ecdsa.SignASN1(rand.Reader, s.ak, sum[:])), &sig))
	raw := tpm2.Marshal(tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
		Hash: tpm2.TPMAlgSHA256, SignatureR: tpm2.TPM2BECCParameter{Buffer: sig.R.Bytes()}, SignatureS: tpm2.TPM2BECCParameter{Buffer: sig.S.Bytes()}})})
	return attest.Signed{Attest: b, Signature: must(attest.NormalizeSignature(raw))}
}

// certify advances the counter and certifies it.
func (s *softTPM) certify(text string) []byte {
	s.value++
	s.clock.Clock++
	b := make([]byte, 8)
	big.NewInt(s.value).FillBytes(b)
	return must(attest.EncodeCounter(s.sign(tpm2.TPMSTAttestNV, attest.CounterNonce(text), tpm2.NewTPMUAttest(tpm2.TPMSTAttestNV,
		&tpm2.TPMSNVCertifyInfo{IndexName: tpm2.TPM2BName{Buffer: must(attest.CounterName(counterHandle)).Bytes()}, NVContents: tpm2.TPM2BData{Buffer: b}}))))
}

func (s *softTPM) counter() *record.Counter {
	return &record.Counter{AttestationKey: publicArea(s.ak, true), First: s.value, Handle: int64(counterHandle),
		Name: must(attest.CounterName(counterHandle)).String(), Parent: s.parent.String()}
}

// attestKey is what shows that a key is in the TPM.
func (s *softTPM) attestKey(key *ecdsa.PrivateKey, kind string) []byte {
	area := publicArea(key, false)
	a := s.sign(tpm2.TPMSTAttestCertify, attest.KeyNonce(kind), tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify,
		&tpm2.TPMSCertifyInfo{Name: tpm2.TPM2BName{Buffer: nameOf(area)}, QualifiedName: tpm2.TPM2BName{Buffer: s.qualified(area)}}))
	return must(attest.KeyFile{Signed: a, Key: publicArea(s.ak, true), Parent: s.parent, Public: area}.Encode())
}

func idOf(key *ecdsa.PrivateKey) string {
	return sign.KeyID(must(x509.MarshalPKIXPublicKey(key.Public())))
}

// authority issues certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority() authority {
	key := newKey()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "An agency"}, NotBefore: trustDay, NotAfter: trustDay.AddDate(50, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	return authority{key, must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))))}
}

func (a authority) issue(key *ecdsa.PrivateKey, kind string) []byte {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "x", OrganizationalUnit: []string{kind}}, NotBefore: trustDay, NotAfter: trustDay.AddDate(50, 0, 0), BasicConstraintsValid: true}
	return must(x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key))
}

func pemOf(ders ...[]byte) []byte {
	var b bytes.Buffer
	for _, der := range ders {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return b.Bytes()
}

// tpmForge is a sound case with a counter, whose keys an authority enrolled.
func tpmForge(t *testing.T) (*forge, authority) {
	f := newForgeWith(t, newSoftTPM())
	a := newAuthority()
	f.files[layout.KeyAttestationFile(idOf(f.stationKey))] = f.tpm.attestKey(f.stationKey, "station")
	f.files[layout.KeyAttestationFile(idOf(f.logKey))] = f.tpm.attestKey(f.logKey, "log")
	f.files[layout.EnrolmentFile] = pemOf(a.cert.Raw, a.issue(f.tpm.ak, "attestation"), a.issue(f.stationKey, "station"))
	f.enrolled = a
	f.seize("7")
	addAcquired(f, f.station, untouched)
	return f, a
}

// trusting is the policy that trusts the case and the authority.
func (f *forge) enrolledPolicy(a authority) Policy {
	p := f.policy()
	p.Trust = append(p.Trust, must(NewTrustEntry(RoleEnrolment, idOf(a.key), "an agency", trustDay)))
	return p
}

func TestAssurance(t *testing.T) {
	for name, test := range map[string]struct {
		change func(f *forge, a authority, p *Policy)
		want   string
		code   int
	}{
		"enrolled":        {func(*forge, authority, *Policy) {}, AssuranceHardware, ExitVerified},
		"nobody trusted":  {func(f *forge, _ authority, p *Policy) { *p = f.policy() }, AssuranceUnverified, ExitVerified},
		"no certificates": {func(f *forge, _ authority, _ *Policy) { delete(f.files, layout.EnrolmentFile) }, AssuranceUnverified, ExitVerified},
		"another role": {func(f *forge, a authority, p *Policy) {
			*p = f.policy()
			p.Trust = append(p.Trust, must(NewTrustEntry(RoleGenesis, idOf(a.key), "x", trustDay)))
		}, AssuranceUnverified, ExitVerified},
		"another authority": {func(f *forge, _ authority, _ *Policy) {
			o := newAuthority()
			f.files[layout.EnrolmentFile] = pemOf(o.cert.Raw, o.issue(f.tpm.ak, "attestation"))
		}, AssuranceUnverified, ExitVerified},
		"the trusted authority beside a certificate of another": {func(f *forge, a authority, _ *Policy) {
			f.files[layout.EnrolmentFile] = pemOf(a.cert.Raw, newAuthority().issue(f.tpm.ak, "attestation"))
		}, AssuranceUnverified, ExitVerified},
		"a genuine TPM's certificate beside a software key": {func(f *forge, a authority, _ *Policy) {
			f.files[layout.EnrolmentFile] = pemOf(a.cert.Raw, a.issue(newKey(), "attestation"))
		}, AssuranceUnverified, ExitVerified},
		// The station key signs what it is given, so it can sign that it is an attestation key.
		"an enrolled station key that attests itself": {func(f *forge, a authority, _ *Policy) {
			fake := &softTPM{ak: f.stationKey, parent: f.tpm.parent, clock: f.tpm.clock}
			f.files[layout.KeyAttestationFile(idOf(f.stationKey))] = fake.attestKey(f.stationKey, "station")
		}, AssuranceUnverified, ExitVerified},
		"no attestation": {func(f *forge, _ authority, _ *Policy) {
			delete(f.files, layout.KeyAttestationFile(idOf(f.stationKey)))
		}, AssuranceSoftware, ExitVerified},
		"an attestation of another kind": {func(f *forge, _ authority, _ *Policy) {
			f.files[layout.KeyAttestationFile(idOf(f.stationKey))] = f.tpm.attestKey(f.stationKey, "log")
		}, AssuranceSoftware, ExitMismatch},
		"an attestation of another key": {func(f *forge, _ authority, _ *Policy) {
			f.files[layout.KeyAttestationFile(idOf(f.stationKey))] = f.tpm.attestKey(newKey(), "station")
		}, AssuranceSoftware, ExitMismatch},
		"a torn attestation": {func(f *forge, _ authority, _ *Policy) {
			f.files[layout.KeyAttestationFile(idOf(f.stationKey))] = []byte("{")
		}, AssuranceSoftware, ExitMismatch},
		"torn certificates": {func(f *forge, _ authority, _ *Policy) {
			f.files[layout.EnrolmentFile] = f.files[layout.EnrolmentFile][:500]
		}, AssuranceUnverified, ExitMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			f, a := tpmForge(t)
			p := f.enrolledPolicy(a)
			test.change(f, a, &p)
			r := check(t, f.build().fs(""), "", p, test.code)
			if got := r.Acquisitions[0].Assurance; got != test.want {
				t.Errorf("assurance is %s, want %s\n%s", got, test.want, show(r))
			}
			requireHardware(t, f, p, test.code == ExitMismatch, test.want == AssuranceHardware)
			if s := r.Lines[1].Sentence; test.code == ExitVerified && !strings.Contains(s, "assurance: "+AssuranceSoftware) {
				t.Errorf("line 2 does not name the weakest assurance, that of the person's key: %s", s)
			}
		})
	}
}

// requireHardware requires the outcome of a case whose keys must be in a genuine TPM.
func requireHardware(t *testing.T, f *forge, p Policy, damaged, hardware bool) {
	t.Helper()
	p.Require = []string{RequireHardware}
	code := ExitUnknown
	if damaged {
		code = ExitMismatch
	} else if hardware {
		code = ExitVerified
	}
	check(t, f.build().fs(""), "", p, code)
}

func attestFile(f *forge, size int64) string { return logFile(f, layout.AttestFile(size)) }

// counted is what became of a log with a counter, and what is said of it.
type counted struct {
	make func(t *testing.T) *forge
	code int
	text string
}

func counterFaults() map[string]counted {
	return map[string]counted{
		"sound": {func(t *testing.T) *forge { f, _ := tpmForge(t); return f }, ExitVerified, ""},
		"a power cut that set the clock back": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.tpm.clock = tpm2.TPMSClockInfo{Clock: 5, ResetCount: f.tpm.clock.ResetCount + 1}
			f.seize("8")
			return f
		}, ExitVerified, ""},
		"the TPM put back": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.tpm.clock.ResetCount--
			f.seize("8")
			return f
		}, ExitMismatch, "had been started"},
		"a checkpoint signed elsewhere": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.tpm.certify("elsewhere\n")
			f.seize("8")
			return f
		}, ExitMismatch, "1 more checkpoints were signed"},
		"a counter that stood still": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.tpm.value--
			f.seize("8")
			return f
		}, ExitMismatch, "stood still"},
		"another TPM": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.tpm = &softTPM{newKey(), f.tpm.parent, f.tpm.value, f.tpm.clock}
			f.seize("8")
			return f
		}, ExitMismatch, "not one of the key"},
	}
}

func certificateFaults() map[string]counted {
	return map[string]counted{
		"a certificate stripped": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			delete(f.files, attestFile(f, 2))
			return f
		}, ExitUnknown, "certificate of the counter for the checkpoint of size 2 is missing"},
		"the last certificate stripped": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			delete(f.files, attestFile(f, f.newest()))
			return f
		}, ExitUnknown, "is missing"},
		"a certificate made once more": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.tpm.value = counterFirst + 1
			text, _, _ := strings.Cut(string(f.checkpoints[2]), "\n\n")
			f.files[attestFile(f, 2)] = f.tpm.certify(text + "\n")
			return f
		}, ExitMismatch, "another certificate than the one that entry 2 names"},
		"another checkpoint's certificate": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.files[attestFile(f, 2)] = f.files[attestFile(f, 1)]
			return f
		}, ExitMismatch, "nonce"},
		"a torn certificate": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.files[attestFile(f, 2)] = f.files[attestFile(f, 2)][:90]
			return f
		}, ExitMismatch, "damaged"},
		"a checkpoint lost": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			delete(f.checkpoints, 2)
			return f
		}, ExitUnknown, ""},
	}
}

func statementFaults() map[string]counted {
	return map[string]counted{
		"an event that names no certificate": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			device := f.tpm
			f.tpm = nil
			e, o := f.newSeized("8")
			f.event(f.person, e, o)
			f.tpm = device
			f.publish()
			return f
		}, ExitMismatch, "does not name the certificate"},
		"an attestation that is nowhere, of a log without a counter": {func(t *testing.T) *forge {
			f := seizedCase(t)
			e, o := f.newSeized("8")
			e.Event.Log.Attestations = []record.Digest{record.SHA256Digest([32]byte{1})}
			f.event(f.person, e, o)
			f.publish()
			return f
		}, ExitMismatch, "which entry 2 names, is not here"},
		"a genesis with an index that is no counter": {func(t *testing.T) *forge {
			return counterless(t, func(c *record.Counter) { c.Name = "000b" + strings.Repeat("11", 32) })
		}, ExitMismatch, "not that of a counter"},
		"a genesis with a key that signs anything": {func(t *testing.T) *forge {
			return counterless(t, func(c *record.Counter) { c.AttestationKey = publicArea(newKey(), false) })
		}, ExitMismatch, "not those of a restricted signing key"},
	}
}

func TestCounter(t *testing.T) {
	cases := counterFaults()
	maps.Copy(cases, certificateFaults())
	maps.Copy(cases, statementFaults())
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			f := test.make(t)
			r := check(t, f.build().fs(""), "", f.policy(), test.code)
			all := slices.Concat(r.Lines[1].Findings, r.Lines[2].Findings, r.Lines[3].Findings)
			if test.text != "" && !slices.ContainsFunc(all, func(g Finding) bool { return strings.Contains(g.Text, test.text) }) {
				t.Errorf("nothing says %q\n%s", test.text, show(r))
			}
			if r.Lines[3].Status == Verified {
				t.Error("a counter alone makes line 4 verified")
			}
		})
	}
}

// counterless is a case whose genesis names something else than a counter and its key.
func counterless(t *testing.T, change func(*record.Counter)) *forge {
	f := newForge(t)
	c := newSoftTPM().counter()
	change(c)
	f.genesis.Counter = c
	f.again()
	f.seize("7")
	addAcquired(f, f.station, untouched)
	return f
}

// again begins the log anew, with a genesis that was changed.
func (f *forge) again() {
	f.envelopes, f.entries, f.leaves, f.checkpoints = nil, nil, nil, map[int64][]byte{}
	f.append(f.person, must(record.Encode(f.genesis)), must(record.DecodeOpenings(f.files[logFile(f, layout.PersonalFile(0))])))
	f.publish()
}

// TestAttestationBytes changes bytes of what a TPM signed, one after the other: none can be changed and the case verified.
func TestAttestationBytes(t *testing.T) {
	f, a := tpmForge(t)
	p := f.enrolledPolicy(a)
	files := f.build()
	for _, name := range []string{attestFile(f, 1), attestFile(f, f.newest()), layout.KeyAttestationFile(idOf(f.stationKey)), layout.KeyAttestationFile(idOf(f.logKey))} {
		good := files[name]
		for i := 0; i < len(good); i += 5 {
			changed := maps.Clone(files)
			changed[name] = bytes.Clone(good)
			changed[name][i] ^= 1
			r, err := Verify(t.Context(), changed.fs(""), "", p)
			if err != nil {
				t.Fatal(err)
			}
			if r.ExitCode() != ExitMismatch && r.ExitCode() != ExitUnknown {
				t.Errorf("%s, byte %d: exit code %d", name, i, r.ExitCode())
			}
		}
	}
}
