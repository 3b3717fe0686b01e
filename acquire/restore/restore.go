// Package restore writes the media bytes of an image back to a block device, or to a file, and reads them back.
//
// Start with [CheckSources], which refuses a drive that was evidence, and [NewPlan], which says what would be written
// and refuses what does not fit; neither writes. Then [Run] does it.
//
// The promise: nothing is written that the [Plan] does not name, so that what is behind the image, or before a range of
// it, stays as it was; what could not be written is listed to the sector, and never hidden by what could; and only what
// was read back past the cache and compared is called restored ([Result.Whole]). The zero Result is not. That the image
// is sound, and the destination the one that is meant, is for the caller to make sure of before: package verify and
// medium.OpenTarget. A restore that was interrupted leaves the destination overwritten in part, and is begun anew.
package restore

import (
	"errors"
	"fmt"
	"io"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
)

var (
	// ErrSourceDrive refuses a drive that is a medium of the case.
	ErrSourceDrive = errors.New("the drive is a medium of the case: overwriting it would destroy evidence")
	// ErrTooSmall refuses a target that has no room for what is to be written.
	ErrTooSmall = errors.New("the target is smaller than what is to be written to it")
	// ErrRange refuses a range that is not in the image, or not in whole sectors.
	ErrRange = errors.New("no such range of the image")
	// ErrTooManyErrors ends a restore to a target that takes, or gives back, too little.
	ErrTooManyErrors = errors.New("too much of the target fails")
	// ErrImageChanged says that the image gave fewer bytes, or other ones, than the record says.
	ErrImageChanged = errors.New("the image is not what it was when it was verified")
)

// Image is what is restored: the media bytes of any format. Reading past Size is io.EOF.
type Image interface {
	io.ReaderAt
	Size() int64
}

// Target is what is written to: a *medium.Target, or a file.
type Target interface {
	// ReadAt gives what lies on the target, past the cache as far as can be had. Offset and length are multiples of
	// SectorBytes. A *medium.ReadError is a bad place; any other error ends the restore.
	ReadAt(p []byte, off int64) (int, error)
	// WriteAt is the same for writing, with *medium.WriteError.
	WriteAt(p []byte, off int64) error
	// Sync makes all that was written durable.
	Sync() error
	Size() int64
	SectorBytes() int64
}

// Range is a stretch of bytes.
type Range struct {
	Offset    int64 `json:"offset"`
	SizeBytes int64 `json:"sizeBytes"`
}

// End is the offset of the first byte behind the range.
func (r Range) End() int64 { return r.Offset + r.SizeBytes }

// Progress is told how far the work is, from one goroutine at a time.
type Progress interface {
	// Phase begins "writing" or "reading back", of so many bytes.
	Phase(name string, totalBytes int64)
	// Done says how many bytes of the phase are done.
	Done(bytes int64)
}

// Options say what of the image goes where. The zero value is the whole image, to the same place, and nothing else.
type Options struct {
	// Part is the range of the image to restore; the zero Range is all of it.
	Part Range
	// AtStart writes Part from the target's first byte on. Default: to the place that it has in the image.
	AtStart bool
	// FillExcess writes zeros behind the image, to the end of the target. It destroys what was there. Whole images only.
	FillExcess bool
	// Truncate allows a target that is too small: what does not fit is left out, and the Result is not Whole.
	Truncate bool
}

// Plan is what a restore will write.
type Plan struct {
	Image     int64 // bytes that the image has
	Part      Range // of the image, that is written
	At        int64 // the place in the target of its first byte
	Truncated int64 // bytes of what was asked for that have no room
	Fill      Range // of the target, zeros
	Excess    int64 // bytes of the target behind what is written, which are left as they are
}

// NewPlan says what a restore of an image to a target will write. It refuses with ErrRange and ErrTooSmall, and what
// Options do not allow together.
func NewPlan(imageBytes, targetBytes int64, opts Options) (Plan, error) {
	if imageBytes < 0 || imageBytes > hashtree.MaxSize || targetBytes < 0 || targetBytes > hashtree.MaxSize {
		return Plan{}, fmt.Errorf("%w: an image of %d bytes, a target of %d", ErrRange, imageBytes, targetBytes)
	}
	part := opts.Part
	if part == (Range{}) {
		part = Range{0, imageBytes}
	} else if part.Offset < 0 || part.SizeBytes <= 0 || part.Offset > imageBytes || part.SizeBytes > imageBytes-part.Offset {
		return Plan{}, fmt.Errorf("%w: %d bytes from byte %d on, of an image of %d", ErrRange, part.SizeBytes, part.Offset, imageBytes)
	} else if opts.FillExcess {
		return Plan{}, fmt.Errorf("%w: of a part of an image nobody can say what is excess", ErrRange)
	}
	p := Plan{Image: imageBytes, Part: part}
	if !opts.AtStart {
		p.At = part.Offset
	}
	if room := max(targetBytes-p.At, 0); room < part.SizeBytes {
		p.Truncated = part.SizeBytes - room
		p.Part.SizeBytes = room
		if !opts.Truncate || room == 0 {
			return Plan{}, fmt.Errorf("%w: it has %d bytes, and %d do not fit", ErrTooSmall, targetBytes, p.Truncated)
		}
	}
	end := p.At + p.Part.SizeBytes
	if opts.FillExcess && end < targetBytes {
		p.Fill = Range{end, targetBytes - end}
	} else {
		p.Excess = targetBytes - end
	}
	return p, nil
}

// Result is what a restore came to. All ranges are of the target, in order.
type Result struct {
	Plan
	// Unwritten are the places that the target did not take, to the sector.
	Unwritten []Range
	// Differing are the places that do not read back as they should be, or cannot be read; those of Unwritten mostly
	// among them.
	Differing []Range
	// Digests are those of Part as it was read back from the target; empty if some of it could not be read.
	Digests []record.Digest
	// Matches says that Digests are those that the caller wanted. False where it wanted none, as of a part.
	Matches bool
	// Finished says that all of Plan was tried, synced and read back.
	Finished bool
}

// Whole reports whether all that was asked for stands on the target and was read back.
func (r Result) Whole() bool { return r.Written() && r.Truncated == 0 }

// Written reports whether all that the Plan names stands on the target and was read back.
func (r Result) Written() bool {
	return r.Finished && len(r.Unwritten) == 0 && len(r.Differing) == 0 && len(r.Digests) > 0
}
