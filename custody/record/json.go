package record

import (
	"bytes"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"strings"
)

// ErrMalformed is wrapped by every error about bytes that are not what docs/format.md says: damage, or another's file.
var ErrMalformed = errors.New("malformed")

// ErrNewer is wrapped when bytes are of a type or version this program does not know.
var ErrNewer = errors.New("of a type or version this program does not know")

// MaxJSON bounds every JSON document of a case, in bytes.
const MaxJSON = 4 << 20

// EncodeJSON returns v as RFC 8785 JSON, the form of every JSON file of a case.
func EncodeJSON(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	value := jsontext.Value(b)
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return value, nil
}

// DecodeJSON reads b into v strictly: unknown or duplicate members, wrong types, anything but the RFC 8785 form of
// exactly v is an error that wraps ErrMalformed. v is a pointer; after an error its value means nothing.
func DecodeJSON(b []byte, v any) error {
	if len(b) > MaxJSON {
		return fmt.Errorf("%w: %d bytes of JSON, at most %d are allowed", ErrMalformed, len(b), MaxJSON)
	}
	if err := json.Unmarshal(b, v, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	again, err := EncodeJSON(v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("%w: not the canonical form (a field is missing or written differently, near byte %d)",
			ErrMalformed, firstDifference(again, b))
	}
	return nil
}

// DecodeTyped is DecodeJSON for a file whose member "type", which v has too, must be want, as in "exhibit-openings/v1".
// Another version of that type wraps ErrNewer, also when it has members that this program cannot know.
func DecodeTyped(b []byte, want string, v any) error {
	err := DecodeJSON(b, v)
	var t struct {
		Type string `json:"type"`
	}
	if len(b) > MaxJSON || json.Unmarshal(b, &t) != nil || t.Type == want {
		return err
	}
	if family, _, _ := strings.Cut(want, "/"); strings.HasPrefix(t.Type, family+"/") {
		return fmt.Errorf("type %.60q is %w", t.Type, ErrNewer)
	}
	return fmt.Errorf("%w: type %.60q", ErrMalformed, t.Type)
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
