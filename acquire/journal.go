package acquire

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"syscall"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
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
	EventOmitted   = "omitted"          // SizeBytes is the number of unread ranges that an E01 does not list
	EventTakenOver = "taken-over"       // SizeBytes were copied from another image
)

// writeJournal appends a line to the journal of every destination, the same bytes, because one record binds them all. A
// journal that is frozen takes no more: what interrupts after that stands in the log only.
func (r *run) writeJournal(v any) error {
	b, err := record.EncodeJSON(v)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	b = append(b, '\n')
	written := false
	err = r.each(func(d *dest) error {
		if d.journal == nil {
			return nil
		}
		written = true
		return d.journal.Append(b)
	})
	if written {
		r.lines.add(b)
	}
	return err
}

// journalLines is what the journals must hold: they lie open to others until the record is signed.
type journalLines struct {
	sum  hash.Hash // SHA-256; nil before the first line
	size int64
}

func (l *journalLines) add(b []byte) {
	if l.sum == nil {
		l.sum = sha256.New()
	}
	l.sum.Write(b)
	l.size += int64(len(b))
}

func (l *journalLines) saved() SavedJournal {
	if l.sum == nil {
		return SavedJournal{}
	}
	return SavedJournal{record.SHA256Digest([32]byte(l.sum.Sum(nil))), l.size}
}

// isBeginningOf reports whether b begins with the lines that j is of.
func (j SavedJournal) isBeginningOf(b []byte) bool {
	return j.SizeBytes > 0 && j.SizeBytes <= int64(len(b)) && record.SHA256Of(b[:j.SizeBytes]) == j.Digest
}

// event writes a line of the journal.
func (r *run) event(e JournalEvent) error {
	e.Time = r.opts.Clock()
	return r.writeJournal(e)
}

// logError writes why reading ended. The run ends or goes on as it must, whether the line is written or not.
func (r *run) logError(err error) {
	e := JournalEvent{Event: EventError, Offset: r.position, Text: causeOf(err)}
	if bad, ok := errors.AsType[*ReadError](err); ok {
		e.Offset, e.SizeBytes = bad.Offset, bad.SizeBytes
		if errno, ok := errors.AsType[syscall.Errno](bad.Err); ok {
			e.Text += ": " + errno.Error()
		}
		if damage, ok := errors.AsType[*ewf.DamageError](bad.Err); ok { // without the file's name, which may be a person's
			e.Text += ": damaged chunk: " + damage.Reason
		}
	}
	_ = r.event(e)
}

// phase opens a phase in the journals and for the person who waits.
func (r *run) phase(name string, totalBytes int64) error {
	if err := r.writeJournal(JournalPhase{name, r.opts.Clock()}); err != nil {
		return err
	}
	r.opts.Stats.phase(name)
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
