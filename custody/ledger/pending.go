package ledger

import (
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const pendingType = "exhibit-pending/v1"

// pendingFile holds a signed checkpoint that is being published.
type pendingFile struct {
	Note string `json:"note"`
	Type string `json:"type"`
}

func encodePending(note []byte) ([]byte, error) {
	return record.EncodeJSON(pendingFile{Note: string(note), Type: pendingType})
}

// ParsePending reads the file called pending and returns the signed checkpoint in it, which is not verified. Another
// version wraps record.ErrNewer, all else that is wrong record.ErrMalformed.
func ParsePending(b []byte) ([]byte, error) {
	if len(b) > layout.MaxPending {
		return nil, fmt.Errorf("%w: %d bytes", record.ErrMalformed, len(b))
	}
	var p pendingFile
	if err := record.DecodeTyped(b, pendingType, &p); err != nil {
		return nil, err
	}
	return []byte(p.Note), nil
}
