package ewf

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

var (
	// ErrFileTooLarge says that a segment file would be larger than the file system or the process may make it.
	ErrFileTooLarge = errors.New("an image file would be larger than it may be here")
	// ErrPartial says that what an interrupted run left of an image is not what it said it had made durable.
	ErrPartial = errors.New("the unfinished image is not as it was left")
)

// WriterOptions say what an image is of and how it is cut. They are the same for the run that goes on.
type WriterOptions struct {
	Name         string   // of the files, without the extension
	SizeBytes    int64    // of the medium, exactly
	SectorBytes  int      // of the medium
	SegmentBytes int64    // as for NewPlan
	MaxFileBytes int64    // as for NewPlan
	Level        Level    // that the chunks are compressed with, for the volume section
	SetID        [16]byte // of this set of segments, and of no other; not zero
	Physical     bool     // a whole device, not a part of one or a file
	Removable    bool     // a medium that is taken out of its drive
	Header       Header
}

// Writer writes an E01 image in the layout of EnCase 6: chunks in order with [Writer.Append], and what stands behind
// them with [Writer.Finish]. It is used from one goroutine.
type Writer struct {
	root    *durable.Root
	opts    WriterOptions
	plan    Plan
	volume  Volume
	resumed bool // an earlier run may have left files behind this place

	segments []*segmentFile // those begun, in order
	out      gather         // what goes to the last one
	group    int64          // where its open group of chunks begins; 0 if none is open
	entries  []Entry        // of that group
	size     int64          // bytes of the medium in all chunks
	scratch  []byte
	syncing  *syncing // of the segment before the last; nil at first
	err      error    // the first failure, or that the image is finished
}

