package anchor

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// maxCertificates bounds those of a token.
const maxCertificates = 20

// Token is a time-stamp that was read and NOT verified. The zero Token verifies against nothing.
type Token struct {
	info         tstInfo
	at           time.Time
	content      []byte // of the TSTInfo, as it was hashed
	signer       signerInfo
	certificates []*x509.Certificate
}

// Stamp is what an authority said, after it was verified.
type Stamp struct {
	Time      time.Time     // when, in UTC
	Accuracy  time.Duration // how far off the authority says that it can be; 0: it does not say
	Authority string        // the subject of the signer's certificate
	Root      *x509.Certificate
	Chain     []*x509.Certificate // from the signer's certificate to Root
}

// Latest is the latest time at which the stamp can have been made.
func (s Stamp) Latest() time.Time { return s.Time.Add(s.Accuracy) }

// NewRequest returns the request for a time-stamp over something with that SHA-256, as an authority takes it. It asks for
// the certificates. A nil nonce is left out.
func NewRequest(sum [sha256.Size]byte, nonce *big.Int) ([]byte, error) {
	b, err := asn1.Marshal(timeStampReq{
		Version: 1, Nonce: nonce, CertReq: true,
		Imprint: imprint{Algorithm: sha256Algorithm, Hash: sum[:]},
	})
	if err != nil {
		return nil, fmt.Errorf("make a time-stamp request: %w", err)
	}
	return b, nil
}

// ParseResponse reads the answer of a time-stamp authority, as it lies in a .tsr file, of at most layout.MaxToken bytes.
// A refusal is ErrRefused; a signature of a kind that this program does not know wraps record.ErrNewer; everything else
// that is wrong wraps record.ErrMalformed. BER that is not DER is malformed, too.
func ParseResponse(b []byte) (*Token, error) {
	if len(b) > layout.MaxToken {
		return nil, malformed("%d bytes, at most %d are allowed", len(b), layout.MaxToken)
	}
	var r response
	if err := decode(b, &r); err != nil {
		return nil, err
	}
	if r.Status.Status != 0 && r.Status.Status != 1 {
		return nil, fmt.Errorf("time-stamp: %w by the authority, with status %d", ErrRefused, r.Status.Status)
	}
	if !r.Token.Type.Equal(oidSignedData) {
		return nil, malformed("it holds no signed data")
	}
	var d signedData
	if err := decode(r.Token.Content.Bytes, &d); err != nil {
		return nil, err
	}
	if !d.Encapsulated.Type.Equal(oidTSTInfo) || len(d.Signers) != 1 {
		return nil, malformed("content of type %v, signed by %d", d.Encapsulated.Type, len(d.Signers))
	}
	t := &Token{content: d.Encapsulated.Content, signer: d.Signers[0]}
	if err := t.checkForm(d); err != nil {
		return nil, err
	}
	if err := t.readInfo(); err != nil {
		return nil, err
	}
	if err := t.readCertificates(d.Certificates); err != nil {
		return nil, err
	}
	return t, nil
}

// checkForm holds the members that no signature covers against those that matter, so that they cannot say another thing.
func (t *Token) checkForm(d signedData) error {
	version := 1
	if t.signer.byKey() {
		version = 3
	}
	if d.Version != 3 || t.signer.Version != version {
		return malformed("signed data of version %d, signer of version %d", d.Version, t.signer.Version)
	}
	if len(d.Digests) != 1 || !d.Digests[0].Algorithm.Equal(t.signer.Digest.Algorithm) {
		return malformed("it lists other digests than its signer's")
	}
	return nil
}

// byKey reports whether the signer is named by a key identifier, and not by issuer and serial number.
func (s signerInfo) byKey() bool {
	return s.Issuer.Class == asn1.ClassContextSpecific && s.Issuer.Tag == 0
}

