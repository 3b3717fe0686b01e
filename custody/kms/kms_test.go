package kms

import (
	"errors"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, uri := range []string{
		"hashivault://inspector", "azurekms://vault.example/inspector", "awskms:///arn:aws:kms:us-east-2:111122223333:key/1234abcd",
		"gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k/versions/1",
	} {
		if err := Check(uri); err != nil {
			t.Errorf("Check(%q) = %v", uri, err)
		}
	}
	for _, uri := range []string{
		"", "hashivault", "hashivault:", "hashivault://", "hashivault:/a", "://a", "HASHIVAULT://a", "openbao://a", "k8s://a", "../../tmp/x://a", "/tmp/x://a", "localkms://a",
		" hashivault://a", "hashivault://a b", "hashivault://a\n", "hashivault://\u00e4", "awskms://user:word@host/a", "hashivault://" + strings.Repeat("a", 2048), "pkcs11:token=a",
	} {
		if err := Check(uri); !errors.Is(err, ErrURI) {
			t.Errorf("Check(%.60q) = %v", uri, err)
		}
		if k, err := Open(uri); err == nil || k != nil {
			t.Errorf("Open(%.60q) = %v, %v", uri, k, err)
		}
	}
}
