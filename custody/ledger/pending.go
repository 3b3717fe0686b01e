package ledger

import (
	"encoding/json/v2"
	"fmt"
	"strings"

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

// parsePending reads the file called pending and returns the note, which is not verified.
func parsePending(b []byte) ([]byte, error) {
	if len(b) > layout.MaxPending {
		return nil, fmt.Errorf("%w: %d bytes", record.ErrMalformed, len(b))
	}
	var p pendingFile
	if err := decodeTyped(b, pendingType, &p, &p.Type); err != nil {
		return nil, err
	}
	return []byte(p.Note), nil
}

// decodeTyped reads canonical JSON whose member "type" must be want; gotType points to that member of v. Another version
// of the type wraps record.ErrNewer, even when it has members that this program does not know.
func decodeTyped(b []byte, want string, v any, gotType *string) error {
	err := record.DecodeJSON(b, v)
	if err == nil && *gotType == want {
		return nil
	}
	var t struct {
		Type string `json:"type"`
	}
	family, _, _ := strings.Cut(want, "/")
	if len(b) <= record.MaxJSON && json.Unmarshal(b, &t) == nil && t.Type != want && strings.HasPrefix(t.Type, family+"/") {
		return fmt.Errorf("type %.60q is %w", t.Type, record.ErrNewer)
	}
	if err == nil {
		err = fmt.Errorf("%w: type %.60q", record.ErrMalformed, *gotType)
	}
	return err
}
