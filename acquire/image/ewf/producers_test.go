package ewf

import (
	"bytes"
	"crypto/md5"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// producers are peculiarities of programs that no test can run, as the format text describes them.
var producers = []struct {
	name  string
	patch func(f *forged)
	note  string // "" for nothing to note
}{
	{"FTK before 2.9: done has a size", func(f *forged) {
		off, _, _ := at(f.two, TypeDone, 0)
		describe(f.two, off, func(s *Section) { s.SizeBytes = 76 })
	}, ""},
	{"libewf's SMART: done points behind itself", func(f *forged) {
		off, _, _ := at(f.two, TypeDone, 0)
		describe(f.two, off, func(s *Section) { s.SizeBytes, s.Next = 76, int64(off)+76 })
	}, ""},
	{"FTK Imager 2.3: a disk section", func(f *forged) { f.one = rename(f.one, TypeVolume, TypeDisk) }, ""},
	{"Expert Witness 1.35: no sizes", func(f *forged) {
		for _, b := range [][]byte{f.one, f.two} {
			for off := FileHeaderBytes; off+SectionBytes < len(b); {
				s := must(ParseSection(b[off:]))
				describe(b, off, func(s *Section) { s.SizeBytes = 0 })
				off = int(s.Next)
			}
		}
	}, "do not say their size"},
	{"EnCase 2 for DOS: memory behind the descriptor's fields", func(f *forged) {
		off, _, _ := at(f.one, TypeTable, 0)
		copy(f.one[off+32:], "forgotten")
		seal(f.one[off : off+SectionBytes])
	}, ""},
	{"Logicube: data without a checksum", func(f *forged) {
		copy(content(f.two, TypeData, 0)[1048:], make([]byte, 4))
	}, "Logicube"},
	{"no header at all", func(f *forged) {
		f.one = rename(rename(f.one, TypeHeader2, "xheader"), TypeHeader, "xheader")
	}, "xheader"},
	{"optical disc: a session section", func(f *forged) { f.two = rename(f.two, TypeHash, "session") }, "session"},
	{"EnCase 4 and 5: unknown bytes in hash", func(f *forged) {
		c := content(f.two, TypeHash, 0)
		copy(c[16:], "something unknown")
		seal(c)
	}, ""},
	{"EnCase: no MD5 in digest", func(f *forged) {
		c := content(f.two, TypeDigest, 0)
		clear(c[:16])
		seal(c)
	}, ""},
}

func TestProducers(t *testing.T) {
	for _, tt := range producers {
		t.Run(tt.name, func(t *testing.T) {
			f := forge()
			tt.patch(f)
			if got := outcome(t, f, "a.E01", "a.E02"); got != "sound" {
				_, err := Open(f.fs(), []string{"a.E01", "a.E02"})
				t.Fatalf("got %s, want sound (%v)", got, err)
			}
			r := must(Open(f.fs(), []string{"a.E01", "a.E02"}))
			if sum := md5.Sum(f.data); !bytes.Equal(r.Stored().MD5, sum[:]) {
				t.Errorf("stored MD5 %x, want %x", r.Stored().MD5, sum)
			}
			notes := r.Notes()
			if (tt.note == "") != (len(notes) == 0) || len(notes) > 0 && (notes[0].Damage || !strings.Contains(notes[0].Text, tt.note)) {
				t.Errorf("notes %+v, want %q", notes, tt.note)
			}
		})
	}
}

// TestEnCase1 reads chunks that stand in the table section, behind the checksum of the entries.
func TestEnCase1(t *testing.T) {
	f := &forged{data: forgedMedium(8*3 + 1)}
	v := Volume{MediaType: MediaRemovable, Chunks: 4, SectorsPerChunk: 8, BytesPerSector: forgedSector, Sectors: 25, Flags: FlagImage}
	s := newSegment(1)
	s.add(TypeHeader, must(Header{Case: "17"}.Header1()))
	s.add(TypeVolume, v.Append(nil))
	start := int64(len(s.b)) + SectionBytes + TableBytes(4)
	var chunks []byte
	var entries []Entry
	for i := range 4 {
		entries = append(entries, must(NewEntry(start+int64(len(chunks)), i%2 == 0)))
		chunks = append(chunks, stored(f.data[i*forgedChunk:min(len(f.data), (i+1)*forgedChunk)], i%2 == 0)...)
	}
	s.add(TypeTable, append(AppendTable(nil, 0, entries), chunks...))
	s.end(TypeDone)
	f.one = s.b
	if got := outcome(t, f, "a.E01"); got != "sound" {
		t.Fatalf("got %s, want sound", got)
	}
	r := must(Open(f.fs(), []string{"a.E01"}))
	if h := r.Header(); h != (Header{Case: "17"}) || len(r.Notes()) > 0 || r.Stored().MD5 != nil || r.Stored().SHA1 != nil {
		t.Errorf("header %+v, notes %+v, stored %+v", h, r.Notes(), r.Stored())
	}
}

// TestEnCase671 reads a table that goes on with 32 bits of offset behind 2 GiB, out of a sparse file.
func TestEnCase671(t *testing.T) {
	data := forgedMedium(8 * 4)
	v := Volume{MediaType: MediaFixed, Chunks: 4, SectorsPerChunk: 8, BytesPerSector: forgedSector, Sectors: 32, Flags: FlagImage}
	head := newSegment(1)
	head.add(TypeVolume, v.Append(nil))
	sectors := int64(len(head.b))
	chunk := func(i int) []byte { return stored(data[i*forgedChunk:(i+1)*forgedChunk], i == 1) }
	offsets := []int64{sectors + 76, 1<<31 - 5000, 1<<31 + 77, 1<<31 + 77 + forgedChunk + 4}
	end := offsets[3] + forgedChunk + 4
	head.b = Section{TypeSectors, end, end - sectors}.Append(head.b)
	entries := []Entry{Entry(offsets[0]), Entry(offsets[1]) | 1<<31, Entry(offsets[2]), Entry(offsets[3])}
	table := AppendTable(nil, 0, entries)
	tail := Section{TypeTable, end + 76 + int64(len(table)), 76 + int64(len(table))}.Append(nil)
	tail = append(tail, table...)
	tail = Section{TypeDone, end + int64(len(tail)), 0}.Append(tail)

	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "a.E01"))
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range map[int64][]byte{0: head.b, offsets[0]: chunk(0), offsets[1]: chunk(1), offsets[2]: chunk(2), offsets[3]: chunk(3), end: tail} {
		if _, err := f.WriteAt(part, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir, "a.E01")
	got := make([]byte, len(data))
	if n, err := r.ReadAt(got, 0); n != len(data) || err != nil || !bytes.Equal(got, data) {
		t.Errorf("ReadAt = %d, %v, equal %t", n, err, bytes.Equal(got, data))
	}
	if !strings.Contains(r.Notes()[0].Text+r.Notes()[1].Text, "EnCase 6.7.1") {
		t.Errorf("notes %+v", r.Notes())
	}
}

