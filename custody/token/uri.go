package token

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// maxURI bounds a URI, in bytes.
const maxURI = 2048

// URI names a key in a token, and the library that reaches it, after RFC 7512:
//
//	pkcs11:token=Seized%20goods;object=inspector;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so
//
// Of the token at least its label or its serial number must be given, of the key its label (object) or its id, of the
// module the absolute path, for what is loaded runs in this program. Every other attribute is refused: pin-value and
// pin-source because a PIN does not lie where keys are listed, slot numbers because they change.
type URI struct {
	Token, Manufacturer, Model, Serial string // as the token says them; empty is any
	Object                             string
	ID                                 []byte
	Module                             string
}

// Parse reads a URI; its attributes may stand in any order. Every error wraps ErrURI, and repeats nothing of what was given
// but the name of an attribute: it may have been a PIN.
func Parse(s string) (URI, error) {
	fail := func(format string, args ...any) (URI, error) {
		return URI{}, fmt.Errorf("%w: %s", ErrURI, fmt.Sprintf(format, args...))
	}
	if len(s) > maxURI {
		return fail("it is longer than %d bytes", maxURI)
	}
	rest, ok := strings.CutPrefix(s, Scheme)
	if !ok {
		return fail("it does not begin with %s", Scheme)
	}
	var u URI
	seen := map[string]bool{}
	path, query, _ := strings.Cut(rest, "?")
	attributes := strings.Split(path, ";")
	inPath := len(attributes)
	if query != "" {
		attributes = append(attributes, strings.Split(query, "&")...)
	}
	for i, a := range attributes {
		name, value, _ := strings.Cut(a, "=")
		decoded, ok := decode(value)
		if !ok || value == "" {
			return fail("the value of %.20q is empty, or not percent-encoded as it must be", name)
		}
		if seen[name] {
			return fail("it has %.20q twice", name)
		}
		seen[name] = true
		if err := u.set(name, decoded, i < inPath); err != nil {
			return URI{}, fmt.Errorf("%w: %w", ErrURI, err)
		}
	}
	switch {
	case u.Token == "" && u.Serial == "":
		return fail("it names no token: give token=LABEL or serial=NUMBER")
	case u.Object == "" && u.ID == nil:
		return fail("it names no key: give object=LABEL or id=BYTES")
	case u.Module == "":
		return fail("it does not say which library reaches the token: end it with ?module-path=/absolute/path.so")
	case !filepath.IsAbs(u.Module) || filepath.Clean(u.Module) != u.Module:
		return fail("module-path is not an absolute path in its shortest form")
	}
	return u, nil
}

// set takes one attribute; inPath tells on which side of the question mark it stood.
func (u *URI) set(name, value string, inPath bool) error {
	texts := map[string]*string{"token": &u.Token, "manufacturer": &u.Manufacturer, "model": &u.Model, "serial": &u.Serial, "object": &u.Object}
	switch text := texts[name]; {
	case name == "pin-value" || name == "pin-source":
		return fmt.Errorf("a PIN does not belong into it (%s): it is asked for, or read with --passphrase-file", name)
	case name == "id" && inPath:
		u.ID = []byte(value)
	case strings.ContainsRune(value, 0):
		return fmt.Errorf("the value of %.20q holds a zero byte", name)
	case text != nil && inPath:
		*text = value
	case name == "type" && inPath && value == "private":
	case name == "type" && inPath:
		return errors.New("type is not private")
	case name == "module-path" && !inPath:
		u.Module = value
	default:
		return fmt.Errorf("the attribute %.20q is not taken", name)
	}
	return nil
}

// String is the one spelling of the URI that is kept: Parse gives back the same URI of it.
func (u URI) String() string {
	var parts []string
	for _, a := range []struct{ name, value string }{
		{"token", u.Token}, {"manufacturer", u.Manufacturer}, {"model", u.Model}, {"serial", u.Serial}, {"object", u.Object},
	} {
		if a.value != "" {
			parts = append(parts, a.name+"="+encode(a.value, unreserved))
		}
	}
	if u.ID != nil {
		parts = append(parts, "id="+encode(string(u.ID), ""))
	}
	return Scheme + strings.Join(parts, ";") + "?module-path=" + encode(u.Module, unreserved+"/")
}

const (
	unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	// taken are the other characters that RFC 7512 lets stand for themselves.
	taken = unreserved + ":[]@!$'()*+,=/?|"
)

func encode(s, plain string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func decode(s string) (string, bool) {
	var out []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%':
			if i+2 >= len(s) {
				return "", false
			}
			b, err := hex.DecodeString(s[i+1 : i+3])
			if err != nil {
				return "", false
			}
			out = append(out, b...)
			i += 2
		case strings.IndexByte(taken, s[i]) >= 0:
			out = append(out, s[i])
		default:
			return "", false
		}
	}
	return string(out), true
}
