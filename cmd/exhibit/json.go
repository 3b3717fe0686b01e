package main

import (
	"encoding/json/v2"

	"encoding/json/jsontext"
)

// Every document printed with --json names its schema and version in "schema"; docs/json.md lists the fields. Sizes
// are integers in bytes, times RFC 3339 in UTC. Fields are only ever added.

type errorDocument struct {
	Schema string   `json:"schema"`
	Code   int      `json:"exitCode"`
	Error  string   `json:"error"`
	Hints  []string `json:"hints"`
}

func encodeDocument(v any) ([]byte, error) {
	return json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true))
}
