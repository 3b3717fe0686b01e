package sign

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// testOpenSSL checks by hand, with openssl alone, what the keys of the store say and sign.
func testOpenSSL(t *testing.T, s *Store, signer Signer, logSigner LogSigner) {
	openssl := testtool.Need(t, "openssl")[0]
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(want string, args ...string) string {
		t.Helper()
		out, err := exec.Command(openssl, args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("openssl %v: %v, want %q in\n%s", args, err, want, out)
		}
		return string(out)
	}
	cert := filepath.Join(s.dir, "inspector", certFile)
	info, err := s.Info("inspector")
	if err != nil {
		t.Fatal(err)
	}
	run("CN=Exhibit person key "+info.KeyID[:16], "x509", "-in", cert, "-noout", "-subject", "-nameopt", "RFC2253")
	text := run("Digital Signature", "x509", "-in", cert, "-noout", "-text")
	for _, want := range []string{"ecdsa-with-SHA256", "CA:FALSE", "NIST CURVE: P-256", "Not Before: Nov 23 08:15:00 2026 GMT", "Not After : Dec 31 23:59:59 9999 GMT"} {
		if !strings.Contains(text, want) {
			t.Errorf("the certificate lacks %q:\n%s", want, text)
		}
	}
	write("person.pub", []byte(run("BEGIN PUBLIC KEY", "x509", "-in", cert, "-noout", "-pubkey")))

	payload := `{"a":"ü"}`
	b, err := Seal(signer, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	write("pae", fmt.Appendf(nil, "DSSEv1 28 application/vnd.in-toto+json %d %s", len(payload), payload))
	write("sig", e.Signature)
	run("Verified OK", "dgst", "-sha256", "-verify", path("person.pub"), "-signature", path("sig"), path("pae"))

	_, sigs := lines(t, mustSign(t, logSigner, origin, noteText))
	write("text", []byte(noteText))
	for i, base := range []string{certFile, certFileEd25519} {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(sigs[i], "— "+origin+" "), "\n"))
		if err != nil {
			t.Fatal(err)
		}
		write("sig", raw[4:])
		write("pub", []byte(run("BEGIN PUBLIC KEY", "x509", "-in", filepath.Join(s.dir, "lab-1.log", base), "-noout", "-pubkey")))
		if base == certFile {
			run("Verified OK", "dgst", "-sha256", "-verify", path("pub"), "-signature", path("sig"), path("text"))
		} else {
			run("Signature Verified Successfully", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", path("pub"), "-sigfile", path("sig"), "-in", path("text"))
		}
	}
}
