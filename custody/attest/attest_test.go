package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json/v2"
	"errors"
	"math/big"
	"os"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// vectors is what a real software TPM signed; package tpm writes the file, with -vectors.
type vectors struct {
	Counter record.Counter
	Key     KeyFile
	Values  []struct {
		File, Text string
		Value      int64
	}
	Nonce []byte
	Quote Signed
	PCRs  [][]byte
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/swtpm.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Values) != 2 || len(v.PCRs) != BootPCRs {
		t.Fatal("the vectors are incomplete")
	}
	return v
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestWhatATPMSigned(t *testing.T) {
	v := readVectors(t)
	ak, key, err := v.Key.Check("log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.ParsePKIXPublicKey(must(key.DER())); err != nil {
		t.Error(err)
	}
	if got := must(CounterName(uint32(v.Counter.Handle))).String(); got != v.Counter.Name {
		t.Errorf("Name of the counter is %s, the TPM says %s", got, v.Counter.Name)
	}
	if ak.Parent.String() != v.Counter.Parent || !bytes.Equal(ak.Public.Bytes(), v.Counter.AttestationKey) {
		t.Error("the counter names another attestation key")
	}
	var before Clock
	for i, c := range v.Values {
		value, at, err := ak.CheckCounter(must(ParseCounter([]byte(c.File))), uint32(v.Counter.Handle), c.Text)
		if err != nil {
			t.Fatal(err)
		}
		if int64(value) != c.Value || c.Value != v.Counter.First+int64(i)+1 {
			t.Errorf("counter is %d, want %d", value, c.Value)
		}
		if err := Follow(before, at); err != nil {
			t.Error(err)
		}
		before = at
	}
	var pcrs [BootPCRs]PCR
	for i, p := range v.PCRs {
		pcrs[i] = PCR(p)
	}
	if _, err := ak.CheckQuote(v.Quote, [32]byte(v.Nonce), pcrs); err != nil {
		t.Error(err)
	}
	pcrs[7][0] ^= 1
	if _, err := ak.CheckQuote(v.Quote, [32]byte(v.Nonce), pcrs); !errors.Is(err, ErrMismatch) {
		t.Errorf("other PCRs: %v, want ErrMismatch", err)
	}
}

// TestEveryByteCounts changes every byte of what a TPM signed, and its length.
func TestEveryByteCounts(t *testing.T) {
	v := readVectors(t)
	ak, key, err := v.Key.Check("log")
	if err != nil {
		t.Fatal(err)
	}
	refused := func(a Signed, what string, i int) {
		t.Helper()
		if err := ak.CheckKey(a, key, "log"); !errors.Is(err, ErrMismatch) && !errors.Is(err, record.ErrMalformed) {
			t.Errorf("%s, byte %d: %v, want it refused", what, i, err)
		}
	}
	for i := range v.Key.Attest {
		a := bytes.Clone(v.Key.Attest)
		a[i] ^= 1
		refused(Signed{a, v.Key.Signature}, "changed attestation", i)
		if _, err := Parse(v.Key.Attest[:i]); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("attestation of %d bytes: %v, want ErrMalformed", i, err)
		}
	}
	if _, err := Parse(append(bytes.Clone(v.Key.Attest), 0)); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("a byte too many: %v, want ErrMalformed", err)
	}
	for i := range v.Key.Signature {
		s := bytes.Clone(v.Key.Signature)
		s[i] ^= 1
		refused(Signed{v.Key.Attest, s}, "changed signature", i)
		refused(Signed{v.Key.Attest, v.Key.Signature[:i]}, "short signature", i)
	}
	for i := range v.Key.Public {
		f := v.Key
		f.Public = bytes.Clone(f.Public)
		f.Public[i] ^= 1
		if _, _, err := f.Check("log"); err == nil {
			t.Errorf("changed public area, byte %d: accepted", i)
		}
		f = v.Key
		f.Key = bytes.Clone(f.Key)
		f.Key[i] ^= 1
		if _, _, err := f.Check("log"); err == nil {
			t.Errorf("changed attestation key, byte %d: accepted", i)
		}
	}
	high := bytes.Clone(v.Key.Signature)
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(high[40:]))
	s.FillBytes(high[40:])
	refused(Signed{v.Key.Attest, high}, "second spelling of the signature", 40)
}

