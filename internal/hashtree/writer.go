package hashtree

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"
)

// Storage is where a tree file is written: an *os.File open for reading and writing, or memory in tests. A Writer never
// calls it from two goroutines at once.
type Storage interface {
	io.ReaderAt
	io.WriterAt
}

// Writer writes a tree file. The values may come in any order and from any goroutine, each exactly once. It holds one
// bit for each group of a stretch of 32 GiB that is begun and not complete, and none of the values.
type Writer struct {
	s Storage

	mu   sync.Mutex
	buf  Value
	done groupSet
	err  error // the first failure, or that the file is finished
}

// errFinished stands in Writer.err after a successful Finish.
var errFinished = errors.New("the tree file is finished")

// NewWriter returns a Writer for an empty file, or, with [Writer.Resume], for one of an interrupted run. The caller
// keeps s, syncs it and closes it. Until [Writer.Finish] the first 64 bytes are not written, so that no reader takes an
// unfinished file for a whole one.
func NewWriter(s Storage) *Writer {
	return &Writer{s: s, done: groupSet{pages: map[int64]*page{}}}
}

// Resume says that the values of count groups from first on stand in the file already, from an earlier run that has
// synced them. It reads nothing.
func (w *Writer) Resume(first, count int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if first < 0 || count < 0 || count > maxGroups || first > maxGroups-count {
		return fmt.Errorf("resume %d groups from %d: there are at most %d", count, first, int64(maxGroups))
	}
	for group := first; group < first+count; group++ {
		if !w.done.add(group) {
			w.err = fmt.Errorf("group %d of the tree was given twice", group)
			return w.err
		}
	}
	return nil
}

// Put writes the value of a group, numbered from zero, straight to the file: [Sum], or [Root] where the medium has only
// this group. A group that was put before is an error. After any error the file cannot be finished.
func (w *Writer) Put(group int64, v Value) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if group < 0 || group >= maxGroups {
		w.err = fmt.Errorf("group %d of the tree: there are at most %d", group, int64(maxGroups))
		return w.err
	}
	if !w.done.add(group) {
		w.err = fmt.Errorf("group %d of the tree was given twice", group)
		return w.err
	}
	return w.write(group, v)
}

func (w *Writer) write(group int64, v Value) error {
	w.buf = v // a slice of v itself would be allocated anew each time
	if _, err := w.s.WriteAt(w.buf[:], headerSize+valueSize*group); err != nil {
		w.err = fmt.Errorf("write group %d of the tree: %w", group, err)
	}
	return w.err
}

// ReadValue reads the value of a group from an unfinished tree file, whether it was put or not.
func ReadValue(r io.ReaderAt, group int64) (v Value, err error) {
	if group < 0 || group >= maxGroups {
		return v, fmt.Errorf("group %d of the tree: there are at most %d", group, int64(maxGroups))
	}
	if _, err := r.ReadAt(v[:], headerSize+valueSize*group); err != nil {
		return Value{}, fmt.Errorf("read group %d of the tree: %w", group, err)
	}
	return v, nil
}

// Has reports whether the group was put, or stood in the file before.
func (w *Writer) Has(group int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done.has(group)
}

// Value reads back the value of a group that was put.
func (w *Writer) Value(group int64) (Value, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return Value{}, w.err
	}
	if !w.done.has(group) {
		return Value{}, fmt.Errorf("group %d of the tree was not given yet", group)
	}
	if _, err := w.s.ReadAt(w.buf[:], headerSize+valueSize*group); err != nil {
		return Value{}, fmt.Errorf("read group %d of the tree: %w", group, err)
	}
	return w.buf, nil
}

// Replace puts another value of a group that was put, when more of its bytes have become known.
func (w *Writer) Replace(group int64, v Value) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && !w.done.has(group) {
		w.err = fmt.Errorf("group %d of the tree was not given yet", group)
	}
	if w.err != nil {
		return w.err
	}
	return w.write(group, v)
}

// Finish computes the root of a medium of size bytes from the list in the file and writes the header. It refuses a
// missing group, one beyond the end, an earlier failure, and a file that goes on after the list. For a single group the
// value put is taken as the root. It must not run before every Put has returned; the caller syncs the file afterwards.
func (w *Writer) Finish(size int64) (root Value, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return Value{}, fmt.Errorf("finish tree file: %w", w.err)
	}
	if root, err = w.finish(size); err != nil {
		w.err = err
		return Value{}, fmt.Errorf("finish tree file: %w", err)
	}
	w.err = errFinished
	return root, nil
}

func (w *Writer) finish(size int64) (Value, error) {
	if size < 0 || size > MaxSize {
		return Value{}, fmt.Errorf("a medium of %d bytes", size)
	}
	groups := Groups(size)
	if err := w.done.exactly(groups); err != nil {
		return Value{}, err
	}
	if n, err := w.s.ReadAt(make([]byte, 1), FileSize(size)); n != 0 || err == nil {
		return Value{}, fmt.Errorf("%w: the file goes on after %d groups", ErrFormat, groups)
	} else if !errors.Is(err, io.EOF) {
		return Value{}, fmt.Errorf("look for the end of the tree file: %w", err)
	}
	root, err := scan(w.s, groups, func(words) {})
	if err != nil {
		return Value{}, err
	}
	if _, err := w.s.WriteAt(makeHeader(size, root), 0); err != nil {
		return Value{}, fmt.Errorf("write header: %w", err)
	}
	return root, nil
}

// pageGroups groups share a page of a groupSet: 32 GiB of the medium, 4 KiB of memory.
const pageGroups = 1 << 15

// page has one bit for each of its groups.
type page struct {
	bits [pageGroups / 64]uint64
	have int
}

// fullPage stands for each complete page, which needs no bits of its own.
var fullPage = &page{have: pageGroups}

// groupSet is a set of group numbers. Filled in order it holds the bits of one page.
type groupSet struct {
	pages map[int64]*page
}

// add reports whether group is new to the set.
func (s *groupSet) add(group int64) bool {
	p := s.pages[group/pageGroups]
	if p == fullPage {
		return false
	}
	if p == nil {
		p = new(page)
		s.pages[group/pageGroups] = p
	}
	word, bit := &p.bits[group%pageGroups/64], uint64(1)<<(group%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	if p.have++; p.have == pageGroups {
		s.pages[group/pageGroups] = fullPage
	}
	return true
}

func (s *groupSet) has(group int64) bool {
	p := s.pages[group/pageGroups]
	return p == fullPage || p != nil && p.bits[group%pageGroups/64]&(1<<(group%64)) != 0
}

// exactly returns nil if the set holds the groups 0 to groups-1 and no other.
func (s *groupSet) exactly(groups int64) error {
	last := (groups - 1) / pageGroups
	for number := range last + 1 {
		want := min(groups-number*pageGroups, pageGroups)
		first := s.pages[number].firstMissing()
		if first < want {
			return fmt.Errorf("group %d of %d is missing", number*pageGroups+first, groups)
		}
		if p := s.pages[number]; int64(p.have) != want {
			return fmt.Errorf("there are values after the last of %d groups", groups)
		}
	}
	if int64(len(s.pages)) != last+1 {
		return fmt.Errorf("there are values after the last of %d groups", groups)
	}
	return nil
}

// firstMissing returns the first number on the page that is not in the set, pageGroups if none is.
func (p *page) firstMissing() int64 {
	switch p {
	case nil:
		return 0
	case fullPage:
		return pageGroups
	}
	for i, word := range p.bits {
		if word != ^uint64(0) {
			return int64(i*64 + bits.TrailingZeros64(^word))
		}
	}
	return pageGroups
}
