package acquire

import (
	"bytes"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const journalType = "exhibit-journal/v1"

// Journal is what the journal of an acquisition says.
type Journal struct {
	Exhibit string         `json:"exhibit"`
	ID      string         `json:"id"`
	Medium  record.Medium  `json:"medium"` // SizeBytes is 0 for a stream
	Options record.Options `json:"options"`
	Time    record.Time    `json:"time"`
	Tool    record.Tool    `json:"tool"`
	Type    string         `json:"type"`
	Phases  []JournalPhase `json:"-"` // each on a line of its own
}

// JournalPhase is a line of the journal after the first.
type JournalPhase struct {
	Phase string      `json:"phase"`
	Time  record.Time `json:"time"`
}

// ParseJournal reads a journal strictly: whole lines of canonical JSON, the phases in their order. A journal that was
// interrupted has fewer phases, or half a line at its end, which is an error. Errors wrap record.ErrMalformed or
// record.ErrNewer.
func ParseJournal(b []byte) (Journal, error) {
	fail := func(line int, err error) (Journal, error) {
		return Journal{}, fmt.Errorf("journal, line %d: %w", line, err)
	}
	if len(b) > layout.MaxJournal {
		return fail(1, fmt.Errorf("%w: more than %d bytes in all", record.ErrMalformed, layout.MaxJournal))
	}
	first, rest, whole := bytes.Cut(b, []byte{'\n'})
	var j Journal
	if !whole {
		return fail(1, fmt.Errorf("%w: it has no end", record.ErrMalformed))
	}
	if err := record.DecodeTyped(first, journalType, &j); err != nil {
		return fail(1, err)
	}
	if err := j.validate(); err != nil {
		return fail(1, err)
	}
	order := []string{PhaseReading, PhaseRereading, PhaseFinishing}
	for number := 2; len(rest) > 0; number++ {
		line, after, whole := bytes.Cut(rest, []byte{'\n'})
		if !whole {
			return fail(number, fmt.Errorf("%w: it has no end", record.ErrMalformed))
		}
		rest = after
		var p JournalPhase
		if err := record.DecodeJSON(line, &p); err != nil {
			return fail(number, err)
		}
		for len(order) > 0 && order[0] != p.Phase {
			order = order[1:]
		}
		if len(order) == 0 {
			return fail(number, fmt.Errorf("%w: phase %.40q does not follow", record.ErrMalformed, p.Phase))
		}
		order = order[1:]
		if err := p.Time.Validate(); err != nil {
			return fail(number, err)
		}
		j.Phases = append(j.Phases, p)
	}
	return j, nil
}

func (j *Journal) validate() error {
	if err := record.CheckExhibit(j.Exhibit); err != nil {
		return err
	}
	if !record.ValidAcquisitionID(j.ID) {
		return fmt.Errorf("%w: acquisition id %.60q", record.ErrMalformed, j.ID)
	}
	return j.Time.Validate()
}

// writeJournal appends a line to the journal of every destination, the same bytes, because one record binds them all.
func (r *run) writeJournal(v any) error {
	b, err := record.EncodeJSON(v)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	for _, d := range r.dests {
		if err := d.journal.Append(append(b, '\n')); err != nil {
			return d.wrap(err)
		}
	}
	return nil
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
