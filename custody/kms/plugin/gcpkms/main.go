// The program sigstore-kms-gcpkms: see package plugin.
package main

import (
	"os"

	_ "github.com/sigstore/sigstore/pkg/signature/kms/gcp" // makes the scheme gcpkms:// known

	"github.com/exhibit-forensics/exhibit/custody/kms/plugin"
)

func main() { os.Exit(plugin.Main("gcpkms", os.Args, os.Stdin, os.Stdout)) }
