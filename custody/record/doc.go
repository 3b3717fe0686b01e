// Package record holds every type that Exhibit signs, and the only code that turns them into bytes and back.
//
// Start with [Encode], which gives the bytes of an in-toto Statement v1 to sign, and [Decode], which reads such
// bytes and returns the one predicate type they claim. The shapes are normative in docs/format.md.
//
// The promise: what Decode accepts, Encode gives back byte for byte. JSON is RFC 8785; an unknown field, type or
// version, a duplicate key, a missing field, a subject that the predicate does not imply: each is an error. A
// fact nobody could read is a [Fact] that says why, never a zero. What identifies a person stands in the payload
// only as a [Personal] commitment.
//
// The package is pure: no files, no clock, no randomness of its own, and it builds for js/wasm.
package record
