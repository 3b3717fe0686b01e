package acquire

import "github.com/exhibit-forensics/exhibit/internal/hashtree"

// regroup takes the bytes of the image in order and compares them by the groups of the media stream, wherever one
// segment ends and the next begins.
type regroup struct {
	c     *rereading
	group int64
	held  []byte // the beginning of group, less than all of it
}

// Write implements io.Writer. A group that arrives in one piece is not copied.
func (g *regroup) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if len(g.held) == 0 && len(p) >= hashtree.GroupSize {
			if err := g.put(p[:hashtree.GroupSize]); err != nil {
				return 0, err
			}
			p = p[hashtree.GroupSize:]
			continue
		}
		n := min(len(p), hashtree.GroupSize-len(g.held))
		g.held = append(g.held, p[:n]...)
		p = p[n:]
		if len(g.held) == hashtree.GroupSize {
			if err := g.put(g.held); err != nil {
				return 0, err
			}
			g.held = g.held[:0]
		}
	}
	return total, nil
}

// end compares the last group, when it is a short one.
func (g *regroup) end() error {
	if len(g.held) > 0 || g.group == 0 {
		return g.put(g.held)
	}
	return nil
}

func (g *regroup) put(block []byte) error {
	group := g.group
	g.group++
	if g.c.size <= hashtree.GroupSize {
		return g.c.Put(group, hashtree.Root(block))
	}
	return g.c.Put(group, hashtree.Sum(block, group))
}
