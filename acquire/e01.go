package acquire

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

var e01Levels = map[string]ewf.Level{
	record.CompressionNone: ewf.None, record.CompressionFast: ewf.Fast, record.CompressionBest: ewf.Best,
}

// firstE01 ends the name of an image's first file.
const firstE01 = ".E01"

// e01 is whether the image is an E01. Then every destination has a Writer of that, and raw is nil.
func (r *run) e01() bool { return r.acq.Format == record.FormatE01 }

// sectorBytes is the medium's logical sector, also where the medium is not needed any more.
func (r *run) sectorBytes() int64 {
	if r.copying != nil {
		return r.copying.sector
	}
	if n, ok := r.acq.Medium.LogicalSectorBytes.Get(); ok {
		return n
	}
	return 512
}

// checkE01 makes the checks of this format that can be made before the first byte. It says how many bytes a destination
// needs at worst, and how large a file gets.
func (r *run) checkE01(maxFileBytes int64) (ewf.Plan, error) {
	if r.size <= 0 {
		return ewf.Plan{}, &medium.HintError{
			Err:  fmt.Errorf("%w: an E01 image says in its first lines how long the medium is, at least one sector", ErrOptions),
			Text: "say how many bytes the stream has with --size, or take another format: --format raw",
		}
	}
	p, err := ewf.NewPlan(r.size, int(r.sectorBytes()), r.opts.SegmentBytes, maxFileBytes)
	switch {
	case errors.Is(err, ewf.ErrValue):
		return ewf.Plan{}, &medium.HintError{Err: fmt.Errorf("%w: %w", ErrOptions, err), Text: "take another format: --format raw"}
	case errors.Is(err, ewf.ErrSegments):
		return ewf.Plan{}, fmt.Errorf("%w: %w", ErrSegments, err)
	case errors.Is(err, ewf.ErrFileTooLarge):
		return ewf.Plan{}, fmt.Errorf("%w: %w", ErrFileTooLarge, err)
	case err == nil && p.Segments > record.MaxFiles-maxBeside:
		return ewf.Plan{}, fmt.Errorf("%w: up to %d segments of %d bytes are more than a record lists, %d; let each be larger",
			ErrSegments, p.Segments, p.SegmentBytes, record.MaxFiles-maxBeside)
	}
	return p, err
}

// maxBeside are the files of a record that are no image.
const maxBeside = 8

// e01Options are the same whenever they are asked for, and at both destinations.
func (r *run) e01Options(maxFileBytes int64) ewf.WriterOptions {
	about := r.acq.Medium
	set := sha256.Sum256([]byte("exhibit-e01-set-v1\n" + r.acq.ID))
	o := ewf.WriterOptions{Name: r.name, SizeBytes: r.size, SectorBytes: int(r.sectorBytes()), SegmentBytes: r.opts.SegmentBytes,
		MaxFileBytes: maxFileBytes, Level: e01Levels[r.acq.Options.Compression], SetID: [16]byte(set[:16]), Header: r.opts.Labels}
	h := &o.Header
	h.Evidence = r.opts.Exhibit
	h.AcquiredSoftwareVersion, h.OS = r.acq.Tool.Version, r.acq.Host.OS
	if kernel, ok := r.acq.Host.Kernel.Get(); ok {
		h.OS += " " + kernel
	}
	if t, err := r.acq.Started.Moment(); err == nil {
		h.Acquired, h.System = t, t
	}
	if hardware, ok := about.Hardware.Get(); ok {
		h.Model, _ = hardware.Model.Get()
		h.Serial, _ = hardware.Serial.Get()
		o.Removable, _ = hardware.Removable.Get()
	}
	if c := r.copying; c != nil {
		o.Physical = c.physical
		if t, err := c.source.Acquired.Moment(); err == nil {
			h.Acquired = t
		}
	} else {
		o.Physical = r.m.WholeDisk()
	}
	for _, f := range []struct {
		text *string
		max  int
	}{{&h.Case, ewf.MaxText}, {&h.Evidence, ewf.MaxText}, {&h.Description, ewf.MaxText}, {&h.Examiner, ewf.MaxText}, {&h.Notes, ewf.MaxText},
		{&h.Model, ewf.MaxText}, {&h.Serial, ewf.MaxText}, {&h.AcquiredSoftwareVersion, ewf.MaxSoftwareVersion}, {&h.OS, ewf.MaxOS}} {
		*f.text = headerText(*f.text, f.max)
	}
	return o
}

