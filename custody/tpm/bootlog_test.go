package tpm

import (
	"crypto/sha256"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-eventlog/register"
	"github.com/google/go-eventlog/tcg"
	machines "github.com/google/go-eventlog/testdata"
	"github.com/google/go-tpm/tpm2"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/testtool/swtpm"
)

// testBootLog measures into a TPM what the firmware of a real machine measured: its event log explains the quote.
func testBootLog(t *testing.T, m *swtpm.Machine) {
	m.PowerOff(t)
	m.PowerOn(t) // the PCRs begin anew
	s, _ := newStation(t, m)
	defer s.Close()
	log := machines.Rhel8EventLog
	parsed, err := tcg.ParseEventLog(log, tcg.ParseOpts{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range parsed.Events(register.HashSHA256) {
		if e.Type == tcg.NoAction {
			continue
		}
		_, err := tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(e.Index), Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: e.Digest}}},
		}.Execute(s.tpm.conn)
		if err != nil {
			t.Fatalf("PCR %d: %v", e.Index, err)
		}
	}
	_, pcrs, err := s.Quote(sha256.Sum256(nil))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := attest.ReplayBootLog(log, pcrs); err != nil || n < 10 {
		t.Errorf("%d events, %v", n, err)
	}
}

func TestBootLog(t *testing.T) {
	security := fstest.MapFS{
		"tpm0/binary_bios_measurements": {Data: []byte("a log")},
		"tpm1/binary_bios_measurements": {Data: make([]byte, layout.MaxBootLog+1)},
		"tpm2/binary_bios_measurements": {},
		"tpm3/binary_bios_measurements": {Data: make([]byte, layout.MaxBootLog)},
	}
	for address, want := range map[string]string{
		"/dev/tpm0": "", "/dev/tpmrm0": "", "/dev/tpm3": "", "/dev/tpm1": "more than", "/dev/tpm2": "is empty", "/dev/tpm7": "has none",
		"/tmp/tpm0": "not one that", "/dev/tpm": "not one that", "/dev/tpm0/../x": "not one that", "127.0.0.1:2321": "not one that",
		"/dev/shm/tpm1/tpm.sock": "not one that", "tpm0": "not one that",
	} {
		b, err := BootLog(security, address)
		if want == "" && (err != nil || len(b) == 0) || want != "" && (err == nil || !strings.Contains(err.Error(), want) || b != nil) {
			t.Errorf("%s: %d bytes, %v, want %q", address, len(b), err, want)
		}
	}
}
