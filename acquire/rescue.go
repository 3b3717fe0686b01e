package acquire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/rescue"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// rescuing is the part of a run after the first read error.
type rescuing struct {
	first     int64      // bytes that were read in order before it
	midstates []Midstate // after these
	m         *image.Map
	groups    *groups
	saved     time.Time
	unsaved   int64 // bytes read since then
}

// startRescuing leaves the reading in order, at r.position, where a read failed.
func (r *run) startRescuing(ctx context.Context, cause error) error {
	if err := r.pending.wait(); err != nil {
		return err
	}
	r.logError(cause)
	q := &rescuing{first: r.position}
	var err error
	if q.midstates, err = r.midstates(); err != nil {
		return err
	}
	if q.m, err = image.NewMap(r.size, image.MapLimits{}); err != nil {
		return err
	}
	if q.first > 0 {
		err = q.m.Set(0, q.first, image.Finished)
	}
	if bad, ok := errors.AsType[*ReadError](cause); ok && err == nil && bad.Offset >= q.first && bad.SizeBytes > 0 {
		err = q.m.Set(bad.Offset, min(bad.SizeBytes, r.size-bad.Offset), image.NonTrimmed)
	}
	if err != nil {
		return err
	}
	if err := r.each(func(d *dest) error { return d.image.Extend(r.size) }); err != nil {
		return err
	}
	r.rescue, r.acq.Mode = q, record.ModeRescue
	q.groups = &groups{r: r, number: -1}
	if err := r.saveRescue(record.CauseUnknown); err != nil {
		return err
	}
	return r.runRescue(ctx)
}

// runRescue reads what the map does not call finished.
func (r *run) runRescue(ctx context.Context) error {
	if err := r.phase(PhaseRescuing, r.size); err != nil {
		return err
	}
	q := r.rescue
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	res, err := rescue.Run(ctx, source{r.m}, q.groups, q.m, rescue.Options{
		SectorBytes: r.m.SectorBytes(), Retries: int(r.opts.Retries), MaxBadBytes: r.opts.MaxBadBytes, SlowRelative: true,
		Event: func(e rescue.Event) {
			if err := r.rescueEvent(e); err != nil {
				cancel(err)
			}
		},
	})
	r.acq.Unread.RecoveredBytes += res.RecoveredBytes
	for _, part := range res.Recovered {
		if err := r.event(JournalEvent{Event: EventRecovered, Offset: part.Offset, SizeBytes: part.SizeBytes}); err != nil {
			return err
		}
	}
	if err == nil {
		err = r.m.CheckEnd()
	}
	if err != nil {
		r.logError(err)
		return errors.Join(err, r.saveRescue(causeOfRescue(err)))
	}
	return r.completeRescue()
}

func causeOfRescue(err error) string {
	if errors.Is(err, rescue.ErrTooManyBad) {
		return record.CauseLimit
	}
	return causeOf(err)
}

// rescueEvent is called after each read.
func (r *run) rescueEvent(e rescue.Event) error {
	q := r.rescue
	if r.opts.Progress != nil {
		t := e.Totals
		r.opts.Progress.Doing(e.Name(), t.NonTried.SizeBytes+t.NonTrimmed.SizeBytes+t.NonScraped.SizeBytes+t.Bad.SizeBytes)
		r.opts.Progress.Done(t.Finished.SizeBytes)
	}
	q.unsaved += e.SizeBytes
	since := time.Since(q.saved)
	enough := q.unsaved >= stretchBytes && since >= stretchTime || since >= rescueTime
	if r.opts.StretchBytes > 0 {
		enough = q.unsaved >= r.opts.StretchBytes
	}
	if !enough {
		return nil
	}
	return r.saveRescue(record.CauseUnknown)
}

// rescueTime is the longest between two saves: what slow reads got is dear.
const rescueTime = 10 * time.Second

// saveRescue makes everything durable, and then the map that says so.
func (r *run) saveRescue(cause string) error {
	q := r.rescue
	if err := q.groups.flush(); err != nil {
		return err
	}
	var text bytes.Buffer
	comment := fmt.Sprintf("Mapfile. Created by %s %s", r.opts.Tool.Name, r.opts.Tool.Version)
	if err := q.m.Encode(&text, []string{comment}); err != nil {
		return err
	}
	err := r.each(func(d *dest) error {
		if err := d.image.Flush()(); err != nil {
			return err
		}
		if err := d.tree.Sync(); err != nil {
			return err
		}
		return d.root.Replace(layout.MapName(r.name), text.Bytes())
	})
	if err != nil {
		return err
	}
	s, err := r.state(PhaseRescuing)
	if err != nil {
		return err
	}
	s.Cause = cause
	q.saved, q.unsaved = time.Now(), 0
	return r.keep(s)
}

