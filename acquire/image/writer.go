package image

import (
	"errors"
	"fmt"

	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// writebackBytes are written before the system is asked to bring them to the disk, so that the disk works from the
// start and a sync has little left to do.
const writebackBytes = 8 << 20

// Writer writes an image. It is used from one goroutine.
type Writer struct {
	root *durable.Root
	opts WriterOptions

	done    []Segment // finished, or being sealed
	current *durable.File
	size    int64 // of current
	asked   int64 // of current, handed to the system for writing
	sealing chan error
	err     error // the first failure
}

// WriterOptions say how the image is cut.
type WriterOptions struct {
	Name         string // of the files, without what follows the dot
	SegmentBytes int64  // as for Plan
	MaxFileBytes int64  // what one file may have here; 0: no bound is known
}

// NewWriter makes the first file of an image in root, which must not hold it yet. The caller ends with Finish or Abort.
func NewWriter(root *durable.Root, opts WriterOptions) (*Writer, error) {
	if err := CheckSegmentBytes(opts.SegmentBytes); err != nil {
		return nil, err
	}
	w := &Writer{root: root, opts: opts}
	if err := w.begin(); err != nil {
		return nil, err
	}
	return w, nil
}

// Write appends p to the image. A medium that needs a thousandth segment ends with ErrSegments, and all that went
// before is kept.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for w.err == nil && len(p) > 0 {
		if w.opts.SegmentBytes > 0 && w.size == w.opts.SegmentBytes {
			w.err = w.next()
			continue
		}
		part := p
		if w.opts.SegmentBytes > 0 {
			part = p[:min(int64(len(p)), w.opts.SegmentBytes-w.size)]
		}
		n, err := w.write(part)
		written += n
		p = p[n:]
		w.err = err
	}
	return written, w.err
}

func (w *Writer) write(p []byte) (int, error) {
	if limit := w.opts.MaxFileBytes; limit > 0 && w.size+int64(len(p)) > limit {
		return 0, fmt.Errorf("%w: %q would have more than %d bytes", ErrFileTooLarge, w.name(), limit)
	}
	n, err := w.current.Write(p)
	w.size += int64(n)
	if w.size-w.asked >= writebackBytes {
		startWriteback(w.current.Fd(), w.asked, w.size-w.asked)
		w.asked = w.size
	}
	return n, err
}

// Written returns the segments with the bytes written to each so far, for a message about what is kept.
func (w *Writer) Written() []Segment {
	if w.current == nil {
		return w.done
	}
	return append(w.done[:len(w.done):len(w.done)], Segment{w.name(), w.size})
}

// Finish syncs the image, makes it read-only and returns its segments.
func (w *Writer) Finish() ([]Segment, error) {
	if w.err == nil {
		w.err = w.seal()
	}
	if w.err == nil {
		w.err = w.sealed()
	}
	if w.err != nil {
		return nil, w.err
	}
	w.err = errors.New("the image is finished")
	return w.done, nil
}

// Abort closes the files and keeps them as they are. After Finish it does nothing, so it can be deferred.
func (w *Writer) Abort() error {
	err := w.sealed()
	if w.current == nil {
		return err
	}
	f := w.current
	w.current = nil
	if w.err == nil {
		w.err = errors.New("the image was given up")
	}
	return errors.Join(err, f.Abort())
}

func (w *Writer) name() string {
	return layout.SegmentName(w.opts.Name, len(w.done), w.opts.SegmentBytes > 0)
}

func (w *Writer) begin() error {
	if len(w.done) == layout.MaxSegments {
		return fmt.Errorf("%w: the medium goes on after %d segments of %d bytes; they are kept", ErrSegments,
			layout.MaxSegments, w.opts.SegmentBytes)
	}
	f, err := w.root.OpenEx(w.name())
	if err != nil {
		return err
	}
	w.current, w.size, w.asked = f, 0, 0
	return nil
}

func (w *Writer) next() error {
	if err := w.seal(); err != nil {
		return err
	}
	return w.begin()
}

// seal lets the segment before be sealed to its end, and then the current one while the next is written: a sync
// takes long.
func (w *Writer) seal() error {
	if err := w.sealed(); err != nil {
		return err
	}
	f := w.current
	w.done = append(w.done, Segment{w.name(), w.size})
	w.current = nil
	w.sealing = make(chan error, 1)
	go func(result chan<- error) { result <- f.Seal() }(w.sealing)
	return nil
}

// sealed waits for the segment that is being sealed.
func (w *Writer) sealed() error {
	if w.sealing == nil {
		return nil
	}
	err := <-w.sealing
	w.sealing = nil
	return err
}
