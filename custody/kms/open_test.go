//go:build kms

package kms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
	"github.com/exhibit-forensics/exhibit/internal/testtool/transit"
)

// service is a server that the program for it finds.
func service(t *testing.T) *transit.Server {
	t.Helper()
	t.Setenv("PATH", filepath.Dir(testtool.Need(t, "sigstore-kms-hashivault")[0])+":"+os.Getenv("PATH"))
	s := transit.New(t)
	t.Setenv("VAULT_ADDR", s.URL)
	t.Setenv("VAULT_TOKEN", transit.Token)
	return s
}

func TestSign(t *testing.T) {
	s := service(t)
	s.Key(t, "inspector", elliptic.P256())
	k, err := Open("hashivault://inspector")
	if err != nil {
		t.Fatal(err)
	}
	public, ok := k.Public().(*ecdsa.PublicKey)
	if !ok {
		t.Fatalf("public key is a %T", k.Public())
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			sum := sha256.Sum256([]byte("a statement"))
			if sig, err := k.Sign(nil, sum[:], crypto.SHA256); err != nil || !ecdsa.VerifyASN1(public, sum[:], sig) {
				t.Errorf("sign: %v", err)
			}
		})
	}
	all.Wait()
	if s.Signed() != 4 {
		t.Errorf("the service made %d signatures", s.Signed())
	}
	if _, err := k.Sign(nil, make([]byte, 48), crypto.SHA384); err == nil {
		t.Error("signed another digest")
	}
	t.Setenv("VAULT_TOKEN", "another")
	if sig, err := k.Sign(nil, make([]byte, 32), crypto.SHA256); !errors.Is(err, ErrService) || !strings.Contains(err.Error(), "permission denied") || sig != nil {
		t.Errorf("sign without the right token = %v", err)
	}
}

func TestServiceRefuses(t *testing.T) {
	service(t)
	if k, err := Open("hashivault://nobody"); !errors.Is(err, ErrService) || k != nil {
		t.Errorf("Open of no key = %v, %v", k, err)
	}
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	t.Setenv("VAULT_MAX_RETRIES", "0")
	if k, err := Open("hashivault://inspector"); !errors.Is(err, ErrService) || k != nil {
		t.Errorf("Open without a service = %v, %v", k, err)
	}
}

// A program that answers anything.
func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	if k, err := Open("awskms:///a"); !errors.Is(err, ErrNoPlugin) || k != nil {
		t.Errorf("Open without the program = %v, %v", k, err)
	}
	for name, script := range map[string]string{
		"nothing": "", "no JSON": "echo hello", "no key": "echo '{}'", "null": "echo null", "empty key": `echo '{"publicKey":{}}'`, "no PEM": `echo '{"publicKey":{"publicKeyPEM":"aGVsbG8="}}'`,
		"failed": "echo why >&2; exit 3", "killed": "kill -9 $$", "long": "yes | head -c 3000000", "other type": `echo '{"publicKey":1}'`,
		"message": `echo '{"errorMessage":"no"}'`, "too much": "head -c 100000 /dev/zero | tr '\\0' ' '; echo '{}'",
	} {
		if err := os.WriteFile(filepath.Join(dir, "sigstore-kms-awskms"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if k, err := Open("awskms:///a"); !errors.Is(err, ErrService) || k != nil {
			t.Errorf("%s: Open = %v, %v", name, k, err)
		}
	}
	// Nothing is run from the working directory.
	t.Chdir(dir)
	for _, path := range []string{"", ".", "::"} {
		t.Setenv("PATH", path)
		if k, err := Open("awskms:///a"); !errors.Is(err, ErrNoPlugin) || k != nil {
			t.Errorf("Open with the PATH %q = %v, %v", path, k, err)
		}
	}
}