// TestFind names the files of an image.
func TestFind(t *testing.T) {
	sound := forge().one
	text := []byte("not a segment")
	for _, tt := range []struct {
		name  string
		files map[string][]byte
		first string
		want  string // the names, or a part of the error
	}{
		{"one", map[string][]byte{"a.E01": sound}, "a.E01", "a.E01"},
		{"three", map[string][]byte{"a.E01": sound, "a.E02": sound, "a.E03": sound, "b.E04": sound}, "a.E01", "a.E01 a.E02 a.E03"},
		{"lower case", map[string][]byte{"x/a.e01": sound, "x/a.e02": sound, "x/A.e03": sound}, "x/a.e01", "x/a.e01 x/a.e02"},
		{"SMART", map[string][]byte{"a.s01": sound, "a.s02": sound, "a.E02": sound}, "a.s01", "a.s01 a.s02"},
		{"other files beside it", map[string][]byte{"a.E01": sound, "a.EXE": text, "a.log": text, "a.E07": text}, "a.E01", "a.E01"},
		{"a gap", map[string][]byte{"a.E01": sound, "a.E02": sound, "a.E04": sound}, "a.E01", `"a.E03" is missing`},
		{"a gap before the letters", map[string][]byte{"a.E01": sound, "a.EAA": sound}, "a.E01", `"a.E02" is missing`},
		{"both cases", map[string][]byte{"a.E01": sound, "a.E02": sound, "a.e02": sound}, "a.E01", "there are"},
		{"a later one", map[string][]byte{"a.E01": sound, "a.E02": sound}, "a.E02", `name "a.E01"`},
		{"not there", nil, "a.E01", "a.E01"},
		{"another extension", map[string][]byte{"a.img": sound, "a.E02": sound}, "a.img", "a.img"},
		{"no name", map[string][]byte{".E01": sound}, ".E01", ".E01"},
	} {
		fsys := fstest.MapFS{}
		for name, b := range tt.files {
			fsys[name] = &fstest.MapFile{Data: b}
		}
		names, err := Find(fsys, tt.first)
		got := strings.Join(names, " ")
		if err != nil {
			if names != nil || !errors.Is(err, ErrSegments) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %q, %v, want %q", tt.name, names, err, tt.want)
			}
		} else if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestOpenRegularFilesOnly opens neither links nor folders nor what is not there.
func TestOpenRegularFilesOnly(t *testing.T) {
	dir := t.TempDir()
	f := forge()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "a.E01"), f.one, 0o600), os.WriteFile(filepath.Join(dir, "real"), f.two, 0o600),
		os.Symlink("real", filepath.Join(dir, "a.E02")), os.Mkdir(filepath.Join(dir, "a.E03"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.E02", "a.E03"} {
		if r, err := Open(os.DirFS(dir), []string{"a.E01", name}); r != nil || !errors.Is(err, errNotRegular) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	if r, err := Open(os.DirFS(dir), []string{"a.E01", "b"}); r != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v, %v", r, err)
	}
	if r, err := Open(os.DirFS(dir), nil); r != nil || !errors.Is(err, ErrSegments) {
		t.Errorf("no names: %v, %v", r, err)
	}
}

