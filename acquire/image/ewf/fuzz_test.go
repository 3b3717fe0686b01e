package ewf

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

// FuzzReader opens one or two files of any bytes. Whatever ReadAt returns without an error must be what slowWalk,
// which shares nothing with the Reader, gets out of a chunk with a right checksum by a table with a right checksum; on
// an error the memory is zero. With repair the checksums of descriptors, tables and the rest are made right first, so
// that the fuzzer gets behind them.
func FuzzReader(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, one, two []byte, repair bool) {
		if repair {
			one, two = repaired(one), repaired(two)
		}
		fsys, names := fstest.MapFS{"a.E01": {Data: one}}, []string{"a.E01"}
		if len(two) > 0 {
			fsys["a.E02"], names = &fstest.MapFile{Data: two}, []string{"a.E01", "a.E02"}
		}
		checkFirstAlone(t, one)
		r, err := Open(fsys, names)
		if err != nil {
			known := errors.Is(err, ErrFormat) || errors.Is(err, ErrSegments) || errors.Is(err, ErrStructure)
			if r != nil || !known {
				t.Fatalf("Open: %v, %v", r, err)
			}
			return
		}
		chunks := slowWalk([][]byte{one, two}[:len(names)])
		if uint32(len(chunks)) != r.volume.Chunks {
			t.Fatalf("%d chunks, and tables for %d", r.volume.Chunks, len(chunks))
		}
		if r.ChunkBytes() > 1<<20 {
			return // allowed, but slow to fill
		}
		damaged := map[int64]bool{}
		for i := range r.chunks() {
			p := bytes.Repeat([]byte{0xee}, int(r.chunkLen(i)))
			n, err := r.ReadAt(p, i*r.ChunkBytes())
			_, isDamage := errors.AsType[*DamageError](err)
			switch {
			case err == nil && n == len(p) && chunks[i](p):
			case isDamage && n == 0 && bytes.Equal(p, make([]byte, len(p))):
				damaged[i] = true
			default:
				t.Fatalf("chunk %d: ReadAt = %d, %v", i, n, err)
			}
		}
		err = r.Check(t.Context(), func(d *DamageError) bool {
			if !damaged[d.Chunk] {
				t.Errorf("Check finds damage that ReadAt does not: %v", d)
			}
			delete(damaged, d.Chunk)
			return true
		})
		if err != nil || len(damaged) > 0 {
			t.Errorf("Check: %v, and not found: %v", err, damaged)
		}
	})
}

// checkFirstAlone opens the first segment without the others: what is read of it is what slowWalk finds, in the same place.
func checkFirstAlone(t *testing.T, one []byte) {
	t.Helper()
	r, err := OpenIncomplete(fstest.MapFS{"a.E01": {Data: one}}, []string{"a.E01"})
	if err != nil || r.ChunkBytes() > 1<<20 {
		return
	}
	chunks := slowWalk([][]byte{one})
	for i := range min(r.chunks(), int64(len(chunks))+2) {
		p := bytes.Repeat([]byte{0xee}, int(r.chunkLen(i)))
		_, err := r.ReadAt(p, i*r.ChunkBytes())
		there := r.Missing() == nil || i < r.Missing().FirstChunk
		if err == nil && (!there || i >= int64(len(chunks)) || !chunks[i](p)) || err != nil && !bytes.Equal(p, make([]byte, len(p))) {
			t.Fatalf("chunk %d of the first segment alone: %v", i, err)
		}
	}
}

// addSeeds adds the corpus of faults, and files of ewfacquire.
func addSeeds(f *testing.F) {
	good := forge()
	f.Add(good.one, good.two, false)
	f.Add(good.one, good.two, true)
	for _, fault := range faults {
		bad := forge()
		fault.patch(bad)
		f.Add(bad.one, bad.two, false)
	}
	for _, format := range []string{"smart", "encase6", "linen5"} {
		dir, first := ewfacquire(f, medium(70), "-f", format, "-c", "fast")
		b, err := os.ReadFile(filepath.Join(dir, first))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, []byte(nil), true)
	}
}

