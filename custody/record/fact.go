package record

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fact is something that was found out, or could not be, with the reason. Known, its JSON is T's; unknown, it is
// {"unknown":"reason"}. The zero Fact is neither and refuses to be encoded, so a fact cannot be left out by
// forgetting it.
type Fact[T any] struct {
	value  T
	reason string
	known  bool
}

// Known makes a Fact that was found out.
func Known[T any](v T) Fact[T] { return Fact[T]{value: v, known: true} }

// Unknown makes a Fact that could not be found out; reason is never empty and names the cause in plain words. It is often
// the text of an error, so it is made one printable line of at most 1000 bytes here: nothing is unsigned for its sake later.
func Unknown[T any](reason string) Fact[T] { return Fact[T]{reason: oneLine(reason)} }

// maxReason bounds a reason, in bytes.
const maxReason = 1000

func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError // what is no UTF-8 becomes that, too
		}
		return r
	}, s)
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") // without the character that was cut
	}
	return s
}

// Get returns the value and true, or the zero value and false.
func (f Fact[T]) Get() (T, bool) { return f.value, f.known }

// Reason says why the fact is unknown; empty for a known one.
func (f Fact[T]) Reason() string { return f.reason }

type unknown struct {
	Unknown string `json:"unknown"`
}

// MarshalJSONTo implements json.MarshalerTo.
func (f Fact[T]) MarshalJSONTo(enc *jsontext.Encoder) error {
	if f.known {
		return json.MarshalEncode(enc, f.value)
	}
	if f.reason == "" {
		return errors.New("a fact is neither known nor has a reason")
	}
	return json.MarshalEncode(enc, unknown{f.reason})
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (f *Fact[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue()
	if err != nil {
		return err
	}
	strict := json.RejectUnknownMembers(true)
	var u unknown
	if raw.Kind() == '{' && json.Unmarshal(raw, &u, strict) == nil {
		if err := checkShort("the reason of an unknown fact", u.Unknown, maxReason); err != nil {
			return err
		}
		*f = Fact[T]{reason: u.Unknown}
		return nil
	}
	var v T
	if err := json.Unmarshal(raw, &v, strict); err != nil {
		return fmt.Errorf("fact: %w", err)
	}
	*f = Known(v)
	return nil
}
