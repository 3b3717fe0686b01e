package record

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Acquired is the acquisition record, and the event of that name.
type Acquired struct {
	Acquisition   Acquisition   `json:"acquisition"`
	Circumstances Circumstances `json:"circumstances"`
	Event         Header        `json:"event"`
}

// Circumstances are what the person and the command line say of an acquisition; all of it is personal.
type Circumstances struct {
	CommandLine Personal       `json:"commandLine"`
	Description Fact[Personal] `json:"description"` // of the medium, as the examiner sees it
	Despite     Fact[Personal] `json:"despite"`     // why an image was taken over although the medium reads differently
	Examiner    Fact[Personal] `json:"examiner"`
	Host        Fact[Personal] `json:"host"` // the station's name
	Live        Fact[Personal] `json:"live"` // why a medium in use was read
	MediumPath  Personal       `json:"mediumPath"`
	Resumptions []Resumption   `json:"resumptions"` // one for each of Acquisition.Interruptions
	// WriteBlocker is the device between station and medium, as the examiner names it.
	WriteBlocker Fact[Personal] `json:"writeBlocker"`
}

// Resumption is what the person and the command line say of an acquisition that went on after an interruption.
type Resumption struct {
	CommandLine Personal       `json:"commandLine"`
	Despite     Fact[Personal] `json:"despite"` // why to go on although the medium reads differently
	Live        Fact[Personal] `json:"live"`    // why a medium in use was read
	MediumPath  Personal       `json:"mediumPath"`
	Operator    Fact[Personal] `json:"operator"`
}

// Acquisition is one act of reading one medium into one image, as the program saw it. It names no person.
type Acquisition struct {
	Contents     Fact[Contents] `json:"contents"` // what lies on the medium, as the image shows it
	Destinations []Destination  `json:"destinations"`
	Digests      []MediaDigest  `json:"digests"` // of the media stream; sorted by algorithm; always BLAKE3 and SHA-256
	Ended        Time           `json:"ended"`
	Files        []File         `json:"files"` // every file of the folder that this record binds, image segments first and in order
	Format       string         `json:"format"`
	Host         Host           `json:"host"`
	ID           string         `json:"id"`
	// Interruptions are in order; what interrupts after the record is finished stands in no record.
	Interruptions []Interruption `json:"interruptions"`
	Medium        Medium         `json:"medium"`
	Method        string         `json:"method"`
	Mode          string         `json:"mode"`
	Options       Options        `json:"options"`
	Reread        Reread         `json:"reread"`
	Started       Time           `json:"started"`
	TakenOver     []TakenOver    `json:"takenOver"` // none, or one
	Tool          Tool           `json:"tool"`
	Unread        Unread         `json:"unread"`
}

// The values that the words of an Acquisition may take in version 1.
const (
	FormatRaw = "raw" // the media bytes, in one file or in numbered segments
	FormatE01 = "e01" // the Expert Witness format as EnCase 6 writes it, in segments .E01, .E02, ...

	MethodPhysical = "physical"   // every byte of the medium from the first to the last
	ModeSequential = "sequential" // in order, without a read error
	ModeRescue     = "rescue"     // in order up to the first read error, then the readable places first
	ModeInPlace    = "in-place"   // in order, and each bad place at once, down to the sector

	MediumDevice = "block-device"
	MediumFile   = "file"
	MediumStream = "stream"
	MediumImage  = "image" // the medium inside an image; see Container

	RoleImage = "image"
	RoleTree  = "tree"
	RoleMap   = "map" // in the modes rescue and in-place
	// RoleTakenOver is a map of the bytes that were not read from the medium; only where there are any.
	RoleTakenOver = "taken-over"
	RoleSums      = "sums"
	RoleJournal   = "journal"

	ComputedWhileReading = "while-reading" // from the bytes as the medium gave them
	// ComputedFromImage is the second reading, each group of which had the BLAKE3 value of what the medium gave.
	ComputedFromImage = "from-image"

	OnErrorRescue  = "rescue"
	OnErrorInPlace = "inplace"
	OnErrorStop    = "stop"

	// How hard an E01 is compressed. An image of another format is CompressionNone.
	CompressionNone = "none"
	CompressionFast = "fast"
	CompressionBest = "best"

	CauseUnknown     = "unknown" // killed, or the power was cut
	CauseInterrupted = "interrupted"
	CauseLost        = "medium-lost"
	CauseDestination = "destination"
	CauseLimit       = "too-many-unreadable"
	CauseError       = "error"

	RereadDirect       = "direct"        // past the page cache
	RereadCacheDropped = "cache-dropped" // after asking the kernel to drop its copy
	RereadCached       = "cached"        // perhaps from memory, as on tmpfs
	RereadNone         = "none"          // not done
)

