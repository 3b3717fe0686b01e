package acquire

import (
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const maxRetries = 1000

// onErrorWords are what Options.OnError may be.
var onErrorWords = []string{record.OnErrorRescue, record.OnErrorInPlace, record.OnErrorStop}

// reserveBytes stay free at a destination beside image and tree: for sums, journal, record, and the file system itself.
const reserveBytes = 16 << 20

// run is one acquisition on its way.
type run struct {
	m     *medium.Medium
	opts  Options
	name  string // of the files, without what follows the dot
	size  int64  // of the medium; -1 until it is known
	dests []*dest
	root  hashtree.Value // BLAKE3 of the medium, once read
	acq   record.Acquisition

	tree      *hashtree.Writer
	encoder   *ewf.Compressor // of an E01
	linear    []hash.Hash     // SHA-256, then Options.Extra
	position  int64           // up to which the medium was read in order
	drained   bool            // every consumer is at position
	rescue    *rescuing       // nil before the first read error
	inPlace   *inPlace        // nil unless OnError is that
	following *following      // of an E01 that is not read again
	mapped    []SavedMap      // in mode in-place, the map in the folders, once it is written
	warm      *thermometer    // nil where nobody wants to know
	writable  bool            // State.WritableBefore
	taking    *taking         // nil: nothing is taken over from another image
	pending   *background     // the checkpoint on its way
	copying   *copying        // nil unless it is an image that is read: then there is no medium, and no journal
	lines     journalLines
	saved     *State          // the last one kept
	previous  []record.Digest // of it, or of the one that this run goes on from

	mu sync.Mutex // guards dest.lost
}

// space is what the system says of a destination's file system.
type space struct {
	device    uint64
	freeBytes int64
	fileBytes int64 // the largest file; 0: no bound is known
	fileWhy   string
	reread    string // the most that a re-read can be there: one of record.RereadDirect ...
}

// prepare makes every check that can be made before the first byte, and changes nothing.
func prepare(m *medium.Medium, destinations []Destination, opts Options) (*run, error) {
	r := &run{m: m, opts: opts, size: -1}
	if n, known := m.Size(); known {
		r.size = n
	} else if opts.SizeBytes > 0 {
		r.size = opts.SizeBytes
	}
	if len(destinations) < 1 || len(destinations) > 2 {
		return nil, fmt.Errorf("%w: %d destinations", ErrOptions, len(destinations))
	}
	if err := r.checkOptions(); err != nil {
		return nil, err
	}
	if err := r.planTakeOver(); err != nil {
		return nil, err
	}
	for _, d := range destinations {
		d := &dest{Destination: d, id: opts.ID, about: medium.DescribeDestination(d.Dir)}
		if err := d.check(m); err != nil {
			return nil, err
		}
		r.dests = append(r.dests, d)
		r.acq.Destinations = append(r.acq.Destinations, d.about)
	}
	segments, err := r.plan()
	if err != nil {
		return nil, err
	}
	if err := r.rehearse(segments, r.taking != nil); err != nil {
		return nil, err
	}
	return r, nil
}

// plan says how the image is cut, and makes sure that every destination has room for it. Of an E01, whose files are as long
// as the medium can be compressed, one of the files there will be is named.
func (r *run) plan() ([]image.Segment, error) {
	if !r.e01() {
		segments, err := image.Plan(r.name, max(r.size, 0), r.opts.SegmentBytes)
		if err != nil {
			return nil, err
		}
		return segments, r.checkSpace(max(r.size, 0), segments[0].SizeBytes)
	}
	var plan ewf.Plan
	for _, d := range r.dests {
		p, err := r.checkE01(d.space.fileBytes)
		if errors.Is(err, ErrFileTooLarge) {
			err = d.wrap(err)
		}
		if err != nil {
			return nil, err
		}
		plan = p
	}
	need := int64(0) // what compressing leaves cannot be known; a full disk stops it, to be resumed
	if r.acq.Options.Compression == record.CompressionNone {
		need = plan.MaxBytes
	}
	return []image.Segment{{Name: r.name + firstE01, SizeBytes: r.size}}, r.checkSpace(need, 0)
}

func (r *run) checkOptions() (err error) {
	o := &r.opts
	if err := record.CheckExhibit(o.Exhibit); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if r.name, err = layout.Encode(o.Exhibit); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if !record.ValidAcquisitionID(o.ID) {
		return fmt.Errorf("%w: acquisition id %.60q", ErrOptions, o.ID)
	}
	if o.Clock == nil {
		return fmt.Errorf("%w: no clock", ErrOptions)
	}
	if o.OnError == "" {
		o.OnError = record.OnErrorStop
	}
	if o.OnError == record.OnErrorInPlace && o.MaxBadBytes == 0 {
		o.MaxBadBytes = DefaultInPlaceBytes
	}
	if err := o.checkFormat(); err != nil {
		return err
	}
	if o.Retries < 0 || o.Retries > maxRetries || o.MaxBadBytes < 0 || o.SpareBytes < 0 {
		return fmt.Errorf("%w: %d retries, at most %d bad bytes", ErrOptions, o.Retries, o.MaxBadBytes)
	}
	if !o.Reread && o.OnError == record.OnErrorRescue {
		return &medium.HintError{
			Err:  fmt.Errorf("%w: after a read error the image must be read again, for the digests", ErrOptions),
			Text: "leave out the switching off of the re-read, or stop at the first read error: --on-error stop",
		}
	}
	if !o.Reread && o.SegmentBytes != 0 && o.Format == record.FormatRaw {
		return &medium.HintError{
			Err:  fmt.Errorf("%w: an image in segments must be read again, for the digests of each segment", ErrOptions),
			Text: "leave out either the cutting into segments or the switching off of the re-read",
		}
	}
	about := r.m.Describe()
	if err := r.takeContainer(&about); err != nil {
		return err
	}
	o.Extra = slices.Sorted(slices.Values(o.Extra))
	for i, alg := range o.Extra {
		if newHash(alg) == nil || i > 0 && o.Extra[i-1] == alg {
			return fmt.Errorf("%w: extra digest %.20q is unknown, doubled, or computed in any case", ErrOptions, alg)
		}
	}
	about.Hardware = r.m.Ask()
	readOnly, known := about.Access.ReadOnlyBefore.Get()
	r.writable = known && !readOnly
	r.acq = record.Acquisition{
		Contents: record.Unknown[record.Contents]("it is looked at when all is read"),
		Format:   o.Format, Method: record.MethodPhysical, Mode: record.ModeSequential,
		ID: o.ID, Medium: about, Tool: o.Tool, Host: o.Host, Started: o.Clock(),
		Options: record.Options{Compression: o.Compression, ExtraDigests: o.Extra, MaxBadBytes: o.MaxBadBytes, OnError: o.OnError,
			Reread: o.Reread, Retries: o.Retries, SegmentBytes: o.SegmentBytes},
		Reread: record.Reread{Kind: record.RereadNone},
	}
	return nil
}

// checkFormat fills in what "" means of format and compression, and refuses what does not go together, OnError among it.
func (o *Options) checkFormat() error {
	if o.Format == "" {
		o.Format = record.FormatRaw
	}
	raw := o.Format == record.FormatRaw
	switch {
	case o.Compression != "":
	case raw:
		o.Compression = record.CompressionNone
	default:
		o.Compression = record.CompressionFast
	}
	_, known := e01Levels[o.Compression]
	switch {
	case !raw && o.Format != record.FormatE01, !known, raw && o.Compression != record.CompressionNone, o.SizeBytes < 0:
		return fmt.Errorf("%w: format %.40q with compression %.40q, %d bytes", ErrOptions, o.Format, o.Compression, o.SizeBytes)
	case !raw && o.OnError == record.OnErrorRescue:
		return &medium.HintError{
			Err:  fmt.Errorf("%w: an E01 is written in order, and cannot be filled in as a rescue goes on", ErrOptions),
			Text: "acquire the failing medium as raw, and convert it then: exhibit image convert FOLDER --format e01",
		}
	case !slices.Contains(onErrorWords, o.OnError):
		return fmt.Errorf("%w: on error %.40q", ErrOptions, o.OnError)
	}
	return nil
}

// check looks at one destination.
func (d *dest) check(m *medium.Medium) (err error) {
	for _, name := range []string{d.id, d.id + layout.PartialSuffix} {
		if _, err := d.Root.Lstat(name); err == nil {
			return fmt.Errorf("%q: %w", filepath.Join(d.Dir, name), ErrExists)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("destination %q: %w", d.Dir, err)
		}
	}
	// Root and Dir come from the caller; if they were two places, the checks would be made at the wrong one.
	a, err := fs.Stat(d.Root.FS(), ".")
	if err != nil {
		return fmt.Errorf("destination %q: %w", d.Dir, err)
	}
	b, err := os.Stat(d.Dir)
	if err != nil || !os.SameFile(a, b) {
		return fmt.Errorf("%w: destination %q is not the folder that was opened", ErrOptions, d.Dir)
	}
	if m != nil {
		if err := m.CheckDestination(d.Dir); err != nil {
			return err
		}
	}
	if d.space, err = lookAtSpace(d.Dir); err != nil {
		return fmt.Errorf("destination %q: %w", d.Dir, err)
	}
	return nil
}

// checkSpace asks for room for image and tree, as far as no earlier run has written them; twice where both destinations share
// a file system. Of a stream only the reserve is known to be needed.
func (r *run) checkSpace(image, largestFile int64) error {
	need := int64(reserveBytes)
	if r.size >= 0 {
		if r.size > hashtree.MaxSize {
			return fmt.Errorf("%w: a medium of %d bytes", ErrOptions, r.size)
		}
		need += image + hashtree.FileSize(r.size) + r.opts.SpareBytes
	}
	wanted := map[uint64]int64{}
	for _, d := range r.dests {
		wanted[d.space.device] += max(need-d.have, reserveBytes)
		if wanted[d.space.device] > d.space.freeBytes {
			return fmt.Errorf("%w: %q has %d bytes free and the acquisition needs %d", ErrSpace, d.Dir,
				d.space.freeBytes, wanted[d.space.device])
		}
		if limit := d.space.fileBytes; limit > 0 && largestFile > limit {
			return d.tooLarge(fmt.Errorf("%w: a file of %d bytes in %q", ErrFileTooLarge, largestFile, d.Dir))
		}
	}
	return nil
}

func (d *dest) tooLarge(err error) error {
	if d.space.fileBytes > 0 {
		err = fmt.Errorf("%w: %s allows %d bytes in a file", err, d.space.fileWhy, d.space.fileBytes)
	}
	return &medium.HintError{Err: err, Text: "cut the image into smaller files: --split 4000M"}
}

// rehearse makes a record like the one at the end, so that a fact that was forgotten, or openings that do not fit, are
// found now and not after nine hours.
func (r *run) rehearse(segments []image.Segment, taking bool) error {
	a := r.acq
	a.Medium.SizeBytes = max(r.size, 0)
	a.Ended = a.Started
	a.Digests, a.Files = nil, nil // of a run that goes on
	if taking {
		a.Mode = record.ModeRescue
	}
	for len(a.Interruptions) < len(r.opts.Circumstances.Resumptions) {
		a.Interruptions = append(slices.Clone(a.Interruptions), record.Interruption{Cause: record.CauseUnknown, Phase: PhaseReading, Resumed: a.Started, Stopped: record.Known(a.Started)})
	}
	linear := record.ComputedWhileReading
	if a.Mode == record.ModeRescue {
		linear = record.ComputedFromImage
	}
	zero := make([]byte, 64)
	for _, alg := range append([]record.Algorithm{record.BLAKE3, record.SHA256}, r.opts.Extra...) {
		size := 32
		if h := newHash(alg); h != nil {
			size = h.Size()
		}
		d, err := record.NewDigest(alg, zero[:size])
		if err != nil {
			return fmt.Errorf("%w: %w", ErrOptions, err)
		}
		computed := linear
		if alg == record.BLAKE3 {
			computed = record.ComputedWhileReading
		}
		a.Digests = append(a.Digests, record.MediaDigest{Computed: computed, Digest: d})
	}
	sortDigests(a.Digests)
	file := func(name, role string, size int64) {
		digests := []record.Digest{record.BLAKE3Digest([32]byte{}), record.SHA256Digest([32]byte{})}
		a.Files = append(a.Files, record.File{Name: name, Role: role, SizeBytes: size, Digests: digests})
	}
	for _, s := range segments {
		file(s.Name, record.RoleImage, s.SizeBytes)
	}
	file(layout.TreeName(r.name), record.RoleTree, 0)
	if a.HasMap() {
		file(layout.MapName(r.name), record.RoleMap, 0)
	}
	if taking {
		file(layout.TakenName(r.name), record.RoleTakenOver, 0)
	}
	file(layout.SHA256Sums, record.RoleSums, 0)
	file(layout.B3Sums, record.RoleSums, 0)
	file(layout.Journal, record.RoleJournal, 0)
	if r.opts.Reread {
		a.Reread = record.Reread{Kind: record.RereadDirect, Matches: true}
	}
	a.Compare()
	if _, err := encodeUnsigned(r.unsigned(a)); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}
