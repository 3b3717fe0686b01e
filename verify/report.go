package verify

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"regexp"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Schema names the JSON form of a Report and its version.
const Schema = "exhibit-verify/v1"

// Exit codes of a Report.
const (
	ExitVerified = 0
	ExitMismatch = 4 // changed or damaged
	ExitUnknown  = 5 // nothing contradicts, but something required is missing or unknown
)

// Status is the outcome of a line. The zero Status is that nothing was checked.
type Status int

// The statuses a line can have.
const (
	NotChecked    Status = iota
	Unknown              // something required is missing, not trusted, or of a newer version
	Failed               // does not match: changed or damaged
	Verified             // checked, on at least one thing, and holds
	AbsentByOrder        // the rest holds, and what is absent was erased by an order that stands in the log
)

var statusText = [...]string{"not checked", "unknown", "FAILED", "verified", "absent by order"}

// String returns the words of the report: "verified", "FAILED", "not checked", "unknown", "absent by order".
func (s Status) String() string {
	if s < 0 || int(s) >= len(statusText) {
		return "unknown"
	}
	return statusText[s]
}

// MarshalText implements encoding.TextMarshaler with String.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Severity is how much a finding weighs.
type Severity int

// The severities. A Note changes no outcome.
const (
	Note Severity = iota
	Missing
	Mismatch
)

var severityText = [...]string{"note", "unknown", "failed"}

// String returns "note", "unknown" or "failed".
func (s Severity) String() string {
	if s < 0 || int(s) >= len(severityText) {
		return "failed"
	}
	return severityText[s]
}

// MarshalText implements encoding.TextMarshaler with String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Range is a stretch of bytes.
type Range struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// FileRange is the part of a damaged range that lies in one file.
type FileRange struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// Finding is one thing that is not as it should be, or worth a note. Text is a plain sentence; the rest says where.
// File is relative to what was verified. Texts can hold what a hostile file says, with control characters escaped.
type Finding struct {
	Severity Severity    `json:"severity"`
	File     string      `json:"file,omitzero"`
	Field    string      `json:"field,omitzero"`
	Range    *Range      `json:"range,omitzero"`      // of the media stream
	InFiles  []FileRange `json:"fileRanges,omitzero"` // the same bytes in the image's files
	Expected string      `json:"expected,omitzero"`
	Found    string      `json:"found,omitzero"`
	Text     string      `json:"text"`
	Advice   string      `json:"advice,omitzero"` // what to do now
}

// String is the finding in one line, for a terminal that makes control characters harmless.
func (f Finding) String() string {
	var b strings.Builder
	if f.Severity == Note {
		b.WriteString("note: ")
	}
	if f.File != "" && f.File != "." {
		b.WriteString(plainName(f.File) + ": ")
	}
	b.WriteString(f.Text)
	if f.Field != "" && f.Field != "fingerprint" {
		fmt.Fprintf(&b, " (%s)", f.Field)
	}
	if f.Expected != "" && f.Found != "" {
		fmt.Fprintf(&b, "; expected %s, found %s", f.Expected, f.Found)
	}
	for i, r := range f.InFiles {
		if i == 3 {
			b.WriteString("; and in further files")
			break
		}
		fmt.Fprintf(&b, "; in %q from byte %d on, %d bytes", r.File, r.Offset, r.Length)
	}
	if f.Advice != "" {
		b.WriteString(". What to do: " + f.Advice)
	}
	return b.String()
}

// quoteName leaves control characters to who prints.
var quoteName = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "  ", `\x20\x20`)

var plainForm = regexp.MustCompile(`^[A-Za-z0-9_.%/-]+$`)

// plainName is a file's name for people. One that no case has is quoted and cut, so that it passes neither for the words of
// the report nor, with enough spaces in it, for a line of its own.
func plainName(name string) string {
	if plainForm.MatchString(name) {
		return name
	}
	if len(name) > 150 {
		name = strings.ToValidUTF8(name[:150], "") + "..."
	}
	return `"` + quoteName.Replace(name) + `"`
}

// Line is one of the seven lines of a report.
type Line struct {
	Number   int       `json:"number"`
	Title    string    `json:"title"`
	Status   Status    `json:"status"`
	Checked  int64     `json:"checked"` // on how many things: files, signatures, entries, events
	Sentence string    `json:"sentence"`
	Findings []Finding `json:"findings,omitzero"`
}

// Kind is what was given to Verify.
type Kind string

