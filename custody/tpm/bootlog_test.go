package tpm

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/exhibit-forensics/exhibit/internal/layout"
)

func TestBootLog(t *testing.T) {
	security := fstest.MapFS{
		"tpm0/binary_bios_measurements": {Data: []byte("a log")},
		"tpm1/binary_bios_measurements": {Data: make([]byte, layout.MaxBootLog+1)},
		"tpm2/binary_bios_measurements": {},
		"tpm3/binary_bios_measurements": {Data: make([]byte, layout.MaxBootLog)},
	}
	for address, want := range map[string]string{
		"/dev/tpm0": "", "/dev/tpmrm0": "", "/dev/tpm3": "", "/dev/tpm1": "more than", "/dev/tpm2": "is empty", "/dev/tpm7": "has none",
		"/tmp/tpm0": "not one that", "/dev/tpm": "not one that", "/dev/tpm0/../x": "not one that", "127.0.0.1:2321": "not one that",
		"/dev/shm/tpm1/tpm.sock": "not one that", "tpm0": "not one that",
	} {
		b, err := BootLog(security, address)
		if want == "" && (err != nil || len(b) == 0) || want != "" && (err == nil || !strings.Contains(err.Error(), want) || b != nil) {
			t.Errorf("%s: %d bytes, %v, want %q", address, len(b), err, want)
		}
	}
}
