package verify

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/inorder"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// checkE01 compares what the files of an E01 decode to, and each file by itself, of the same bytes. The digests that the
// image states about itself are no evidence; where they are not those of the record, somebody made it so.
func (c *files) checkE01(ctx context.Context) error {
	parts, whole := c.lookAtImage()
	if !whole {
		if err := c.readParts(ctx, parts); err != nil {
			return err
		}
		if len(c.gone) > 0 {
			return nil
		}
		return c.incomplete(ctx, parts)
	}
	var names []string
	for _, p := range parts {
		names = append(names, within(c.dir, p.Name))
	}
	fsys := inorder.New(c.fsys, c.fsys.Open, nil)
	defer fsys.Close()
	r, err := image.OpenE01(fsys, names)
	if err != nil {
		c.line.add(fromError(names[0], e01Content(err)))
		return c.readParts(ctx, parts)
	}
	fsys.Begin()
	err = c.decodeE01(ctx, r)
	if err == nil {
		err = c.digestParts(ctx, fsys, parts)
	}
	if closeErr := r.Close(); closeErr != nil && err == nil {
		c.line.add(fromError(names[0], closeErr))
	}
	return err
}

// incomplete says what of the medium stood in segments that are missing, and decodes the rest, to locate what is damaged
// in it.
func (c *files) incomplete(ctx context.Context, parts []part) error {
	var names []string
	for _, p := range parts {
		if p.present {
			names = append(names, within(c.dir, p.Name))
		}
	}
	r, err := image.OpenIncomplete(c.fsys, names)
	if err != nil {
		c.line.add(Finding{Severity: Note, File: c.dir, Text: fmt.Sprintf("what the image holds was not decoded, because not all of its files are there with their sizes: %v", err)})
		return nil
	}
	m, sector := r.E01().Missing(), r.E01().SectorBytes()
	hole := Range{}
	if m != nil {
		f := Finding{Severity: Missing, File: c.dir, Text: m.String(), Advice: "bring the missing files from another copy of the folder"}
		if hole = (Range{m.Sectors.FirstSector * sector, m.Sectors.Sectors * sector}); hole.Length > 0 {
			f.Field, f.Range = "acquisition.digests", &hole
		}
		c.line.add(f)
	}
	err = c.decodeRest(ctx, r, hole)
	if closeErr := r.Close(); closeErr != nil && err == nil {
		c.line.add(fromError(names[0], closeErr))
	}
	return err
}

// decodeRest compares each group with the tree that does not touch the hole, and reports each damaged chunk. The digests of
// the medium cannot be compared.
func (c *files) decodeRest(ctx context.Context, r *image.Reader, hole Range) error {
	if r.Size() != c.a.SizeBytes {
		c.line.add(mismatch(c.dir, "acquisition.medium.sizeBytes", fmt.Sprint(c.a.SizeBytes), fmt.Sprint(r.Size()), "the image is of a medium of another length than the record says"))
		return nil
	}
	opts := pass.Options{Workers: c.workers, Progress: c.progress}
	cmp := &comparator{tree: c.tree, size: r.Size(), end: r.Size(), hole: hole}
	if c.tree != nil {
		opts.Tree = cmp
	} else {
		opts.Sinks = []io.Writer{io.Discard}
	}
	_, err := pass.Run(ctx, &damaged{Reader: r, c: c}, opts)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		c.line.add(fromError(r.Segments()[0].Name, e01Content(err)))
		return nil
	}
	c.reportDamage(cmp)
	if m := r.E01().Missing(); m == nil || !m.Tail {
		c.compareUnread(r.E01())
	}
	return nil
}

// readParts checks each file that is there by itself.
func (c *files) readParts(ctx context.Context, parts []part) error {
	all := c.progress
	var before int64
	c.progress = func(n int64) { all(before + n) }
	defer func() { c.progress = all }()
	for _, p := range parts {
		if !p.present {
			continue
		}
		if err := c.readPart(ctx, p, parts); err != nil {
			return err
		}
		before += p.size
	}
	return nil
}

// digestParts compares each file's own digests, of all its bytes: those that were decoded, and the rest.
func (c *files) digestParts(ctx context.Context, fsys *inorder.FS, parts []part) error {
	for _, p := range parts {
		name := within(c.dir, p.Name)
		sum, root, err := fsys.Digests(ctx, name)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.line.add(fromError(name, e01Content(err)))
			continue
		}
		c.compareBoth(p.File, root, sum)
	}
	return nil
}

// e01Content marks what an image says, as opposed to a file that cannot be read.
func e01Content(err error) error {
	for _, e := range []error{ewf.ErrFormat, ewf.ErrSegments, ewf.ErrStructure, ewf.ErrChanged, inorder.ErrChanged} {
		if errors.Is(err, e) {
			return content(err)
		}
	}
	return err
}

