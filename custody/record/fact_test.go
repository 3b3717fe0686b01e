package record

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// A reason is often an error's text, with what a device or a file system put into it.
func TestReasonIsOneLine(t *testing.T) {
	for reason, want := range map[string]string{
		"no drive":                      "no drive",
		"a\nb\x1b[2J\u202e":             "a\ufffdb\ufffd[2J\ufffd",
		"\xff\xfe":                      "\ufffd\ufffd",
		strings.Repeat("x", 1001):       strings.Repeat("x", 1000),
		strings.Repeat("x", 999) + "äö": strings.Repeat("x", 999),
	} {
		f := Unknown[string](reason)
		if got := f.Reason(); got != want || !utf8.ValidString(got) {
			t.Errorf("Unknown(%q) has the reason %q, want %q", reason, got, want)
		}
		b, err := EncodeJSON(f)
		if err != nil {
			t.Fatal(err)
		}
		var again Fact[string]
		if err := DecodeJSON(b, &again); err != nil || again != f {
			t.Errorf("%s was read as %v, %v", b, again, err)
		}
	}
}

func TestFactsAreLines(t *testing.T) {
	a := exampleAcquired()
	a.Acquisition.Destinations[0].Device, a.Acquisition.Medium.Name = Known("8:2"), Known("sdb")
	good, err := Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", maxDeviceText+1)
	for name, change := range map[string][2]string{
		"line break in a reason":     {`{"unknown":"a file"}`, `{"unknown":"a\nfile"}`},
		"direction in a reason":      {`{"unknown":"a file"}`, "{\"unknown\":\"a\u202efile\"}"},
		"long reason":                {`{"unknown":"a file"}`, `{"unknown":"` + strings.Repeat("x", maxReason+1) + `"}`},
		"escape in the kernel":       {`"kernel":"`, `"kernel":"\u001b[2J`},
		"long kernel":                {`"kernel":"`, `"kernel":"` + long},
		"empty file system":          {`"fileSystem":"ext4"`, `"fileSystem":""`},
		"line break in file system":  {`"fileSystem":"ext4"`, `"fileSystem":"ext4\nverified"`},
		"long file system":           {`"fileSystem":"ext4"`, `"fileSystem":"` + long + `"`},
		"direction in a device":      {`"device":"`, "\"device\":\"\u202e"},
		"long device":                {`"device":"`, `"device":"` + long},
		"line break in medium name":  {`"name":"sdb"`, `"name":"sd\nb"`},
		"long name of the medium":    {`"name":"sdb"`, `"name":"` + long + `"`},
		"medium name that is a list": {`"name":"sdb"`, `"name":["sdb"]`},
	} {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Replace(good, []byte(change[0]), []byte(change[1]), 1)
			if bytes.Equal(bad, good) {
				t.Fatalf("the example does not hold %s", change[0])
			}
			if p, err := Decode(bad); !errors.Is(err, ErrMalformed) || p != nil {
				t.Errorf("Decode = %v, %v; want nil and ErrMalformed", p, err)
			}
		})
	}
}
