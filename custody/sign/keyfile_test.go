package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

var testPass = []byte("correct horse")

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func encodePEM(kind string, b []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
}

// What cosign's import-key-pair makes, by the library call it makes it with; here at the cost older versions took.
func TestDecryptKeyOfCosign(t *testing.T) {
	key := rfcKey(t)
	b, err := encrypted.EncryptWithCustomKDFParameters(pkcs8(t, key), testPass, encrypted.Legacy)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decryptKey(encodePEM("ENCRYPTED SIGSTORE PRIVATE KEY", b), testPass)
	if err != nil || !key.Equal(got) {
		t.Errorf("decryptKey = %T, %v; want the key", got, err)
	}
}

// And the other way: sigstore's own reader opens ours.
func TestSigstoreReadsOurKeyFile(t *testing.T) {
	key := rfcKey(t)
	file, err := encryptKey(key, testPass)
	if err != nil {
		t.Fatal(err)
	}
	got, err := cryptoutils.UnmarshalPEMToPrivateKey(file, cryptoutils.StaticPasswordFunc(testPass))
	if err != nil || !key.Equal(got) {
		t.Errorf("UnmarshalPEMToPrivateKey = %T, %v; want the key", got, err)
	}
	for pass, want := range map[string]error{"": ErrPassphraseEmpty, "correct hors": ErrPassphrase} {
		if got, err := decryptKey(file, []byte(pass)); !errors.Is(err, want) || got != nil {
			t.Errorf("passphrase %q: decryptKey = %T, %v; want %v", pass, got, err, want)
		}
	}
	if file, err := encryptKey(key, nil); !errors.Is(err, ErrPassphraseEmpty) || file != nil {
		t.Errorf("encryptKey without a passphrase = %q, %v; want ErrPassphraseEmpty", file, err)
	}
}

func TestDecryptKeyKeepsSecrets(t *testing.T) {
	b, err := encrypted.EncryptWithCustomKDFParameters([]byte("SECRET-SECRET"), testPass, encrypted.Legacy)
	if err != nil {
		t.Fatal(err)
	}
	key, err := decryptKey(encodePEM(pemKey, b), testPass)
	if !errors.Is(err, record.ErrMalformed) || key != nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("decryptKey = %v, %v; want ErrMalformed without the plaintext", key, err)
	}
}

// keyJSON is a key file's JSON with one thing exchanged; nothing in these tests computes scrypt.
func keyJSON(t testing.TB, old, repl string) []byte {
	t.Helper()
	const good = `{"kdf":{"name":"scrypt","params":{"N":65536,"r":8,"p":1},"salt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},` +
		`"cipher":{"name":"nacl/secretbox","nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"ciphertext":"AAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`
	out := strings.Replace(good, old, repl, 1)
	if out == good && old != "" {
		t.Fatalf("%q does not occur", old)
	}
	return []byte(out)
}

