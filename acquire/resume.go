package acquire

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// ErrOtherMedium says that the medium is not the one that the acquisition was begun with.
var ErrOtherMedium = errors.New("this is not the medium that the acquisition was begun with")

// ResumeOptions say how an interrupted acquisition goes on. What it was begun with stands in its State. State, Resumption
// and Clock are required.
type ResumeOptions struct {
	State      State
	Resumption record.Resumption
	Openings   record.Openings // those of State, and of the commitments in Resumption
	// TakeOver is the image that is being taken over, until all of it is copied. Its Despite means nothing here.
	TakeOver *TakeOver
	// Despite lets it go on although sampled groups of the medium read differently, as they may on an SSD.
	Despite bool
	OnError string // another choice than the one it was begun with; "": none. It changes nothing in a rescue
	Retries int64  // more of them than it was begun with; fewer change nothing
	// MaxBadBytes is not taken over from the first run, which may have ended for it. 0: no bound.
	MaxBadBytes int64
	Clock       record.Clock
	Progress    Progress
	Stats       *Stats // as in Options
	Attest      func(message []byte) ([]byte, error)

	StretchBytes int64 // as in Options
}

// Resume goes on with an interrupted acquisition at the destinations that have its folder. State is that of the first of
// them; of two, that is the one with the newer State (Behind): a second one that lags by more than one State was lost
// before, and is lost again. The caller has checked State.Attested. Nothing that is safe is read again, but for a few
// samples, to know the medium. m may be nil in the phase PhaseRereading.
//
// Errors: ErrOtherMedium, ErrNotResumable, ErrTakeOver, image.ErrPartial, and those of Acquire.
func Resume(ctx context.Context, m *medium.Medium, destinations []Destination, opts ResumeOptions) (Result, error) {
	if err := opts.validate(len(destinations)); err != nil {
		return Result{}, err
	}
	if err := opts.State.sameTakeOver(opts.TakeOver); err != nil {
		return Result{}, err
	}
	r, err := prepareResume(m, destinations, opts)
	if err != nil {
		return Result{}, err
	}
	again := func(context.Context) error { return r.reopen(opts) }
	read := func(ctx context.Context) error {
		if r.position != r.size || len(r.acq.Digests) == 0 {
			return r.read(ctx)
		}
		if opts.State.Phase != PhaseRereading { // all is read, and image and tree are finished; the drive was not asked again yet
			r.acq.Medium = r.m.After(r.acq.Medium)
		}
		return nil
	}
	return r.run(ctx, again, read, r.reread, r.finish)
}

func (o *ResumeOptions) validate(destinations int) error {
	switch {
	case destinations < 1 || destinations > 2:
		return fmt.Errorf("%w: %d destinations", ErrOptions, destinations)
	case o.Clock == nil:
		return fmt.Errorf("%w: no clock", ErrOptions)
	case o.Retries < 0 || o.Retries > maxRetries || o.MaxBadBytes < 0:
		return fmt.Errorf("%w: %d retries, at most %d bad bytes", ErrOptions, o.Retries, o.MaxBadBytes)
	case o.OnError != "" && !slices.Contains(onErrorWords, o.OnError):
		return fmt.Errorf("%w: on error %.40q", ErrOptions, o.OnError)
	}
	return nil
}

