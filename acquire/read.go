package acquire

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/rescue"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// A stretch ends when it has both: so a kill costs at most twice the larger of them.
const (
	stretchBytes = 32 << 20
	stretchTime  = time.Second
)

// begin makes the folders, their journals, and the files to be written.
func (r *run) begin(context.Context) error {
	for _, d := range r.dests {
		if err := d.begin(r); err != nil {
			return d.wrap(err)
		}
	}
	r.acq.Mode = record.ModeSequential
	r.newHashes()
	r.startInPlace()
	r.startFollowing()
	return r.writeJournal(Journal{
		Exhibit: r.opts.Exhibit, ID: r.opts.ID, Medium: r.acq.Medium, Options: r.acq.Options,
		Time: r.acq.Started, Tool: r.opts.Tool, Type: journalType,
	})
}

func (r *run) newHashes() {
	r.tree = hashtree.NewWriter(treeFiles{r})
	r.linear = []hash.Hash{sha256.New()}
	for _, alg := range r.opts.Extra {
		r.linear = append(r.linear, newHash(alg))
	}
}

// read reads the medium, from r.position on. It ends with all its bytes, and the tree, synced at every destination.
func (r *run) read(ctx context.Context) error {
	err := r.readInOrder(ctx)
	if joined := r.pending.wait(); err == nil {
		err = joined
	}
	if err == nil {
		r.acq.Medium = r.m.After(r.acq.Medium)
	}
	if err == nil || r.rescue != nil {
		return err
	}
	if r.resumable() {
		r.logError(err)
		if r.drained && r.checkpoint(causeOf(err)) == nil { // every byte that was read is in the image
			_ = r.pending.wait() // what could not be kept is not more than what is told
		}
	}
	return err
}

func (r *run) readInOrder(ctx context.Context) error {
	if r.taking != nil && r.rescue == nil {
		if err := r.startTakingOver(); err != nil {
			return err
		}
	}
	if r.rescue != nil {
		if err := r.takeOver(ctx); err != nil {
			return err
		}
		return r.runRescue(ctx)
	}
	if err := r.newEncoder(); err != nil {
		return err
	}
	if err := r.phase(PhaseReading, r.size); err != nil {
		return err
	}
	r.watchTemperature()
	if _, known := r.m.Size(); known {
		if err := r.m.StartAt(r.position); err != nil {
			return err
		}
	}
	for {
		s := r.newStretch(ctx)
		res, err := pass.Run(context.WithoutCancel(ctx), s, r.passOptions())
		var source *pass.SourceError
		if source, r.drained = errors.AsType[*pass.SourceError](err); r.drained {
			err = source.Err // which knows its place in the medium; the pass knows the one in the stretch
		}
		r.position += res.SizeBytes
		switch {
		case r.drained && r.isReadError(err) && r.opts.OnError == record.OnErrorRescue && r.resumable():
			return r.startRescuing(ctx, err)
		case err != nil:
			return err
		case s.ended:
			return r.completeInOrder()
		}
		if err := r.checkpoint(record.CauseUnknown); err != nil {
			return err
		}
	}
}

// resumable is false for a stream, which cannot be asked for its bytes again.
func (r *run) resumable() bool {
	_, known := r.m.Size()
	return known
}

func (r *run) passOptions() pass.Options {
	var sinks []io.Writer
	var parts []string
	for _, d := range r.dests {
		if !r.e01() {
			sinks, parts = append(sinks, sink{r, d}), append(parts, PartWrite)
		}
	}
	if r.e01() {
		sinks, parts = append(sinks, e01Sink{r}), append(parts, "")
	}
	before := r.position
	return pass.Options{
		Tree: r.tree, FirstGroup: before / pass.BlockSize, Part: r.size > pass.BlockSize,
		Linear: r.linear, Sinks: sinks, Progress: func(n int64) {
			r.done(before + n)
			r.readCameBack()
		},
		Busy: r.opts.Stats.ofPass(r.algorithms(), parts...),
	}
}

// stretch is a part of the medium after which everything is made durable, and may be gone on from.
type stretch struct {
	ctx   context.Context
	r     *run
	until time.Time // not before
	least int64     // nor with fewer bytes; negative: to the end of the medium
	n     int64
	ended bool
}

func (r *run) newStretch(ctx context.Context) *stretch {
	s := &stretch{ctx: ctx, r: r, until: time.Now().Add(stretchTime), least: stretchBytes}
	if r.opts.StretchBytes > 0 {
		s.until, s.least = time.Time{}, r.opts.StretchBytes
	}
	if !r.resumable() {
		s.least = -1
	}
	return s
}