// softTPM signs what it is told to: what a thief without a TPM can make.
type softTPM struct {
	ak     *ecdsa.PrivateKey
	public tpm2.TPMTPublic
	parent Name
}

func publicOf(key *ecdsa.PrivateKey, attributes tpm2.TPMAObject) tpm2.TPMTPublic {
	point := must(key.PublicKey.Bytes())
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: attributes,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]}}),
	}
}

func signing(restricted bool) tpm2.TPMAObject {
	return tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true,
		SignEncrypt: true, Restricted: restricted}
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func newSoftTPM() *softTPM {
	key := newKey()
	return &softTPM{key, publicOf(key, signing(true)), hashNames([]byte("some primary key"))}
}

func (s *softTPM) key() Key { return must(NewKey(tpm2.Marshal(s.public), s.parent)) }

func (s *softTPM) sign(a tpm2.TPMSAttest) Signed {
	b := tpm2.Marshal(a)
	sum := sha256.Sum256(b)
	var sig struct{ R, S *big.Int }
	must(asn1.Unmarshal(must(ecdsa.SignASN1(rand.Reader, s.ak, sum[:])), &sig))
	raw := tpm2.Marshal(tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA,
		&tpm2.TPMSSignatureECC{Hash: tpm2.TPMAlgSHA256, SignatureR: tpm2.TPM2BECCParameter{Buffer: sig.R.Bytes()}, SignatureS: tpm2.TPM2BECCParameter{Buffer: sig.S.Bytes()}})})
	return Signed{b, must(NormalizeSignature(raw))}
}

// head is an attestation without what is attested.
func (s *softTPM) head(typ tpm2.TPMST, nonce [32]byte) tpm2.TPMSAttest {
	return tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: typ, QualifiedSigner: tpm2.TPM2BName{Buffer: s.key().qualified(s.key().Public.Name()).Bytes()},
		ExtraData: tpm2.TPM2BData{Buffer: nonce[:]}, ClockInfo: tpm2.TPMSClockInfo{Clock: 5, ResetCount: 6, RestartCount: 7, Safe: true},
	}
}

func (s *softTPM) certify(key tpm2.TPMTPublic, kind string) tpm2.TPMSAttest {
	a := s.head(tpm2.TPMSTAttestCertify, KeyNonce(kind))
	name := must(NewName(must(tpm2.ObjectName(&key)).Buffer))
	a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{
		Name: tpm2.TPM2BName{Buffer: name.Bytes()}, QualifiedName: tpm2.TPM2BName{Buffer: s.key().qualified(name).Bytes()}})
	return a
}

func TestCheckKeyRefuses(t *testing.T) {
	s, other := newSoftTPM(), newSoftTPM()
	key := publicOf(newKey(), signing(false))
	good := must(ParsePublic(tpm2.Marshal(key)))
	if err := s.key().CheckKey(s.sign(s.certify(key, "log")), good, "log"); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	changed := func(change func(*tpm2.TPMSAttest)) Signed {
		a := s.certify(key, "log")
		change(&a)
		return s.sign(a)
	}
	duplicable := signing(false)
	duplicable.FixedTPM, duplicable.FixedParent = false, false
	imported := signing(false)
	imported.SensitiveDataOrigin = false
	for name, c := range map[string]struct {
		a   Signed
		key tpm2.TPMTPublic
	}{
		"another attestation key":    {other.sign(s.certify(key, "log")), key},
		"another kind":               {s.sign(s.certify(key, "station")), key},
		"another key":                {s.sign(s.certify(key, "log")), publicOf(newKey(), signing(false))},
		"a key that can be copied":   {s.sign(s.certify(publicOf(newKey(), duplicable), "log")), publicOf(newKey(), duplicable)},
		"a key from outside":         {s.sign(s.certify(publicOf(newKey(), imported), "log")), publicOf(newKey(), imported)},
		"a restricted key":           {s.sign(s.certify(s.public, "log")), s.public},
		"another type":               {s.sign(s.created(key)), key},
		"no magic":                   {changed(func(a *tpm2.TPMSAttest) { a.Magic++ }), key},
		"another nonce":              {changed(func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer[0] ^= 1 }), key},
		"another primary":            {changed(func(a *tpm2.TPMSAttest) { a.QualifiedSigner.Buffer = other.parent.Bytes() }), key},
		"a key under something else": {otherParent(s, key), key},
	} {
		p := must(ParsePublic(tpm2.Marshal(c.key)))
		if err := s.key().CheckKey(c.a, p, "log"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := (Key{}).CheckKey(s.sign(s.certify(key, "log")), good, "log"); !errors.Is(err, ErrMismatch) {
		t.Errorf("no attestation key: %v, want ErrMismatch", err)
	}
	if _, err := NewKey(tpm2.Marshal(key), s.parent); !errors.Is(err, ErrMismatch) {
		t.Errorf("an unrestricted attestation key: %v, want ErrMismatch", err)
	}
}

// created is what TPM2_CertifyCreation says, which anyone who may use the attestation key has it say of a key.
func (s *softTPM) created(key tpm2.TPMTPublic) tpm2.TPMSAttest {
	a := s.head(tpm2.TPMSTAttestCreation, KeyNonce("log"))
	a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestCreation, &tpm2.TPMSCreationInfo{
		ObjectName: *must(tpm2.ObjectName(&key)), CreationHash: tpm2.TPM2BDigest{Buffer: make([]byte, 32)}})
	return a
}

