package hashtree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"lukechampine.com/blake3/guts"
)

func open(b []byte) (*File, error) { return Open(bytes.NewReader(b), int64(len(b))) }

// injected returns a tree file of made-up values, built without the code under test. The last group is one byte long.
func injected(values []Value) []byte {
	size := int64(len(values)-1)*GroupSize + 1
	b := []byte("EXHIBIT-TREE-V1\n")
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	b = binary.BigEndian.AppendUint64(b, 1<<20)
	root := simpleRoot(values)
	b = append(b, root[:]...)
	for _, v := range values {
		b = append(b, v[:]...)
	}
	return b
}

// simpleRoot is the definition of the BLAKE3 tree: the left subtree is the greatest power of two that leaves a rest.
func simpleRoot(values []Value) Value {
	var node func(vs []Value, flags uint32) words
	node = func(vs []Value, flags uint32) words {
		if len(vs) == 1 {
			return toWords(vs[0][:])
		}
		left := 1
		for 2*left < len(vs) {
			left *= 2
		}
		return guts.ChainingValue(guts.ParentNode(node(vs[:left], 0), node(vs[left:], 0), &guts.IV, flags))
	}
	return toValue(node(values, guts.FlagRoot))
}

func madeUp(n int) []Value {
	values := make([]Value, n)
	for i := range values {
		binary.LittleEndian.PutUint64(values[i][5:], uint64(i+1)*0x9e3779b97f4a7c15)
	}
	return values
}

func TestOpen(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 64, 100, pieceGroups - 1, pieceGroups, pieceGroups + 1, 2*pieceGroups + 1, 3*pieceGroups + 77} {
		values := madeUp(n)
		f, err := open(injected(values))
		if err != nil {
			t.Errorf("%d groups: %v", n, err)
			continue
		}
		if want := int64(n-1)*GroupSize + 1; f.Size() != want {
			t.Errorf("%d groups: size %d, want %d", n, f.Size(), want)
		}
		if want := simpleRoot(values); f.Root() != want {
			t.Errorf("%d groups: root %s, want %s", n, f.Root(), want)
		}
		for _, g := range []int{0, n - 1, n / 2, n / 3, 0} {
			if got, err := f.Value(int64(g)); err != nil || got != values[g] {
				t.Errorf("%d groups: Value(%d) is %s, %v, want %s", n, g, got, err, values[g])
			}
		}
		for _, g := range []int64{-1, int64(n), 1 << 62} {
			if got, err := f.Value(g); err == nil || got != (Value{}) {
				t.Errorf("%d groups: Value(%d) is %s without an error", n, g, got)
			}
		}
	}
}

func TestEverySingleBitMatters(t *testing.T) {
	for _, n := range []int{1, 3} {
		whole := injected(madeUp(n))
		if _, err := open(whole); err != nil {
			t.Fatalf("unchanged: %v", err)
		}
		for i := range len(whole) * 8 {
			b := bytes.Clone(whole)
			b[i/8] ^= 1 << (i % 8)
			f, err := open(b)
			if i/8 >= 16 && i/8 < 24 {
				if size := binary.BigEndian.Uint64(b[16:]); size <= MaxSize && Groups(int64(size)) == int64(n) {
					continue // the list does not prove the length of the last group: see TestLength
				}
			}
			if f != nil || (!errors.Is(err, ErrFormat) && !errors.Is(err, ErrVersion)) {
				t.Errorf("%d groups, bit %d of byte %d flipped: got %v, %v", n, i%8, i/8, f, err)
			}
		}
	}
}

func TestLength(t *testing.T) {
	const one, two, three = GroupSize, 2 * GroupSize, 3 * GroupSize
	for _, c := range []struct {
		groups int
		length uint64
		ok     bool
	}{
		{1, 0, true}, {1, 1, true}, {1, one, true}, {1, one + 1, false},
		{2, one, false}, {2, one + 1, true}, {2, two, true}, {2, two + 1, false},
		{3, two, false}, {3, two + 1, true}, {3, three, true}, {3, three + 1, false}, {3, 0, false},
		{1, 1 << 53, false}, {1, MaxSize, false}, {1, 1 << 63, false}, {1, 1<<64 - 1, false}, {2, 1<<64 - 1, false},
	} {
		b := injected(madeUp(c.groups))
		binary.BigEndian.PutUint64(b[16:], c.length)
		f, err := open(b)
		switch {
		case c.ok && (err != nil || f.Size() != int64(c.length)):
			t.Errorf("%d groups, length %d: %v", c.groups, c.length, err)
		case !c.ok && (f != nil || !errors.Is(err, ErrFormat)):
			t.Errorf("%d groups, length %d: got %v, %v, want ErrFormat", c.groups, c.length, f, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	whole := injected(madeUp(5))
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(whole)) }
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"empty":            {nil, ErrFormat},
		"header only":      {whole[:64], ErrFormat},
		"short of a byte":  {whole[:len(whole)-1], ErrFormat},
		"short of a value": {whole[:len(whole)-32], ErrFormat},
		"one byte more":    {append(bytes.Clone(whole), 0), ErrFormat},
		"one value more":   {append(bytes.Clone(whole), make([]byte, 32)...), ErrFormat},
		"foreign":          {bytes.Repeat([]byte("not a tree file\n"), 14), ErrFormat},
		"never finished":   {append(make([]byte, 64), whole[64:]...), ErrFormat},
		"version 2":        {change(func(b []byte) []byte { b[14] = '2'; return b }), ErrVersion},
		"version 9":        {change(func(b []byte) []byte { b[14] = '9'; return b }), ErrVersion},
		"version 0":        {change(func(b []byte) []byte { b[14] = '0'; return b }), ErrFormat},
		"version 2, no LF": {change(func(b []byte) []byte { b[14], b[15] = '2', '0'; return b }), ErrFormat},
		"two swapped": {change(func(b []byte) []byte {
			v := Value(b[64:])
			copy(b[64:96], b[96:128])
			copy(b[96:128], v[:])
			return b
		}), ErrFormat},
	} {
		if f, err := open(c.b); f != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, %v, want %v", name, f, err, c.want)
		}
	}
}

