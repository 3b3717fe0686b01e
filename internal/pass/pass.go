// Package pass sends the bytes of a medium, read once, to everything that must see them: the BLAKE3 tree, hashes that
// run in order, and writers.
//
// Start with [Run]. The promise: every consumer gets exactly the bytes that the source gave, once; a [Result] without an
// error means that all of them took all of it. Each block is read into a buffer of a fixed pool, hashed in place and
// written from there, so that neither copies nor memory grow with the medium; all goroutines have ended and the pool is
// returned when Run returns.
package pass

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/vectors"
)

// BlockSize is the number of bytes in every block but the last. Blocks are the groups of the tree.
const BlockSize = hashtree.GroupSize

const (
	// defaultBuffers stay in a core's share of the cache while several consumers read them: with 32 the tree costs
	// half as much processor time again, and no consumer was faster.
	defaultBuffers = 8
	maxBuffers     = 4096
	maxWorkers     = 1024
	// maxEmptyReads in a row, neither bytes nor an error, and the source is taken for broken.
	maxEmptyReads = 100
)

// Tree takes the values of the groups, in any order and from several goroutines at once, each group once.
// A *hashtree.Writer is one.
type Tree interface {
	Put(group int64, v hashtree.Value) error
}

// Options says who gets the bytes. At least one of Tree, Linear and Sinks must be there.
type Options struct {
	// Tree gets the value of each group, or of a medium of at most BlockSize bytes its root as the only one. Nil: none.
	Tree Tree
	// FirstGroup is the number of the group at which src begins, for a pass that goes on where another ended. Greater
	// than zero it says that the medium has bytes before src; then no value is a root.
	FirstGroup int64
	// Part says that the medium goes on after src, so that no value is a root even if src has one group only.
	Part bool
	// Linear hashes are written in order, each on a goroutine of its own.
	Linear []hash.Hash
	// Sinks are written in order, each on a goroutine of its own: BlockSize bytes at a page-aligned address each time,
	// fewer the last time. A sink must neither change nor keep them: the memory is returned to the system at the end.
	Sinks []io.Writer
	// Workers is the number of goroutines that compute the tree, at most 1024. 0: one for each core.
	Workers int
	// Buffers is the number of blocks of memory, 2 to 4096. 0: 8. More help only if a sink stalls for longer than it takes
	// to read them.
	Buffers int
	// Progress, if not nil, is told the number of bytes read so far, after each block, from the goroutine that called
	// Run. Consumers may lag behind by all Buffers.
	Progress func(readBytes int64)
	// Busy, if not nil, is told after each block, from several goroutines at once, how long a part of the pass was in the
	// call that took it: i is the number of the hash or the sink. For as long as it is nil, no clock is read.
	Busy func(part Part, i int, took time.Duration, sizeBytes int)
}

// Part is what a pass spends time on.
type Part uint8

// The parts. PartWait is the reader's waiting for a free block: then some consumer is slower than the source.
const (
	PartRead Part = iota
	PartWait
	PartTree
	PartHash
	PartSink
)

// Result is what a pass has seen.
type Result struct {
	// SizeBytes is the number of bytes that every consumer took. After a SourceError it is a multiple of BlockSize.
	SizeBytes int64
}

// SourceError says that src failed while every consumer took all whole blocks before that: nothing that was read is
// lost, and the pass can go on from there by other means.
type SourceError struct {
	Offset int64 // from the start of src
	Err    error
}

func (e *SourceError) Error() string { return fmt.Sprintf("read at offset %d: %v", e.Offset, e.Err) }

// Unwrap returns the error of src.
func (e *SourceError) Unwrap() error { return e.Err }

