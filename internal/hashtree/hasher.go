package hashtree

import "fmt"

// Hasher computes the BLAKE3 of a stream in order, by groups and on one goroutine, which is several times faster than a
// blake3.Hasher. It keeps neither the list nor more than one group of the bytes. The zero Hasher is ready for use.
type Hasher struct {
	f     fold
	last  words  // the value of the newest group, not yet in f: it may be the last one
	group int64  // groups that were hashed
	held  []byte // the bytes of the group that is not hashed yet
}

// Write takes the next bytes of the stream. It fails only for a stream of more than MaxSize bytes. Bytes that arrive as
// whole groups are hashed in place, except the first group, which may turn out to be all there is and then is the root.
func (h *Hasher) Write(p []byte) (int, error) {
	if rest := MaxSize - h.group*GroupSize - int64(len(h.held)); int64(len(p)) > rest {
		return 0, fmt.Errorf("a stream of more than %d bytes", int64(MaxSize))
	}
	written := len(p)
	for len(p) > 0 {
		if len(h.held) == GroupSize {
			h.hash(h.held)
			h.held = h.held[:0]
		}
		if len(h.held) == 0 && (len(p) > GroupSize || len(p) == GroupSize && h.group > 0) {
			h.hash(p[:GroupSize])
			p = p[GroupSize:]
			continue
		}
		n := min(len(p), GroupSize-len(h.held))
		h.held = append(h.held, p[:n]...)
		p = p[n:]
	}
	return written, nil
}

// hash takes a group that is not the only one.
func (h *Hasher) hash(block []byte) {
	if h.group > 0 {
		h.f.push(h.last)
	}
	v := Sum(block, h.group)
	h.last = toWords(v[:])
	h.group++
}

// Root returns the BLAKE3 of what was written so far.
func (h *Hasher) Root() Value {
	if h.group == 0 {
		return Root(h.held)
	}
	f, last := h.f, h.last
	if len(h.held) > 0 {
		f.push(last)
		v := Sum(h.held, h.group)
		last = toWords(v[:])
	}
	return rootValue(f.close(last))
}
