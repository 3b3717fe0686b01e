package attest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// quote is what a TPM says of PCRs 0 to 7.
func (s *softTPM) quote(nonce [32]byte, pcrs []PCR) tpm2.TPMSAttest {
	var all []byte
	for _, p := range pcrs {
		all = append(all, p[:]...)
	}
	sum := sha256.Sum256(all)
	a := s.head(tpm2.TPMSTAttestQuote, nonce)
	a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{PCRDigest: tpm2.TPM2BDigest{Buffer: sum[:]},
		PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{0xff, 0, 0}}}}})
	return a
}

func (s *softTPM) quoteFile(leaf record.LeafHash) QuoteFile {
	pcrs := make([]PCR, BootPCRs)
	pcrs[0][0], pcrs[7][31] = 1, 2
	return QuoteFile{Signed: s.sign(s.quote(QuoteNonce(leaf), pcrs)), Key: tpm2.Marshal(s.public), BootLog: record.Unknown[record.Digest]("none"),
		Parent: s.parent, PCRs: pcrs, Type: typeQuote}
}

func TestQuoteFile(t *testing.T) {
	s, leaf := newSoftTPM(), record.LeafHash{7}
	f := s.quoteFile(leaf)
	ak, at, err := f.Check(leaf)
	if err != nil || ak != s.key() || at.Resets != 6 {
		t.Fatalf("%+v, %+v, %v", ak, at, err)
	}
	b := must(f.Encode())
	again, err := ParseQuoteFile(b)
	if err != nil || !bytes.Equal(must(again.Encode()), b) {
		t.Fatalf("%+v, %v", again, err)
	}
	if _, _, err := again.Check(leaf); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*QuoteFile){
		"another PCR":     func(f *QuoteFile) { f.PCRs = slices.Clone(f.PCRs); f.PCRs[3][0] ^= 1 },
		"PCRs exchanged":  func(f *QuoteFile) { f.PCRs = slices.Clone(f.PCRs); f.PCRs[0], f.PCRs[1] = f.PCRs[1], f.PCRs[0] },
		"seven PCRs":      func(f *QuoteFile) { f.PCRs = f.PCRs[:7] },
		"no PCRs":         func(f *QuoteFile) { f.PCRs = nil },
		"another key":     func(f *QuoteFile) { f.Key = tpm2.Marshal(newSoftTPM().public) },
		"another parent":  func(f *QuoteFile) { f.Parent = hashNames([]byte("another")) },
		"a signing key":   func(f *QuoteFile) { f.Key = tpm2.Marshal(publicOf(s.ak, signing(false))) },
		"another record":  func(f *QuoteFile) { f.Signed = s.sign(s.quote(QuoteNonce(record.LeafHash{8}), f.PCRs)) },
		"a raw leaf hash": func(f *QuoteFile) { f.Signed = s.sign(s.quote(leaf, f.PCRs)) },
		"a certificate":   func(f *QuoteFile) { f.Signed = s.sign(s.certify(publicOf(newKey(), signing(false)), "log")) },
		"no magic": func(f *QuoteFile) {
			a := s.quote(QuoteNonce(leaf), f.PCRs)
			a.Magic++
			f.Signed = s.sign(a)
		},
		"signature": func(f *QuoteFile) { f.Signature = bytes.Clone(f.Signature); f.Signature[20] ^= 1 },
		"nothing":   func(f *QuoteFile) { *f = QuoteFile{} },
	} {
		f := s.quoteFile(leaf)
		change(&f)
		if ak, at, err := f.Check(leaf); err == nil || ak != (Key{}) || at != (Clock{}) {
			t.Errorf("%s: %+v, %+v, %v, want it refused", name, ak, at, err)
		}
	}
}

func TestQuoteFileForm(t *testing.T) {
	f := newSoftTPM().quoteFile(record.LeafHash{})
	f.PCRs = f.PCRs[:7]
	seven := must(f.Encode())
	f = newSoftTPM().quoteFile(record.LeafHash{})
	good := must(f.Encode())
	f.BootLog = record.Known(record.BLAKE3Digest([32]byte{1}))
	for name, b := range map[string][]byte{
		"empty": nil, "seven PCRs": seven, "BLAKE3 of the event log": must(f.Encode()), "space": append([]byte(" "), good...),
		"a short PCR":     bytes.Replace(good, []byte(`"0100`), []byte(`"00`), 1),
		"capital letters": bytes.Replace(good, []byte(`"parent":"000b`), []byte(`"parent":"000B`), 1),
		"another type":    bytes.Replace(good, []byte(typeQuote), []byte(typeCounter), 1),
	} {
		if f, err := ParseQuoteFile(b); !errors.Is(err, record.ErrMalformed) || f.PCRs != nil {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	if _, err := ParseQuoteFile(bytes.Replace(good, []byte(typeQuote), []byte("exhibit-quote/v2"), 1)); !errors.Is(err, record.ErrNewer) {
		t.Errorf("version 2: %v, want ErrNewer", err)
	}
}
