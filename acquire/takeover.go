package acquire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// ErrTakeOver says that an image of another program cannot be taken over, or is needed and was not given.
var ErrTakeOver = errors.New("the image cannot be taken over")

// TakeOver is an image that another program has made of the same medium, and its map in the form of GNU ddrescue. What the
// map calls finished is copied, is not read from the medium, and is recorded as such; everything else is read. Both may
// come from anybody: nothing but the bytes is believed of the one, nothing but where they are of the other.
type TakeOver struct {
	Image *medium.Medium // a regular file. The caller keeps it
	Map   []byte
	// Despite takes it over although the medium gives some of the bytes otherwise, or none that could be compared.
	Despite bool
}

// taking is what is taken over.
type taking struct {
	image  *medium.Medium // nil in a run that goes on and was not given it
	list   *image.Map     // finished is what is taken over, not tried all else
	digest record.Digest  // of the file that lists it
	start  *image.Map     // the map that the rescue begins with; nil in a run that goes on
	given  []int64        // places that the medium itself gave in this run: the first and the last two
}

func (t *taking) gave(offset int64) { t.given = append(t.given[:min(len(t.given), 2)], offset) }

// planTakeOver reads the map. Borders within a sector shrink what is taken over. What the other program found to be bad is
// not believed, but read last.
func (r *run) planTakeOver() error {
	o := r.opts.TakeOver
	if o == nil {
		return nil
	}
	if !r.resumable() || r.opts.OnError != record.OnErrorRescue {
		return fmt.Errorf("%w: what is missing of it is read by a rescue, from a device or file", ErrOptions)
	}
	theirs, err := image.ParseMap(bytes.NewReader(o.Map), image.MapLimits{SizeBytes: layout.MaxMap})
	if err != nil {
		return fmt.Errorf("%w: its map: %w", ErrTakeOver, err)
	}
	if theirs.Size() != r.size {
		return fmt.Errorf("%w: its map is of %d bytes, the medium has %d", ErrTakeOver, theirs.Size(), r.size)
	}
	t := &taking{image: o.Image}
	if t.list, t.start, err = splitMap(theirs, r.m.SectorBytes()); err != nil {
		return fmt.Errorf("%w: its map: %w", ErrTakeOver, err)
	}
	if t.digest, err = r.digestOfList(t.list); err != nil {
		return err
	}
	if err := t.checkImage(r.size); err != nil {
		return err
	}
	all := t.list.Total(image.Finished)
	r.taking = t
	r.acq.TakenOver = []record.TakenOver{{Bytes: all.SizeBytes, Ranges: int64(all.Ranges), Map: record.SHA256Of(o.Map)}}
	return nil
}

// splitMap gives the list of what is taken over, and the map of which nothing of it is read yet. Both have their borders between
// sectors, and the end.
func splitMap(theirs *image.Map, sector int64) (list, start *image.Map, err error) {
	size := theirs.Size()
	if list, err = image.NewMap(size, image.MapLimits{}); err != nil {
		return nil, nil, err
	}
	if start, err = image.NewMap(size, image.MapLimits{}); err != nil {
		return nil, nil, err
	}
	for part := range theirs.Unread() {
		status := part.Status
		if status == image.Bad {
			status = image.NonScraped
		}
		from := part.Offset / sector * sector
		end := min(roundUp(part.End(), sector), size)
		if err := start.Set(from, end-from, status); err != nil {
			return nil, nil, err
		}
	}
	for part := range theirs.All() {
		from, end := roundUp(part.Offset, sector), part.End()/sector*sector
		if part.End() == size {
			end = size
		}
		if part.Status != image.Finished || from >= end {
			continue
		}
		if err := errors.Join(list.Set(from, end-from, image.Finished), start.Set(from, end-from, image.NonTried)); err != nil {
			return nil, nil, err
		}
	}
	return list, start, nil
}

// roundUp rounds to whole sectors, of what may be as large as an int64.
func roundUp(n, sector int64) int64 {
	if rest := n % sector; rest > 0 && n <= math.MaxInt64-sector {
		return n - rest + sector
	} else if rest > 0 {
		return math.MaxInt64
	}
	return n
}

