package main

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Every document printed with --json names its schema and version in "schema"; docs/json.md lists the fields. Sizes
// are integers in bytes, times RFC 3339 in UTC. Fields are only ever added.

type errorDocument struct {
	Schema string   `json:"schema"`
	Code   int      `json:"exitCode"`
	Error  string   `json:"error"`
	Hints  []string `json:"hints"`
}

// encodeDocument also takes a file's name that is no UTF-8, with U+FFFD for what is none: a hostile name in a case
// folder must not keep a report from being printed.
func encodeDocument(v any) ([]byte, error) {
	b, err := json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	return escapeUnprintable(b), err
}

// escapeUnprintable writes what a terminal could take for a command, or for a change of direction, as JSON escapes.
// Outside of strings JSON has none of it but line ends.
func escapeUnprintable(b []byte) []byte {
	var out []byte
	for _, r := range string(b) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
