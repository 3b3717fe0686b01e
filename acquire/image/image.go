// Package image writes raw images and reads images of any format: the bytes of a medium in one file, in segments that follow
// each other, or in an E01 (package ewf).
//
// Start with [NewWriter] to write a raw one in an acquisition folder, with [Open] to read one whose files are known, and
// with [Find] where a person named its first file. One file is called NAME.raw; segments are called NAME.001 to NAME.999,
// all of the same size but the last, and a medium that fits into one segment has one, NAME.001. Those of an E01 are called
// NAME.E01 and so on. A [Map] says which bytes of a failing medium were read; [ParseMap] reads the one of ddrescue.
//
// The promise: a writer never writes past a segment's end or past .999, and what it calls finished is on the disk and
// read-only; a reader opens regular files only and gives exactly the bytes the files had when it was opened, or an error.
// Find never takes a part of an image for the whole.
package image

import (
	"errors"
	"fmt"

	"github.com/exhibit-forensics/exhibit/internal/layout"
)

var (
	// ErrSegments says that an image cannot be cut, or put together, as asked: too many segments, one missing.
	ErrSegments = errors.New("segments of the image do not fit together")
	// ErrMissing is the ErrSegments that says that a segment of a raw image is not there. Of an E01 see ewf.ErrMissing.
	ErrMissing = fmt.Errorf("%w: not all are there", ErrSegments)
	// ErrFileTooLarge says that a file would be larger than the file system or the process may make it.
	ErrFileTooLarge = errors.New("an image file would be larger than it may be here")
	// ErrChanged says that a file of the image changed its size after it was opened.
	ErrChanged = errors.New("an image file changed while it was read")
)

// MinSegment is the smallest size of a segment, in bytes.
const MinSegment = 1 << 20

// Segment is one file of an image.
type Segment struct {
	Name      string
	SizeBytes int64
}

// Plan names the segments of a medium of sizeBytes, in order. segmentBytes is exactly the size of every segment but the
// last and need not be a multiple of anything; 0 means one file. More than 999 segments, or ones below MinSegment, are
// ErrSegments.
func Plan(name string, sizeBytes, segmentBytes int64) ([]Segment, error) {
	if err := CheckSegmentBytes(segmentBytes); err != nil {
		return nil, err
	}
	if sizeBytes < 0 {
		return nil, fmt.Errorf("a medium of %d bytes", sizeBytes)
	}
	if segmentBytes == 0 {
		return []Segment{{layout.SegmentName(name, 0, false), sizeBytes}}, nil
	}
	count := max(1, sizeBytes/segmentBytes)
	if sizeBytes > segmentBytes && sizeBytes%segmentBytes != 0 {
		count++
	}
	if count > layout.MaxSegments {
		least := (sizeBytes + layout.MaxSegments - 1) / layout.MaxSegments
		return nil, fmt.Errorf("%w: %d bytes in segments of %d are %d segments, more than %d; a segment must have at least %d bytes",
			ErrSegments, sizeBytes, segmentBytes, count, layout.MaxSegments, least)
	}
	segments := make([]Segment, count)
	for i := range segments {
		start := int64(i) * segmentBytes
		segments[i] = Segment{layout.SegmentName(name, i, true), min(segmentBytes, sizeBytes-start)}
	}
	return segments, nil
}

// CheckSegmentBytes allows 0, one file, and MinSegment or more.
func CheckSegmentBytes(n int64) error {
	if n != 0 && n < MinSegment {
		return fmt.Errorf("%w: a segment of %d bytes is smaller than %d", ErrSegments, n, MinSegment)
	}
	return nil
}
