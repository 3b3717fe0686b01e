package acquire

import (
	"bytes"
	"fmt"
	"io/fs"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// readMap takes up the map of the destination whose state was taken.
func (r *run) readMap() error {
	alive := r.alive()
	if len(alive) == 0 {
		return fs.ErrNotExist
	}
	f, err := alive[0].root.Open(layout.MapName(r.name))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	q := r.rescue
	if q.m, err = image.ParseMap(f, image.MapLimits{}); err != nil {
		return err
	}
	if q.m.Size() != r.size {
		return fmt.Errorf("%w: the map is of %d bytes, the medium has %d", record.ErrMalformed, q.m.Size(), r.size)
	}
	if q.first == 0 {
		return nil
	}
	if before := q.m.At(0); before.Status != image.Finished || before.End() < q.first {
		return fmt.Errorf("%w: the map does not begin with the %d bytes that are safe", record.ErrMalformed, q.first)
	}
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
	var block []byte
	sound := true
	err := g.r.each(func(d *dest) error {
		want, err := hashtree.ReadValue(d.tree, group)
		if err != nil {
			return err
		}
		b := make([]byte, size)
		if _, err := d.image.ReadAt(b, off); err != nil {
			return err
		}
		asItIs := g.value(group, b)
		clearUnread(b, off, m)
		sound = sound && (asItIs == want || g.value(group, b) == want) && (block == nil || bytes.Equal(b, block))
		block = b
		return nil
	})
	if err != nil {
		return err
	}
	if !sound {
		// The power was cut between image and tree. What is not known to be right is read again.
		clear(block)
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
