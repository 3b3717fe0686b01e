package acquire

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// reopenFolders opens the folders and makes their journals one again: a run that was killed may have written a line, or
// frozen the journal, at one destination and not yet at the other.
func (r *run) reopenFolders(s *State) error {
	if err := r.claimAll(s); err != nil {
		return err
	}
	lines := map[*dest][]byte{}
	frozen := map[*dest]bool{}
	err := r.each(func(d *dest) (err error) {
		if err := d.unfinish(); err != nil {
			return err
		}
		lines[d], frozen[d], err = d.wholeLines()
		if err == nil && !s.Journal.isBeginningOf(lines[d]) {
			err = &RereadError{Dir: d.partial(), Err: errors.New("the journal is not as it was written")}
		}
		return err
	})
	if err != nil {
		return err
	}
	var longest []byte
	var anyFrozen bool
	for _, d := range r.alive() {
		if len(lines[d]) > len(longest) && bytes.HasPrefix(lines[d], longest) {
			longest = lines[d]
		}
		anyFrozen = anyFrozen || frozen[d]
	}
	r.lines.add(longest)
	return r.each(func(d *dest) error {
		rest, ok := bytes.CutPrefix(longest, lines[d])
		if !ok || frozen[d] && len(rest) > 0 {
			return fmt.Errorf("%w: its journal is not that of the other destination", ErrNotResumable)
		}
		if frozen[d] {
			return nil
		}
		return d.reopenJournal(int64(len(lines[d])), rest, anyFrozen)
	})
}

// wholeLines reads the journal without a last line that was not written to its end, and so never counted.
func (d *dest) wholeLines() (lines []byte, frozen bool, err error) {
	f, err := d.root.Reopen(layout.Journal)
	if errors.Is(err, durable.ErrSealed) {
		frozen = true
	} else if err != nil {
		return nil, false, err
	} else if err := f.Abort(); err != nil {
		return nil, false, err
	}
	b, err := d.root.ReadFile(layout.Journal, layout.MaxJournal)
	if err != nil {
		return nil, false, err
	}
	end := bytes.LastIndexByte(b, '\n') + 1
	if end == 0 || frozen && end < len(b) {
		return nil, false, fmt.Errorf("%w: the journal has no whole last line", ErrNotResumable)
	}
	return b[:end], frozen, nil
}

// reopenJournal cuts the journal to size bytes and adds the lines that it lacks.
func (d *dest) reopenJournal(size int64, lacking []byte, freeze bool) error {
	f, err := d.root.Reopen(layout.Journal)
	if err != nil {
		return err
	}
	if err = f.Truncate(size); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Abort()); err != nil {
		return err
	}
	if d.journal, err = d.root.OpenAppend(layout.Journal); err != nil {
		return err
	}
	if len(lacking) > 0 {
		err = d.journal.Append(lacking)
	}
	if err == nil && freeze {
		err = d.journal.Seal()
		d.journal = nil
	}
	return err
}

// unfinish removes a finished record: another destination has none yet, and so nobody has signed it.
func (d *dest) unfinish() error {
	if begun, err := exists(d.root, layout.Statement); begun || err != nil {
		return errors.Join(err, fmt.Errorf("%q: %w", layout.Statement, fs.ErrExist))
	}
	for _, name := range []string{layout.Unsigned, layout.UnsignedSignature} {
		if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