func otherParent(s *softTPM, key tpm2.TPMTPublic) Signed {
	a := s.certify(key, "log")
	info := must(a.Attested.Certify())
	info.QualifiedName.Buffer = hashNames([]byte("elsewhere")).Bytes()
	a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, info)
	return s.sign(a)
}

const handle = FirstCounter + 7

func (s *softTPM) counter(change func(*tpm2.TPMSNVPublic), text string, value []byte) Signed {
	return s.sign(s.counterAttest(change, CounterNonce(text), value))
}

func (s *softTPM) counterAttest(change func(*tpm2.TPMSNVPublic), nonce [32]byte, value []byte) tpm2.TPMSAttest {
	public := tpm2.TPMSNVPublic{NVIndex: tpm2.TPMHandle(handle), NameAlg: tpm2.TPMAlgSHA256, DataSize: 8,
		Attributes: tpm2.TPMANV{NT: tpm2.TPMNTCounter, AuthRead: true, AuthWrite: true, NoDA: true, Written: true}}
	change(&public)
	a := s.head(tpm2.TPMSTAttestNV, nonce)
	a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestNV, &tpm2.TPMSNVCertifyInfo{
		IndexName: *must(tpm2.NVName(&public)), NVContents: tpm2.TPM2BData{Buffer: value}})
	return a
}

func TestCheckCounterRefuses(t *testing.T) {
	s := newSoftTPM()
	nine := []byte{0, 0, 0, 0, 0, 0, 0, 9}
	same := func(*tpm2.TPMSNVPublic) {}
	value, at, err := s.key().CheckCounter(s.counter(same, "x\n", nine), handle, "x\n")
	if want := (Clock{5, 6, 7, true}); err != nil || value != 9 || at != want {
		t.Fatalf("the good one: %d, %+v, %v", value, at, err)
	}
	for name, a := range map[string]Signed{
		"another text":           s.counter(same, "y\n", nine),
		"another TPM":            newSoftTPM().counter(same, "x\n", nine),
		"another handle":         s.counter(func(p *tpm2.TPMSNVPublic) { p.NVIndex++ }, "x\n", nine),
		"an ordinary index":      s.counter(func(p *tpm2.TPMSNVPublic) { p.Attributes.NT = tpm2.TPMNTOrdinary }, "x\n", nine),
		"one the owner writes":   s.counter(func(p *tpm2.TPMSNVPublic) { p.Attributes.OwnerWrite = true }, "x\n", nine),
		"one with a policy":      s.counter(func(p *tpm2.TPMSNVPublic) { p.AuthPolicy.Buffer = make([]byte, 32) }, "x\n", nine),
		"one never written":      s.counter(func(p *tpm2.TPMSNVPublic) { p.Attributes.Written = false }, "x\n", nine),
		"nine bytes":             s.counter(same, "x\n", append([]byte{0}, nine...)),
		"a key's certificate":    s.sign(s.certify(s.public, "x")),
		"nothing":                {},
		"a nonce of another use": s.sign(s.counterAttest(same, KeyNonce("x"), nine)),
	} {
		if value, at, err := s.key().CheckCounter(a, handle, "x\n"); err == nil || value != 0 || at != (Clock{}) {
			t.Errorf("%s: %d, %+v, %v, want it refused", name, value, at, err)
		}
	}
	for _, h := range []uint32{0, FirstCounter - 1, LastCounter + 1} {
		if _, err := CounterName(h); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("handle %#x: %v, want ErrMalformed", h, err)
		}
	}
}