func (t *Token) readInfo() error {
	if err := decode(t.content, &t.info); err != nil {
		return err
	}
	if t.info.Version != 1 || len(t.info.Extensions.Raw) > 0 {
		return fmt.Errorf("time-stamp: version %d, or an extension, is %w", t.info.Version, record.ErrNewer)
	}
	a := t.info.Accuracy
	if a.Seconds < 0 || a.Seconds > 1<<31 || a.Millis < 0 || a.Millis > 999 || a.Micros < 0 || a.Micros > 999 {
		return malformed("accuracy")
	}
	at, err := parseTime(t.info.Time)
	if err != nil {
		return err
	}
	t.at = at
	return nil
}

// parseTime reads a GeneralizedTime in UTC, with or without a fraction of a second, in its one DER form.
func parseTime(v asn1.RawValue) (time.Time, error) {
	const form = "20060102150405"
	text := string(v.Bytes)
	at, err := time.Parse(form+"Z", text)
	if err != nil || v.Class != asn1.ClassUniversal || v.Tag != asn1.TagGeneralizedTime || v.IsCompound || at.Format(form+".999999999Z") != text {
		return time.Time{}, malformed("time %.40q", text)
	}
	return at.UTC(), nil
}

func (t *Token) readCertificates(set anything) error {
	if len(set.Raw) == 0 {
		return nil
	}
	var outer asn1.RawValue
	if err := decode(set.Raw, &outer); err != nil {
		return err
	}
	for rest := outer.Bytes; len(rest) > 0; {
		var one asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &one); err != nil {
			return malformed("certificates: %v", err)
		}
		c, err := x509.ParseCertificate(one.FullBytes)
		if err != nil {
			return malformed("certificates: %v", err)
		}
		if t.certificates = append(t.certificates, c); len(t.certificates) > maxCertificates {
			return malformed("more than %d certificates", maxCertificates)
		}
	}
	return nil
}

// Nonce returns the nonce of the request that the token answers; nil if it had none.
func (t *Token) Nonce() *big.Int { return t.info.Nonce }

// Claimed returns the time that the token gives, which is not verified.
func (t *Token) Claimed() time.Time { return t.at }

// About reports whether the token says that it is about something with that SHA-256. It is not verified.
func (t *Token) About(sum [sha256.Size]byte) bool {
	return t.info.Imprint.Algorithm.Algorithm.Equal(oidSHA256) && bytes.Equal(t.info.Imprint.Hash, sum[:])
}

// Certificates returns what the token holds, in its order. None is trusted.
func (t *Token) Certificates() []*x509.Certificate { return t.certificates }

// Verify requires that the token is about something with that SHA-256, that the certificate it was signed with is in it,
// made for nothing but time-stamps, and that its chain led to one of roots at the time that the token gives. The chain is
// made of what the token holds and of between, which is not trusted. The error is
// ErrOther, ErrNoCertificate, ErrUntrusted, sign.ErrSignature, or wraps record.ErrMalformed or record.ErrNewer. Whether a
// certificate was revoked is not looked at.
func (t *Token) Verify(sum [sha256.Size]byte, roots, between []*x509.Certificate) (Stamp, error) {
	fail := func(err error) (Stamp, error) { return Stamp{}, fmt.Errorf("time-stamp: %w", err) }
	signer, err := t.CheckSignature()
	if err != nil {
		return Stamp{}, err
	}
	if !t.About(sum) {
		return fail(ErrOther)
	}
	chains, err := signer.Verify(x509.VerifyOptions{
		Roots: poolOf(roots), Intermediates: poolOf(append(slices.Clone(between), t.certificates...)), CurrentTime: t.at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrUntrusted, err))
	}
	a := t.info.Accuracy
	return Stamp{
		Time: t.at, Authority: signer.Subject.String(), Root: chains[0][len(chains[0])-1], Chain: chains[0],
		Accuracy: time.Duration(a.Seconds)*time.Second + time.Duration(a.Millis)*time.Millisecond + time.Duration(a.Micros)*time.Microsecond,
	}, nil
}

