package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"

	"github.com/exhibit-forensics/exhibit/internal/hashtree"
)

// Reader reads an image, in order with Read or anywhere with ReadAt. ReadAt may be called from several goroutines.
type Reader struct {
	parts []part
	size  int64
	pos   int64 // of Read
}

// part is an open file of the image.
type part struct {
	name  string
	f     fs.File
	at    io.ReaderAt
	start int64 // in the image
	size  int64
}

// Open opens the files of an image, in this order. Each must be a regular file, which is looked at before it is opened,
// and must give io.ReaderAt, as files of the operating system do. The caller closes the Reader.
func Open(fsys fs.FS, names []string) (*Reader, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no file", ErrSegments)
	}
	r := &Reader{}
	for _, name := range names {
		if err := r.add(fsys, name); err != nil {
			return nil, errors.Join(fmt.Errorf("open image file %q: %w", name, err), r.Close())
		}
	}
	return r, nil
}

func (r *Reader) add(fsys fs.FS, name string) error {
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

// Size returns the length of the image in bytes.
func (r *Reader) Size() int64 { return r.size }

// Segments returns the files, in order.
func (r *Reader) Segments() []Segment {
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
		err = r.checkSizes()
	}
	return n, err
}

// checkSizes returns io.EOF if every file has the size it had when it was opened.
func (r *Reader) checkSizes() error {
	for _, p := range r.parts {
		info, err := p.f.Stat()
		if err != nil {
			return fmt.Errorf("look at image file %q: %w", p.name, plain(err))
		}
		if info.Size() != p.size {
			return fmt.Errorf("%w: %q had %d bytes and now has %d", ErrChanged, p.name, p.size, info.Size())
		}
	}
	return io.EOF
}

// ReadAt implements io.ReaderAt over the whole image.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
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
func (r *Reader) Close() error {
	var errs []error
	for _, p := range r.parts {
		errs = append(errs, p.f.Close())
	}
	r.parts, r.size = nil, 0
	return errors.Join(errs...)
}
