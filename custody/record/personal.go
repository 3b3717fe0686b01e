package record

import (
	"encoding/hex"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// personalDomain opens the committed array, so that no other hash of Exhibit can be taken for a commitment.
const personalDomain = "exhibit-personal-v1"

// openingsType names the file of openings and its version.
const openingsType = "exhibit-openings/v1"

// ErrOpening is wrapped when an opening does not fit the commitments of its statement.
var ErrOpening = errors.New("the opening of a personal field does not match its commitment")

// Personal is a personal field as it stands in a signed payload: only the commitment, SHA-256 of the RFC 8785
// array ["exhibit-personal-v1", path, salt, value]. The path is the field's JSON pointer (RFC 6901) in the
// predicate. The value stands in an [Opening] beside the envelope and can be erased without breaking a proof.
type Personal struct {
	Commitment Digest `json:"personal"`
}

// Opening reveals one personal field. Salt is 128 random bits, 32 lower-case hex digits.
type Opening struct {
	Path  string `json:"path"`
	Salt  string `json:"salt"`
	Value string `json:"value"`
}

// Openings are the revealed personal fields of one statement, sorted by path.
type Openings []Opening

type openingsFile struct {
	Openings Openings `json:"openings"`
	Type     string   `json:"type"`
}

// Commit draws a fresh salt from random, keeps the opening in o and returns the field to put at path.
func (o *Openings) Commit(random io.Reader, path, value string) (Personal, error) {
	var salt [16]byte
	if _, err := io.ReadFull(random, salt[:]); err != nil {
		return Personal{}, fmt.Errorf("draw the salt of personal field %q: %w", path, err)
	}
	op := Opening{Path: path, Salt: hex.EncodeToString(salt[:]), Value: value}
	d, err := op.commitment()
	if err != nil {
		return Personal{}, err
	}
	i, found := slices.BinarySearchFunc(*o, path, byPath)
	if found {
		return Personal{}, fmt.Errorf("personal field %q is committed twice", path)
	}
	*o = slices.Insert(*o, i, op)
	return Personal{d}, nil
}

// CommitFact is Commit, or an unknown fact with the reason given when value is empty.
func (o *Openings) CommitFact(random io.Reader, path, value, reason string) (Fact[Personal], error) {
	if value == "" {
		return Unknown[Personal](reason), nil
	}
	p, err := o.Commit(random, path, value)
	if err != nil {
		return Fact[Personal]{}, err
	}
	return Known(p), nil
}

// Value returns the revealed value of the field at path, and whether it is revealed.
func (o Openings) Value(path string) (string, bool) {
	i, found := slices.BinarySearchFunc(o, path, byPath)
	if !found {
		return "", false
	}
	return o[i].Value, true
}

// Encode returns the file of openings.
func (o Openings) Encode() ([]byte, error) { return EncodeJSON(openingsFile{o, openingsType}) }

// DecodeOpenings reads a file of openings. Use Check before showing any value.
func DecodeOpenings(b []byte) (Openings, error) {
	var f openingsFile
	if err := DecodeTyped(b, openingsType, &f); err != nil {
		return nil, fmt.Errorf("openings: %w", err)
	}
	for i, op := range f.Openings {
		if len(op.Salt) != 32 || strings.Trim(op.Salt, "0123456789abcdef") != "" {
			return nil, fmt.Errorf("openings: %w: salt of %.100q", ErrMalformed, op.Path)
		}
		if i > 0 && f.Openings[i-1].Path >= op.Path {
			return nil, fmt.Errorf("openings: %w: %.100q is out of order or doubled", ErrMalformed, op.Path)
		}
	}
	return f.Openings, nil
}

// Check requires that each opening belongs to a commitment of the predicate in this statement payload and fits it.
// It returns how many personal fields stay closed: erased or withheld, which breaks nothing.
func (o Openings) Check(payload []byte) (closed int, err error) {
	commitments, err := commitmentsOf(payload)
	if err != nil {
		return 0, err
	}
	for _, op := range o {
		got, err := op.commitment()
		if err != nil {
			return 0, err
		}
		if want, ok := commitments[op.Path]; !ok || got != want {
			return 0, fmt.Errorf("%w: %.100q", ErrOpening, op.Path)
		}
	}
	return len(commitments) - len(o), nil
}

// commitmentsOf collects the commitments of the predicate in a statement's payload, by their JSON pointers.
func commitmentsOf(payload []byte) (map[string]Digest, error) {
	var s struct {
		Predicate jsontext.Value `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	commitments := map[string]Digest{}
	if err := findPersonal(s.Predicate, "", 0, commitments); err != nil {
		return nil, err
	}
	return commitments, nil
}

func (op Opening) commitment() (Digest, error) {
	b, err := EncodeJSON([]string{personalDomain, op.Path, op.Salt, op.Value})
	if err != nil {
		return Digest{}, fmt.Errorf("commit to personal field %.100q: %w", op.Path, err)
	}
	return SHA256Of(b), nil
}

func byPath(op Opening, path string) int { return strings.Compare(op.Path, path) }

// findPersonal collects every object of the exact form {"personal":"sha256:..."} by its JSON pointer.
func findPersonal(v jsontext.Value, path string, depth int, found map[string]Digest) error {
	if depth > 32 {
		return fmt.Errorf("%w: nested deeper than 32", ErrMalformed)
	}
	switch v.Kind() {
	case '{':
		var p Personal
		if json.Unmarshal(v, &p, json.RejectUnknownMembers(true)) == nil && !p.Commitment.IsZero() {
			if p.Commitment.alg != SHA256 {
				return fmt.Errorf("%w: the commitment at %.100q is not one of %s", ErrMalformed, path, SHA256)
			}
			found[path] = p.Commitment
			return nil
		}
		var members map[string]jsontext.Value
		if err := json.Unmarshal(v, &members); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		for name, member := range members {
			if err := findPersonal(member, path+"/"+pointerEscape.Replace(name), depth+1, found); err != nil {
				return err
			}
		}
	case '[':
		var items []jsontext.Value
		if err := json.Unmarshal(v, &items); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		for i, item := range items {
			if err := findPersonal(item, path+"/"+strconv.Itoa(i), depth+1, found); err != nil {
				return err
			}
		}
	}
	return nil
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")