func TestParseKeyFileRefuses(t *testing.T) {
	good := encodePEM(pemKey, keyJSON(t, "", ""))
	if b, err := parseKeyFile(good); err != nil || !bytes.Equal(b, keyJSON(t, "", "")) {
		t.Fatalf("parseKeyFile = %q, %v: the cases below would test nothing", b, err)
	}
	swap := func(old, repl string) []byte { t.Helper(); return encodePEM(pemKey, keyJSON(t, old, repl)) }
	for _, n := range []string{"32768", "131072"} {
		if _, err := parseKeyFile(swap("65536", n)); err != nil {
			t.Errorf("N of %s: %v", n, err)
		}
	}
	for name, file := range map[string][]byte{
		"empty":             nil,
		"no PEM":            []byte("hello"),
		"plain key":         encodePEM("PRIVATE KEY", pkcs8(t, rfcKey(t))),
		"plain key in type": encodePEM(pemKey, pkcs8(t, rfcKey(t))),
		"certificate":       encodePEM(pemCertificate, keyJSON(t, "", "")),
		"two blocks":        append(bytes.Clone(good), good...),
		"text before":       append([]byte("x\n"), good...),
		"text behind":       append(bytes.Clone(good), "x\n"...),
		"header":            pem.EncodeToMemory(&pem.Block{Type: pemKey, Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: keyJSON(t, "", "")}),
		"carriage returns":  bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")),
		"too large":         swap(`"ciphertext":"`, `"ciphertext":"`+strings.Repeat("AAAA", maxKeyFile/4)),
		"N of 1 GiB":        swap("65536", "1073741824"),
		"N of 0":            swap("65536", "0"),
		"N negative":        swap("65536", "-65536"),
		"N beyond int":      swap("65536", "99999999999999999999"),
		"N a little more":   swap("65536", "262144"),
		"r":                 swap(`"r":8`, `"r":1048576`),
		"p":                 swap(`"p":1`, `"p":1048576`),
		"other kdf":         swap("scrypt", "argon2"),
		"other cipher":      swap("nacl/secretbox", "aes"),
		"short nonce":       swap(`"nonce":"AAAA`, `"nonce":"`),
		"short salt":        swap(`"salt":"AAAA`, `"salt":"`),
		"no params":         swap(`"params":{"N":65536,"r":8,"p":1},`, ""),
		"unknown member":    swap(`{"kdf"`, `{"also":1,"kdf"`),
		"doubled params":    swap(`"salt"`, `"params":{"N":1073741824,"r":8,"p":1},"salt"`),
		"shadowing N":       swap(`"N":65536`, `"N":65536,"n":1073741824`),
		"null":              swap(string(keyJSON(t, "", "")), "null"),
	} {
		if b, err := parseKeyFile(file); !errors.Is(err, record.ErrMalformed) || b != nil {
			t.Errorf("%s: parseKeyFile = %q, %v; want ErrMalformed", name, b, err)
		}
		if key, err := decryptKey(file, testPass); !errors.Is(err, record.ErrMalformed) || key != nil {
			t.Errorf("%s: decryptKey = %T, %v; want ErrMalformed", name, key, err)
		}
	}
}

func FuzzParseKeyFile(f *testing.F) {
	f.Add(encodePEM(pemKey, keyJSON(f, "", "")))
	f.Add(encodePEM(pemKey, keyJSON(f, "65536", "1073741824")))
	f.Add(encodePEM(pemKey, keyJSON(f, `"N":65536`, `"N":65536,"n":1073741824`)))
	f.Add([]byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		b, err := parseKeyFile(file)
		if err != nil {
			if b != nil || !errors.Is(err, record.ErrMalformed) {
				t.Fatalf("%q and the error %v, want ErrMalformed", b, err)
			}
			return
		}
		if !bytes.Equal(encodePEM(pemKey, b), file) || len(file) > maxKeyFile {
			t.Fatalf("accepted %q as %q", file, b)
		}
		// What the library will read in it, by the reader that it uses.
		var k struct {
			KDF struct {
				Params struct{ N, R, P int }
				Salt   []byte
			}
			Cipher struct{ Nonce []byte }
		}
		if err := json.Unmarshal(b, &k); err != nil {
			t.Fatalf("accepted what encoding/json does not read: %v", err)
		}
		if p := k.KDF.Params; p.N > 1<<17 || p.N < 1<<15 || p.R != 8 || p.P != 1 || len(k.Cipher.Nonce) != 24 {
			t.Fatalf("accepted the cost %+v and a nonce of %d bytes", p, len(k.Cipher.Nonce))
		}
	})
}

var testTime = time.Date(2026, 11, 23, 9, 15, 0, 123456789, time.FixedZone("", 3600))

func TestCertificate(t *testing.T) {
	for kind, key := range map[string]crypto.Signer{
		record.KindPerson: rfcKey(t), record.KindStation: newECDSA(t, elliptic.P256()), KindLog: newEd25519(t),
	} {
		file, err := newCertificate(kind, key, testTime)
		if err != nil {
			t.Fatal(err)
		}
		want := certificate{kind, spki(t, key.Public()), time.Date(2026, 11, 23, 8, 15, 0, 0, time.UTC)}
		if c, err := parseCertificate(file); err != nil || !reflect.DeepEqual(c, want) {
			t.Errorf("parseCertificate = %+v, %v; want %+v", c, err, want)
		}
	}
	file, err := newCertificate(record.KindPerson, rfcKey(t), testTime)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(file)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Subject.String(), "CN=Exhibit person key 5a7a78cca4a0f420,OU=person"; got != want {
		t.Errorf("subject %q, want %q", got, want)
	}
	if c.SerialNumber.BitLen() < 64 || c.KeyUsage != x509.KeyUsageDigitalSignature || c.IsCA || c.NotAfter.Year() != 9999 {
		t.Errorf("serial %x, usage %b, CA %t, until %v", c.SerialNumber, c.KeyUsage, c.IsCA, c.NotAfter)
	}
}

