package record

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// What closes a log is exact, or refused.
func TestCaseClosed(t *testing.T) {
	var o Openings
	p, err := o.Commit(fixedRandom(), "/because", "final")
	if err != nil {
		t.Fatal(err)
	}
	c := &CaseClosed{Because: p, By: Unknown[Personal]("not given"), Counter: 9, Despite: &LeftOpen{2, p}, Log: exampleHeader(2).Log, Time: exampleTime()}
	b, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Encode(got); err != nil || !bytes.Equal(again, b) || got.Type() != TypeCaseClosed {
		t.Errorf("encoded again %s (%v), want %s", again, err, b)
	}
	for name, tt := range map[string]struct {
		old, new string
		want     error
	}{
		"no reason":        {`"because":{"personal":"`, `"because":{"unknown":"`, ErrMalformed},
		"despite nothing":  {`"exhibits":2`, `"exhibits":0`, ErrMalformed},
		"negative counter": {`"counter":9`, `"counter":-9`, ErrMalformed},
		"unknown member":   {`"counter":9`, `"counted":9`, ErrMalformed},
		"a later version":  {`case-closed/v1`, `case-closed/v2`, ErrNewer},
	} {
		bad := strings.Replace(string(b), tt.old, tt.new, 1)
		if bad == string(b) {
			t.Fatalf("%s: %s has no %s", name, b, tt.old)
		}
		if p, err := Decode([]byte(bad)); !errors.Is(err, tt.want) || p != nil {
			t.Errorf("%s: %v, %v, want %v", name, p, err, tt.want)
		}
	}
}