func poolOf(certificates []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certificates {
		pool.AddCert(c)
	}
	return pool
}

// ParseChain reads certificates in PEM, 1 to 20 of them and nothing else, each as encoding/pem writes it; else the error
// wraps record.ErrMalformed.
func ParseChain(b []byte) ([]*x509.Certificate, error) {
	if len(b) > layout.MaxToken {
		return nil, malformed("certificates of %d bytes", len(b))
	}
	var chain []*x509.Certificate
	var again []byte
	for rest := b; len(rest) > 0 && len(chain) < maxCertificates; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, malformed("certificates: %v", err)
		}
		chain = append(chain, c)
		again = append(again, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
	}
	if len(chain) == 0 || !bytes.Equal(again, b) {
		return nil, malformed("it does not hold 1 to %d certificates in PEM, and nothing else", maxCertificates)
	}
	return chain, nil
}

// CheckSignature requires that the token is whole: signed by a certificate that it holds, which is for time-stamps alone.
// It is returned; whether it is trusted is another matter.
func (t *Token) CheckSignature() (*x509.Certificate, error) {
	signer, err := t.findSigner()
	if err != nil {
		return nil, fmt.Errorf("time-stamp: %w", err)
	}
	if err := forTimeStamps(signer); err != nil {
		return nil, err
	}
	signed, hash, err := t.checkAttributes(signer)
	if err != nil {
		return nil, err
	}
	algorithm, err := t.algorithm(hash)
	if err != nil {
		return nil, err
	}
	if err := signer.CheckSignature(algorithm, signed, t.signer.Signature); err != nil {
		return nil, fmt.Errorf("time-stamp: %w: %w", sign.ErrSignature, err)
	}
	return signer, nil
}

// findSigner returns the certificate that the token names.
func (t *Token) findSigner() (*x509.Certificate, error) {
	v := t.signer.Issuer
	var by issuerAndSerial
	byKey := t.signer.byKey()
	if !byKey {
		if err := decode(v.FullBytes, &by); err != nil {
			return nil, err
		}
	}
	for _, c := range t.certificates {
		if byKey && len(c.SubjectKeyId) > 0 && bytes.Equal(c.SubjectKeyId, v.Bytes) {
			return c, nil
		}
		if !byKey && bytes.Equal(c.RawIssuer, by.Issuer.FullBytes) && by.Serial != nil && c.SerialNumber.Cmp(by.Serial) == 0 {
			return c, nil
		}
	}
	return nil, ErrNoCertificate
}

// forTimeStamps requires what RFC 3161, section 2.3, does of the certificate: its one extended key usage is time-stamping,
// and critical.
func forTimeStamps(c *x509.Certificate) error {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidExtendedKeyUsage) {
			continue
		}
		if e.Critical && len(c.ExtKeyUsage) == 1 && c.ExtKeyUsage[0] == x509.ExtKeyUsageTimeStamping && len(c.UnknownExtKeyUsage) == 0 {
			return nil
		}
	}
	return fmt.Errorf("time-stamp: %w: its signer's certificate is not one for time-stamps alone", ErrUntrusted)
}

// checkAttributes requires the signed attributes to be about the content and the signer, and returns them in the form in
// which they were signed.
func (t *Token) checkAttributes(signer *x509.Certificate) (signed []byte, hash crypto.Hash, err error) {
	fail := func(format string, args ...any) ([]byte, crypto.Hash, error) {
		return nil, 0, malformed(format, args...)
	}
	hash, ok := hashes[t.signer.Digest.Algorithm.String()]
	if !ok {
		return nil, 0, fmt.Errorf("time-stamp: digest %v is %w", t.signer.Digest.Algorithm, record.ErrNewer)
	}
	if len(t.signer.Attributes.Raw) == 0 {
		return fail("no signed attributes")
	}
	// What is signed is the set itself, with its own tag in place of the one that it has in the structure.
	signed = bytes.Clone(t.signer.Attributes.Raw)
	signed[0] = asn1.TagSet | 0x20
	values, err := readAttributes(signed)
	if err != nil {
		return nil, 0, err
	}
	var kind asn1.ObjectIdentifier
	if err := decode(values[oidContentType.String()], &kind); err != nil || !kind.Equal(oidTSTInfo) {
		return fail("signed content type %v", kind)
	}
	var sum []byte
	h := hash.New()
	h.Write(t.content)
	if err := decode(values[oidMessageDigest.String()], &sum); err != nil || !bytes.Equal(sum, h.Sum(nil)) {
		return nil, 0, fmt.Errorf("time-stamp: %w: the signed digest is not that of the content", sign.ErrSignature)
	}
	if err := namesSigner(values, signer); err != nil {
		return nil, 0, err
	}
	return signed, hash, nil
}

