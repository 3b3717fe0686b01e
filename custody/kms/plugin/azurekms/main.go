// The program sigstore-kms-azurekms: see package plugin.
package main

import (
	"os"

	_ "github.com/sigstore/sigstore/pkg/signature/kms/azure" // makes the scheme azurekms:// known

	"github.com/exhibit-forensics/exhibit/custody/kms/plugin"
)

func main() { os.Exit(plugin.Main("azurekms", os.Args, os.Stdin, os.Stdout)) }