// Read implements io.Reader. The context is looked at between blocks: then nothing of what was read is lost.
func (s *stretch) Read(p []byte) (int, error) {
	if s.n%pass.BlockSize == 0 {
		if err := s.ctx.Err(); err != nil {
			return 0, fmt.Errorf("stopped: %w", context.Cause(s.ctx))
		}
		if s.least >= 0 && s.n >= s.least && !time.Now().Before(s.until) {
			return 0, io.EOF
		}
	}
	n, err := s.r.m.Read(p)
	if q := s.r.inPlace; q != nil && s.r.isReadError(err) {
		n, err = q.around(s.ctx, p, s.r.position+s.n)
	}
	s.n += int64(n)
	s.ended = err == io.EOF //nolint:errorlint // an error that wraps io.EOF is not the end
	if wrong := s.r.checkStreamSize(s.r.position+s.n, s.ended); wrong != nil {
		return 0, wrong
	}
	return n, err
}

// background is work on its way; err stands when done is closed.
type background struct {
	done chan struct{}
	err  error
}

func (b *background) wait() error {
	if b == nil {
		return nil
	}
	<-b.done
	return b.err
}

// checkpoint makes durable what was read, beside the reading, and then says so. It waits for the one before.
func (r *run) checkpoint(cause string) error {
	if err := r.pending.wait(); err != nil {
		return err
	}
	if err := r.tellRetried(); err != nil {
		return err
	}
	s, err := r.state(PhaseReading)
	if err != nil {
		return err
	}
	s.Cause = cause
	flush := map[*dest]func() error{}
	for _, d := range r.alive() {
		flush[d] = d.flush()
	}
	flushed := r.flushed()
	now := &background{done: make(chan struct{})}
	r.pending = now
	go func() {
		defer close(now.done)
		var all sync.WaitGroup
		for d, f := range flush {
			all.Go(func() {
				begun := r.opts.Stats.clock()
				err := f()
				if err == nil {
					err = d.tree.Sync()
				}
				r.opts.Stats.since(begun, PartSync, 0)
				if err != nil {
					_ = r.lose(d, err) // the last one's is told by keep
				}
			})
		}
		all.Wait()
		if now.err = r.anyLeft(); now.err == nil {
			now.err = r.keep(s)
		}
		r.follow(flushed)
	}()
	return nil
}

// anyLeft returns the error of the destination that was lost last, when none is left.
func (r *run) anyLeft() error {
	if len(r.alive()) > 0 {
		return nil
	}
	return r.dests[len(r.dests)-1].lost
}

// completeInOrder ends a reading without a read error.
func (r *run) completeInOrder() error {
	r.size = r.position
	r.acq.Medium.SizeBytes = r.size
	if r.resumable() {
		if err := r.checkpoint(record.CauseUnknown); err != nil {
			return err
		}
	}
	if err := r.pending.wait(); err != nil {
		return err
	}
	if err := r.complete(); err != nil {
		return err
	}
	if err := r.endInPlace(); err != nil {
		return err
	}
	return r.keepDigests()
}

// endInPlace says in record, map and journal what could not be read.
func (r *run) endInPlace() error {
	if r.inPlace == nil {
		return nil
	}
	r.tellInPlace()
	if err := r.tellOmitted(); err != nil {
		return err
	}
	return r.leaveMap()
}

// complete finishes image and tree at every destination.
func (r *run) complete() error {
	err := r.each(func(d *dest) error {
		begun := r.opts.Stats.clock()
		err := d.finishImage(r)
		r.opts.Stats.since(begun, PartSync, 0)
		if err != nil {
			return err
		}
		if n := d.written(); n != r.size {
			return fmt.Errorf("the image has %d bytes of %d", n, r.size)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.finishTree()
}

func (r *run) finishTree() (err error) {
	if r.root, err = r.tree.Finish(r.size); err != nil {
		return err
	}
	return r.each(func(d *dest) error {
		err := d.tree.Seal()
		if err == nil {
			d.tree = nil
		}
		return err
	})
}

// keepDigests puts the digests of the media stream into the record.
func (r *run) keepDigests() error {
	r.addDigest(record.BLAKE3Digest(r.root), record.ComputedWhileReading)
	for i, alg := range r.algorithms() {
		d, err := record.NewDigest(alg, r.linear[i].Sum(nil))
		if err != nil {
			return err
		}
		r.addDigest(d, record.ComputedWhileReading)
	}
	return nil
}

func (r *run) addDigest(d record.Digest, computed string) {
	r.acq.Digests = append(r.acq.Digests, record.MediaDigest{Computed: computed, Digest: d})
	sortDigests(r.acq.Digests)
}

// media returns one of the digests of the media stream.
func (r *run) media(alg record.Algorithm) record.Digest {
	for _, d := range r.acq.Digests {
		if d.Digest.Algorithm() == alg {
			return d.Digest
		}
	}
	return record.Digest{}
}

// causeOf names why a run ended, for the record of the one that goes on.
func causeOf(err error) string {
	_, destination := errors.AsType[*DestinationError](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return record.CauseInterrupted
	case errors.Is(err, medium.ErrLost):
		return record.CauseLost
	case errors.Is(err, rescue.ErrTooManyBad):
		return record.CauseLimit
	case destination:
		return record.CauseDestination
	}
	return record.CauseError
}
