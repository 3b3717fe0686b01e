package acquire

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// following computes the digests of the files of an E01 behind the writing, when they will not be read again for that.
// What was flushed is not written to any more, and mostly still in memory: to read the image from the disk once it is
// finished would take as long as to write it.
type following struct {
	dest  *dest
	stats *Stats
	files []*fileDigests
}

// fileDigests are those of a file up to an offset.
type fileDigests struct {
	name string
	off  int64 // a multiple of the group, until the file is finished
	// The hashes of a finished file are nil, for there may be thousands.
	sum  hash.Hash
	tree *hashtree.Hasher

	file record.File // of a finished file
}

// goOn takes what the segments have by now, in whole groups; of those that are finished all.
func (f *following) goOn(ctx context.Context, segments []image.Segment, finished bool) error {
	for i, s := range segments {
		if i == len(f.files) {
			f.files = append(f.files, &fileDigests{name: s.Name, sum: sha256.New(), tree: new(hashtree.Hasher)})
		}
		one, end := f.files[i], s.SizeBytes
		if one.sum == nil {
			continue
		}
		whole := finished || i < len(segments)-1
		if !whole {
			end -= end % hashtree.GroupSize
		}
		if err := one.goOn(ctx, f.dest.root, end, f.stats); err != nil {
			return err
		}
		if whole {
			one.file = imageFile(s, one.tree.Root(), [32]byte(one.sum.Sum(nil)))
			one.sum, one.tree = nil, nil
		}
	}
	return nil
}

func (f *fileDigests) goOn(ctx context.Context, root *durable.Root, end int64, stats *Stats) error {
	if f.off == end {
		return nil
	}
	in, err := root.Open(f.name)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // opened for reading only
	src := io.NewSectionReader(in, f.off, end-f.off)
	res, err := pass.Run(ctx, src, pass.Options{Linear: []hash.Hash{f.sum}, Sinks: []io.Writer{f.tree}, Busy: stats.ofFiles()})
	if err == nil && res.SizeBytes != src.Size() {
		err = io.ErrUnexpectedEOF
	}
	f.off = end
	return err
}

// startFollowing begins at the first destination. A run that goes on reads the files when they are finished: what lies there
// already may be terabytes.
func (r *run) startFollowing() {
	if r.e01() && !r.opts.Reread {
		r.following = &following{dest: r.dests[0], stats: r.opts.Stats}
	}
}

// follow goes on behind a flush. Where it cannot, whoever reads the finished files tells why.
func (r *run) follow(flushed []image.Segment) {
	if f := r.following; f != nil {
		if err := f.goOn(context.Background(), flushed, false); err != nil {
			r.following = nil
		}
	}
}

// flushed are the segments that follow can go on in.
func (r *run) flushed() []image.Segment {
	if r.following == nil {
		return nil
	}
	return segmentsOf(r.following.dest.e01.Written())
}

// filesUnread are the files of an E01 that is not read again.
func (r *run) filesUnread(ctx context.Context) ([]record.File, error) {
	d := r.alive()[0]
	if r.following == nil || r.following.dest != d {
		return d.segmentDigests(ctx, r.opts.Stats)
	}
	if err := r.following.goOn(ctx, d.segments, true); err != nil {
		return nil, err
	}
	var files []record.File
	for i, s := range d.segments {
		info, err := d.root.Lstat(s.Name)
		if err == nil && info.Size() != s.SizeBytes {
			err = wrongSize(s, info.Size())
		}
		if err != nil {
			return nil, err
		}
		f := r.following.files[i].file
		if f.SizeBytes != s.SizeBytes {
			return nil, wrongSize(s, f.SizeBytes)
		}
		files = append(files, f)
	}
	return files, nil
}

func wrongSize(s image.Segment, got int64) error {
	return fmt.Errorf("%q has %d bytes instead of %d", s.Name, got, s.SizeBytes)
}
