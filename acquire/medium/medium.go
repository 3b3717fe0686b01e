// Package medium opens what is read, a block device, a regular file or standard input, and gives its bytes: in order
// with [Medium.Read], or any sectors with [Medium.ReadAt]. Of a file that begins like an E01 image these are the bytes of
// the medium inside it, and what cannot be read of it is lost by whole chunks: all sectors of one, usually 64.
//
// Start with [Open]; then read a [Medium] to io.EOF. Before that, ask [Medium.CheckDestination] whether the folder one
// is about to write to lies on the medium itself.
//
// The promise: a medium is opened for reading only (writing is for [OpenTarget] alone, which opens what is to be overwritten), and io.EOF means that exactly the bytes were read that the medium
// had when it was opened: the size is fixed then, and after every error the medium is asked whether it is still the
// same. So an error about the medium is one of three: a [ReadError], a place that it did not give; [ErrLost], it is gone
// or does not answer; [ErrMediumChanged], it is not what was opened. Nothing is skipped or filled in, and a medium that
// ends early is never taken for a finished one.
// Devices and files are read past the page cache where the file system can do that, since a buffered read of a failing
// drive loses good sectors around the bad one. A block device that anything uses is refused, by the user's name and the
// command that releases it; it is held exclusively until Close, so that nothing can be mounted meanwhile, and the
// kernel's read-only flag is set on it. [Medium.State] tells what was set and what was not.
package medium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Stdin is the path that means standard input.
const Stdin = "-"

// fileSectorBytes is what a medium is read by that has no sectors of its own.
const fileSectorBytes = 512

// Options say how a medium is opened and read. The zero value is strict: the device must be free, and is set read-only.
type Options struct {
	// Stdin is read if the path is "-". The caller keeps it.
	Stdin io.Reader
	// ReadTimeout is how long one read may take before it is given up as a *HungError, which ends the Medium. It must be
	// longer than the drive and the kernel need for a bad sector: they retry and reset several times, each try within the
	// device's own time-out. 0: no limit. A stream and an image have none.
	ReadTimeout time.Duration
	// DeviceTimeout is how long the kernel shall wait for the drive in one command, in whole seconds; Close puts back what
	// was there. Ten seconds are enough for a healthy drive. 0: it is left as it is. Where the device has no such setting
	// State.Notes says so.
	DeviceTimeout time.Duration
	// Live allows a device that is in use, that of the running system among them: it is held exclusively only if that can
	// be had, and what is read may never have been on it at one moment. State says so.
	Live bool
	// AsFile reads an image as the file it is.
	AsFile bool
	// Incomplete reads an E01 of which segments are missing, but not the first: what stood in them is a bad place, and
	// State.Notes says which. False refuses it (ewf.ErrMissing).
	Incomplete bool
	// WasWritable says that an earlier run, which was killed, found the device writable: its flag is taken back from a loop
	// device by Close although it was set when this one opened it.
	WasWritable bool
	// KeepWritable leaves the kernel's read-only flag of a device as it is. False sets it on the device and its
	// partitions; Close takes it back only from loop devices.
	KeepWritable bool
}

func (o Options) validate() error {
	if o.ReadTimeout < 0 || o.DeviceTimeout < 0 || o.DeviceTimeout%time.Second != 0 || o.DeviceTimeout > time.Hour {
		return fmt.Errorf("time-outs of %v and %v: neither is below 0, that of the device is of whole seconds and at most an hour", o.ReadTimeout, o.DeviceTimeout)
	}
	return nil
}

// Medium is an open medium. It is used from one goroutine at a time, but for Close and Temperature, which may be called
// while a ReadAt that nobody waits for any more is under way.
type Medium struct {
	path string
	src  source
	off  int64 // where Read goes on
	err  error // sticky for Read: io.EOF, or what went wrong

	mu   sync.Mutex
	gone error // sticky for all: ErrLost, ErrMediumChanged or that it is closed; guarded by mu
}

