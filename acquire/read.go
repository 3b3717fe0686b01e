package acquire

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"syscall"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// begin makes the folders, their journals, and the files to be written.
func (r *run) begin(context.Context) error {
	for _, d := range r.dests {
		if err := d.begin(r); err != nil {
			return d.wrap(err)
		}
	}
	return r.writeJournal(Journal{
		Exhibit: r.opts.Exhibit, ID: r.opts.ID, Medium: r.acq.Medium, Options: r.acq.Options,
		Time: r.acq.Started, Tool: r.opts.Tool, Type: journalType,
	})
}

func (d *dest) begin(r *run) (err error) {
	name := d.id + layout.PartialSuffix
	err = d.Root.Mkdir(name)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", ErrExists, err)
	}
	if err != nil {
		return err
	}
	if d.root, err = d.Root.Sub(name); err != nil {
		return err
	}
	if d.journal, err = d.root.OpenAppend(layout.Journal); err != nil {
		return err
	}
	if d.tree, err = d.root.OpenEx(layout.TreeName(r.name)); err != nil {
		return err
	}
	d.image, err = image.NewWriter(d.root, image.WriterOptions{
		Name: r.name, SegmentBytes: r.opts.SegmentBytes, MaxFileBytes: d.space.fileBytes,
	})
	return err
}

// close gives up what is still open; what was finished is not touched.
func (r *run) close() error {
	var errs []error
	for _, d := range r.dests {
		if d.image != nil {
			errs = append(errs, d.image.Abort())
		}
		if d.tree != nil {
			errs = append(errs, d.tree.Abort())
		}
		if d.journal != nil {
			errs = append(errs, d.journal.Close())
		}
		if d.root != nil {
			errs = append(errs, d.root.Close())
		}
	}
	return errors.Join(errs...)
}

func (d *dest) wrap(err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, ErrFileTooLarge):
		err = d.tooLarge(err)
	case errors.Is(err, syscall.EFBIG): // of a limit nobody told us
		err = d.tooLarge(fmt.Errorf("%w: %w", ErrFileTooLarge, err))
	}
	return fmt.Errorf("destination %q: %w", d.Dir, err)
}

// Write puts the next bytes of the medium into the image.
func (d *dest) Write(p []byte) (int, error) {
	n, err := d.image.Write(p)
	return n, d.wrap(err)
}

// read is the one pass over the medium. It ends with all its bytes, and the tree, synced at every destination.
func (r *run) read(ctx context.Context) error {
	if err := r.phase(PhaseReading, r.size); err != nil {
		return err
	}
	tree := hashtree.NewWriter(treeFiles(r.dests))
	linear := []hash.Hash{sha256.New()}
	for _, alg := range r.opts.Extra {
		linear = append(linear, newHash(alg))
	}
	var sinks []io.Writer
	for _, d := range r.dests {
		sinks = append(sinks, d)
	}
	res, err := pass.Run(ctx, r.m, pass.Options{Tree: tree, Linear: linear, Sinks: sinks, Progress: r.done})
	if err != nil {
		return err
	}
	r.size = res.SizeBytes
	r.acq.Medium.SizeBytes = res.SizeBytes
	for _, d := range r.dests {
		if d.segments, err = d.image.Finish(); err != nil {
			return d.wrap(err)
		}
		if n := d.written(); n != r.size {
			return fmt.Errorf("destination %q: the image has %d bytes of %d", d.Dir, n, r.size)
		}
	}
	if r.root, err = tree.Finish(r.size); err != nil {
		return err
	}
	for _, d := range r.dests {
		if err := d.tree.Seal(); err != nil {
			return d.wrap(err)
		}
	}
	return r.keepDigests(linear)
}

// keepDigests puts the digests of the media stream into the record.
func (r *run) keepDigests(linear []hash.Hash) error {
	digests := []record.Digest{record.BLAKE3Digest(r.root)}
	for i, alg := range append([]record.Algorithm{record.SHA256}, r.opts.Extra...) {
		d, err := record.NewDigest(alg, linear[i].Sum(nil))
		if err != nil {
			return err
		}
		digests = append(digests, d)
	}
	for _, d := range digests {
		r.acq.Digests = append(r.acq.Digests, record.MediaDigest{Computed: record.ComputedWhileReading, Digest: d})
	}
	sortDigests(r.acq.Digests)
	return nil
}

// media returns one of the digests of the media stream.
func (r *run) media(alg record.Algorithm) record.Digest {
	for _, d := range r.acq.Digests {
		if d.Digest.Algorithm() == alg {
			return d.Digest
		}
	}
	return record.Digest{}
}

// treeFiles writes the same tree to every destination.
type treeFiles []*dest

func (t treeFiles) WriteAt(p []byte, off int64) (int, error) {
	for _, d := range t {
		if n, err := d.tree.WriteAt(p, off); err != nil {
			return n, d.wrap(err)
		}
	}
	return len(p), nil
}

func (t treeFiles) ReadAt(p []byte, off int64) (int, error) { return t[0].tree.ReadAt(p, off) }

var (
	_ hashtree.Storage = treeFiles(nil)
	_ io.Writer        = (*dest)(nil)
)
