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

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/inorder"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// segmentDigests reads the files of an E01 as they lie on the disk.
func (d *dest) segmentDigests(ctx context.Context, stats *Stats) ([]record.File, error) {
	var files []record.File
	for _, s := range d.segments {
		f, err := digestFile(ctx, d.root, s.Name, record.RoleImage, stats)
		if err != nil {
			return nil, err
		}
		if f.SizeBytes != s.SizeBytes {
			return nil, wrongSize(s, f.SizeBytes)
		}
		files = append(files, f)
	}
	return files, nil
}

// e01 compares what the image decodes to with the tree, and takes the digests of the files from the same bytes.
func (c *rereading) e01(ctx context.Context, media []hash.Hash) ([]record.File, error) {
	var names []string
	for _, s := range c.dest.segments {
		names = append(names, s.Name)
	}
	u := &uncached{root: c.dest.root}
	fsys := inorder.New(u.root.FS(), u.open, c.opts.Stats.ofFiles())
	defer fsys.Close()
	r, err := image.OpenE01(fsys, names)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // opened for reading only
	fsys.Begin()
	opts := pass.Options{Tree: c, Linear: media, Progress: func(n int64) { c.done(c.before + n) },
		Busy: c.opts.Stats.ofPass(c.algorithms())}
	if _, err := pass.Run(ctx, r, opts); err != nil {
		return nil, err
	}
	if err := c.compareE01(r.E01()); err != nil {
		return nil, err
	}
	var files []record.File
	for _, s := range c.dest.segments {
		f, err := c.dest.segmentFile(ctx, fsys, s)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if c.before += c.size; u.cached() {
		c.kind = weaker(c.kind, record.RereadCacheDropped)
	}
	return files, nil
}

func (d *dest) segmentFile(ctx context.Context, fsys *inorder.FS, s image.Segment) (record.File, error) {
	info, err := d.root.Lstat(s.Name)
	if err == nil && info.Size() != s.SizeBytes {
		err = wrongSize(s, info.Size())
	}
	if err != nil {
		return record.File{}, err
	}
	sum, root, err := fsys.Digests(ctx, s.Name)
	if err != nil {
		return record.File{}, fmt.Errorf("digests of %q: %w", s.Name, err)
	}
	return imageFile(s, root, sum), nil
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

// uncached opens files that are read from the disk, past the system's cache where that can be had.
type uncached struct {
	root *durable.Root

	mu    sync.Mutex
	files []*uncachedFile
}

func (u *uncached) open(name string) (fs.File, error) {
	info, err := u.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	m, err := openUncached(u.root, name)
	if err != nil {
		return nil, err
	}
	f := &uncachedFile{m, info}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files = append(u.files, f)
	return f, nil
}

// cached reports whether a file was not read past the cache.
func (u *uncached) cached() bool {
	return slices.ContainsFunc(u.files, func(f *uncachedFile) bool { return !f.PastCache() })
}

// uncachedFile is read at offsets, in aligned stretches.
type uncachedFile struct {
	*medium.Medium
	info fs.FileInfo
}

// Stat implements fs.File.
func (f *uncachedFile) Stat() (fs.FileInfo, error) { return f.info, nil }

var _ io.ReaderAt = (*uncachedFile)(nil)
