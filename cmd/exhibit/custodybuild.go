package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// built is an event that can be signed but for its attachments.
type built struct {
	event       record.Event
	path        string // of its own member, as a JSON pointer
	attachments *[]record.Attachment
}

// build makes the event; what it says of people and in words is in b.openings.
func (b *eventBuilder) build(t record.Type) (built, error) {
	if t == record.TypeSeized {
		s, err := b.seizure()
		if err != nil {
			return built{}, err
		}
		return built{s, "/seizure", &s.Seizure.Attachments}, nil
	}
	h, err := b.handling(t)
	if err != nil {
		return built{}, err
	}
	return built{h, "/handling", &h.Handling.Attachments}, nil
}

// tried builds the event and tries the rules, before a passphrase is asked for. Where the giver's log was taken in and is not
// anchored yet, only the append knows the order of all events; and a reason may be for the words in an attachment.
func (b *eventBuilder) tried(v verb, giver string) (built, error) {
	var err error
	if b.chain, err = b.c.Chain(b.number); err != nil {
		return built{}, err
	}
	made, err := b.build(v.typ)
	if err != nil || giver != "" {
		return made, err
	}
	err = b.c.Allows(custody.Unlogged{Event: made.event, Openings: b.openings}, b.chain, b.keyID, now)
	if errors.Is(err, custody.ErrNothingDespite) && len(b.said["attach"])+len(b.said["paper"]) > 0 {
		return made, nil
	}
	if err != nil {
		return built{}, ruleHints(err)
	}
	return made, nil
}

// despite is the reason to log the event although rules stand against it; nil where none is given.
func (b *eventBuilder) despite(path string) (*record.Despite, error) {
	reason := b.one("despite")
	if reason == "" {
		return nil, nil
	}
	p, err := b.openings.Commit(rand.Reader, path, reason)
	return &record.Despite{Reason: p}, err
}

// authority is the legal ground, of which those flags say the number and who gave it.
func (b *eventBuilder) authority(path, number, issuer string) (a record.Authority, err error) {
	if a.Kind, err = b.word("authority-kind"); err != nil {
		return a, err
	}
	if a.Number, err = b.fact(path+"/number", number); err != nil {
		return a, err
	}
	a.Issuer, err = b.fact(path+"/issuer", issuer)
	return a, err
}

// actor is who did it: who is said to, or else the holder of the key.
func (b *eventBuilder) actor(path string) (*record.Party, error) {
	if len(b.said["by"]) == 0 {
		if name := b.holder(); name != "" {
			b.said["by"] = []string{name}
		}
	}
	return b.party(path, "by")
}

// partOf is the exhibit that this one was taken out of; empty where none is named.
func (b *eventBuilder) partOf() (string, error) {
	whole := b.one("part-of")
	if err := record.CheckPartOf(whole, b.number); err != nil {
		return "", misused(err, "name the exhibit that it was taken out of with --part-of NUMBER")
	}
	return whole, nil
}

// text is what was said, in the clear. Nothing said, and the word unknown, are unknown.
func (b *eventBuilder) text(name string) record.Fact[string] {
	switch value := b.one(name); value {
	case "":
		return record.Unknown[string]("not given")
	case "unknown":
		return record.Unknown[string]("said to be unknown")
	default:
		return record.Known(value)
	}
}

// wordsOf are the fields that are one of some words.
var wordsOf = map[string][]string{
	"authority-kind": record.AuthorityKinds, "holder-present": {"no", "yes"}, "holder-signature": record.Signatures, "power": record.PowerStates,
}

// word is text that is one of some words.
func (b *eventBuilder) word(name string) (record.Fact[string], error) {
	f, words := b.text(name), wordsOf[name]
	if word, known := f.Get(); known && !slices.Contains(words, word) {
		return f, fmt.Errorf("--%s %.40q is none of %s", name, word, strings.Join(words, ", "))
	}
	return f, nil
}
