package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
)

// Reader reads an image of any format, in order with Read or anywhere with ReadAt. ReadAt may be called from several
// goroutines.
type Reader struct {
	content
	e01 *ewf.Reader // nil if the image is raw
	pos int64       // of Read
}

// content is what an image is read through: the files of a raw image, or an E01.
type content interface {
	// ReadAt implements io.ReaderAt over the media stream.
	ReadAt(p []byte, off int64) (int, error)
	// Size is the length of the media stream in bytes.
	Size() int64
	Segments() []Segment
	// unchanged is nil if every file has the size it had when it was opened.
	unchanged() error
	Close() error
}

// raw is the files of a raw image.
type raw struct {
	parts []part
	size  int64
}

// part is an open file of the image.
type part struct {
	name  string
	f     fs.File
	at    io.ReaderAt
	start int64 // in the image
	size  int64
}

// Open opens the files of an image, in this order; what the first one begins with tells an E01 from a raw image. Each must
// be a regular file, which is looked at before it is opened, and must give io.ReaderAt, as files of the operating system do.
// The caller closes the Reader. Where a record says which format the image has, use OpenRaw or OpenE01: a raw image may
// begin with anything.
func Open(fsys fs.FS, names []string) (*Reader, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no file", ErrSegments)
	}
	is, err := isE01(fsys, names[0])
	if err != nil {
		return nil, err
	}
	if is {
		return OpenE01(fsys, names)
	}
	return OpenRaw(fsys, names)
}

// isE01 looks at how a file begins.
func isE01(fsys fs.FS, name string) (bool, error) {
	r, err := OpenRaw(fsys, []string{name})
	if err != nil {
		return false, err
	}
	begin := make([]byte, ewf.SignatureBytes)
	n, err := r.ReadAt(begin, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return ewf.Begins(begin[:n]), errors.Join(err, r.Close())
}

// OpenE01 is Open for an image that is an E01. Damage of its structure is an error; of its chunks ReadAt tells.
func OpenE01(fsys fs.FS, names []string) (*Reader, error) {
	e, err := ewf.Open(fsys, names)
	if err != nil {
		return nil, err
	}
	return &Reader{content: e01{e}, e01: e}, nil
}

// OpenIncomplete is Open for an E01 of which segments are missing: see ewf.OpenIncomplete.
func OpenIncomplete(fsys fs.FS, names []string) (*Reader, error) {
	e, err := ewf.OpenIncomplete(fsys, names)
	if err != nil {
		return nil, err
	}
	return &Reader{content: e01{e}, e01: e}, nil
}

// OpenRaw is Open for an image of which the bytes of the files are those of the medium, whatever they are.
func OpenRaw(fsys fs.FS, names []string) (*Reader, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no file", ErrSegments)
	}
	r := &raw{}
	for _, name := range names {
		if err := r.add(fsys, name); err != nil {
			return nil, errors.Join(fmt.Errorf("open image file %q: %w", name, err), r.Close())
		}
	}
	return &Reader{content: r}, nil
}

func (r *raw) add(fsys fs.FS, name string) error {
	seen, err := fs.Lstat(fsys, name)
	if err != nil {
		return plain(err)
	}
	if !seen.Mode().IsRegular() {
		return errNotRegular
	}
	f, err := fsys.Open(name)
	if err != nil {
		return plain(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	at, ok := f.(io.ReaderAt)
	if err == nil && !ok {
		err = errors.New("this file system cannot read at an offset")
	}
	if err == nil && info.Size() > hashtree.MaxSize-r.size {
		err = fmt.Errorf("%w: more than %d bytes in all", ErrSegments, int64(hashtree.MaxSize))
	}
	if err != nil {
		return errors.Join(plain(err), f.Close())
	}
	r.parts = append(r.parts, part{name, f, at, r.size, info.Size()})
	r.size += info.Size()
	return nil
}

var errNotRegular = errors.New("not a regular file")

// plain drops the unquoted path of the errors of file systems.
func plain(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// E01 is what the image says beside the bytes of the medium, nil if it is raw. The Reader stays its owner.
func (r *Reader) E01() *ewf.Reader { return r.e01 }

// Size returns the length of the media stream in bytes.
func (r *raw) Size() int64 { return r.size }

// Segments returns the files, in order.
func (r *raw) Segments() []Segment {
	var s []Segment
	for _, p := range r.parts {
		s = append(s, Segment{p.name, p.size})
	}
	return s
}

// Read implements io.Reader. At the end of the image it makes sure that the last file has not grown.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.ReadAt(p, r.pos)
	r.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		if changed := r.unchanged(); changed != nil {
			return 0, changed
		}
	}
	return n, err
}

func (r *raw) unchanged() error {
	for _, p := range r.parts {
		info, err := p.f.Stat()
		if err != nil {
			return fmt.Errorf("look at image file %q: %w", p.name, plain(err))
		}
		if info.Size() != p.size {
			return fmt.Errorf("%w: %q had %d bytes and now has %d", ErrChanged, p.name, p.size, info.Size())
		}
	}
	return nil
}

// ReadAt implements io.ReaderAt over the whole image.
func (r *raw) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read the image at offset %d", off)
	}
	// The first file that ends after off; files of no bytes are stepped over.
	i := sort.Search(len(r.parts), func(i int) bool { return r.parts[i].start+r.parts[i].size > off })
	done := 0
	for ; done < len(p) && i < len(r.parts); i++ {
		at := off + int64(done) - r.parts[i].start
		n, err := r.parts[i].read(p[done:], at)
		done += n
		if err != nil {
			return done, err
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// read fills p from the offset at, as far as the file goes.
func (p *part) read(b []byte, at int64) (int, error) {
	b = b[:min(int64(len(b)), p.size-at)]
	n, err := p.at.ReadAt(b, at)
	switch {
	case n == len(b):
		return n, nil
	case err == nil, errors.Is(err, io.EOF):
		return n, fmt.Errorf("%w: %q ends at byte %d of %d", ErrChanged, p.name, at+int64(n), p.size)
	}
	return n, fmt.Errorf("read image file %q at byte %d: %w", p.name, at+int64(n), plain(err))
}

// Close closes the files. They were only read, so nothing depends on it.
func (r *raw) Close() error {
	var errs []error
	for _, p := range r.parts {
		errs = append(errs, p.f.Close())
	}
	r.parts, r.size = nil, 0
	return errors.Join(errs...)
}

// e01 is an ewf.Reader with the words of this package.
type e01 struct{ *ewf.Reader }

func (e e01) Segments() []Segment {
	var out []Segment
	for _, s := range e.Reader.Segments() {
		out = append(out, Segment(s))
	}
	return out
}

func (e e01) unchanged() error {
	if err := e.Unchanged(); err != nil {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return nil
}
