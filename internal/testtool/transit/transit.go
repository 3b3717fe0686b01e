// Package transit is a double of the transit engine of HashiCorp Vault and OpenBao, as far as signing goes, for tests.
//
// Start with [New]. It answers on the loopback as their API documentation says, to whoever has the token; no such server can be had as a
// package here.
package transit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json/v2"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Token is what the server wants to see.
const Token = "s.example-token"

// Server holds keys by name. It is safe for concurrent use.
type Server struct {
	URL string

	mu     sync.Mutex
	keys   map[string]*ecdsa.PrivateKey
	signed int
	broken bool
}

// New starts a server without keys, which ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{keys: map[string]*ecdsa.PrivateKey{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/transit/keys/{name}", s.locked(s.key))
	mux.HandleFunc("PUT /v1/transit/sign/{name}/sha2-256", s.locked(s.sign))
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	s.URL = h.URL
	return s
}

// Key makes a key, or another one in its place.
func (s *Server) Key(t testing.TB, name string, curve elliptic.Curve) {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[name] = key
}

// Break makes every signature from now on one of something else.
func (s *Server) Break() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = true
}

// Signed is how many signatures were made.
func (s *Server) Signed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signed
}

// locked answers only to the token, about a key that is there.
func (s *Server) locked(answer func(http.ResponseWriter, *http.Request, *ecdsa.PrivateKey)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		key := s.keys[r.PathValue("name")]
		switch {
		case r.Header.Get("X-Vault-Token") != Token:
			reply(w, http.StatusForbidden, map[string]any{"errors": []string{"permission denied"}})
		case key == nil:
			reply(w, http.StatusNotFound, map[string]any{"errors": []string{}})
		default:
			answer(w, r, key)
		}
	}
}

func (s *Server) key(w http.ResponseWriter, _ *http.Request, key *ecdsa.PrivateKey) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		reply(w, http.StatusInternalServerError, map[string]any{"errors": []string{err.Error()}})
		return
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	version := map[string]any{"name": key.Curve.Params().Name, "public_key": text}
	reply(w, http.StatusOK, map[string]any{"data": map[string]any{"keys": map[string]any{"1": version}, "latest_version": 1}})
}

func (s *Server) sign(w http.ResponseWriter, r *http.Request, key *ecdsa.PrivateKey) {
	var asked struct {
		Input     []byte `json:"input"`
		Prehashed bool   `json:"prehashed"`
	}
	if err := json.UnmarshalRead(r.Body, &asked); err != nil || !asked.Prehashed || len(asked.Input) != crypto.SHA256.Size() {
		reply(w, http.StatusBadRequest, map[string]any{"errors": []string{"not a digest"}})
		return
	}
	if s.broken {
		asked.Input[0] ^= 1
	}
	sig, err := ecdsa.SignASN1(rand.Reader, key, asked.Input)
	if err != nil {
		reply(w, http.StatusInternalServerError, map[string]any{"errors": []string{err.Error()}})
		return
	}
	s.signed++
	reply(w, http.StatusOK, map[string]any{"data": map[string]any{"signature": "vault:v1:" + base64.StdEncoding.EncodeToString(sig)}})
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.MarshalWrite(w, v) // whoever asked is gone
}
