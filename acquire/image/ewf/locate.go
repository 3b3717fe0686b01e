package ewf

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"sort"
)

// group is a table: so many chunks that follow each other, in one segment.
type group struct {
	first    int64 // chunk
	n        uint32
	good     uint32 // entries; those behind lead backwards or out of the chunks, or there is no sound table
	overflow uint32 // the entries from here on have 32 bits: EnCase 6.7.1
	segment  int32
	entries  int64 // where they stand in the segment
	base     int64 // of their offsets
	dataEnd  int64 // where the section with the chunks ends
	pages    int64 // the index of the first page in Reader.pageSums
	missing  bool  // there is no table: the segments with these chunks are not there
}

// maxGroups bounds their memory to 80 MiB. 2^32 chunks in tables of 16,375 are a quarter of it.
const maxGroups = 1 << 20

// pageEntries is how many entries are read at once. A page has one more, which ends its last chunk.
const pageEntries = 4096

// place is where a chunk stands. The bytes end at the next chunk, or where the section ends.
type place struct {
	segment    int
	off, size  int64
	compressed bool
}

func (r *Reader) locate(chunk int64) (place, error) {
	i := sort.Search(len(r.groups), func(i int) bool { return r.groups[i].first+int64(r.groups[i].n) > chunk })
	g := &r.groups[i] // Open made sure that the groups hold all chunks
	at := place{segment: int(g.segment), off: g.entries}
	n := uint32(chunk - g.first)
	switch {
	case g.missing:
		return place{}, r.missing(chunk)
	case g.good == 0:
		return place{}, r.damage(at, chunk, "its table is damaged, and there is no sound copy of it")
	case n >= g.good:
		return place{}, r.damage(at, chunk, "its table leads backwards or out of where the chunks stand")
	}
	page, err := r.page(g, int64(n/pageEntries))
	if err != nil {
		return place{}, err
	}
	if page == nil {
		return place{}, fmt.Errorf("%w: the table at byte %d of %q", ErrChanged, g.entries, r.files.list[g.segment].name)
	}
	at.off, at.compressed = offset(g.base, page[n%pageEntries], n >= g.overflow)
	end := g.dataEnd
	if n+1 < g.good {
		end, _ = offset(g.base, page[n%pageEntries+1], n+1 >= g.overflow)
	}
	at.size = end - at.off
	return at, nil
}

// offset is where the chunk of an entry begins in the segment file; wide entries have 32 bits of offset.
func offset(base int64, e Entry, wide bool) (off int64, compressed bool) {
	if wide {
		return base + int64(e), false
	}
	return base + e.Offset(), e.Compressed()
}

// page reads a page of a table, which must be as it was when its checksum was verified; nil if it is not.
func (r *Reader) page(g *group, number int64) ([]Entry, error) {
	key := g.pages + number
	if page, ok := r.pages.get(key); ok {
		return page, nil
	}
	from := number * pageEntries
	n := min(pageEntries+1, int64(g.n)-from)
	b := make([]byte, 4*n)
	if err := r.files.read(int(g.segment), b, g.entries+4*from); err != nil {
		return nil, err
	}
	if maphash.Bytes(pageSeed, b[:4*min(n, pageEntries)]) != r.pageSums[key] {
		return nil, nil
	}
	page := make([]Entry, n)
	for i := range page {
		page[i] = Entry(binary.LittleEndian.Uint32(b[4*i:]))
	}
	r.pages.put(key, page)
	return page, nil
}

// pageSeed makes the sums of pages, of which nobody outside of the process can find a collision.
var pageSeed = maphash.MakeSeed()
