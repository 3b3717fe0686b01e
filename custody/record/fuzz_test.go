package record

import (
	"bytes"
	"fmt"
	"testing"
)

func FuzzDecode(f *testing.F) {
	var o Openings
	seeds := []Predicate{exampleOpened(), exampleSeized(&o), exampleAcquired(), exampleRescued(), exampleInPlace(), exampleTaken(), exampleCopied(), exampleTakenCopied(), exampleKeysChanged()}
	for typ := range shapes {
		seeds = append(seeds, exampleHandled(typ))
	}
	for _, p := range seeds {
		b, err := Encode(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if err != nil {
			if p != nil {
				t.Fatalf("an error and a value: %v", p)
			}
			return
		}
		again, err := Encode(p)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted %q, which encodes as %q (%v)", b, again, err)
		}
	})
}

func FuzzDecodeOpenings(f *testing.F) {
	var o Openings
	exampleSeized(&o)
	b, err := o.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(fmt.Sprintf(`{"openings":[],"type":%q}`, openingsType)))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := DecodeOpenings(b)
		if err != nil {
			return
		}
		again, err := o.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted %q, which encodes as %q (%v)", b, again, err)
		}
	})
}
