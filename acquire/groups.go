package acquire

import "github.com/exhibit-forensics/exhibit/internal/hashtree"

// groups puts what a rescue reads into images and tree. A group that is read in pieces is kept until another one comes;
// read back later, for a sector that was recovered, it must be what the tree says.
type groups struct {
	r       *run
	number  int64 // of the group in block; negative: none
	block   []byte
	spare   []byte // to read back into
	changed bool
	// later are the values of groups that had one before. They wait for settle: until then the tree has those that fit
	// the map that was saved last.
	later map[int64]hashtree.Value
	stale bool // the images may hold bytes, of a run that was killed, of groups that have no value
}

func (g *groups) size(group int64) int64 {
	return min(hashtree.GroupSize, g.r.size-group*hashtree.GroupSize)
}

func (g *groups) value(group int64, block []byte) hashtree.Value {
	if g.r.size <= hashtree.GroupSize {
		return hashtree.Root(block)
	}
	return hashtree.Sum(block, group)
}

// Store implements rescue.Sink.
func (g *groups) Store(off int64, p []byte) error {
	for len(p) > 0 {
		group := off / hashtree.GroupSize
		from := off - group*hashtree.GroupSize
		part := p[:min(int64(len(p)), g.size(group)-from)]
		if err := g.store(group, from, part); err != nil {
			return err
		}
		off += int64(len(part))
		p = p[len(part):]
	}
	return nil
}

func (g *groups) store(group, from int64, p []byte) error {
	if from == 0 && int64(len(p)) == g.size(group) {
		if err := g.flush(); err != nil {
			return err
		}
		g.number = -1
		if err := g.write(group, 0, p); err != nil {
			return err
		}
		return g.put(group, g.value(group, p))
	}
	if err := g.load(group); err != nil {
		return err
	}
	copy(g.block[from:], p)
	g.changed = true
	return g.write(group, from, p)
}

func (g *groups) write(group, from int64, p []byte) error {
	return g.r.each(func(d *dest) error {
		_, err := d.image.WriteAt(p, group*hashtree.GroupSize+from)
		return err
	})
}

func (g *groups) put(group int64, v hashtree.Value) error {
	if !g.r.tree.Has(group) {
		return g.r.tree.Put(group, v)
	}
	if g.later == nil {
		g.later = map[int64]hashtree.Value{}
	}
	g.later[group] = v
	return nil
}

// settle writes the values that waited. The bytes they are of are durable.
func (g *groups) settle() error {
	if err := g.flush(); err != nil {
		return err
	}
	for group, v := range g.later {
		if err := g.r.tree.Replace(group, v); err != nil {
			return err
		}
	}
	g.later = nil
	return nil
}

// last is the value that a group was given last.
func (g *groups) last(group int64) (hashtree.Value, error) {
	if v, ok := g.later[group]; ok {
		return v, nil
	}
	return g.r.tree.Value(group)
}

// flush takes the value of the group that is kept.
func (g *groups) flush() error {
	if g.number < 0 || !g.changed {
		return nil
	}
	g.changed = false
	return g.put(g.number, g.value(g.number, g.block))
}

// load makes group the one that is kept.
func (g *groups) load(group int64) error {
	if group == g.number {
		return nil
	}
	if err := g.flush(); err != nil {
		return err
	}
	g.number = -1
	g.block = append(g.block[:0], make([]byte, g.size(group))...)
	if !g.r.tree.Has(group) {
		g.number = group
		if g.stale {
			return g.write(group, 0, g.block)
		}
		return nil
	}
	if err := g.readBack(group); err != nil {
		return err
	}
	g.number = group
	return nil
}

// readBack fills the block from the images; one that is not what was written to it is given up.
func (g *groups) readBack(group int64) error {
	want, err := g.last(group)
	if err != nil {
		return err
	}
	size := g.size(group)
	g.spare = append(g.spare[:0], make([]byte, size)...)
	return g.r.each(func(d *dest) error {
		if _, err := d.image.ReadAt(g.spare, group*hashtree.GroupSize); err != nil {
			return err
		}
		if g.value(group, g.spare) != want {
			return &RereadError{Dir: d.partial(), Ranges: []Range{{group * hashtree.GroupSize, size}}}
		}
		copy(g.block, g.spare)
		return nil
	})
}

// complete gives a value to the groups of which nothing was read.
func (g *groups) complete() error {
	if err := g.flush(); err != nil {
		return err
	}
	g.number = -1
	zeros := make([]byte, hashtree.GroupSize)
	for group := range hashtree.Groups(g.r.size) {
		if g.r.tree.Has(group) {
			continue
		}
		block := zeros[:g.size(group)]
		if g.stale {
			if err := g.write(group, 0, block); err != nil {
				return err
			}
		}
		if err := g.r.tree.Put(group, g.value(group, block)); err != nil {
			return err
		}
	}
	return nil
}