// headerText is as much of a text as the header of an E01 takes. The whole of it stands in the record.
func headerText(s string, maxRunes int) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == unicode.ReplacementChar {
			return ' '
		}
		return c
	}, s)
	if runes := []rune(s); len(runes) > maxRunes {
		s = string(runes[:maxRunes])
	}
	return strings.TrimSpace(s)
}

// newEncoder makes what compresses for every destination at once.
func (r *run) newEncoder() (err error) {
	if !r.e01() {
		return nil
	}
	r.encoder, err = ewf.NewCompressor(e01Levels[r.acq.Options.Compression], ewf.SectorsPerChunk*int(r.sectorBytes()), 0)
	return err
}

// e01Sink compresses once and writes to every destination.
type e01Sink struct{ r *run }

// Write puts the next bytes of the medium into the images.
func (s e01Sink) Write(p []byte) (int, error) {
	stats := s.r.opts.Stats
	begun := stats.clock()
	chunks, err := s.r.encoder.Encode(p)
	begun = stats.since(begun, PartDeflate, len(p))
	if err == nil {
		err = s.r.each(func(d *dest) error { return d.e01.Append(chunks) })
		stats.since(begun, PartWrite, len(p))
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// e01Trailer is what stands at the end of the last segment: digests that were computed while reading, and unread ranges.
func (r *run) e01Trailer() ewf.Trailer {
	var t ewf.Trailer
	for i, alg := range r.algorithms() {
		switch alg {
		case record.MD5:
			t.MD5 = r.linear[i].Sum(nil)
		case record.SHA1:
			t.SHA1 = r.linear[i].Sum(nil)
		}
	}
	if t.MD5 == nil { // the section that has a SHA-1 has a place for both, and zeros there would be a false MD5
		t.SHA1 = nil
	}
	if r.inPlace != nil {
		t.Unread = r.unreadSectors(r.sectorBytes())
	}
	return t
}

// unreadSectors are the places that a reading in place, or the one that is copied, could not read.
func (r *run) unreadSectors(sector int64) (out []ewf.Range) {
	for _, b := range r.inPlace.bad {
		out = append(out, ewf.Range{FirstSector: b.Offset / sector, Sectors: b.SizeBytes / sector})
	}
	return out
}

// finishE01 ends the image of a destination.
func (d *dest) finishE01(r *run) error {
	res, err := d.e01.Finish(r.e01Trailer())
	if err != nil {
		return err
	}
	d.segments = segmentsOf(res.Segments)
	d.omitted = len(res.OmittedUnread)
	return nil
}

func segmentsOf(in []ewf.Segment) []image.Segment {
	out := make([]image.Segment, len(in))
	for i, s := range in {
		out[i] = image.Segment(s)
	}
	return out
}

// findE01 lists the segments of an image that an interrupted run had ended.
func findE01(root *durable.Root, name string) ([]image.Segment, error) {
	names, err := ewf.Find(root.FS(), name+firstE01)
	if err != nil {
		return nil, err
	}
	r, err := ewf.Open(root.FS(), names)
	if err != nil {
		return nil, err
	}
	segments := segmentsOf(r.Segments())
	return segments, r.Close()
}

// tellOmitted writes into the journal that error2 does not list every unread range.
func (r *run) tellOmitted() error {
	if n := r.alive()[0].omitted; n > 0 {
		return r.event(JournalEvent{Event: EventOmitted, SizeBytes: int64(n), Text: "unread ranges that the image's list of errors cannot hold; record and map have all"})
	}
	return nil
}

// checkStreamSize requires a stream to be as long as was said, before a byte too many gets into the image.
func (r *run) checkStreamSize(n int64, ended bool) error {
	if !r.e01() || n < r.size && !ended || n == r.size {
		return nil
	}
	what := "goes on after"
	if n < r.size {
		what = fmt.Sprintf("ends after %d of", n)
	}
	return fmt.Errorf("the stream %s the %d bytes that were announced: %w", what, r.size, ErrMediumChanged)
}