func prepareResume(m *medium.Medium, destinations []Destination, opts ResumeOptions) (*run, error) {
	s := opts.State
	a := s.Acquisition
	s.Circumstances.Resumptions = append(s.Circumstances.Resumptions, opts.Resumption)
	r := &run{m: m, size: a.Medium.SizeBytes, acq: a, position: s.SafeBytes, previous: []record.Digest{s.digest()}, writable: s.WritableBefore, opts: Options{
		Exhibit: s.Exhibit, ID: a.ID, Format: a.Format, Compression: a.Options.Compression, SegmentBytes: a.Options.SegmentBytes, Extra: a.Options.ExtraDigests,
		Tool: a.Tool, Host: a.Host, Circumstances: s.Circumstances, Openings: opts.Openings, Clock: opts.Clock, Progress: opts.Progress,
		Stats: opts.Stats, Attest: opts.Attest, StretchBytes: opts.StretchBytes,
	}}
	o := &r.acq.Options
	if opts.OnError != "" && a.Mode != record.ModeRescue {
		o.OnError = opts.OnError
		o.Reread = o.Reread || opts.OnError == record.OnErrorRescue // for the digests
	}
	if a.Mode == record.ModeInPlace && o.OnError != record.OnErrorInPlace || a.Format != record.FormatRaw && o.OnError == record.OnErrorRescue {
		return nil, fmt.Errorf("%w: on error %q does not fit format %q in mode %q", ErrOptions, o.OnError, a.Format, a.Mode)
	}
	o.Retries, o.MaxBadBytes = max(o.Retries, opts.Retries), opts.MaxBadBytes
	if o.OnError == record.OnErrorInPlace && o.MaxBadBytes == 0 {
		o.MaxBadBytes = DefaultInPlaceBytes
	}
	r.opts.OnError, r.opts.Reread, r.opts.Retries, r.opts.MaxBadBytes = o.OnError, o.Reread, o.Retries, o.MaxBadBytes
	var err error
	if r.name, err = layout.Encode(s.Exhibit); err != nil {
		return nil, err
	}
	if len(a.Interruptions) >= record.MaxInterruptions {
		return nil, fmt.Errorf("%w: it was interrupted %d times", ErrNotResumable, len(a.Interruptions))
	}
	// The record names where the acquisition is finished: not one that is left out, nor in another order than r.dests.
	r.acq.Destinations = nil
	for _, d := range destinations {
		d := &dest{Destination: d, id: a.ID, about: medium.DescribeDestination(d.Dir)}
		if m != nil {
			if err := m.CheckDestination(d.Dir); err != nil {
				return nil, err
			}
		}
		if d.space, err = lookAtSpace(d.Dir); err != nil {
			return nil, fmt.Errorf("destination %q: %w", d.Dir, err)
		}
		r.dests = append(r.dests, d)
		r.acq.Destinations = append(r.acq.Destinations, d.about)
	}
	if s.Phase != PhaseRereading {
		if err := r.sameMedium(); err != nil {
			return nil, err
		}
	}
	return r, r.checkAgain(len(s.Taken) > 0)
}

// checkAgain makes before the first byte the checks that Acquire makes: room for what is missing, and that a record of it can
// be encoded.
func (r *run) checkAgain(taking bool) error {
	names, err := r.imageNames()
	if err != nil {
		return err
	}
	for _, d := range r.dests {
		for name := range names {
			n, there := allocated(filepath.Join(d.partial(), name))
			if !there {
				break
			}
			d.have += n
		}
		n, _ := allocated(filepath.Join(d.partial(), layout.TreeName(r.name)))
		d.have += n
	}
	segments, err := r.plan()
	if errors.Is(err, ErrSpace) && len(r.dests) > 1 {
		err = &medium.HintError{Err: err, Text: "make room, or go on at the other destination alone"}
	}
	if err != nil {
		return err
	}
	return r.rehearse(segments, taking)
}

// imageNames are those that the image's files can have, in order.
func (r *run) imageNames() (iter.Seq[string], error) {
	if r.e01() {
		return func(yield func(string) bool) {
			for n := 1; n <= ewf.MaxSegments; n++ {
				if ext, err := ewf.SegmentExtension(n); err != nil || !yield(r.name+ext) {
					return
				}
			}
		}, nil
	}
	segments, err := image.Plan(r.name, r.size, r.opts.SegmentBytes)
	if err != nil {
		return nil, err
	}
	return func(yield func(string) bool) {
		for _, s := range segments {
			if !yield(s.Name) {
				return
			}
		}
	}, nil
}

