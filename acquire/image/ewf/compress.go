package ewf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
)

// Level is how hard chunks are compressed. Its value is what a Volume says of it.
type Level uint8

// The levels. None stores every chunk as it is, zeros too.
const (
	None Level = LevelNone
	Fast Level = LevelFast
	Best Level = LevelBest
)

// The levels of deflate: 1 costs least; above 7 each byte costs a third more time for a thousandth of the size.
const (
	deflateFast = 1
	deflateBest = 7
)

const maxWorkers = 1024

// adlerBytes follow a chunk that is stored as it is; a zlib stream ends with them too, in the other byte order.
const adlerBytes = 4

// zlibHeader says: deflate, a window of 32 KiB, no dictionary, compressed fast.
var zlibHeader = []byte{0x78, 0x01}

// Chunk is one chunk of the medium as it stands in the file: a zlib stream, or the bytes of the medium and their
// Adler-32.
type Chunk struct {
	Data       []byte
	Compressed bool
}

// Compressor makes the chunks of a medium, on several cores. The same medium gives the same chunks, however many. It is
// used from one goroutine.
type Compressor struct {
	level      Level
	chunkBytes int
	zero       []byte // a whole chunk of zeros
	zeroChunk  Chunk  // and how it is stored
	deflaters  []*deflater
	work       []func() // of each deflater but the first

	in     []byte // of the Encode that runs
	chunks []Chunk
	memory []byte // slots, one a chunk
	next   atomic.Int64
	failed atomic.Pointer[error]
	ended  sync.WaitGroup
}

// deflater is what one goroutine compresses with.
type deflater struct {
	out   slot
	into  *flate.Writer
	codes *flate.Writer // by the frequency of bytes alone
	spare []byte        // as long as a chunk
}

// slot takes a stream up to its length, and refuses what goes beyond: then compressing was in vain.
type slot struct {
	p []byte
	n int
}

var errSlotFull = errors.New("does not become smaller")

func (s *slot) Write(p []byte) (int, error) {
	if len(p) > len(s.p)-s.n {
		return 0, errSlotFull
	}
	s.n += copy(s.p[s.n:], p)
	return len(p), nil
}

// NewCompressor makes one for chunks of chunkBytes. workers is the number of goroutines, 0 for one a core.
func NewCompressor(level Level, chunkBytes, workers int) (*Compressor, error) {
	if workers == 0 {
		workers = min(runtime.GOMAXPROCS(0), maxWorkers)
	}
	if workers < 1 || workers > maxWorkers {
		return nil, fmt.Errorf("%d workers: there can be 1 to %d", workers, maxWorkers)
	}
	if chunkBytes < 1 || chunkBytes > maxSectorsPerChunk*maxBytesPerSector {
		return nil, fmt.Errorf("%w: chunks of %d bytes", ErrValue, chunkBytes)
	}
	c := &Compressor{level: level, chunkBytes: chunkBytes}
	deflate := deflateFast
	switch level {
	case None:
		return c, nil
	case Fast:
	case Best:
		deflate = deflateBest
	default:
		return nil, fmt.Errorf("%w: a compression level %d", ErrValue, level)
	}
	for i := range workers {
		d := &deflater{spare: make([]byte, chunkBytes)}
		var err, err2 error
		d.into, err = flate.NewWriter(&d.out, deflate)
		d.codes, err2 = flate.NewWriter(&d.out, flate.HuffmanOnly)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("start to compress: %w", err)
		}
		c.deflaters = append(c.deflaters, d)
		if i > 0 {
			c.work = append(c.work, func() { defer c.ended.Done(); c.run(d) })
		}
	}
	c.zero = make([]byte, chunkBytes)
	var err error
	c.zeroChunk, err = c.encode(c.deflaters[0], c.zero, make([]byte, chunkBytes+adlerBytes))
	return c, err
}

