package verify

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/exhibit-forensics/exhibit/internal/hashtree"
)

// fileHash takes the bytes of one file, whose size is known before, and gives its digest.
type fileHash interface {
	io.Writer
	sum() ([32]byte, error)
}

type fileSHA256 struct{ hash.Hash }

func newFileSHA256(int64) fileHash { return fileSHA256{sha256.New()} }

func (h fileSHA256) sum() ([32]byte, error) { return [32]byte(h.Sum(nil)), nil }

// fileBLAKE3 computes BLAKE3 by groups, which is several times faster than a blake3.Hasher. A file begins anywhere in the
// medium, so its groups are other ones than those of the pass.
type fileBLAKE3 struct {
	size   int64
	done   int64 // bytes hashed; a multiple of a group until the end
	held   []byte
	values memory
	tree   *hashtree.Writer
}

func newFileBLAKE3(size int64) fileHash {
	h := &fileBLAKE3{size: size}
	h.tree = hashtree.NewWriter(&h.values)
	return h
}

func (h *fileBLAKE3) Write(b []byte) (int, error) {
	written := len(b)
	if int64(len(b)) > h.size-h.done-int64(len(h.held)) {
		return 0, fmt.Errorf("more bytes than the %d of the file", h.size)
	}
	for len(b) > 0 {
		want := int(min(hashtree.GroupSize, h.size-h.done))
		if len(h.held) == 0 && len(b) >= want { // the common case copies nothing
			if err := h.group(b[:want]); err != nil {
				return 0, err
			}
			b = b[want:]
			continue
		}
		n := min(want-len(h.held), len(b))
		h.held = append(h.held, b[:n]...)
		b = b[n:]
		if len(h.held) == want {
			if err := h.group(h.held); err != nil {
				return 0, err
			}
			h.held = h.held[:0]
		}
	}
	return written, nil
}

func (h *fileBLAKE3) group(b []byte) error {
	group := h.done / hashtree.GroupSize
	h.done += int64(len(b))
	if h.size <= hashtree.GroupSize {
		return h.tree.Put(0, hashtree.Root(b))
	}
	return h.tree.Put(group, hashtree.Sum(b, group))
}

func (h *fileBLAKE3) sum() ([32]byte, error) {
	if h.size == 0 {
		return hashtree.Root(nil), nil
	}
	return h.tree.Finish(h.done)
}

// memory is a hashtree.Storage that grows with what is written.
type memory struct{ b []byte }

func (m *memory) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(m.b).ReadAt(p, off) }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if end := int(off) + len(p); end > len(m.b) {
		m.b = append(m.b, make([]byte, end-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// splitter cuts the stream at the ends of the files and hashes each by itself.
type splitter struct {
	parts []part
	newer func(size int64) fileHash
	sums  [][32]byte
	h     fileHash
	left  int64 // bytes still to come of the file that h hashes
}

func newSplitter(parts []part, newer func(size int64) fileHash) *splitter {
	return &splitter{parts: parts, newer: newer}
}

// Write implements io.Writer.
func (s *splitter) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		if err := s.advance(); err != nil {
			return written, err
		}
		if s.h == nil {
			return written, errors.New("the image is longer than its files")
		}
		n := int(min(int64(len(b)), s.left))
		if _, err := s.h.Write(b[:n]); err != nil {
			return written, err
		}
		s.left -= int64(n)
		written += n
		b = b[n:]
	}
	return written, nil
}

// advance ends every file that is complete, and begins the next.
func (s *splitter) advance() error {
	for s.left == 0 && len(s.sums) < len(s.parts) {
		if s.h != nil {
			sum, err := s.h.sum()
			if err != nil {
				return err
			}
			s.sums, s.h = append(s.sums, sum), nil
			continue
		}
		s.left = s.parts[len(s.sums)].SizeBytes
		s.h = s.newer(s.left)
	}
	return nil
}

// finish returns the digest of each file.
func (s *splitter) finish() ([][32]byte, error) {
	if err := s.advance(); err != nil {
		return nil, err
	}
	if len(s.sums) != len(s.parts) {
		return nil, fmt.Errorf("the image ends in file %d of %d", len(s.sums)+1, len(s.parts))
	}
	return s.sums, nil
}
