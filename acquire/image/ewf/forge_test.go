package ewf

import (
	"bytes"
	"compress/zlib"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"testing"
	"testing/fstest"
)

// forged is an image of two segments, small enough to be looked at: 21 chunks of 8 sectors, the last one of 3, in three
// tables. Chunk 0 is stored as it is, chunk 1 compressed, and so on.
type forged struct {
	one, two []byte
	data     []byte
}

const (
	forgedSectors = 8*20 + 3
	forgedSector  = 32 // bytes: small files are better to fuzz
	forgedChunk   = 8 * forgedSector
)

var forgedVolume = Volume{
	MediaType: MediaFixed, Chunks: 21, SectorsPerChunk: 8, BytesPerSector: forgedSector, Sectors: forgedSectors,
	Flags: FlagImage, Level: LevelFast, ErrorGranularity: 1, SetID: [16]byte{0xe0, 1, 2, 3},
}

// aHeaderForged has times that header and header2 can both hold.
var aHeaderForged = func() Header {
	h := aHeader
	h.System = h.Acquired
	return h
}()

// segment is a file that is put together section by section.
type segment struct{ b []byte }

func newSegment(n uint16) *segment { return &segment{FileHeader{n}.Append(nil)} }

func (s *segment) add(kind string, content []byte) {
	end := int64(len(s.b) + SectionBytes + len(content))
	s.b = Section{kind, end, end - int64(len(s.b))}.Append(s.b)
	s.b = append(s.b, content...)
}

func (s *segment) end(kind string) {
	s.b = Section{kind, int64(len(s.b)), 0}.Append(s.b)
}

// chunks adds sectors, table and table2 with those chunks of data.
func (s *segment) chunks(data []byte, from, to int) {
	base := int64(len(s.b))
	var content []byte
	var entries []Entry
	for i := from; i < to; i++ {
		chunk := data[i*forgedChunk : min(len(data), (i+1)*forgedChunk)]
		entries = append(entries, must(NewEntry(int64(SectionBytes+len(content)), i%2 == 1)))
		content = append(content, stored(chunk, i%2 == 1)...)
	}
	s.add(TypeSectors, content)
	s.add(TypeTable, AppendTable(nil, base, entries))
	s.add(TypeTable2, AppendTable(nil, base, entries))
}

func stored(chunk []byte, compressed bool) []byte {
	if !compressed {
		return binary.LittleEndian.AppendUint32(bytes.Clone(chunk), checksum(chunk))
	}
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	must(z.Write(chunk))
	must(0, z.Close())
	return b.Bytes()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// forgedMedium makes sectors of which no two are alike.
func forgedMedium(sectors int) []byte {
	var b []byte
	for i := range sectors {
		b = fmt.Appendf(b, "%-*d", forgedSector, i)
	}
	return b
}

func forge() *forged {
	f := &forged{data: forgedMedium(forgedSectors)}
	clear(f.data[100*forgedSector:][:2*forgedSector]) // unread, see error2
	h := aHeaderForged
	one := newSegment(1)
	one.add(TypeHeader2, must(h.Header2()))
	one.add(TypeHeader2, must(h.Header2()))
	one.add(TypeHeader, must(h.Header1()))
	one.add(TypeVolume, forgedVolume.Append(nil))
	one.chunks(f.data, 0, 6)
	one.chunks(f.data, 6, 11)
	one.end(TypeNext)
	two := newSegment(2)
	two.add(TypeData, forgedVolume.Append(nil))
	two.chunks(f.data, 11, 21)
	two.add(TypeError2, must(AppendError2(nil, []Range{{100, 2}})))
	two.add(TypeDigest, Digest{md5.Sum(f.data), sha1.Sum(f.data)}.Append(nil))
	two.add(TypeHash, Hash{md5.Sum(f.data)}.Append(nil))
	two.end(TypeDone)
	f.one, f.two = one.b, two.b
	return f
}

func (f *forged) fs() fstest.MapFS {
	return fstest.MapFS{"a.E01": {Data: f.one}, "a.E02": {Data: f.two}}
}

// at finds the nth section of a kind, from 0: where its descriptor and its content are.
func at(b []byte, kind string, nth int) (off, start, end int) {
	for off = FileHeaderBytes; ; {
		s, err := ParseSection(b[off:])
		if err != nil {
			panic(err)
		}
		if s.Type == kind {
			if nth == 0 {
				return off, off + SectionBytes, int(s.Next)
			}
			nth--
		}
		if s.Type == TypeDone || s.Type == TypeNext {
			panic(fmt.Sprintf("no section %q", kind))
		}
		off = int(s.Next)
	}
}

// content gives the nth section's content, to change it in place.
func content(b []byte, kind string, nth int) []byte {
	_, start, end := at(b, kind, nth)
	return b[start:end]
}

// describe writes a section's descriptor anew.
func describe(b []byte, off int, change func(*Section)) {
	s := must(ParseSection(b[off:]))
	change(&s)
	copy(b[off:], s.Append(nil))
}

// seal writes the last four bytes as the checksum of the others.
func seal(b []byte) { binary.LittleEndian.PutUint32(b[len(b)-4:], checksum(b[:len(b)-4])) }

// retable writes the content of a table anew.
func retable(b []byte, change func(base *int64, entries []Entry)) {
	base, entries, err := ParseTable(b)
	if err != nil {
		panic(err)
	}
	change(&base, entries)
	copy(b, AppendTable(nil, base, entries))
}

func TestForgedIsSound(t *testing.T) {
	f := forge()
	if got := outcome(t, f, "a.E01", "a.E02"); got != "sound" {
		t.Fatalf("got %s, want sound", got)
	}
	r := must(Open(f.fs(), []string{"a.E01", "a.E02"}))
	if len(r.Notes()) > 0 {
		t.Errorf("notes %+v", r.Notes())
	}
	if got := r.Unread(); len(got) != 1 || got[0] != (Range{100, 2}) {
		t.Errorf("unread %v, want 2 sectors from 100", got)
	}
	if r.Volume() != forgedVolume {
		t.Errorf("volume %+v", r.Volume())
	}
	if got := r.Header(); got != aHeaderForged {
		t.Errorf("header %+v", got)
	}
}
