package remote

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// sigstoreServer starts Sigstore's time-stamp authority, with keys that last as long as it runs.
func sigstoreServer(t *testing.T) (address string) {
	t.Helper()
	cmd := exec.Command(testtool.Need(t, "timestamp-server")[0], "serve", "--host", "127.0.0.1", "--timestamp-signer", "memory", "--disable-ntp-monitoring")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := errors.Join(cmd.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // how it ends says nothing
	})
	lines := bufio.NewReader(r)
	var said strings.Builder
	for {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if m := regexp.MustCompile(`Serving timestamp server at (http://\S+)`).FindStringSubmatch(line); m != nil {
			go func() { _, _ = io.Copy(io.Discard, lines) }() // ends with the process
			return m[1]
		}
		if err != nil {
			t.Fatalf("the server does not serve: %v\n%s", err, said.String())
		}
	}
}

// certificates fetches the chain of Sigstore's authority: the signer's, what is between, the root.
func certificates(t *testing.T, address string) []*x509.Certificate {
	t.Helper()
	res, err := http.Get(address + "/api/v1/timestamp/certchain")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	if len(chain) < 2 {
		t.Fatalf("a chain of %d", len(chain))
	}
	return chain
}

// Sigstore's authority puts only its own certificate into a token: what is between must come along, and openssl agrees.
func TestSigstoreAuthority(t *testing.T) {
	address := sigstoreServer(t)
	text := []byte("the text of a checkpoint\n")
	sum, nonce := sha256.Sum256(text), big.NewInt(4711)
	request, err := anchor.NewRequest(sum, nonce)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := Stamp(t.Context(), address+"/api/v1/timestamp", request)
	if err != nil {
		t.Fatal(err)
	}
	token, err := anchor.ParseResponse(answer)
	if err != nil {
		t.Fatal(err)
	}
	if token.Nonce() == nil || token.Nonce().Cmp(nonce) != 0 {
		t.Errorf("nonce %v, want %v", token.Nonce(), nonce)
	}
	chain := certificates(t, address)
	root, between := chain[len(chain)-1], chain[1:len(chain)-1]
	if _, err := token.Verify(sum, []*x509.Certificate{root}, nil); !errors.Is(err, anchor.ErrUntrusted) {
		t.Errorf("without what is between: %v, want %v", err, anchor.ErrUntrusted)
	}
	if _, err := token.Verify(sum, nil, chain); !errors.Is(err, anchor.ErrUntrusted) {
		t.Errorf("a root that only came along: %v, want %v", err, anchor.ErrUntrusted)
	}
	var file bytes.Buffer
	for _, c := range between {
		if err := pem.Encode(&file, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	read, err := anchor.ParseChain(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := token.Verify(sum, []*x509.Certificate{root}, read)
	if err != nil || !stamp.Root.Equal(root) {
		t.Errorf("%+v, %v", stamp, err)
	}
	dir := t.TempDir()
	for name, b := range map[string][]byte{
		"root": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), "between": file.Bytes(), "token": answer, "text": text,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(testtool.Need(t, "openssl")[0], "ts", "-verify", "-in", "token", "-data", "text", "-CAfile", "root", "-untrusted", "between")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl ts -verify: %v\n%s", err, out)
	}
}

// What an address answers is bounded, and a redirection is not followed.
func TestAnswersThatAreNone(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other address was asked") }))
	defer other.Close()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a refusal": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "refused, with HTTP status 403"},
		"a redirection": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}, "another address"},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 1<<20)) // who reads it stops before the end
		}, "is longer than"},
		"a size that is none": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", anchor.SizeType)
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, "007\n")
		}, "two histories"},
	} {
		server := httptest.NewServer(test.answer)
		if b, err := Cosign(t.Context(), server.URL, []byte("old 0\n")); err == nil || b != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %q, %v, want %q", name, b, err, test.want)
		}
		server.Close()
	}
	for _, address := range []string{"", "ftp://example.org/", "/etc/passwd", "http://", "https:", "http:// x"} {
		if CheckAddress(address) == nil {
			t.Errorf("%q passes for an address", address)
		}
	}
}
