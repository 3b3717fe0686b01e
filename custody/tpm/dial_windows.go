package tpm

import (
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/windowstpm"
)

// DefaultAddress is the system's TPM Base Services. They keep many commands to themselves, those of counters among them.
const DefaultAddress = ""

func dial(address string) (transport.TPMCloser, error) {
	if address == "" {
		return windowstpm.Open()
	}
	return dialTCP(address)
}
