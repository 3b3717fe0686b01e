package record

import (
	"fmt"
	"strings"

	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// TypeAnchored is the statement by which a log takes in the checkpoint of another log of the case.
const TypeAnchored Type = "anchored"

// Anchored says that the writer of a log saw a checkpoint of another log. It is no event of an exhibit: any key that the
// genesis admits signs it. Whoever later holds both logs sees by it that the other one was cut back or rewritten.
type Anchored struct {
	Checkpoint string   `json:"checkpoint"`        // the signed note, as it was seen
	Extract    *Extract `json:"extract,omitempty"` // the extract that the checkpoint came with; nil: the whole log was taken in
	Genesis    LeafHash `json:"genesis"`           // leaf 0 of the other log: its fingerprint
	Log        LogState `json:"log"`               // this log as it stood before
	Origin     string   `json:"origin"`            // of the other log
	Size       int64    `json:"size"`              // of that checkpoint
	Time       Time     `json:"time"`
}

// Extract names a file with one exhibit's entries of another log (docs/format.md, 17.4).
type Extract struct {
	Exhibit string `json:"exhibit"` // number
	SHA256  Digest `json:"sha256"`  // of the file
}

func (e *Extract) validate() error {
	if e == nil {
		return nil
	}
	if e.SHA256.Algorithm() != SHA256 {
		return fmt.Errorf("%w: an extract is named by its SHA-256", ErrMalformed)
	}
	return CheckExhibit(e.Exhibit)
}

// Type implements Predicate.
func (a *Anchored) Type() Type { return TypeAnchored }

func (a *Anchored) subjects() []subject { return nil }

// Validate implements Predicate. That the checkpoint is signed is for whoever has the other log's keys.
func (a *Anchored) Validate() error {
	if err := a.Log.validate(); err != nil {
		return err
	}
	if !ValidOrigin(a.Origin) || a.Origin == a.Log.Origin || a.Size < 1 {
		return fmt.Errorf("%w: the log that is anchored is not named by origin and size, or is this one", ErrMalformed)
	}
	if err := checkCount("size", a.Size); err != nil {
		return err
	}
	if len(a.Checkpoint) > layout.MaxCheckpoint || !strings.HasPrefix(a.Checkpoint, fmt.Sprintf("%s\n%d\n", a.Origin, a.Size)) {
		return fmt.Errorf("%w: the checkpoint is too long, or is not that of size %d of log %s", ErrMalformed, a.Size, a.Origin)
	}
	if err := a.Extract.validate(); err != nil {
		return err
	}
	return a.Time.Validate()
}

// StateOf returns what the signer of a statement saw of the log; nil for a genesis.
func StateOf(p Predicate) *LogState {
	switch p := p.(type) {
	case Event:
		return &p.Header().Log
	case *Anchored:
		return &p.Log
	case *KeysChanged:
		return &p.Log
	case *CaseClosed:
		return &p.Log
	}
	return nil
}

// TimeOf returns when a statement was signed, as its signer said.
func TimeOf(p Predicate) Time {
	switch p := p.(type) {
	case Event:
		return p.Header().Time
	case *Anchored:
		return p.Time
	case *KeysChanged:
		return p.Time
	case *CaseClosed:
		return p.Time
	case *CaseOpened:
		return p.Time
	}
	return Time{}
}

// Joining says which log of the same case a log was opened beside, for another station or agency.
type Joining struct {
	Checkpoint Digest   `json:"checkpoint"` // SHA-256 of the bytes of that log's newest checkpoint, as it was seen
	Genesis    LeafHash `json:"genesis"`    // its leaf 0: its fingerprint
	Origin     string   `json:"origin"`
	Size       int64    `json:"size"` // of that checkpoint
}

// Validate reports the first thing wrong with j.
func (j *Joining) Validate() error {
	if j.Checkpoint.Algorithm() != SHA256 || !ValidOrigin(j.Origin) || j.Size < 1 {
		return fmt.Errorf("%w: the log that is joined is not named by origin, size and checkpoint", ErrMalformed)
	}
	return checkCount("size", j.Size)
}
