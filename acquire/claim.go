package acquire

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// claim keeps other runs away from the .partial folder until close: two that go on with one image at once would each
// record what the other one changes.
func (d *dest) claim() error {
	f, err := d.root.FS().Open(".")
	if err != nil {
		return fmt.Errorf("claim %q: %w", d.partial(), err)
	}
	dir, ok := f.(*os.File)
	if !ok || !lockFolder(dir) {
		pid := 0
		if ok {
			pid = lockHolder(dir)
		}
		f.Close() //nolint:errcheck // opened for reading only
		return &durable.LockedError{Name: d.partial(), PID: pid}
	}
	d.claimed = dir
	return nil
}

// open opens and claims the folder.
func (d *dest) open() (err error) {
	if d.root, err = d.Root.Sub(d.id + layout.PartialSuffix); err != nil {
		return err
	}
	return d.claim()
}

// claimAll opens and claims every folder, and makes sure that nobody went on since the state was read, which is that of the
// first. Another one that was to get this state when the run was killed is given it now.
func (r *run) claimAll(s *State) error {
	for i, d := range r.alive() {
		err := d.open()
		if err == nil && i == 0 {
			err = d.has(s)
		} else if err == nil {
			err = d.bringInLine(s)
		}
		if errors.Is(err, durable.ErrLocked) {
			return err
		}
		if err == nil {
			continue
		}
		if err := r.lose(d, err); err != nil {
			return err
		}
	}
	return nil
}

// has requires the folder's state to be s.
func (d *dest) has(s *State) error {
	b, err := d.root.ReadFile(layout.Resume, record.MaxJSON)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if line, _, _ := bytes.Cut(b, []byte{'\n'}); !bytes.Equal(line, s.file) {
		return fmt.Errorf("%q was %w by another run, which went on with it", d.partial(), durable.ErrLocked)
	}
	return nil
}

// ErrBehind is of a destination that was lost before the acquisition was interrupted. What it lacks is on the other one.
var ErrBehind = errors.New("it was lost before the interruption, and lacks what was read since then")

// bringInLine requires the folder to hold all that s says is durable.
func (d *dest) bringInLine(s *State) error {
	own, err := ReadState(d.root)
	if errors.Is(err, fs.ErrNotExist) && len(s.Previous) == 0 { // it was to get the very first one
		return d.root.Replace(layout.Resume, s.bytes())
	}
	if err != nil {
		return err
	}
	switch behind := own.Behind(s); {
	case own.Exhibit != s.Exhibit || own.Acquisition.ID != s.Acquisition.ID:
		return fmt.Errorf("%w: its state is that of acquisition %s of exhibit %q", record.ErrMalformed, own.Acquisition.ID, own.Exhibit)
	case behind == 1:
		return d.root.Replace(layout.Resume, s.bytes())
	case behind != 0:
		return fmt.Errorf("%q: %w", d.partial(), ErrBehind)
	}
	return nil
}
