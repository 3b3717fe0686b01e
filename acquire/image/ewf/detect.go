package ewf

import "bytes"

// SignatureBytes is how much of a file Begins wants to see.
const SignatureBytes = len(signature)

// Begins reports whether a file that begins with b calls itself a segment of an E01 image.
func Begins(b []byte) bool { return bytes.HasPrefix(b, []byte(signature)) }

// Foreign names the format of a file that begins with b, which somebody may take for an E01 image and Open refuses; "" if it
// is none of those.
func Foreign(b []byte) string { return foreign(b) }

// Unchanged returns nil if every file has the size and the time of change that it had when it was opened. Who has read
// to the end asks it, to know that all of it was one image.
func (r *Reader) Unchanged() error { return r.files.unchanged() }
