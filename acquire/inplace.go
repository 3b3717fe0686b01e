package acquire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/rescue"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// DefaultInPlaceBytes is how much may be unreadable, where nothing else is said, before a reading in place stops: a drive
// with more is better read by a rescue, which goes around the bad places first.
const DefaultInPlaceBytes = 1 << 20

// maxInPlace bounds the ranges that a reading in place keeps, all of which stand in every State. The smallest segment of an
// E01 has room for more in its list.
const maxInPlace = 4096

// inPlace reads in order and tries each bad place at once, down to the sector: for images that can only be written in
// order. It says what is unread of the medium as far as that was read, apart from the block that is being read.
type inPlace struct {
	r         *run
	bad       []image.Range // in order, apart
	bytes     int64         // of these
	recovered int64         // bytes that were read only on retry
	untold    []image.Range // of these, what is not in the journal yet
}

// around reads a block of which a read failed, and leaves zeros where the medium gives nothing. off is a multiple of the
// sector. After an error it has noted nothing of this block.
func (q *inPlace) around(ctx context.Context, p []byte, off int64) (int, error) {
	p = p[:min(int64(len(p)), q.r.size-off)]
	before := *q
	if n := len(before.bad); n > 0 { // the last one may grow
		before.bad = append(before.bad[:n-1:n-1], before.bad[n-1])
	}
	err := q.split(ctx, p, off, true)
	if err == nil {
		err = q.r.stillReads()
	}
	if err == nil {
		err = q.r.m.StartAt(off + int64(len(p)))
	}
	if err != nil {
		*q = before
		return 0, err
	}
	q.r.acq.Mode = record.ModeInPlace
	return len(p), nil
}

// split reads p in halves, because something in it is bad; tried says that a read of all of it failed.
func (q *inPlace) split(ctx context.Context, p []byte, off int64, tried bool) error {
	sector := q.r.m.SectorBytes()
	if int64(len(p)) <= sector {
		return q.sector(ctx, p, off, tried)
	}
	half := (int64(len(p))/2 + sector - 1) / sector * sector
	failed, err := q.try(ctx, p[:half], off)
	if err != nil {
		return err
	}
	if failed {
		if err := q.split(ctx, p[:half], off, true); err != nil {
			return err
		}
		if failed, err = q.try(ctx, p[half:], off+half); err != nil || !failed {
			return err
		}
	}
	// Where the first half was read, the bad place lies in the second: asking for all of it would only strain the drive.
	return q.split(ctx, p[half:], off+half, failed)
}

// sector tries a sector alone, unless that has failed already, and then as often as was asked for.
func (q *inPlace) sector(ctx context.Context, p []byte, off int64, tried bool) error {
	for n := range 1 + q.r.opts.Retries {
		if n == 0 && tried {
			continue
		}
		failed, err := q.try(ctx, p, off)
		if err != nil {
			return err
		}
		if !failed {
			if n > 0 {
				q.recover(image.Range{Offset: off, SizeBytes: int64(len(p))})
			}
			return nil
		}
	}
	clear(p)
	return q.add(image.Range{Offset: off, SizeBytes: int64(len(p)), Status: image.Bad})
}