// certificateOf makes a certificate as somebody else would.
func certificateOf(t testing.TB, subject, issuer pkix.Name, key *ecdsa.PrivateKey, signer *ecdsa.PrivateKey) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject, NotBefore: testTime, NotAfter: noExpiry}
	parent := &x509.Certificate{Subject: issuer}
	b, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return encodePEM(pemCertificate, b)
}

func TestParseCertificateRefuses(t *testing.T) {
	key, other := rfcKey(t), newECDSA(t, elliptic.P256())
	own, judge := subject(record.KindPerson, spki(t, key.Public())), subject("judge", spki(t, key.Public()))
	if _, err := parseCertificate(certificateOf(t, own, own, key, key)); err != nil {
		t.Fatalf("%v: the cases below would test nothing", err)
	}
	change := func(f func(*pkix.Name)) pkix.Name { n := own; f(&n); return n }
	for name, file := range map[string][]byte{
		"empty":              nil,
		"key file":           encodePEM(pemKey, keyJSON(t, "", "")),
		"no certificate":     encodePEM(pemCertificate, []byte("hello")),
		"chain":              append(certificateOf(t, own, own, key, key), certificateOf(t, own, own, key, key)...),
		"person's name":      certificateOf(t, change(func(n *pkix.Name) { n.CommonName = "Jane Doe" }), own, key, key),
		"further name":       certificateOf(t, change(func(n *pkix.Name) { n.Locality = []string{"Bern"} }), own, key, key),
		"unknown kind":       certificateOf(t, judge, judge, key, key),
		"no kind":            certificateOf(t, change(func(n *pkix.Name) { n.OrganizationalUnit = nil }), own, key, key),
		"two kinds":          certificateOf(t, change(func(n *pkix.Name) { n.OrganizationalUnit = []string{"person", "log"} }), own, key, key),
		"another key's id":   certificateOf(t, subject(record.KindPerson, spki(t, other.Public())), own, key, key),
		"another issuer":     certificateOf(t, own, subject(record.KindPerson, spki(t, other.Public())), key, key),
		"another kind above": certificateOf(t, own, subject(KindLog, spki(t, key.Public())), key, key),
	} {
		if c, err := parseCertificate(file); !errors.Is(err, record.ErrMalformed) || c.kind != "" {
			t.Errorf("%s: parseCertificate = %+v, %v; want ErrMalformed", name, c, err)
		}
	}
	if c, err := parseCertificate(certificateOf(t, own, own, key, other)); !errors.Is(err, ErrSignature) || c.kind != "" {
		t.Errorf("signed by another key: parseCertificate = %+v, %v; want ErrSignature", c, err)
	}
}

func FuzzParseCertificate(f *testing.F) {
	for kind, key := range map[string]crypto.Signer{record.KindPerson: rfcKey(f), KindLog: ed25519.NewKeyFromSeed(make([]byte, 32))} {
		file, err := newCertificate(kind, key, testTime)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Add(encodePEM(pemCertificate, nil))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := parseCertificate(file)
		if err != nil {
			if c.kind != "" || c.der != nil || !c.created.IsZero() {
				t.Fatalf("%+v and the error %v", c, err)
			}
			return
		}
		block, _ := pem.Decode(file)
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		want := "CN=Exhibit " + c.kind + " key " + KeyID(c.der)[:16] + ",OU=" + c.kind
		if parsed.Subject.String() != want || parsed.Issuer.String() != want || !bytes.Equal(encodePEM(pemCertificate, block.Bytes), file) {
			t.Fatalf("accepted the subject %s, want %s", parsed.Subject, want)
		}
	})
}
