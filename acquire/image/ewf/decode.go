package ewf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"

	"github.com/exhibit-forensics/exhibit/internal/inflate"
)

// decoder is what one goroutine decodes chunks with.
type decoder struct {
	buf  []byte
	fast inflate.Decoder
	src  bytes.Reader
	z    io.Reader
}

// decoder takes one from the pool; the caller puts it back.
func (r *Reader) decoder() *decoder {
	if d, ok := r.decoders.Get().(*decoder); ok {
		return d
	}
	return new(decoder)
}

// decodeNew decodes a chunk into memory of its own. A chunk that says it holds more than deflate can do is not given any.
func (r *Reader) decodeNew(chunk int64) ([]byte, error) {
	place, err := r.locate(chunk)
	if err != nil {
		return nil, err
	}
	n := r.chunkLen(chunk)
	if n > maxInflate*place.size {
		return nil, r.damage(place, chunk, "it is too short to hold its sectors")
	}
	d := r.decoder()
	defer r.decoders.Put(d)
	b := make([]byte, n)
	return b, r.decodeAt(d, b, chunk, place)
}

// maxInflate is above what deflate can make of a byte, 1,032.
const maxInflate = 1100

// decode fills p, which has exactly the length of the chunk. On an error p is zeroed.
func (r *Reader) decode(d *decoder, p []byte, chunk int64) error {
	place, err := r.locate(chunk)
	if err != nil {
		clear(p)
		return err
	}
	return r.decodeAt(d, p, chunk, place)
}

func (r *Reader) decodeAt(d *decoder, p []byte, chunk int64, at place) error {
	err := r.fill(d, p, at)
	if err == nil {
		return nil
	}
	clear(p)
	if bad, ok := errors.AsType[badChunk](err); ok {
		return r.damage(at, chunk, string(bad))
	}
	return err
}

// maxStored is more than n bytes can take when they are compressed: deflate adds 5 bytes to 16 KiB that it cannot
// compress. What stands beyond that before the next chunk is no part of this one.
func maxStored(n int64) int64 { return n + n/64 + 1024 }

// badChunk is why a chunk is damaged.
type badChunk string

func (b badChunk) Error() string { return string(b) }

func (r *Reader) fill(d *decoder, p []byte, at place) error {
	stored := int64(len(p)) + 4
	if at.compressed {
		stored = min(at.size, maxStored(int64(len(p))))
	} else if at.size < stored {
		return badChunk(fmt.Sprintf("%d bytes are stored where %d are wanted", at.size, stored))
	}
	if int64(cap(d.buf)) < stored {
		d.buf = make([]byte, stored)
	}
	b := d.buf[:stored]
	if err := r.files.read(at.segment, b, at.off); err != nil {
		return err
	}
	if at.compressed {
		return d.inflate(p, b)
	}
	copy(p, b)
	if checksum(p) != binary.LittleEndian.Uint32(b[len(p):]) {
		return badChunk("wrong checksum")
	}
	return nil
}

// inflate fills p from b, where the zlib stream must end, with its checksum, exactly when p is full. What the fast
// decompressor does not vouch for is decompressed again by the other one, which decides, and says what is wrong.
func (d *decoder) inflate(p, b []byte) error {
	if d.fast.Zlib(p, b) {
		return nil
	}
	d.src.Reset(b)
	if err := d.reset(); err != nil {
		return badChunk("it is not compressed by zlib: " + err.Error())
	}
	if n, err := io.ReadFull(d.z, p); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && d.src.Len() > 0 {
			return badChunk(fmt.Sprintf("it decompresses to %d bytes where %d are wanted", n, len(p)))
		}
		return badChunk("it cannot be decompressed: " + err.Error())
	}
	var more [1]byte
	switch n, err := d.z.Read(more[:]); {
	case n > 0:
		return badChunk(fmt.Sprintf("it decompresses to more than %d bytes", len(p)))
	case err == nil:
		return badChunk("its compressed data does not end")
	case !errors.Is(err, io.EOF):
		return badChunk("it cannot be decompressed: " + err.Error())
	}
	return nil
}

func (d *decoder) reset() error {
	if z, ok := d.z.(zlib.Resetter); ok {
		return z.Reset(&d.src, nil)
	}
	z, err := zlib.NewReader(&d.src)
	if err != nil {
		return err
	}
	d.z = z
	return nil
}

func (r *Reader) damage(at place, chunk int64, reason string) *DamageError {
	sector := r.SectorBytes()
	return &DamageError{
		Segment: r.files.list[at.segment].name, Offset: at.off, Chunk: chunk, FirstSector: chunk * int64(r.volume.SectorsPerChunk),
		Sectors: (r.chunkLen(chunk) + sector - 1) / sector, Reason: reason,
	}
}
