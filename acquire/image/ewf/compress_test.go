package ewf

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	std "hash/adler32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// decode is a chunk's bytes of the medium, by the standard library.
func decode(t *testing.T, c Chunk) []byte {
	t.Helper()
	if c.Compressed {
		r, err := zlib.NewReader(bytes.NewReader(c.Data))
		if err != nil {
			t.Fatal(err)
		}
		p, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p, sum := c.Data[:len(c.Data)-4], c.Data[len(c.Data)-4:]
	if got, want := binary.LittleEndian.Uint32(sum), std.Checksum(p); got != want {
		t.Fatalf("a stored chunk has the checksum %#x, want %#x", got, want)
	}
	return p
}

func randomBytes(seed byte, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(p) // never fails, by its contract
	return p
}

// realFiles are bytes as they stand on disks: programs and sources, each from a new cluster.
func realFiles(t testing.TB, size int) []byte {
	t.Helper()
	var out []byte
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || len(out) > size/2 {
			return err
		}
		p, err := os.ReadFile(path)
		out = append(out, p...)
		out = append(out, make([]byte, -len(out)&4095)...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for len(out) < size {
		out = append(out, program...)
	}
	return out[:size]
}

func TestCompressor(t *testing.T) {
	const chunk = 32768
	mixed := bytes.Join([][]byte{make([]byte, 2*chunk), randomBytes(1, 2*chunk), realFiles(t, 20*chunk), make([]byte, chunk+512)}, nil)
	for _, level := range []Level{None, Fast, Best} {
		var first []Chunk
		for _, workers := range []int{1, 2, 7} {
			c, err := NewCompressor(level, chunk, workers)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time into memory that was used
				chunks, err := c.Encode(mixed)
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					for _, c := range chunks {
						first = append(first, Chunk{bytes.Clone(c.Data), c.Compressed})
					}
				}
				checkChunks(t, level, chunks, first, mixed)
			}
		}
	}
}

func checkChunks(t *testing.T, level Level, chunks, first []Chunk, mixed []byte) {
	t.Helper()
	const chunk = 32768
	var got []byte
	for i, c := range chunks {
		p := decode(t, c)
		got = append(got, p...)
		if c.Compressed && len(c.Data) >= len(p) {
			t.Errorf("chunk %d: compressed to %d bytes of %d", i, len(c.Data), len(p))
		}
		if want := level != None && i != 2 && i != 3; c.Compressed != want {
			t.Errorf("level %d, chunk %d: compressed is %v, want %v", level, i, c.Compressed, want)
		}
		if !bytes.Equal(c.Data, first[i].Data) {
			t.Errorf("level %d, chunk %d: differs from the one that one goroutine made", level, i)
		}
	}
	if len(chunks) != 26 || !bytes.Equal(got, mixed) {
		t.Fatalf("%d chunks give %d bytes, other ones than went in", len(chunks), len(got))
	}
	if level != None && len(chunks[0].Data) > chunk/100 {
		t.Errorf("a chunk of zeros has %d bytes", len(chunks[0].Data))
	}
}

// A chunk of zeros is compressed once, when the Compressor is made: what comes back is always the same memory. A short one at
// the end is not it.
func TestZeroChunkIsCached(t *testing.T) {
	const chunk = 32768
	for _, level := range []Level{Fast, Best} {
		c, err := NewCompressor(level, chunk, 2)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 5*chunk+512)
		copy(p[2*chunk:], randomBytes(6, chunk))
		for range 2 {
			chunks, err := c.Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			for i, got := range chunks {
				if cached := &got.Data[0] == &c.zeroChunk.Data[0]; cached != (i != 2 && i != 5) {
					t.Errorf("level %d, chunk %d: from the cache is %t", level, i, cached)
				}
			}
		}
	}
}

// Deflate gives up on a chunk that it does not make smaller, and what looks random is not tried a second time by the
// frequency of its bytes.
func TestIncompressibleIsNoticed(t *testing.T) {
	const chunk = 32768
	for seed := range byte(50) {
		if skewed(randomBytes(seed, chunk)) {
			t.Errorf("random bytes of seed %d would be tried twice", seed)
		}
	}
	s := slot{p: make([]byte, 100)}
	if n, err := s.Write(make([]byte, 101)); n != 0 || !errors.Is(err, errSlotFull) || s.n != 0 {
		t.Errorf("more than there is room for: %d, %v", n, err)
	}
}