// try reads p and reports whether the place is bad. Every other error ends the reading.
func (q *inPlace) try(ctx context.Context, p []byte, off int64) (failed bool, err error) {
	if ctx.Err() != nil {
		return false, fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	n, err := source{q.r.m}.ReadAt(p, off)
	if errors.Is(err, rescue.ErrUnreadable) {
		return true, nil
	}
	if err == nil && n != len(p) {
		err = fmt.Errorf("read %d bytes of %d at offset %d: %w", n, len(p), off, ErrMediumChanged)
	}
	return false, err
}

// recover notes a sector that was read only on retry.
func (q *inPlace) recover(part image.Range) {
	q.recovered += part.SizeBytes
	if n := len(q.untold); n > 0 && q.untold[n-1].End() == part.Offset {
		part = image.Range{Offset: q.untold[n-1].Offset, SizeBytes: q.untold[n-1].SizeBytes + part.SizeBytes}
		q.untold = q.untold[: n-1 : n-1] // a copy may have to be gone back to
	}
	q.untold = append(q.untold, part)
}

// tellRetried writes into the journal what was read only on retry.
func (r *run) tellRetried() error {
	if r.inPlace == nil {
		return nil
	}
	parts := r.inPlace.untold
	r.inPlace.untold = nil
	return r.tell(parts)
}

// add notes a range that is not read. More than was allowed is rescue.ErrTooManyBad.
func (q *inPlace) add(b image.Range) error {
	q.bytes += b.SizeBytes
	if n := len(q.bad); n > 0 && q.bad[n-1].End() == b.Offset {
		q.bad[n-1].SizeBytes += b.SizeBytes
	} else {
		q.bad = append(q.bad, b)
	}
	if q.bytes > q.r.opts.MaxBadBytes || len(q.bad) > maxInPlace {
		return fmt.Errorf("%w: up to byte %d, %d bytes in %s", rescue.ErrTooManyBad, b.End(), q.bytes, rangesText(int64(len(q.bad))))
	}
	return nil
}

// good leaves out of places those that could not be read.
func (q *inPlace) good(places []int64) []int64 {
	if q == nil {
		return places
	}
	return slices.DeleteFunc(places, func(at int64) bool { return q.overlaps(at, 1) })
}

// overlaps reports whether some of n bytes at off are unread.
func (q *inPlace) overlaps(off, n int64) bool {
	i := q.search(off)
	return i < len(q.bad) && q.bad[i].Offset < off+n
}

// covers reports whether all of n bytes at off are unread: ranges that touch are one.
func (q *inPlace) covers(off, n int64) bool {
	i := q.search(off)
	return i < len(q.bad) && q.bad[i].Offset <= off && q.bad[i].End() >= off+n
}

// search is the index of the first range that ends behind off.
func (q *inPlace) search(off int64) int {
	i, _ := slices.BinarySearchFunc(q.bad, off, func(b image.Range, off int64) int { return cmp.Compare(b.End(), off+1) })
	return i
}

// unread is what a State keeps of it.
func (q *inPlace) unread() []Range {
	out := make([]Range, len(q.bad))
	for i, b := range q.bad {
		out[i] = Range{b.Offset, b.SizeBytes}
	}
	return out
}

// startInPlace begins.
func (r *run) startInPlace() {
	if r.opts.OnError == record.OnErrorInPlace {
		r.inPlace = &inPlace{r: r}
	}
}

// resumeInPlace takes up what an interrupted run could not read.
func (r *run) resumeInPlace(s *State) error {
	r.startInPlace()
	q := r.inPlace
	if q == nil {
		return nil
	}
	q.recovered = r.acq.Unread.RecoveredBytes
	for _, u := range s.Unread {
		q.keep(u.Offset, u.SizeBytes)
	}
	if s.Phase != PhaseRereading || r.acq.Mode != record.ModeInPlace {
		return nil
	}
	r.mapped = s.Maps
	return r.each(func(d *dest) error {
		m, _, err := d.parseMap(r, s)
		if err != nil || len(q.bad) > 0 {
			return err
		}
		for b := range m.Unread() {
			q.keep(b.Offset, b.SizeBytes)
		}
		return nil
	})
}

func (q *inPlace) keep(off, n int64) {
	q.bad = append(q.bad, image.Range{Offset: off, SizeBytes: n, Status: image.Bad})
	q.bytes += n
}

// tellInPlace puts what was read around into the record.
func (r *run) tellInPlace() {
	if q := r.inPlace; q != nil {
		r.acq.Unread = record.Unread{Bytes: q.bytes, Ranges: int64(len(q.bad)), RecoveredBytes: q.recovered}
	}
}

// asMap is the map of a medium that was read in place to its end.
func (q *inPlace) asMap() (*image.Map, error) {
	m, err := image.NewMap(q.r.size, image.MapLimits{})
	if err == nil {
		err = m.Set(0, q.r.size, image.Finished)
	}
	for _, b := range q.bad {
		if err == nil {
			err = m.Set(b.Offset, b.SizeBytes, image.Bad)
		}
	}
	if err == nil {
		err = m.SetState(image.MapState{Phase: image.PhaseFinished, Pass: 1})
	}
	return m, err
}

// leaveMap writes the map, where there were bad places.
func (r *run) leaveMap() error {
	if r.acq.Mode != record.ModeInPlace {
		return nil
	}
	m, err := r.inPlace.asMap()
	if err != nil {
		return err
	}
	text, err := r.mapText(m)
	if err != nil {
		return err
	}
	r.mapped = []SavedMap{{digestsOf(text)[0], r.inPlace.recovered}}
	return r.each(func(d *dest) error { return d.root.Replace(layout.MapName(r.name), text) })
}
