// Command bundlecheck verifies a Sigstore bundle with sigstore-go's verifier, as a program of somebody else's would that
// was written with that library: by a key, in a transparency log that the trusted root names, and offline.
//
//	bundlecheck [-timestamp] TRUSTED_ROOT KEY_PEM BUNDLE ARTIFACT
//
// It is a tool of the tests and no part of the program.
package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

func main() {
	timestamp := flag.Bool("timestamp", false, "require a time-stamp of an authority that the trusted root names")
	flag.Parse()
	if err := run(flag.Args(), *timestamp); err != nil {
		fmt.Fprintln(os.Stderr, "bundlecheck:", err)
		os.Exit(1)
	}
	fmt.Println("Verified OK")
}

func run(args []string, timestamp bool) error {
	if len(args) != 4 {
		return errors.New("usage: bundlecheck [-timestamp] TRUSTED_ROOT KEY_PEM BUNDLE ARTIFACT")
	}
	trusted, err := root.NewTrustedRootFromPath(args[0])
	if err != nil {
		return err
	}
	key, err := readKey(args[1])
	if err != nil {
		return err
	}
	b, err := bundle.LoadJSONFromPath(args[2])
	if err != nil {
		return err
	}
	artifact, err := os.Open(args[3])
	if err != nil {
		return err
	}
	defer artifact.Close()
	options := []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithNoObserverTimestamps()}
	if timestamp {
		options[1] = verify.WithSignedTimestamps(1)
	}
	v, err := verify.NewVerifier(root.TrustedMaterialCollection{trusted, key}, options...)
	if err != nil {
		return err
	}
	_, err = v.Verify(b, verify.NewPolicy(verify.WithArtifact(artifact), verify.WithKey()))
	return err
}

// forever is a key without a period of validity.
type forever struct{ signature.Verifier }

func (forever) ValidAtTime(time.Time) bool { return true }

func readKey(name string) (*root.TrustedPublicKeyMaterial, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%q is no PEM file", name)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	v, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return forever{v}, nil }), nil
}
