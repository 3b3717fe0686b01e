package anchor

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

var text = []byte("tg7gxx4c4cyemmc5kfsnv7kaok.exhibit.invalid\n3\nyRLlGOJ7QtucPDu9YYgBaF7YZtfUJpiMMB3ecVDP5Eo=\n")

func request(t *testing.T, data []byte) []byte {
	t.Helper()
	b, err := NewRequest(sha256.Sum256(data), big.NewInt(4711))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, b []byte) *Token {
	t.Helper()
	token, err := ParseResponse(b)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// opensslVerify is openssl's own opinion of a response.
func opensslVerify(t *testing.T, tsa *testtool.TSA, response, data []byte) error {
	t.Helper()
	dir := t.TempDir()
	for name, b := range map[string][]byte{"response": response, "data": data} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("openssl", "ts", "-verify", "-in", "response", "-data", "data", "-CAfile", tsa.RootFile())
	cmd.Dir = dir
	return cmd.Run()
}

// A token of openssl's authority: both it and we say the same of it.
func TestToken(t *testing.T) {
	tsa, other := testtool.NewTSA(t, testtool.TSAOptions{}), testtool.NewTSA(t, testtool.TSAOptions{})
	response := tsa.Reply(t, request(t, text))
	token := parse(t, response)
	stamp, err := token.Verify(sha256.Sum256(text), []*x509.Certificate{other.Root, tsa.Root}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ago := time.Since(stamp.Time); ago < -time.Minute || ago > time.Minute {
		t.Errorf("stamped %v ago", ago)
	}
	if want := "CN=Example time-stamp authority"; stamp.Authority != want || !stamp.Root.Equal(tsa.Root) {
		t.Errorf("by %q under %q, want %q", stamp.Authority, stamp.Root.Subject, want)
	}
	if got, want := stamp.Latest().Sub(stamp.Time), time.Second; got != want {
		t.Errorf("accuracy %v, want %v", got, want)
	}
	if token.Nonce() == nil || token.Nonce().Int64() != 4711 {
		t.Errorf("nonce %v, want 4711", token.Nonce())
	}
	if err := opensslVerify(t, tsa, response, text); err != nil {
		t.Errorf("openssl ts -verify: %v", err)
	}
}

func TestTokenRefused(t *testing.T) {
	tsa := testtool.NewTSA(t, testtool.TSAOptions{})
	expired := testtool.NewTSA(t, testtool.TSAOptions{NotAfter: time.Now().AddDate(-1, 0, 0)})
	other := testtool.NewTSA(t, testtool.TSAOptions{})
	bare, err := asn1.Marshal(timeStampReq{Version: 1, Imprint: imprint{sha256Algorithm, sum(text)}})
	if err != nil {
		t.Fatal(err)
	}
	sound := tsa.Reply(t, request(t, text))
	for name, test := range map[string]struct {
		response []byte
		data     []byte
		root     *x509.Certificate
		want     error
	}{
		"another checkpoint":    {sound, []byte("another\n"), tsa.Root, ErrOther},
		"another root":          {sound, text, other.Root, ErrUntrusted},
		"no root":               {sound, text, nil, ErrUntrusted},
		"an expired chain":      {expired.Reply(t, request(t, text)), text, expired.Root, ErrUntrusted},
		"without a certificate": {tsa.Reply(t, bare), text, tsa.Root, ErrNoCertificate},
		"another content":       {bytes.Replace(sound, sum(text), sum([]byte("x")), 1), []byte("x"), tsa.Root, sign.ErrSignature},
	} {
		var roots []*x509.Certificate
		if test.root != nil {
			roots = append(roots, test.root)
		}
		stamp, err := parse(t, test.response).Verify(sha256.Sum256(test.data), roots, nil)
		if !errors.Is(err, test.want) || stamp.Root != nil || !stamp.Time.IsZero() {
			t.Errorf("%s: %+v, error %v, want %v", name, stamp, err, test.want)
		}
	}
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

// Whatever bit of a response is turned, what still holds says the same.
func TestTokenBitByBit(t *testing.T) {
	tsa := testtool.NewTSA(t, testtool.TSAOptions{})
	sound := tsa.Reply(t, request(t, text))
	want, err := parse(t, sound).Verify(sha256.Sum256(text), []*x509.Certificate{tsa.Root}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(sound) {
		changed := bytes.Clone(sound)
		changed[i/8] ^= 1 << (i % 8)
		token, err := ParseResponse(changed)
		if err != nil {
			continue
		}
		got, err := token.Verify(sha256.Sum256(text), []*x509.Certificate{tsa.Root}, nil)
		if err == nil && (got.Time != want.Time || got.Accuracy != want.Accuracy || got.Authority != want.Authority || !got.Root.Equal(want.Root)) {
			t.Errorf("bit %d: %+v holds, want %+v", i, got, want)
		}
	}
}

func TestParseResponseRefuses(t *testing.T) {
	tsa := testtool.NewTSA(t, testtool.TSAOptions{})
	sound := tsa.Reply(t, request(t, text))
	refusal := []byte{0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02}
	for name, test := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing":     {nil, record.ErrMalformed},
		"cut":         {sound[:len(sound)-1], record.ErrMalformed},
		"followed":    {append(bytes.Clone(sound), 0), record.ErrMalformed},
		"too large":   {make([]byte, layout.MaxToken+1), record.ErrMalformed},
		"a refusal":   {refusal, ErrRefused},
		"granted but": {[]byte{0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x00}, record.ErrMalformed},
	} {
		if token, err := ParseResponse(test.b); !errors.Is(err, test.want) || token != nil {
			t.Errorf("%s: %v, error %v, want %v", name, token, err, test.want)
		}
	}
}

// The seed is a token of openssl's, made once: what a fuzzer keeps must be the same each time.
func FuzzParseResponse(f *testing.F) {
	seed, err := os.ReadFile("testdata/openssl.tsr")
	if err != nil {
		f.Fatal(err)
	}
	if token, err := ParseResponse(seed); err != nil || !token.About(sha256.Sum256(text)) {
		f.Fatalf("the seed is no token of the text: %v", err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		token, err := ParseResponse(b)
		if (token == nil) != (err != nil) {
			t.Fatalf("token %v, error %v", token, err)
		}
		if err != nil {
			return
		}
		// Nothing verifies without a root.
		if stamp, err := token.Verify(sha256.Sum256(text), nil, nil); err == nil || stamp.Root != nil || !stamp.Time.IsZero() {
			t.Fatalf("%+v without a root", stamp)
		}
	})
}