func TestFollow(t *testing.T) {
	at := Clock{Milliseconds: 1000, Resets: 5, Restarts: 2, Safe: true}
	for name, c := range map[string]struct {
		next Clock
		ok   bool
	}{
		"the same":                       {at, true},
		"later":                          {Clock{1001, 5, 2, true}, true},
		"earlier":                        {Clock{999, 5, 2, true}, false},
		"earlier, not safe":              {Clock{999, 5, 2, false}, false},
		"resumed":                        {Clock{1001, 5, 3, true}, true},
		"started":                        {Clock{1001, 6, 0, true}, true},
		"started after a power cut":      {Clock{900, 6, 0, false}, true},
		"started, clock back and safe":   {Clock{900, 6, 0, true}, false},
		"resumed after a power cut":      {Clock{900, 5, 3, false}, true},
		"fewer starts, as after a clear": {Clock{2000, 4, 9, true}, false},
		"fewer resumes":                  {Clock{2000, 5, 1, true}, false},
	} {
		if err := Follow(at, c.next); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: %v, want ok %t", name, err, c.ok)
		}
	}
}

func TestPublicRefuses(t *testing.T) {
	key := newKey()
	good := tpm2.Marshal(publicOf(key, signing(true)))
	if p, err := ParsePublic(good); err != nil || !bytes.Equal(must(p.DER()), must(x509.MarshalPKIXPublicKey(&key.PublicKey))) {
		t.Fatalf("the good one: %v", err)
	}
	short := publicOf(key, signing(true))
	short.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: []byte{0, 5}}, Y: tpm2.TPM2BECCParameter{Buffer: []byte{5}}})
	policy := publicOf(key, signing(true))
	policy.AuthPolicy.Buffer = make([]byte, 32)
	off := bytes.Clone(good)
	off[len(off)-1] ^= 1
	for name, b := range map[string][]byte{
		"empty": nil, "a byte too many": append(bytes.Clone(good), 0), "a byte too few": good[:len(good)-1],
		"leading zero": tpm2.Marshal(short), "a policy": tpm2.Marshal(policy), "not on the curve": off,
		"an RSA key": tpm2.Marshal(tpm2.RSAEKTemplate), "a storage key": tpm2.Marshal(tpm2.ECCSRKTemplate),
	} {
		if p, err := ParsePublic(b); !errors.Is(err, record.ErrMalformed) || p != (Public{}) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	if _, err := (Public{}).DER(); err == nil {
		t.Error("the zero Public has a key")
	}
	if !(Public{}).Name().IsZero() {
		t.Error("the zero Public has a Name")
	}
}

func TestFilesRefuse(t *testing.T) {
	v := readVectors(t)
	good := v.Values[0].File
	for name, b := range map[string]string{
		"empty": "", "space": " " + good, "another type": `{"attest":"","signature":"","type":"exhibit-quote/v1"}`,
		"unknown member": `{"a":1,` + good[1:], "loose base64": `{"attest":"/1==","signature":"","type":"exhibit-counter/v1"}`,
	} {
		if _, err := ParseCounter([]byte(b)); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	if _, err := ParseCounter([]byte(`{"attest":"","signature":"","type":"exhibit-counter/v2"}`)); !errors.Is(err, record.ErrNewer) {
		t.Errorf("version 2: %v, want ErrNewer", err)
	}
	b := must(v.Key.Encode())
	if f, err := ParseKeyFile(b); err != nil || !bytes.Equal(must(f.Encode()), b) {
		t.Errorf("key file: %v", err)
	}
	if _, err := ParseKeyFile(bytes.Replace(b, []byte(`"parent":"000b`), []byte(`"parent":"000B`), 1)); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("capital letters: %v, want ErrMalformed", err)
	}
}
