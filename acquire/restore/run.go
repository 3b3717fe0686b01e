package restore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

const (
	// maxFailed bytes that are not taken or do not read back, and the target is given up: each of them may cost seconds.
	maxFailed = 16 << 20
	// maxRanges bounds the lists of a Result, which a target of which every second sector fails would fill.
	maxRanges = 10_000
)

// Run writes what plan names, syncs, reads it back and compares it with the image. want are the digests that the record
// has of the whole image; those that Run computes too (BLAKE3 and SHA-256) must be the same when all of it is restored,
// or it is ErrImageChanged. progress may be nil.
//
// Places that the target does not take, or does not give back as they were written, are no error: they are listed, and
// the rest is written. An error says that the restore was given up, and the Result then lists what had failed by then:
// the end of ctx, medium.ErrLost, ErrTooManyErrors, a failed sync, an image that cannot be read. The target is then
// overwritten in part.
func Run(ctx context.Context, image Image, target Target, plan Plan, want []record.Digest, progress Progress) (Result, error) {
	r := &run{ctx: ctx, image: image, target: newSectors(target), result: Result{Plan: plan}, progress: progress,
		unwritten: list{ctx: ctx}, differing: list{ctx: ctx}}
	if image.Size() != plan.Image {
		return r.result, fmt.Errorf("%w: it has %d bytes instead of %d", ErrImageChanged, image.Size(), plan.Image)
	}
	if end := max(plan.At+plan.Part.SizeBytes, plan.Fill.End()); end > target.Size() {
		return r.result, fmt.Errorf("%w: it has %d bytes, and the plan ends at %d", ErrTooSmall, target.Size(), end)
	}
	err := r.write()
	if err == nil {
		err = r.readBack()
	}
	r.result.Unwritten, r.result.Differing = sortRanges(r.unwritten.ranges), sortRanges(r.differing.ranges)
	if err == nil {
		r.result.Finished = true
		err = r.compareDigests(want)
	}
	return r.result, err
}

type run struct {
	ctx      context.Context // of this run only
	image    Image
	target   *sectors
	result   Result
	progress Progress
	before   int64 // bytes of the phase that are done

	unwritten, differing list
}

// stretch is a part of the target and what has to stand there.
type stretch struct {
	from    io.ReaderAt
	fromOff int64
	at      Range // of the target
}

// stretches are what is written, in the order of the target: the image's part, then zeros.
func (r *run) stretches() []stretch {
	p := r.result.Plan
	all := []stretch{{r.image, p.Part.Offset, Range{p.At, p.Part.SizeBytes}}}
	if p.Fill.SizeBytes > 0 {
		all = append(all, stretch{zeros{}, 0, p.Fill})
	}
	return all
}

// zeros is an endless source.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func (r *run) phase(name string) {
	r.before = 0
	if r.progress != nil {
		r.progress.Phase(name, r.result.Part.SizeBytes+r.result.Fill.SizeBytes)
	}
}

func (r *run) done(n int64) {
	if r.progress != nil {
		r.progress.Done(r.before + n)
	}
}

func (r *run) write() error {
	r.phase("writing")
	for _, s := range r.stretches() {
		src := io.NewSectionReader(s.from, s.fromOff, s.at.SizeBytes)
		w := &writing{r: r, off: s.at.Offset}
		res, err := pass.Run(r.ctx, src, pass.Options{Sinks: []io.Writer{w}, Progress: r.done})
		if err != nil {
			return fmt.Errorf("restore from byte %d of the target on: %w", s.at.Offset, err)
		}
		if res.SizeBytes != s.at.SizeBytes {
			return fmt.Errorf("%w: it gave %d of %d bytes", ErrImageChanged, res.SizeBytes, s.at.SizeBytes)
		}
		r.before += s.at.SizeBytes
	}
	return r.target.Sync()
}

// writing is a sink of a pass.
type writing struct {
	r   *run
	off int64
}

func (w *writing) Write(p []byte) (int, error) {
	if err := w.r.target.write(p, w.off, w.r.unwritten.add); err != nil {
		return 0, err
	}
	w.off += int64(len(p))
	return len(p), nil
}

