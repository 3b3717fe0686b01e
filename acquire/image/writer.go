package image

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// writebackBytes are written before the system is asked to bring them to the disk, so that the disk works from the
// start and a sync has little left to do.
const writebackBytes = 8 << 20

// Writer writes an image: in order, with [Writer.Write]; or, after [Writer.Extend], at any place. It is used from one
// goroutine.
type Writer struct {
	root *durable.Root
	opts WriterOptions

	segments []*segment // those begun, in order
	size     int64      // of all of them
	asked    int64      // of the last one, handed to the system for writing
	extended bool
	resumed  bool     // an earlier run may have left files behind this place
	syncing  *syncing // of the segment before the last; nil at first
	err      error    // the first failure, or that the image is finished
}

// segment is one file of the image. None is sealed before Finish: an interrupted run may have to be cut anywhere.
type segment struct {
	Segment
	file    *durable.File           // nil when it is full and closed, or being closed
	closing atomic.Pointer[syncing] // its last sync and closing, once begun
}

// syncing is a sync on its way; err stands when done is closed.
type syncing struct {
	done chan struct{}
	err  error
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
	if err := w.begin(false); err != nil {
		return nil, err
	}
	return w, nil
}

// Write appends p to the image. A medium that needs a thousandth segment ends with ErrSegments, and all that went
// before is kept.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	if w.extended && w.err == nil {
		return 0, errors.New("an image that was extended is written with WriteAt")
	}
	for w.err == nil && len(p) > 0 {
		if w.opts.SegmentBytes > 0 && w.last().SizeBytes == w.opts.SegmentBytes {
			w.err = w.next()
			continue
		}
		part := p
		if w.opts.SegmentBytes > 0 {
			part = p[:min(int64(len(p)), w.opts.SegmentBytes-w.last().SizeBytes)]
		}
		n, err := w.write(part)
		written += n
		p = p[n:]
		w.err = err
	}
	return written, w.err
}

func (w *Writer) write(p []byte) (int, error) {
	s := w.last()
	if limit := w.opts.MaxFileBytes; limit > 0 && s.SizeBytes+int64(len(p)) > limit {
		return 0, fmt.Errorf("%w: %q would have more than %d bytes", ErrFileTooLarge, s.Name, limit)
	}
	n, err := s.file.Write(p)
	s.SizeBytes += int64(n)
	w.size += int64(n)
	if s.SizeBytes-w.asked >= writebackBytes {
		startWriteback(s.file.Fd(), w.asked, s.SizeBytes-w.asked)
		w.asked = s.SizeBytes
	}
	return n, err
}

// Size is the number of bytes of the medium that the files have room for: those written, or after Extend all.
func (w *Writer) Size() int64 { return w.size }

// Flush returns a function that makes durable what was written until now. It may run while Write goes on, but must have
// returned before Extend, Finish, Abort or the next Flush.
func (w *Writer) Flush() func() error {
	type open struct {
		s *segment
		f *durable.File
	}
	before := w.syncing
	var files []open
	for _, s := range w.segments {
		if s.file != nil {
			files = append(files, open{s, s.file})
		}
	}
	return func() error {
		if err := before.wait(); err != nil {
			return err
		}
		for _, o := range files {
			err := o.f.Sync()
			if closing := o.s.closing.Load(); closing != nil && errors.Is(err, fs.ErrClosed) { // it became full meanwhile
				err = closing.wait()
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// Written returns the segments with the bytes written to each so far, for a message about what is kept.
func (w *Writer) Written() []Segment {
	out := make([]Segment, len(w.segments))
	for i, s := range w.segments {
		out[i] = s.Segment
	}
	return out
}

// Finish syncs the image, makes it read-only and returns its segments.
func (w *Writer) Finish() ([]Segment, error) {
	if w.err == nil {
		w.err = w.finish()
	}
	if w.err != nil {
		return nil, w.err
	}
	w.err = errors.New("the image is finished")
	return w.Written(), nil
}

func (w *Writer) finish() error {
	if err := w.syncing.wait(); err != nil {
		return err
	}
	for _, s := range w.segments {
		f := s.file
		s.file = nil
		if err := w.root.Seal(s.Name, f); err != nil {
			return err
		}
	}
	return nil
}

// Abort closes the files and keeps them as they are. After Finish it does nothing, so it can be deferred.
func (w *Writer) Abort() error {
	errs := []error{w.syncing.wait()}
	if w.err != nil { // it was told already
		errs = nil
	}
	w.syncing = nil
	for _, s := range w.segments {
		if s.file != nil {
			errs = append(errs, s.file.Abort())
			s.file = nil
		}
	}
	if w.err == nil {
		w.err = errors.New("the image was given up")
	}
	return errors.Join(errs...)
}

func (w *Writer) last() *segment { return w.segments[len(w.segments)-1] }

// begin makes the next file, or, when an interrupted run may have left it, empties it.
func (w *Writer) begin(left bool) error {
	if len(w.segments) == layout.MaxSegments {
		return fmt.Errorf("%w: the medium goes on after %d segments of %d bytes; they are kept", ErrSegments,
			layout.MaxSegments, w.opts.SegmentBytes)
	}
	name := layout.SegmentName(w.opts.Name, len(w.segments), w.opts.SegmentBytes > 0)
	f, err := openSegment(w.root, name, left)
	if err != nil {
		return err
	}
	w.segments = append(w.segments, &segment{Segment: Segment{Name: name}, file: f})
	w.asked = 0
	return nil
}

// next lets the segment before be synced to its end, and then the full one while the next is written: a sync takes long.
func (w *Writer) next() error {
	if err := w.syncing.wait(); err != nil {
		return err
	}
	f := w.last().file
	w.last().file = nil
	now := &syncing{done: make(chan struct{})}
	w.syncing = now
	w.last().closing.Store(now)
	go func() {
		now.err = errors.Join(f.Sync(), f.Abort())
		close(now.done)
	}()
	return w.begin(w.resumed)
}

func (s *syncing) wait() error {
	if s == nil {
		return nil
	}
	<-s.done
	return s.err
}
