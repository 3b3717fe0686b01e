package pass

import (
	"fmt"
	"sync/atomic"
)

// block is one buffer of the pool and what it holds.
type block struct {
	data  []byte // BlockSize bytes, page-aligned
	n     int    // how many of them are the medium's
	group int64
	users atomic.Int32 // consumers that have not yet released it
}

// bytes returns the medium's bytes, with no room behind them for an append.
func (b *block) bytes() []byte { return b.data[:b.n:b.n] }

// pool is a fixed set of blocks in one stretch of memory.
type pool struct {
	memory []byte
	free   chan *block
}

func newPool(blocks int) (*pool, error) {
	memory, err := allocate(blocks * BlockSize)
	if err != nil {
		return nil, fmt.Errorf("allocate %d buffers: %w", blocks, err)
	}
	p := &pool{memory: memory, free: make(chan *block, blocks)}
	for i := range blocks {
		p.free <- &block{data: memory[i*BlockSize : (i+1)*BlockSize : (i+1)*BlockSize]}
	}
	return p, nil
}

// release ends one consumer's use of b.
func (p *pool) release(b *block) {
	if b.users.Add(-1) == 0 {
		p.free <- b
	}
}

// close returns the memory. No block may be in use.
func (p *pool) close() error {
	if err := release(p.memory); err != nil {
		return fmt.Errorf("return the buffers: %w", err)
	}
	return nil
}
