package tpm

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/internal/testtool/swtpm"
)

func pool(t testing.TB, pem []byte) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	return p
}

func request(t testing.TB, s *Station) Request {
	t.Helper()
	var keys []RequestedKey
	for _, kind := range []string{"log", "station"} {
		_, a, err := s.NewKey(kind, newAuth(t))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, RequestedKey{a, kind})
	}
	r, err := s.Request(keys)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r, err = ParseRequest(b); err != nil {
		t.Fatal(err)
	}
	return r
}

func testEnrolment(t *testing.T, m *swtpm.Machine) {
	s, _ := newStation(t, m)
	roots := pool(t, m.Roots(t))
	r := request(t, s)
	c, secret, err := r.Challenge(roots, nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.Respond(c)
	if err != nil {
		t.Fatal(err)
	}
	ak, keys, err := secret.Check(response)
	if err != nil || ak != s.AttestationKey() || len(keys) != 2 {
		t.Fatalf("enrolled %d keys, %v", len(keys), err)
	}
	if _, err := s.Respond(c); err != nil {
		t.Errorf("a second time: %v", err)
	}
	changed := response
	changed.Secret = append([]byte{response.Secret[0] ^ 1}, response.Secret[1:]...)
	for name, wrong := range map[string]Response{"none": {}, "short": {Secret: response.Secret[1:]}, "another": changed} {
		if ak, keys, err := secret.Check(wrong); !errors.Is(err, ErrEnrolment) || ak != (attest.Key{}) || keys != nil {
			t.Errorf("response %s: %v, want ErrEnrolment", name, err)
		}
	}
	if _, _, err := (Secret{Request: r}).Check(Response{}); !errors.Is(err, ErrEnrolment) {
		t.Errorf("no secret: %v, want ErrEnrolment", err)
	}
	if err := s.tpm.Close(); err != nil {
		t.Fatal(err)
	}
	other, _ := newStation(t, m)
	defer other.Close()
	if _, err := other.Respond(c); err == nil {
		t.Error("another attestation key of the same TPM opened the challenge")
	}
	// The name in the challenge is no more than a hint: the TPM itself looks at the key.
	c.Name = other.AttestationKey().Public.Name()
	if _, err := other.Respond(c); err == nil {
		t.Error("another attestation key of the same TPM opened the challenge under its own name")
	}
	testRefusedRequests(t, r, request(t, other), roots)
}

func testRefusedRequests(t *testing.T, r, other Request, roots *x509.CertPool) {
	t.Helper()
	for name, change := range map[string]func(*Request){
		"no key":                       func(r *Request) { r.Keys = nil },
		"another attestation key":      func(r *Request) { r.Key = other.Key },
		"a key of another one":         func(r *Request) { r.Keys = []RequestedKey{r.Keys[0], other.Keys[1]} },
		"a key of another kind":        func(r *Request) { r.Keys = []RequestedKey{{r.Keys[0].Attestation, "station"}} },
		"a signing key as attestation": func(r *Request) { r.Key = r.Keys[0].Attestation.Public },
		"no certificate":               func(r *Request) { r.EKCertificate = nil },
		"a changed certificate": func(r *Request) {
			r.EKCertificate = append([]byte{}, r.EKCertificate...)
			r.EKCertificate[len(r.EKCertificate)-1] ^= 1
		},
		"another parent": func(r *Request) {
			r.Parent = r.Keys[0].Attestation.Parent
			r.Parent, _ = attest.NewName(append([]byte{0, 11}, make([]byte, 32)...))
		},
	} {
		changed := r
		change(&changed)
		if _, _, err := changed.Challenge(roots, nil, rand.Reader); !errors.Is(err, ErrEnrolment) {
			t.Errorf("%s: %v, want ErrEnrolment", name, err)
		}
	}
	for name, roots := range map[string]*x509.CertPool{"no roots": nil, "other roots": x509.NewCertPool()} {
		if _, _, err := r.Challenge(roots, nil, rand.Reader); !errors.Is(err, ErrEnrolment) {
			t.Errorf("%s: %v, want ErrEnrolment", name, err)
		}
	}
}

// TestAnotherTPM puts the certificate of one TPM beside the keys of another, and opens one TPM's challenge with the other.
func TestAnotherTPM(t *testing.T) {
	m, n := swtpm.New(t), swtpm.New(t)
	mine, file := newStation(t, m)
	theirs, _ := newStation(t, n)
	roots := pool(t, append(m.Roots(t), n.Roots(t)...))
	r, genuine := request(t, mine), request(t, theirs)
	r.EKCertificate = genuine.EKCertificate // a genuine endorsement key, beside keys that are not in its TPM
	c, _, err := r.Challenge(roots, nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Respond(c); err == nil {
		t.Error("the TPM with the keys opened it")
	}
	c.Name = theirs.AttestationKey().Public.Name()
	if _, err := theirs.Respond(c); err == nil {
		t.Error("the TPM with the endorsement key opened it")
	}
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.tpm.Attach(file); !errors.Is(err, ErrOther) {
		t.Errorf("keys of another TPM: %v, want ErrOther", err)
	}
}