// Run reads src to its end and hands each block to all consumers. The first error ends it, whoever reports it: a failed
// or short write, a failed Put, a read error other than io.EOF (a *SourceError), or the end of ctx, which is looked at
// between blocks; a Read or Write that hangs is not interrupted. A read error that has a method KeepsMemory() bool which
// says true means that the buffer may still be written to: the memory is then never given back. After a *SourceError the
// Result says how far the consumers came; after any other error it is zero, and they have seen some part of the medium.
func Run(ctx context.Context, src io.Reader, opts Options) (Result, error) {
	if err := opts.validate(); err != nil {
		return Result{}, err
	}
	p, err := newPool(opts.Buffers)
	if err != nil {
		return Result{}, err
	}
	r := start(ctx, p, opts)
	res, err := r.read(src)
	source, drained := errors.AsType[*SourceError](err)
	if err != nil && !drained {
		r.fail(err)
	}
	r.wait()
	err = r.firstError()
	r.cancel(nil)
	if !keepsMemory(source) {
		err = errors.Join(err, p.close())
	}
	if err != nil {
		return Result{}, err
	}
	if drained {
		return res, source
	}
	return res, nil
}

// keepsMemory reports whether a read that does not return may still write into a buffer of the pool. Then it is never
// given back.
func keepsMemory(err *SourceError) bool {
	if err == nil {
		return false
	}
	k, ok := errors.AsType[interface {
		error
		KeepsMemory() bool
	}](err.Err)
	return ok && k.KeepsMemory()
}

// validate also fills in the defaults.
func (o *Options) validate() error {
	if o.Tree == nil && len(o.Linear) == 0 && len(o.Sinks) == 0 {
		return errors.New("a pass without a tree, a hash or a sink")
	}
	if o.Workers < 0 || o.Workers > maxWorkers {
		return fmt.Errorf("%d workers: there can be 1 to %d", o.Workers, maxWorkers)
	}
	if o.Workers == 0 {
		o.Workers = min(runtime.NumCPU(), maxWorkers)
	}
	if o.Buffers == 0 {
		o.Buffers = defaultBuffers
	}
	// The first block waits in its buffer until the second is read.
	if o.Buffers < 2 || o.Buffers > maxBuffers {
		return fmt.Errorf("%d buffers: there can be 2 to %d", o.Buffers, maxBuffers)
	}
	if o.FirstGroup < 0 || o.FirstGroup > hashtree.MaxSize/BlockSize {
		return fmt.Errorf("a pass that begins at group %d", o.FirstGroup)
	}
	return nil
}

// run is one pass on its way. Every channel has room for all blocks, so only two things ever wait: the reader for a
// free block, and a consumer for the next one. After a failure the consumers let the rest go by untouched.
type run struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	opts   Options
	pool   *pool
	tree   chan *block   // nil without a tree
	lines  []chan *block // one for each linear hash, then one for each sink
	ended  sync.WaitGroup
}

func start(ctx context.Context, p *pool, opts Options) *run {
	r := &run{opts: opts, pool: p}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	if opts.Tree != nil {
		r.tree = make(chan *block, opts.Buffers)
		for range opts.Workers {
			r.ended.Go(r.hashGroups)
		}
	}
	line := func(w io.Writer, part Part, i int) {
		in := make(chan *block, opts.Buffers)
		r.lines = append(r.lines, in)
		r.ended.Go(func() { r.write(w, in, part, i) })
	}
	for i, h := range opts.Linear {
		line(h, PartHash, i)
	}
	for i, w := range opts.Sinks {
		line(w, PartSink, i)
	}
	return r
}

// wait lets the consumers finish.
func (r *run) wait() {
	if r.tree != nil {
		close(r.tree)
	}
	for _, in := range r.lines {
		close(in)
	}
	r.ended.Wait()
}

// failure marks an error of the pass itself, to tell it from the reason why the caller's context ended.
type failure struct{ error }

// fail ends the pass; only the first error counts.
func (r *run) fail(err error) { r.cancel(failure{err}) }

func (r *run) firstError() error {
	stopped := r.ctx.Err()
	if stopped == nil {
		return nil
	}
	cause := context.Cause(r.ctx)
	if f, ok := errors.AsType[failure](cause); ok {
		return f.error
	}
	if !errors.Is(cause, stopped) {
		return fmt.Errorf("pass was stopped: %w: %w", stopped, cause)
	}
	return fmt.Errorf("pass was stopped: %w", stopped)
}

