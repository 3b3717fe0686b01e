package record

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
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

// Unknown makes a Fact that could not be found out; reason is never empty and names the cause in plain words.
func Unknown[T any](reason string) Fact[T] { return Fact[T]{reason: reason} }

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
		if u.Unknown == "" {
			return errors.New("an unknown fact gives no reason")
		}
		*f = Unknown[T](u.Unknown)
		return nil
	}
	var v T
	if err := json.Unmarshal(raw, &v, strict); err != nil {
		return fmt.Errorf("fact: %w", err)
	}
	*f = Known(v)
	return nil
}