// TestChanged: a file that is cut, or a table that is written anew, while the image is open is no damage of a chunk.
func TestChanged(t *testing.T) {
	dir := t.TempDir()
	f := forge()
	one, two := filepath.Join(dir, "a.E01"), filepath.Join(dir, "a.E02")
	if err := errors.Join(os.WriteFile(one, f.one, 0o600), os.WriteFile(two, f.two, 0o600)); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir, "a.E01")
	off, _, _ := at(f.one, TypeTable, 0)
	patched := bytes.Clone(f.one)
	patched[off+SectionBytes+TableHeaderBytes]++
	if err := errors.Join(os.WriteFile(one, patched, 0o600), os.Truncate(two, 1220)); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, forgedChunk)
	for _, chunk := range []int64{0, 11, 20} {
		n, err := r.ReadAt(p[:forgedSector], chunk*forgedChunk)
		if n != 0 || !errors.Is(err, ErrChanged) || !bytes.Equal(p, make([]byte, len(p))) {
			t.Errorf("chunk %d: %d, %v", chunk, n, err)
		}
	}
	if err := r.Check(t.Context(), func(*DamageError) bool { return true }); !errors.Is(err, ErrChanged) {
		t.Errorf("Check: %v", err)
	}
}

// TestReadAtEdges: offsets before, at and after the end, and reads over damage.
func TestReadAtEdges(t *testing.T) {
	f := forge()
	chunkAt(f, 2)[5]++
	r := must(Open(f.fs(), []string{"a.E01", "a.E02"}))
	size := int64(len(f.data))
	for _, tt := range []struct {
		off, n int64
		want   int
		err    error
	}{
		{size, 1, 0, io.EOF}, {size + 1, 1, 0, io.EOF}, {size - 1, 2, 1, io.EOF}, {size - 1, 1, 1, nil}, {0, 0, 0, nil},
		{20 * forgedChunk, 3 * forgedSector, 3 * forgedSector, nil}, {20*forgedChunk - 1, 3*forgedSector + 1, 3*forgedSector + 1, nil},
		{20 * forgedChunk, 31, 31, nil},
	} {
		p := make([]byte, tt.n)
		n, err := r.ReadAt(p, tt.off)
		if n != tt.want || !errors.Is(err, tt.err) || err != nil && tt.err == nil || !bytes.Equal(p[:n], f.data[min(tt.off, size):][:n]) {
			t.Errorf("ReadAt(%d bytes at %d) = %d, %v, want %d, %v", tt.n, tt.off, n, err, tt.want, tt.err)
		}
	}
	if n, err := r.ReadAt(make([]byte, 1), -1); n != 0 || err == nil {
		t.Errorf("ReadAt at -1 = %d, %v", n, err)
	}
	for _, off := range []int64{0, 100, forgedChunk + 100, 2*forgedChunk + 7} {
		p := bytes.Repeat([]byte{0xee}, 5*forgedChunk)
		n, err := r.ReadAt(p, off)
		want := max(0, 2*forgedChunk-int(off))
		if d, ok := errors.AsType[*DamageError](err); !ok || d.Chunk != 2 || n != want || !bytes.Equal(p[:n], f.data[off:][:n]) ||
			!bytes.Equal(p[n:], make([]byte, len(p)-n)) {
			t.Errorf("ReadAt over the damage from %d = %d, %v, want %d", off, n, err, want)
		}
	}
	stopped := 0
	if err := r.Check(t.Context(), func(*DamageError) bool { stopped++; return false }); err != nil || stopped != 1 {
		t.Errorf("Check stopped by yield: %v after %d", err, stopped)
	}
}
