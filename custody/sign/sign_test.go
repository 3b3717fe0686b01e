package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// The P-256 key of RFC 6979, A.2.5, and what follows from it, computed with Python and openssl.
const (
	rfcPrivate = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"
	rfcPublic  = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ=="
	rfcKeyID   = "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4"
	rfcR       = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
	rfcS       = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
)

func mustHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rfcKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), mustHex(t, rfcPrivate))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newECDSA(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigner(t testing.TB) Signer {
	t.Helper()
	s, err := NewSoftwareSigner(newECDSA(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// derOf encodes the two numbers of a signature.
func derOf(t testing.TB, r, s *big.Int) []byte {
	t.Helper()
	b, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// brokenDevice signs something else.
type brokenDevice struct{ crypto.Signer }

func (d brokenDevice) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	other := bytes.Clone(digest)
	other[0] ^= 1
	return d.Signer.Sign(random, other, opts)
}

func TestDeviceSigner(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewDeviceSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // half of what it signs comes in the other spelling
		sig, err := s.Sign([]byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PublicKey().Verify([]byte("text"), sig); err != nil {
			t.Error(err)
		}
	}
	broken, err := NewDeviceSigner(brokenDevice{key})
	if err != nil {
		t.Fatal(err)
	}
	if sig, err := broken.Sign([]byte("text")); !errors.Is(err, ErrSignature) || sig != nil {
		t.Errorf("a device that signs something else: %v, want ErrSignature", err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewDeviceSigner(other); err == nil {
		t.Error("a P-384 key is taken")
	}
}

func TestPublicKeyVectors(t *testing.T) {
	k, err := ParsePublicKeyBase64(rfcPublic)
	if err != nil {
		t.Fatal(err)
	}
	if got := k.KeyID(); got != rfcKeyID {
		t.Errorf("KeyID = %s, want %s", got, rfcKeyID)
	}
	if got := k.Base64(); got != rfcPublic {
		t.Errorf("Base64 = %s, want %s", got, rfcPublic)
	}
	s, err := NewSoftwareSigner(rfcKey(t))
	if err != nil || s.PublicKey() != k {
		t.Errorf("the key of the private key is %v, %v; want %v", s.PublicKey(), err, k)
	}
	// That RFC's s is the larger of the two.
	r, high := new(big.Int).SetBytes(mustHex(t, rfcR)), new(big.Int).SetBytes(mustHex(t, rfcS))
	s1 := new(big.Int).Sub(elliptic.P256().Params().N, high)
	if err := k.Verify([]byte("sample"), derOf(t, r, s1)); err != nil {
		t.Errorf("RFC 6979's signature of %q: %v", "sample", err)
	}
	bare := append(r.FillBytes(make([]byte, 32)), s1.FillBytes(make([]byte, 32))...)
	for name, sig := range map[string][]byte{"none": nil, "the two bare numbers": bare, "trailing byte": append(derOf(t, r, s1), 0),
		"zeros": derOf(t, new(big.Int), new(big.Int)), "the second spelling": derOf(t, r, high)} {
		if err := k.Verify([]byte("sample"), sig); !errors.Is(err, ErrSignature) {
			t.Errorf("signature %s: Verify = %v, want ErrSignature", name, err)
		}
	}
	if err := k.Verify([]byte("samplf"), derOf(t, r, s1)); !errors.Is(err, ErrSignature) {
		t.Errorf("another message: Verify = %v, want ErrSignature", err)
	}
}

func TestZeroPublicKey(t *testing.T) {
	var k PublicKey
	if !k.IsZero() || k.KeyID() != "" || len(k.DER()) != 0 {
		t.Errorf("the zero key has the id %q and the DER %x", k.KeyID(), k.DER())
	}
	if err := k.Verify(nil, nil); !errors.Is(err, ErrSignature) {
		t.Errorf("Verify = %v, want ErrSignature", err)
	}
	if err := (Envelope{}).Verify(k); !errors.Is(err, ErrSignature) {
		t.Errorf("the zero envelope and the zero key: %v, want ErrSignature", err)
	}
	if e, err := (Envelope{}).Entry(k); !errors.Is(err, ErrSignature) || e != nil {
		t.Errorf("Entry = %q, %v; want ErrSignature", e, err)
	}
}

func spki(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParsePublicKeyRefuses(t *testing.T) {
	good, err := base64.StdEncoding.DecodeString(rfcPublic)
	if err != nil {
		t.Fatal(err)
	}
	offCurve := bytes.Clone(good)
	offCurve[len(offCurve)-1] ^= 1
	for name, der := range map[string][]byte{
		"empty": nil, "trailing byte": append(bytes.Clone(good), 0), "cut": good[:len(good)-1], "off the curve": offCurve,
		"P-384": spki(t, newECDSA(t, elliptic.P384()).Public()), "P-224": spki(t, newECDSA(t, elliptic.P224()).Public()),
		"Ed25519": spki(t, ed25519.PublicKey(make([]byte, 32))), "91 zeros": make([]byte, 91),
	} {
		if k, err := ParsePublicKey(der); !errors.Is(err, record.ErrMalformed) || !k.IsZero() {
			t.Errorf("%s: ParsePublicKey = %v, %v; want ErrMalformed", name, k, err)
		}
	}
	for name, s := range map[string]string{
		"empty": "", "line break": rfcPublic[:122] + "\n=", "no padding": strings.TrimRight(rfcPublic, "="),
		"stray bits": strings.Replace(rfcPublic, "mQ==", "mR==", 1), "URL alphabet": strings.Replace(rfcPublic, "/", "_", 1),
		"longer": rfcPublic + "AAAA",
	} {
		if k, err := ParsePublicKeyBase64(s); !errors.Is(err, record.ErrMalformed) || !k.IsZero() {
			t.Errorf("%s: ParsePublicKeyBase64 = %v, %v; want ErrMalformed", name, k, err)
		}
	}
}

func TestFingerprint(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "ab": "ab", "0123": "0123", "01234": "0123 4", "0123456789abcdef": "0123 4567 89ab cdef",
		rfcKeyID: "5a7a 78cc a4a0 f420 d9bc 62bb 669c 3c27 59e3 9f72 3d3a e10d cbe0 f081 5a07 ecd4",
	} {
		if got := Fingerprint(in); got != want {
			t.Errorf("Fingerprint(%q) = %q, want %q", in, got, want)
		}
	}
}

// A device that computes wrongly: each is noticed before the signature leaves the package.
type faulty struct {
	signature.SignerVerifier
	spoil func([]byte) []byte
}

func (f faulty) SignMessage(message io.Reader, opts ...signature.SignOption) ([]byte, error) {
	sig, err := f.SignerVerifier.SignMessage(message, opts...)
	if err != nil {
		return nil, err
	}
	return f.spoil(sig), nil
}

func flipLast(sig []byte) []byte { sig[len(sig)-1] ^= 1; return sig }

func loadECDSA(t testing.TB, key *ecdsa.PrivateKey, hash crypto.Hash) signature.SignerVerifier {
	t.Helper()
	sv, err := signature.LoadECDSASignerVerifier(key, hash)
	if err != nil {
		t.Fatal(err)
	}
	return sv
}

func TestSignerChecksWhatItSigns(t *testing.T) {
	key := newECDSA(t, elliptic.P256())
	bare := func(sig []byte) []byte { // IEEE P1363
		var v struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &v); err != nil {
			t.Fatal(err)
		}
		return append(v.R.FillBytes(make([]byte, 32)), v.S.FillBytes(make([]byte, 32))...)
	}
	for name, sv := range map[string]signature.SignerVerifier{
		"flipped bit":  faulty{loadECDSA(t, key, crypto.SHA256), flipLast},
		"nothing":      faulty{loadECDSA(t, key, crypto.SHA256), func([]byte) []byte { return nil }},
		"bare numbers": faulty{loadECDSA(t, key, crypto.SHA256), bare},
		"other hash":   loadECDSA(t, key, crypto.SHA384),
	} {
		s, err := NewSigner(sv)
		if err != nil {
			t.Fatal(err)
		}
		if sig, err := s.Sign([]byte("message")); !errors.Is(err, ErrSignature) || sig != nil {
			t.Errorf("%s: Sign = %x, %v; want ErrSignature", name, sig, err)
		}
		if b, err := Seal(s, []byte("{}")); !errors.Is(err, ErrSignature) || b != nil {
			t.Errorf("%s: Seal = %q, %v; want ErrSignature", name, b, err)
		}
	}
	if s, err := NewSigner(loadECDSA(t, newECDSA(t, elliptic.P384()), crypto.SHA256)); !errors.Is(err, record.ErrMalformed) || s != nil {
		t.Errorf("a P-384 key: NewSigner = %v, %v; want ErrMalformed", s, err)
	}
	if s, err := NewSoftwareSigner(nil); err == nil || s != nil {
		t.Errorf("no key: NewSoftwareSigner = %v, %v; want an error", s, err)
	}
}

// otherSigner is a Signer of somebody else's that does not check itself.
type otherSigner struct {
	Signer
	key PublicKey
}

func (o otherSigner) PublicKey() PublicKey { return o.key }

// What signs may give either spelling: the one that is accepted leaves the package.
func TestSignerGivesTheSmallerS(t *testing.T) {
	key := newECDSA(t, elliptic.P256())
	half := new(big.Int).Rsh(elliptic.P256().Params().N, 1)
	seen := map[bool]bool{} // whether the device gave the larger one
	for range 64 {
		var given []byte
		s, err := NewSigner(faulty{loadECDSA(t, key, crypto.SHA256), func(sig []byte) []byte { given = bytes.Clone(sig); return sig }})
		if err != nil {
			t.Fatal(err)
		}
		sig, err := s.Sign([]byte("message"))
		if err != nil {
			t.Fatal(err)
		}
		var v struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &v); err != nil || v.S.Cmp(half) > 0 {
			t.Fatalf("Sign gave %x of %x (%v), want s at most %x", sig, given, err, half)
		}
		large := !bytes.Equal(sig, given)
		seen[large] = true
		if err := s.PublicKey().Verify([]byte("message"), given); (err != nil) != large {
			t.Fatalf("Verify(%x) = %v", given, err)
		}
	}
	if len(seen) != 2 {
		t.Error("64 signatures were all of one spelling")
	}
}

func TestSealChecksAnySigner(t *testing.T) {
	s := otherSigner{newSigner(t), newSigner(t).PublicKey()}
	if b, err := Seal(s, []byte("{}")); !errors.Is(err, ErrSignature) || b != nil {
		t.Errorf("Seal = %q, %v; want ErrSignature", b, err)
	}
}

func FuzzParsePublicKey(f *testing.F) {
	good, err := base64.StdEncoding.DecodeString(rfcPublic)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(spki(f, newECDSA(f, elliptic.P256()).Public()))
	f.Add(spki(f, newECDSA(f, elliptic.P384()).Public()))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, der []byte) {
		k, err := ParsePublicKey(der)
		k2, err2 := ParsePublicKeyBase64(base64.StdEncoding.EncodeToString(der))
		if k != k2 || (err == nil) != (err2 == nil) {
			t.Fatalf("DER gives %v, %v; its base64 %v, %v", k, err, k2, err2)
		}
		if err != nil {
			if !k.IsZero() || !errors.Is(err, record.ErrMalformed) {
				t.Fatalf("%v and the error %v, want ErrMalformed", k, err)
			}
			return
		}
		sum := sha256.Sum256(der)
		if !bytes.Equal(k.DER(), der) || k.KeyID() != hex.EncodeToString(sum[:]) {
			t.Fatalf("accepted %x as %x", der, k.DER())
		}
		// The point lies on the curve: an independent check of y^2 = x^3 - 3x + b.
		p := elliptic.P256().Params()
		x, y := new(big.Int).SetBytes(der[27:59]), new(big.Int).SetBytes(der[59:])
		rhs := new(big.Int).Exp(x, big.NewInt(3), nil)
		rhs.Sub(rhs, new(big.Int).Mul(big.NewInt(3), x)).Add(rhs, p.B).Mod(rhs, p.P)
		if new(big.Int).Exp(y, big.NewInt(2), p.P).Cmp(rhs) != 0 || x.Cmp(p.P) >= 0 || y.Cmp(p.P) >= 0 {
			t.Fatalf("accepted a point off the curve: %x", der)
		}
	})
}
