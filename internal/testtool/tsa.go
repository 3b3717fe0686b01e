package testtool

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TSA is a time-stamp authority: `openssl ts -reply` with a root, a certificate authority below it, and a signer's
// certificate below that.
type TSA struct {
	Root *x509.Certificate
	dir  string
	mu   sync.Mutex // openssl keeps a serial number in a file
}

// TSAOptions say what is wrong with an authority; the zero value is a sound one.
type TSAOptions struct {
	NotAfter time.Time // of the signer's certificate; zero: in ten years
}

// NewTSA makes an authority, whose keys last as long as the test.
func NewTSA(t testing.TB, o TSAOptions) *TSA {
	t.Helper()
	Need(t, "openssl")
	s := &TSA{dir: t.TempDir()}
	if o.NotAfter.IsZero() {
		o.NotAfter = time.Now().AddDate(10, 0, 0)
	}
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	rootKey, root := s.certify(t, ca("Example time-stamp root"), nil, nil)
	midKey, mid := s.certify(t, ca("Example time-stamp CA"), root, rootKey)
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	signer := &x509.Certificate{Subject: pkix.Name{CommonName: "Example time-stamp authority"}, NotAfter: o.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}}
	key, leaf := s.certify(t, signer, mid, midKey)
	s.Root = root
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"signer.pem": pemOf("CERTIFICATE", leaf.Raw), "chain.pem": append(pemOf("CERTIFICATE", mid.Raw), pemOf("CERTIFICATE", root.Raw)...),
		"root.pem": pemOf("CERTIFICATE", root.Raw), "key.pem": pemOf("PRIVATE KEY", der), "serial": []byte("01\n"), "ts.conf": []byte(tsConf),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

const tsConf = `[ts]
default_tsa = tsa
[tsa]
serial = serial
signer_cert = signer.pem
certs = chain.pem
signer_key = key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
`

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// certify makes a key and its certificate, signed by itself where parent is nil.
func (s *TSA) certify(t testing.TB, c, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c.NotBefore = time.Now().AddDate(-20, 0, 0)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().AddDate(20, 0, 0)
	}
	if parent == nil {
		parent, parentKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, made
}

// RootFile is the root's certificate, PEM.
func (s *TSA) RootFile() string { return filepath.Join(s.dir, "root.pem") }

// Reply answers a time-stamp request.
func (s *TSA) Reply(t testing.TB, request []byte) []byte {
	t.Helper()
	b, err := s.reply(request)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *TSA) reply(request []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := filepath.Join(s.dir, "query")
	if err := os.WriteFile(query, request, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("openssl", "ts", "-reply", "-config", "ts.conf", "-section", "tsa", "-queryfile", "query", "-out", "answer")
	cmd.Dir = s.dir
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return nil, &openSSLError{err, said.String()}
	}
	return os.ReadFile(filepath.Join(s.dir, "answer"))
}

type openSSLError struct {
	error
	said string
}

func (e *openSSLError) Error() string { return e.error.Error() + ": " + e.said }

// Serve answers requests over HTTP until the test ends, and returns the address.
func (s *TSA) Serve(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if err == nil && r.Header.Get("Content-Type") == "application/timestamp-query" {
			var answer []byte
			if answer, err = s.reply(request); err == nil {
				w.Header().Set("Content-Type", "application/timestamp-reply")
				_, err = w.Write(answer)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}
