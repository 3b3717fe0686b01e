package ewf

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"sort"
)

// group is a table: so many chunks that follow each other, in one segment.
type group struct {
	first     int64 // chunk
	n         uint32
	overflow  uint32 // the entries from here on have 32 bits: EnCase 6.7.1
	segment   int32
	bad       bool  // neither table nor table2 is sound
	entries   int64 // where they stand in the segment
	base      int64 // of their offsets
	dataStart int64 // where the chunks stand
	dataEnd   int64
	pages     int64 // the index of the first page in Reader.pageSums
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
	if g.bad {
		return place{}, r.damage(at, chunk, "its table has a wrong checksum, and there is no sound copy of it")
	}
	n := uint32(chunk - g.first)
	page, err := r.page(g, int64(n/pageEntries))
	if err != nil {
		return place{}, err
	}
	if page == nil {
		return place{}, fmt.Errorf("%w: the table at byte %d of %q", ErrChanged, g.entries, r.files.list[g.segment].name)
	}
	at.off, at.compressed = g.offset(n, page[n%pageEntries])
	end := g.dataEnd
	if n+1 < g.n {
		end, _ = g.offset(n+1, page[n%pageEntries+1])
	}
	at.size = end - at.off
	if at.off < g.dataStart || at.off >= g.dataEnd || at.size <= 0 || end > g.dataEnd {
		at.size = 0
		return place{}, r.damage(at, chunk,
			fmt.Sprintf("its table says that it stands from byte %d to %d, and chunks stand from %d to %d", at.off, end, g.dataStart, g.dataEnd))
	}
	return at, nil
}

// offset is where the chunk of entry n begins in the segment file.
func (g *group) offset(n uint32, e Entry) (off int64, compressed bool) {
	if n >= g.overflow {
		return g.base + int64(e), false
	}
	return g.base + e.Offset(), e.Compressed()
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
