package ewf

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Reader reads the medium of an image, anywhere, with ReadAt; io.NewSectionReader reads it in order. Its methods may be
// called from several goroutines; Close only after the others have returned.
//
// It keeps in memory about 60 bytes for each table and 2 for each 1,000 chunks, some pages of the tables and some
// chunks: for a medium of 20 TB a few megabytes.
type Reader struct {
	files  files
	volume Volume
	size   int64 // of the medium
	count  int64 // of the chunks that hold it
	header Header
	stored Stored
	unread []Range

	lost *Missing // nil: nothing

	groups   []group
	pageSums []uint64 // of the pages of the tables, which are read again when they are needed
	pages    *cache[[]Entry]

	chunkCache *cache[[]byte]
	partial    chan struct{} // a place for each chunk that is decoded into memory of its own
	decoders   sync.Pool     // of *decoder

	notes      []Note
	moreNotes  int
	moreDamage bool
}

// Stored are the digests of the medium that the image states about itself; nil if it states none. They are not
// checked: hash what ReadAt gives, and compare.
type Stored struct {
	MD5  []byte // 16 bytes
	SHA1 []byte // 20 bytes
	// Damaged says that a section is damaged in which one, or another one, was stated.
	Damaged bool
}

// Open opens the files of an image, in this order; [Find] finds them as far as their names are agreed upon, up to .ZZZ,
// and here there may be 65,535. Each must be a regular file, which is looked at before it is opened, and must give
// io.ReaderAt, as files of the operating system do. The caller closes the Reader.
//
// All sections of all files are visited, and the checksums of all tables verified, which takes 8 bytes of reading for
// each chunk. Of the chunks only the last one is looked at: see [Reader.Check]. The errors are ErrFormat, ErrSegments,
// ErrStructure, ErrChanged and those of the file system. An image that opens may still have damage: see [Reader.Notes].
func Open(fsys fs.FS, names []string) (*Reader, error) { return openReader(fsys, names, false) }

func openReader(fsys fs.FS, names []string, incomplete bool) (*Reader, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no file", ErrSegments)
	}
	if len(names) > math.MaxUint16 {
		return nil, fmt.Errorf("%w: %d files, more than %d", ErrSegments, len(names), math.MaxUint16)
	}
	r := &Reader{files: files{fsys: fsys}}
	if err := r.open(names, incomplete); err != nil {
		// The files were only read, so nothing depends on how they close.
		_ = r.files.close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) open(names []string, incomplete bool) error {
	for i, name := range names {
		if err := r.files.add(name); err != nil {
			return fmt.Errorf("open image file %q: %w", name, err)
		}
		if err := r.checkFileHeader(i, incomplete); err != nil {
			return err
		}
	}
	s := &scan{r: r, last: len(names) - 1, incomplete: incomplete}
	if err := s.all(); err != nil {
		return err
	}
	r.pages = newCache[[]Entry](64)
	r.chunkCache = newCache[[]byte](int(max(1, min(256, (8<<20)/r.ChunkBytes()))))
	r.partial = make(chan struct{}, runtime.GOMAXPROCS(0))
	return r.findTail()
}

func (r *Reader) checkFileHeader(i int, incomplete bool) error {
	f := r.files.list[i]
	b := make([]byte, min(FileHeaderBytes, f.size))
	if err := r.files.read(i, b, 0); err != nil {
		return err
	}
	h, err := ParseFileHeader(b)
	if err != nil {
		return fmt.Errorf("image file %q: %w", f.name, err)
	}
	f.number = int(h.Segment)
	follows := incomplete && i > 0 && f.number > r.files.list[i-1].number
	if f.number != i+1 && !follows {
		return fmt.Errorf("%w: %q is segment %d of its image, where segment %d is wanted", ErrSegments, f.name, h.Segment, i+1)
	}
	return nil
}

// Size returns the length of the medium in bytes. It is no multiple of a sector if the source was none, and the chunks
// hold the rest of it.
func (r *Reader) Size() int64 { return r.size }

// SectorBytes returns the length of a sector.
func (r *Reader) SectorBytes() int64 { return int64(r.volume.BytesPerSector) }