// slowWalk gives for each chunk of an image a function that says whether p is its content. It follows the chain of
// next offsets, takes a table or its copy if its checksums are right, and believes nothing else.
func slowWalk(segments [][]byte) (chunks []func(p []byte) bool) {
	short := false
	for _, b := range segments {
		sectors := false
		var pending []func([]byte) bool
		for off := uint64(13); ; {
			kind := string(bytes.TrimRight(b[off:off+16], "\x00"))
			if kind != "table2" {
				chunks, pending = append(chunks, pending...), nil
			}
			if kind == "next" || kind == "done" {
				break
			}
			next := binary.LittleEndian.Uint64(b[off+16:])
			body := b[off+76 : next]
			off = next
			switch kind {
			case "volume", "disk":
				short = len(body) == 94
			case "sectors":
				sectors = true
			case "table", "table2":
				table, sound := slowTable(b, body, !short || sectors)
				if kind == "table" || sound || len(pending) == 0 {
					pending = table
				}
			}
		}
	}
	return chunks
}

// slowTable gives what the entries of a table point at; nothing of it is right if a checksum is wrong.
func slowTable(file, body []byte, footer bool) (chunks []func([]byte) bool, sound bool) {
	u32 := binary.LittleEndian.Uint32
	n, base := int64(u32(body)), binary.LittleEndian.Uint64(body[8:])
	if adler32.Checksum(body[:20]) != u32(body[20:]) || 24+4*n > int64(len(body)) || base > uint64(len(file)) {
		return nil, false
	}
	sound = !footer || 28+4*n <= int64(len(body)) && adler32.Checksum(body[24:24+4*n]) == u32(body[24+4*n:])
	for i := range n {
		entry := u32(body[24+4*i:])
		chunks = append(chunks, func(p []byte) bool {
			// The 32-bit offsets of EnCase 6.7.1 are offsets of chunks that are not compressed.
			return sound && (entry>>31 == 1 && slowInflate(file, base+uint64(entry&(1<<31-1)), p) ||
				entry>>31 == 0 && slowRaw(file, base+uint64(entry), p) || slowRaw(file, base+uint64(entry), p))
		})
	}
	return chunks, sound
}

func slowRaw(file []byte, off uint64, p []byte) bool {
	end := off + uint64(len(p))
	return end+4 <= uint64(len(file)) && bytes.Equal(file[off:end], p) &&
		adler32.Checksum(p) == binary.LittleEndian.Uint32(file[end:])
}

func slowInflate(file []byte, off uint64, p []byte) bool {
	if off > uint64(len(file)) {
		return false
	}
	z, err := zlib.NewReader(bytes.NewReader(file[off:]))
	if err != nil {
		return false
	}
	got, err := io.ReadAll(io.LimitReader(z, int64(len(p))+1))
	return err == nil && bytes.Equal(got, p)
}

// repaired makes the checksums right of every section that can be reached.
func repaired(b []byte) []byte {
	b = bytes.Clone(b)
	for off := uint64(13); off+76 <= uint64(len(b)); {
		seal(b[off : off+76])
		next := binary.LittleEndian.Uint64(b[off+16:])
		if next < off+76 || next > uint64(len(b)) {
			break
		}
		body := b[off+76 : next]
		switch kind := string(bytes.TrimRight(b[off:off+16], "\x00")); kind {
		case "volume", "disk", "data", "hash", "digest":
			if len(body) >= 4 {
				seal(body)
			}
		case "table", "table2":
			if len(body) >= 24 {
				seal(body[:24])
				if end := 28 + 4*int64(binary.LittleEndian.Uint32(body)); end == int64(len(body)) {
					seal(body[24:])
				}
			}
		case "error2":
			if len(body) >= 524 {
				seal(body[:520])
				seal(body[520:])
			}
		}
		off = next
	}
	return b
}
