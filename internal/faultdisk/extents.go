//go:build linux

package faultdisk

import "slices"

// extents is a set of byte offsets: spans in order, apart from each other.
type extents []span

// add puts a span into the set and returns how many bytes were not in it before.
func (e *extents) add(s span) int64 {
	if s.from >= s.to {
		return 0
	}
	added := s.to - s.from
	i, _ := slices.BinarySearchFunc(*e, s.from, func(x span, from int64) int { return cmpEnd(x.to, from) })
	j := i
	for ; j < len(*e) && (*e)[j].from <= s.to; j++ {
		x := (*e)[j]
		added -= max(0, min(x.to, s.to)-max(x.from, s.from))
		s.from, s.to = min(s.from, x.from), max(s.to, x.to)
	}
	*e = slices.Replace(*e, i, j, s)
	return added
}

// cmpEnd finds the first span that reaches from, or touches it.
func cmpEnd(end, from int64) int {
	if end < from {
		return -1
	}
	return 1
}

// missing is what add would return.
func (e extents) missing(s span) int64 {
	n := max(0, s.to-s.from)
	for _, x := range e {
		n -= max(0, min(x.to, s.to)-max(x.from, s.from))
	}
	return n
}

// cut takes everything from offset on out of the set, and returns how many bytes that were.
func (e *extents) cut(offset int64) int64 {
	var cut int64
	for i := len(*e) - 1; i >= 0 && (*e)[i].to > offset; i-- {
		x := &(*e)[i]
		cut += x.to - max(x.from, offset)
		if x.from >= offset {
			*e = (*e)[:i]
		} else {
			x.to = offset
		}
	}
	return cut
}

func (e extents) total() int64 {
	var n int64
	for _, x := range e {
		n += x.to - x.from
	}
	return n
}
