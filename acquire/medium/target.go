package medium

import (
	"fmt"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Target is a block device that is open to be overwritten, as the destination of a restore. It is the only thing of this
// package that writes. It is held exclusively until Close, and used from one goroutine at a time.
type Target struct {
	m *Medium
	w writer
}

// writer is the part of a device that a Medium has not.
type writer interface {
	// writeAt writes all of p or fails; off and len(p) are multiples of the sector.
	writeAt(p []byte, off int64) error
	sync() error
	// lies lists the drives that are written to when the device is: its own first, and those that it is stacked on.
	lies() ([]Identity, error)
	checkHolds(path string) error
}

// WriteError is a place that the device did not take, while it is still there. The damaged sectors lie somewhere in
// these bytes; what stands there now is not known.
type WriteError struct {
	Path              string
	Offset, SizeBytes int64
	Err               error
}

func (e *WriteError) Error() string {
	return fmt.Sprintf("write %d bytes at offset %d of %q: %v", e.SizeBytes, e.Offset, e.Path, e.Err)
}

// Unwrap returns the system's error.
func (e *WriteError) Unwrap() error { return e.Err }

// OpenTarget opens a block device to be overwritten: a whole disk, a partition, or a volume. The name may be a path, or
// one that Resolve finds. Nothing is written, and no flag is changed. The caller closes the Target.
//
// Errors: those of Resolve; ErrKind; ErrInUse, if the running system lies on the disk, or anything uses the device; ErrUnchecked
// if that cannot be found out; ErrReadOnly; ErrEmptyDevice; and those of the system. Some carry a hint (HintError).
func OpenTarget(name string) (*Target, error) {
	w, src, path, err := openTarget(name)
	if err != nil {
		return nil, fmt.Errorf("open %q to be overwritten: %w", name, err)
	}
	return &Target{m: &Medium{path: path, src: src}, w: w}, nil
}

// Path is that of the device file.
func (t *Target) Path() string { return t.m.Path() }

// Size is in bytes, fixed when the device was opened.
func (t *Target) Size() int64 {
	n, _ := t.m.Size()
	return n
}

// SectorBytes is the smallest piece that is written or read.
func (t *Target) SectorBytes() int64 { return t.m.SectorBytes() }

// Notes are sentences for the user, such as that a program runs which mounts by itself.
func (t *Target) Notes() []string { return t.m.State().Notes }

// ReadAt is that of a Medium: past the page cache, so that it gives what the device holds.
func (t *Target) ReadAt(p []byte, off int64) (int, error) { return t.m.ReadAt(p, off) }

// WriteAt writes all of p past the page cache; off and len(p) are multiples of SectorBytes. It never writes past the end.
// What is written is durable only after Sync.
//
// Errors: *WriteError, a place somewhere in these bytes; ErrLost; ErrMediumChanged; ErrAlignment; or one of the system that
// says nothing about the place. After ErrLost and ErrMediumChanged nothing more is written.
func (t *Target) WriteAt(p []byte, off int64) error {
	sector := t.SectorBytes()
	switch {
	case t.m.gone != nil:
		return t.m.gone
	case off < 0 || off%sector != 0 || int64(len(p))%sector != 0 || off+int64(len(p)) > t.Size():
		return fmt.Errorf("write %d bytes at offset %d of %q, which has %d bytes in sectors of %d: %w", len(p), off, t.m.path, t.Size(), sector, ErrAlignment)
	case len(p) == 0:
		return nil
	}
	err := t.w.writeAt(p, off)
	t.m.note(err)
	return err
}

// Sync makes what was written durable, in the drive's own cache too. After an error nobody knows what of it is.
func (t *Target) Sync() error {
	if t.m.gone != nil {
		return t.m.gone
	}
	if err := t.w.sync(); err != nil {
		return fmt.Errorf("sync %q: %w", t.m.path, err)
	}
	return t.m.CheckEnd()
}

// Describe says what the device is; its drive is asked, where it can be. It sends only what Medium.Ask sends.
func (t *Target) Describe() record.Medium {
	d := t.m.Describe()
	d.Hardware = t.m.Ask()
	return d
}

// Drives are what is known of all drives that are written to when the Target is: its own first, with what the drive itself
// says when it is asked, then those that it is stacked on. ErrUnchecked if they cannot all be found.
func (t *Target) Drives() ([]Identity, error) {
	drives, err := t.w.lies()
	if err != nil {
		return nil, fmt.Errorf("find the drives behind %q: %w: %w", t.m.path, ErrUnchecked, err)
	}
	own := &drives[0]
	if h, ok := t.m.Ask().Get(); ok {
		serial, known := h.Serial.Get()
		if known { // the first: what the drive says is surer than what a bridge told the kernel
			serial = trimText(serial)
			own.Serials = slices.Insert(slices.DeleteFunc(own.Serials, func(s string) bool { return s == serial }), 0, serial)
			own.Asked = serial
		}
		for _, f := range []record.Fact[string]{h.WWN, h.EUI64, h.NGUID} {
			if text, ok := f.Get(); ok {
				addText(&own.WWNs, text)
			}
		}
	}
	return drives, nil
}

// CheckHolds returns ErrSameDevice if path, a file or folder, lies on the Target, so that overwriting it would destroy
// what it holds; ErrUnchecked if that cannot be found out.
func (t *Target) CheckHolds(path string) error {
	if err := t.w.checkHolds(path); err != nil {
		return fmt.Errorf("%q, target %q: %w", path, t.m.path, err)
	}
	return nil
}

// Close gives the device back.
func (t *Target) Close() error { return t.m.Close() }