// The kinds of things Verify detects.
const (
	KindNothing     Kind = "nothing" // neither a case nor an acquisition
	KindPartial     Kind = "partial" // an acquisition that is not finished
	KindAcquisition Kind = "acquisition"
	KindImage       Kind = "image" // a file of an acquisition folder; the whole folder is checked
	KindCase        Kind = "case"
	KindBundle      Kind = "bundle"  // a statement, or all in a folder, exported as a Sigstore bundle; no image is looked at
	KindExtract     Kind = "extract" // one exhibit's entries of a log; no image is looked at
)

// CaseFacts are what the genesis says.
type CaseFacts struct {
	Number      string `json:"number"`
	Agency      string `json:"agency"`
	Origin      string `json:"origin"`
	Fingerprint string `json:"fingerprint"` // 64 hex digits
	Trusted     bool   `json:"trusted"`
	TrustName   string `json:"trustName,omitzero"` // of the trust entry
	Entries     int64  `json:"entries"`            // of the log; of a folder alone, under the proof's checkpoint
	Checkpoints int64  `json:"checkpoints"`
	// Closed says how the log ended; nil: it is not closed.
	Closed    *ClosedFacts `json:"closed,omitzero"`
	Witnessed int64        `json:"witnessed"` // so many entries a quorum of trusted witnesses saw
	Stamped   int64        `json:"stamped"`   // so many a trusted time-stamp authority
	Anchored  int64        `json:"anchored"`  // so many another log of the case took in
	StampedAt string       `json:"stampedAt,omitzero"`
	StampedBy string       `json:"stampedBy,omitzero"` // the subject of its certificate
}

// AcquisitionFacts are what one record says, and how its lines came out.
type AcquisitionFacts struct {
	Exhibit   string               `json:"exhibit"`
	ID        string               `json:"id"`
	CopyOf    string               `json:"copyOf,omitzero"` // of a copy, the acquisition's id
	Folder    string               `json:"folder"`          // relative to what was verified
	SizeBytes int64                `json:"sizeBytes"`
	Digests   []record.MediaDigest `json:"digests"`
	Found     []record.Digest      `json:"found,omitzero"` // of the media stream as it was read now, by algorithm; absent: it was not
	KeyID     string               `json:"keyId"`
	KeyKind   string               `json:"keyKind"`
	Holder    string               `json:"holder"` // or "unknown"
	Examiner  string               `json:"examiner"`
	Assurance string               `json:"assurance"`
	Index     int64                `json:"index"`           // in the log
	SignedAt  record.Time          `json:"signedAt"`        // the station's clock
	Erased    []ErasedFacts        `json:"erased,omitzero"` // by a logged order, and not here
	Image     Status               `json:"image"`
	Signature Status               `json:"signature"`
	Log       Status               `json:"log"`
	Quote     Status               `json:"quote"` // of how the station was started; not checked where no TPM's key signed, and of a folder alone
}

// ErasedFacts are what the log says of a file that an order had erased.
type ErasedFacts struct {
	File  string `json:"file"`
	Index int64  `json:"index"`          // of the log entry that says so
	KeyID string `json:"keyId"`          // that signed it
	Order string `json:"order,omitzero"` // as revealed
	Court string `json:"court,omitzero"`
}

// ExhibitFacts are what the log says of one exhibit.
type ExhibitFacts struct {
	Exhibit string   `json:"exhibit"`
	Events  int64    `json:"events"`
	Seals   []string `json:"seals,omitzero"` // that are on
	Custody Status   `json:"custody"`
	// Holder is the identifier of the key whose holder has the exhibit; empty: nobody who signs here.
	Holder    string `json:"holder,omitzero"`
	Handovers int64  `json:"handovers"` // that were accepted
	// Endorsements say which events a second key vouches for.
	Endorsements []EndorsementFacts `json:"endorsements,omitzero"`
	// Undisclosed are the personal fields that stand here only as commitments; of Unexplained no event says why.
	Undisclosed int64 `json:"undisclosed,omitzero"`
	Unexplained int64 `json:"unexplained,omitzero"`
	// Ended is "returned" or "destroyed"; empty: it is neither.
	Ended record.Type `json:"ended,omitzero"`
	// Erased are the attachments that an order had erased, and that are not here, by their SHA-256.
	Erased []ErasedFacts `json:"erased,omitzero"`
}

// EndorsementFacts are who vouched for an event with another key than the one that signed it.
type EndorsementFacts struct {
	Number int64  `json:"number"`         // of the event that endorses
	Log    string `json:"log,omitzero"`   // origin of its log, where that is not the folder's own
	KeyID  string `json:"keyId"`          // that signed it
	Name   string `json:"name,omitzero"`  // as revealed
	Leaf   string `json:"leaf"`           // of the event that is endorsed
	Of     int64  `json:"of"`             // its number
	OfLog  string `json:"ofLog,omitzero"` // origin of its log
}

