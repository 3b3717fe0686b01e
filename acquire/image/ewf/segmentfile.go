package ewf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

const (
	// gatherBytes are written in one call.
	gatherBytes = 1 << 20
	// writebackBytes are written before the system is asked to bring them to the disk, so that the disk works from the
	// start and a sync has little left to do.
	writebackBytes = 8 << 20
)

// segmentFile is one file of the image. None is made read-only before Finish: an interrupted run may have to be cut anywhere.
type segmentFile struct {
	Segment
	file    *durable.File           // nil when it is full and closed, being closed, or made read-only by an earlier run
	done    *os.File                // such a one: what would be written is compared with it
	length  int64                   // of that
	closing atomic.Pointer[syncing] // its last sync and closing, once begun
	asked   int64                   // handed to the system for writing
}

// syncing is a sync on its way; err stands when done is closed.
type syncing struct {
	done chan struct{}
	err  error
}

func (s *syncing) wait() error {
	if s == nil {
		return nil
	}
	<-s.done
	return s.err
}

// openSegment makes a file. When an interrupted run may have left it, it is emptied, or if it is read-only and so
// complete, opened to be compared.
func openSegment(root *durable.Root, name string, left bool) (*segmentFile, error) {
	s := &segmentFile{Segment: Segment{Name: name}}
	var err error
	if s.file, err = root.OpenEx(name); !left || !errors.Is(err, fs.ErrExist) {
		return s, err
	}
	if s.file, err = root.Reopen(name); errors.Is(err, durable.ErrSealed) {
		s.file = nil
		return s, s.compare(root)
	}
	if err == nil {
		if err = s.file.Truncate(0); err != nil {
			err = errors.Join(err, s.file.Abort())
		}
	}
	return s, err
}

// compare opens a file that was made read-only.
func (s *segmentFile) compare(root *durable.Root) error {
	info, err := root.Lstat(s.Name)
	if err != nil {
		return err
	}
	s.length = info.Size()
	s.done, err = root.Open(s.Name)
	return err
}

// writeAt writes p at off, or compares it with what stands there.
func (s *segmentFile) writeAt(p []byte, off int64) error {
	if s.done == nil {
		_, err := s.file.WriteAt(p, off)
		return err
	}
	have := make([]byte, len(p))
	if n, err := s.done.ReadAt(have, off); n < len(have) {
		return fmt.Errorf("%w: %q is finished and ends at byte %d: %w", ErrPartial, s.Name, off+int64(n), err)
	}
	if !bytes.Equal(have, p) {
		return fmt.Errorf("%w: %q is finished, and at byte %d holds something else than it should", ErrPartial, s.Name, off)
	}
	return nil
}

// hint asks the system to begin with what was written up to off.
func (s *segmentFile) hint(off int64) {
	if s.done == nil && off-s.asked >= writebackBytes {
		startWriteback(s.file.Fd(), s.asked, off-s.asked)
		s.asked = off
	}
}

// ended says whether a file that was compared ends where it should.
func (s *segmentFile) ended() error {
	if s.done != nil && s.length != s.SizeBytes {
		return fmt.Errorf("%w: %q is finished with %d bytes, and should have %d", ErrPartial, s.Name, s.length, s.SizeBytes)
	}
	return nil
}

// close gives the file up as it is.
func (s *segmentFile) close() error {
	var err error
	switch {
	case s.file != nil:
		err = s.file.Abort()
	case s.done != nil:
		err = s.done.Close()
	}
	s.file, s.done = nil, nil
	return err
}

// gather collects what is written in order, so that it goes to the file in large pieces.
type gather struct {
	p   []byte
	off int64 // where p begins in the file
}

func (g *gather) pos() int64 { return g.off + int64(len(g.p)) }

// write appends p to the file of s.
func (g *gather) write(s *segmentFile, p []byte) error {
	for len(p) > 0 {
		n := copy(g.p[len(g.p):cap(g.p)], p)
		g.p, p = g.p[:len(g.p)+n], p[n:]
		if len(g.p) == cap(g.p) {
			if err := g.flush(s); err != nil {
				return err
			}
		}
	}
	s.SizeBytes = g.pos()
	return nil
}

func (g *gather) flush(s *segmentFile) error {
	if len(g.p) == 0 {
		return nil
	}
	if err := s.writeAt(g.p, g.off); err != nil {
		return err
	}
	g.off, g.p = g.pos(), g.p[:0]
	s.hint(g.off)
	return nil
}

// patch replaces what was written at off.
func (g *gather) patch(s *segmentFile, p []byte, off int64) error {
	if in := off - g.off; in >= 0 {
		copy(g.p[in:], p)
		return nil
	}
	if end := off + int64(len(p)); end > g.off { // it is partly in the file
		copy(g.p, p[g.off-off:])
		p = p[:g.off-off]
	}
	return s.writeAt(p, off)
}
