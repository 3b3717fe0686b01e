package custody

import (
	"errors"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// A name means every field that has it as a part of its pointer, a pointer only itself, and a name that means nothing is refused.
func TestRedactedFields(t *testing.T) {
	entries := []Entry{
		{Index: 1, Openings: record.Openings{{Path: "/seizure/description"}, {Path: "/seizure/holder"}}},
		{Index: 2, Openings: record.Openings{{Path: "/handling/actor/name"}, {Path: "/handling/to/name"}, {Path: "/handling/witness"}}},
	}
	for _, tt := range []struct {
		names, want []string
	}{
		{[]string{"witness", "holder"}, []string{"/handling/witness", "/seizure/holder"}},
		{[]string{"name"}, []string{"/handling/actor/name", "/handling/to/name"}},
		{[]string{"to", "/handling/to/name"}, []string{"/handling/to/name"}},
		{[]string{"witnes"}, nil},
		{[]string{""}, nil},
		{[]string{"/handling"}, nil},
		{[]string{"witness", "nothing"}, nil},
	} {
		got, err := RedactedFields(entries, tt.names)
		if (err != nil) != (tt.want == nil) || !slices.Equal(got, tt.want) || err != nil && !errors.Is(err, ErrNoSuchField) {
			t.Errorf("%q: %q, %v, want %q", tt.names, got, err, tt.want)
		}
	}
}

// What is withheld goes from the entries before the redaction, whose own words stay; the case's own openings are left as they are.
func TestRedact(t *testing.T) {
	open := func() record.Openings {
		return record.Openings{{Path: "/handling/remarks", Salt: "00112233445566778899aabbccddeeff", Value: "a"}, {Path: "/handling/witness", Salt: "00112233445566778899aabbccddeeff", Value: "b"}}
	}
	h, err := record.NewHandled(record.TypeDisclosed)
	if err != nil {
		t.Fatal(err)
	}
	h.Event.Number, h.Handling.Withheld = 3, &record.Redaction{Fields: []string{"/handling/witness"}}
	chain := []Entry{{Index: 4, Openings: open()}, {Index: 7, Openings: open(), Predicate: h}, {Index: 9, Openings: open()}}
	w, found := LastWithheld(chain)
	if !found || w.Entry != 7 || w.Number != 3 || !slices.Equal(w.Fields, []string{"/handling/witness"}) {
		t.Fatalf("LastWithheld: %+v, %t", w, found)
	}
	if _, found := LastWithheld(chain[:1]); found {
		t.Error("a chain without a redaction has one")
	}
	for i, want := range []int{1, 2, 2} {
		b, err := Redact(chain[i], w)
		if err != nil {
			t.Fatal(err)
		}
		left, err := record.DecodeOpenings(b)
		if err != nil || len(left) != want || len(chain[i].Openings) != 2 {
			t.Errorf("entry %d: %d openings (%v), want %d", chain[i].Index, len(left), err, want)
		}
	}
	w.Fields = []string{"/handling/remarks", "/handling/witness"}
	if b, err := Redact(chain[0], w); b != nil || err != nil {
		t.Errorf("all withheld: %q, %v, want no file", b, err)
	}
}