// The length of the file is what the caller says; a reader that ends earlier or fails is an error too.
func TestOpenReader(t *testing.T) {
	whole := injected(madeUp(5))
	if _, err := Open(bytes.NewReader(whole[:len(whole)-1]), int64(len(whole))); !errors.Is(err, ErrFormat) {
		t.Errorf("reader that ends early: got %v, want ErrFormat", err)
	}
	for _, size := range []int64{-1, 0, 1 << 62} {
		if _, err := Open(bytes.NewReader(whole), size); !errors.Is(err, ErrFormat) {
			t.Errorf("file size %d: got %v, want ErrFormat", size, err)
		}
	}
	for _, off := range []int64{0, 64} {
		_, err := Open(&failAt{bytes.NewReader(whole), off}, int64(len(whole)))
		if !errors.Is(err, errDisk) || errors.Is(err, ErrFormat) {
			t.Errorf("failure at byte %d: got %v, want errDisk only", off, err)
		}
	}
}

type failAt struct {
	r   io.ReaderAt
	off int64
}

func (f *failAt) ReadAt(p []byte, off int64) (int, error) {
	if off == f.off {
		return 0, errDisk
	}
	return f.r.ReadAt(p, off)
}

// A value that was changed after Open is not handed out.
func TestChangedAfterOpen(t *testing.T) {
	values := madeUp(2*pieceGroups + 1)
	b := injected(values)
	f, err := open(b)
	if err != nil {
		t.Fatal(err)
	}
	b[64+32*(pieceGroups+3)]++
	for _, c := range []struct {
		group int64
		want  error
	}{{0, nil}, {pieceGroups, ErrFormat}, {0, nil}, {pieceGroups + 3, ErrFormat}, {2 * pieceGroups, nil}, {pieceGroups + 3, ErrFormat}, {1, nil}} {
		var want Value
		if c.want == nil {
			want = values[c.group]
		}
		if v, err := f.Value(c.group); !errors.Is(err, c.want) || v != want {
			t.Errorf("group %d: got %s, %v, want %s, error %v", c.group, v, err, want, c.want)
		}
	}
}

// FuzzOpen feeds arbitrary bytes, with repair also with the root that their list yields, so that the rest is reached.
// What Open accepts must be what a Writer writes from the values, with the root of the simple recursion.
func FuzzOpen(f *testing.F) {
	for _, n := range []int{1, 2, 5, 33} {
		whole := injected(madeUp(n))
		f.Add(whole, false)
		f.Add(whole[:len(whole)-1], true)
		changed := slices.Clone(whole)
		changed[70]++
		f.Add(changed, true)
		f.Add(changed, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		b = bytes.Clone(b)
		var values []Value
		for i := 64; i+32 <= len(b); i += 32 {
			values = append(values, Value(b[i:]))
		}
		if repair && len(values) > 0 {
			root := simpleRoot(values)
			copy(b[32:64], root[:])
		}
		file, err := open(b)
		if err != nil {
			if file != nil || (!errors.Is(err, ErrFormat) && !errors.Is(err, ErrVersion)) {
				t.Fatalf("got %v with error %v", file, err)
			}
			return
		}
		if want := simpleRoot(values); file.Root() != want {
			t.Fatalf("root %s, want %s", file.Root(), want)
		}
		var s memory
		w := NewWriter(&s)
		for g := range Groups(file.Size()) {
			v, err := file.Value(g)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Put(g, v); err != nil {
				t.Fatal(err)
			}
		}
		if root, err := w.Finish(file.Size()); err != nil || root != file.Root() || !bytes.Equal(s.b, b) {
			t.Fatalf("written again: root %s, %v, equal bytes: %v", root, err, bytes.Equal(s.b, b))
		}
	})
}