// read hands out the blocks of src. The tree gets group 0 only when more follows: alone it is the root.
func (r *run) read(src io.Reader) (Result, error) {
	var size int64
	var held *block
	for eof := false; !eof; {
		begun := r.clock()
		b := <-r.pool.free
		if r.ctx.Err() != nil {
			return Result{}, nil // firstError knows why
		}
		begun = r.busy(PartWait, 0, begun, 0)
		n, err := fill(src, b.data)
		r.busy(PartRead, 0, begun, n)
		if eof = err == io.EOF; err != nil && !eof { //nolint:errorlint // an error that wraps io.EOF is not the end
			if held != nil { // what cannot be read follows it
				r.tree <- held
			}
			return Result{SizeBytes: size}, &SourceError{size + int64(n), err}
		}
		if n == 0 {
			break
		}
		b.n, b.group = n, r.opts.FirstGroup+size/BlockSize
		if size += int64(n); size > hashtree.MaxSize-r.opts.FirstGroup*BlockSize {
			return Result{}, fmt.Errorf("the medium is longer than %d bytes", int64(hashtree.MaxSize))
		}
		if held != nil {
			r.tree <- held
			held = nil
		}
		if r.hand(b); r.tree != nil && r.holds(b) {
			held = b
		}
		if r.opts.Progress != nil {
			r.opts.Progress(size)
		}
	}
	res := Result{SizeBytes: size}
	if r.tree == nil || r.opts.FirstGroup > 0 || r.opts.Part || size > BlockSize {
		return res, nil
	}
	return r.single(res, held)
}

// single gives the tree the root of a medium of one group, or of none.
func (r *run) single(res Result, held *block) (Result, error) {
	var v hashtree.Value
	if held == nil {
		v = hashtree.Root(nil)
	} else {
		v = hashtree.Root(held.bytes())
	}
	if err := r.opts.Tree.Put(0, v); err != nil {
		return Result{}, err
	}
	return res, nil
}

// holds tells the first group of a medium that may have no other.
func (r *run) holds(b *block) bool { return b.group == 0 && !r.opts.Part }

// hand gives a block to all consumers, but not to the tree one that it holds.
func (r *run) hand(b *block) {
	users := len(r.lines)
	if r.tree != nil {
		users++
	}
	b.users.Store(int32(users))
	for _, in := range r.lines {
		in <- b
	}
	if r.tree != nil && !r.holds(b) {
		r.tree <- b
	}
}

// clock is the time, if anybody wants to know it.
func (r *run) clock() (now time.Time) {
	if r.opts.Busy != nil {
		now = time.Now()
	}
	return now
}

// busy tells how long something took, and returns when it ended.
func (r *run) busy(part Part, i int, begun time.Time, sizeBytes int) (now time.Time) {
	if r.opts.Busy != nil {
		now = time.Now()
		r.opts.Busy(part, i, now.Sub(begun), sizeBytes)
	}
	return now
}

func (r *run) hashGroups() {
	for b := range r.tree {
		if r.ctx.Err() == nil {
			begun := r.clock()
			if err := r.opts.Tree.Put(b.group, hashtree.Sum(b.bytes(), b.group)); err != nil {
				r.fail(err)
			}
			r.busy(PartTree, 0, begun, b.n)
		}
		r.pool.release(b)
	}
}

func (r *run) write(w io.Writer, in <-chan *block, part Part, number int) {
	what := map[Part]string{PartHash: "hash", PartSink: "sink"}[part]
	var offset int64
	for b := range in {
		if r.ctx.Err() == nil {
			begun := r.clock()
			vectors.Clean() // or SHA-256 crawls
			n, err := w.Write(b.bytes())
			r.busy(part, number, begun, n)
			if err == nil && n != b.n {
				err = io.ErrShortWrite
			}
			if err != nil {
				r.fail(fmt.Errorf("write to %s %d at offset %d: %w", what, number, offset, err))
			}
			offset += int64(b.n)
		}
		r.pool.release(b)
	}
}

// fill reads until p is full. Unlike io.ReadFull it reports io.EOF, with the bytes before it, only for the end of src:
// a source that itself says io.ErrUnexpectedEOF has failed.
func fill(src io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p); {
		got, err := src.Read(p[n:])
		if got < 0 || got > len(p)-n {
			return n, fmt.Errorf("the source claims to have read %d bytes into %d", got, len(p)-n)
		}
		n += got
		if err != nil {
			return n, err
		}
		if got > 0 {
			empty = 0
		} else if empty++; empty == maxEmptyReads {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}
