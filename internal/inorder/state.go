package inorder

import (
	"crypto/sha256"
	"io"
	"sync"
	"time"

	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/pass"
	"github.com/exhibit-forensics/exhibit/internal/vectors"
)

// state is how far a file is hashed, which outlives its being open. It is guarded by FS.mu, but what the hashes gave belongs
// to their goroutines until these have ended. The hashes themselves end with a file, for there may be thousands.
type state struct {
	size int64
	next int64 // up to here it was given to the hashes

	lines []chan *piece // one for each hash; nil before the first piece, and after the last
	begun bool
	ended sync.WaitGroup
	sum   [32]byte
	root  hashtree.Value
	err   error // of the tree, which is the only one that can fail
}

// start begins to hash a file, beside the reading.
func (f *FS) start(s *state) {
	if s.begun {
		return
	}
	s.begun = true
	sums, groups := make(chan *piece, maxStretches), make(chan *piece, maxStretches) // so that nobody waits who holds FS.mu
	s.lines = []chan *piece{sums, groups}
	s.ended.Go(func() {
		sum := sha256.New()
		_ = f.hash(sum, sums, pass.PartHash) // it never fails
		s.sum = [32]byte(sum.Sum(nil))
	})
	s.ended.Go(func() {
		var tree hashtree.Hasher
		s.err = f.hash(&tree, groups, pass.PartSink)
		s.root = tree.Root()
	})
}

// hash gives the pieces to one hash, and returns its last error.
func (f *FS) hash(w io.Writer, in <-chan *piece, part pass.Part) (err error) {
	for p := range in {
		begun := time.Now()
		vectors.Clean() // or SHA-256 crawls
		if _, failed := w.Write(p.data); failed != nil {
			err = failed
		}
		if f.busy != nil {
			f.busy(part, 0, time.Since(begun), len(p.data))
		}
		f.mu.Lock()
		if p.users--; p.users == 0 {
			f.freed.Broadcast()
		}
		f.mu.Unlock()
	}
	return err
}

// take gives the next piece to the hashes.
func (f *FS) take(p *piece) {
	s := p.of
	f.start(s)
	p.users += len(s.lines)
	for _, in := range s.lines {
		in <- p
	}
	if s.next += int64(len(p.data)); s.next == s.size {
		s.end()
	}
}

// end lets the hashes end behind what they have.
func (s *state) end() {
	for _, in := range s.lines {
		close(in)
	}
	s.lines = nil
}
