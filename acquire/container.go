package acquire

import (
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// headerPointer is where the words of a container stand in the predicate.
const headerPointer = "/acquisition/medium/container/header"

// takeContainer computes what the medium's container states about it, and commits to its words.
func (r *run) takeContainer(about *record.Medium) error {
	c, ok := about.Container.Get()
	if !ok {
		return nil
	}
	for _, s := range c.Stored() {
		if alg := s.Digest.Algorithm(); !slices.Contains(r.opts.Extra, alg) {
			r.opts.Extra = append(r.opts.Extra, alg)
		}
	}
	header, err := r.opts.Openings.CommitFact(rand.Reader, headerPointer, r.m.HeaderText(), "it has none")
	if err != nil {
		return fmt.Errorf("what the image says about itself: %w", err)
	}
	c.Header = header
	about.Container = record.Known(c)
	return nil
}

// sameContainer compares what an image is known by.
func sameContainer(was, is record.Fact[record.Container]) error {
	w, ok := was.Get()
	if !ok {
		return nil // then the kind was another one
	}
	i, ok := is.Get()
	switch {
	case !ok, w.Segments != i.Segments, w.ChunkBytes != i.ChunkBytes, w.Unread != i.Unread:
		return fmt.Errorf("%w: it is another image, or cut another way, or of its segments others are missing than before", ErrOtherMedium)
	case w.SetID != i.SetID:
		return fmt.Errorf("%w: the set identifier of the image is another one", ErrOtherMedium)
	}
	a, b := w.Stored(), i.Stored()
	if !slices.EqualFunc(a, b, func(a, b record.StoredDigest) bool { return a.Digest == b.Digest }) {
		return fmt.Errorf("%w: the image states other digests", ErrOtherMedium)
	}
	return nil
}