// checkImage requires the image to have what is taken over. Programs leave an image shorter than the medium where they
// could not read its end.
func (t *taking) checkImage(size int64) error {
	last, ok := t.list.Prev(size, image.Finished)
	if !ok {
		return fmt.Errorf("%w: its map calls no whole sector finished", ErrTakeOver)
	}
	n, known := t.image.Size()
	if !known || n > size || n < last.End() {
		return fmt.Errorf("%w: it has %d bytes, the medium has %d, and its map calls the first %d or some of them finished", ErrTakeOver, n, size, last.End())
	}
	return nil
}

// encodeList is the file that lists what was taken over.
func (r *run) encodeList(list *image.Map) ([]byte, error) {
	var text bytes.Buffer
	err := list.Encode(&text, []string{"Taken over from another image and not read from the medium: +"})
	return text.Bytes(), err
}

func (r *run) digestOfList(list *image.Map) (record.Digest, error) {
	b, err := r.encodeList(list)
	if err != nil {
		return record.Digest{}, err
	}
	return digestsOf(b)[0], nil
}

// sampleTaken reads some of what will be taken over from the medium, where it still gives it, and compares. An image that
// could not be compared at all may be of any medium.
func (r *run) sampleTaken(context.Context) error {
	t := r.taking
	if t == nil {
		return nil
	}
	about := &r.acq.TakenOver[0]
	var unreadable error
	buffer, other := make([]byte, hashtree.GroupSize), make([]byte, hashtree.GroupSize)
	for _, p := range r.placesOf(t.list) {
		ours, theirs := buffer[:p.SizeBytes], other[:p.SizeBytes]
		_, err := r.m.ReadAt(ours, p.Offset)
		if r.isBadPlace(err) {
			unreadable = err
			continue
		}
		if err != nil {
			return fmt.Errorf("compare the image with the medium: %w", err)
		}
		if err := t.read(theirs, p.Offset); err != nil {
			return err
		}
		t.gave(p.Offset)
		if about.Sampled++; !bytes.Equal(ours, theirs) {
			about.Differing++
		}
	}
	switch {
	case r.opts.TakeOver.Despite:
	case about.Differing > 0:
		return fmt.Errorf("%w: %w: %d of %d places that its map calls finished read differently on the medium", ErrTakeOver, ErrOtherMedium, about.Differing, about.Sampled)
	case about.Sampled == 0 && unreadable != nil:
		return fmt.Errorf("%w: %w, or it has died: the medium gives none of the places that were to be compared: %w", ErrTakeOver, ErrOtherMedium, unreadable)
	}
	return nil
}

// read fills p. The error is none of the medium's.
func (t *taking) read(p []byte, off int64) error {
	n, err := t.image.ReadAt(p, off)
	if err == nil && n < len(p) {
		err = errors.New("it ended early")
	}
	if err != nil {
		return fmt.Errorf("%w: %v", ErrTakeOver, err) //nolint:errorlint // it must not be taken for one of the medium
	}
	return nil
}

// listTaken writes at every destination which bytes will not be read from the medium.
func (r *run) listTaken(context.Context) error {
	if r.taking == nil {
		return nil
	}
	b, err := r.encodeList(r.taking.list)
	if err != nil {
		return err
	}
	return r.each(func(d *dest) error { return d.root.CreateEx(layout.TakenName(r.name), b) })
}

// startTakingOver begins with a rescue of which nothing is read.
func (r *run) startTakingOver() error {
	q := &rescuing{m: r.taking.start}
	var err error
	if q.midstates, err = r.midstates(); err != nil {
		return err
	}
	return r.beginRescue(q)
}

// takeOver copies what is not copied yet. A run that goes on may have all of it.
func (r *run) takeOver(ctx context.Context) error {
	t := r.taking
	if t == nil || r.takenBytes() == t.list.Total(image.Finished).SizeBytes {
		return nil
	}
	if t.image == nil {
		return &medium.HintError{Err: fmt.Errorf("%w: %w: not all of it is copied yet, and it was not given", ErrOptions, ErrTakeOver),
			Text: "name it and its map again: --take-over IMAGE --map MAPFILE"}
	}
	all := t.list.Total(image.Finished)
	if err := r.phase(PhaseTakingOver, all.SizeBytes); err != nil {
		return err
	}
	err := r.copyTaken(ctx)
	if err == nil {
		if end := t.image.CheckEnd(); end != nil {
			err = fmt.Errorf("%w: %v", ErrTakeOver, end) //nolint:errorlint // it must not be taken for one of the medium
		}
	}
	if err != nil {
		r.logError(err)
		return errors.Join(err, r.saveRescue(causeOf(err)))
	}
	about := r.acq.TakenOver[0]
	text := fmt.Sprintf("%s; map %s", rangesText(about.Ranges), about.Map)
	if err := r.event(JournalEvent{Event: EventTakenOver, SizeBytes: about.Bytes, Text: text}); err != nil {
		return err
	}
	return r.saveRescue(record.CauseUnknown)
}

