package main

import (
	"crypto/rand"
	"errors"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

// withheld names the personal fields that whoever is given the events does not get to read.
func (b *eventBuilder) withheld(_ record.Type, h *record.Handling) (err error) {
	names := fieldNames(b.said["withhold"]...)
	if len(b.said["withhold"]) == 0 {
		return nil
	}
	w := new(record.Redaction)
	if w.Fields, err = custody.RedactedFields(b.chain, names); errors.Is(err, custody.ErrNoSuchField) {
		return withHints(err, "see the fields with: exhibit custody show NUMBER --json | jq '.events[].personal'")
	}
	if err != nil {
		return err
	}
	if w.Ground, err = b.openings.Commit(rand.Reader, "/handling/withheld/ground", b.one("ground")); err != nil {
		return err
	}
	w.Authoriser, err = b.openings.Commit(rand.Reader, "/handling/withheld/authoriser", b.one("authorised-by"))
	h.Withheld = w
	return err
}

// fieldNames splits lists of fields: no name of one has a comma. An empty name between two of them is kept, for it fits no field.
func fieldNames(lists ...string) []string {
	var out []string
	for _, list := range lists {
		out = append(out, strings.Split(list, ",")...)
	}
	return out
}

// closedFields are the personal fields of an event that are not revealed here.
func closedFields(e custody.Entry) []string {
	envelope, err := sign.ParseEnvelope(e.Envelope)
	if err != nil {
		return nil
	}
	closed, err := e.Openings.Closed(envelope.Payload)
	if err != nil {
		return nil
	}
	return closed
}