// Encode makes the chunks of p, whose length is a multiple of the chunk's, unless the medium ends with it. It does not
// keep p. What it returns is valid until the next call.
func (c *Compressor) Encode(p []byte) ([]Chunk, error) {
	count := (len(p) + c.chunkBytes - 1) / c.chunkBytes
	if n := count * (c.chunkBytes + adlerBytes); n > len(c.memory) {
		c.memory, c.chunks = make([]byte, n), make([]Chunk, count)
	}
	c.in, c.chunks = p, c.chunks[:count]
	c.next.Store(0)
	c.failed.Store(nil)
	if c.level == None {
		for i := range c.chunks {
			c.chunks[i] = storedChunk(c.part(i))
		}
		c.in = nil
		return c.chunks, nil
	}
	helpers := c.work[:max(0, min(len(c.work), count-1))]
	c.ended.Add(len(helpers))
	for _, work := range helpers {
		go work()
	}
	c.run(c.deflaters[0])
	c.ended.Wait()
	c.in = nil
	if err := c.failed.Load(); err != nil {
		return nil, *err
	}
	return c.chunks, nil
}

// run makes chunks until none is left that nobody makes.
func (c *Compressor) run(d *deflater) {
	for {
		i := int(c.next.Add(1) - 1)
		if i >= len(c.chunks) {
			return
		}
		p, room := c.part(i)
		if len(p) == len(c.zero) && bytes.Equal(p, c.zero) {
			c.chunks[i] = c.zeroChunk
			continue
		}
		chunk, err := c.encode(d, p, room)
		if err != nil {
			first := err // which escapes, as err must not for every chunk
			c.failed.Store(&first)
			return
		}
		c.chunks[i] = chunk
	}
}

// part is chunk i of what is encoded, and room for it.
func (c *Compressor) part(i int) (p, room []byte) {
	p = c.in[i*c.chunkBytes : min((i+1)*c.chunkBytes, len(c.in))]
	return p, c.memory[i*(c.chunkBytes+adlerBytes):][:len(p)+adlerBytes]
}

// encode compresses p into room if that makes it smaller than p itself, without the Adler-32 that it would be stored
// with: EnCase takes a compressed chunk for damaged that is not.
func (c *Compressor) encode(d *deflater, p, room []byte) (Chunk, error) {
	n, err := d.deflate(d.into, p, room[:max(0, len(p)-1)])
	if err != nil {
		return Chunk{}, err
	}
	// Deflate's fast levels store what repeats nothing, also where half of each byte is known: hex digits, base64.
	if (n == 0 || n > len(p)-len(p)/16) && skewed(p) {
		least := len(p)
		if n > 0 {
			least = n
		}
		m, err := d.deflate(d.codes, p, d.spare[:least-1])
		if err != nil {
			return Chunk{}, err
		}
		if m > 0 {
			n = copy(room, d.spare[:m])
		}
	}
	if n == 0 {
		return storedChunk(p, room), nil
	}
	return Chunk{room[:n], true}, nil
}

// deflate makes a zlib stream of p in room, and returns its length; 0 if it has no room.
func (d *deflater) deflate(with *flate.Writer, p, room []byte) (int, error) {
	most := len(room) - adlerBytes
	if most < len(zlibHeader) {
		return 0, nil
	}
	d.out = slot{p: room[:most]}
	d.out.n = copy(room, zlibHeader)
	with.Reset(&d.out)
	_, err := with.Write(p)
	if err == nil {
		err = with.Close()
	}
	if errors.Is(err, errSlotFull) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("compress a chunk: %w", err)
	}
	return len(binary.BigEndian.AppendUint32(room[:d.out.n], adler(p))), nil
}

// skewed says whether some bytes are so frequent in p that codes by frequency save some hundredths at least. It looks
// at a part of p, in runs, so that it sees all bytes of numbers.
func skewed(p []byte) bool {
	const runs, run = 16, 256
	if len(p) < runs*run {
		return true
	}
	var count [256]uint32
	for i := range runs {
		for _, c := range p[i*(len(p)-run)/(runs-1):][:run] {
			count[c]++
		}
	}
	var squares uint32
	for _, n := range count {
		squares += n * n
	}
	const n = runs * run
	return squares > n*n/256*5/4+n // of random bytes it is n*n/256+n
}

// storedChunk is p as it is.
func storedChunk(p, room []byte) Chunk {
	n := copy(room, p)
	return Chunk{binary.LittleEndian.AppendUint32(room[:n], adler(p)), false}
}
