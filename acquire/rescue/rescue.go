// Package rescue decides in which order a failing medium is read, and keeps the map of what was read.
//
// Start with [Run]. It is given the medium as a [Source], a [Sink] for the good bytes, and an [image.Map] that says what
// is still to be read: all of it, or what an earlier run, or GNU ddrescue, left. The order is ddrescue's, with reasons
// that its author gives in its manual. A drive that fails gets worse with use, and with use of its bad places most of
// all: there it tries for seconds, moves its heads forth and back, and may end with them on the surface. Who reads from
// the first byte on and stops at each error to look closely spends the drive's last hours where there is least to be
// had. So get away from an error as fast as possible, take what reads easily first, and come back for the rest when it
// no longer matters what that costs:
//
//	           good       bad          good             slow          good
//	medium     +++++++++++XX++++++++++++++++++++++++++++~~~~~~~~~++++++++++++
//	pass 1 ->  ++++++++++ *.........+++++++++++++++++++ +........++++++++++++  an error or a slow read: skip ahead
//	pass 2 <-             **++++++++                     .......+              from the end of each gap, up to the first
//	pass 3 ->                                           +++++++                what was skipped for slowness
//	pass 4 <-                                                                  the same, backwards
//	pass 5 ->                                                                  whatever is left, without skipping
//	trim       the edges of each failed range, until a bad sector
//	scrape     what lies between them, group by group, by halves
//	retry      each bad sector again, alone, forwards and backwards in turn
//
// Copying reads blocks of [BlockBytes], aligned. A failed block becomes '*' and the skip behind it doubles with every
// error that follows, so a large bad area costs a few reads to cross; pass 2 comes from behind and finds its other end.
//
// Trim and scrape work by halves: a failed read is halved, a half that reads is stored, one that fails is halved again.
// Where one half was good, the other is known to be bad without being read as a whole. At 4 KiB, what nearly every disk
// has as its physical sector, the logical sectors are read one by one. A lone bad sector costs six failing reads and
// eight good ones in the mean; single sectors from both edges, as ddrescue reads them, would be two failing reads and
// two thousand good ones. A sector is called bad ('-') only after it was read alone and failed, and is read alone once,
// before any retry.
//
// The promise: each byte of the medium that can be read is stored exactly once, in the order above, and after every
// single read the map says what is true. A run that ends for whatever reason goes on with its last saved map, in the
// pass and at the place where it was, and reads no finished byte again. Nothing but [ErrUnreadable] is taken for a bad
// place: a device that is gone, or a request that it never understood, ends the run.
package rescue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire/image"
)

// BlockBytes is what copying reads at once, at multiples of itself; trim and scrape keep within one such group. It is
// the group of the BLAKE3 tree.
const BlockBytes = 1 << 20

// leafBytes is where halving ends and sectors are read one by one.
const leafBytes = 4096

// deadReads in a row without a good one are no longer a bad place but a bad part of the medium: see Options.MaxBadBytes.
const deadReads = 32

var (
	// ErrUnreadable is matched by the errors of a Source that mean: this place is bad, the medium is still there.
	ErrUnreadable = errors.New("the medium cannot be read here")
	// ErrTooManyBad says that more bytes are bad than the caller allows. The map is right and a run can go on from it.
	ErrTooManyBad = errors.New("more of the medium is bad than allowed")
	// ErrUnaligned says that a map has a border within a sector, so that its unread ranges cannot be read by themselves.
	ErrUnaligned = errors.New("the map does not follow the medium's sectors")
)

// Source is the medium.
type Source interface {
	// ReadAt fills p with the bytes at off, as io.ReaderAt. off is a multiple of the sector; so is len(p), but for the
	// last bytes of a medium of odd size. p begins on a page and its capacity reaches to BlockBytes, for a direct read
	// that must ask for whole sectors. An error that is ErrUnreadable says that something in these bytes is bad, and
	// whatever was put into p is ignored. Every other error, and fewer bytes than asked for, ends the run.
	//
	// ReadAt is called for one read at a time, from a goroutine of its own: when the context ends while it blocks, Run
	// does not wait for it, and never touches p again.
	ReadAt(p []byte, off int64) (int, error)
}

// Sink takes the bytes that were read, in the order in which they were.
type Sink interface {
	// Store is called from the goroutine of Run, with bytes that are finished in the map once it returned nil, and not
	// before. p is valid during the call only. Aligned as the reads of Source.
	Store(off int64, p []byte) error
}

