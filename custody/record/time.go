package record

import (
	"fmt"
	"time"
)

// timeLayout is RFC 3339 in UTC with exactly three digits of a second.
const timeLayout = "2006-01-02T15:04:05.000Z"

// The clocks a Time can come from.
const (
	ClockSystem  = "system"  // the station's clock, read by the program
	ClockEntered = "entered" // typed in by the person who signs
)

// Time is a moment as a station's clock, or a person, said it. It proves nothing by itself; time-stamps do.
type Time struct {
	Clock         string     `json:"clock"`         // ClockSystem or ClockEntered
	OffsetMinutes int        `json:"offsetMinutes"` // local time minus UTC, -1439 to 1439
	Synchronised  Fact[bool] `json:"synchronised"`  // whether the kernel says its clock follows a time source
	UTC           string     `json:"utc"`           // RFC 3339, UTC, milliseconds: 2026-11-23T08:15:00.000Z
}

// Clock tells the time; it is passed in wherever a time is recorded.
type Clock func() Time

// NewTime makes the Time of t, in t's own zone.
func NewTime(t time.Time, clock string, synchronised Fact[bool]) Time {
	_, offset := t.Zone()
	return Time{Clock: clock, OffsetMinutes: offset / 60, Synchronised: synchronised, UTC: t.UTC().Format(timeLayout)}
}

// Moment returns the time in UTC. It fails on anything but the one layout.
func (t Time) Moment() (time.Time, error) {
	m, err := time.Parse(timeLayout, t.UTC)
	if err != nil || m.Format(timeLayout) != t.UTC {
		return time.Time{}, fmt.Errorf("%w: time %.40q", ErrMalformed, t.UTC)
	}
	return m, nil
}

// Wall is the time as the clock on the wall there showed it, to the minute, for people.
func (t Time) Wall() string {
	m, err := t.Moment()
	if err != nil {
		return "no readable time"
	}
	return m.In(time.FixedZone("", t.OffsetMinutes*60)).Format("2006-01-02 15:04 -07:00")
}

// Validate reports the first thing wrong with t.
func (t Time) Validate() error {
	if t.Clock != ClockSystem && t.Clock != ClockEntered {
		return fmt.Errorf("%w: clock %.40q", ErrMalformed, t.Clock)
	}
	if t.OffsetMinutes < -1439 || t.OffsetMinutes > 1439 {
		return fmt.Errorf("%w: offset of %d minutes", ErrMalformed, t.OffsetMinutes)
	}
	_, err := t.Moment()
	return err
}
