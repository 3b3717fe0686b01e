// The program sigstore-kms-awskms: see package plugin.
package main

import (
	"os"

	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws" // makes the scheme awskms:// known

	"github.com/exhibit-forensics/exhibit/custody/kms/plugin"
)

func main() { os.Exit(plugin.Main("awskms", os.Args, os.Stdin, os.Stdout)) }
