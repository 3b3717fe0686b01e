package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Every verb can be typed: its fields are known, what it requires is among them, and it has all that its type must have.
func TestVerbs(t *testing.T) {
	var types []record.Type
	for _, v := range verbs {
		types = append(types, v.typ)
		var names []string
		for _, f := range v.fields() {
			names = append(names, f.name)
		}
		if len(names) != common+len(strings.Fields(v.has)) {
			t.Errorf("%s: fields %v, want the common ones and %q", v.name, names, v.has)
		}
		for _, name := range strings.Fields(v.required) {
			if !slices.Contains(names, name) {
				t.Errorf("%s requires %q, which it does not have", v.name, name)
			}
		}
	}
	for _, typ := range record.EventTypes {
		own := slices.Contains([]record.Type{record.TypeAcquired, record.TypeCopied, record.TypeVerified}, typ)
		if slices.Contains(types, typ) == own {
			t.Errorf("event %q: has a verb: %t", typ, !own)
		}
	}
}

// What a draft takes from a file is a field of its verb, and was said there.
func FuzzDraft(f *testing.F) {
	f.Add([]byte(`{"schema":"exhibit-event-draft/v1","type":"released","exhibit":"7","to":"B. Lab","found":["S-1","S-2"]}`))
	f.Add([]byte(`{"schema":"exhibit-event-draft/v1","type":"released","exhibit":"7","to":["B. Lab"]}`))
	f.Add([]byte(`{"schema":"exhibit-event-draft/v1","type":"released","exhibit":"7","to":null}`))
	f.Add([]byte(`[]`))
	v := verbs[slices.IndexFunc(verbs, func(v verb) bool { return v.typ == record.TypeReleased })]
	f.Fuzz(func(t *testing.T, b []byte) {
		d := draft{"place": {"here"}}
		if d.add(b, "file", v, "7") != nil {
			return
		}
		if !strings.Contains(string(b), draftSchema[:8]) && !strings.Contains(string(b), `\u`) {
			t.Errorf("%q names no schema and was accepted", b)
		}
		if !slices.Equal(d["place"], []string{"here"}) {
			t.Errorf("a flag was overwritten by %q", b)
		}
		for name := range maps.Keys(d) {
			i := slices.IndexFunc(v.fields(), func(f field) bool { return f.name == name })
			if i < 0 || !v.fields()[i].many && len(d[name]) != 1 {
				t.Errorf("%q gave %q the values %q", b, name, d[name])
			}
		}
	})
}
