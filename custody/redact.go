package custody

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// ErrNoSuchField says that a field to be withheld is none that the events have: a name that was misspelt would stay readable.
var ErrNoSuchField = errors.New("no event has such a personal field")

// ErrNoRedaction says that no event of the exhibit says what is to be left out, and on what ground.
var ErrNoRedaction = errors.New("no disclosure says what of the exhibit is withheld")

// RedactedFields finds the JSON pointers, sorted, of the personal fields that are meant by the names. A name is a whole pointer
// ("/handling/witness"), or a part of one between slashes, in any event ("witness", "actor", "holder"). Each name must fit one
// field at least that an event of the entries reveals.
func RedactedFields(entries []Entry, names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		found := false
		for _, e := range entries {
			for _, op := range e.Openings {
				if meant(name, op.Path) {
					found = true
					out = append(out, op.Path)
				}
			}
		}
		if !found {
			return nil, fmt.Errorf("%w: %q", ErrNoSuchField, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func meant(name, path string) bool {
	if strings.HasPrefix(name, "/") {
		return path == name
	}
	return name != "" && slices.Contains(strings.Split(path, "/"), name)
}

// Withheld is a redaction that stands in the log.
type Withheld struct {
	Entry  int64    // the disclosed event's
	Number int64    // of it
	Fields []string // JSON pointers
}

// Has reports whether a name, as of [RedactedFields], means one of the fields.
func (w Withheld) Has(name string) bool {
	return slices.ContainsFunc(w.Fields, func(path string) bool { return meant(name, path) })
}

// LastWithheld returns the newest redaction among the events of one exhibit; found is false where there is none. What it names
// is to be left out of every event before it, see [Redact].
func LastWithheld(chain []Entry) (w Withheld, found bool) {
	for _, e := range slices.Backward(chain) {
		if h, ok := e.Predicate.(*record.Handled); ok && h.Handling.Withheld != nil {
			return Withheld{e.Index, h.Event.Number, slices.Clone(h.Handling.Withheld.Fields)}, true
		}
	}
	return Withheld{}, false
}

// Redact returns the file of openings of an entry as whoever is not to read the withheld fields gets it; nil: they get none.
// An entry from w.Entry on is given whole, for the redaction itself must be read.
func Redact(e Entry, w Withheld) ([]byte, error) {
	left := e.Openings
	if e.Index < w.Entry {
		left = left.Without(w.Fields)
	}
	if len(left) == 0 {
		return nil, nil
	}
	return left.Encode()
}