// reopen opens what the interrupted run left, and writes into the record that it was interrupted.
func (r *run) reopen(opts ResumeOptions) error {
	s := opts.State
	r.newHashes()
	if err := r.reopenFolders(&s); err != nil {
		return err
	}
	if s.Phase != PhaseRereading {
		if err := r.restore(&s); err != nil {
			return err
		}
	}
	if err := r.resumeInPlace(&s); err != nil {
		return err
	}
	if s.Phase == PhaseRescuing || s.Acquisition.Mode == record.ModeRescue {
		r.rescue = &rescuing{first: s.SafeBytes, midstates: s.Midstates, groups: &groups{r: r, number: -1, stale: true}}
		if err := errors.Join(r.readMap(&s), r.resumeTaking(&s, opts.TakeOver)); err != nil {
			return err
		}
	}
	if r.everythingRead(&s) {
		if err := r.interrupted(s, 0, 0); err != nil {
			return err
		}
		return r.finishLeft(&s)
	}
	if err := r.each(func(d *dest) error { return d.reopenTree(r) }); err != nil {
		return err
	}
	if err := r.tree.Resume(0, s.SafeBytes/hashtree.GroupSize); err != nil {
		return err
	}
	if r.rescue != nil {
		if err := r.each(func(d *dest) error { return d.reopenImage(r) }); err != nil {
			return err
		}
	}
	sampled, differing, err := r.sample(opts.Despite)
	if err != nil {
		return err
	}
	if err := r.interrupted(s, sampled, differing); err != nil {
		return err
	}
	if r.rescue != nil {
		return r.reconcile()
	}
	// The image is cut back last: another destination may have more in it, and a state that says so, until this one is kept
	// in its place. A medium that turns out to be another one must not cost that.
	return r.each(func(d *dest) error { return d.reopenImage(r) })
}

// everythingRead reports whether only the end of the reading is left to be done, which needs no medium.
func (r *run) everythingRead(s *State) bool {
	switch s.Phase {
	case PhaseReading:
		return s.SafeBytes == r.size
	case PhaseRescuing:
		m := r.rescue.m
		return m.State().Phase == image.PhaseFinished && m.Total(image.Bad).SizeBytes+m.Total(image.Finished).SizeBytes == r.size
	}
	return true
}

// finishLeft finishes image and tree where the interrupted run did not.
func (r *run) finishLeft(s *State) error {
	var roots []hashtree.Value
	err := r.each(func(d *dest) error {
		root, err := d.finishLeft(r)
		if errors.Is(err, hashtree.ErrFormat) {
			err = &RereadError{Dir: d.partial(), Err: err}
		}
		if err != nil {
			return err
		}
		if s.Phase == PhaseRereading && r.media(record.BLAKE3) != record.BLAKE3Digest(root) || len(roots) > 0 && root != roots[0] {
			return &RereadError{Dir: d.partial(), Err: errors.New("the tree is not the one that was written")}
		}
		roots = append(roots, root)
		return nil
	})
	if err != nil {
		return err
	}
	r.root, r.position = roots[0], r.size
	if s.Phase == PhaseRereading {
		return nil
	}
	if r.rescue == nil {
		if err := r.endInPlace(); err != nil {
			return err
		}
		return r.keepDigests()
	}
	bad := r.rescue.m.Total(image.Bad)
	r.acq.Unread.Bytes, r.acq.Unread.Ranges = bad.SizeBytes, int64(bad.Ranges)
	r.addDigest(record.BLAKE3Digest(r.root), record.ComputedWhileReading)
	return nil
}