// decodeE01 reads the media stream out of the image and compares every digest of it.
func (c *files) decodeE01(ctx context.Context, r *image.Reader) error {
	for _, n := range r.E01().Notes() {
		if n.Damage {
			c.line.add(mismatch(n.Segment, "", "", "", fmt.Sprintf("damaged at byte %d: %s", n.Offset, n.Text)))
		}
	}
	if size := c.a.SizeBytes; r.Size() != size {
		c.line.add(mismatch(c.dir, "acquisition.medium.sizeBytes", fmt.Sprint(size), fmt.Sprint(r.Size()), "the image is of a medium of another length than the record says"))
		return nil
	}
	src := &damaged{Reader: r, c: c}
	opts := pass.Options{Workers: c.workers, Progress: c.progress}
	cmp, own := &comparator{tree: c.tree, size: r.Size(), end: r.Size()}, new(hashtree.Hasher)
	if c.tree != nil {
		opts.Tree = cmp
	} else {
		opts.Sinks = []io.Writer{own}
	}
	linear, hashes := c.linearDigests()
	opts.Linear = hashes
	res, err := pass.Run(ctx, src, opts)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		c.line.add(fromError(r.Segments()[0].Name, e01Content(err)))
		return nil
	}
	if res.SizeBytes != r.Size() {
		c.line.add(Finding{Severity: Missing, File: c.dir, Text: fmt.Sprintf("only %d bytes of the image were read", res.SizeBytes)})
		return nil
	}
	c.compareDecoded(cmp, own, linear, hashes)
	c.compareUnread(r.E01())
	return c.compareStored(r.E01())
}

// linearDigests are the recorded digests of the medium that are computed in order, with what computes them.
func (c *files) linearDigests() (want []record.Digest, hashes []hash.Hash) {
	for _, d := range c.a.Digests {
		if alg := d.Digest.Algorithm(); alg != record.BLAKE3 {
			want = append(want, d.Digest)
			hashes = append(hashes, newHash[alg]())
		}
	}
	return want, hashes
}

func (c *files) compareDecoded(cmp *comparator, own *hashtree.Hasher, linear []record.Digest, hashes []hash.Hash) {
	if root := c.root(cmp, own); root.IsZero() {
		c.compared++ // reportDamage has said more than one digest against another
	} else {
		c.compare(c.dir, fieldMedia, c.media(record.BLAKE3), root)
	}
	for i, want := range linear {
		got, err := record.NewDigest(want.Algorithm(), hashes[i].Sum(nil))
		if err != nil {
			c.line.add(fromError(c.dir, content(err)))
			continue
		}
		c.compare(c.dir, fieldMedia, want, got)
	}
	if c.tree == nil && c.line.worst == Mismatch {
		c.line.add(Finding{Severity: Note, File: c.dir, Text: "if the image is damaged, where cannot be told but by its own checksums: " + c.treeBad})
	}
}

// compareStored holds what the image states about itself against the record.
func (c *files) compareStored(r *ewf.Reader) error {
	s := r.Stored()
	for _, stored := range []struct {
		alg record.Algorithm
		sum []byte
	}{{record.MD5, s.MD5}, {record.SHA1, s.SHA1}} {
		want := c.media(stored.alg)
		if stored.sum == nil || want.IsZero() {
			continue
		}
		got, err := record.NewDigest(stored.alg, stored.sum)
		if err != nil {
			return err
		}
		if got != want {
			c.line.add(mismatch(r.Segments()[len(r.Segments())-1].Name, "acquisition.digests", want.String(), got.String(),
				"the digest that the image states about itself is not the one in the record"))
		}
	}
	return nil
}

// damaged reads an image in order, with zeros where a chunk cannot be decoded, and reports each of these.
type damaged struct {
	*image.Reader
	c     *files
	pos   int64
	count int
}

// Read implements io.Reader.
func (d *damaged) Read(p []byte) (int, error) {
	if d.pos == d.Size() {
		if err := d.E01().Unchanged(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), d.Size()-d.pos)]
	done := 0
	for done < len(p) {
		n, err := d.ReadAt(p[done:], d.pos+int64(done))
		done += n
		damage, ok := errors.AsType[*ewf.DamageError](err)
		if err != nil && !ok {
			return 0, err
		}
		if ok {
			end := (damage.FirstSector + damage.Sectors) * d.E01().SectorBytes()
			skip := int(min(end-d.pos, int64(len(p)))) - done
			if skip <= 0 {
				return 0, err
			}
			clear(p[done : done+skip])
			done += skip
			if damage.Segment != "" { // what is missing is said as a whole
				d.report(damage)
			}
		}
	}
	d.pos += int64(len(p))
	return len(p), nil
}

func (d *damaged) report(e *ewf.DamageError) {
	if d.count++; d.count > maxRanges {
		if d.count == maxRanges+1 {
			d.c.line.add(Finding{Severity: Mismatch, File: d.c.dir, Text: "and more damaged chunks, not shown"})
		}
		return
	}
	sector := d.E01().SectorBytes()
	d.c.line.add(Finding{Severity: Mismatch, File: e.Segment, Field: "acquisition.digests",
		Range:  &Range{e.FirstSector * sector, e.Sectors * sector},
		Text:   fmt.Sprintf("damaged at byte %d: chunk %d, sectors %d to %d of the medium, %s", e.Offset, e.Chunk, e.FirstSector, e.FirstSector+e.Sectors-1, e.Reason),
		Advice: "take these sectors from another copy of the image, or leave them out of the examination and say so"})
}
