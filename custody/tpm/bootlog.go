package tpm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// SecurityFS is where Linux shows the event log of the machine's firmware, to be given to BootLog as a file system.
const SecurityFS = "/sys/kernel/security"

// BootLog reads the event log of the firmware that started this machine, which explains the boot PCRs of the TPM at that
// address (as for Open). The error says why there is none: a software TPM has none, and reading it takes root.
func BootLog(security fs.FS, address string) ([]byte, error) {
	if address == "" {
		address = DefaultAddress
	}
	digits, ok := strings.CutPrefix(path.Base(address), "tpm")
	digits = strings.TrimPrefix(digits, "rm")
	if path.Dir(address) != "/dev" || !ok || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil, errors.New("the TPM is not one that this machine was started with")
	}
	f, err := security.Open("tpm" + digits + "/binary_bios_measurements")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the system has none")
	}
	if err != nil {
		return nil, fmt.Errorf("read the event log of the firmware: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, layout.MaxBootLog+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read the event log of the firmware: %w", err)
	}
	if len(b) == 0 || len(b) > layout.MaxBootLog {
		return nil, fmt.Errorf("the event log of the firmware is empty or has more than %d bytes", layout.MaxBootLog)
	}
	return b, nil
}
