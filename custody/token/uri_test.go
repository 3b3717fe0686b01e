package token

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const module = "?module-path=/usr/lib/softhsm/libsofthsm2.so"

func TestParse(t *testing.T) {
	for in, want := range map[string]URI{
		"pkcs11:token=a;object=b" + module: {Token: "a", Object: "b"},
		// As p11tool prints it, in another order, and with both spellings of hex digits. An id is no text: a
		// zero byte may stand in it.
		"pkcs11:model=SoftHSM%20v2;manufacturer=M%c3%BC;serial=0f;token=T%3b;id=%00%fF;object=o:[1];type=private" + module: {
			Token: "T;", Manufacturer: "Mü", Model: "SoftHSM v2", Serial: "0f", Object: "o:[1]", ID: []byte{0, 0xff}},
		"pkcs11:serial=1;id=%01" + module: {Serial: "1", ID: []byte{1}},
	} {
		want.Module = "/usr/lib/softhsm/libsofthsm2.so"
		got, err := Parse(in)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", in, got, err, want)
		}
		if again, err := Parse(got.String()); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", got.String(), again, err, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                                                         "does not begin",
		"PKCS11:token=a;object=b" + module:                         "does not begin",
		"awskms:///key":                                            "does not begin",
		"pkcs11:" + module:                                         "empty",
		"pkcs11:token=a" + module:                                  "names no key",
		"pkcs11:object=a" + module:                                 "names no token",
		"pkcs11:token=a;object=b":                                  "which library",
		"pkcs11:token=a;object=b?":                                 "which library",
		"pkcs11:token=a;object=" + module:                          "empty",
		"pkcs11:token=a;;object=b" + module:                        "empty",
		"pkcs11:token=a;object=b;" + module:                        "empty",
		"pkcs11:token=a;token=a;id=b" + module:                     "twice",
		"pkcs11:token=a;object=b%0" + module:                       "percent-encoded",
		"pkcs11:token=a;object=b%g0" + module:                      "percent-encoded",
		"pkcs11:token=a b;object=b" + module:                       "percent-encoded",
		"pkcs11:token=a;object=b%00" + module:                      "zero byte",
		"pkcs11:token=a;object=b\n" + module:                       "percent-encoded",
		"pkcs11:token=a;object=b;type=public" + module:             "type is not private",
		"pkcs11:token=a;object=b;slot-id=0" + module:               `"slot-id" is not taken`,
		"pkcs11:token=a;object=b;x-own=0" + module:                 `"x-own" is not taken`,
		"pkcs11:token=a;object=b;module-path=/a.so":                `"module-path" is not taken`,
		"pkcs11:token=a?object=b&module-path=/a.so":                `"object" is not taken`,
		"pkcs11:token=a;object=b?module-name=softhsm2":             `"module-name" is not taken`,
		"pkcs11:token=a;object=b?module-path=libsofthsm2.so":       "not an absolute path",
		"pkcs11:token=a;object=b?module-path=/usr/../tmp/x.so":     "not an absolute path",
		"pkcs11:token=a;object=b" + module + "&pin-source=/a":      "PIN does not belong",
		"pkcs11:token=a;object=b" + module + "&pin-value=471142":   "PIN does not belong",
		"pkcs11:token=a;object=b;pin-value=471142" + module:        "PIN does not belong",
		"pkcs11:token=a;pin-value=471142 ;object=b" + module:       "percent-encoded",
		"pkcs11:token=a;object=" + strings.Repeat("b", 2048) + "?": "longer",
	} {
		u, err := Parse(in)
		if !errors.Is(err, ErrURI) || !strings.Contains(err.Error(), want) || !reflect.DeepEqual(u, URI{}) {
			t.Errorf("Parse(%q) = %+v, %v, want an error with %q", in, u, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "471142") {
			t.Errorf("the error repeats the PIN: %v", err)
		}
	}
}

// FuzzParse requires that a URI that is read is written in one spelling, and that nothing follows from one that is not.
func FuzzParse(f *testing.F) {
	f.Add("pkcs11:model=SoftHSM%20v2;manufacturer=M%c3%BC;serial=0f;token=T%3b;id=%00%fF;object=o:[1];type=private" + module)
	f.Add("pkcs11:token=a;object=b?pin-value=1&module-path=/a")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if err != nil {
			if !errors.Is(err, ErrURI) || !reflect.DeepEqual(u, URI{}) {
				t.Fatalf("%+v, %v", u, err)
			}
			return
		}
		if len(u.String()) > maxURI {
			return // the spelling with every byte escaped is too long to be read again, and to be kept
		}
		again, err := Parse(u.String())
		if err != nil || !reflect.DeepEqual(again, u) || again.String() != u.String() {
			t.Fatalf("%q gives %+v, and then %+v, %v", s, u, again, err)
		}
	})
}
