package tpm

import (
	"flag"
	"os"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/testtool/swtpm"
)

var writeVectors = flag.Bool("vectors", false, "write what a software TPM signs to the test vectors of package attest")

// vectors is the file that package attest is tested with.
type vectors struct {
	Counter  record.Counter
	Key      attest.KeyFile
	Values   []counterVector
	Nonce    []byte
	Quote    attest.Signed
	PCRs     [][]byte
	Firmware string
}

type counterVector struct {
	File  string
	Text  string
	Value int64
}

// TestVectors makes all that package attest checks, and with -vectors keeps it.
func TestVectors(t *testing.T) {
	s, _ := newStation(t, swtpm.New(t))
	auth := newAuth(t)
	_, key, err := s.NewKey("log", auth)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.DefineCounter(auth)
	if err != nil {
		t.Fatal(err)
	}
	v := vectors{Counter: c.Identity(), Key: key, Firmware: "swtpm, libtpms of Debian 12"}
	for _, text := range []string{"one\n", "two\n"} {
		if err := c.Increment(); err != nil {
			t.Fatal(err)
		}
		file, err := c.Certify(text)
		if err != nil {
			t.Fatal(err)
		}
		value, err := c.Value()
		if err != nil {
			t.Fatal(err)
		}
		v.Values = append(v.Values, counterVector{string(file), text, value})
	}
	nonce := [32]byte{1, 2, 3}
	quote, pcrs, err := s.Quote(nonce)
	if err != nil {
		t.Fatal(err)
	}
	v.Nonce, v.Quote = nonce[:], quote
	for _, p := range pcrs {
		v.PCRs = append(v.PCRs, p[:])
	}
	if v.Key.Type == "" {
		b, err := key.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if v.Key, err = attest.ParseKeyFile(b); err != nil {
			t.Fatal(err)
		}
	}
	b, err := record.EncodeJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	if *writeVectors {
		if err := os.WriteFile("../attest/testdata/swtpm.json", append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
