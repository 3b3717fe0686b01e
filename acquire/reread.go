package acquire

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// RereadError says what of an image does not read back as it was written. It is an ErrReread.
type RereadError struct {
	Dir    string  // of the acquisition
	Ranges []Range // of the media stream, in order, to the MiB; may be empty
	Err    error   // what else is wrong; may be nil
}

// Range is a stretch of the media stream.
type Range struct {
	Offset, SizeBytes int64
}

func (e *RereadError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %q", ErrReread, e.Dir)
	writeRanges(&b, e.Ranges)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func writeRanges(b *strings.Builder, ranges []Range) {
	for i, r := range ranges {
		if i == maxNamed {
			fmt.Fprintf(b, ", and %d more ranges", len(ranges)-i)
			break
		}
		fmt.Fprintf(b, ", bytes %d to %d", r.Offset, r.Offset+r.SizeBytes-1)
	}
}

// Unwrap returns what else is wrong.
func (e *RereadError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrReread) true.
func (e *RereadError) Is(target error) bool { return target == ErrReread }

const (
	maxNamed  = 10   // ranges in a message
	maxDamage = 1000 // groups; after that the destination is known to be bad
)

// reread reads each image again and computes the digests of its files; without it, the only file is the media stream.
// After a rescue, it also computes the digests of the media stream that run in order.
func (r *run) reread(ctx context.Context) error {
	s, err := r.state(PhaseRereading)
	if err == nil {
		err = r.keep(s)
	}
	if err != nil {
		return err
	}
	return r.readBack(ctx)
}

func (r *run) readBack(ctx context.Context) (err error) {
	if !r.opts.Reread && r.e01() {
		r.acq.Files, err = r.filesUnread(ctx)
		return err
	}
	if !r.opts.Reread {
		one := r.alive()[0].segments[0]
		r.acq.Files = []record.File{{Name: one.Name, Role: record.RoleImage, SizeBytes: one.SizeBytes,
			Digests: []record.Digest{r.media(record.BLAKE3), r.media(record.SHA256)}}}
		return nil
	}
	alive := r.alive()
	if err := r.phase(PhaseRereading, r.size*int64(len(alive))); err != nil {
		return err
	}
	weakest := record.RereadDirect
	var all []record.File
	for i, d := range alive {
		c := &rereading{run: r, dest: d, before: int64(i) * r.size, kind: d.space.reread}
		files, err := c.do(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if err := r.lose(d, err); err != nil {
				return err
			}
			continue
		}
		weakest = weaker(weakest, c.kind)
		if all != nil && !sameFiles(all, files) {
			if err := r.lose(d, differs(d)); err != nil {
				return err
			}
			continue
		}
		all = files
	}
	r.acq.Files = all
	r.acq.Reread = record.Reread{Kind: weakest, Matches: true}
	return nil
}

// differs is the error of a destination that holds other files than the one before it.
func differs(d *dest) error {
	return &RereadError{Dir: d.partial(), Err: errors.New("its files are not those of the other destination")}
}

// weaker orders what a re-read proves: past the cache, after dropping it, perhaps from it.
func weaker(a, b string) string {
	order := []string{record.RereadCached, record.RereadCacheDropped, record.RereadDirect}
	return order[min(slices.Index(order, a), slices.Index(order, b))]
}

func sameFiles(a, b []record.File) bool {
	return slices.EqualFunc(a, b, func(a, b record.File) bool {
		return a.Name == b.Name && a.Role == b.Role && a.SizeBytes == b.SizeBytes && slices.Equal(a.Digests, b.Digests)
	})
}

// rereading is the second reading of one destination.
type rereading struct {
	*run
	dest   *dest
	kind   string
	before int64 // bytes of the phase that are done
	tree   *hashtree.File

	mu  sync.Mutex
	bad []int64 // groups
}

// errDamage ends a reading that has found enough.
var errDamage = errors.New("too many differences")

func (c *rereading) do(ctx context.Context) ([]record.File, error) {
	f, err := c.dest.root.Open(layout.TreeName(c.name))
	if err != nil {
		return nil, c.fail(err)
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	medium.Evict(f)
	if c.tree, err = hashtree.Open(f, hashtree.FileSize(c.size)); err != nil {
		return nil, c.fail(err)
	}
	if c.tree.Root() != c.root || c.tree.Size() != c.size {
		return nil, c.fail(fmt.Errorf("%q is not the tree that was written", layout.TreeName(c.name)))
	}
	media, err := c.mediaHashes()
	if err != nil {
		return nil, c.fail(err)
	}
	var files []record.File
	switch {
	case c.run.e01():
		files, err = c.e01(ctx, media)
	case c.opts.SegmentBytes == 0:
		files, err = c.whole(ctx, media)
	default:
		files, err = c.segments(ctx, media)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && !errors.Is(err, errDamage) || len(c.bad) > 0 {
		return nil, c.fail(err)
	}
	if err := c.compare(media); err != nil {
		return nil, c.fail(err)
	}
	return files, nil
}

// mediaHashes are SHA-256, and after a rescue the extra digests, which nobody could compute while reading. Those of a
// rescue must come by the states that were kept at the first read error: image and tree lay open to others since then.
func (c *rereading) mediaHashes() ([]hash.Hash, error) {
	if c.acq.Mode != record.ModeRescue {
		return []hash.Hash{sha256.New()}, nil
	}
	media := []hash.Hash{sha256.New()}
	for _, alg := range c.opts.Extra {
		media = append(media, newHash(alg))
	}
	if c.rescue.first == 0 {
		return media, nil
	}
	if len(c.rescue.midstates) != len(media) {
		return nil, fmt.Errorf("%w: the states of the digests at the first read error were not kept", ErrNotResumable)
	}
	for i, m := range c.rescue.midstates {
		want, err := hex.DecodeString(m.State)
		if err != nil {
			return nil, fmt.Errorf("%w: state of %.20q", record.ErrMalformed, m.Algorithm)
		}
		media[i] = &prefixHash{Hash: media[i], left: c.rescue.first, want: want}
	}
	return media, nil
}

// prefixHash fails where the bytes before the first read error are not those that the medium gave.
type prefixHash struct {
	hash.Hash
	left int64
	want []byte
}

func (h *prefixHash) Write(p []byte) (int, error) {
	n := int(min(h.left, int64(len(p))))
	if n > 0 {
		if _, err := h.Hash.Write(p[:n]); err != nil {
			return 0, err
		}
		if h.left -= int64(n); h.left == 0 {
			got, err := marshalHash(h.Hash)
			if err != nil || !bytes.Equal(got, h.want) {
				return n, errors.Join(errPrefix, err)
			}
		}
	}
	m, err := h.Hash.Write(p[n:])
	return n + m, err
}

var errPrefix = errors.New("the bytes before the first read error are not those that were read")

// compare holds the digests of the image against those of the medium. The tree fits, so the bytes are right; this finds a
// block that changed in memory between two hashes. After a rescue the first destination's become those of the medium.
func (c *rereading) compare(media []hash.Hash) error {
	for i, alg := range c.algorithms()[:len(media)] {
		got, err := record.NewDigest(alg, media[i].Sum(nil))
		if err != nil {
			return err
		}
		want := c.media(alg)
		if want.IsZero() && c.acq.Mode == record.ModeRescue {
			c.addDigest(got, record.ComputedFromImage)
			continue
		}
		if got != want {
			return fmt.Errorf("%s of the image is %s, of the medium %s, though the tree is the same (faulty memory?)", alg, got, want)
		}
	}
	return nil
}

// whole compares the groups of an image in one file, on all cores. All of them right, the file's BLAKE3 is the tree's.
func (c *rereading) whole(ctx context.Context, media []hash.Hash) ([]record.File, error) {
	s := c.dest.segments[0]
	if err := c.pass(ctx, s, pass.Options{Tree: c, Linear: media, Busy: c.opts.Stats.ofPass(c.algorithms())}); err != nil {
		return nil, err
	}
	return []record.File{imageFile(s, c.root, [32]byte(media[0].Sum(nil)))}, nil
}

// segments compares the groups, which do not end where segments end, beside the digests of each file.
func (c *rereading) segments(ctx context.Context, media []hash.Hash) ([]record.File, error) {
	groups := &regroup{c: c}
	var files []record.File
	for _, s := range c.dest.segments {
		own, tree := sha256.New(), new(hashtree.Hasher)
		opts := pass.Options{Linear: append([]hash.Hash{own}, media...), Sinks: []io.Writer{groups, tree},
			Busy: c.opts.Stats.ofPass(append([]record.Algorithm{record.SHA256}, c.algorithms()...), string(record.BLAKE3), string(record.BLAKE3))}
		if err := c.pass(ctx, s, opts); err != nil {
			return nil, err
		}
		files = append(files, imageFile(s, tree.Root(), [32]byte(own.Sum(nil))))
	}
	return files, groups.end()
}

func imageFile(s image.Segment, root hashtree.Value, sum [32]byte) record.File {
	return record.File{Name: s.Name, Role: record.RoleImage, SizeBytes: s.SizeBytes, Digests: []record.Digest{
		record.BLAKE3Digest(root), record.SHA256Digest(sum),
	}}
}

// pass reads one file of the image, from the disk as far as that can be had.
func (c *rereading) pass(ctx context.Context, s image.Segment, opts pass.Options) error {
	src, err := openUncached(c.dest.root, s.Name)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // opened for reading only
	if n, _ := src.Size(); n != s.SizeBytes {
		return wrongSize(s, n)
	}
	opts.Progress = func(n int64) { c.done(c.before + n) }
	if _, err := pass.Run(ctx, src, opts); err != nil {
		return err
	}
	c.before += s.SizeBytes
	if !src.PastCache() {
		c.kind = weaker(c.kind, record.RereadCacheDropped)
	}
	return nil
}

// openUncached opens a finished file for reading without what the system keeps of it in memory.
func openUncached(root *durable.Root, name string) (*medium.Medium, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	medium.Evict(f)
	m, err := medium.FromFile(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

// Put compares a group with the tree. It is called from several goroutines.
func (c *rereading) Put(group int64, v hashtree.Value) error {
	want, err := c.tree.Value(group)
	if err != nil {
		return err
	}
	if v == want {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bad = append(c.bad, group); len(c.bad) >= maxDamage {
		return errDamage
	}
	return nil
}

// fail makes the RereadError. A cancelled reading is none.
func (c *rereading) fail(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &RereadError{Dir: c.dest.partial(), Ranges: c.badRanges(), Err: err}
}

// badRanges joins the groups that differ.
func (c *rereading) badRanges() []Range {
	slices.Sort(c.bad)
	var ranges []Range
	for _, group := range c.bad {
		off := group * hashtree.GroupSize
		n := min(hashtree.GroupSize, c.size-off)
		if last := len(ranges) - 1; last >= 0 && ranges[last].Offset+ranges[last].SizeBytes == off {
			ranges[last].SizeBytes += n
			continue
		}
		ranges = append(ranges, Range{off, n})
	}
	return ranges
}