// completeRescue ends a reading with read errors: what could not be read is zeros.
func (r *run) completeRescue() error {
	q := r.rescue
	if err := q.groups.complete(); err != nil {
		return err
	}
	if err := r.saveRescue(record.CauseUnknown); err != nil {
		return err
	}
	bad := q.m.Total(image.Bad)
	if bad.SizeBytes+q.m.Total(image.Finished).SizeBytes != r.size {
		return errors.New("the rescue ended before it had tried everything")
	}
	r.acq.Unread.Bytes, r.acq.Unread.Ranges = bad.SizeBytes, int64(bad.Ranges)
	if err := r.complete(); err != nil {
		return err
	}
	r.addDigest(record.BLAKE3Digest(r.root), record.ComputedWhileReading)
	return nil
}

// source is the medium as a rescue reads it.
type source struct{ m *medium.Medium }

func (s source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.m.ReadAt(p, off)
	if _, bad := errors.AsType[*ReadError](err); bad && !errors.Is(err, medium.ErrLost) && !errors.Is(err, ErrMediumChanged) {
		err = fmt.Errorf("%w: %w", rescue.ErrUnreadable, err)
	}
	return n, err
}

// groups puts what a rescue reads into images and tree. A group that is read in pieces is kept until another one comes;
// read back later, for a sector that was recovered, it must be what the tree says.
type groups struct {
	r       *run
	number  int64 // of the group in block; negative: none
	block   []byte
	changed bool
	stale   bool // the images may hold bytes, of a run that was killed, of groups that have no value
}

func (g *groups) size(group int64) int64 {
	return min(hashtree.GroupSize, g.r.size-group*hashtree.GroupSize)
}

func (g *groups) value(group int64, block []byte) hashtree.Value {
	if g.r.size <= hashtree.GroupSize {
		return hashtree.Root(block)
	}
	return hashtree.Sum(block, group)
}

// Store implements rescue.Sink.
func (g *groups) Store(off int64, p []byte) error {
	for len(p) > 0 {
		group := off / hashtree.GroupSize
		from := off - group*hashtree.GroupSize
		part := p[:min(int64(len(p)), g.size(group)-from)]
		if err := g.store(group, from, part); err != nil {
			return err
		}
		off += int64(len(part))
		p = p[len(part):]
	}
	return nil
}

func (g *groups) store(group, from int64, p []byte) error {
	if from == 0 && int64(len(p)) == g.size(group) {
		if err := g.flush(); err != nil {
			return err
		}
		g.number = -1
		if err := g.write(group, 0, p); err != nil {
			return err
		}
		return g.put(group, g.value(group, p))
	}
	if err := g.load(group); err != nil {
		return err
	}
	copy(g.block[from:], p)
	g.changed = true
	return g.write(group, from, p)
}

func (g *groups) write(group, from int64, p []byte) error {
	return g.r.each(func(d *dest) error {
		_, err := d.image.WriteAt(p, group*hashtree.GroupSize+from)
		return err
	})
}

func (g *groups) put(group int64, v hashtree.Value) error {
	if g.r.tree.Has(group) {
		return g.r.tree.Replace(group, v)
	}
	return g.r.tree.Put(group, v)
}

// flush gives the tree the value of the group that is kept.
func (g *groups) flush() error {
	if g.number < 0 || !g.changed {
		return nil
	}
	g.changed = false
	return g.put(g.number, g.value(g.number, g.block))
}

// load makes group the one that is kept.
func (g *groups) load(group int64) error {
	if group == g.number {
		return nil
	}
	if err := g.flush(); err != nil {
		return err
	}
	g.number = -1
	g.block = append(g.block[:0], make([]byte, g.size(group))...)
	if !g.r.tree.Has(group) {
		g.number = group
		if g.stale {
			return g.write(group, 0, g.block)
		}
		return nil
	}
	want, err := g.r.tree.Value(group)
	if err != nil {
		return err
	}
	err = g.r.each(func(d *dest) error {
		if _, err := d.image.ReadAt(g.block, group*hashtree.GroupSize); err != nil {
			return err
		}
		if g.value(group, g.block) != want {
			off := group * hashtree.GroupSize
			return &RereadError{Dir: d.partial(), Ranges: []Range{{off, g.size(group)}}}
		}
		return nil
	})
	if err == nil {
		g.number = group
	}
	return err
}

// complete gives a value to the groups of which nothing was read.
func (g *groups) complete() error {
	if err := g.flush(); err != nil {
		return err
	}
	g.number = -1
	zeros := make([]byte, hashtree.GroupSize)
	for group := range hashtree.Groups(g.r.size) {
		if g.r.tree.Has(group) {
			continue
		}
		block := zeros[:g.size(group)]
		if g.stale {
			if err := g.write(group, 0, block); err != nil {
				return err
			}
		}
		if err := g.r.tree.Put(group, g.value(group, block)); err != nil {
			return err
		}
	}
	return nil
}

var _ io.ReaderAt = source{}
