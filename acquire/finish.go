package acquire

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"syscall"

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
	if err := r.tellLost(); err != nil {
		return err
	}
	var all []record.File
	for _, d := range r.alive() {
		files, err := d.finish(ctx, r, images)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if err := r.lose(d, err); err != nil {
				return err
			}
			continue
		}
		if all != nil && !sameFiles(all, files) {
			if err := r.lose(d, differs(d)); err != nil {
				return err
			}
			continue
		}
		all = files
	}
	r.acq.Files = all
	if err := r.lookAtContents(ctx); err != nil {
		return err
	}
	r.acq.Destinations = nil // without those that were lost, perhaps since the journal was frozen
	for _, d := range r.alive() {
		r.acq.Destinations = append(r.acq.Destinations, d.about)
	}
	r.acq.Compare()
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
	return r.leave(b, signature)
}

// leave writes the record, at the first destination last: who resumes looks there, and must not find one that the other
// has not. What a run could go on from is kept until all have it.
func (r *run) leave(unsigned, signature []byte) error {
	for _, step := range []func(*dest) error{
		func(d *dest) error { return d.leave(unsigned, signature) },
		func(d *dest) error { return d.root.Remove(layout.Resume) },
	} {
		for _, d := range slices.Backward(r.alive()) {
			if err := step(d); err != nil {
				if err := r.lose(d, err); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// tellLost writes into the journal which destinations were given up.
func (r *run) tellLost() error {
	for _, d := range r.dests {
		if d.lost == nil {
			continue
		}
		text := record.CauseDestination
		if errno, ok := errors.AsType[syscall.Errno](d.lost); ok {
			text += ": " + errno.Error()
		}
		if err := r.event(JournalEvent{Event: EventLost, SizeBytes: r.kept(d), Text: text}); err != nil {
			return err
		}
	}
	return nil
}

// leave writes the record. The signature first: a finished record is never without it.
func (d *dest) leave(unsigned, signature []byte) error {
	if signature != nil {
		if err := d.root.Replace(layout.UnsignedSignature, signature); err != nil {
			return err
		}
	}
	return d.root.CreateEx(layout.Unsigned, unsigned)
}

func (r *run) unsigned(a record.Acquisition) Unsigned {
	return Unsigned{Exhibit: r.opts.Exhibit, Acquisition: a, Circumstances: r.opts.Circumstances, Openings: r.opts.Openings}
}

// finish returns every file that the record binds.
func (d *dest) finish(ctx context.Context, r *run, images []record.File) ([]record.File, error) {
	files, err := d.bind(ctx, r, images)
	if err != nil {
		return nil, err
	}
	if d.journal != nil {
		if err := d.journal.Seal(); err != nil {
			return nil, err
		}
	}
	b, err := d.root.ReadFile(layout.Journal, layout.MaxJournal)
	if err != nil {
		return nil, err
	}
	if now := r.lines.saved(); now.SizeBytes != int64(len(b)) || !now.isBeginningOf(b) {
		return nil, &RereadError{Dir: d.partial(), Err: fmt.Errorf("%q is not as it was written", layout.Journal)}
	}
	return append(files, record.File{Name: layout.Journal, Role: record.RoleJournal, SizeBytes: int64(len(b)), Digests: digestsOf(b)}), nil
}

// bind adds to the files of the image tree, map and sums, which it writes.
func (d *dest) bind(ctx context.Context, r *run, images []record.File) ([]record.File, error) {
	files := slices.Clone(images)
	beside := []struct{ name, role string }{{layout.TreeName(r.name), record.RoleTree}}
	if r.acq.HasMap() {
		if err := d.root.Seal(layout.MapName(r.name), nil); err != nil {
			return nil, err
		}
		beside = append(beside, struct{ name, role string }{layout.MapName(r.name), record.RoleMap})
	}
	if r.taking != nil {
		beside = append(beside, struct{ name, role string }{layout.TakenName(r.name), record.RoleTakenOver})
	}
	for _, b := range beside {
		f, err := digestFile(ctx, d.root, b.name, b.role, nil)
		if err == nil && b.role == record.RoleMap && !r.savedLast(f) {
			err = fmt.Errorf("%q is not the map that was saved", b.name)
		}
		if err == nil && b.role == record.RoleTakenOver && f.Digests[0] != r.taking.digest {
			err = fmt.Errorf("%q is not the list that was written", b.name)
		}
		if err != nil && ctx.Err() == nil {
			err = &RereadError{Dir: d.partial(), Err: err}
		}
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	for _, s := range []struct {
		name string
		alg  record.Algorithm
	}{{layout.SHA256Sums, record.SHA256}, {layout.B3Sums, record.BLAKE3}} {
		b := record.Sums(files, s.alg)
		if err := d.root.CreateIdempotent(s.name, b); err != nil {
			return nil, err
		}
		files = append(files, record.File{Name: s.name, Role: record.RoleSums, SizeBytes: int64(len(b)), Digests: digestsOf(b)})
	}
	return files, nil
}

// savedLast is whether a file is the map that was saved last. It lay open to others while the image was read again, and no
// digest of the medium covers it.
func (r *run) savedLast(f record.File) bool {
	maps := r.mapped
	if r.rescue != nil {
		maps = r.rescue.maps
	}
	return len(maps) > 0 && f.Digests[0] == maps[len(maps)-1].Digest
}

// digestFile reads a file that may be large. stats is nil for a file that is not measured.
func digestFile(ctx context.Context, root *durable.Root, name, role string, stats *Stats) (record.File, error) {
	src, err := openUncached(root, name)
	if err != nil {
		return record.File{}, err
	}
	defer src.Close() //nolint:errcheck // opened for reading only
	sum, tree := sha256.New(), new(hashtree.Hasher)
	res, err := pass.Run(ctx, src, pass.Options{Linear: []hash.Hash{sum}, Sinks: []io.Writer{tree}, Busy: stats.ofFiles()})
	if err != nil {
		return record.File{}, fmt.Errorf("digests of %q: %w", name, err)
	}
	return record.File{Name: name, Role: role, SizeBytes: res.SizeBytes, Digests: []record.Digest{
		record.BLAKE3Digest(tree.Root()), record.SHA256Digest([32]byte(sum.Sum(nil))),
	}}, nil
}
