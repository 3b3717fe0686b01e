package record

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Header opens every custody event. It is set under the log's lock, directly before the event is signed.
type Header struct {
	Exhibit  string    `json:"exhibit"`           // the exhibit's number
	Log      LogState  `json:"log"`               // the log as it stood before this event
	Number   int64     `json:"number"`            // running number of this exhibit's events in this log, from 1
	Previous *LeafHash `json:"previous,omitzero"` // leaf of the exhibit's previous event in this log; absent for number 1
	Time     Time      `json:"time"`              // when the event was signed
}

// LogState is what the signer of an event saw of the log: the previous checkpoint, and what came since then.
type LogState struct {
	Anchors      []Digest `json:"anchors"`       // of the files in anchors/ that came since; sorted
	Attestations []Digest `json:"attestations"`  // of the files in attest/ that came since; sorted
	Checkpoint   Digest   `json:"checkpoint"`    // SHA-256 of the previous checkpoint's bytes
	Keys         *KeysRef `json:"keys,omitzero"` // the newest change of keys under that checkpoint; absent: those of the genesis
	Origin       string   `json:"origin"`
	Size         int64    `json:"size"` // entries under the previous checkpoint, at least 1 (the genesis)
}

// Validate reports the first thing wrong with h.
func (h *Header) Validate() error {
	if err := CheckExhibit(h.Exhibit); err != nil {
		return err
	}
	if err := checkCount("number", h.Number); err != nil {
		return err
	}
	if h.Number < 1 || (h.Previous == nil) != (h.Number == 1) {
		return fmt.Errorf("%w: event number %d, previous event given: %t", ErrMalformed, h.Number, h.Previous != nil)
	}
	if err := h.Log.validate(); err != nil {
		return err
	}
	return h.Time.Validate()
}

func (s *LogState) validate() error {
	if !ValidOrigin(s.Origin) || s.Size < 1 || s.Checkpoint.Algorithm() != SHA256 {
		return fmt.Errorf("%w: the log state is incomplete", ErrMalformed)
	}
	if err := checkCount("size", s.Size); err != nil {
		return err
	}
	if s.Keys != nil {
		if err := s.Keys.validate(s.Size); err != nil {
			return err
		}
	}
	if err := checkSorted("anchors", s.Anchors, layout.MaxAnchors); err != nil {
		return err
	}
	return checkSorted("attestations", s.Attestations, maxAttestations)
}

// maxAttestations bounds the attestations that one event names.
const maxAttestations = 100

// checkSorted requires at most that many SHA-256 digests, sorted by their text, none doubled.
func checkSorted(field string, digests []Digest, most int) error {
	if len(digests) > most {
		return fmt.Errorf("%w: %d %s, at most %d are allowed", ErrMalformed, len(digests), field, most)
	}
	for i, d := range digests {
		if d.Algorithm() != SHA256 || i > 0 && digests[i-1].String() >= d.String() {
			return fmt.Errorf("%w: %s[%d] is no SHA-256, doubled or out of order", ErrMalformed, field, i)
		}
	}
	return nil
}

// maxExhibit bounds an exhibit's number so that its percent-encoded form fits every file system.
const maxExhibit = 60

// CheckExhibit requires an exhibit number: one printable line of at most 60 bytes.
func CheckExhibit(number string) error {
	return checkShort("exhibit number", number, maxExhibit)
}

// FoldExhibit gives numbers that differ only by the case of letters, as strings.EqualFold compares, or by spaces around them
// the same text.
func FoldExhibit(number string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, strings.TrimSpace(number))
}

// MaxSeals bounds the seals of one event, maxSeal the text of one.
const (
	MaxSeals = 100
	maxSeal  = 200
)

func checkSeals(field string, seals []string) error {
	if len(seals) > MaxSeals {
		return fmt.Errorf("%w: %d seals, at most %d are allowed", ErrMalformed, len(seals), MaxSeals)
	}
	for i, seal := range seals {
		if err := checkShort(fmt.Sprintf("%s[%d]", field, i), seal, maxSeal); err != nil {
			return err
		}
	}
	return nil
}