// Report is the outcome of Verify. The zero Report is not verified.
type Report struct {
	Kind         Kind
	Name         string // the file that was named, or empty
	Lines        []Line // the seven, in order
	Cases        []CaseFacts
	Acquisitions []AcquisitionFacts
	Exhibits     []ExhibitFacts
	Notes        []Finding // what no record covers; changes no outcome
}

const lineCount = 7

// required lists the lines that must be verified for exit code 0.
func (k Kind) required() []int {
	switch k {
	case KindAcquisition, KindImage:
		return []int{1, 2, 3}
	case KindCase:
		return []int{1, 2, 3, 6}
	case KindBundle:
		return []int{2, 3}
	case KindExtract:
		return []int{2, 3, 6}
	}
	return nil
}

// ExitCode is ExitMismatch when anything failed; ExitVerified when every required line is verified, or of a case's lines 1 and 6
// the rest where data is absent by order, on at least one thing each, and no finding anywhere says otherwise; in all other cases,
// the zero Report included, ExitUnknown.
func (r Report) ExitCode() int {
	required := r.Kind.required()
	code := ExitVerified
	if len(required) == 0 || len(r.Lines) != lineCount {
		code = ExitUnknown
	}
	for i, l := range r.Lines {
		if l.Status == Failed {
			return ExitMismatch
		}
		for _, f := range l.Findings {
			switch f.Severity {
			case Note:
			case Missing:
				code = ExitUnknown
			default:
				return ExitMismatch
			}
		}
		if l.Number != i+1 {
			code = ExitUnknown
		}
	}
	if code != ExitVerified {
		return code
	}
	for _, n := range required {
		l := r.Lines[n-1]
		// An order stands in the case's log, and is about images and attachments.
		byOrder := (n == 1 || n == 6) && r.Kind == KindCase && l.Status == AbsentByOrder
		if l.Status != Verified && !byOrder || l.Checked < 1 {
			return ExitUnknown
		}
	}
	return ExitVerified
}

type document struct {
	Schema       string             `json:"schema"`
	ExitCode     int                `json:"exitCode"`
	Kind         Kind               `json:"kind"`
	Name         string             `json:"name,omitzero"`
	Lines        []Line             `json:"lines"`
	Cases        []CaseFacts        `json:"cases"`
	Acquisitions []AcquisitionFacts `json:"acquisitions"`
	Exhibits     []ExhibitFacts     `json:"exhibits"`
	Notes        []Finding          `json:"notes"`
}

// MarshalJSONTo implements json.MarshalerTo: the document of docs/json.md.
func (r Report) MarshalJSONTo(enc *jsontext.Encoder) error {
	kind := r.Kind
	if kind == "" {
		kind = KindNothing
	}
	return json.MarshalEncode(enc, document{Schema, r.ExitCode(), kind, r.Name, r.Lines, r.Cases, r.Acquisitions, r.Exhibits, r.Notes})
}

// maxFindings bounds the findings of one line. What comes after is counted, and keeps its weight.
const maxFindings = 500

// line collects what becomes a Line. Its status follows from the findings and from how much was checked, so that no path
// can set "verified" by hand.
type line struct {
	checked  int64
	findings []Finding
	worst    Severity
	dropped  int64
	absent   int64         // files that were erased by a logged order
	gone     []ErasedFacts // of an exhibit's line 6 alone: which
}

func (l *line) add(f Finding) {
	l.worst = max(l.worst, f.Severity)
	if len(l.findings) >= maxFindings {
		l.dropped++
		return
	}
	l.findings = append(l.findings, f)
}

// merge takes over what another line found.
func (l *line) merge(from *line) {
	l.checked += from.checked
	l.dropped += from.dropped
	l.absent += from.absent
	l.worst = max(l.worst, from.worst)
	for _, f := range from.findings {
		l.add(f)
	}
}

func (l *line) status() Status {
	switch {
	case l.worst == Mismatch:
		return Failed
	case l.worst == Missing:
		return Unknown
	case l.checked == 0:
		return NotChecked
	case l.absent > 0:
		return AbsentByOrder
	}
	return Verified
}

// render makes the Line of a report.
func (l *line) render(number int, title, sentence string) Line {
	out := Line{Number: number, Title: title, Status: l.status(), Checked: l.checked, Sentence: sentence, Findings: l.findings}
	if l.dropped > 0 {
		out.Findings = append(out.Findings, Finding{Severity: l.worst, Text: fmt.Sprintf("and %d more findings, not shown", l.dropped)})
	}
	return out
}