// readAttributes returns the one value of each attribute by its type.
func readAttributes(set []byte) (map[string][]byte, error) {
	var list []attribute
	rest, err := asn1.UnmarshalWithParams(set, &list, "set")
	if err != nil || len(rest) > 0 {
		return nil, malformed("signed attributes: %v", err)
	}
	values := map[string][]byte{}
	for _, a := range list {
		if _, twice := values[a.Type.String()]; twice || len(a.Values) != 1 {
			return nil, malformed("attribute %v stands twice, or has %d values", a.Type, len(a.Values))
		}
		values[a.Type.String()] = a.Values[0].FullBytes
	}
	return values, nil
}

// namesSigner requires one of the two attributes that bind the certificate into what is signed.
func namesSigner(values map[string][]byte, signer *x509.Certificate) error {
	if b, ok := values[oidSigningCertificateV2.String()]; ok {
		var v signingCertificateV2
		if err := decode(b, &v); err != nil || len(v.Certificates) == 0 {
			return malformed("signing certificate: %v", err)
		}
		first := v.Certificates[0]
		hash := crypto.SHA256 // where none is named
		if len(first.Algorithm.Algorithm) > 0 {
			hash = hashes[first.Algorithm.Algorithm.String()]
		}
		if hash == 0 {
			return fmt.Errorf("time-stamp: digest %v is %w", first.Algorithm.Algorithm, record.ErrNewer)
		}
		h := hash.New()
		h.Write(signer.Raw)
		if !bytes.Equal(first.Hash, h.Sum(nil)) {
			return fmt.Errorf("time-stamp: %w: it names another certificate than the one it holds", sign.ErrSignature)
		}
		return nil
	}
	var v signingCertificate
	if err := decode(values[oidSigningCertificate.String()], &v); err != nil || len(v.Certificates) == 0 {
		return malformed("it does not name its signer's certificate")
	}
	// Older authorities name their certificate by its SHA-1. It binds no more than which of the certificates is meant.
	if sum := sha1.Sum(signer.Raw); !bytes.Equal(v.Certificates[0].Hash, sum[:]) {
		return fmt.Errorf("time-stamp: %w: it names another certificate than the one it holds", sign.ErrSignature)
	}
	return nil
}

func (t *Token) algorithm(hash crypto.Hash) (x509.SignatureAlgorithm, error) {
	oid := t.signer.Algorithm.Algorithm.String()
	if oid == rsaKey {
		return rsaWith[hash], nil
	}
	s, ok := signatures[oid]
	if !ok {
		return 0, fmt.Errorf("time-stamp: signature algorithm %.60s is %w", oid, record.ErrNewer)
	}
	if s.hash != hash {
		return 0, malformed("digest and signature do not belong together")
	}
	return s.algorithm, nil
}

// decode reads all of b.
func decode(b []byte, v any) error {
	rest, err := asn1.Unmarshal(b, v)
	if err != nil || len(rest) > 0 {
		return malformed("%d bytes follow, or: %v", len(rest), err)
	}
	return nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("time-stamp: %w: %s", record.ErrMalformed, fmt.Sprintf(format, args...))
}
