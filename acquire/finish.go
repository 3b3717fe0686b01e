package acquire

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// finish writes the sums, freezes the journal and writes the record, at last and at every destination.
func (r *run) finish(ctx context.Context) error {
	if err := r.phase(PhaseFinishing, -1); err != nil {
		return err
	}
	images := r.acq.Files
	for i, d := range r.dests {
		files, err := d.finish(ctx, r.name, images)
		if err != nil {
			return d.wrap(err)
		}
		if i > 0 && !sameFiles(r.acq.Files, files) {
			return fmt.Errorf("the files at %q and %q differ: %w", r.dests[0].Dir, d.Dir, ErrReread)
		}
		r.acq.Files = files
	}
	r.acq.Ended = r.opts.Clock()
	b, err := encodeUnsigned(r.unsigned(r.acq))
	if err != nil {
		return err
	}
	var signature []byte
	if r.opts.Attest != nil {
		if signature, err = r.opts.Attest(append([]byte(attestDomain), b...)); err != nil {
			return fmt.Errorf("attest the finished record: %w", err)
		}
	}
	for _, d := range r.dests {
		// The signature first: a finished record is never without it.
		if signature != nil {
			if err := d.root.CreateEx(layout.UnsignedSignature, signature); err != nil {
				return d.wrap(err)
			}
		}
		if err := d.root.CreateEx(layout.Unsigned, b); err != nil {
			return d.wrap(err)
		}
	}
	return nil
}

func (r *run) unsigned(a record.Acquisition) Unsigned {
	return Unsigned{Exhibit: r.opts.Exhibit, Acquisition: a, Circumstances: r.opts.Circumstances, Openings: r.opts.Openings}
}

// finish returns every file that the record binds.
func (d *dest) finish(ctx context.Context, name string, images []record.File) ([]record.File, error) {
	tree, err := digestFile(ctx, d.root, layout.TreeName(name), record.RoleTree)
	if err != nil && ctx.Err() == nil {
		err = &RereadError{Dir: d.partial(), Err: err}
	}
	if err != nil {
		return nil, err
	}
	files := append(slices.Clone(images), tree)
	for _, s := range []struct {
		name string
		alg  record.Algorithm
	}{{layout.SHA256Sums, record.SHA256}, {layout.B3Sums, record.BLAKE3}} {
		b := record.Sums(files, s.alg)
		if err := d.root.CreateEx(s.name, b); err != nil {
			return nil, err
		}
		files = append(files, record.File{Name: s.name, Role: record.RoleSums, SizeBytes: int64(len(b)), Digests: digestsOf(b)})
	}
	if err := d.journal.Seal(); err != nil {
		return nil, err
	}
	b, err := d.root.ReadFile(layout.Journal, layout.MaxJournal)
	if err != nil {
		return nil, err
	}
	files = append(files, record.File{Name: layout.Journal, Role: record.RoleJournal, SizeBytes: int64(len(b)), Digests: digestsOf(b)})
	return files, nil
}

// digestFile reads a file that may be large.
func digestFile(ctx context.Context, root *durable.Root, name, role string) (record.File, error) {
	src, err := openUncached(root, name)
	if err != nil {
		return record.File{}, err
	}
	defer src.Close() //nolint:errcheck // opened for reading only
	sum, tree := sha256.New(), new(hashtree.Hasher)
	res, err := pass.Run(ctx, src, pass.Options{Linear: []hash.Hash{sum}, Sinks: []io.Writer{tree}})
	if err != nil {
		return record.File{}, fmt.Errorf("digests of %q: %w", name, err)
	}
	return record.File{Name: name, Role: role, SizeBytes: res.SizeBytes, Digests: []record.Digest{
		record.BLAKE3Digest(tree.Root()), record.SHA256Digest([32]byte(sum.Sum(nil))),
	}}, nil
}
