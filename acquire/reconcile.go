package acquire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// readMap takes up the first map that the state names.
func (r *run) readMap(s *State) error {
	q := r.rescue
	var first error
	for _, d := range r.alive() {
		err := d.readMap(r, s)
		if err == nil {
			return nil
		}
		if first == nil {
			first = d.wrap(fmt.Errorf("%q: %w", layout.MapName(r.name), err))
		}
	}
	if len(s.Maps) > 1 || s.Phase != PhaseRescuing || !errors.Is(first, fs.ErrNotExist) {
		return first
	}
	// Stopped before the first map was written: all but the beginning is yet to be read.
	var err error
	if q.m, err = image.NewMap(r.size, image.MapLimits{}); err == nil && q.first > 0 {
		err = q.m.Set(0, q.first, image.Finished)
	}
	return err
}

// parseMap reads the map in the folder, which must be one of those that the state names, and says which.
func (d *dest) parseMap(r *run, s *State) (*image.Map, SavedMap, error) {
	b, err := d.root.ReadFile(layout.MapName(r.name), layout.MaxMap)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, SavedMap{}, fmt.Errorf("%w: %w", image.ErrPartial, err)
	}
	if err != nil {
		return nil, SavedMap{}, err
	}
	i := slices.IndexFunc(s.Maps, func(m SavedMap) bool { return m.Digest == digestsOf(b)[0] })
	if i < 0 {
		return nil, SavedMap{}, fmt.Errorf("%w: it is not the map that was saved", record.ErrMalformed)
	}
	m, err := image.ParseMap(bytes.NewReader(b), image.MapLimits{})
	if err != nil {
		return nil, SavedMap{}, fmt.Errorf("%w: %w", record.ErrMalformed, err)
	}
	if m.Size() != r.size {
		return nil, SavedMap{}, fmt.Errorf("%w: the map is of %d bytes, the medium has %d", record.ErrMalformed, m.Size(), r.size)
	}
	return m, s.Maps[i], nil
}

func (d *dest) readMap(r *run, s *State) error {
	m, saved, err := d.parseMap(r, s)
	if err != nil {
		return err
	}
	q := r.rescue
	if q.first > 0 && (m.At(0).Status != image.Finished || m.At(0).End() < q.first) {
		return fmt.Errorf("%w: the map does not begin with the %d bytes that are safe", record.ErrMalformed, q.first)
	}
	q.m, q.maps, r.acq.Unread.RecoveredBytes = m, []SavedMap{saved}, saved.RecoveredBytes
	return nil
}

// reconcile makes images and trees agree with the map: a run that was killed may have written sectors, or values, after
// it had saved the map.
func (r *run) reconcile() error {
	q := r.rescue
	var finished []image.Range
	for part := range q.m.All() {
		if part.Status == image.Finished && part.End() > q.first {
			finished = append(finished, part)
		}
	}
	for _, part := range finished {
		from := max(part.Offset, q.first) / hashtree.GroupSize
		for group := from; group <= (part.End()-1)/hashtree.GroupSize; group++ {
			if r.tree.Has(group) {
				continue
			}
			if err := r.tree.Resume(group, 1); err != nil {
				return err
			}
			if err := q.groups.reconcile(group, q.m); err != nil {
				return err
			}
		}
	}
	return nil
}

// reconcile looks at a group of which the map says that some of it was read, and not all.
func (g *groups) reconcile(group int64, m *image.Map) error {
	off, size := group*hashtree.GroupSize, g.size(group)
	if at := m.At(off); at.Status == image.Finished && at.End() >= off+size {
		return nil
	}
	sound, err := g.soundBlock(group, m)
	if err != nil {
		return err
	}
	block := sound
	if sound == nil {
		// What is not known to be right is read again.
		block = make([]byte, size)
		if err := m.Set(off, size, image.NonTried); err != nil {
			return err
		}
		if err := m.SetState(image.MapState{Phase: image.PhaseCopying, Pass: 1}); err != nil {
			return err
		}
	}
	if err := g.r.tree.Replace(group, g.value(group, block)); err != nil {
		return err
	}
	return g.write(group, 0, block)
}

// soundBlock is the group with zeros for what the map does not call finished, if it is as a run left it: its value is that
// of the last save, or of what was written until the run was killed. Nil if no destination has it; one that has not while
// another has is given up.
func (g *groups) soundBlock(group int64, m *image.Map) (block []byte, err error) {
	off, size := group*hashtree.GroupSize, g.size(group)
	var damaged []*dest
	err = g.r.each(func(d *dest) error {
		want, err := hashtree.ReadValue(d.tree, group)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		b := make([]byte, size)
		if _, err := d.image.ReadAt(b, off); err != nil {
			return err
		}
		whole := g.value(group, b)
		clearUnread(b, off, m)
		if whole != want && g.value(group, b) != want || block != nil && !bytes.Equal(b, block) {
			damaged = append(damaged, d)
			return nil
		}
		block = b
		return nil
	})
	if err != nil || block == nil {
		return nil, err
	}
	for _, d := range damaged {
		if err := g.r.lose(d, &RereadError{Dir: d.partial(), Ranges: []Range{{off, size}}}); err != nil {
			return nil, err
		}
	}
	return block, nil
}

// clearUnread makes zeros of what the map does not call finished in the bytes from off on.
func clearUnread(b []byte, off int64, m *image.Map) {
	end := off + int64(len(b))
	for at := off; at < end; {
		part := m.At(at)
		to := min(part.End(), end)
		if part.Status != image.Finished {
			clear(b[at-off : to-off])
		}
		at = to
	}
}
