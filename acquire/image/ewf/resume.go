package ewf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// ResumeWriter opens an image of which an interrupted run made the first size bytes of the medium durable by a Flush, to
// go on behind them. All groups of chunks up to there are looked at, not the chunks themselves; whatever stands behind
// them is cut off, and what later files hold is dropped. What does not fit, also an image of another set or medium, is
// ErrPartial. A file that is read-only already is not changed: what would be written must stand in it, or it is
// ErrPartial too. That is so after a Finish that was interrupted: the caller does it again.
func ResumeWriter(root *durable.Root, opts WriterOptions, size int64) (*Writer, error) {
	w, err := newWriter(root, opts)
	if err != nil {
		return nil, err
	}
	w.resumed = true
	if size == 0 {
		err = w.startAgain()
	} else {
		err = w.reopen(size)
	}
	if err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

// startAgain begins the image anew, over a first file that may be torn, but not over one of another image.
func (w *Writer) startAgain() error {
	first, err := w.inspect(1)
	if errors.Is(err, fs.ErrNotExist) {
		return w.begin()
	}
	if err != nil {
		return err
	}
	err = first.head()
	if errors.Is(err, ErrPartial) && !errors.Is(err, errForeign) { // it is torn
		err = nil
	}
	if err := errors.Join(err, first.s.close()); err != nil {
		return err
	}
	return w.begin()
}

func (w *Writer) reopen(size int64) error {
	if size < 0 || size > w.opts.SizeBytes {
		return fmt.Errorf("%w: %d bytes of a medium of %d", ErrPartial, size, w.opts.SizeBytes)
	}
	for w.size < size {
		in, err := w.inspect(len(w.segments) + 1)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: of %d durable bytes %d are there: %w", ErrPartial, size, w.size, err)
		}
		if err != nil {
			return err
		}
		w.segments = append(w.segments, in.s)
		if w.size, err = in.walk(w.size, size); err != nil {
			return err
		}
		w.out.off = in.off
		if w.size < size {
			err = in.s.close() // there may be more files than one process can have open
		} else if in.s.SizeBytes = in.off; in.s.file != nil {
			in.s.asked = in.off
			err = in.s.file.Truncate(in.off)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errForeign is the ErrPartial of an image that is whole, but not this one.
var errForeign = fmt.Errorf("%w: it is of another medium or set of segments", ErrPartial)

// inspection walks through one segment of an interrupted run.
type inspection struct {
	s      *segmentFile
	number int
	volume Volume
	in     io.ReaderAt
	length int64
	off    int64 // what was looked at
}

func (w *Writer) inspect(number int) (*inspection, error) {
	ext, err := SegmentExtension(number)
	if err != nil {
		return nil, err
	}
	s := &segmentFile{Segment: Segment{Name: w.opts.Name + ext}}
	n := &inspection{s: s, number: number, volume: w.volume}
	if s.file, err = w.root.Reopen(s.Name); err == nil {
		n.in = s.file
		n.length, err = s.file.Size()
	} else if s.file = nil; errors.Is(err, durable.ErrSealed) {
		err = s.compare(w.root)
		n.in, n.length = s.done, s.length
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.SizeBytes = n.length
	return n, nil
}

func (n *inspection) errorf(format string, args ...any) error {
	return fmt.Errorf("%w: %q at byte %d: %w", ErrPartial, n.s.Name, n.off, fmt.Errorf(format, args...))
}

// walk looks at the segment's head and groups, from have bytes of the medium to want of them, and there stands behind a
// group. If the segment has fewer, it must be whole.
func (n *inspection) walk(have, want int64) (int64, error) {
	if err := n.head(); err != nil {
		return 0, err
	}
	for have < want {
		chunks, err := n.group(have)
		switch {
		case err != nil:
			return 0, err
		case chunks == 0:
			return have, nil
		}
		have = min(have+chunks*n.volume.chunkBytes(), n.volume.mediaBytes())
	}
	if have != want {
		return 0, n.errorf("%d bytes of the medium were durable, and no group ends with them", want)
	}
	return have, nil
}

// head looks at what stands before the chunks.
func (n *inspection) head() error {
	b, err := n.read(FileHeaderBytes)
	if err != nil {
		return err
	}
	h, err := ParseFileHeader(b)
	if err != nil {
		return n.errorf("%w", err)
	}
	if int(h.Segment) != n.number {
		return n.errorf("it is segment %d, not %d", h.Segment, n.number)
	}
	n.off += FileHeaderBytes
	types := []string{TypeData}
	if n.number == 1 {
		types = []string{TypeHeader2, TypeHeader2, TypeHeader, TypeVolume}
	}
	for _, what := range types {
		content, err := n.section(what, maxHeaderBytes)
		if err != nil {
			return err
		}
		if what != TypeData && what != TypeVolume {
			continue
		}
		v, err := ParseVolume(content)
		if err != nil {
			return n.errorf("%w", err)
		}
		if v != n.volume {
			return fmt.Errorf("%w: %q", errForeign, n.s.Name)
		}
	}
	return nil
}

// group looks at a group of chunks, the first of which stands at have bytes of the medium. At the end of a whole segment
// it is 0 chunks.
func (n *inspection) group(have int64) (chunks int64, err error) {
	start := n.off
	s, err := n.descriptor()
	if err != nil {
		return 0, err
	}
	if s.Type == TypeNext && s.Next == n.off && s.SizeBytes == 0 && n.off+SectionBytes == n.length {
		return 0, nil
	}
	if s.Type != TypeSectors || s.Next != n.off+s.SizeBytes {
		return 0, n.errorf("a section %q of %d bytes where one of sectors should stand", s.Type, s.SizeBytes)
	}
	n.off = s.Next
	content, err := n.section(TypeTable, TableBytes(MaxTableEntriesOld))
	if err != nil {
		return 0, err
	}
	again, err := n.section(TypeTable2, TableBytes(MaxTableEntriesOld))
	if err != nil {
		return 0, err
	}
	base, entries, err := ParseTable(content)
	if err != nil {
		return 0, n.errorf("%w", err)
	}
	if base != start || !bytes.Equal(content, again) {
		return 0, n.errorf("the tables before it are not those of the sectors at byte %d", start)
	}
	return int64(len(entries)), n.checkEntries(entries, s.SizeBytes, have)
}

// checkEntries looks at the places of chunks in a sectors section of size bytes: back to back, none too long or short.
func (n *inspection) checkEntries(entries []Entry, size, have int64) error {
	off := int64(SectionBytes)
	for i, e := range entries {
		raw := min(n.volume.chunkBytes(), n.volume.mediaBytes()-have)
		end := size
		if i+1 < len(entries) {
			end = entries[i+1].Offset()
		}
		stored := end - off
		if raw == 0 || e.Offset() != off || stored < 1 || e.Compressed() && stored >= raw || !e.Compressed() && stored != raw+adlerBytes {
			return n.errorf("entry %d of the table before it says %d bytes at %d, for %d of the medium", i, stored, e.Offset(), raw)
		}
		off, have = end, have+raw
	}
	if len(entries) == 0 {
		return n.errorf("the table before it is empty")
	}
	return nil
}

// section reads a section of that type, which must follow, and steps over it.
func (n *inspection) section(what string, most int64) ([]byte, error) {
	s, err := n.descriptor()
	if err != nil {
		return nil, err
	}
	if s.Type != what || s.Next != n.off+s.SizeBytes || s.SizeBytes < SectionBytes || s.SizeBytes-SectionBytes > most {
		return nil, n.errorf("a section %q of %d bytes where one of type %q should stand", s.Type, s.SizeBytes, what)
	}
	n.off += SectionBytes
	content, err := n.read(s.SizeBytes - SectionBytes)
	n.off = s.Next
	return content, err
}

// descriptor reads the one that follows, whose section lies within the file.
func (n *inspection) descriptor() (Section, error) {
	b, err := n.read(SectionBytes)
	if err != nil {
		return Section{}, err
	}
	s, err := ParseSection(b)
	if err != nil {
		return Section{}, n.errorf("%w", err)
	}
	if s.SizeBytes > n.length-n.off {
		return Section{}, n.errorf("a section %q of %d bytes, of which %d are there", s.Type, s.SizeBytes, n.length-n.off)
	}
	return s, nil
}

// read reads what follows, and does not step over it.
func (n *inspection) read(size int64) ([]byte, error) {
	if size > n.length-n.off {
		return nil, n.errorf("%d bytes are missing", size-(n.length-n.off))
	}
	b := make([]byte, size)
	if _, err := n.in.ReadAt(b, n.off); err != nil {
		return nil, fmt.Errorf("read image file %q at byte %d: %w", n.s.Name, n.off, plain(err))
	}
	return b, nil
}
