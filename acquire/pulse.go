package acquire

import (
	"errors"
	"fmt"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
)

// maxFailed reads in a row without a good one, and the medium is asked whether it gives anything at all.
const maxFailed = 32

// stillReads tells a bad place from a medium that has died but keeps its name and its size: medium.ErrLost if it no
// longer gives any of up to three sectors that it gave before. Where it never gave anything there is nothing to ask, and
// nil says nothing.
func (r *run) stillReads() error {
	var cause error
	buffer := make([]byte, r.m.SectorBytes())
	for _, at := range r.knownGood() {
		_, err := r.m.ReadAt(buffer, at)
		if !r.isBadPlace(err) {
			return err
		}
		cause = err
	}
	if cause == nil {
		return nil
	}
	return fmt.Errorf("nothing can be read any more, not even what was read before: %w: %w", medium.ErrLost, cause)
}

func (r *run) isBadPlace(err error) bool {
	return r.isReadError(err) && !errors.Is(err, medium.ErrLost)
}

// knownGood are the sectors that stillReads asks for: the first, one in the middle and the last of those that were read.
func (r *run) knownGood() []int64 {
	sector := r.m.SectorBytes()
	if r.rescue == nil {
		if r.position < sector {
			return nil
		}
		return r.inPlace.good([]int64{0, r.position / 2 / sector * sector, (r.position - 1) / sector * sector})
	}
	if r.taking != nil { // what was taken over was never read here
		return r.taking.given
	}
	m := r.rescue.m
	var places []int64
	if part, ok := m.Next(0, image.Finished); ok {
		places = append(places, part.Offset)
	}
	if part, ok := m.Next(m.Size()/2, image.Finished); ok {
		places = append(places, part.Offset/sector*sector)
	}
	if part, ok := m.Prev(m.Size(), image.Finished); ok {
		places = append(places, (part.End()-1)/sector*sector)
	}
	return places
}

// takeBack lets nothing be called bad on the word of a medium that may have been dead by then, nor the rescue finished:
// the run has ended with an error.
func (q *rescuing) takeBack(retries int64) error {
	next := q.m.State()
	if next.Phase == image.PhaseFinished {
		next = image.MapState{Phase: image.PhaseRetrying, Pass: int(retries) + 1}
	}
	for _, part := range q.failed {
		if err := q.m.Set(part.Offset, part.SizeBytes, image.NonTrimmed); err != nil {
			return err
		}
		if next.Phase != image.PhaseCopying {
			next = image.MapState{Phase: image.PhaseTrimming, Pass: 1}
		}
	}
	q.failed = nil
	return q.m.SetState(next)
}