// NewWriter makes the first file of an image in root, which must not hold it yet. The errors are those of NewPlan and of
// Header.Check. The caller ends with Finish or Abort.
func NewWriter(root *durable.Root, opts WriterOptions) (*Writer, error) {
	w, err := newWriter(root, opts)
	if err != nil {
		return nil, err
	}
	if err := w.begin(); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

func newWriter(root *durable.Root, opts WriterOptions) (*Writer, error) {
	plan, err := NewPlan(opts.SizeBytes, opts.SectorBytes, opts.SegmentBytes, opts.MaxFileBytes)
	if err != nil {
		return nil, err
	}
	if opts.Level > Best {
		return nil, fmt.Errorf("%w: a compression level %d", ErrValue, opts.Level)
	}
	if opts.SetID == [16]byte{} {
		return nil, fmt.Errorf("%w: a set of segments without an identifier", ErrValue)
	}
	if err := opts.Header.Check(); err != nil {
		return nil, err
	}
	chunks, err := countChunks(opts.SizeBytes, opts.SectorBytes)
	if err != nil {
		return nil, err
	}
	v := Volume{
		MediaType: MediaFixed, Chunks: uint32(chunks), SectorsPerChunk: SectorsPerChunk,
		BytesPerSector: uint32(opts.SectorBytes), Sectors: uint64(opts.SizeBytes / int64(opts.SectorBytes)),
		Flags: FlagImage, Level: uint8(opts.Level), ErrorGranularity: 1, SetID: opts.SetID,
	}
	if opts.Removable {
		v.MediaType = MediaRemovable
	}
	if opts.Physical {
		v.Flags |= FlagPhysical
	}
	return &Writer{root: root, opts: opts, plan: plan, volume: v, out: gather{p: make([]byte, 0, gatherBytes)}}, nil
}

// Append puts the next chunks into the image, all of them whole but the last of the medium. It does not keep them.
func (w *Writer) Append(chunks []Chunk) error {
	for i := 0; w.err == nil && i < len(chunks); i++ {
		w.err = w.append(chunks[i])
	}
	return w.err
}

func (w *Writer) append(c Chunk) error {
	raw := min(w.volume.chunkBytes(), w.opts.SizeBytes-w.size)
	n := int64(len(c.Data))
	switch {
	case raw == 0:
		return fmt.Errorf("a chunk behind the %d bytes of the medium", w.size)
	case n == 0, c.Compressed && n >= raw, !c.Compressed && n != raw+adlerBytes:
		return fmt.Errorf("a chunk of %d bytes for %d of the medium", n, raw)
	}
	// The next chunk must be found by an entry of 31 bits, and what stands behind the last one must too.
	if w.group != 0 && (len(w.entries) == MaxTableEntriesOld || w.out.pos()-w.group+n > MaxEntryOffset) {
		if err := w.endGroup(); err != nil {
			return err
		}
	}
	if w.out.pos()+w.descriptor()+n+groupBytes(int64(len(w.entries)+1))-SectionBytes+tailBytes > w.plan.SegmentBytes {
		if err := w.next(); err != nil {
			return err
		}
	}
	if w.group == 0 {
		w.group = w.out.pos()
		if err := w.out.write(w.last(), make([]byte, SectionBytes)); err != nil { // until its size is known
			return err
		}
	}
	e, err := NewEntry(w.out.pos()-w.group, c.Compressed)
	if err != nil {
		return err
	}
	w.entries = append(w.entries, e)
	w.size += raw
	return w.out.write(w.last(), c.Data)
}

// descriptor is what the next chunk's group needs before it.
func (w *Writer) descriptor() int64 {
	if w.group != 0 {
		return 0
	}
	return SectionBytes
}

// endGroup completes the chunks that were appended: only with its tables is a sectors section of any use.
func (w *Writer) endGroup() error {
	if w.group == 0 {
		return nil
	}
	s, end := w.last(), w.out.pos()
	sectors := Section{TypeSectors, end, end - w.group}.Append(w.scratch[:0])
	if err := w.out.patch(s, sectors, w.group); err != nil {
		return err
	}
	size := SectionBytes + TableBytes(len(w.entries))
	p := Section{TypeTable, end + size, size}.Append(sectors[:0])
	p = AppendTable(p, w.group, w.entries)
	p = Section{TypeTable2, end + 2*size, size}.Append(p)
	p = append(p, p[SectionBytes:size]...)
	w.group, w.entries, w.scratch = 0, w.entries[:0], p
	return w.out.write(s, p)
}

// Size is the number of bytes of the medium that were appended.
func (w *Writer) Size() int64 { return w.size }

// Flush completes what was appended until now, so that it can be read, and returns a function that makes it durable.
// That may run while Append goes on, but must have returned before Finish, Abort or the next Flush. From there on
// ResumeWriter can go on.
func (w *Writer) Flush() (func() error, error) {
	if w.err == nil {
		w.err = w.endGroup()
	}
	if w.err == nil {
		w.err = w.out.flush(w.last())
	}
	if w.err != nil {
		return nil, w.err
	}
	before, s, f := w.syncing, w.last(), w.last().file
	return func() error {
		if err := before.wait(); err != nil || f == nil {
			return err
		}
		err := f.Sync()
		if closing := s.closing.Load(); closing != nil && errors.Is(err, fs.ErrClosed) { // it became full meanwhile
			err = closing.wait()
		}
		return err
	}, nil
}

// Written returns the segments with the bytes of each so far, for a message about what is kept.
func (w *Writer) Written() []Segment {
	out := make([]Segment, len(w.segments))
	for i, s := range w.segments {
		out[i] = s.Segment
	}
	return out
}

// Abort closes the files and keeps them as they are. After Finish it does nothing, so it can be deferred.
func (w *Writer) Abort() error {
	errs := []error{w.syncing.wait()}
	if w.err != nil { // it was told already
		errs = nil
	}
	w.syncing = nil
	for _, s := range w.segments {
		errs = append(errs, s.close())
	}
	if w.err == nil {
		w.err = errors.New("the image was given up")
	}
	return errors.Join(errs...)
}

func (w *Writer) last() *segmentFile { return w.segments[len(w.segments)-1] }

// begin makes the next file with what stands before its chunks.
func (w *Writer) begin() error {
	number := len(w.segments) + 1
	ext, err := SegmentExtension(number)
	if err != nil {
		return fmt.Errorf("%w: the medium goes on after %d segments of %d bytes; they are kept", ErrSegments,
			len(w.segments), w.plan.SegmentBytes)
	}
	s, err := openSegment(w.root, w.opts.Name+ext, w.resumed)
	if err != nil {
		return err
	}
	w.segments = append(w.segments, s)
	w.out.p, w.out.off = w.out.p[:0], 0
	head, err := w.head(number)
	if err != nil {
		return err
	}
	return w.out.write(s, head)
}

// head is what stands before the chunks of a segment.
func (w *Writer) head(number int) ([]byte, error) {
	b := FileHeader{uint16(number)}.Append(nil)
	if number > 1 {
		return appendSection(b, 0, TypeData, w.volume.Append(nil)), nil
	}
	header2, err := w.opts.Header.Header2()
	if err != nil {
		return nil, err
	}
	header, err := w.opts.Header.Header1()
	if err != nil {
		return nil, err
	}
	b = appendSection(b, 0, TypeHeader2, header2)
	b = appendSection(b, 0, TypeHeader2, header2)
	b = appendSection(b, 0, TypeHeader, header)
	if len(b) > maxHeadBytes {
		return nil, fmt.Errorf("%w: the headers have %d bytes, more than %d", ErrValue, len(b), maxHeadBytes)
	}
	return appendSection(b, 0, TypeVolume, w.volume.Append(nil)), nil
}

// appendSection appends a section to b, which begins at the offset start of the file.
func appendSection(b []byte, start int64, what string, content []byte) []byte {
	size := int64(SectionBytes + len(content))
	b = Section{what, start + int64(len(b)) + size, size}.Append(b)
	return append(b, content...)
}

// appendEnd appends next or done, which name their own place and have no size, as EnCase has it.
func appendEnd(b []byte, start int64, what string) []byte {
	return Section{what, start + int64(len(b)), 0}.Append(b)
}

// next ends the last segment and begins another. The full one is synced while that is written: a sync takes long.
func (w *Writer) next() error {
	if err := w.endGroup(); err != nil {
		return err
	}
	s := w.last()
	if err := w.out.write(s, appendEnd(nil, w.out.pos(), TypeNext)); err != nil {
		return err
	}
	if err := w.endSegment(); err != nil {
		return err
	}
	if err := w.syncing.wait(); err != nil {
		return err
	}
	if f := s.file; f != nil {
		s.file = nil
		now := &syncing{done: make(chan struct{})}
		w.syncing = now
		s.closing.Store(now)
		go func() {
			now.err = errors.Join(f.Sync(), f.Abort())
			close(now.done)
		}()
	}
	return w.begin()
}

// endSegment has all of the last segment in its file, or in what is compared.
func (w *Writer) endSegment() error {
	s := w.last()
	if err := w.out.flush(s); err != nil {
		return err
	}
	if s.done == nil {
		return nil
	}
	return errors.Join(s.ended(), s.close())
}
