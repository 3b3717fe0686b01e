package sign

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

func TestPreAuthVector(t *testing.T) {
	for payload, want := range map[string]string{
		"":            "DSSEv1 28 application/vnd.in-toto+json 0 ",
		`{"a":"b"}`:   `DSSEv1 28 application/vnd.in-toto+json 9 {"a":"b"}`,
		"hello world": "DSSEv1 28 application/vnd.in-toto+json 11 hello world",
	} {
		if got := string(preAuth([]byte(payload))); got != want {
			t.Errorf("preAuth(%q) = %q, want %q", payload, got, want)
		}
	}
}

// The envelope and the entry of a fixed signature, put together with Python, and the signature checked with openssl.
const (
	fixedSignature = "MEUCIQCbw9TRHYePkcAto46Igd/igaj8aS/qrOIEvDVHfV/D/wIgCbLmayinJx4ctjK761XW8pTsPMTAlU2tfOGTP1qms50="
	fixedEnvelope  = `{"payload":"eyJhIjoiYiJ9","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"` +
		rfcKeyID + `","sig":"` + fixedSignature + `"}]}`
	fixedEntry = `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256",` +
		`"digest":"x6bDH4+qBJ8ypNX2g3ycgzIVM2rKaHzL1dABJ04ISUk="},"signature":{"content":"` + fixedSignature + `",` +
		`"verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"` + rfcPublic + `"}}}}}}`
)

func rfcPublicKey(t testing.TB) PublicKey {
	t.Helper()
	k, err := ParsePublicKeyBase64(rfcPublic)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEnvelopeAndEntryVector(t *testing.T) {
	e, err := ParseEnvelope([]byte(fixedEnvelope))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(e.Payload), `{"a":"b"}`; got != want {
		t.Errorf("payload = %q, want %q", got, want)
	}
	k := rfcPublicKey(t)
	if err := e.Verify(k); err != nil {
		t.Error(err)
	}
	entry, err := e.Entry(k)
	if err != nil || string(entry) != fixedEntry {
		t.Errorf("Entry = %s, %v\nwant    %s", entry, err, fixedEntry)
	}
}

func TestSealRoundTrip(t *testing.T) {
	s := newSigner(t)
	for _, payload := range []string{"{}", "x", strings.Repeat("y", 1<<20), "\x00\xff"} {
		b, err := Seal(s, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		e, err := ParseEnvelope(b)
		if err != nil || string(e.Payload) != payload || e.KeyID != s.PublicKey().KeyID() {
			t.Fatalf("ParseEnvelope = %d bytes by %s, %v; want %d by %s", len(e.Payload), e.KeyID, err, len(payload), s.PublicKey().KeyID())
		}
		if err := e.Verify(s.PublicKey()); err != nil {
			t.Error(err)
		}
		other := newSigner(t).PublicKey()
		if err := e.Verify(other); !errors.Is(err, ErrSignature) {
			t.Errorf("another key: Verify = %v, want ErrSignature", err)
		}
		if entry, err := e.Entry(other); !errors.Is(err, ErrSignature) || entry != nil {
			t.Errorf("another key: Entry = %q, %v; want ErrSignature", entry, err)
		}
	}
	for name, payload := range map[string][]byte{"empty": nil, "too large": make([]byte, record.MaxJSON)} {
		if b, err := Seal(s, payload); !errors.Is(err, record.ErrMalformed) || b != nil {
			t.Errorf("%s: Seal = %d bytes, %v; want ErrMalformed", name, len(b), err)
		}
	}
}

func TestParseEnvelopeRefuses(t *testing.T) {
	sig := `{"keyid":"` + rfcKeyID + `","sig":"` + fixedSignature + `"}`
	envelope := func(signatures string) string {
		return `{"payload":"eyJhIjoiYiJ9","payloadType":"application/vnd.in-toto+json","signatures":` + signatures + `}`
	}
	if envelope("["+sig+"]") != fixedEnvelope {
		t.Fatal("the cases below would test nothing")
	}
	swap := func(old, repl string) string {
		t.Helper()
		out := strings.Replace(fixedEnvelope, old, repl, 1)
		if out == fixedEnvelope {
			t.Fatalf("%q does not occur", old)
		}
		return out
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"null":                "null",
		"list":                "[" + fixedEnvelope + "]",
		"no signature":        envelope("[]"),
		"null signatures":     envelope("null"),
		"two signatures":      envelope("[" + sig + "," + sig + "]"),
		"null signature":      envelope("[null]"),
		"unknown member":      swap(`{"payload"`, `{"also":1,"payload"`),
		"unknown in sig":      envelope("[" + strings.Replace(sig, "{", `{"cert":"",`, 1) + "]"),
		"doubled member":      swap(`{"payload":"eyJhIjoiYiJ9"`, `{"payload":"eyJhIjoiYiJ9","payload":"eyJhIjoiYiJ9"`),
		"missing keyid":       envelope(`[{"sig":"` + fixedSignature + `"}]`),
		"missing sig":         envelope(`[{"keyid":"` + rfcKeyID + `"}]`),
		"empty sig":           envelope(`[{"keyid":"` + rfcKeyID + `","sig":""}]`),
		"long sig":            envelope(`[{"keyid":"` + rfcKeyID + `","sig":"` + strings.Repeat("AAAA", 25) + `"}]`),
		"payloadType":         swap("application/vnd.in-toto+json", "application/json"),
		"payloadType case":    swap("in-toto+json", "In-toto+json"),
		"empty payloadType":   swap("application/vnd.in-toto+json", ""),
		"empty payload":       swap("eyJhIjoiYiJ9", ""),
		"null payload":        swap(`"eyJhIjoiYiJ9"`, "null"),
		"payload stray bits":  swap("eyJhIjoiYiJ9", "eyJhIjoiYh=="),
		"payload URL base64":  swap("eyJhIjoiYiJ9", "____"),
		"payload no padding":  swap("eyJhIjoiYiJ9", "eyJhIjoiYg"),
		"payload line break":  swap("eyJhIjoiYiJ9", `eyJhIjoi\nYiJ9`),
		"payload escaped":     swap("eyJhIjoiYiJ9", `\u0065yJhIjoiYiJ9`),
		"slash escaped":       swap("application/vnd", `application\/vnd`),
		"space":               swap(`{"payload"`, `{ "payload"`),
		"newline at the end":  fixedEnvelope + "\n",
		"order":               swap(`"payload":"eyJhIjoiYiJ9","payloadType":"application/vnd.in-toto+json"`, `"payloadType":"application/vnd.in-toto+json","payload":"eyJhIjoiYiJ9"`),
		"member's case":       swap(`"payload"`, `"Payload"`),
		"keyid case":          swap(rfcKeyID, strings.ToUpper(rfcKeyID)),
		"keyid short":         swap(rfcKeyID, rfcKeyID[2:]),
		"keyid empty":         swap(rfcKeyID, ""),
		"keyid no hex":        swap(rfcKeyID, strings.Repeat("z", 64)),
		"byte order mark":     "\ufeff" + fixedEnvelope,
		"second document":     fixedEnvelope + fixedEnvelope,
		"larger than allowed": swap("eyJhIjoiYiJ9", strings.Repeat("A", record.MaxJSON)),
	} {
		e, err := ParseEnvelope([]byte(text))
		if !errors.Is(err, record.ErrMalformed) || e.Payload != nil || e.KeyID != "" || e.Signature != nil {
			t.Errorf("%s: ParseEnvelope = %.40q..., %v; want nothing and ErrMalformed", name, e, err)
		}
	}
}

func TestEnvelopeKeyIDMismatch(t *testing.T) {
	other := newSigner(t).PublicKey()
	e, err := ParseEnvelope([]byte(strings.Replace(fixedEnvelope, rfcKeyID, other.KeyID(), 1)))
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]PublicKey{"the key that signed": rfcPublicKey(t), "the key that is named": other} {
		if err := e.Verify(k); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: Verify = %v, want ErrSignature", name, err)
		}
	}
}

