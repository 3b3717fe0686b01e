// Package acquire reads a medium into an image and leaves a folder that is ready to be signed.
//
// Start with [Acquire], which needs a medium (package medium), one or two destinations and [Options]. It leaves
// <id>.partial in each destination, with the image, its tree file, SHA256SUMS, B3SUMS, the journal, after a read error
// the map of what the medium gave, and unsigned.json, which holds the finished record. Later, perhaps in another process,
// [ReadUnsigned] gives the record to be signed, and [Seal] puts the signed files beside the image and takes ".partial"
// off the folder's name.
//
// A medium may be the one inside an E01 image. Then the digests that the image states are computed too, and the record says
// whether they held.
//
// A medium is read in order until a read fails. Then, unless the caller chose to stop, package rescue reads what can
// still be read in the order that spares the medium; what stays unread is zeros in the image. What another program has read
// can be copied from its image before (TakeOver). An E01 can only be written in order, so there each bad place is tried at
// once, down to the sector, up to a bound. A run that ended too early, for whatever reason, leaves a file from which
// [ReadState] and [Resume] go on.
//
// The promise: a folder that can be sealed holds every byte the medium gave, synced to the disk and, unless the caller
// chose otherwise, read again from there and compared; and its record and map say which bytes the medium did not give.
// Whatever goes wrong on the way, a medium that dies, a full disk, a kill, an image that reads back differently, leaves a
// folder that is called .partial and cannot be sealed. Of two destinations one that fails is given up, and the other goes
// on. BLAKE3 is computed from the bytes as the medium gave them, and so is every other digest, unless there was a read
// error: those run in order, and come from the image, each group of which was compared with its BLAKE3 value. Nothing
// that exists is overwritten, and nothing is written to the medium. Bytes that were taken over from another image are as that
// image gave them: record and list say which these are, and all others are the medium's. Memory does not grow with the
// medium; after a read error it grows with the number of ranges in the map, which is bounded.
//
// The shapes are normative in docs/format.md. Acquisition works on Linux only.
package acquire

