package restore

import (
	"context"
	"fmt"
	"sync"
)

// minStep is the least that a bad place is narrowed down to where the target has no sectors.
const minStep = 512

// sectors reads and writes any bytes of a target, and finds which of its sectors fail. What it does not write of a sector
// keeps what stood there.
type sectors struct {
	Target
	edge []byte // one sector
}

func newSectors(t Target) *sectors { return &sectors{t, make([]byte, t.SectorBytes())} }

// write writes p at off. The places that the target does not take go to failed, whose error ends it.
func (s *sectors) write(p []byte, off int64, failed func(Range) error) error {
	return s.pieces(p, off, func(p []byte, off int64, whole bool) error {
		if whole {
			return s.bisect(p, off, s.WriteAt, failed)
		}
		return s.patch(p, off, failed)
	})
}

// read fills p from off. The places that the target does not give go to failed, and are zeros in p.
func (s *sectors) read(p []byte, off int64, failed func(Range) error) error {
	return s.pieces(p, off, func(p []byte, off int64, whole bool) error {
		if whole {
			return s.bisect(p, off, s.fill, failed)
		}
		start := off / s.SectorBytes() * s.SectorBytes()
		err := s.bisect(s.edge, start, s.fill, failed)
		copy(p, s.edge[off-start:])
		return err
	})
}

// pieces cuts p, which lies at off, into what is whole sectors, and the parts of sectors before and behind.
func (s *sectors) pieces(p []byte, off int64, do func(p []byte, off int64, whole bool) error) error {
	sector := s.SectorBytes()
	head := min((sector-off%sector)%sector, int64(len(p)))
	body := (int64(len(p)) - head) / sector * sector
	for _, cut := range []struct {
		from, to int64
		whole    bool
	}{{0, head, false}, {head, head + body, true}, {head + body, int64(len(p)), false}} {
		if cut.from == cut.to {
			continue
		}
		if err := do(p[cut.from:cut.to], off+cut.from, cut.whole); err != nil {
			return err
		}
	}
	return nil
}

// patch writes a part of one sector. If the rest of it cannot be read it is left alone, and listed.
func (s *sectors) patch(p []byte, off int64, failed func(Range) error) error {
	start := off / s.SectorBytes() * s.SectorBytes()
	switch err := s.fill(s.edge, start); {
	case isBadPlace(err):
		return failed(Range{start, int64(len(s.edge))})
	case err != nil:
		return err
	}
	copy(s.edge[off-start:], p)
	return s.bisect(s.edge, start, s.WriteAt, failed)
}

// bisect does something with whole sectors. Where that fails for a bad place, the halves are tried by themselves, down to
// one sector.
func (s *sectors) bisect(p []byte, off int64, do func([]byte, int64) error, failed func(Range) error) error {
	err := do(p, off)
	if err == nil || !isBadPlace(err) {
		return err
	}
	step := max(s.SectorBytes(), minStep)
	if int64(len(p)) <= step {
		return failed(Range{off, int64(len(p))})
	}
	half := (int64(len(p))/2 + step - 1) / step * step
	if err := s.bisect(p[:half], off, do, failed); err != nil {
		return err
	}
	return s.bisect(p[half:], off+half, do, failed)
}

// fill reads whole sectors; after an error p is zeros.
func (s *sectors) fill(p []byte, off int64) error {
	n, err := s.ReadAt(p, off)
	if err == nil && n < len(p) {
		err = fmt.Errorf("read %d bytes of the target at offset %d: got %d", len(p), off, n)
	}
	if err != nil {
		clear(p)
	}
	return err
}

// list collects places that fail. It may be added to from several goroutines.
type list struct {
	ctx    context.Context // whose end ends the collecting, which may take long
	mu     sync.Mutex
	ranges []Range
	failed int64 // bytes
}

func (l *list) add(r Range) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed += r.SizeBytes
	if last := len(l.ranges) - 1; last >= 0 && l.ranges[last].End() == r.Offset {
		l.ranges[last].SizeBytes += r.SizeBytes
	} else {
		l.ranges = append(l.ranges, r)
	}
	if l.failed > maxFailed || len(l.ranges) > maxRanges {
		return fmt.Errorf("%w: %d bytes in %d places", ErrTooManyErrors, l.failed, len(l.ranges))
	}
	return nil
}