// source is a stream or, on Linux, a disk or an e01.
type source interface {
	// read gives bytes at off, where the read before ended. io.EOF comes alone and only where the medium really ends.
	read(p []byte, off int64) (int, error)
	// readAt fills p from off, which is before the end; it gives less only where the medium ends.
	readAt(p []byte, off int64) (int, error)
	// checkEnd returns nil if the medium is what it was when it was opened and has no byte after its end.
	checkEnd() error
	sectorBytes() int64
	// describe leaves SizeBytes 0 where the size is not known.
	describe() record.Medium
	state() State
	// size is -1 where it is not known.
	size() int64
	checkDestination(dir string) error
	close() error
}

// Open is OpenWith for a caller who needs no option but stdin.
func Open(ctx context.Context, path string, stdin io.Reader) (*Medium, error) {
	return OpenWith(ctx, path, Options{Stdin: stdin})
}

// OpenWith opens a medium for reading only. The path "-" is opts.Stdin; reading it ends with ctx, while a device or file
// is left to the time-outs. "serial:..." and "wwn:..." name a device as Resolve has it. Links in path are followed: it is the
// user's word. The caller closes the Medium.
//
// Errors: those of Resolve, ErrKind, ErrInUse, ErrEmptyDevice, and those of the system; some carry a hint (HintError).
func OpenWith(ctx context.Context, path string, opts Options) (*Medium, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("open medium %q: %w", path, err)
	}
	if path == Stdin {
		return &Medium{path: "standard input", src: newStream(ctx, opts.Stdin)}, nil
	}
	src, found, err := openDisk(path, opts)
	if err != nil {
		return nil, fmt.Errorf("open medium %q: %w", path, err)
	}
	return &Medium{path: found, src: src}, nil
}

// Read implements io.Reader. A page-aligned p is filled without a copy. After an error every later call returns it,
// until StartAt.
func (m *Medium) Read(p []byte) (int, error) {
	if gone := m.isGone(); gone != nil {
		return 0, gone
	}
	if m.err != nil {
		return 0, m.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := m.src.read(p, m.off)
	m.off += int64(n)
	m.err = err
	m.note(err)
	return n, err
}

// StartAt makes Read go on at off, a multiple of SectorBytes within the medium, also after a *ReadError. A stream has no
// other place than where it is.
func (m *Medium) StartAt(off int64) error {
	size, known := m.Size()
	if !known {
		return fmt.Errorf("go to byte %d of %s: %w", off, m.path, errors.ErrUnsupported)
	}
	if off < 0 || off > size || off%m.SectorBytes() != 0 {
		return fmt.Errorf("go to byte %d of %q, which has %d: %w", off, m.path, size, ErrAlignment)
	}
	m.off, m.err = off, nil
	return m.isGone()
}

// ReadAt reads exactly the bytes from off to off+len(p) and no others, past the page cache where that can be done. off
// and len(p) are multiples of SectorBytes, but p may also end where the medium ends. It is filled without a copy if it
// is page-aligned. Fewer bytes than asked for, with a nil error, are given only at the end of the medium; at the end
// itself and after it the answer is io.EOF, for which the medium is not asked (see CheckEnd). Unlike an io.ReaderAt it
// is not for several goroutines at once.
//
// Errors, with 0 bytes: *ReadError, a bad place somewhere in these bytes; ErrLost, among them *HungError, after which p
// is not the caller's any more; ErrMediumChanged; ErrAlignment; errors.ErrUnsupported for a stream; or, of none of
// these kinds, one of the system that says nothing about the place. After ErrLost and ErrMediumChanged every
// later call returns the same error.
func (m *Medium) ReadAt(p []byte, off int64) (int, error) {
	size, known := m.Size()
	sector, gone := m.SectorBytes(), m.isGone()
	switch {
	case gone != nil:
		return 0, gone
	case !known:
		return 0, fmt.Errorf("read at byte %d of %s: %w", off, m.path, errors.ErrUnsupported)
	case off < 0 || off%sector != 0 || int64(len(p))%sector != 0 && off+int64(len(p)) != size:
		return 0, fmt.Errorf("read %d bytes at offset %d of %q, whose sectors have %d: %w", len(p), off, m.path, sector, ErrAlignment)
	case len(p) == 0:
		return 0, nil
	case off >= size:
		return 0, io.EOF
	}
	n, err := m.src.readAt(p, off)
	if err != nil {
		m.note(err)
		return 0, err
	}
	return n, nil
}

// CheckEnd asks whether the medium is still what it was when it was opened, and ends where it ended. Read does so at
// its io.EOF. Who uses ReadAt does so when all is read. Errors: ErrLost, ErrMediumChanged; of a file also *ReadError, if
// the place behind its end cannot be tried. Of a stream it knows nothing.
func (m *Medium) CheckEnd() error {
	if gone := m.isGone(); gone != nil {
		return gone
	}
	err := m.src.checkEnd()
	m.note(err)
	return err
}

// note keeps an error after which the medium must not be asked again.
func (m *Medium) note(err error) {
	if errors.Is(err, ErrLost) || errors.Is(err, ErrMediumChanged) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.gone = err
	}
}