// ChunkBytes returns the length of a chunk; the last one may be shorter. Reads of whole chunks, at multiples of it, are
// the cheapest.
func (r *Reader) ChunkBytes() int64 { return r.volume.chunkBytes() }

// Volume returns what the image says about the medium and its cut.
func (r *Reader) Volume() Volume { return r.volume }

// Header returns what the image says about itself in words: header2 if it has one, else header.
func (r *Reader) Header() Header { return r.header }

// Stored returns the digests that the image states.
func (r *Reader) Stored() Stored {
	return Stored{slices.Clone(r.stored.MD5), slices.Clone(r.stored.SHA1), r.stored.Damaged}
}

// Unread returns the sectors that the image says could not be read, in order, joined where they touch. ReadAt gives
// what the program that made it wrote in their place: usually zeros.
func (r *Reader) Unread() []Range { return slices.Clone(r.unread) }

// Segments returns the files, in order.
func (r *Reader) Segments() []Segment {
	var s []Segment
	for _, f := range r.files.list {
		s = append(s, Segment{f.name, f.size})
	}
	return s
}

// Unchanged returns nil if every file has the size and the time of change that it had when it was opened. Who has read
// to the end asks it, to know that all of it was one image.
func (r *Reader) Unchanged() error { return r.files.unchanged() }

// Close closes the files. They were only read, so nothing depends on it.
func (r *Reader) Close() error { return r.files.close() }

func (r *Reader) chunks() int64 { return r.count }

// chunkLen is the length of a chunk of the medium.
func (r *Reader) chunkLen(chunk int64) int64 {
	return min(r.ChunkBytes(), r.Size()-chunk*r.ChunkBytes())
}

// ReadAt implements io.ReaderAt over the medium. Chunks are decoded in parallel, whole ones straight into p, so that a
// large p is fast. A chunk that cannot be read is a *DamageError: the bytes before it are returned, and the rest of p
// is zeroed.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read the image at offset %d", off)
	}
	if off >= r.Size() {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), r.Size()-off)]
	n, err := r.readAt(want, off)
	if err != nil {
		clear(p[n:])
		return n, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readAt fills p, which ends inside the medium: the part of a first chunk, whole chunks, the part of a last one.
func (r *Reader) readAt(p []byte, off int64) (done int, err error) {
	size := r.ChunkBytes()
	if at := off % size; at != 0 {
		done, err = r.readPart(p, off/size, at)
		if err != nil {
			return 0, err
		}
	}
	first := (off + int64(done)) / size
	whole := int64(len(p)-done) / size
	if rest := int64(len(p)-done) % size; rest > 0 && off+int64(len(p)) == r.Size() && first+whole < r.chunks() {
		whole++ // the whole of the short chunk at the end
	}
	for i, err := range r.decodeAll(p[done:], first, whole) {
		if err != nil {
			return done + i*int(size), err
		}
	}
	done = min(len(p), done+int(whole*size))
	if done == len(p) {
		return done, nil
	}
	n, err := r.readPart(p[done:], first+whole, 0)
	return done + n, err
}

// readPart copies from inside a chunk, through the cache.
func (r *Reader) readPart(p []byte, chunk, at int64) (int, error) {
	b, ok := r.chunkCache.get(chunk)
	if !ok {
		r.partial <- struct{}{}
		defer func() { <-r.partial }()
		var err error
		if b, err = r.decodeNew(chunk); err != nil {
			return 0, err
		}
		r.chunkCache.put(chunk, b)
	}
	return copy(p, b[at:]), nil
}

// decodeAll decodes n chunks from first on into p, in parallel, and returns an error or nil for each. Chunks behind one
// that failed are decoded, too.
func (r *Reader) decodeAll(p []byte, first, n int64) []error {
	errs := make([]error, n)
	var next atomic.Int64
	work := func() {
		d := r.decoder()
		defer r.decoders.Put(d)
		for i := next.Add(1) - 1; i < n; i = next.Add(1) - 1 {
			start := i * r.ChunkBytes()
			errs[i] = r.decode(d, p[start:start+r.chunkLen(first+i)], first+i)
		}
	}
	var others sync.WaitGroup
	for range min(n, int64(runtime.GOMAXPROCS(0))) - 1 {
		others.Go(work)
	}
	if n > 0 {
		work()
	}
	others.Wait()
	return errs
}
