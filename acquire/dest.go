package acquire

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// dest is one destination.
type dest struct {
	Destination
	id       string
	about    record.Destination // for the record
	space    space
	have     int64               // bytes of the file system that image and tree of an earlier run take already
	root     *durable.Root       // of the .partial folder; nil until it is made
	claimed  *os.File            // the same folder, locked; nil until then
	journal  *durable.AppendFile // takes no more once finish has sealed it; nil if a run before this one did
	tree     *durable.File       // nil once it is finished
	image    *image.Writer       // of a raw image
	e01      *ewf.Writer         // of an E01
	segments []image.Segment     // once written
	omitted  int                 // unread ranges that the E01 does not list
	lost     error               // why it was given up; guarded by run.mu
	rescued  int64               // if it was lost in a rescue, the bytes of the medium that its image had
}

func (d *dest) partial() string { return filepath.Join(d.Dir, d.id+layout.PartialSuffix) }

// written is how much of the medium the image has by now; of one that a rescue extended to its end, how long it is.
func (d *dest) written() (n int64) {
	if d.e01 != nil {
		return d.e01.Size()
	}
	segments := d.segments
	if segments == nil && d.image != nil {
		segments = d.image.Written()
	}
	for _, s := range segments {
		n += s.SizeBytes
	}
	return n
}

// kept is how many bytes of the medium are in the image of a destination, or were when it was lost.
func (r *run) kept(d *dest) int64 {
	switch {
	case d.image == nil && d.e01 == nil && d.lost == nil: // of a run that goes on, and did not come as far as opening it
		return r.position
	case r.rescue == nil || r.rescue.m == nil || d.written() < r.size:
		return d.written()
	case d.lost != nil:
		return d.rescued
	}
	return r.rescue.m.Total(image.Finished).SizeBytes
}

// begin makes the folder and the files to be written.
func (d *dest) begin(r *run) (err error) {
	name := d.id + layout.PartialSuffix
	err = d.Root.Mkdir(name)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", ErrExists, err)
	}
	if err != nil {
		return err
	}
	if d.root, err = d.Root.Sub(name); err != nil {
		return err
	}
	if err := d.claim(); err != nil {
		return err
	}
	if r.copying == nil {
		if d.journal, err = d.root.OpenAppend(layout.Journal); err != nil {
			return err
		}
	}
	if d.tree, err = d.root.OpenEx(layout.TreeName(r.name)); err != nil {
		return err
	}
	if r.e01() {
		d.e01, err = ewf.NewWriter(d.root, r.e01Options(d.space.fileBytes))
	} else {
		d.image, err = image.NewWriter(d.root, d.imageOptions(r))
	}
	return err
}

// flush returns a function that makes durable what the image has until now. It may run while more is written.
func (d *dest) flush() func() error {
	if d.e01 == nil {
		return d.image.Flush()
	}
	sync, err := d.e01.Flush()
	if err != nil {
		return func() error { return err }
	}
	return sync
}

// finishImage ends the image.
func (d *dest) finishImage(r *run) (err error) {
	if d.e01 != nil {
		return d.finishE01(r)
	}
	d.segments, err = d.image.Finish()
	return err
}

func (d *dest) imageOptions(r *run) image.WriterOptions {
	return image.WriterOptions{Name: r.name, SegmentBytes: r.opts.SegmentBytes, MaxFileBytes: d.space.fileBytes}
}

// close gives up what is still open; what was finished is not touched.
func (d *dest) close() error {
	var errs []error
	if d.image != nil {
		errs = append(errs, d.image.Abort())
	}
	if d.e01 != nil {
		errs = append(errs, d.e01.Abort())
	}
	if d.tree != nil {
		errs = append(errs, d.tree.Abort())
	}
	if d.journal != nil {
		errs = append(errs, d.journal.Close())
	}
	if d.claimed != nil {
		errs = append(errs, d.claimed.Close())
	}
	if d.root != nil {
		errs = append(errs, d.root.Close())
	}
	if d.lost != nil { // it was told already, and closing cannot make it worse
		return nil
	}
	return errors.Join(errs...)
}

func (d *dest) wrap(err error) error {
	if err == nil {
		return nil
	}
	err = damaged(err)
	switch {
	case errors.Is(err, ErrFileTooLarge), errors.Is(err, ewf.ErrFileTooLarge):
		err = d.tooLarge(err)
	case errors.Is(err, syscall.EFBIG): // of a limit nobody told us
		err = d.tooLarge(fmt.Errorf("%w: %w", ErrFileTooLarge, err))
	}
	return &DestinationError{d.Dir, err}
}

// damaged marks what no run leaves in its folder, and no repeating of the command mends: a link or a pipe in the place of a
// file, a file that is larger than it may be, read-only too early, or another one than was written.
func damaged(err error) error {
	for _, kind := range []error{durable.ErrNotRegular, durable.ErrNotFolder, durable.ErrTooLarge, durable.ErrSealed, durable.ErrDiffers, durable.ErrChanged} {
		if errors.Is(err, kind) && !errors.Is(err, image.ErrPartial) {
			return fmt.Errorf("%w: %w", image.ErrPartial, err)
		}
	}
	return err
}

// DestinationError is a destination that failed.
type DestinationError struct {
	Dir string
	Err error
}

func (e *DestinationError) Error() string { return fmt.Sprintf("destination %q: %v", e.Dir, e.Err) }

// Unwrap returns the cause.
func (e *DestinationError) Unwrap() error { return e.Err }

// alive are the destinations that were not given up.
func (r *run) alive() []*dest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.dests), func(d *dest) bool { return d.lost != nil })
}

// lose gives up a destination; the others go on. Of the last one it returns the error.
func (r *run) lose(d *dest, err error) error {
	r.mu.Lock()
	if d.lost == nil {
		d.lost = d.wrap(err)
		if r.rescue != nil && r.rescue.m != nil { // which all happens on one goroutine
			d.rescued = r.rescue.m.Total(image.Finished).SizeBytes
		}
	}
	err = d.lost
	r.mu.Unlock()
	if len(r.alive()) == 0 {
		return err
	}
	return nil
}

// each does something at every destination that is there; one that fails is given up. Where none is left it is an error.
func (r *run) each(do func(*dest) error) error {
	if err := r.anyLeft(); err != nil {
		return err
	}
	for _, d := range r.alive() {
		if err := do(d); err != nil {
			if err := r.lose(d, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// sink writes the image of one destination.
type sink struct {
	r *run
	d *dest
}

// Write puts the next bytes of the medium into the image; what was given up takes them and does nothing.
func (s sink) Write(p []byte) (int, error) {
	s.r.mu.Lock()
	lost := s.d.lost != nil
	s.r.mu.Unlock()
	if lost {
		return len(p), s.r.anyLeft()
	}
	n, err := s.d.image.Write(p)
	if err == nil {
		return n, nil
	}
	if err := s.r.lose(s.d, err); err != nil {
		return n, err
	}
	return len(p), nil
}

// treeFiles writes the same tree to every destination, and reads it from the first that can be read.
type treeFiles struct{ r *run }

func (t treeFiles) WriteAt(p []byte, off int64) (int, error) {
	err := t.r.each(func(d *dest) error {
		_, err := d.tree.WriteAt(p, off)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (t treeFiles) ReadAt(p []byte, off int64) (int, error) {
	for _, d := range t.r.alive() {
		n, err := d.tree.ReadAt(p, off)
		if err == nil || errors.Is(err, io.EOF) {
			return n, err
		}
		if err := t.r.lose(d, err); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("no destination is left")
}

var _ hashtree.Storage = treeFiles{}
