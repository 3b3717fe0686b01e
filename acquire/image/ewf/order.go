package ewf

// order follows the entries of a table: each chunk stands behind the one before it, and inside the section. A table
// that says otherwise has a program's mistake in it, or a person's intent, and is not followed further: what it calls a
// chunk could be another one.
type order struct {
	base   int64
	chunks span

	good     uint32 // entries that may be followed
	overflow uint32 // see group
	broken   bool
	last     int64 // offset in the file
	wide     bool
}

func orderOf(t *table, chunks span) order {
	return order{base: t.header.BaseOffset, chunks: chunks, overflow: t.header.Entries, last: chunks.start - 1}
}

func (o *order) next(e Entry) {
	off, compressed := offset(o.base, e, o.wide)
	if off <= o.last && compressed && o.base+int64(e) < o.chunks.end {
		// EnCase 6.7.1 went on with offsets of 32 bits, without compression, where the chunks passed 2 GiB.
		o.wide, o.overflow = true, o.good
		off, _ = offset(o.base, e, true)
	}
	switch {
	case off < o.chunks.start || off >= o.chunks.end:
		o.broken = true
	case off <= o.last:
		// The entry before is as doubtful as this one.
		o.broken = true
		o.good--
	default:
		o.good++
		o.last = off
	}
}
