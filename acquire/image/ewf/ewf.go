// Package ewf is the Expert Witness Compression Format, version 1: the E01 files of EnCase and of many others.
//
// The format text is libyal's "Expert Witness Compression Format (EWF)". An image is one or more segment files. Each
// begins with a [FileHeader], then follow sections, each behind a [Section] descriptor that names its type and where
// the next one stands:
//
//	header2, header  the case, the exhibit, the examiner: a [Header], compressed text
//	volume, disk     the size and cut of the medium: a [Volume]; data repeats it
//	sectors          the chunks, compressed by zlib or as they are with an Adler-32 behind
//	table, table2    where each chunk of the sectors section stands: a [TableHeader] and [Entry] values, twice
//	error2           what could not be read: [Range] values
//	digest, hash     MD5 and SHA-1 of the medium: [Digest], [Hash]
//	next, done       the end of a segment, of the last one
//
// Start with [Find] and [Open] to read an image, with [NewPlan], [NewCompressor] and [NewWriter] to write one; the types
// named above have an Append method and a Parse function, and are what both are built of.
//
// The promise: a byte that [Reader.ReadAt] returns without an error came from a chunk whose own checksum, and whose
// table's checksum where the format has one, is right. What was tolerated or repaired on the way is listed by
// [Reader.Notes], and what is not there at all by [Reader.Missing]. The checksums are Adler-32: they find accidents, not a person who can compute them anew.
// A Parse function refuses what it does not know, and looks at no more bytes than its bound.
//
// A [Writer] writes over nothing, holds the medium exactly, passes neither the bound of a segment nor the last name, and
// what it calls finished is on the disk and read-only. What it flushed can be gone on from with [ResumeWriter].
package ewf

import (
	"errors"
	"fmt"
	"hash/adler32"
)

var (
	// ErrFormat says that a file is not an image that this package reads; the text names the format where it is known.
	ErrFormat = errors.New("not an E01 image that can be read here")
	// ErrSegments says that the segment files do not make one image: one is missing, in the wrong place or of another.
	ErrSegments = errors.New("segments of the image do not fit together")
	// ErrMissing is the ErrSegments that says that a segment is not there. What is there can be read: see [OpenIncomplete].
	ErrMissing = fmt.Errorf("%w: not all are there", ErrSegments)
	// ErrStructure says that the sections of a segment are damaged, or contradict each other.
	ErrStructure = errors.New("the structure of the image is damaged")
	// ErrChanged says that a file of the image changed its size after it was opened.
	ErrChanged = errors.New("an image file changed while it was read")
	// ErrValue refuses a value that the format, or a program that reads it, cannot hold.
	ErrValue = errors.New("the E01 format cannot hold this")
)

// Segment is one file of an image.
type Segment struct {
	Name      string
	SizeBytes int64
}

// Range is a run of sectors of the medium.
type Range struct{ FirstSector, Sectors int64 }

// checksum is the format's: Adler-32, which it calls CRC.
func checksum(b []byte) uint32 { return adler32.Checksum(b) }
