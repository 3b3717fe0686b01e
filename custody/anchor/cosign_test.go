package anchor

import (
	"bytes"
	"crypto/ed25519"
	"crypto/mldsa"
	"errors"
	"strings"
	"testing"
	"time"

	cosig "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

var sawIt = time.Date(2026, 11, 23, 8, 15, 0, 0, time.UTC)

func newCosigner(t testing.TB) Cosigner {
	t.Helper()
	_, first, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := mldsa.GenerateKey(mldsa.MLDSA44())
	if err != nil {
		t.Fatal(err)
	}
	return Cosigner{"witness.example/w1", first, second}
}

func checkpoint(t testing.TB) ledger.Checkpoint {
	t.Helper()
	c, err := ledger.ParseCheckpoint(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func keysOf(t testing.TB, s Cosigner) []WitnessKey {
	t.Helper()
	keys, err := s.Keys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Both lines hold for us and for the library that the public witnesses are written with.
func TestCosign(t *testing.T) {
	s := newCosigner(t)
	signed, err := s.Sign(checkpoint(t), sawIt)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ParseCosigned(signed.Encode())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keysOf(t, s) {
		if at, ok := read.By(k); !ok || !at.Equal(sawIt) {
			t.Errorf("%s: %v, %t, want %v", k, at, ok, sawIt)
		}
		v, err := cosig.NewVerifierForCosignatureV1(k.String())
		if err != nil {
			t.Fatal(err)
		}
		n, err := note.Open(signed.Encode(), note.VerifierList(v))
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		if at, err := cosig.CoSigV1Timestamp(n.Sigs[0]); err != nil || !at.Equal(sawIt) {
			t.Errorf("%s: %v, %v, want %v", k, at, err, sawIt)
		}
		again, err := ParseWitnessKey(k.String())
		if err != nil || again != k {
			t.Errorf("%s reads back as %s, %v", k, again, err)
		}
	}
}

func TestCosignedByAnother(t *testing.T) {
	s, other := newCosigner(t), newCosigner(t)
	signed, err := s.Sign(checkpoint(t), sawIt)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range append(keysOf(t, other), WitnessKey{}) {
		if at, ok := signed.By(k); ok {
			t.Errorf("%s: it holds, at %v", k, at)
		}
	}
	renamed := keysOf(t, Cosigner{"witness.example/w2", s.Ed25519, s.MLDSA})
	for _, k := range renamed {
		if _, ok := signed.By(k); ok {
			t.Errorf("it holds under another name, %s", k)
		}
	}
	signed.Checkpoint.Size++
	for _, k := range keysOf(t, s) {
		if _, ok := signed.By(k); ok {
			t.Errorf("%s: it holds for another checkpoint", k)
		}
	}
	if _, ok := signed.Only(keysOf(t, s)); ok {
		t.Error("lines of another checkpoint are kept")
	}
}

func TestParseWitnessKeyRefuses(t *testing.T) {
	k := keysOf(t, newCosigner(t))[0].String()
	name, rest, _ := strings.Cut(k, "+")
	for what, test := range map[string]struct {
		vkey string
		want error
	}{
		"nothing":       {"", record.ErrMalformed},
		"another name":  {"x" + k, record.ErrMalformed},
		"another hash":  {name + "+00000000" + rest[8:], record.ErrMalformed},
		"a capital":     {"W" + k[1:], record.ErrMalformed},
		"a cut key":     {k[:len(k)-4], record.ErrMalformed},
		"a log's key":   {"example.com/log+00000000+ASDFGHJKLASDFGHJKLASDFGHJKLASDFGHJKLASDFGHJK", record.ErrNewer},
		"a line break":  {k + "\n", record.ErrMalformed},
		"no key at all": {name + "+00000000+", record.ErrMalformed},
	} {
		if got, err := ParseWitnessKey(test.vkey); !errors.Is(err, test.want) || got != (WitnessKey{}) {
			t.Errorf("%s: %v, %v, want %v", what, got, err, test.want)
		}
	}
}

func FuzzParseCosigned(f *testing.F) {
	s := newCosigner(f)
	signed, err := s.Sign(checkpoint(f), sawIt)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed.Encode())
	other := keysOf(f, newCosigner(f))[:1]
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCosigned(b)
		if err != nil {
			if len(c.lines) != 0 || c.Checkpoint != (ledger.Checkpoint{}) {
				t.Fatalf("%+v beside %v", c, err)
			}
			return
		}
		if !bytes.Equal(c.Encode(), b) {
			t.Fatalf("%q reads as %q", b, c.Encode())
		}
		if _, ok := c.Only(other); ok {
			t.Fatal("a line by a key that never signed")
		}
	})
}
