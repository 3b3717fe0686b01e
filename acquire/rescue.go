package acquire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/rescue"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// rescuing is the part of a run after the first read error.
type rescuing struct {
	first     int64      // bytes that were read in order before it
	midstates []Midstate // after these
	m         *image.Map
	maps      []SavedMap // for the state: those of which one lies in the folders
	groups    *groups
	saved     time.Time
	unsaved   int64         // bytes read since then
	failed    []image.Range // reads that failed since the medium last gave anything
	recovered []image.Range // on retry, and not in journal and record yet
}

// startRescuing leaves the reading in order, at r.position, where a read failed.
func (r *run) startRescuing(ctx context.Context, cause error) error {
	if err := r.pending.wait(); err != nil {
		return err
	}
	if err := r.stillReads(); err != nil {
		return errors.Join(cause, err)
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
	if err := r.beginRescue(q); err != nil {
		return err
	}
	return r.runRescue(ctx)
}

// beginRescue makes room for all of the medium and saves the first map.
func (r *run) beginRescue(q *rescuing) error {
	if err := r.each(func(d *dest) error { return d.image.Extend(r.size) }); err != nil {
		return err
	}
	r.rescue, r.acq.Mode = q, record.ModeRescue
	q.groups = &groups{r: r, number: -1}
	return r.saveRescue(record.CauseUnknown)
}

// enough says that it is time to save: as much was read as a second, or ten seconds, give. A test sets stretchBytes.
func (q *rescuing) enough(testBytes int64) bool {
	if testBytes > 0 {
		return q.unsaved >= testBytes
	}
	since := time.Since(q.saved)
	return q.unsaved >= stretchBytes && since >= stretchTime || since >= rescueTime
}

// runRescue reads what the map does not call finished.
func (r *run) runRescue(ctx context.Context) error {
	if err := r.phase(PhaseRescuing, r.size); err != nil {
		return err
	}
	r.watchTemperature()
	q := r.rescue
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := rescue.Run(ctx, source{r.m}, q.groups, q.m, rescue.Options{
		SectorBytes: r.m.SectorBytes(), Retries: int(r.opts.Retries), MaxBadBytes: r.opts.MaxBadBytes, SlowRelative: true,
		Event: func(e rescue.Event) {
			if err := r.rescueEvent(e); err != nil {
				cancel(err)
			}
		},
	})
	if err == nil {
		err = r.m.CheckEnd()
	}
	// Where the context ended, a read that was not waited for may still be under way: the medium must not get another.
	if len(q.failed) > 0 && ctx.Err() == nil {
		err = errors.Join(err, r.stillReads())
	}
	if err != nil {
		r.logError(err)
		return errors.Join(err, q.takeBack(r.opts.Retries), r.saveRescue(causeOf(err)))
	}
	return r.completeRescue()
}

// rescueEvent is called after each read.
func (r *run) rescueEvent(e rescue.Event) error {
	q := r.rescue
	if r.opts.Progress != nil {
		t := e.Totals
		r.opts.Progress.Doing(e.Name(), t.NonTried.SizeBytes+t.NonTrimmed.SizeBytes+t.NonScraped.SizeBytes+t.Bad.SizeBytes)
		r.opts.Progress.Done(t.Finished.SizeBytes)
	}
	r.readCameBack()
	q.note(e)
	if e.Err == nil && r.taking != nil {
		r.taking.gave(e.Offset)
	}
	enough := q.enough(r.opts.StretchBytes)
	if len(q.failed) > 0 && (enough || len(q.failed) >= maxFailed) {
		if err := r.stillReads(); err != nil {
			return err
		}
		q.failed = q.failed[:0]
	}
	if !enough {
		return nil
	}
	return r.saveRescue(record.CauseUnknown)
}

// note keeps what is yet to be said of a read.
func (q *rescuing) note(e rescue.Event) {
	q.unsaved += e.SizeBytes
	part := image.Range{Offset: e.Offset, SizeBytes: e.SizeBytes}
	if e.Err != nil {
		q.failed = append(q.failed, part)
		return
	}
	q.failed = q.failed[:0]
	if e.Phase != image.PhaseRetrying {
		return
	}
	if n := len(q.recovered); n > 0 { // retries go forwards and backwards in turn
		switch last := &q.recovered[n-1]; {
		case last.End() == part.Offset:
			last.SizeBytes += part.SizeBytes
			return
		case part.End() == last.Offset:
			last.Offset, last.SizeBytes = part.Offset, last.SizeBytes+part.SizeBytes
			return
		}
	}
	q.recovered = append(q.recovered, part)
}

// rescueTime is the longest between two saves: what slow reads got is dear.
const rescueTime = 10 * time.Second

// saveRescue makes everything durable, and then the map that says so. The values of groups that an older map knows come
// after the bytes they are of, so that whatever a kill or a power cut leaves of both fits one of the two maps.
func (r *run) saveRescue(cause string) error {
	q := r.rescue
	if err := r.each(func(d *dest) error { return d.image.Flush()() }); err != nil {
		return err
	}
	if err := q.groups.settle(); err != nil {
		return err
	}
	if err := r.each(func(d *dest) error { return d.tree.Sync() }); err != nil {
		return err
	}
	if err := r.tellRecovered(); err != nil {
		return err
	}
	q.saved, q.unsaved = time.Now(), 0
	return r.saveMap(PhaseRescuing, cause)
}

// saveMap writes the state and then the map to every destination. The state names the map that lies there until then, too,
// so that nobody can put another one into its place.
func (r *run) saveMap(phase, cause string) error {
	q := r.rescue
	text, err := r.mapText(q.m)
	if err != nil {
		return err
	}
	before := q.maps[max(0, len(q.maps)-1):]
	q.maps = append(slices.Clone(before), SavedMap{digestsOf(text)[0], r.acq.Unread.RecoveredBytes})
	s, err := r.state(phase)
	if err != nil {
		return err
	}
	s.Cause = cause
	if err := r.keep(s); err != nil {
		return err
	}
	err = r.each(func(d *dest) error { return d.root.Replace(layout.MapName(r.name), text) })
	q.maps = q.maps[len(before):]
	return err
}

func (r *run) mapText(m *image.Map) ([]byte, error) {
	var text bytes.Buffer
	comment := fmt.Sprintf("Mapfile. Created by %s %s", r.opts.Tool.Name, r.opts.Tool.Version)
	err := m.Encode(&text, []string{comment})
	return text.Bytes(), err
}

// The journal has a bound, and a run must never fail for it: when it is half full, recovered ranges are told together, one line
// a save; when it is nearly full, not at all. The record counts all of them.
const (
	listRecoveredTo = layout.MaxJournal / 2
	tellRecoveredTo = layout.MaxJournal - 16<<20
)

// tellRecovered puts what was read on retry into journal and record.
func (r *run) tellRecovered() error {
	q := r.rescue
	parts := q.recovered
	q.recovered = nil
	for _, part := range parts {
		r.acq.Unread.RecoveredBytes += part.SizeBytes
	}
	return r.tell(parts)
}

func (r *run) tell(parts []image.Range) error {
	for i, part := range parts {
		if r.lines.size > listRecoveredTo {
			return r.tellTogether(parts[i:])
		}
		if err := r.event(JournalEvent{Event: EventRecovered, Offset: part.Offset, SizeBytes: part.SizeBytes}); err != nil {
			return err
		}
	}
	return nil
}

// tellTogether says between which places recovered ranges lie, and what they come to.
func (r *run) tellTogether(parts []image.Range) error {
	if r.lines.size > tellRecoveredTo {
		return nil
	}
	e := JournalEvent{Event: EventRecovered, Offset: parts[0].Offset}
	var end, sum int64
	for _, part := range parts {
		e.Offset, end, sum = min(e.Offset, part.Offset), max(end, part.End()), sum+part.SizeBytes
	}
	e.SizeBytes, e.Text = end-e.Offset, fmt.Sprintf("of these %d bytes, in %s", sum, rangesText(int64(len(parts))))
	return r.event(e)
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

var _ io.ReaderAt = source{}
