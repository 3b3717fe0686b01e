package tpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
	"github.com/exhibit-forensics/exhibit/internal/testtool/swtpm"
)

func newAuth(t testing.TB) []byte {
	t.Helper()
	b, err := NewAuth()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// spy hears what goes to the TPM and comes back, and can lose an answer.
type spy struct {
	transport.TPMCloser
	heard [][]byte
	lose  tpm2.TPMCC // the answer to the next such command is lost
}

func (s *spy) Send(command []byte) ([]byte, error) {
	answer, err := s.TPMCloser.Send(command)
	s.heard = append(s.heard, command, answer)
	if code := tpm2.TPMCC(command[8])<<8 | tpm2.TPMCC(command[9]); s.lose != 0 && code == s.lose {
		s.lose = 0
		return nil, errors.New("the answer was lost")
	}
	return answer, err
}

func open(t testing.TB, m *swtpm.Machine) (*TPM, *spy) {
	t.Helper()
	conn, err := dial(m.Address())
	if err != nil {
		t.Fatal(err)
	}
	s := &spy{TPMCloser: conn}
	d, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // a software TPM serves one connection at a time
	return d, s
}

func attach(t testing.TB, d *TPM, f StationFile) *Station {
	t.Helper()
	s, err := d.Attach(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newStation(t testing.TB, m *swtpm.Machine) (*Station, StationFile) {
	t.Helper()
	d, _ := open(t, m)
	f, err := d.NewStation(m.Address())
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if f, err = ParseStationFile(b); err != nil {
		t.Fatal(err)
	}
	return attach(t, d, f), f
}

func sign(t testing.TB, key crypto.Signer) {
	t.Helper()
	sum := sha256.Sum256([]byte("a checkpoint"))
	sig, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(public, sum[:], sig) {
		t.Error("the signature does not verify")
	}
}

func newSigner(t testing.TB, s *Station, kind string, auth []byte) (crypto.Signer, KeyFile) {
	t.Helper()
	f, _, err := s.NewKey(kind, auth)
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.Signer(f, auth)
	if err != nil {
		t.Fatal(err)
	}
	return key, f
}

func value(t testing.TB, c *Counter) int64 {
	t.Helper()
	v, err := c.Value()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func counter(t testing.TB, s *Station, auth []byte) *Counter {
	t.Helper()
	c, err := s.DefineCounter(auth)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOneTPM shares a software TPM, which takes seconds to make.
func TestOneTPM(t *testing.T) {
	m := swtpm.New(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *swtpm.Machine)
	}{
		{"keys", testKeys}, {"secrets", testSecretsTravelEncrypted}, {"auth", testWrongAuth}, {"restricted", testRestricted},
		{"counters", testCounters}, {"lost answer", testLostAnswer}, {"quote", testQuote}, {"boot log", testBootLog}, {"facts", testFacts},
		{"enrolment", testEnrolment}, {"power cuts", testPowerCuts}, {"rollback", testRollback}, {"full", testFull}, {"owned", testOwned}, {"cleared", testCleared},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(t, m) }) {
			return // what follows needs the TPM as it should be
		}
	}
}

func testKeys(t *testing.T, m *swtpm.Machine) {
	s, file := newStation(t, m)
	auth := newAuth(t)
	// More keys than a TPM has room for.
	var keys []crypto.Signer
	for range 4 {
		key, _ := newSigner(t, s, "station", auth)
		keys = append(keys, key)
	}
	for range 2 {
		for _, key := range keys {
			sign(t, key)
		}
	}
	sum := sha256.Sum256(nil)
	if _, err := keys[0].Sign(nil, sum[:20], crypto.SHA1); err == nil {
		t.Error("signed a SHA-1 digest")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := keys[0].Sign(nil, sum[:], crypto.SHA256); err == nil {
		t.Error("signed after the station was closed")
	}
	again := attach(t, s.tpm, file)
	defer again.Close()
	if again.AttestationKey() != s.AttestationKey() {
		t.Error("the station has another attestation key")
	}
	for _, bad := range [][]byte{nil, auth[1:], append([]byte{0}, auth[1:]...)} {
		if _, _, err := again.NewKey("log", bad); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("authorization value %x: %v, want ErrMalformed", bad, err)
		}
		if _, err := again.DefineCounter(bad); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("authorization value %x: %v, want ErrMalformed", bad, err)
		}
	}
}

// testSecretsTravelEncrypted hears all that goes between us and the TPM.
func testSecretsTravelEncrypted(t *testing.T, m *swtpm.Machine) {
	d, heard := open(t, m)
	f, err := d.NewStation(m.Address())
	if err != nil {
		t.Fatal(err)
	}
	s := attach(t, d, f)
	defer s.Close()
	auth, other := newAuth(t), newAuth(t)
	key, _ := newSigner(t, s, "log", auth)
	sign(t, key)
	c := counter(t, s, other)
	if err := c.Increment(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Certify("x\n"); err != nil {
		t.Fatal(err)
	}
	value(t, c)
	if err := c.Free(); err != nil {
		t.Fatal(err)
	}
	if len(heard.heard) < 40 {
		t.Fatalf("heard %d messages", len(heard.heard))
	}
	for _, b := range heard.heard {
		for _, secret := range [][]byte{auth, other, f.Auth} {
			if bytes.Contains(b, secret[:8]) {
				t.Fatalf("an authorization value travels in clear: %x", b)
			}
		}
	}
}

// testWrongAuth guesses more often than any TPM lets one, and the TPM is not locked after it.
func testWrongAuth(t *testing.T, m *swtpm.Machine) {
	s, file := newStation(t, m)
	auth := newAuth(t)
	key, f := newSigner(t, s, "log", auth)
	wrong, err := s.Signer(f, newAuth(t))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(nil)
	for range 40 {
		if _, err := wrong.Sign(nil, sum[:], crypto.SHA256); err == nil || errors.Is(err, ErrLockout) {
			t.Fatalf("signed with the wrong authorization value: %v", err)
		}
	}
	sign(t, key)
	if f, err := s.tpm.Facts(); err != nil || f.Locked || f.Failures != 0 {
		t.Errorf("after wrong tries: %+v, %v, want none counted", f, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file.Auth = newAuth(t)
	other := attach(t, s.tpm, file)
	defer other.Close()
	if _, _, err := other.NewKey("log", auth); err == nil {
		t.Error("certified with the wrong authorization value")
	}
	file.Private[len(file.Private)-1] ^= 1
	if _, err := s.tpm.Attach(file); err == nil {
		t.Error("loaded a changed key")
	}
}

// testRestricted has the attestation key asked to sign what looks like an attestation and comes from outside.
func testRestricted(t *testing.T, m *swtpm.Machine) {
	s, _ := newStation(t, m)
	defer s.Close()
	key := &signer{station: s, file: s.akFile, auth: s.akAuth}
	sum := sha256.Sum256([]byte("\xffTCG and so on"))
	if _, err := key.sign(sum[:]); !errors.Is(err, tpm2.TPMRCTicket) {
		t.Errorf("the attestation key signed a digest from outside: %v", err)
	}
}

func testCounters(t *testing.T, m *swtpm.Machine) {
	s, _ := newStation(t, m)
	defer s.Close()
	auth := newAuth(t)
	one, two := counter(t, s, auth), counter(t, s, newAuth(t))
	if one.Identity().Handle == two.Identity().Handle {
		t.Fatal("two cases share a counter")
	}
	first := one.Identity().First
	for i := range int64(3) {
		if err := one.Increment(); err != nil {
			t.Fatal(err)
		}
		f, err := one.Certify("text\n")
		if err != nil {
			t.Fatal(err)
		}
		if v, err := one.Check(f, "text\n"); err != nil || v != first+i+1 || v != value(t, one) {
			t.Errorf("certified %d, %v, want %d", v, err, first+i+1)
		}
		if _, err := one.Check(f, "other\n"); !errors.Is(err, attest.ErrMismatch) {
			t.Errorf("another text: %v, want ErrMismatch", err)
		}
		if _, err := two.Check(f, "text\n"); !errors.Is(err, attest.ErrMismatch) {
			t.Errorf("another counter: %v, want ErrMismatch", err)
		}
	}
	if v := value(t, two); v != two.Identity().First {
		t.Errorf("the other counter is %d, want %d", v, two.Identity().First)
	}
	again, err := s.Counter(one.Identity(), auth)
	if err != nil || value(t, again) != first+3 {
		t.Errorf("taken up again: %v", err)
	}
	foreign := one.Identity()
	foreign.Parent = "000b" + strings.Repeat("5a", 32)
	if _, err := s.Counter(foreign, auth); !errors.Is(err, ErrOther) {
		t.Errorf("the counter of another station: %v, want ErrOther", err)
	}
	wrong, err := s.Counter(one.Identity(), newAuth(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong.Increment(); err == nil || value(t, one) != first+3 {
		t.Errorf("advanced with the wrong authorization value: %v", err)
	}
	if err := errors.Join(one.Free(), two.Free()); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Value(); !errors.Is(err, ErrNoCounter) {
		t.Errorf("a counter that was freed: %v, want ErrNoCounter", err)
	}
	if err := one.Free(); !errors.Is(err, ErrNoCounter) {
		t.Errorf("free it again: %v, want ErrNoCounter", err)
	}
	if next := counter(t, s, auth); next.Identity().First <= first+3 {
		t.Errorf("a new counter begins at %d, the freed one had %d", next.Identity().First, first+3)
	} else if err := next.Free(); err != nil {
		t.Error(err)
	}
}

// testLostAnswer loses the answer to an increment: the error says nothing of whether the counter was advanced.
func testLostAnswer(t *testing.T, m *swtpm.Machine) {
	d, heard := open(t, m)
	f, err := d.NewStation(m.Address())
	if err != nil {
		t.Fatal(err)
	}
	s := attach(t, d, f)
	defer s.Close()
	c := counter(t, s, newAuth(t))
	heard.lose = tpm2.TPMCCNVIncrement
	if err := c.Increment(); err == nil {
		t.Fatal("no error")
	}
	if v := value(t, c); v != c.Identity().First+1 {
		t.Errorf("the counter is %d, want %d: the increment was done", v, c.Identity().First+1)
	}
	if err := c.Free(); err != nil {
		t.Error(err)
	}
}

// testQuote has tpm2-tools check a quote.
func testQuote(t *testing.T, m *swtpm.Machine) {
	checkquote := testtool.Need(t, "tpm2_checkquote")[0]
	s, _ := newStation(t, m)
	defer s.Close()
	nonce := sha256.Sum256([]byte("a record"))
	q, pcrs, err := s.Quote(nonce)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AttestationKey().CheckQuote(q, nonce, pcrs); err != nil {
		t.Error(err)
	}
	if _, err := s.AttestationKey().CheckQuote(q, sha256.Sum256(nil), pcrs); !errors.Is(err, attest.ErrMismatch) {
		t.Errorf("another record: %v, want ErrMismatch", err)
	}
	der, err := s.AttestationKey().Public.DER()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, b := range map[string][]byte{"quote": q.Attest, "sig": q.Signature, "ak.pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(nonce string) error {
		cmd := exec.Command(checkquote, "-u", "ak.pem", "-m", "quote", "-s", "sig", "-g", "sha256", "-q", nonce)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	if err := run(hex.EncodeToString(nonce[:])); err != nil {
		t.Errorf("tpm2_checkquote: %v", err)
	}
	if err := run(hex.EncodeToString(make([]byte, 32))); err == nil {
		t.Error("tpm2_checkquote accepts another nonce")
	}
}

func testFacts(t *testing.T, m *swtpm.Machine) {
	d, _ := open(t, m)
	f, err := d.Facts()
	if err != nil {
		t.Fatal(err)
	}
	if f.Manufacturer != "IBM" || f.Model == "" || f.Locked || f.Allowed == 0 || f.CountersFree == 0 || f.OwnerPassword || f.EndorsementPassword {
		t.Errorf("facts are %+v", f)
	}
	if _, err := x509.ParseCertificate(f.EKCertificate); err != nil {
		t.Errorf("certificate of the endorsement key: %v", err)
	}
}
