package record

import (
	"fmt"
	"slices"
	"strings"
)

// Redaction says which personal fields of an exhibit's earlier events whoever is given them does not get to read, on what ground
// and by whose decision. The commitments stay, so every signature and proof holds as before.
type Redaction struct {
	Authoriser Personal `json:"authoriser"`
	Fields     []string `json:"fields"` // JSON pointers into the predicates; sorted, at least one
	Ground     Personal `json:"ground"`
}

// MaxRedacted bounds the fields of one redaction.
const MaxRedacted = 1000

func (h *Handling) checkRedaction() error {
	r := h.Withheld
	if r == nil {
		return nil
	}
	if len(r.Fields) == 0 || len(r.Fields) > MaxRedacted {
		return fmt.Errorf("%w: %d fields withheld", ErrMalformed, len(r.Fields))
	}
	for i, field := range r.Fields {
		if err := checkShort("withheld field", field, maxSeal); err != nil {
			return err
		}
		if !strings.HasPrefix(field, "/") || i > 0 && r.Fields[i-1] >= field {
			return fmt.Errorf("%w: withheld field %.80q is no pointer, doubled or out of order", ErrMalformed, field)
		}
	}
	return nil
}

// Closed returns the pointers, sorted, of the personal fields of a statement's payload that o does not reveal. o must have passed
// Check against that payload.
func (o Openings) Closed(payload []byte) ([]string, error) {
	commitments, err := commitmentsOf(payload)
	if err != nil {
		return nil, err
	}
	var out []string
	for path := range commitments {
		if _, open := o.Value(path); !open {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Without returns the openings but those at these pointers. o is left as it is.
func (o Openings) Without(pointers []string) Openings {
	return slices.DeleteFunc(slices.Clone(o), func(op Opening) bool { return slices.Contains(pointers, op.Path) })
}
