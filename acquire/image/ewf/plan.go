package ewf

import (
	"fmt"
	"math"
	"sort"
)

// SectorsPerChunk is how a Writer cuts the medium: the only number that all programs read.
const SectorsPerChunk = 64

// DefaultSegmentBytes is what EnCase allows a segment file to have at most: 2,000 MiB.
const DefaultSegmentBytes = 2000 << 20

// MinSegmentBytes is the smallest bound of a segment file.
const MinSegmentBytes = 1 << 20

// What stands in a segment beside its groups of chunks.
const (
	// maxHeadBytes is more than the three headers with the longest values take in the first segment.
	maxHeadBytes = 256 << 10
	dataBytes    = SectionBytes + VolumeBytes
	// tailBytes are kept free for what ends the last segment: data, digest, hash and done; the others end with next.
	tailBytes = dataBytes + SectionBytes + DigestBytes + SectionBytes + HashBytes + SectionBytes
	// flushBytes of the medium are written before a Flush, on the average that Plan reckons with.
	flushBytes = 1 << 20
)

// groupBytes is what a group of so many chunks takes beside them: three descriptors and two tables.
func groupBytes(chunks int64) int64 { return 3*SectionBytes + 2*TableBytes(int(chunks)) }

// Plan is how an image is cut, at worst: when no chunk can be compressed, and each MiB is flushed by itself.
type Plan struct {
	SegmentBytes int64 // no segment file is larger
	Segments     int   // there are at most so many
	MaxBytes     int64 // all files together have at most so many, without the error2 section of a failing medium
}

// NewPlan plans the image of a medium of sizeBytes, before anything is written. segmentBytes is the bound of a segment
// file; 0 means DefaultSegmentBytes, or more where the medium needs more than MaxSegments of those, or less where no
// file can be so large. maxFileBytes is what one file can have here, 0 for no bound.
//
// A medium that E01 cannot hold is ErrValue: its size must be a multiple of the sector's, and that a power of two from
// 512 to 4,096. Too many segments are ErrSegments, and the text says which bound is enough; files that must be larger
// than maxFileBytes are ErrFileTooLarge.
func NewPlan(sizeBytes int64, sectorBytes int, segmentBytes, maxFileBytes int64) (Plan, error) {
	chunks, err := countChunks(sizeBytes, sectorBytes)
	if err != nil {
		return Plan{}, err
	}
	if segmentBytes != 0 && segmentBytes < MinSegmentBytes {
		return Plan{}, fmt.Errorf("%w: a segment of %d bytes is smaller than %d", ErrSegments, segmentBytes, int64(MinSegmentBytes))
	}
	chunkBytes := int64(SectorsPerChunk) * int64(sectorBytes)
	total := maxHeadBytes + chunks*worstChunk(chunkBytes)
	least := leastSegment(chunks, chunkBytes)
	given := segmentBytes
	if given == 0 {
		if segmentBytes = max(least, DefaultSegmentBytes); maxFileBytes > 0 {
			segmentBytes = max(least, min(segmentBytes, maxFileBytes))
		}
	}
	p := Plan{SegmentBytes: segmentBytes, Segments: segmentsAtWorst(chunks, chunkBytes, segmentBytes)}
	if p.Segments > MaxSegments {
		return Plan{}, fmt.Errorf("%w: a medium of %d bytes can need more than %d segments of %d bytes; a segment must have at least %d bytes",
			ErrSegments, sizeBytes, MaxSegments, segmentBytes, least)
	}
	p.MaxBytes = total + int64(p.Segments)*segmentOverhead
	if maxFileBytes > 0 && min(segmentBytes, p.MaxBytes) > maxFileBytes {
		return Plan{}, fmt.Errorf("%w: a segment file can have %d bytes, more than %d", ErrFileTooLarge,
			min(segmentBytes, p.MaxBytes), maxFileBytes)
	}
	if maxFileBytes > 0 {
		p.SegmentBytes = min(segmentBytes, maxFileBytes)
	}
	return p, nil
}

// segmentOverhead is what every segment has beside its chunks: its first header and its end, and the group that ends
// with it before it is full.
const segmentOverhead = FileHeaderBytes + dataBytes + tailBytes + 2*(3*SectionBytes+2*(TableHeaderBytes+4))

// worstChunk is what a chunk takes in the file at worst: its bytes, its checksum, its two entries, and its part of what
// a group has beside that.
func worstChunk(chunkBytes int64) int64 {
	return chunkBytes + adlerBytes + 8 + (groupBytes(0)*chunkBytes+flushBytes-1)/flushBytes
}

// segmentsAtWorst counts the segments; more than MaxSegments are some number beyond it. One is for an error2 section
// that the last one has no room for.
func segmentsAtWorst(chunks, chunkBytes, segmentBytes int64) int {
	first := (segmentBytes - segmentOverhead - maxHeadBytes) / worstChunk(chunkBytes)
	each := (segmentBytes - segmentOverhead) / worstChunk(chunkBytes)
	if first < 1 {
		return MaxSegments + 1
	}
	rest := max(0, chunks-first)
	return int(min(2+(rest+each-1)/each, MaxSegments+1))
}

// leastSegment is the smallest bound of a segment that is enough.
func leastSegment(chunks, chunkBytes int64) int64 {
	const step = 1 << 16
	n := sort.Search(1<<31-1, func(n int) bool {
		return segmentsAtWorst(chunks, chunkBytes, MinSegmentBytes+int64(n)*step) <= MaxSegments
	})
	return MinSegmentBytes + int64(n)*step
}

// countChunks also refuses what a volume section cannot say.
func countChunks(sizeBytes int64, sectorBytes int) (int64, error) {
	if sectorBytes < 512 || sectorBytes > maxBytesPerSector || sectorBytes&(sectorBytes-1) != 0 {
		return 0, fmt.Errorf("%w: sectors of %d bytes", ErrValue, sectorBytes)
	}
	if sizeBytes <= 0 || sizeBytes%int64(sectorBytes) != 0 {
		return 0, fmt.Errorf("%w: a medium of %d bytes is no whole number of sectors of %d, and is not filled up", ErrValue, sizeBytes, sectorBytes)
	}
	chunkBytes := int64(SectorsPerChunk) * int64(sectorBytes)
	chunks := (sizeBytes-1)/chunkBytes + 1
	if chunks > math.MaxUint32 {
		return 0, fmt.Errorf("%w: a medium of %d bytes has more than %d chunks", ErrValue, sizeBytes, uint32(math.MaxUint32))
	}
	return chunks, nil
}
