//go:build !windows

package tpm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

// DefaultAddress is the kernel's resource manager: with it several programs share a TPM.
const DefaultAddress = "/dev/tpmrm0"

func dial(address string) (transport.TPMCloser, error) {
	if address == "" {
		address = DefaultAddress
	}
	info, err := os.Stat(address)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.Contains(address, "/"):
		return dialTCP(address)
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSocket != 0:
		return dialSocket("unix", address)
	}
	// Any other device would be sent commands it may take for its own.
	if name := filepath.Base(address); !strings.HasPrefix(name, "tpm") {
		return nil, errors.New("it is not called as a TPM is (tpmrm0, tpm0)")
	}
	return linuxtpm.Open(address)
}
