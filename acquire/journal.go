package acquire

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

const journalType = "exhibit-journal/v1"

// Journal is the first line of an acquisition's journal; the others are phases and events.
type Journal struct {
	Exhibit string         `json:"exhibit"`
	ID      string         `json:"id"`
	Medium  record.Medium  `json:"medium"` // SizeBytes is 0 for a stream
	Options record.Options `json:"options"`
	Time    record.Time    `json:"time"`
	Tool    record.Tool    `json:"tool"`
	Type    string         `json:"type"`
}

// JournalPhase is a line of the journal after the first.
type JournalPhase struct {
	Phase string      `json:"phase"`
	Time  record.Time `json:"time"`
}

// JournalEvent is a line of the journal between phases.
type JournalEvent struct {
	Event     string      `json:"event"`
	Offset    int64       `json:"offset"` // in the medium
	SizeBytes int64       `json:"sizeBytes"`
	Text      string      `json:"text"` // one line; empty where there is nothing to say
	Time      record.Time `json:"time"`
}

// The events. They name no person and no path.
const (
	EventError     = "error"            // why reading in order, or a run, ended
	EventRecovered = "recovered"        // bytes that were read only when they were tried again
	EventResumed   = "resumed"          // SizeBytes is what was safe
	EventLost      = "destination-lost" // one of two
)

// writeJournal appends a line to the journal of every destination, the same bytes, because one record binds them all. A
// journal that is frozen takes no more: what interrupts after that stands in the log only.
func (r *run) writeJournal(v any) error {
	b, err := record.EncodeJSON(v)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return r.each(func(d *dest) error {
		if d.journal == nil {
			return nil
		}
		return d.journal.Append(append(b, '\n'))
	})
}

// event writes a line of the journal.
func (r *run) event(e JournalEvent) error {
	e.Time = r.opts.Clock()
	return r.writeJournal(e)
}

// logError writes why reading ended. The run ends or goes on as it must, whether the line is written or not.
func (r *run) logError(err error) {
	e := JournalEvent{Event: EventError, Offset: r.position, Text: causeOfRescue(err)}
	if bad, ok := errors.AsType[*ReadError](err); ok {
		e.Offset, e.SizeBytes = bad.Offset, bad.SizeBytes
		if errno, ok := errors.AsType[syscall.Errno](bad.Err); ok {
			e.Text += ": " + errno.Error()
		}
	}
	_ = r.event(e)
}

// phase opens a phase in the journals and for the person who waits.
func (r *run) phase(name string, totalBytes int64) error {
	if err := r.writeJournal(JournalPhase{name, r.opts.Clock()}); err != nil {
		return err
	}
	if r.opts.Progress != nil {
		r.opts.Progress.Phase(name, totalBytes)
	}
	return nil
}

func (r *run) done(bytes int64) {
	if r.opts.Progress != nil {
		r.opts.Progress.Done(bytes)
	}
}
