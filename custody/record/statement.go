package record

import (
	"encoding/json/jsontext"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lukechampine.com/blake3"
)

// PayloadType is the DSSE payload type of every statement.
const PayloadType = "application/vnd.in-toto+json"

const (
	statementType   = "https://in-toto.io/Statement/v1"
	predicatePrefix = "https://github.com/exhibit-forensics/exhibit/"
	predicateSuffix = "/v1"
)

// Type is the last word of a predicate type: "case-opened", "seized", "acquired", "copied".
type Type string

// The predicate types of version 1.
const (
	TypeCaseOpened Type = "case-opened"
	TypeSeized     Type = "seized"
	TypeAcquired   Type = "acquired"
	TypeCopied     Type = "copied"

	// The events of one person, each a Handled.
	TypeReceived   Type = "received"
	TypeSealed     Type = "sealed"
	TypeUnsealed   Type = "unsealed"
	TypeReleased   Type = "released"
	TypeAccepted   Type = "accepted"
	TypeRefused    Type = "refused"
	TypeExamined   Type = "examined"
	TypeInspected  Type = "inspected"
	TypeReturned   Type = "returned"
	TypeDestroyed  Type = "destroyed"
	TypeRestricted Type = "restricted"
	TypeNoted      Type = "noted"
	TypeCorrected  Type = "corrected"
	TypeDisclosed  Type = "disclosed"

	TypeVerified    Type = "verified"
	TypeTransmitted Type = "transmitted"
	TypeEndorsed    Type = "endorsed"

	TypeCopiedElsewhere Type = "copied-elsewhere" // by another program or a device; TypeCopied is what this one made
)

// EventTypes lists the custody events.
var EventTypes = []Type{TypeSeized, TypeAcquired, TypeCopied, TypeReceived, TypeSealed, TypeUnsealed, TypeReleased, TypeAccepted, TypeRefused,
	TypeExamined, TypeInspected, TypeReturned, TypeDestroyed, TypeRestricted, TypeNoted, TypeCorrected, TypeDisclosed,
	TypeVerified, TypeTransmitted, TypeEndorsed, TypeCopiedElsewhere}

// SignedTypes lists the types that a signer is admitted for one by one: the events, and the change of keys.
var SignedTypes = append(slices.Clone(EventTypes), TypeKeysChanged)

// Predicate is one of *CaseOpened, *Seized, *Acquired, *Copied, *Handled, *Anchored, *KeysChanged, *CaseClosed.
type Predicate interface {
	// Type names the predicate.
	Type() Type
	// Validate reports the first thing wrong with the values, wrapping ErrMalformed or ErrNewer.
	Validate() error
	// subjects are what the statement is about, or nil: then it is about the predicate's own bytes.
	subjects() []subject
}

// Event is a Predicate that belongs to an exhibit's chain.
type Event interface {
	Predicate
	// Header returns the event's header, to read and, before signing, to set.
	Header() *Header
}

type subject struct {
	Digest map[Algorithm]string `json:"digest"`
	Name   string               `json:"name"`
}

type statement struct {
	Type          string         `json:"_type"`
	Predicate     jsontext.Value `json:"predicate"`
	PredicateType string         `json:"predicateType"`
	Subject       []subject      `json:"subject"`
}

// Encode validates p and returns the statement's bytes: the DSSE payload.
func Encode(p Predicate) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Type(), err)
	}
	body, err := EncodeJSON(p)
	if err != nil {
		return nil, err
	}
	return EncodeJSON(statement{
		Type:          statementType,
		Predicate:     body,
		PredicateType: predicatePrefix + string(p.Type()) + predicateSuffix,
		Subject:       subjectsOf(p, body),
	})
}

// Decode reads a statement's bytes. A predicate type, version or word that this program does not know wraps ErrNewer; all
// else that is wrong wraps ErrMalformed. The subjects are required to be those the predicate implies.
func Decode(payload []byte) (Predicate, error) {
	var s statement
	if err := DecodeJSON(payload, &s); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	if s.Type != statementType {
		return nil, fmt.Errorf("statement: %w: _type %.100q", ErrMalformed, s.Type)
	}
	p, err := newPredicate(s.PredicateType)
	if err != nil {
		return nil, err
	}
	if err := DecodeJSON(s.Predicate, p); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Type(), err)
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Type(), err)
	}
	if err := findPersonal(s.Predicate, "", 0, map[string]Digest{}); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Type(), err)
	}
	if !slices.EqualFunc(s.Subject, subjectsOf(p, s.Predicate), equalSubjects) {
		return nil, fmt.Errorf("%s: %w: the subjects are not those of the predicate", p.Type(), ErrMalformed)
	}
	return p, nil
}

func newPredicate(uri string) (Predicate, error) {
	rest, ok := strings.CutPrefix(uri, predicatePrefix)
	if !ok {
		return nil, fmt.Errorf("statement: %w: predicate type %.100q", ErrMalformed, uri)
	}
	name, ok := strings.CutSuffix(rest, predicateSuffix)
	if ok {
		switch Type(name) {
		case TypeCaseOpened:
			return new(CaseOpened), nil
		case TypeSeized:
			return new(Seized), nil
		case TypeAcquired:
			return new(Acquired), nil
		case TypeCopied:
			return new(Copied), nil
		case TypeAnchored:
			return new(Anchored), nil
		case TypeKeysChanged:
			return new(KeysChanged), nil
		case TypeCaseClosed:
			return new(CaseClosed), nil
		}
		if h, err := NewHandled(Type(name)); err == nil {
			return h, nil
		}
	}
	return nil, fmt.Errorf("statement: predicate type %.100q is %w", uri, ErrNewer)
}

func subjectsOf(p Predicate, body []byte) []subject {
	if s := p.subjects(); s != nil {
		return s
	}
	return []subject{newSubject("predicate", SHA256Of(body), BLAKE3Digest(blake3.Sum256(body)))}
}

func newSubject(name string, digests ...Digest) subject {
	s := subject{Name: name, Digest: map[Algorithm]string{}}
	for _, d := range digests {
		s.Digest[d.alg] = d.hex
	}
	return s
}

func equalSubjects(a, b subject) bool { return a.Name == b.Name && maps.Equal(a.Digest, b.Digest) }