// A chunk that deflate makes smaller by one byte is compressed, one that it leaves as long is not.
func TestCompressedOnlyIfSmaller(t *testing.T) {
	c, err := NewCompressor(Fast, 512, 1)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[bool]int{}
	for equal := range 512 {
		p := randomBytes(3, 512)
		clear(p[:equal])
		chunks, err := c.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(decode(t, chunks[0]), p) {
			t.Fatalf("%d zeros: other bytes came back", equal)
		}
		if n := len(chunks[0].Data); chunks[0].Compressed && n >= 512 {
			t.Errorf("%d zeros: compressed to %d bytes", equal, n)
		}
		seen[chunks[0].Compressed]++
	}
	if seen[true] < 400 || seen[false] < 5 {
		t.Errorf("%d compressed, %d not", seen[true], seen[false])
	}
}

// Bytes that repeat nothing, and yet are not random, become smaller by the fast level too; and so do random bytes that
// are repeated.
func TestSkewedIsCompressed(t *testing.T) {
	const size = 32768
	r := randomBytes(4, size)
	digits := []byte(hex.EncodeToString(r[:size/2]))
	mail := []byte(base64.StdEncoding.EncodeToString(r))[:size]
	numbers, again, slight := bytes.Clone(r), bytes.Clone(r), bytes.Clone(r)
	for i := range numbers {
		if i%4 == 3 {
			numbers[i] = 0x3f
		}
		if i%16 == 0 {
			slight[i] = 0
		}
	}
	copy(again[size/2:], again[:size/10])
	c, err := NewCompressor(Fast, size, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []struct {
		name  string
		p     []byte
		ratio float64
	}{{"hex", digits, 0.52}, {"base64", mail, 0.77}, {"numbers", numbers, 0.88}, {"again", again, 0.92}, {"slight", slight, 0.99}, {"random", r, 1.001}} {
		chunks, err := c.Encode(in.p)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(decode(t, chunks[0]), in.p) {
			t.Errorf("%s: other bytes came back", in.name)
		}
		if got := float64(len(chunks[0].Data)) / size; got > in.ratio {
			t.Errorf("%s: %v of the size, want at most %v", in.name, got, in.ratio)
		}
	}
}

func TestNewCompressorRefuses(t *testing.T) {
	for _, bad := range []struct {
		level          Level
		chunk, workers int
	}{{3, 32768, 1}, {Fast, 0, 1}, {Fast, 1 << 30, 1}, {Fast, 32768, -1}, {Fast, 32768, maxWorkers + 1}} {
		if c, err := NewCompressor(bad.level, bad.chunk, bad.workers); err == nil {
			t.Errorf("%v: %v, want an error", bad, c)
		}
	}
}

func TestEncodeAllocatesNothing(t *testing.T) {
	p := realFiles(t, 1<<20)
	for _, level := range []Level{None, Fast, Best} {
		c, err := NewCompressor(level, 32768, 2)
		if err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(5, func() {
			if _, err := c.Encode(p); err != nil {
				t.Error(err)
			}
		})
		if n > 1 {
			t.Errorf("level %d: %v allocations for each block", level, n)
		}
	}
}

// FuzzCompressor: what goes in comes out, by the standard library.
func FuzzCompressor(f *testing.F) {
	f.Add([]byte("abcabcabcabcabcabcabcabc"), uint8(1), uint16(5))
	f.Add(make([]byte, 2000), uint8(2), uint16(512))
	f.Fuzz(func(t *testing.T, p []byte, level uint8, chunk uint16) {
		c, err := NewCompressor(Level(level%3), 1+int(chunk), 2)
		if err != nil {
			t.Fatal(err)
		}
		chunks, err := c.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for _, c := range chunks {
			got = append(got, decode(t, c)...)
		}
		if !bytes.Equal(got, p) {
			t.Errorf("%d bytes came back of %d, other ones", len(got), len(p))
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, data := range []struct {
		name string
		p    []byte
	}{{"files", realFiles(b, 16<<20)}, {"zeros", make([]byte, 16<<20)}, {"random", randomBytes(2, 16<<20)}} {
		for _, level := range []Level{None, Fast, Best} {
			for _, workers := range []int{1, 2} {
				b.Run(fmt.Sprintf("%s/level%d/workers%d", data.name, level, workers), func(b *testing.B) {
					c, err := NewCompressor(level, 32768, workers)
					if err != nil {
						b.Fatal(err)
					}
					benchmarkEncode(b, c, data.p)
				})
			}
		}
	}
}

func benchmarkEncode(b *testing.B, c *Compressor, p []byte) {
	var stored int
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		stored = 0
		for i := 0; i < len(p); i += 1 << 20 {
			chunks, err := c.Encode(p[i : i+1<<20])
			if err != nil {
				b.Fatal(err)
			}
			for _, c := range chunks {
				stored += len(c.Data)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(p)), "ns/byte")
	b.ReportMetric(float64(stored)/float64(len(p)), "ratio")
}
