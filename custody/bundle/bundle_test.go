package bundle_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json/v2"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/bundle"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigner(t *testing.T) sign.Signer {
	t.Helper()
	s, err := sign.NewSoftwareSigner(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func clock() record.Time {
	return record.NewTime(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), record.ClockSystem, record.Known(true))
}

// newStatement makes a case and returns its genesis as a logged statement.
func newStatement(t *testing.T) (bundle.Statement, *record.CaseOpened) {
	t.Helper()
	_, second, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	logKey, err := sign.NewSoftwareLogSigner(newKey(t), second)
	if err != nil {
		t.Fatal(err)
	}
	person := newSigner(t)
	c, err := custody.Create(filepath.Join(t.TempDir(), "case"), custody.NewCase{
		Number: "2026-001", Agency: "Example Police", Clock: clock, Random: rand.Reader,
		Admit: []custody.Admission{{Key: person.PublicKey(), Kind: record.KindPerson, Events: []record.Type{record.TypeSeized}, Certificate: []byte("certificate\n")}},
	}, person, logKey)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l, err := c.Log()
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := l.Statement(0)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := l.EncodeProof(0)
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Statement{Envelope: envelope, Key: person.PublicKey(), Origin: c.Genesis().Origin, LogKeys: c.Genesis().LogKeys, Proof: proof}, c.Genesis()
}

// What clients of Sigstore look for is there; that they accept it is for the tests with the real tools to say.
func TestEncode(t *testing.T) {
	s, _ := newStatement(t)
	b, err := bundle.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		MediaType string `json:"mediaType"`
		Material  struct {
			PublicKey struct {
				Hint string `json:"hint"`
			} `json:"publicKey"`
			Timestamps any `json:"timestampVerificationData"`
			Entries    []struct {
				LogID struct {
					KeyID []byte `json:"keyId"`
				} `json:"logId"`
			} `json:"tlogEntries"`
		} `json:"verificationMaterial"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if want := "application/vnd.dev.sigstore.bundle.v0.3+json"; f.MediaType != want {
		t.Errorf("media type %q, want %q", f.MediaType, want)
	}
	if want := s.Key.KeyID(); f.Material.PublicKey.Hint != want {
		t.Errorf("hint %q, want %q", f.Material.PublicKey.Hint, want)
	}
	if f.Material.Timestamps != nil {
		t.Errorf("time-stamps %v, want none", f.Material.Timestamps)
	}
	if len(f.Material.Entries) != 2 || bytes.Equal(f.Material.Entries[0].LogID.KeyID, f.Material.Entries[1].LogID.KeyID) {
		t.Errorf("log entries %v, want one for each of the two lines", f.Material.Entries)
	}
}

// Nothing is exported that does not hold.
func TestEncodeRefuses(t *testing.T) {
	other, _ := newStatement(t)
	for name, test := range map[string]struct {
		change func(*bundle.Statement)
		want   error
	}{
		"another key":         {func(s *bundle.Statement) { s.Key = other.Key }, sign.ErrSignature},
		"no key":              {func(s *bundle.Statement) { s.Key = sign.PublicKey{} }, sign.ErrSignature},
		"another log's keys":  {func(s *bundle.Statement) { s.LogKeys = other.LogKeys }, sign.ErrSignature},
		"another origin":      {func(s *bundle.Statement) { s.Origin = other.Origin }, nil},
		"another proof":       {func(s *bundle.Statement) { s.Proof = other.Proof }, nil},
		"no proof":            {func(s *bundle.Statement) { s.Proof = nil }, record.ErrMalformed},
		"another's statement": {func(s *bundle.Statement) { s.Envelope, s.Key = other.Envelope, other.Key }, record.ErrMalformed},
		"no statement":        {func(s *bundle.Statement) { s.Envelope = nil }, record.ErrMalformed},
	} {
		s, _ := newStatement(t)
		test.change(&s)
		if b, err := bundle.Encode(s); err == nil || b != nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %d bytes, error %v, want %v", name, len(b), err, test.want)
		}
	}
}

func TestTrustedRootRefuses(t *testing.T) {
	_, g := newStatement(t)
	if _, err := bundle.TrustedRoot(g, g.LogKeys, nil); err != nil {
		t.Fatal(err)
	}
	g.LogKeys = g.LogKeys[:1]
	if b, err := bundle.TrustedRoot(g, g.LogKeys, nil); !errors.Is(err, record.ErrMalformed) || b != nil {
		t.Errorf("a genesis with one line: %d bytes, error %v, want %v", len(b), err, record.ErrMalformed)
	}
}
