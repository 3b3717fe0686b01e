package ewf

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// cutFour is the medium of forge in four segments: 6, 5, 4 and 6 chunks.
func cutFour() (fstest.MapFS, []byte) {
	f, fsys := forge(), fstest.MapFS{}
	bounds := []int{0, 6, 11, 15, 21}
	for i := range 4 {
		s := newSegment(uint16(i + 1))
		if i == 0 {
			s.add(TypeVolume, forgedVolume.Append(nil))
		} else {
			s.add(TypeData, forgedVolume.Append(nil))
		}
		s.chunks(f.data, bounds[i], bounds[i+1])
		if i < 3 {
			s.end(TypeNext)
		} else {
			s.add(TypeError2, must(AppendError2(nil, []Range{{100, 2}})))
			s.end(TypeDone)
		}
		fsys[fmt.Sprintf("a.E%02d", i+1)] = &fstest.MapFile{Data: s.b}
	}
	return fsys, f.data
}

// What is there of an image is read, in its place; what is not there is told to the chunk and sector, and never zeros.
func TestMissingSegments(t *testing.T) {
	for _, c := range []struct {
		without     []int
		first, lost int64 // chunks
		sectors     Range
		unplaced    []int
		tail        bool
		says        string
	}{
		{[]int{2}, 6, 5, Range{48, 40}, nil, false, `segment 2 (.E02) not there: chunks 6 to 10, sectors 48 to 87 of the medium, are missing`},
		{[]int{4}, 15, 6, Range{120, 43}, nil, true, `segment 4 (.E04) and what followed it not there: chunks 15 to 20, sectors 120 to 162`},
		{[]int{2, 3}, 6, 9, Range{48, 72}, nil, false, `segments 2 (.E02) to 3 not there`},
		{[]int{3, 4}, 11, 10, Range{88, 75}, nil, true, `segment 3 (.E03) and what followed it not there`},
		{[]int{2, 4}, 6, 15, Range{48, 115}, []int{3}, true, `among them are those of segment 3 (1 such in all)`},
	} {
		t.Run(fmt.Sprint(c.without), func(t *testing.T) {
			fsys, data := cutFour()
			for _, n := range c.without {
				delete(fsys, fmt.Sprintf("a.E%02d", n))
			}
			names, err := Find(fsys, "a.E01")
			if err == nil {
				_, err = Open(fsys, names)
			}
			if !errors.Is(err, ErrMissing) || !errors.Is(err, ErrSegments) {
				t.Errorf("opened as a whole: got %v, want ErrMissing", err)
			}
			if names, err = FindIncomplete(fsys, "a.E01"); err != nil || len(names) != 4-len(c.without) {
				t.Fatalf("found %v, %v", names, err)
			}
			r, err := OpenIncomplete(fsys, names)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			m := r.Missing()
			if m == nil {
				t.Fatal("nothing is said to be missing")
			}
			if m.FirstChunk != c.first || m.Chunks != c.lost || m.Sectors != c.sectors || !slices.Equal(m.Unplaced, c.unplaced) || m.Tail != c.tail {
				t.Errorf("missing: %+v, want %+v", m, c)
			}
			if s := m.String(); !strings.HasPrefix(s, c.says) && !strings.Contains(s, c.says) {
				t.Errorf("it says %q, want %q", s, c.says)
			}
			checkWithout(t, r, data, c.first, c.lost)
		})
	}
}

// checkWithout reads every chunk: those that are there are right, the others an error.
func checkWithout(t *testing.T, r *Reader, data []byte, first, lost int64) {
	t.Helper()
	for i := range r.chunks() {
		p := bytes.Repeat([]byte{0xee}, int(r.chunkLen(i)))
		_, err := r.ReadAt(p, i*forgedChunk)
		damage, isDamage := errors.AsType[*DamageError](err)
		missing := i >= first && i < first+lost
		switch {
		case missing && isDamage && damage.Chunk == i && damage.Segment == "" && strings.Contains(damage.Error(), "are missing: chunk"):
		case !missing && err == nil && bytes.Equal(p, data[i*forgedChunk:min((i+1)*forgedChunk, int64(len(data)))]):
		default:
			t.Errorf("chunk %d: %v", i, err)
		}
	}
	if err := r.Check(t.Context(), func(d *DamageError) bool { t.Errorf("Check: %v", d); return true }); err != nil {
		t.Error(err)
	}
}

