package ewf

import (
	"crypto/md5"
	"crypto/sha1"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// Trailer is what is known of a medium when all of it was read.
type Trailer struct {
	MD5    []byte  // nil: not computed
	SHA1   []byte  // nil: not computed
	Unread []Range // in order, and apart
}

// Result is a finished image.
type Result struct {
	Segments []Segment
	// OmittedUnread are ranges that the error2 section cannot hold, whose fields have 32 bits, or has no room for. They
	// must be told elsewhere.
	OmittedUnread []Range
}

// Finish ends the image behind the last chunk, syncs it, makes it read-only and returns its segments. With fewer chunks
// than the medium has it is an error, and nothing is ended.
func (w *Writer) Finish(t Trailer) (Result, error) {
	if w.err != nil {
		return Result{}, w.err
	}
	if w.size != w.opts.SizeBytes {
		return Result{}, fmt.Errorf("finish an image of %d bytes of a medium of %d", w.size, w.opts.SizeBytes)
	}
	if err := t.check(w.volume); err != nil {
		return Result{}, err
	}
	var omitted []Range
	if omitted, w.err = w.finish(t); w.err != nil {
		return Result{}, w.err
	}
	w.err = errors.New("the image is finished")
	return Result{w.Written(), omitted}, nil
}

func (t Trailer) check(v Volume) error {
	if t.MD5 != nil && len(t.MD5) != md5.Size || t.SHA1 != nil && len(t.SHA1) != sha1.Size {
		return fmt.Errorf("%w: an MD5 of %d bytes, a SHA-1 of %d", ErrValue, len(t.MD5), len(t.SHA1))
	}
	end := int64(0)
	for _, r := range t.Unread {
		if r.Sectors <= 0 || r.FirstSector < end || r.Sectors > int64(v.Sectors)-r.FirstSector {
			return fmt.Errorf("%w: %d unread sectors from sector %d, of %d", ErrValue, r.Sectors, r.FirstSector, v.Sectors)
		}
		end = r.FirstSector + r.Sectors
	}
	return nil
}

func (w *Writer) finish(t Trailer) (omitted []Range, err error) {
	if err := w.endGroup(); err != nil {
		return nil, err
	}
	kept, omitted := w.split(t.Unread)
	if len(kept) > 0 && w.out.pos()+error2Bytes(len(kept))+tailBytes > w.plan.SegmentBytes {
		if err := w.next(); err != nil {
			return nil, err
		}
	}
	tail, err := w.tail(t, kept)
	if err != nil {
		return nil, err
	}
	if err := w.out.write(w.last(), tail); err != nil {
		return nil, err
	}
	if err := errors.Join(w.endSegment(), w.syncing.wait()); err != nil {
		return nil, err
	}
	if err := w.removeLeft(); err != nil {
		return nil, err
	}
	return omitted, w.seal()
}

// split tells the ranges that an error2 section can hold from those it cannot.
func (w *Writer) split(unread []Range) (kept, omitted []Range) {
	room := (w.plan.SegmentBytes - FileHeaderBytes - dataBytes - tailBytes - error2Bytes(0)) / 8
	for _, r := range unread {
		if ErrorRangeFits(r) && int64(len(kept)) < min(room, MaxErrorRanges) {
			kept = append(kept, r)
		} else {
			omitted = append(omitted, r)
		}
	}
	return kept, omitted
}

func error2Bytes(ranges int) int64 { return SectionBytes + error2HeaderBytes + 8*int64(ranges) + 4 }

// tail is what stands behind the last chunk.
func (w *Writer) tail(t Trailer, unread []Range) ([]byte, error) {
	start := w.out.pos()
	var b []byte
	if len(w.segments) == 1 {
		b = appendSection(b, start, TypeData, w.volume.Append(nil))
	}
	if len(unread) > 0 {
		content, err := AppendError2(nil, unread)
		if err != nil {
			return nil, err
		}
		b = appendSection(b, start, TypeError2, content)
	}
	if t.SHA1 != nil {
		d := Digest{SHA1: [sha1.Size]byte(t.SHA1)}
		copy(d.MD5[:], t.MD5) // zeros, if it was not computed
		b = appendSection(b, start, TypeDigest, d.Append(nil))
	}
	if t.MD5 != nil {
		b = appendSection(b, start, TypeHash, Hash{[md5.Size]byte(t.MD5)}.Append(nil))
	}
	return appendEnd(b, start, TypeDone), nil
}

// removeLeft removes what an interrupted run left behind the last segment: it flushed more often, so that it needed
// more of them, and a reader would take them for a part of the image.
func (w *Writer) removeLeft() error {
	if !w.resumed {
		return nil
	}
	var left []string
	for n := len(w.segments) + 1; n <= MaxSegments; n++ {
		ext, err := SegmentExtension(n)
		if err != nil {
			return err
		}
		name := w.opts.Name + ext
		if _, err := w.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		left = append(left, name)
	}
	for _, name := range slices.Backward(left) {
		f, err := w.root.Reopen(name) // which refuses one that is finished
		if errors.Is(err, durable.ErrSealed) {
			return fmt.Errorf("%w: %q is finished, behind the last segment", ErrPartial, name)
		}
		if err != nil {
			return err
		}
		if err := f.Abort(); err != nil {
			return err
		}
		if err := w.root.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// seal makes all segments read-only, in order.
func (w *Writer) seal() error {
	for _, s := range w.segments {
		f := s.file
		s.file = nil
		if err := w.root.Seal(s.Name, f); err != nil {
			return err
		}
	}
	return nil
}
