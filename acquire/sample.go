package acquire

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
)

// maxSamples is how many places of what is safe are read again to know the medium, the first and the last among them.
const maxSamples = 16

// sameMedium compares what is known of the medium without reading it.
func (r *run) sameMedium() error {
	if r.m == nil {
		return fmt.Errorf("%w: no medium was given", ErrNotResumable)
	}
	was, is := r.acq.Medium, r.m.Describe()
	is.Hardware = r.m.Ask()
	r.acq.Medium.Access = bothAccesses(was.Access, is.Access)
	if readOnly, known := is.Access.ReadOnlyBefore.Get(); known && !readOnly {
		r.writable = true
	}
	switch {
	case was.Kind != is.Kind:
		return fmt.Errorf("%w: it was a %s and is a %s", ErrOtherMedium, was.Kind, is.Kind)
	case was.SizeBytes != is.SizeBytes:
		return fmt.Errorf("%w: it had %d bytes and has %d", ErrOtherMedium, was.SizeBytes, is.SizeBytes)
	}
	if w, ok := was.LogicalSectorBytes.Get(); ok {
		if i, ok := is.LogicalSectorBytes.Get(); !ok || i != w {
			return fmt.Errorf("%w: its sectors had %d bytes and have %d", ErrOtherMedium, w, i)
		}
	}
	if err := sameContainer(was.Container, is.Container); err != nil {
		return err
	}
	return sameDrive(was.Hardware, is.Hardware)
}

// bothAccesses is how the medium was opened by two runs: what the first one said of it stays true of the bytes it read.
func bothAccesses(was, is record.Access) record.Access {
	is.Live = is.Live || was.Live
	is.Exclusive = is.Exclusive && was.Exclusive
	is.ReadOnlyBefore, is.TimeoutBeforeSeconds = was.ReadOnlyBefore, was.TimeoutBeforeSeconds
	for _, n := range was.Notes {
		if !slices.Contains(is.Notes, n) {
			is.Notes = append(is.Notes, n)
		}
	}
	is.Notes = is.Notes[:min(len(is.Notes), record.MaxNotes)]
	return is
}

// sameDrive compares what a drive is known by for life. Where one of the two does not tell, the samples must do.
func sameDrive(was, is record.Fact[record.Hardware]) error {
	w, ok1 := was.Get()
	i, ok2 := is.Get()
	if !ok1 || !ok2 {
		return nil
	}
	for _, id := range []struct {
		name    string
		was, is record.Fact[string]
	}{{"serial number", w.Serial, i.Serial}, {"WWN", w.WWN, i.WWN}, {"model", w.Model, i.Model}, {"EUI-64", w.EUI64, i.EUI64}, {"NGUID", w.NGUID, i.NGUID}} {
		a, ok1 := id.was.Get()
		b, ok2 := id.is.Get()
		if ok1 && ok2 && a != b {
			return fmt.Errorf("%w: its %s was %q and is %q", ErrOtherMedium, id.name, a, b)
		}
	}
	return nil
}

// sample reads some of what is safe again and compares it. A place that cannot be read any more says nothing, but one at
// least must be read, and none be different; otherwise it is ErrOtherMedium, unless despite.
func (r *run) sample(despite bool) (sampled, differing int64, err error) {
	places := r.samples()
	buffer := make([]byte, hashtree.GroupSize)
	var unreadable error
	for _, p := range places {
		b := buffer[:p.SizeBytes]
		err := r.readAgain(b, p.Offset)
		if r.isBadPlace(err) {
			unreadable = err
			continue
		}
		if err != nil {
			return 0, 0, fmt.Errorf("read a place again that was read before: %w", err)
		}
		same, err := r.sameAsBefore(b, p.Offset)
		if err != nil {
			return 0, 0, err
		}
		if r.taking != nil {
			r.taking.gave(p.Offset)
		}
		if sampled++; !same {
			differing++
		}
	}
	switch {
	case despite:
	case differing > 0:
		err = fmt.Errorf("%w: %d of %d places that were read before read differently now", ErrOtherMedium, differing, sampled)
	case sampled == 0 && unreadable == nil && r.rescue == nil && r.position > 0:
		err = fmt.Errorf("%w, or nobody can tell: of the %d bytes that it was asked for before it gave none", ErrOtherMedium, r.position)
	case sampled == 0 && unreadable != nil:
		err = fmt.Errorf("%w, or it has died: of %d places that were read before none can be read now: %w", ErrOtherMedium, len(places), unreadable)
	}
	if err != nil {
		return 0, 0, err
	}
	return sampled, differing, nil
}

