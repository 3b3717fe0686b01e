package attest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// FuzzParse has go-tpm, which is looser, read whatever Parse takes: it must read the same and write the same bytes.
func FuzzParse(f *testing.F) {
	v := readVectors(f)
	f.Add(v.Key.Attest)
	f.Add(v.Quote.Attest)
	f.Add(must(ParseCounter([]byte(v.Values[0].File))).Attest)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse(b)
		if err != nil {
			if !errors.Is(err, record.ErrMalformed) || a.Type != 0 || a.Nonce != nil {
				t.Fatalf("%+v, %v", a, err)
			}
			return
		}
		other, err := tpm2.Unmarshal[tpm2.TPMSAttest](b)
		if err != nil {
			t.Fatalf("go-tpm refuses it: %v", err)
		}
		if again := tpm2.Marshal(other); !bytes.Equal(again, b) {
			t.Fatalf("go-tpm writes\n%x instead of\n%x", again, b)
		}
		if other.Type != tpm2.TPMST(a.Type) || !bytes.Equal(other.ExtraData.Buffer, a.Nonce) || other.ClockInfo.Clock != a.Clock.Milliseconds ||
			other.ClockInfo.ResetCount != a.Clock.Resets || other.ClockInfo.RestartCount != a.Clock.Restarts || bool(other.ClockInfo.Safe) != a.Clock.Safe {
			t.Fatalf("go-tpm reads %+v, we %+v", other, a)
		}
		switch a.Type {
		case TypeNV:
			if nv := must(other.Attested.NV()); !bytes.Equal(nv.IndexName.Buffer, a.NV.Index.Bytes()) {
				t.Fatalf("go-tpm reads %+v, we %+v", nv, a.NV)
			}
		case TypeCertify:
			if c := must(other.Attested.Certify()); !bytes.Equal(c.Name.Buffer, a.Certified.Name.Bytes()) || !bytes.Equal(c.QualifiedName.Buffer, a.Certified.QualifiedName.Bytes()) {
				t.Fatalf("go-tpm reads %+v, we %+v", c, a.Certified)
			}
		case TypeQuote:
			if q := must(other.Attested.Quote()); !bytes.Equal(q.PCRDigest.Buffer, a.Quote[:]) {
				t.Fatalf("go-tpm reads %+v, we %x", q, a.Quote)
			}
		}
	})
}

// FuzzPublic has go-tpm read, write and name whatever ParsePublic takes.
func FuzzPublic(f *testing.F) {
	v := readVectors(f)
	f.Add(v.Key.Key)
	f.Add(v.Key.Public)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePublic(b)
		if err != nil {
			if !errors.Is(err, record.ErrMalformed) || p != (Public{}) {
				t.Fatalf("%+v, %v", p, err)
			}
			return
		}
		other, err := tpm2.Unmarshal[tpm2.TPMTPublic](b)
		if err != nil {
			t.Fatalf("go-tpm refuses it: %v", err)
		}
		if p.Attributes != attributesAK && p.Attributes != attributesSigning {
			return // go-tpm drops reserved bits
		}
		if again := tpm2.Marshal(other); !bytes.Equal(again, b) || !bytes.Equal(p.Bytes(), b) {
			t.Fatalf("go-tpm writes\n%x instead of\n%x", again, b)
		}
		if name := must(tpm2.ObjectName(other)); !bytes.Equal(name.Buffer, p.Name().Bytes()) {
			t.Fatalf("go-tpm names it %x, we %s", name.Buffer, p.Name())
		}
	})
}

// FuzzSignature requires that the normal form of a signature is its own.
func FuzzSignature(f *testing.F) {
	v := readVectors(f)
	f.Add(v.Key.Signature)
	f.Add(v.Quote.Signature)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := NormalizeSignature(b)
		if err != nil {
			if !errors.Is(err, record.ErrMalformed) || n != nil {
				t.Fatalf("%x, %v", n, err)
			}
			return
		}
		if again, err := NormalizeSignature(n); err != nil || !bytes.Equal(again, n) {
			t.Fatalf("the normal form %x has the normal form %x, %v", n, again, err)
		}
		if sig, err := tpm2.Unmarshal[tpm2.TPMTSignature](n); err != nil || !bytes.Equal(tpm2.Marshal(sig), n) {
			t.Fatalf("go-tpm reads the normal form as %+v, %v", sig, err)
		}
	})
}

// FuzzFiles requires that the files that are taken are written the same.
func FuzzFiles(f *testing.F) {
	v := readVectors(f)
	f.Add(must(v.Key.Encode()))
	f.Add([]byte(v.Values[0].File))
	f.Add(must(newSoftTPM().quoteFile(record.LeafHash{}).Encode()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ParseKeyFile(b); err == nil && !bytes.Equal(must(k.Encode()), b) {
			t.Fatal("the key file is written differently")
		}
		if c, err := ParseCounter(b); err == nil && !bytes.Equal(must(EncodeCounter(c)), b) {
			t.Fatal("the counter file is written differently")
		}
		if q, err := ParseQuoteFile(b); err == nil && !bytes.Equal(must(q.Encode()), b) {
			t.Fatal("the quote file is written differently")
		}
	})
}