func TestMissingIsShort(t *testing.T) {
	const most = 1<<32 - 1
	m := Missing{FirstChunk: most, Chunks: most, Sectors: Range{1 << 50, 1 << 50}, Unplaced: make([]int, 65000), Tail: true}
	for range 9999 {
		m.Segments, m.extensions = append(m.Segments, SegmentRun{65000, 65001}), append(m.extensions, ".ZZZ")
	}
	if s := m.String(); len(s) > 480 {
		t.Errorf("%d bytes: %s", len(s), s)
	}
}

func TestIncompleteRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(fsys fstest.MapFS)
		names  []string
		want   error
	}{
		"the first one is missing": {nil, []string{"a.E02", "a.E03"}, ErrSegments},
		"in the wrong order":       {nil, []string{"a.E01", "a.E03", "a.E02"}, ErrSegments},
		"one twice":                {nil, []string{"a.E01", "a.E02", "a.E02"}, ErrSegments},
		"none":                     {nil, nil, ErrSegments},
		"one of another set": {func(fsys fstest.MapFS) {
			v := forgedVolume
			v.SetID[0]++
			s := newSegment(4)
			s.add(TypeData, v.Append(nil))
			s.end(TypeDone)
			fsys["a.E04"].Data = s.b
		}, []string{"a.E01", "a.E04"}, ErrSegments},
		"one behind the last": {func(fsys fstest.MapFS) {
			s := newSegment(2)
			s.add(TypeData, forgedVolume.Append(nil))
			s.end(TypeDone)
			fsys["a.E02"].Data = s.b
		}, []string{"a.E01", "a.E02", "a.E04"}, ErrSegments},
		"nothing is missing, but a chunk": {func(fsys fstest.MapFS) {
			s := newSegment(2)
			s.add(TypeData, forgedVolume.Append(nil))
			s.end(TypeDone)
			fsys["a.E02"].Data = s.b
		}, []string{"a.E01", "a.E02"}, ErrStructure},
	} {
		fsys, _ := cutFour()
		if c.change != nil {
			c.change(fsys)
		}
		if r, err := OpenIncomplete(fsys, c.names); r != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	fsys, _ := cutFour()
	r, err := OpenIncomplete(fsys, []string{"a.E01", "a.E02", "a.E03", "a.E04"})
	if err != nil || r.Missing() != nil {
		t.Errorf("the whole of it: %v, %v", r, err)
	}
	fsys["a.e04"] = fsys["a.E04"]
	delete(fsys, "a.E03")
	if names, err := FindIncomplete(fsys, "a.E01"); names != nil || !errors.Is(err, ErrSegments) {
		t.Errorf("two of one number behind a gap: %v, %v", names, err)
	}
}

// A last segment that held no chunk is missing all the same, with what it said.
func TestMissingTrailer(t *testing.T) {
	fsys, data := cutFour()
	s := newSegment(4)
	s.add(TypeData, forgedVolume.Append(nil))
	s.chunks(data, 15, 21)
	s.end(TypeNext)
	fsys["a.E04"].Data = s.b
	r, err := OpenIncomplete(fsys, []string{"a.E01", "a.E02", "a.E03", "a.E04"})
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Missing(); m == nil || m.Chunks != 0 || !m.Tail || !strings.Contains(m.String(), "no chunk of the medium stood there; what the last segment said") {
		t.Errorf("missing: %v", m)
	}
	checkWithout(t, r, data, 0, 0)
}

// A missing segment that says it holds 4 billion chunks costs neither time nor memory.
func TestMissingMany(t *testing.T) {
	v := forgedVolume
	v.Chunks, v.Sectors = 1<<32-1, (1<<32-1)*8
	s := newSegment(1)
	s.add(TypeVolume, v.Append(nil))
	s.chunks(forgedMedium(forgedSectors), 0, 6)
	s.end(TypeNext)
	var r *Reader
	n := allocated(func() {
		var err error
		if r, err = OpenIncomplete(fstest.MapFS{"a.E01": {Data: s.b}}, []string{"a.E01"}); err != nil {
			t.Fatal(err)
		}
		if err := r.Check(t.Context(), func(d *DamageError) bool { t.Errorf("Check: %v", d); return false }); err != nil {
			t.Error(err)
		}
	})
	if m := r.Missing(); m.Chunks != 1<<32-7 || n > 16<<20 {
		t.Errorf("%d chunks are missing, %d bytes were allocated", m.Chunks, n)
	}
}
