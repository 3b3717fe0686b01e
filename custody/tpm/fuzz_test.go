package tpm

import (
	"bytes"
	"errors"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// FuzzFiles requires that every file of this package that is read is written the same, and that nothing of it follows
// from one that is not.
func FuzzFiles(f *testing.F) {
	auth := bytes.Repeat([]byte{1}, AuthBytes)
	for _, e := range []interface{ Encode() ([]byte, error) }{
		StationFile{Address: "/dev/tpmrm0", Auth: auth}, KeyFile{Private: auth}, Request{EKCertificate: auth, Keys: []RequestedKey{{Kind: "log"}}},
		Challenge{Credential: auth}, Secret{Secret: auth}, Response{Secret: auth},
	} {
		b, err := e.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		parsers := []func() (interface{ Encode() ([]byte, error) }, error){
			func() (interface{ Encode() ([]byte, error) }, error) { return ParseStationFile(b) },
			func() (interface{ Encode() ([]byte, error) }, error) { return ParseKeyFile(b) },
			func() (interface{ Encode() ([]byte, error) }, error) { return ParseRequest(b) },
			func() (interface{ Encode() ([]byte, error) }, error) { return ParseChallenge(b) },
			func() (interface{ Encode() ([]byte, error) }, error) { return ParseSecret(b) },
			func() (interface{ Encode() ([]byte, error) }, error) { return ParseResponse(b) },
		}
		taken := 0
		for _, parse := range parsers {
			v, err := parse()
			if err != nil {
				if !errors.Is(err, record.ErrMalformed) && !errors.Is(err, record.ErrNewer) {
					t.Fatal(err)
				}
				continue
			}
			taken++
			if again, err := v.Encode(); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%s is written as %s, %v", b, again, err)
			}
		}
		if taken > 1 {
			t.Fatalf("%s is %d kinds of file", b, taken)
		}
	})
}
