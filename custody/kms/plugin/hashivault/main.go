// The program sigstore-kms-hashivault: see package plugin.
package main

import (
	"os"

	_ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault" // makes the scheme hashivault:// known

	"github.com/exhibit-forensics/exhibit/custody/kms/plugin"
)

func main() { os.Exit(plugin.Main("hashivault", os.Args, os.Stdin, os.Stdout)) }
