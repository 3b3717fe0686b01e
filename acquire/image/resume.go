package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// ErrPartial says that what an interrupted run left of an image is not what it said it had made durable.
var ErrPartial = errors.New("the unfinished image is not as it was left")

// Resume opens an image of which an interrupted run made the first size bytes durable, to go on writing in order after
// them. Whatever stands behind them is cut off. Too few bytes are ErrPartial.
func Resume(root *durable.Root, opts WriterOptions, size int64) (*Writer, error) {
	w := &Writer{root: root, opts: opts, resumed: true}
	return w.reopen(size, func(s *segment, last bool) error {
		if !last {
			return nil
		}
		if err := s.file.Truncate(s.SizeBytes); err != nil {
			return err
		}
		_, err := s.file.Seek(s.SizeBytes, io.SeekStart)
		return err
	})
}

// ResumeExtended opens an image of a medium of size bytes that an interrupted run had extended, for WriteAt and ReadAt.
func ResumeExtended(root *durable.Root, opts WriterOptions, size int64) (*Writer, error) {
	w := &Writer{root: root, opts: opts, resumed: true, extended: true}
	return w.reopen(size, func(*segment, bool) error { return nil })
}

func (w *Writer) reopen(size int64, prepare func(s *segment, last bool) error) (*Writer, error) {
	plan, err := Plan(w.opts.Name, size, w.opts.SegmentBytes)
	if err != nil {
		return nil, err
	}
	for i, p := range plan {
		s, err := reopenSegment(w.root, p)
		if err == nil && s.file != nil {
			w.segments = append(w.segments, s)
			err = prepare(s, i == len(plan)-1)
		} else if err == nil {
			w.segments = append(w.segments, s)
		}
		if err != nil {
			return nil, errors.Join(err, w.Abort())
		}
		w.size += s.SizeBytes
	}
	w.asked = w.last().SizeBytes
	return w, nil
}

// reopenSegment opens a file that must hold all of p, and may be sealed.
func reopenSegment(root *durable.Root, p Segment) (*segment, error) {
	info, err := root.Lstat(p.Name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPartial, err)
	}
	if info.Size() < p.SizeBytes {
		return nil, fmt.Errorf("%w: %q has %d bytes, %d were durable", ErrPartial, p.Name, info.Size(), p.SizeBytes)
	}
	f, err := root.Reopen(p.Name)
	if errors.Is(err, durable.ErrSealed) && info.Size() == p.SizeBytes {
		return &segment{Segment: p}, nil
	}
	if err != nil {
		return nil, err
	}
	return &segment{Segment: p, file: f}, nil
}

// openSegment makes a file; one that an interrupted run has left is emptied.
func openSegment(root *durable.Root, name string, left bool) (*durable.File, error) {
	f, err := root.OpenEx(name)
	if !left || !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	if f, err = root.Reopen(name); err != nil {
		return nil, err
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Abort())
	}
	return f, nil
}

// Extend makes room for a medium of size bytes, zeros behind what was written, and leaves Write for WriteAt and ReadAt.
// Where the file system has holes, they take no space.
func (w *Writer) Extend(size int64) error {
	if w.err != nil {
		return w.err
	}
	w.err = w.extend(size)
	return w.err
}

func (w *Writer) extend(size int64) error {
	plan, err := Plan(w.opts.Name, size, w.opts.SegmentBytes)
	if err != nil {
		return err
	}
	if size < w.size || len(plan) < len(w.segments) {
		return fmt.Errorf("extend an image of %d bytes to %d", w.size, size)
	}
	w.extended = true
	for i, p := range plan {
		if limit := w.opts.MaxFileBytes; limit > 0 && p.SizeBytes > limit {
			return fmt.Errorf("%w: %q would have more than %d bytes", ErrFileTooLarge, p.Name, limit)
		}
		if i == len(w.segments) {
			if err := w.begin(w.resumed); err != nil {
				return err
			}
		}
		s := w.segments[i]
		if s.SizeBytes == p.SizeBytes {
			continue
		}
		if err := s.file.Truncate(p.SizeBytes); err != nil {
			return err
		}
		s.SizeBytes = p.SizeBytes
	}
	w.size = size
	return nil
}

// WriteAt writes p at the byte off of the medium, which must lie in a part of the image that is not sealed.
func (w *Writer) WriteAt(p []byte, off int64) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.at(p, off, func(f *durable.File, p []byte, off int64) (int, error) { return f.WriteAt(p, off) })
	w.err = err
	return n, err
}

// ReadAt reads back what was written at the byte off of the medium, perhaps from the system's cache.
func (w *Writer) ReadAt(p []byte, off int64) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	return w.at(p, off, func(f *durable.File, p []byte, off int64) (int, error) { return f.ReadAt(p, off) })
}

func (w *Writer) at(p []byte, off int64, do func(*durable.File, []byte, int64) (int, error)) (int, error) {
	if !w.extended || off < 0 || off > w.size-int64(len(p)) {
		return 0, fmt.Errorf("%d bytes at %d of an image of %d", len(p), off, w.size)
	}
	total := 0
	for len(p) > 0 {
		s, local := w.segments[0], off
		if each := w.opts.SegmentBytes; each > 0 {
			s, local = w.segments[off/each], off%each
		}
		if s.file == nil {
			return total, fmt.Errorf("%q: %w", s.Name, durable.ErrSealed)
		}
		part := p[:min(int64(len(p)), s.SizeBytes-local)]
		n, err := do(s.file, part, local)
		total += n
		if err != nil {
			return total, err
		}
		p, off = p[n:], off+int64(n)
	}
	return total, nil
}
