package ledger

import (
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const pendingType = "exhibit-pending/v1"

// pendingFile holds a signed checkpoint that is being published, and the value that the log's counter is to have then.
type pendingFile struct {
	Counter int64  `json:"counter,omitzero"`
	Note    string `json:"note"`
	Type    string `json:"type"`
}

// encodePending returns the file; counter is 0 where the log has none.
func encodePending(note []byte, counter int64) ([]byte, error) {
	return record.EncodeJSON(pendingFile{Counter: counter, Note: string(note), Type: pendingType})
}

// ParsePending reads the file called pending and returns the signed checkpoint in it, which is not verified, and the value
// of the log's counter that belongs to it, 0 if the file names none. Another version wraps record.ErrNewer, all else that is
// wrong record.ErrMalformed.
func ParsePending(b []byte) (note []byte, counter int64, err error) {
	if len(b) > layout.MaxPending {
		return nil, 0, fmt.Errorf("%w: %d bytes", record.ErrMalformed, len(b))
	}
	var p pendingFile
	if err := record.DecodeTyped(b, pendingType, &p); err != nil {
		return nil, 0, err
	}
	if p.Counter < 0 || p.Counter > record.MaxInteger {
		return nil, 0, fmt.Errorf("%w: counter %d", record.ErrMalformed, p.Counter)
	}
	return []byte(p.Note), p.Counter, nil
}