// rangesText counts ranges for people.
func rangesText(n int64) string {
	if n == 1 {
		return "1 range"
	}
	return fmt.Sprintf("%d ranges", n)
}

// takenBytes is how much of what is taken over is copied.
func (r *run) takenBytes() (n int64) {
	for part := range r.taking.list.All() {
		for at := part.Offset; at < part.End() && part.Status == image.Finished; {
			have := r.rescue.m.At(at)
			end := min(have.End(), part.End())
			if have.Status == image.Finished {
				n += end - at
			}
			at = end
		}
	}
	return n
}

// copyTaken goes group by group, so that each is complete, or kept by groups, before the next.
func (r *run) copyTaken(ctx context.Context) error {
	q, buffer := r.rescue, make([]byte, hashtree.GroupSize)
	var done int64
	for part := range r.taking.list.All() {
		for at := part.Offset; at < part.End() && part.Status == image.Finished; {
			if ctx.Err() != nil {
				return fmt.Errorf("stopped: %w", context.Cause(ctx))
			}
			end := min((at/hashtree.GroupSize+1)*hashtree.GroupSize, part.End())
			p := buffer[:end-at]
			if have := q.m.At(at); have.Status != image.Finished || have.End() < end {
				if err := r.copyPart(p, at); err != nil {
					return err
				}
			}
			at = end
			done += int64(len(p))
			r.done(done)
		}
	}
	return nil
}

func (r *run) copyPart(p []byte, off int64) error {
	q := r.rescue
	if err := r.taking.read(p, off); err != nil {
		return err
	}
	if err := q.groups.Store(off, p); err != nil {
		return err
	}
	if err := q.m.Set(off, int64(len(p)), image.Finished); err != nil {
		return err
	}
	if q.unsaved += int64(len(p)); !q.enough(r.opts.StretchBytes) {
		return nil
	}
	return r.saveRescue(record.CauseUnknown)
}

// resumeTaking takes up the list of a run that was interrupted, and the image if it was given again.
func (r *run) resumeTaking(s *State, again *TakeOver) error {
	if len(s.Taken) == 0 {
		return nil
	}
	t := &taking{digest: s.Taken[0]}
	err := r.each(func(d *dest) error {
		b, err := d.root.ReadFile(layout.TakenName(r.name), layout.MaxMap)
		if err != nil {
			return fmt.Errorf("%w: %w", image.ErrPartial, err)
		}
		if digestsOf(b)[0] != t.digest {
			return fmt.Errorf("%w: %q is not the one that was written", image.ErrPartial, layout.TakenName(r.name))
		}
		t.list, err = image.ParseMap(bytes.NewReader(b), image.MapLimits{SizeBytes: layout.MaxMap})
		return err
	})
	if err != nil {
		return err
	}
	if t.list.Size() != r.size {
		return fmt.Errorf("%w: %q is of %d bytes, the medium has %d", image.ErrPartial, layout.TakenName(r.name), t.list.Size(), r.size)
	}
	r.taking = t
	if again == nil {
		return nil
	}
	t.image = again.Image
	return t.checkImage(r.size)
}

// sameTakeOver requires an image that is given again to come with the map it came with.
func (s *State) sameTakeOver(again *TakeOver) error {
	switch taken := s.Acquisition.TakenOver; {
	case again == nil:
	case len(taken) == 0:
		return fmt.Errorf("%w: %w: the acquisition was begun without one", ErrOptions, ErrTakeOver)
	case taken[0].Map != record.SHA256Of(again.Map):
		return fmt.Errorf("%w: %w: the acquisition was begun with another map", ErrOptions, ErrTakeOver)
	}
	return nil
}
