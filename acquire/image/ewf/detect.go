package ewf

import "bytes"

// SignatureBytes is how much of a file Begins wants to see.
const SignatureBytes = len(signature)

// Begins reports whether a file that begins with b calls itself a segment of an E01 image.
func Begins(b []byte) bool { return bytes.HasPrefix(b, []byte(signature)) }

// Foreign names the format of a file that begins with b, which somebody may take for an E01 image and Open refuses; "" if it
// is none of those.
func Foreign(b []byte) string {
	for _, f := range []struct{ signature, name string }{
		{"LVF\x09\x0d\x0a\xff\x00", "a logical evidence file (L01), which holds files and not a medium"},
		{"EVF2\x0d\x0a\x81\x00", "an Ex01 image (EWF version 2)"},
		{"LEF2\x0d\x0a\x81\x00", "a logical evidence file (Lx01, EWF version 2)"},
		{"ADCRYPT\x00", "encrypted by AccessData (AD encryption); decrypt it first"},
	} {
		if bytes.HasPrefix(b, []byte(f.signature)) {
			return f.name
		}
	}
	return ""
}