// Options are the choices that shaped the acquisition.
type Options struct {
	Compression  string      `json:"compression"`
	ExtraDigests []Algorithm `json:"extraDigests"` // asked for beside BLAKE3 and SHA-256, or stated by the container; sorted
	MaxBadBytes  int64       `json:"maxBadBytes"`  // unreadable bytes after which it stops, to be resumed; 0: no bound
	OnError      string      `json:"onError"`
	Reread       bool        `json:"reread"`
	Retries      int64       `json:"retries"`      // further tries of each unreadable sector
	SegmentBytes int64       `json:"segmentBytes"` // 0: one file
}

// Reread is the second reading, of the image.
type Reread struct {
	Kind    string `json:"kind"`
	Matches bool   `json:"matches"` // false only with kind "none"; an image that does not match is never recorded
}

// Interruption is one end of a run before the record was finished.
type Interruption struct {
	Cause     string     `json:"cause"`
	Phase     string     `json:"phase"`     // what was being done
	Resumed   Time       `json:"resumed"`   // when it went on
	SafeBytes int64      `json:"safeBytes"` // of the medium, which were not read again; in mode rescue those before the first read error
	Sampled   int64      `json:"sampled"`   // groups read again to know the medium
	Differing int64      `json:"differing"` // of those
	Stopped   Fact[Time] `json:"stopped"`
}

// Destination is the file system the image was written to.
type Destination struct {
	Device     Fact[string] `json:"device"`     // major:minor
	FileSystem Fact[string] `json:"fileSystem"` // as the kernel names it
}

// Tool is the program that made the record.
type Tool struct {
	Build   Fact[Digest] `json:"build"` // SHA-256 of the program file
	Name    string       `json:"name"`
	Version string       `json:"version"`
}

// Host describes the machine, without its name.
type Host struct {
	Architecture string       `json:"architecture"`
	Kernel       Fact[string] `json:"kernel"`
	OS           string       `json:"os"`
	Processors   int64        `json:"processors"`
}

var idForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$`)

// ValidAcquisitionID reports whether s is an acquisition's identifier: 20261123T081500Z-1a2b3c4d.
func ValidAcquisitionID(s string) bool {
	if !idForm.MatchString(s) {
		return false
	}
	_, err := time.Parse("20060102T150405Z", s[:16])
	return err == nil
}

// Type implements Predicate.
func (a *Acquired) Type() Type { return TypeAcquired }

// Header implements Event.
func (a *Acquired) Header() *Header { return &a.Event }

func (a *Acquired) subjects() []subject {
	i := a.Acquisition.Image()
	return i.subjects()
}

// Validate implements Predicate.
func (a *Acquired) Validate() error {
	if err := a.Event.Validate(); err != nil {
		return err
	}
	if n, m := len(a.Circumstances.Resumptions), len(a.Acquisition.Interruptions); n != m {
		return fmt.Errorf("%w: %d resumptions of %d interruptions", ErrMalformed, n, m)
	}
	return a.Acquisition.Validate()
}

// Validate reports the first thing wrong with a, wrapping ErrMalformed or ErrNewer.
func (a *Acquisition) Validate() error {
	if !ValidAcquisitionID(a.ID) {
		return fmt.Errorf("%w: acquisition id %.60q", ErrMalformed, a.ID)
	}
	if err := a.checkWords(); err != nil {
		return err
	}
	if err := a.checkDigests(); err != nil {
		return err
	}
	i := a.Image()
	if err := i.checkFiles(a.filesAfterImage()); err != nil {
		return err
	}
	if err := a.checkMedium(); err != nil {
		return err
	}
	if err := a.checkContainer(); err != nil {
		return err
	}
	if len(a.Destinations) == 0 || len(a.Destinations) > 2 {
		return fmt.Errorf("%w: %d destinations", ErrMalformed, len(a.Destinations))
	}
	if err := checkMaker(&a.Tool, &a.Host); err != nil {
		return err
	}
	c := &factCheck{}
	for _, d := range a.Destinations {
		c.texts([]named[string]{{"device of a destination", d.Device}, {"file system of a destination", d.FileSystem}})
	}
	if c.err != nil {
		return c.err
	}
	if err := a.Started.Validate(); err != nil {
		return err
	}
	return a.Ended.Validate()
}

// checkWords refuses words of a later version: what they would mean cannot be checked here.
func (a *Acquisition) checkWords() error {
	for _, w := range []struct {
		field, got string
		known      []string
	}{
		{"format", a.Format, []string{FormatRaw, FormatE01}},
		{"method", a.Method, []string{MethodPhysical}},
		{"mode", a.Mode, []string{ModeSequential, ModeRescue, ModeInPlace}},
		{"onError", a.Options.OnError, []string{OnErrorRescue, OnErrorInPlace, OnErrorStop}},
		{"compression", a.Options.Compression, []string{CompressionNone, CompressionFast, CompressionBest}},
		{"medium kind", a.Medium.Kind, []string{MediumDevice, MediumFile, MediumStream, MediumImage}},
		{"reread kind", a.Reread.Kind, []string{RereadDirect, RereadCacheDropped, RereadCached, RereadNone}},
	} {
		if !slices.Contains(w.known, w.got) {
			return fmt.Errorf("%s %.40q is %w", w.field, w.got, ErrNewer)
		}
	}
	if a.Reread.Matches != (a.Reread.Kind != RereadNone) || a.Options.Reread != a.Reread.Matches {
		return fmt.Errorf("%w: re-read kind %q, matches %t, asked for %t", ErrMalformed, a.Reread.Kind, a.Reread.Matches, a.Options.Reread)
	}
	return a.checkRescue()
}

// checkRescue requires of each mode what belongs to it.
func (a *Acquisition) checkRescue() error {
	for _, c := range []struct {
		field string
		n     int64
	}{{"retries", a.Options.Retries}, {"bound of unreadable bytes", a.Options.MaxBadBytes}} {
		if err := checkCount(c.field, c.n); err != nil {
			return err
		}
	}
	if err := a.Unread.check(a.Medium.SizeBytes); err != nil {
		return err
	}
	switch {
	case a.Mode == ModeSequential && a.Unread != Unread{}:
		return fmt.Errorf("%w: unread or recovered bytes in mode %q", ErrMalformed, a.Mode)
	case a.Mode == ModeRescue && (!a.Options.Reread || a.Options.OnError != OnErrorRescue),
		a.Mode == ModeInPlace && a.Options.OnError != OnErrorInPlace:
		return fmt.Errorf("%w: mode %q without its options", ErrMalformed, a.Mode)
	case a.Format == FormatRaw && a.Options.Compression != CompressionNone, a.Format != FormatRaw && a.Mode == ModeRescue:
		return fmt.Errorf("%w: format %q with compression %q in mode %q", ErrMalformed, a.Format, a.Options.Compression, a.Mode)
	}
	if err := a.checkTakenOver(); err != nil {
		return err
	}
	return a.checkInterruptions()
}

// MaxInterruptions bounds the interruptions of one acquisition.
const MaxInterruptions = 1000

func (a *Acquisition) checkInterruptions() error {
	if len(a.Interruptions) > MaxInterruptions {
		return fmt.Errorf("%w: %d interruptions", ErrMalformed, len(a.Interruptions))
	}
	causes := []string{CauseUnknown, CauseInterrupted, CauseLost, CauseDestination, CauseLimit, CauseError}
	for _, i := range a.Interruptions {
		if !slices.Contains(causes, i.Cause) {
			return fmt.Errorf("cause %.40q is %w", i.Cause, ErrNewer)
		}
		if err := checkLine("phase", i.Phase); err != nil {
			return err
		}
		if i.SafeBytes < 0 || i.SafeBytes > a.Medium.SizeBytes || i.Sampled < 0 || i.Differing < 0 || i.Differing > i.Sampled || i.Sampled > maxSampled {
			return fmt.Errorf("%w: an interruption at %d of %d bytes, %d of %d samples differ", ErrMalformed, i.SafeBytes, a.Medium.SizeBytes, i.Differing, i.Sampled)
		}
		if err := i.Resumed.Validate(); err != nil {
			return err
		}
		if t, ok := i.Stopped.Get(); ok {
			if err := t.Validate(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Acquisition) checkDigests() error {
	extra, err := checkMediaDigests(a.Digests, func(alg Algorithm) string {
		if a.Mode == ModeRescue && alg != BLAKE3 {
			return ComputedFromImage
		}
		return ComputedWhileReading
	})
	if err != nil {
		return err
	}
	if !slices.Equal(extra, a.Options.ExtraDigests) {
		return fmt.Errorf("%w: the digests are not those of the options", ErrMalformed)
	}
	return nil
}

// HasMap reports whether a map of what the medium gave belongs to the acquisition.
func (a *Acquisition) HasMap() bool { return a.Mode == ModeRescue || a.Mode == ModeInPlace }

func (a *Acquisition) checkMedium() error {
	if err := checkCount("segment size", a.Options.SegmentBytes); err != nil {
		return err
	}
	if c, ok := a.Contents.Get(); ok {
		if err := c.Validate(); err != nil {
			return err
		}
	}
	return a.Medium.Validate()
}