func (d *dest) finishLeft(r *run) (root hashtree.Value, err error) {
	if err := d.finishLeftImage(r); err != nil {
		return root, err
	}
	f, err := d.root.Reopen(layout.TreeName(r.name))
	if errors.Is(err, durable.ErrSealed) {
		return readRoot(d.root, layout.TreeName(r.name), r.size)
	}
	if err != nil {
		return root, err
	}
	w := hashtree.NewWriter(f)
	if r.size == 0 { // perhaps it was stopped before it had its only value
		err = w.Put(0, hashtree.Root(nil))
	} else {
		err = w.Resume(0, hashtree.Groups(r.size))
	}
	if err == nil {
		root, err = w.Finish(r.size)
	}
	if err == nil {
		err = f.Seal()
	}
	return root, errors.Join(err, f.Abort())
}

// finishLeftImage ends the image of a medium that was read to its end.
func (d *dest) finishLeftImage(r *run) (err error) {
	switch {
	case !r.e01():
		d.image, err = image.ResumeExtended(d.root, d.imageOptions(r), r.size)
	case r.m == nil: // it was ended, too
		d.segments, err = findE01(d.root, r.name)
		return err
	default:
		d.e01, err = ewf.ResumeWriter(d.root, r.e01Options(d.space.fileBytes), r.size)
	}
	if err != nil {
		return err
	}
	return d.finishImage(r)
}

func readRoot(root *durable.Root, name string, size int64) (hashtree.Value, error) {
	f, err := root.Open(name)
	if err != nil {
		return hashtree.Value{}, err
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	tree, err := hashtree.Open(f, hashtree.FileSize(size))
	if err != nil {
		return hashtree.Value{}, err
	}
	return tree.Root(), nil
}

func (d *dest) reopenTree(r *run) (err error) {
	if d.tree, err = d.root.Reopen(layout.TreeName(r.name)); err != nil {
		return err
	}
	return r.hasValues(d.tree)
}

// reopenImage cuts an image that is written in order back to what is safe.
func (d *dest) reopenImage(r *run) (err error) {
	switch {
	case r.e01():
		d.e01, err = ewf.ResumeWriter(d.root, r.e01Options(d.space.fileBytes), r.position)
	case r.rescue != nil:
		d.image, err = image.ResumeExtended(d.root, d.imageOptions(r), r.size)
	default:
		d.image, err = image.Resume(d.root, d.imageOptions(r), r.position)
	}
	return err
}

// hasValues requires a tree file to be as long as the groups need that were read.
func (r *run) hasValues(tree *durable.File) error {
	end := r.position
	if r.rescue != nil {
		end = 0
		if last, ok := r.rescue.m.Prev(r.size, image.Finished); ok {
			end = last.End()
		}
	}
	n, err := tree.Size()
	if err == nil && end > 0 && n < hashtree.FileSize(end) {
		err = fmt.Errorf("%w: the tree has %d bytes, %d were durable", image.ErrPartial, n, hashtree.FileSize(end))
	}
	return err
}

// interrupted enters the interruption into record and journal, and keeps both at once: if this run is killed too, the
// next one has two to tell of.
func (r *run) interrupted(s State, sampled, differing int64) error {
	r.acq.Interruptions = append(r.acq.Interruptions, record.Interruption{
		Cause: s.Cause, Phase: s.Phase, Resumed: r.opts.Clock(), SafeBytes: s.SafeBytes, Sampled: sampled, Differing: differing,
		Stopped: stopped(s),
	})
	if err := r.event(JournalEvent{Event: EventResumed, SizeBytes: s.SafeBytes, Text: s.Cause}); err != nil {
		return err
	}
	if s.Phase == PhaseRescuing {
		return r.saveMap(s.Phase, record.CauseUnknown)
	}
	now, err := r.state(s.Phase)
	if err != nil {
		return err
	}
	return r.keep(now)
}

func stopped(s State) record.Fact[record.Time] {
	if s.Cause == record.CauseUnknown {
		return record.Unknown[record.Time]("the run was killed or the power was cut; it was at work at " + s.Saved.UTC)
	}
	return record.Known(s.Saved)
}
