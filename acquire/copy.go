package acquire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// ErrSource says that the image to be copied is not the one of its record; see SourceError. Nothing was recorded.
var ErrSource = errors.New("the image to be copied is not as its record says")

// PhaseCopying is that of Copy in which the source is read, for Progress.
const PhaseCopying = "copying"

// SourceError says what of the image to be copied is not as its record says. It is an ErrSource.
type SourceError struct {
	Ranges []Range // of the media stream, in order, to the MiB; may be empty
	Err    error   // what else is wrong; may be nil
}

func (e *SourceError) Error() string {
	var b strings.Builder
	b.WriteString(ErrSource.Error())
	writeRanges(&b, e.Ranges)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns what else is wrong.
func (e *SourceError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrSource) true.
func (e *SourceError) Is(target error) bool { return target == ErrSource }

// CopySource is a sealed image, and what the log says of it.
type CopySource struct {
	FS       fs.FS         // of the folder
	Image    record.Image  // as the record in the log has it
	Medium   record.Medium // of the acquisition that the image goes back to
	Acquired record.Time   // when that was begun
}

// CopyOptions say what is made of a CopySource, and who does it. All but Labels, Compression, SegmentBytes and Progress is
// required.
type CopyOptions struct {
	Exhibit string // the exhibit's number
	ID      string // of the copy: layout.NewAcquisitionID

	Format       string     // record.FormatRaw or record.FormatE01
	Compression  string     // as Options.Compression
	Labels       ewf.Header // as Options.Labels
	SegmentBytes int64      // as Options.SegmentBytes
	Original     record.Reference
	Source       record.Reference

	Tool     record.Tool
	Host     record.Host
	Clock    record.Clock
	Progress Progress
}

// copying is what a run has instead of a medium.
type copying struct {
	source   CopySource
	mapText  []byte // nil: the original has no map
	taken    []byte // the list of what the original took over; nil: nothing
	sector   int64
	physical bool
	tree     *hashtree.File // of the source
}

// Copy writes the media stream of an image into another one, and checks the source while it reads it: every group against
// the source's tree, and every digest of the record. The copy is read back and compared. It returns the finished record;
// to is left with <id>.partial, which holds image, tree, the original's map and its list of what was taken over if there are such, SHA256SUMS and B3SUMS, all
// synced, and waits for the record to be logged and for Seal with SealFiles.Copy.
//
// Errors are those of Acquire that do not speak of a medium; ErrSource, a *SourceError; and where a file of the source
// cannot be read, that of its FS. What is left of a copy that did not come to its end is a .partial folder that no one
// goes on with.
func Copy(ctx context.Context, source CopySource, to Destination, opts CopyOptions) (record.Copy, error) {
	r, err := prepareCopy(source, to, opts)
	if err != nil {
		return record.Copy{}, err
	}
	res, err := r.run(ctx, r.beginCopy, r.copyBytes, r.readBack, r.finishCopy)
	if err != nil {
		return record.Copy{}, err
	}
	a := &res.Acquisition
	c := record.Copy{Destination: a.Destinations[0], Digests: a.Digests, Started: a.Started, Ended: a.Ended, Files: a.Files, Format: a.Format,
		Host: a.Host, ID: a.ID, Options: record.CopyOptions{Compression: a.Options.Compression, SegmentBytes: a.Options.SegmentBytes},
		Original: opts.Original, Source: opts.Source, Reread: a.Reread, SizeBytes: source.Image.SizeBytes, TakenOver: source.Image.TakenOver, Tool: a.Tool, Unread: source.Image.Unread}
	return c, c.Validate()
}

// prepareCopy makes every check that can be made before the first byte.
func prepareCopy(source CopySource, to Destination, o CopyOptions) (*run, error) {
	r := &run{size: source.Image.SizeBytes, copying: &copying{source: source}, opts: Options{Exhibit: o.Exhibit, ID: o.ID, Format: o.Format,
		Compression: o.Compression, Labels: o.Labels, SegmentBytes: o.SegmentBytes, Reread: true, OnError: record.OnErrorStop,
		Tool: o.Tool, Host: o.Host, Clock: o.Clock, Progress: o.Progress, Extra: extraDigests(source.Image, o.Format)}}
	if err := record.CheckExhibit(o.Exhibit); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	var err error
	if r.name, err = layout.Encode(o.Exhibit); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if !record.ValidAcquisitionID(o.ID) || o.Clock == nil {
		return nil, fmt.Errorf("%w: acquisition id %.60q, clock given: %t", ErrOptions, o.ID, o.Clock != nil)
	}
	if err := r.opts.checkFormat(); err != nil {
		return nil, err
	}
	r.acq = record.Acquisition{Format: r.opts.Format, ID: o.ID, Medium: source.Medium, Mode: record.ModeSequential, Tool: o.Tool, Host: o.Host,
		Started: o.Clock(), Options: record.Options{Compression: r.opts.Compression, Reread: true, SegmentBytes: o.SegmentBytes}}
	d := &dest{Destination: to, id: o.ID, about: medium.DescribeDestination(to.Dir)}
	if err := d.check(nil); err != nil {
		return nil, err
	}
	r.dests, r.acq.Destinations = []*dest{d}, []record.Destination{d.about}
	if err := r.lookAtSource(); err != nil {
		return nil, err
	}
	_, err = r.plan()
	return r, err
}

// extraDigests are those of the source's record, and of an E01 the MD5 that its readers expect.
func extraDigests(i record.Image, format string) (extra []record.Algorithm) {
	for _, alg := range []record.Algorithm{record.MD5, record.SHA1, record.SHA512} {
		if !i.Digest(alg).IsZero() || alg == record.MD5 && format == record.FormatE01 {
			extra = append(extra, alg)
		}
	}
	return extra
}

// lookAtSource reads the map, and learns of the image what does not stand in the record.
func (r *run) lookAtSource() error {
	c := r.copying
	img, err := c.open()
	if err != nil {
		return err
	}
	c.sector = 512
	if n, ok := c.source.Medium.LogicalSectorBytes.Get(); ok {
		c.sector = n
	}
	if e := img.E01(); e != nil {
		c.sector, c.physical = e.SectorBytes(), e.Volume().Flags&ewf.FlagPhysical != 0
	}
	if err := img.Close(); err != nil {
		return err
	}
	for _, f := range c.source.Image.Role(record.RoleMap) {
		if err := r.takeMap(f); err != nil {
			return err
		}
	}
	for _, f := range c.source.Image.Role(record.RoleTakenOver) {
		if err := r.takeList(f); err != nil {
			return err
		}
	}
	return nil
}

// open opens the image, each file of which must have the size of the record.
func (c *copying) open() (*image.Reader, error) {
	var names []string
	for _, f := range c.source.Image.Role(record.RoleImage) {
		info, err := fs.Lstat(c.source.FS, f.Name)
		if err != nil {
			return nil, fmt.Errorf("look at the image to be copied: %w", err)
		}
		if !info.Mode().IsRegular() || info.Size() != f.SizeBytes {
			return nil, &SourceError{Err: fmt.Errorf("%q is not a regular file of %d bytes", f.Name, f.SizeBytes)}
		}
		names = append(names, f.Name)
	}
	open := image.OpenRaw
	if c.source.Image.Format == record.FormatE01 {
		open = image.OpenE01
	}
	img, err := open(c.source.FS, names)
	if err != nil {
		return nil, sourceError(err)
	}
	if img.Size() != c.source.Image.SizeBytes {
		return nil, errors.Join(&SourceError{Err: fmt.Errorf("it is of a medium of %d bytes, the record says %d", img.Size(), c.source.Image.SizeBytes)}, img.Close())
	}
	return img, nil
}

// sourceError marks what an image says, as opposed to a file that cannot be read.
func sourceError(err error) error {
	for _, e := range []error{image.ErrChanged, ewf.ErrFormat, ewf.ErrSegments, ewf.ErrStructure, ewf.ErrChanged} {
		if errors.Is(err, e) {
			return &SourceError{Err: err}
		}
	}
	if _, ok := errors.AsType[*ewf.DamageError](err); ok {
		return &SourceError{Err: err}
	}
	return fmt.Errorf("read the image to be copied: %w", err)
}

// readMap reads a list of the original in ddrescue's form, as its record names it.
func (c *copying) readMap(f record.File) (text []byte, m *image.Map, err error) {
	if text, err = readSmall(c.source.FS, f); err != nil {
		return nil, nil, err
	}
	if m, err = image.ParseMap(bytes.NewReader(text), image.MapLimits{SizeBytes: layout.MaxMap}); err != nil {
		return nil, nil, &SourceError{Err: fmt.Errorf("%q: %w", f.Name, err)}
	}
	return text, m, nil
}

// takeMap takes the original's map, which goes along with every copy.
func (r *run) takeMap(f record.File) error {
	c := r.copying
	text, m, err := c.readMap(f)
	if err != nil {
		return err
	}
	u := c.source.Image.Unread
	if bad := m.Total(image.Bad); m.Size() != r.size || bad.SizeBytes != u.Bytes || int64(bad.Ranges) != u.Ranges || m.Total(image.Finished).SizeBytes != r.size-u.Bytes {
		return &SourceError{Err: fmt.Errorf("%q does not come to what the record says", f.Name)}
	}
	c.mapText = text
	r.mapped = []SavedMap{{Digest: f.Digests[0]}}
	r.acq.Mode, r.inPlace = record.ModeInPlace, &inPlace{r: r} // what is unread is known before it is written
	for b := range m.Unread() {
		if r.e01() && (b.Offset%c.sector != 0 || b.SizeBytes%c.sector != 0) {
			return fmt.Errorf("%w: %d unread bytes at %d are not whole sectors of %d, which the list of an E01 consists of", ErrOptions, b.SizeBytes, b.Offset, c.sector)
		}
		r.inPlace.keep(b.Offset, b.SizeBytes)
	}
	return nil
}

// takeList takes the original's list of what was not read from the medium, which goes along as the map does.
func (r *run) takeList(f record.File) error {
	c := r.copying
	text, m, err := c.readMap(f)
	if err != nil {
		return err
	}
	all, over := m.Total(image.Finished), c.source.Image.TakenOver
	if len(over) != 1 || m.Size() != r.size || all.SizeBytes != over[0].Bytes || int64(all.Ranges) != over[0].Ranges {
		return &SourceError{Err: fmt.Errorf("%q does not come to what the record says", f.Name)}
	}
	c.taken, r.taking = text, &taking{list: m, digest: f.Digests[0]}
	return nil
}

// readSmall reads a file of at most layout.MaxMap that must have the digests of the record.
func readSmall(fsys fs.FS, f record.File) ([]byte, error) {
	info, err := fs.Lstat(fsys, f.Name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() != f.SizeBytes || f.SizeBytes > layout.MaxMap {
		return nil, &SourceError{Err: fmt.Errorf("%q is not a regular file of %d bytes", f.Name, f.SizeBytes)}
	}
	file, err := fsys.Open(f.Name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(file, f.SizeBytes+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if record.BLAKE3Digest(blake3.Sum256(b)) != f.Digests[0] || record.SHA256Of(b) != f.Digests[1] {
		return nil, &SourceError{Err: fmt.Errorf("%q does not have the digests of the record", f.Name)}
	}
	return b, nil
}

// beginCopy makes the folder and the files to be written.
func (r *run) beginCopy(context.Context) error {
	d := r.dests[0]
	if err := d.begin(r); err != nil {
		return d.wrap(err)
	}
	if r.copying.mapText != nil {
		if err := d.root.CreateEx(layout.MapName(r.name), r.copying.mapText); err != nil {
			return d.wrap(err)
		}
	}
	if r.copying.taken != nil {
		if err := d.root.CreateEx(layout.TakenName(r.name), r.copying.taken); err != nil {
			return d.wrap(err)
		}
	}
	r.newHashes()
	return r.newEncoder()
}

// copyBytes reads the source once, and ends with all its bytes, and the tree, synced at the destination.
func (r *run) copyBytes(ctx context.Context) (err error) {
	c := r.copying
	closeTree, err := c.openTree()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTree()) }()
	img, err := c.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	if err := r.phase(PhaseCopying, r.size); err != nil {
		return err
	}
	want := &rereading{run: r, tree: c.tree}
	opts := r.passOptions()
	opts.Part, opts.Tree = false, twoTrees{want, r.tree}
	opts.Linear = append([]hash.Hash{}, r.linear...)
	res, err := pass.Run(ctx, img, opts)
	if source, ok := errors.AsType[*pass.SourceError](err); ok {
		err = sourceError(source.Err)
	}
	if errors.Is(err, errDamage) || err == nil && len(want.bad) > 0 {
		return &SourceError{Ranges: want.badRanges()}
	}
	if err != nil {
		return err
	}
	if r.position = res.SizeBytes; r.position != r.size {
		return &SourceError{Err: fmt.Errorf("it gave %d bytes of %d", r.position, r.size)}
	}
	if err := r.complete(); err != nil {
		return err
	}
	if err := r.keepDigests(); err != nil {
		return err
	}
	return r.compareSource()
}

// twoTrees compares each group with the tree of the source, and puts it into that of the copy.
type twoTrees struct {
	source *rereading
	copy   *hashtree.Writer
}

func (t twoTrees) Put(group int64, v hashtree.Value) error {
	if err := t.source.Put(group, v); err != nil {
		return err
	}
	return t.copy.Put(group, v)
}

// openTree opens the tree of the source, which must be that of the record.
func (c *copying) openTree() (closeTree func() error, err error) {
	f := c.source.Image.Role(record.RoleTree)[0]
	info, err := fs.Lstat(c.source.FS, f.Name)
	if err != nil {
		return nil, fmt.Errorf("look at the tree of the image to be copied: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &SourceError{Err: fmt.Errorf("%q is not a regular file", f.Name)}
	}
	file, err := c.source.FS.Open(f.Name)
	if err != nil {
		return nil, err
	}
	at, ok := file.(io.ReaderAt)
	if !ok {
		return nil, errors.Join(errors.New("the file system of the image cannot read at an offset"), file.Close())
	}
	c.tree, err = hashtree.Open(at, info.Size())
	if err == nil && (c.tree.Size() != c.source.Image.SizeBytes || record.BLAKE3Digest(c.tree.Root()) != c.source.Image.Digest(record.BLAKE3)) {
		err = errors.New("it is the tree of other bytes")
	}
	if err != nil {
		return nil, errors.Join(&SourceError{Err: fmt.Errorf("%q: %w", f.Name, err)}, file.Close())
	}
	return file.Close, nil
}

// compareSource requires every digest of the source's record of the bytes that were read.
func (r *run) compareSource() error {
	for _, d := range r.copying.source.Image.Digests {
		if got := r.media(d.Digest.Algorithm()); got != d.Digest {
			return &SourceError{Err: fmt.Errorf("%s of the bytes is %s, in the record %s", d.Digest.Algorithm(), got, d.Digest)}
		}
	}
	return nil
}

// finishCopy writes the sums.
func (r *run) finishCopy(ctx context.Context) error {
	if err := r.phase(PhaseFinishing, -1); err != nil {
		return err
	}
	d := r.dests[0]
	files, err := d.bind(ctx, r, r.acq.Files)
	if err != nil {
		return d.wrap(err)
	}
	r.acq.Files, r.acq.Ended = files, r.opts.Clock()
	return nil
}