// readAgain reads what was read before. Where a reading in place got nothing it leaves zeros, which the tree has there too.
func (r *run) readAgain(b []byte, off int64) error {
	if r.inPlace == nil {
		_, err := r.m.ReadAt(b, off)
		return err
	}
	clear(b)
	at, end := off, off+int64(len(b))
	for _, bad := range r.inPlace.bad {
		if bad.End() <= at || bad.Offset >= end {
			continue
		}
		if bad.Offset > at {
			if _, err := r.m.ReadAt(b[at-off:bad.Offset-off], at); err != nil {
				return err
			}
		}
		at = min(bad.End(), end)
	}
	if at == end {
		return nil
	}
	_, err := r.m.ReadAt(b[at-off:], at)
	return err
}

// samples are whole groups, spread over what was read; if a rescue has none yet, parts of groups.
func (r *run) samples() []image.Range {
	if r.rescue == nil {
		return spread(func(take func(p image.Range)) {
			r.pieces(0, r.position, true, func(p image.Range) {
				// Of a group that gave nothing there is nothing to compare.
				if r.inPlace == nil || !r.inPlace.covers(p.Offset, p.SizeBytes) {
					take(p)
				}
			})
		})
	}
	return r.placesOf(r.rescue.m)
}

// placesOf spreads places over what a map calls finished.
func (r *run) placesOf(m *image.Map) []image.Range {
	finished := func(whole bool) func(take func(p image.Range)) {
		return func(take func(p image.Range)) {
			for p := range m.All() {
				if p.Status == image.Finished {
					r.pieces(p.Offset, p.End(), whole, take)
				}
			}
		}
	}
	if whole := spread(finished(true)); len(whole) > 0 {
		return whole
	}
	return spread(finished(false))
}

// pieces gives the whole groups of a range that was read, or the parts of groups. The only group of a medium is never a
// whole one: the tree has its root.
func (r *run) pieces(from, end int64, whole bool, take func(p image.Range)) {
	for from < end {
		next := min((from/hashtree.GroupSize+1)*hashtree.GroupSize, end)
		if (next-from == hashtree.GroupSize && r.size > hashtree.GroupSize) == whole {
			take(image.Range{Offset: from, SizeBytes: next - from})
		}
		from = next
	}
}

// spread chooses among places, which are walked twice: there may be millions of them.
func spread(walk func(take func(p image.Range))) []image.Range {
	var n, i int
	walk(func(image.Range) { n++ })
	var out []image.Range
	walk(func(p image.Range) {
		if n <= maxSamples || i == len(out)*(n-1)/(maxSamples-1) {
			out = append(out, p)
		}
		i++
	})
	return out
}

// sameAsBefore compares a group with the tree, and a part of one with the image.
func (r *run) sameAsBefore(b []byte, off int64) (bool, error) {
	if len(b) == hashtree.GroupSize {
		want, err := hashtree.ReadValue(treeFiles{r}, off/hashtree.GroupSize)
		return hashtree.Sum(b, off/hashtree.GroupSize) == want, err
	}
	had := make([]byte, len(b))
	if _, err := r.alive()[0].image.ReadAt(had, off); err != nil {
		return false, err
	}
	return bytes.Equal(b, had), nil
}
