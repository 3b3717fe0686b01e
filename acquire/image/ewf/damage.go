package ewf

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
)

// DamageError says that a chunk of the medium cannot be read, and where it stands. The sectors are those of the medium
// that are lost with it.
type DamageError struct {
	Segment              string // the file's name; empty if the file is not there
	Offset               int64  // in that file, of the chunk, or of its table if that is what is damaged
	Chunk                int64  // from 0, in the medium
	FirstSector, Sectors int64
	Reason               string
}

// Error names the chunk, its sectors and the place in the file.
func (e *DamageError) Error() string {
	if e.Segment == "" {
		return fmt.Sprintf("sectors %d to %d are missing: chunk %d: %s", e.FirstSector, e.FirstSector+e.Sectors-1, e.Chunk, e.Reason)
	}
	return fmt.Sprintf("sectors %d to %d are damaged: chunk %d in %q at byte %d: %s",
		e.FirstSector, e.FirstSector+e.Sectors-1, e.Chunk, e.Segment, e.Offset, e.Reason)
}

// Note is something about the structure of an image that did not keep it from being opened. Damage says that it is
// damage, which was worked around or costs something other than chunks; if not, it is a peculiarity of a program that
// wrote it, or something that this package does not read.
type Note struct {
	Segment string
	Offset  int64
	Text    string
	Damage  bool
}

// maxNotes bounds the memory that a hostile image takes by being peculiar.
const maxNotes = 1000

func (r *Reader) note(segment int, off int64, damage bool, format string, args ...any) {
	if len(r.notes) < maxNotes {
		r.notes = append(r.notes, Note{r.files.list[segment].name, off, fmt.Sprintf(format, args...), damage})
		return
	}
	r.moreNotes++
	r.moreDamage = r.moreDamage || damage
}

// Notes returns what was tolerated or worked around when the image was opened, in the order of the files. Of more than
// 1,000, the last one says how many more there are, and is damage if one of them is.
func (r *Reader) Notes() []Note {
	notes := slices.Clone(r.notes)
	if r.moreNotes > 0 {
		notes = append(notes, Note{Text: fmt.Sprintf("and %d more like these", r.moreNotes), Damage: r.moreDamage})
	}
	return notes
}

// Check decodes the whole image and calls yield for each damaged chunk, in order, until yield returns false. The error
// is nil when the end was reached or yield stopped it; a file that cannot be read, or has changed, is an error and not
// damage. What Notes and Missing say comes on top: chunks of segments that are not there are not yielded.
func (r *Reader) Check(ctx context.Context, yield func(*DamageError) bool) error {
	per := max(1, int64(runtime.GOMAXPROCS(0)), (4<<20)/r.ChunkBytes())
	per = max(1, min(per, (256<<20)/r.ChunkBytes()))
	buf := make([]byte, min(per*r.ChunkBytes(), r.Size()))
	for first := int64(0); first < r.chunks(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(per, r.chunks()-first)
		if m := r.lost; m != nil && first < m.FirstChunk {
			n = min(n, m.FirstChunk-first)
		} else if m != nil && first < m.FirstChunk+m.Chunks {
			first = m.FirstChunk + m.Chunks
			continue
		}
		for _, err := range r.decodeAll(buf, first, n) {
			damage, ok := errors.AsType[*DamageError](err)
			switch {
			case err == nil:
			case !ok:
				return err
			case !yield(damage):
				return nil
			}
		}
		first += n
	}
	return r.files.unchanged()
}
