package inorder

import (
	"crypto/sha256"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// state is how far a file is hashed, which outlives its being open. It is guarded by FS.mu, but sum, tree and err belong to
// their goroutines until these have ended.
type state struct {
	size int64
	next int64 // up to here it was given to the hashes

	lines []chan *piece // one for each hash; nil before the first piece, and after the last
	begun bool
	ended sync.WaitGroup
	sum   hash.Hash
	tree  hashtree.Hasher
	err   error // of tree, which is the only one that can fail
}

// start begins to hash a file, beside the reading.
func (f *FS) start(s *state) {
	if s.begun {
		return
	}
	s.begun, s.sum = true, sha256.New()
	line := func(w io.Writer, part pass.Part, failed func(error)) {
		in := make(chan *piece, maxStretches) // so that nobody waits who holds FS.mu
		s.lines = append(s.lines, in)
		s.ended.Go(func() { f.hash(w, in, part, failed) })
	}
	line(s.sum, pass.PartHash, func(error) {}) // it never fails
	line(&s.tree, pass.PartSink, func(err error) { s.err = err })
}

// hash gives the pieces to one hash.
func (f *FS) hash(w io.Writer, in <-chan *piece, part pass.Part, failed func(error)) {
	for p := range in {
		begun := time.Now()
		if _, err := w.Write(p.data); err != nil {
			failed(err)
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
