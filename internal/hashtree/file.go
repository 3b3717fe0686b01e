package hashtree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"lukechampine.com/blake3/guts"
)

const (
	magic      = "EXHIBIT-TREE-V1\n"
	headerSize = 64
	valueSize  = 32
	// pieceGroups values are read and checked at once: 128 KiB. A power of two, so that a piece is a subtree.
	pieceGroups = 4096
)

var (
	// ErrFormat means that the tree file is damaged, incomplete or something else.
	ErrFormat = errors.New("not an intact tree file")
	// ErrVersion means that the tree file has a version this program does not know.
	ErrVersion = errors.New("tree file of an unknown, newer version")
)

// FileSize returns the length in bytes of the tree file of a medium of size bytes. It panics as [Groups] does.
func FileSize(size int64) int64 { return headerSize + valueSize*Groups(size) }

// File is an open tree file, checked as a whole. Its methods may be called from any goroutine.
type File struct {
	r    io.ReaderAt
	size int64
	root Value
	// pieces has the checked chaining value of each piece, so that a value read later is known to be unchanged.
	pieces []words

	mu     sync.Mutex
	buf    []byte // the values of piece cached
	cached int64  // -1: none
}

// Open reads the whole tree file of fileSize bytes and checks it: version, group size, length of the medium, length of
// the file, and that the list yields the root in the header. The error is, or wraps, ErrFormat, ErrVersion or r's error.
//
// The File keeps r, which the caller closes after the last use. It takes 32 bytes of memory for each 4 GiB of the medium.
func Open(r io.ReaderAt, fileSize int64) (*File, error) {
	if fileSize < headerSize+valueSize {
		return nil, fmt.Errorf("%w: %d bytes are too short", ErrFormat, fileSize)
	}
	var header [headerSize]byte
	if err := readAt(r, header[:], 0); err != nil {
		return nil, err
	}
	f := &File{r: r, cached: -1}
	var err error
	if f.size, f.root, err = parseHeader(&header); err != nil {
		return nil, err
	}
	if want := FileSize(f.size); fileSize != want {
		return nil, fmt.Errorf("%w: it has %d bytes, a medium of %d bytes needs %d", ErrFormat, fileSize, f.size, want)
	}
	root, err := scan(r, Groups(f.size), func(v words) { f.pieces = append(f.pieces, v) })
	if err != nil {
		return nil, err
	}
	if root != f.root {
		return nil, fmt.Errorf("%w: the list yields the root %s, the header says %s", ErrFormat, root, f.root)
	}
	return f, nil
}

// Size returns the length of the medium in bytes. The list proves the number of groups, not how long the last one is:
// compare Size with the signed record, or the last group with its value, before relying on it.
func (f *File) Size() int64 { return f.size }

// Root returns the BLAKE3 of the medium.
func (f *File) Root() Value { return f.root }

// Value returns the value of a group, numbered from zero. The piece of the file that holds it is read again and checked
// against what [Open] has seen; a file that was changed in between gives ErrFormat. Reading in order is cheap.
func (f *File) Value(group int64) (Value, error) {
	n := Groups(f.size)
	if group < 0 || group >= n {
		return Value{}, fmt.Errorf("group %d of a medium with %d groups", group, n)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(group/pieceGroups, n); err != nil {
		return Value{}, err
	}
	return Value(f.buf[group%pieceGroups*valueSize:]), nil
}

// load brings a checked piece into the cache. The caller holds mu.
func (f *File) load(piece, groups int64) error {
	if f.cached == piece {
		return nil
	}
	f.cached = -1
	if f.buf == nil {
		f.buf = make([]byte, valueSize*min(groups, pieceGroups))
	}
	b, err := readPiece(f.r, piece, groups, f.buf)
	if err != nil {
		return err
	}
	if pieceValue(b) != f.pieces[piece] {
		return fmt.Errorf("%w: it was changed after it was opened", ErrFormat)
	}
	f.cached = piece
	return nil
}

func parseHeader(h *[headerSize]byte) (size int64, root Value, err error) {
	if string(h[:16]) != magic {
		return 0, Value{}, magicError(h)
	}
	length := binary.BigEndian.Uint64(h[16:])
	if length > MaxSize {
		return 0, Value{}, fmt.Errorf("%w: length %d is more than %d", ErrFormat, length, int64(MaxSize))
	}
	if group := binary.BigEndian.Uint64(h[24:]); group != GroupSize {
		return 0, Value{}, fmt.Errorf("%w: group size %d instead of %d", ErrFormat, group, GroupSize)
	}
	return int64(length), Value(h[32:]), nil
}

// magicError says what is wrong with a header that does not begin with magic.
func magicError(h *[headerSize]byte) error {
	digit := len(magic) - 2
	switch {
	case *h == [headerSize]byte{}:
		return fmt.Errorf("%w: the header is empty, the file was never finished", ErrFormat)
	case string(h[:digit]) == magic[:digit] && h[digit] >= '2' && h[digit] <= '9' && h[digit+1] == '\n':
		return fmt.Errorf("%w: version %c", ErrVersion, h[digit])
	}
	return fmt.Errorf("%w: it begins with %q", ErrFormat, h[:16])
}

func makeHeader(size int64, root Value) []byte {
	b := append(make([]byte, 0, headerSize), magic...)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	b = binary.BigEndian.AppendUint64(b, GroupSize)
	return append(b, root[:]...)
}

// scan reads the list of groups values in pieces, gives each piece's chaining value to seen and returns the root.
func scan(r io.ReaderAt, groups int64, seen func(words)) (Value, error) {
	buf := make([]byte, valueSize*min(groups, pieceGroups))
	last := (groups - 1) / pieceGroups
	var f fold
	for piece := range last + 1 {
		b, err := readPiece(r, piece, groups, buf)
		if err != nil {
			return Value{}, err
		}
		v := pieceValue(b)
		seen(v)
		switch {
		case groups == 1:
			return toValue(v), nil
		case last == 0:
			return rootValue(pieceNode(b)), nil
		case piece == last:
			return rootValue(f.close(v)), nil
		}
		f.push(v)
	}
	panic("hashtree: an empty list")
}

// readPiece reads the values of a piece into the front of buf. Only the last piece may be short.
func readPiece(r io.ReaderAt, piece, groups int64, buf []byte) ([]byte, error) {
	first := piece * pieceGroups
	b := buf[:valueSize*min(groups-first, pieceGroups)]
	return b, readAt(r, b, headerSize+valueSize*first)
}

// pieceValue returns the chaining value of the subtree above the values in b; a single value is its own.
func pieceValue(b []byte) words {
	if len(b) == valueSize {
		return toWords(b)
	}
	return guts.ChainingValue(pieceNode(b))
}

// pieceNode returns the topmost node above at least two values.
func pieceNode(b []byte) guts.Node {
	var f fold
	for ; len(b) > valueSize; b = b[valueSize:] {
		f.push(toWords(b))
	}
	return f.close(toWords(b))
}

// readAt fills p. A file that ends too early is damaged; any other error is the reader's.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it ends at byte %d", ErrFormat, off+int64(n))
	}
	return fmt.Errorf("read tree file at byte %d: %w", off, err)
}
