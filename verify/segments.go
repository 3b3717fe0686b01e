package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/exhibit-forensics/exhibit/internal/hashtree"
)

// fileHash takes the bytes of one file and gives its digest.
type fileHash interface {
	io.Writer
	sum() [32]byte
}

type fileSHA256 struct{ hash.Hash }

func newFileSHA256() fileHash { return fileSHA256{sha256.New()} }

func (h fileSHA256) sum() [32]byte { return [32]byte(h.Sum(nil)) }

// fileBLAKE3 hashes by groups. A file begins anywhere in the medium, so its groups are other ones than those of the pass.
type fileBLAKE3 struct{ hashtree.Hasher }

func newFileBLAKE3() fileHash { return &fileBLAKE3{} }

func (h *fileBLAKE3) sum() [32]byte { return h.Root() }

// splitter cuts the stream at the ends of the files and hashes each by itself.
type splitter struct {
	parts []part
	newer func() fileHash
	sums  [][32]byte
	h     fileHash
	left  int64 // bytes still to come of the file that h hashes
}

func newSplitter(parts []part, newer func() fileHash) *splitter {
	return &splitter{parts: parts, newer: newer}
}

// Write implements io.Writer.
func (s *splitter) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		s.advance()
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
func (s *splitter) advance() {
	for s.left == 0 && len(s.sums) < len(s.parts) {
		if s.h != nil {
			s.sums, s.h = append(s.sums, s.h.sum()), nil
			continue
		}
		s.left, s.h = s.parts[len(s.sums)].SizeBytes, s.newer()
	}
}

// finish returns the digest of each file.
func (s *splitter) finish() ([][32]byte, error) {
	s.advance()
	if len(s.sums) != len(s.parts) {
		return nil, fmt.Errorf("the image ends in file %d of %d", len(s.sums)+1, len(s.parts))
	}
	return s.sums, nil
}
