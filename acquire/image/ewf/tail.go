package ewf

import (
	"encoding/binary"
	"errors"
	"io"
)

// findTail looks whether the last chunk holds more than the sectors of the volume section. ewfacquire writes the bytes
// of a source that is no multiple of a sector, and hashes them, but counts whole sectors only: the last ones, less than
// a sector, stand in the last chunk, or in one more. ewfverify does not find them, and says that the hash is wrong.
func (r *Reader) findTail() error {
	r.size, r.count = r.volume.mediaBytes(), int64(r.volume.Chunks)
	if r.count == 0 {
		return nil
	}
	last := r.count - 1
	whole := r.size - last*r.ChunkBytes() // of the last chunk, in whole sectors
	n, err := r.tail(last, whole)
	if err != nil {
		return err
	}
	g := r.groups[len(r.groups)-1]
	switch {
	case n > 0:
		r.note(int(g.segment), g.entries, false, "the last chunk holds %d bytes more than the sectors that the volume section counts", n)
		r.size += n
	case whole == 0:
		r.note(int(g.segment), g.entries, true, "the last chunk holds less than a sector, which the volume section does not count, and is damaged")
		r.count--
	}
	return nil
}

// tail is how many bytes stand in a chunk behind its whole sectors, with a right checksum; 0 if there are none, or if
// the chunk is damaged. An error is one of reading.
func (r *Reader) tail(chunk, whole int64) (int64, error) {
	at, err := r.locate(chunk)
	if _, ok := errors.AsType[*DamageError](err); ok {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	stored := min(at.size, maxStored(whole+r.SectorBytes()))
	most := whole + r.SectorBytes() - 1
	if !at.compressed && (at.size-4 <= whole || at.size-4 > most) {
		return 0, nil
	}
	b := make([]byte, stored)
	if err := r.files.read(at.segment, b, at.off); err != nil {
		return 0, err
	}
	n := at.size - 4
	if at.compressed {
		d := r.decoder()
		defer r.decoders.Put(d)
		n = d.length(b, most)
	} else if sum := binary.LittleEndian.Uint32; whole > 0 && checksum(b[:whole]) == sum(b[whole:]) || checksum(b[:n]) != sum(b[n:]) {
		return 0, nil
	}
	return max(0, n-whole), nil
}

// length is to how many bytes b decompresses, with a right checksum; 0 if it does not, or to more than most.
func (d *decoder) length(b []byte, most int64) int64 {
	d.src.Reset(b)
	if d.reset() != nil {
		return 0
	}
	n, err := io.Copy(io.Discard, io.LimitReader(d.z, most+1))
	if err != nil || n > most {
		return 0
	}
	return n
}