import (
	"context"
	"errors"
	"fmt"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// Errors a caller branches on. Those of package medium and package image come through unchanged.
var (
	// ErrSpace says that a destination has no room, found before the first byte or while writing.
	ErrSpace = errors.New("not enough space at the destination")
	// ErrExists says that an acquisition of this identifier is there already.
	ErrExists = errors.New("an acquisition of this identifier exists already")
	// ErrReread says that the image does not read back as it was written; see RereadError. The destination is not to be
	// trusted, and nothing was recorded.
	ErrReread = errors.New("the image does not read back as it was written")
	// ErrUnfinished refuses to seal or sign a folder whose acquisition did not come to its end.
	ErrUnfinished = errors.New("the acquisition is not finished")
	// ErrSealing says that the record is signed and logged, and only Seal has to be repeated.
	ErrSealing = errors.New("the acquisition is signed, its folder is not sealed to the end")
	// ErrOptions refuses options that are wrong in themselves, before anything is made.
	ErrOptions = errors.New("the acquisition cannot be done with these options")

	ErrSegments      = image.ErrSegments
	ErrFileTooLarge  = image.ErrFileTooLarge
	ErrSameDevice    = medium.ErrSameDevice
	ErrMediumChanged = medium.ErrMediumChanged
)

// ReadError is a place of the medium that could not be read.
type ReadError = medium.ReadError

// Destination is a folder that gets the image: that of the exhibit.
type Destination struct {
	Root *durable.Root // open; the caller keeps it
	Dir  string        // the same folder's path, for the file system's facts and for messages
}

// Options say what is done and who does it. The zero value is not usable: Exhibit, ID, Tool, Host, Circumstances and
// Clock are required.
type Options struct {
	Exhibit string // the exhibit's number
	ID      string // of the acquisition: layout.NewAcquisitionID

	// Format is record.FormatRaw, which "" means too, or record.FormatE01.
	Format string
	// Compression of an E01: record.CompressionFast, which "" means too, CompressionNone or CompressionBest.
	Compression string
	// Labels go into the header of an E01 in the clear: Case, Description, Examiner and Notes. The rest is filled in.
	Labels ewf.Header
	// SizeBytes is how long a stream is. An E01 of it needs to know; a stream of another length is ErrMediumChanged. 0: not known.
	SizeBytes int64
	// SegmentBytes cuts a raw image into files of exactly this size, 0 into one; an E01 into files of at most this size, 0
	// into such as ewf.NewPlan chooses.
	SegmentBytes int64
	// Extra are digests of the medium beside BLAKE3 and SHA-256: sha512, sha1, md5, in any order. Those that a medium's
	// container states are computed in any case.
	Extra []record.Algorithm
	// Reread reads the image again from the disk and compares it. False leaves a bad destination undetected until
	// somebody verifies, and is refused of a raw image with SegmentBytes, because the digests of each segment come from it.
	Reread bool

	Tool          record.Tool
	Host          record.Host
	Circumstances record.Circumstances
	Openings      record.Openings // of the commitments in Circumstances
	Clock         record.Clock
	Progress      Progress // nil: none
	Stats         *Stats   // gets to know where the time goes; nil: nobody measures
	// OnError says what the first place that cannot be read leads to: record.OnErrorRescue, for raw images, which needs
	// Reread; record.OnErrorInPlace, which goes on in order and tries each bad place at once, down to the sector; or
	// record.OnErrorStop. "" is OnErrorStop. A stream stops in any case.
	OnError string
	// SpareBytes must be free at each destination beside what the acquisition needs, for what the caller makes of it then.
	SpareBytes int64
	// Retries is how often each unreadable sector is tried again, in a rescue at the end: 0 to 1000.
	Retries int64
	// MaxBadBytes stops the reading, to be resumed, when more bytes than this are known to be unreadable. 0: no bound in a
	// rescue, DefaultInPlaceBytes in place.
	MaxBadBytes int64
	// StretchBytes is for tests: how much is read between two places that a killed run goes on from. 0: as much as a
	// second reads, at least 32 MiB.
	StretchBytes int64
	// TakeOver is an image that another program has begun, to be completed. It needs OnErrorRescue. Nil: none.
	TakeOver *TakeOver
	// Attest signs the finished record as it is written, with the key that will sign the statement; see Unsigned.Attested.
	// Nil: it is not attested, and must not be signed by anyone but this process.
	Attest func(message []byte) (signature []byte, err error)
}

// Progress is told how far the work is. Its methods are called from one goroutine, which waits for them.
type Progress interface {
	// Phase begins "reading", "taking over", "rescuing", "re-reading" or "finishing", of totalBytes; -1 if that is not known.
	Phase(name string, totalBytes int64)
	// Doing says in words what a rescue does now, and how much of the medium is not read yet.
	Doing(what string, unreadBytes int64)
	// Done says how many bytes of the phase are done.
	Done(bytes int64)
	// Temperature says how warm the drive was when it was last asked, about every minute while it is read.
	Temperature(celsius int64)
}

// The phases, in the journal and for Progress.
const (
	PhaseReading    = "reading"
	PhaseTakingOver = "taking over"
	PhaseRescuing   = "rescuing"
	PhaseRereading  = "re-reading"
	PhaseFinishing  = "finishing"
)

// Result is an acquisition that is ready to be signed at the destinations that are not Lost.
type Result struct {
	record.Acquisition
	Lost []*DestinationError // destinations that were given up on the way
}

// Acquire reads m to its end into one or two destinations; see the package comment for what it leaves there, and
// docs/format.md for the files. It returns the record that stands in unsigned.json.
//
// Before the first byte it refuses, and leaves nothing: options that do not fit (ErrOptions, ErrSegments), a folder that
// exists (ErrExists), a destination on the medium (ErrSameDevice), too little space (ErrSpace), a file larger than the
// file system can hold (ErrFileTooLarge), an image that cannot be taken over (ErrTakeOver).
//
// Later errors leave the .partial folder and name it: a *ReadError of the medium where OnError is not rescue,
// medium.ErrLost, ErrMediumChanged, no destination left that can be written (*DestinationError; also ErrSpace,
// ErrFileTooLarge, ErrSegments for a stream), ErrReread, rescue.ErrTooManyBad, and the error of ctx. Where ReadState
// accepts the folder, Resume goes on. Some errors carry a hint (medium.HintError).
func Acquire(ctx context.Context, m *medium.Medium, destinations []Destination, opts Options) (Result, error) {
	r, err := prepare(m, destinations, opts)
	if err != nil {
		return Result{}, err
	}
	return r.run(ctx, r.sampleTaken, r.begin, r.listTaken, r.read, r.reread, r.finish)
}

// run does the steps and closes everything.
func (r *run) run(ctx context.Context, steps ...func(context.Context) error) (Result, error) {
	err := r.do(ctx, steps)
	r.opts.Stats.phase("")
	if err != nil && r.saved != nil && r.saved.Cause == record.CauseUnknown {
		r.saved.Cause = causeOf(err)
		_ = r.keep(r.saved) // without it the cause stays unknown
	}
	// After success there is nothing left to give up.
	if err = errors.Join(err, r.close()); err != nil {
		return Result{}, r.explain(err)
	}
	res := Result{Acquisition: r.acq}
	for _, d := range r.dests {
		if e, lost := errors.AsType[*DestinationError](d.lost); lost {
			res.Lost = append(res.Lost, e)
		}
	}
	return res, nil
}

func (r *run) do(ctx context.Context, steps []func(context.Context) error) error {
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) close() error {
	var errs []error
	for _, d := range r.dests {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

// explain adds what is kept where, and what can be done.
func (r *run) explain(err error) error {
	switch {
	case noSpace(err):
		err = fmt.Errorf("%w: %w", ErrSpace, err)
	case r.opts.OnError == record.OnErrorStop && r.isBadPlace(err) && r.resumable():
		around := record.OnErrorRescue
		if r.e01() { // which cannot be rescued
			around = record.OnErrorInPlace
		}
		err = &medium.HintError{Err: err, Text: "let it read on around the bad places: --on-error " + around + ", together with --resume FOLDER for what is kept already"}
	}
	for _, d := range r.dests {
		if d.root != nil {
			err = fmt.Errorf("%w; unfinished, kept in %q: %d bytes of the medium", err, d.partial(), r.kept(d))
		}
	}
	return err
}

// isReadError recognises an error of reading the medium itself, of a bad place or of a medium that is lost.
func (r *run) isReadError(err error) bool {
	e, ok := errors.AsType[*ReadError](err)
	if !ok || r.m == nil { // an image that is read back gives such errors too, perhaps when no medium is needed any more
		return false
	}
	return e.Path == r.m.Path() && !errors.Is(err, ErrMediumChanged)
}
