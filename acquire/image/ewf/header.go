package ewf

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// The lengths in characters up to which EnCase 7 shows the values; with longer ones EnCase fails.
const (
	MaxText            = 2999
	MaxSoftwareVersion = 11
	MaxOS              = 23
)

// Header is what an image says about itself in words. What it does not say is "" or the zero time.
type Header struct {
	Case        string // c
	Evidence    string // n: the exhibit's number
	Description string // a
	Examiner    string // e
	Notes       string // t
	Model       string // md, in header2 since EnCase 6
	Serial      string // sn
	Label       string // l, since EnCase 6.19
	// AcquiredSoftwareVersion and OS are the program's version and the system it ran on: av and ov.
	AcquiredSoftwareVersion string
	OS                      string
	// Acquired and System are the times of the acquisition and of the system's clock: m and u, in whole seconds.
	Acquired, System time.Time
	// LocalTimes says that the times are what a clock in an unknown time zone showed, given here as if it were UTC. It
	// is set on reading an image that has no header2.
	LocalTimes bool
	// PasswordHash is p of an image that has a password. It does not encrypt anything, and is never written.
	PasswordHash string
}

// Check says with ErrValue what of the header an E01 file cannot hold: a value that is too long for EnCase, has a tab,
// a line's end, NUL or a byte that is not UTF-8, or a time before 1970-01-01T00:00:01Z or after 2106.
func (h Header) Check() error {
	for _, f := range fields {
		if f.text == nil {
			continue
		}
		v := *f.text(&h)
		switch {
		case utf8.RuneCountInString(v) > f.max:
			return fmt.Errorf("%w: the %s has %d characters, more than %d", ErrValue, f.name, utf8.RuneCountInString(v), f.max)
		case strings.ContainsAny(v, "\t\r\n\x00") || !utf8.ValidString(v):
			return fmt.Errorf("%w: the %s %.80q has a tab, a line's end or a byte that is no text", ErrValue, f.name, v)
		}
	}
	for _, t := range []time.Time{h.Acquired, h.System} {
		if !t.IsZero() && (t.Unix() <= 0 || t.Unix() > math.MaxUint32) {
			return fmt.Errorf("%w: the time %s", ErrValue, t.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// field is a column of the category main.
type field struct {
	id, name string
	max      int
	text     func(*Header) *string // nil for times and for what is not kept
	time     func(*Header) *time.Time
}

// fields are all columns of main that are known, in the order of header2 in EnCase 6.19 and 7.
var fields = []field{
	{id: "a", name: "description", max: MaxText, text: func(h *Header) *string { return &h.Description }},
	{id: "c", name: "case number", max: MaxText, text: func(h *Header) *string { return &h.Case }},
	{id: "n", name: "evidence number", max: MaxText, text: func(h *Header) *string { return &h.Evidence }},
	{id: "e", name: "examiner", max: MaxText, text: func(h *Header) *string { return &h.Examiner }},
	{id: "t", name: "notes", max: MaxText, text: func(h *Header) *string { return &h.Notes }},
	{id: "md", name: "model", max: MaxText, text: func(h *Header) *string { return &h.Model }},
	{id: "sn", name: "serial number", max: MaxText, text: func(h *Header) *string { return &h.Serial }},
	{id: "l", name: "label", max: MaxText, text: func(h *Header) *string { return &h.Label }},
	{id: "av", name: "software version", max: MaxSoftwareVersion, text: func(h *Header) *string { return &h.AcquiredSoftwareVersion }},
	{id: "ov", name: "operating system", max: MaxOS, text: func(h *Header) *string { return &h.OS }},
	{id: "m", name: "time of acquisition", time: func(h *Header) *time.Time { return &h.Acquired }},
	{id: "u", name: "time of the system", time: func(h *Header) *time.Time { return &h.System }},
	{id: "p", name: "password hash"},
	{id: "pid", name: "process identifier"},
	{id: "dc", name: "dc"},
	{id: "ext", name: "extents"},
	{id: "r", name: "compression"},
}

func fieldOf(id string) (field, bool) {
	for _, f := range fields {
		if f.id == id {
			return f, true
		}
	}
	return field{}, false
}
