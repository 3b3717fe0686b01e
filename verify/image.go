package verify

import (
	"context"
	"crypto/md5"  // recorded when asked for; never the only digest
	"crypto/sha1" // the same
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// part is one image file with its place in the media stream and what is there of it.
type part struct {
	record.File
	start   int64
	present bool
	size    int64 // on disk
}

// checkImage looks at all image files first. When all are there with their recorded sizes, one reading of the whole
// stream gives every digest; otherwise each file is read by itself, so that the report says what of it is sound.
func (c *files) checkImage(ctx context.Context) error {
	if c.a.Format == record.FormatE01 {
		return c.checkE01(ctx)
	}
	parts, whole := c.lookAtImage()
	if whole {
		return c.readWhole(ctx, parts)
	}
	for _, p := range parts {
		if p.present {
			if err := c.readPart(ctx, p, parts); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *files) lookAtImage() (parts []part, whole bool) {
	whole = true
	var start int64
	erased := false
	for _, f := range c.role(record.RoleImage) {
		p := part{File: f, start: start}
		start += f.SizeBytes
		name := within(c.dir, f.Name)
		info, err := c.fsys.Stat(name)
		switch {
		case c.absent(f, err):
			erased = true
		case err != nil:
			c.line.add(fromError(name, err))
		case !info.Mode().IsRegular():
			c.line.add(fromError(name, fmt.Errorf("%q is %s, not a file: %w", name, kindOf(info.Mode()), errNotPlain)))
		default:
			p.present, p.size = true, info.Size()
		}
		whole = whole && p.present
		if p.present {
			whole = c.checkSize(f, p.size) && whole
		}
		parts = append(parts, p)
	}
	if erased { // then nobody can compute the digests of the media stream any more
		c.compared += int64(len(c.a.Digests))
	}
	return parts, whole
}

var newHash = map[record.Algorithm]func() hash.Hash{
	record.MD5: md5.New, record.SHA1: sha1.New, record.SHA256: sha256.New, record.SHA512: sha512.New,
}

// readWhole reads the media stream once and compares every digest of it and of its files.
func (c *files) readWhole(ctx context.Context, parts []part) error {
	opts := pass.Options{Workers: c.workers, Progress: c.progress}
	cmp, own := newComparator(c.tree, parts, 0, c.a.SizeBytes), new(hashtree.Hasher)
	if c.tree != nil {
		opts.Tree = cmp
	} else {
		opts.Sinks = []io.Writer{own}
	}
	linear, hashes := c.linearDigests()
	opts.Linear = hashes
	shas, b3s := newSplitter(parts, newFileSHA256), newSplitter(parts, newFileBLAKE3)
	if len(parts) > 1 {
		opts.Sinks = append(opts.Sinks, shas, b3s)
	}
	size, err := c.run(ctx, parts, opts)
	if err != nil || size < 0 {
		return err
	}
	if size != c.a.SizeBytes {
		c.line.add(mismatch(c.dir, "acquisition.medium.sizeBytes", fmt.Sprint(c.a.SizeBytes), fmt.Sprint(size),
			"the image gave another number of bytes than the record says"))
		return nil
	}
	root := c.root(cmp, own)
	var sha record.Digest
	for i, want := range linear {
		got, err := record.NewDigest(want.Algorithm(), opts.Linear[i].Sum(nil))
		if err != nil {
			return err
		}
		c.compareMedia(parts, want, got)
		if want.Algorithm() == record.SHA256 {
			sha = got
		}
	}
	if root.IsZero() {
		c.compared++ // reportDamage has said more than one digest against another
	} else {
		c.compareMedia(parts, c.media(record.BLAKE3), root)
	}
	if c.tree == nil && c.line.worst == Mismatch {
		c.line.add(Finding{Severity: Note, File: c.dir, Text: "if the image is damaged, where cannot be told: " + c.treeBad})
	}
	if len(parts) == 1 {
		c.compareSingle(parts[0], root, sha)
		return nil
	}
	return c.compareParts(parts, b3s, shas)
}

func (c *files) compareParts(parts []part, b3s, shas *splitter) error {
	b3, err := b3s.finish()
	if err != nil {
		return err
	}
	sha, err := shas.finish()
	if err != nil {
		return err
	}
	for i, p := range parts {
		c.compareBoth(p.File, b3[i], sha[i])
	}
	return nil
}

// root names the damaged ranges and returns the BLAKE3 of what was read. When every group has the value in the sound
// tree of the recorded stream, the root is the recorded one; when one has not, it is some other, which is left as zero.
// Without a tree it is that of own.
func (c *files) root(cmp *comparator, own *hashtree.Hasher) record.Digest {
	if c.tree == nil {
		return record.BLAKE3Digest(own.Root())
	}
	if c.reportDamage(cmp) {
		return record.Digest{}
	}
	if cmp.groups != hashtree.Groups(c.a.SizeBytes) {
		c.line.add(Finding{Severity: Missing, File: c.dir, Text: fmt.Sprintf("only %d groups of the image were compared", cmp.groups)})
		return record.Digest{}
	}
	return record.BLAKE3Digest(c.tree.Root())
}

// compareMedia is compare for a digest of the media stream.
func (c *files) compareMedia(parts []part, want, got record.Digest) {
	name := c.dir
	if len(parts) == 1 {
		name = within(c.dir, parts[0].Name)
	}
	c.compare(name, fieldMedia, want, got)
}

// compareSingle compares the digests of an image's only file, whose bytes are the media stream. They are computed once;
// a finding that the media digests have given already is not repeated.
func (c *files) compareSingle(p part, b3, sha record.Digest) {
	for _, want := range p.Digests {
		got := b3
		if want.Algorithm() == record.SHA256 {
			got = sha
		}
		if want == c.media(want.Algorithm()) && want != got || got.IsZero() {
			c.compared++ // said already, of the media stream
			continue
		}
		c.compare(within(c.dir, p.Name), "acquisition.files", want, got)
	}
}

// run reads parts in order. A size below zero means that a finding says why there is no result.
func (c *files) run(ctx context.Context, parts []part, opts pass.Options) (size int64, err error) {
	var names []string
	var limit int64
	for _, p := range parts {
		names = append(names, within(c.dir, p.Name))
		limit += min(p.size, p.SizeBytes)
	}
	r, err := image.OpenRaw(c.fsys, names)
	if err != nil {
		c.line.add(fromError(names[0], err))
		return -1, nil
	}
	var src io.Reader = r
	if len(parts) == 1 && parts[0].size > limit {
		src = io.LimitReader(r, limit)
	}
	res, err := pass.Run(ctx, src, opts)
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if ctx.Err() != nil {
		return -1, ctx.Err()
	}
	if err != nil {
		c.line.add(fromError(names[0], err))
		return -1, nil
	}
	return res.SizeBytes, nil
}

// readPart checks one file of an image that is not whole, as far as it goes: its own digests, and by the tree the groups
// that lie entirely in it.
func (c *files) readPart(ctx context.Context, p part, parts []part) error {
	length := min(p.size, p.SizeBytes)
	sha, b3 := sha256.New(), new(hashtree.Hasher)
	opts := pass.Options{Linear: []hash.Hash{sha}, Sinks: []io.Writer{b3}, Workers: c.workers, Progress: c.progress}
	var cmp *comparator
	if c.tree != nil && p.start%hashtree.GroupSize == 0 && c.a.Format == record.FormatRaw {
		cmp = newComparator(c.tree, parts, p.start, length)
		opts.Tree, opts.FirstGroup = cmp, p.start/hashtree.GroupSize
	}
	size, err := c.run(ctx, []part{p}, opts)
	if err != nil || size < 0 {
		return err
	}
	if cmp != nil {
		c.reportDamage(cmp)
	}
	if size < p.SizeBytes {
		return nil // the size is reported; the digests of what is left say nothing
	}
	if c.compareBoth(p.File, b3.Root(), [32]byte(sha.Sum(nil))) && p.size > p.SizeBytes {
		c.line.add(Finding{Severity: Note, File: within(c.dir, p.Name),
			Text: fmt.Sprintf("its first %d bytes are those of the record; what follows them is not evidence", p.SizeBytes)})
	}
	return nil
}

// maxRanges bounds the damaged ranges that are named one by one.
const maxRanges = 100

// reportDamage names each stretch of damaged groups, and reports whether there is one.
func (c *files) reportDamage(cmp *comparator) bool {
	if cmp.err != nil {
		c.line.add(fromError(within(c.dir, c.role(record.RoleTree)[0].Name), cmp.err))
	}
	ranges := cmp.ranges()
	for i, r := range ranges {
		if i == maxRanges {
			c.line.add(Finding{Severity: Mismatch, File: c.dir, Text: fmt.Sprintf("and %d more damaged ranges", len(ranges)-maxRanges)})
			break
		}
		file, in := c.dir, cmp.inFiles(c.dir, r)
		if len(in) > 0 {
			file = in[0].File
		}
		c.line.add(Finding{Severity: Mismatch, File: file, Field: "acquisition.digests", Range: &r, InFiles: in,
			Text:   fmt.Sprintf("damaged: bytes %d to %d of the medium are not those that were acquired", r.Offset, r.Offset+r.Length-1),
			Advice: "take these bytes from another copy of the image, or leave them out of the examination and say so"})
	}
	return len(ranges) > 0 || cmp.err != nil
}

// comparator compares the values of the groups with the tree as a pass computes them, and keeps a bit for each that
// differs.
type comparator struct {
	tree  *hashtree.File
	parts []part
	size  int64 // of the medium
	start int64 // what is read: a stretch of the medium
	end   int64
	hole  Range // of what is read, that is missing

	mu     sync.Mutex
	groups int64 // compared
	bad    []uint64
	err    error // the tree file changed or failed under our hands
}

func newComparator(tree *hashtree.File, parts []part, start, length int64) *comparator {
	last := parts[len(parts)-1]
	return &comparator{tree: tree, parts: parts, size: last.start + last.SizeBytes, start: start, end: start + length}
}

// Put implements pass.Tree.
func (c *comparator) Put(group int64, v hashtree.Value) error {
	from, to := group*hashtree.GroupSize, min((group+1)*hashtree.GroupSize, c.size)
	// A group that is not wholly in the stretch cannot be compared; alone in the stretch it came as a root.
	alone := c.end-c.start <= hashtree.GroupSize && c.start == 0 && c.size > hashtree.GroupSize
	holed := from < c.hole.Offset+c.hole.Length && to > c.hole.Offset
	if from < c.start || to > c.end || alone || holed {
		return nil
	}
	want, err := c.tree.Value(group)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups++
	if err != nil && c.err == nil {
		c.err = err
	}
	if err == nil && want == v {
		return nil
	}
	for int64(len(c.bad)) <= group/64 {
		c.bad = append(c.bad, 0)
	}
	c.bad[group/64] |= 1 << (group % 64)
	return nil
}

// ranges returns the stretches of damaged groups in order, neighbours merged.
func (c *comparator) ranges() []Range {
	var out []Range
	for group := range int64(len(c.bad)) * 64 {
		if c.bad[group/64]&(1<<(group%64)) == 0 {
			continue
		}
		from := group * hashtree.GroupSize
		length := min(hashtree.GroupSize, c.size-from)
		if n := len(out); n > 0 && out[n-1].Offset+out[n-1].Length == from {
			out[n-1].Length += length
		} else {
			out = append(out, Range{from, length})
		}
	}
	return out
}

// inFiles says where in the image's files a range of the medium lies; of an E01, which has no parts, nothing.
func (c *comparator) inFiles(dir string, r Range) []FileRange {
	out := []FileRange{}
	for _, p := range c.parts {
		from, to := max(r.Offset, p.start), min(r.Offset+r.Length, p.start+p.SizeBytes)
		if from < to {
			out = append(out, FileRange{within(dir, p.Name), from - p.start, to - from})
		}
	}
	if len(out) == 0 && len(c.parts) > 0 { // the empty medium
		out = append(out, FileRange{File: within(dir, c.parts[0].Name)})
	}
	return out
}