// readBack reads what was written, and compares it with what should have been.
func (r *run) readBack() error {
	r.phase("reading back")
	for i, s := range r.stretches() {
		src := &reading{r: r, off: s.at.Offset, end: s.at.End()}
		sum, tree := sha256.New(), new(hashtree.Hasher)
		cmp := &comparing{r: r, from: s.from, fromOff: s.fromOff, at: s.at.Offset, want: make([]byte, pass.BlockSize)}
		opts := pass.Options{Sinks: []io.Writer{cmp}, Progress: r.done}
		if i == 0 { // the image's part
			opts.Linear, opts.Sinks = []hash.Hash{sum}, []io.Writer{cmp, tree}
		}
		if _, err := pass.Run(r.ctx, src, opts); err != nil {
			return fmt.Errorf("read the target back from byte %d on: %w", s.at.Offset, err)
		}
		r.before += s.at.SizeBytes
		if i == 0 && !src.holes {
			r.result.Digests = []record.Digest{record.BLAKE3Digest(tree.Root()), record.SHA256Digest([32]byte(sum.Sum(nil)))}
		}
	}
	return nil
}

// compareDigests finds an image that changed after it was verified: the target holds what it gave, and that is not what
// the record says.
func (r *run) compareDigests(want []record.Digest) error {
	if len(want) == 0 || !r.result.Written() || r.result.Part != (Range{0, r.result.Image}) {
		return nil
	}
	compared := 0
	for _, got := range r.result.Digests {
		for _, w := range want {
			if w.Algorithm() == got.Algorithm() && w != got {
				return fmt.Errorf("%w: the record has %s, the target %s", ErrImageChanged, w, got)
			} else if w == got {
				compared++
			}
		}
	}
	r.result.Matches = compared == len(r.result.Digests)
	return nil
}

// reading is the source of a pass: the target, with zeros for what it does not give.
type reading struct {
	r        *run
	off, end int64
	holes    bool
}

func (s *reading) Read(p []byte) (int, error) {
	p = p[:min(int64(len(p)), s.end-s.off)]
	if len(p) == 0 {
		return 0, io.EOF
	}
	err := s.r.target.read(p, s.off, func(bad Range) error {
		s.holes = true
		return s.r.differing.add(bad)
	})
	if err != nil {
		return 0, err
	}
	s.off += int64(len(p))
	return len(p), nil
}

// comparing is a sink of a pass that holds what was read back against what should stand there.
type comparing struct {
	r       *run
	from    io.ReaderAt
	fromOff int64
	at      int64 // in the target
	want    []byte
}

func (c *comparing) Write(p []byte) (int, error) {
	want := c.want[:len(p)]
	if n, err := c.from.ReadAt(want, c.fromOff); n < len(p) {
		return 0, fmt.Errorf("read the image at byte %d: %w", c.fromOff+int64(n), err)
	}
	if !bytes.Equal(p, want) {
		if err := c.locate(p, want); err != nil {
			return 0, err
		}
	}
	c.fromOff += int64(len(p))
	c.at += int64(len(p))
	return len(p), nil
}

// locate lists the target's sectors that differ.
func (c *comparing) locate(got, want []byte) error {
	sector := c.r.target.SectorBytes()
	for i := int64(0); i < int64(len(got)); {
		end := min(int64(len(got)), (c.at+i)/sector*sector+sector-c.at)
		if !bytes.Equal(got[i:end], want[i:end]) {
			if err := c.r.differing.add(Range{c.at + i, end - i}); err != nil {
				return err
			}
		}
		i = end
	}
	return nil
}

// isBadPlace tells a place that fails from a target that does.
func isBadPlace(err error) bool {
	_, write := errors.AsType[*medium.WriteError](err)
	_, read := errors.AsType[*medium.ReadError](err)
	return (write || read) && !errors.Is(err, medium.ErrLost)
}

// sortRanges puts ranges in order and joins those that touch.
func sortRanges(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return int(min(1, max(-1, a.Offset-b.Offset))) })
	var out []Range
	for _, r := range ranges {
		if last := len(out) - 1; last >= 0 && r.Offset <= out[last].End() {
			out[last].SizeBytes = max(out[last].End(), r.End()) - out[last].Offset
			continue
		}
		out = append(out, r)
	}
	return out
}