func (m *Medium) isGone() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone
}

// SectorBytes is the logical sector of a device, the smallest piece it reads: 512, 4096 or another power of two. Of
// everything else, and where the device does not say, it is 512.
func (m *Medium) SectorBytes() int64 { return m.src.sectorBytes() }

// Size returns the size in bytes fixed when the medium was opened, and whether it is known: of a stream it is not.
func (m *Medium) Size() (sizeBytes int64, known bool) {
	n := m.src.size()
	return max(n, 0), n >= 0
}

// Describe says what the medium is, without asking the drive (see Ask). SizeBytes of a stream is the number of bytes
// read so far.
func (m *Medium) Describe() record.Medium {
	const notAsked = "it was not asked"
	d := m.src.describe()
	d.Access = m.access()
	if d.Kind != record.MediumImage {
		d.Container = record.Unknown[record.Container]("the medium is in no container")
	}
	d.Hardware, d.HealthAfter = record.Unknown[record.Hardware](notAsked), record.Unknown[record.Health](notAsked)
	if _, known := m.Size(); !known {
		d.SizeBytes = m.off
	}
	return d
}

// HeaderText is what an image says about itself in words, one value a line, without anything that cannot be printed; ""
// for every other medium. It names persons, so it is no part of Describe.
func (m *Medium) HeaderText() string {
	if s, ok := m.src.(interface{ headerText() string }); ok {
		return s.headerText()
	}
	return ""
}

// Path names the medium for messages: as it was given to Open or found by its serial or WWN, or "standard input".
func (m *Medium) Path() string { return m.path }

// CheckDestination returns ErrSameDevice if writing to the folder dir would write to the medium: dir is on the device,
// on a partition of it, or on something stacked on it (LVM, RAID, encryption, a loop device); and ErrUnchecked if that
// cannot be found out. Of a stream it knows nothing.
func (m *Medium) CheckDestination(dir string) error {
	if err := m.src.checkDestination(dir); err != nil {
		return fmt.Errorf("destination %q, medium %q: %w", dir, m.path, err)
	}
	return nil
}

// Close gives the medium back. Standard input stays open. After a *HungError, and while a read that nobody waits for is under
// way, the system keeps the device open until that read ends; what it would ask the device then is an error.
func (m *Medium) Close() error {
	m.mu.Lock()
	if m.gone == nil {
		m.gone = fmt.Errorf("medium %q: %w", m.path, os.ErrClosed)
	}
	m.mu.Unlock()
	if err := m.src.close(); err != nil {
		return fmt.Errorf("close medium %q: %w", m.path, err)
	}
	return nil
}
