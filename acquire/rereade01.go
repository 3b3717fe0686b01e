package acquire

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"sync"
	"unsafe"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// segmentDigests reads the files of an E01 as they lie on the disk.
func (d *dest) segmentDigests(ctx context.Context, done func(sizeBytes int64)) ([]record.File, error) {
	var files []record.File
	for _, s := range d.segments {
		f, err := digestFile(ctx, d.root, s.Name, record.RoleImage)
		if err != nil {
			return nil, err
		}
		if f.SizeBytes != s.SizeBytes {
			return nil, fmt.Errorf("%q has %d bytes instead of %d", s.Name, f.SizeBytes, s.SizeBytes)
		}
		files = append(files, f)
		done(f.SizeBytes)
	}
	return files, nil
}

// e01 takes the digests of the files, and then compares what they decode to with the tree.
func (c *rereading) e01(ctx context.Context, media []hash.Hash) ([]record.File, error) {
	begun := c.opts.Stats.clock()
	files, err := c.dest.segmentDigests(ctx, func(n int64) {
		c.before += n
		c.done(c.before)
		begun = c.opts.Stats.since(begun, PartFiles, int(n))
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	fsys := &uncachedFS{FS: c.dest.root.FS(), root: c.dest.root}
	r, err := image.OpenE01(fsys, names)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // opened for reading only
	opts := pass.Options{Tree: c, Linear: media, Progress: func(n int64) { c.done(c.before + n) },
		Busy: c.opts.Stats.ofPass(c.algorithms())}
	if _, err := pass.Run(ctx, r, opts); err != nil {
		return nil, err
	}
	if c.before += c.size; fsys.cached() {
		c.kind = weaker(c.kind, record.RereadCacheDropped)
	}
	return files, c.compareE01(r.E01())
}

// compareE01 requires the image to say of itself what was written.
func (c *rereading) compareE01(r *ewf.Reader) error {
	for _, n := range r.Notes() {
		if n.Damage {
			return fmt.Errorf("%q at byte %d: %s", n.Segment, n.Offset, n.Text)
		}
	}
	for _, s := range []struct {
		alg record.Algorithm
		sum []byte
	}{{record.MD5, r.Stored().MD5}, {record.SHA1, r.Stored().SHA1}} {
		if s.sum == nil {
			continue
		}
		if d, err := record.NewDigest(s.alg, s.sum); err != nil || d != c.media(s.alg) {
			return errors.Join(fmt.Errorf("the %s in the image is %x, of the medium %s", s.alg, s.sum, c.media(s.alg)), err)
		}
	}
	var want []ewf.Range
	if c.inPlace != nil {
		want = slices.DeleteFunc(c.unreadSectors(r.SectorBytes()), func(u ewf.Range) bool { return !ewf.ErrorRangeFits(u) })
	}
	if got := r.Unread(); !slices.Equal(got, want) {
		return fmt.Errorf("the image lists %d unread ranges, and there are %d", len(got), len(want))
	}
	return nil
}

// uncachedFS opens files that are read from the disk, past the system's cache where that can be had.
type uncachedFS struct {
	fs.FS
	root *durable.Root

	mu    sync.Mutex
	files []*uncachedFile
}

// Lstat implements fs.ReadLinkFS.
func (u *uncachedFS) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(u.FS, name) }

// ReadLink implements fs.ReadLinkFS.
func (u *uncachedFS) ReadLink(name string) (string, error) { return fs.ReadLink(u.FS, name) }

// Open implements fs.FS.
func (u *uncachedFS) Open(name string) (fs.File, error) {
	info, err := fs.Lstat(u.FS, name)
	if err != nil {
		return nil, err
	}
	m, err := openUncached(u.root, name)
	if err != nil {
		return nil, err
	}
	f := &uncachedFile{m: m, info: info}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files = append(u.files, f)
	return f, nil
}

// cached reports whether a file was not read past the cache.
func (u *uncachedFS) cached() bool {
	return slices.ContainsFunc(u.files, func(f *uncachedFile) bool { return !f.m.PastCache() })
}

// windows is how many stretches of a file are kept: chunks are read in order, tables from time to time.
const windows = 4

// uncachedFile reads stretches of 1 MiB, and gives any bytes of them.
type uncachedFile struct {
	m    *medium.Medium
	info fs.FileInfo

	mu      sync.Mutex
	windows []window // the one that was used last at the end
}

type window struct {
	off  int64
	data []byte
}

// Stat implements fs.File.
func (f *uncachedFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// Read implements fs.File.
func (f *uncachedFile) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Close implements fs.File.
func (f *uncachedFile) Close() error { return f.m.Close() }

// ReadAt implements io.ReaderAt.
func (f *uncachedFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	done := 0
	for done < len(p) {
		at := off + int64(done)
		w, err := f.window(at / hashtree.GroupSize * hashtree.GroupSize)
		if err != nil {
			return done, err
		}
		if at-w.off >= int64(len(w.data)) {
			return done, io.EOF
		}
		done += copy(p[done:], w.data[at-w.off:])
	}
	return done, nil
}

func (f *uncachedFile) window(off int64) (window, error) {
	i := slices.IndexFunc(f.windows, func(w window) bool { return w.off == off })
	if i >= 0 {
		w := f.windows[i]
		f.windows = append(slices.Delete(f.windows, i, i+1), w)
		return w, nil
	}
	if off < 0 || off >= f.info.Size() {
		return window{}, io.EOF
	}
	var w window
	if len(f.windows) == windows {
		w = f.windows[0]
		f.windows = slices.Delete(f.windows, 0, 1)
	}
	if w.data == nil {
		w.data = alignedBlock()
	}
	w.off, w.data = off, w.data[:min(hashtree.GroupSize, f.info.Size()-off)]
	n, err := f.m.ReadAt(w.data, off)
	if err == nil && n < len(w.data) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return window{}, err
	}
	f.windows = append(f.windows, w)
	return w, nil
}

// alignedBlock relies on Go's heap, which never moves what it has given out.
func alignedBlock() []byte {
	const page = 4096
	b := make([]byte, hashtree.GroupSize+page)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (page - 1)
	return b[skip : skip+hashtree.GroupSize : skip+hashtree.GroupSize]
}

var _ io.ReaderAt = (*uncachedFile)(nil)