// Options of a run. SectorBytes has no default.
type Options struct {
	// SectorBytes is the medium's logical sector, a power of two from 512 to BlockBytes: the least that can be read.
	SectorBytes int64
	// Retries is how many times each bad sector is read again, at most. A run that goes on does what was left of them.
	Retries int
	// MaxBadBytes ends the run with ErrTooManyBad once more bytes than this are known to be bad. While copying, where no
	// sector is tried alone yet, the bytes of more than 32 failed reads in a row, with no good one among them, count too: a
	// medium, or a part of it, that gives nothing any more is not read to its end. 0 is no limit.
	MaxBadBytes int64
	// SlowBytesPerSecond lets the first two passes skip where the medium reads slower than this. 0 is off.
	SlowBytesPerSecond int64
	// SlowRelative does so where it reads slower than a tenth of its average.
	SlowRelative bool
	// Now is the clock by which reads are timed; nil is time.Now.
	Now func() time.Time
	// Event is called after each read, from the goroutine of Run, when its bytes are stored and the map and its state are
	// as they must be saved. It may read and encode the map, but not change it. May be nil.
	Event func(Event)
}

func (o *Options) validate() error {
	s := o.SectorBytes
	switch {
	case s < 512 || s > BlockBytes || s&(s-1) != 0:
		return fmt.Errorf("a sector of %d bytes", s)
	case o.Retries < 0 || o.MaxBadBytes < 0 || o.SlowBytesPerSecond < 0:
		return fmt.Errorf("negative options: %d retries, %d bad bytes, %d bytes a second", o.Retries, o.MaxBadBytes, o.SlowBytesPerSecond)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Event is one read.
type Event struct {
	Phase             image.Phase
	Pass              int // of the phase, from 1
	Backwards         bool
	Offset, SizeBytes int64
	Err               error // why the bytes could not be read; nil if they were
	Totals            image.MapTotals
}

// Name says in words what the run is doing.
func (e Event) Name() string {
	direction := "forwards"
	if e.Backwards {
		direction = "backwards"
	}
	switch e.Phase {
	case image.PhaseCopying:
		return fmt.Sprintf("copying, pass %d %s", e.Pass, direction)
	case image.PhaseTrimming:
		return "trimming failed blocks"
	case image.PhaseScraping:
		return "scraping failed blocks"
	case image.PhaseRetrying:
		return fmt.Sprintf("retrying bad sectors, pass %d %s", e.Pass, direction)
	}
	return "finished"
}

// Run reads what m does not call finished, until it is finished or bad, and keeps m right after every read. It returns
// nil when nothing is left to be tried: m then has only finished and bad ranges, and its phase is image.PhaseFinished.
//
// It ends early with the cause of ctx, ErrTooManyBad, an error of the sink, any error of the source that is not
// ErrUnreadable, or image.ErrMapTooLarge; a later Run goes on from m. A map whose borders do not lie between sectors is
// ErrUnaligned, and nothing is read.
func Run(ctx context.Context, src Source, sink Sink, m *image.Map, opts Options) error {
	if err := opts.validate(); err != nil {
		return fmt.Errorf("rescue: %w", err)
	}
	for part := range m.All() {
		if part.Offset%opts.SectorBytes != 0 {
			return fmt.Errorf("rescue: %w: a range begins at %d, a sector has %d bytes", ErrUnaligned, part.Offset, opts.SectorBytes)
		}
	}
	buffer, err := allocate(BlockBytes)
	if err != nil {
		return fmt.Errorf("rescue: memory for a block: %w", err)
	}
	r := &run{ctx: ctx, src: src, sink: sink, m: m, opts: opts, buffer: buffer}
	r.meter = meter{least: opts.SlowBytesPerSecond, relative: opts.SlowRelative}
	err = r.all()
	if r.buffer != nil {
		err = errors.Join(err, release(r.buffer))
	}
	return err
}

// run is the state of one Run.
type run struct {
	ctx    context.Context
	src    Source
	sink   Sink
	m      *image.Map
	opts   Options
	buffer []byte // nil once it was left to a read that does not come back
	meter  meter

	phase     image.Phase
	pass      int
	backwards bool

	last Event // the read that is yet to be reported
	slow bool  // the last read showed the medium to be slow

	failed      int   // reads in a row, while copying
	failedBytes int64 // of them
}

func (r *run) all() error {
	if err := r.checkBad(); err != nil {
		return err
	}
	before := r.m.State()
	for _, step := range []func(image.MapState) error{r.copy, r.trim, r.scrape, r.retry} {
		if err := step(before); err != nil {
			return err
		}
	}
	return r.m.SetState(image.MapState{Position: r.m.State().Position, Phase: image.PhaseFinished, Pass: 1})
}

func (r *run) checkBad() error {
	bad := r.m.Total(image.Bad).SizeBytes
	switch {
	case r.opts.MaxBadBytes == 0:
	case bad > r.opts.MaxBadBytes:
		return fmt.Errorf("%w: %d bytes, allowed are %d", ErrTooManyBad, bad, r.opts.MaxBadBytes)
	case r.failed > deadReads && bad+r.failedBytes > r.opts.MaxBadBytes:
		return fmt.Errorf("%w: %d bytes, and the last %d reads failed, of %d bytes; allowed are %d", ErrTooManyBad, bad, r.failed, r.failedBytes, r.opts.MaxBadBytes)
	}
	return nil
}

// begin notes phase, pass and direction for the reads that follow.
func (r *run) begin(phase image.Phase, pass int, backwards bool) {
	r.phase, r.pass, r.backwards = phase, pass, backwards
}

// moveTo notes in the map what will be read next, or is being read.
func (r *run) moveTo(position int64) error {
	return r.m.SetState(image.MapState{Position: position, Phase: r.phase, Pass: r.pass})
}

// attempt reads [off, end) and reports it. Bytes that cannot be read get the status failed, a single sector Bad.
func (r *run) attempt(off, end int64, failed image.Status) (good bool, err error) {
	position := off
	if r.backwards {
		position = end
	}
	if err := r.moveTo(position); err != nil {
		return false, err
	}
	good, err = r.try(off, end, failed)
	if err != nil {
		return false, err
	}
	return good, r.report()
}

// try reads [off, end), stores what is good, and sets the map. The caller calls report.
func (r *run) try(off, end int64, failed image.Status) (good bool, err error) {
	if r.ctx.Err() != nil {
		return false, context.Cause(r.ctx)
	}
	p := r.buffer[:end-off]
	began := r.opts.Now()
	err = r.read(p, off)
	took := r.opts.Now().Sub(began)
	r.slow = false
	r.countFailed(err, end-off)
	r.last = Event{Phase: r.phase, Pass: r.pass, Backwards: r.backwards, Offset: off, SizeBytes: end - off, Err: err}
	if err != nil {
		if !errors.Is(err, ErrUnreadable) {
			return false, fmt.Errorf("read %d bytes at offset %d: %w", end-off, off, err)
		}
		if end-off <= r.opts.SectorBytes {
			failed = image.Bad
		}
		return false, r.m.Set(off, end-off, failed)
	}
	r.slow = r.meter.observe(int64(len(p)), took)
	if err := r.sink.Store(off, p); err != nil {
		return false, fmt.Errorf("store %d bytes of offset %d: %w", end-off, off, err)
	}
	return true, r.m.Set(off, end-off, image.Finished)
}

// countFailed counts the reads that failed in a row. Those of later phases overlap, and find bad sectors themselves.
func (r *run) countFailed(err error, n int64) {
	if err == nil || r.phase != image.PhaseCopying {
		r.failed, r.failedBytes = 0, 0
		return
	}
	r.failed++
	r.failedBytes += n
}

// read fills p. When the context ends first, the buffer is left to the read: memory that a device may still write to is
// neither used again nor given back.
func (r *run) read(p []byte, off int64) error {
	done := make(chan error, 1)
	go func() {
		n, err := r.src.ReadAt(p, off)
		done <- whole(n, len(p), err)
	}()
	select {
	case err := <-done:
		if k, ok := errors.AsType[keeper](err); ok && k.KeepsMemory() {
			r.buffer = nil
		}
		return err
	case <-r.ctx.Done():
	}
	select {
	case err := <-done:
		return err
	default:
		r.buffer = nil
		return context.Cause(r.ctx)
	}
}

// keeper is an error of a read that did not come back: the memory given to it is the medium's for good.
type keeper interface {
	error
	KeepsMemory() bool
}

// whole judges what io.ReaderAt returned for a read of want bytes.
func whole(n, want int, err error) error {
	switch {
	case n == want && errors.Is(err, io.EOF):
		return nil
	case n < want && (err == nil || errors.Is(err, io.EOF)):
		return fmt.Errorf("%w: got %d of %d bytes", io.ErrUnexpectedEOF, n, want)
	}
	return err
}

// report tells of the last read.
func (r *run) report() error {
	if r.opts.Event != nil {
		r.last.Totals = r.m.Totals()
		r.opts.Event(r.last)
	}
	return r.checkBad()
}
