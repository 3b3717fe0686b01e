package ewf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
	"testing/fstest"
)

// TestTail: less than a sector behind the last one, in a chunk with sectors and in one of its own, raw and compressed;
// and damaged.
func TestTail(t *testing.T) {
	for _, sectors := range []int{16, 17, 24, 25} {
		data := append(forgedMedium(sectors), "and so on"...)
		chunks := sectors/8 + 1
		s := newSegment(1)
		s.add(TypeVolume, Volume{Chunks: uint32(chunks), SectorsPerChunk: 8, BytesPerSector: forgedSector, Sectors: uint64(sectors)}.Append(nil))
		s.chunks(data, 0, chunks)
		s.end(TypeDone)
		open := func() *Reader { return must(Open(fstest.MapFS{"a.E01": {Data: s.b}}, []string{"a.E01"})) }
		r := open()
		got := make([]byte, len(data))
		if n, err := r.ReadAt(got, 0); r.Size() != int64(len(data)) || n != len(data) || err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d sectors: %d bytes, read %d, %v", sectors, r.Size(), n, err)
		}
		if n := r.Notes(); len(n) != 1 || n[0].Damage {
			t.Errorf("%d sectors: notes %+v", sectors, n)
		}

		c := content(s.b, TypeSectors, 0)
		c[len(c)-1]++
		r = open()
		var damage []string
		err := r.Check(t.Context(), func(d *DamageError) bool {
			damage = append(damage, fmt.Sprint(d.Chunk, d.FirstSector, d.Sectors))
			return true
		})
		if r.Size() != int64(sectors*forgedSector) || err != nil {
			t.Errorf("%d sectors, damaged: %d bytes, %v", sectors, r.Size(), err)
		}
		if own := sectors%8 == 0; own && (len(damage) > 0 || len(r.Notes()) != 1 || !r.Notes()[0].Damage) ||
			!own && (len(damage) != 1 || damage[0] != fmt.Sprint(chunks-1, sectors-1, 1)) {
			t.Errorf("%d sectors, damaged: %q, notes %+v", sectors, damage, r.Notes())
		}
	}
}

// failing is a file system whose files cannot be read from an offset on.
type failing struct {
	fs.FS
	from *int64
}

var errDisk = errors.New("the disk fails")

func (f failing) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	return failingFile{file, f.from}, err
}

type failingFile struct {
	fs.File
	from *int64
}

func (f failingFile) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > *f.from {
		return 0, errDisk
	}
	at, ok := f.File.(io.ReaderAt)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return at.ReadAt(p, off)
}

// TestReadError: a file that cannot be read is an error of its own kind, and no damage of the image.
func TestReadError(t *testing.T) {
	f := forge()
	from := int64(1 << 40)
	r := must(Open(failing{f.fs(), &from}, []string{"a.E01", "a.E02"}))
	off, _, _ := at(f.one, TypeSectors, 1)
	from = int64(off)
	p := bytes.Repeat([]byte{0xee}, len(f.data))
	n, err := r.ReadAt(p, 0)
	if _, isDamage := errors.AsType[*DamageError](err); isDamage || !errors.Is(err, errDisk) || n > 6*forgedChunk ||
		!bytes.Equal(p[:n], f.data[:n]) || !bytes.Equal(p[n:], make([]byte, len(p)-n)) {
		t.Errorf("ReadAt = %d, %v", n, err)
	}
	if err := r.Check(t.Context(), func(d *DamageError) bool { t.Error(d); return true }); !errors.Is(err, errDisk) {
		t.Errorf("Check: %v", err)
	}
	for from = 0; from < int64(len(f.one)); from += 97 {
		if r, err := Open(failing{f.fs(), &from}, []string{"a.E01", "a.E02"}); r != nil || !errors.Is(err, errDisk) {
			t.Errorf("Open with a disk that fails at %d: %v, %v", from, r, err)
		}
	}
}