func TestEveryFlippedBitOfAnEnvelope(t *testing.T) {
	k := rfcPublicKey(t)
	for i := range len(fixedEnvelope) * 8 {
		b := []byte(fixedEnvelope)
		b[i/8] ^= 1 << (i % 8)
		e, err := ParseEnvelope(b)
		if err == nil {
			err = e.Verify(k)
		}
		if err == nil {
			t.Errorf("bit %d of byte %d flipped: accepted as %q", i%8, i/8, b)
		}
	}
}

// twin turns the signature (r, s) into (r, n-s), as anybody can, without the key.
func twin(t testing.TB, sig []byte) []byte {
	t.Helper()
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &v); err != nil {
		t.Fatal(err)
	}
	return derOf(t, v.R, new(big.Int).Sub(elliptic.P256().Params().N, v.S))
}

// The second spelling is refused, though openssl takes it; and the log's entry is another.
func TestTwinSignatureOfAnEnvelope(t *testing.T) {
	e, err := ParseEnvelope([]byte(fixedEnvelope))
	if err != nil {
		t.Fatal(err)
	}
	e.Signature = twin(t, e.Signature)
	if err := e.Verify(rfcPublicKey(t)); !errors.Is(err, ErrSignature) {
		t.Errorf("Verify = %v, want ErrSignature", err)
	}
	entry, err := e.Entry(rfcPublicKey(t))
	if err != nil || string(entry) == fixedEntry {
		t.Errorf("Entry = %s, %v; want another than before", entry, err)
	}
}

func FuzzParseEnvelope(f *testing.F) {
	f.Add([]byte(fixedEnvelope))
	f.Add([]byte(strings.Replace(fixedEnvelope, "}]}", "},{}]}", 1)))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEnvelope(b)
		if err != nil {
			if !errors.Is(err, record.ErrMalformed) || e.Payload != nil || e.KeyID != "" || e.Signature != nil {
				t.Fatalf("%v and the error %v, want nothing and ErrMalformed", e, err)
			}
			return
		}
		again := fmt.Sprintf(`{"payload":"%s","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"%s","sig":"%s"}]}`,
			base64.StdEncoding.EncodeToString(e.Payload), e.KeyID, base64.StdEncoding.EncodeToString(e.Signature))
		if !bytes.Equal([]byte(again), b) {
			t.Fatalf("accepted %q, which is written %q", b, again)
		}
	})
}
