// Package medium opens what is read, a block device, a regular file or standard input, and gives its bytes in order.
//
// Start with [Open]; then read a [Medium] to io.EOF. Before that, ask [Medium.CheckDestination] whether the folder one
// is about to write to lies on the medium itself.
//
// The promise: a medium is opened for reading only, and io.EOF means that exactly the bytes were read that the medium
// had when it was opened: the size is fixed then, and a medium that ends earlier, goes on after it, or was exchanged is
// ErrMediumChanged. A place that cannot be read is a [ReadError] that says where; nothing is skipped or filled in.
// Devices and files are read past the page cache where the file system can do that, since a buffered read of a failing
// drive loses good sectors around the bad one. A block device is held exclusively until Close, so that nothing can be
// mounted meanwhile.
package medium

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

var (
	// ErrMediumChanged says that the medium is not what it was when it was opened: it grew, shrank, was written to, was
	// pulled out or exchanged.
	ErrMediumChanged = errors.New("the medium changed while it was read")
	// ErrSameDevice says that a destination lies on the medium, so that writing there would alter the evidence.
	ErrSameDevice = errors.New("the destination lies on the medium that is read")
	// ErrInUse says that something else holds the block device.
	ErrInUse = errors.New("the device is in use")
	// ErrKind refuses a folder, a pipe or any other thing that is neither a block device nor a regular file.
	ErrKind = errors.New("neither a block device nor a regular file")
	// ErrEmptyDevice refuses a block device that has no bytes: a card reader without a card, a loop device without a file.
	ErrEmptyDevice = errors.New("the device has a size of 0 bytes: nothing is in it or attached to it")
)

// Stdin is the path that means standard input.
const Stdin = "-"

// ReadError says which read failed. The damaged place lies somewhere in these bytes; nothing of them was given out.
type ReadError struct {
	Path      string
	Offset    int64 // of the first byte of the read, in the medium
	SizeBytes int64 // of the read; 0 for a stream
	Err       error
}

func (e *ReadError) Error() string {
	if e.SizeBytes == 0 {
		return fmt.Sprintf("read %q at offset %d: %v", e.Path, e.Offset, e.Err)
	}
	return fmt.Sprintf("read %d bytes at offset %d of %q: %v", e.SizeBytes, e.Offset, e.Path, e.Err)
}

// Unwrap returns the system's error.
func (e *ReadError) Unwrap() error { return e.Err }

// HintError is an error whose cause is known well enough to say what to type next.
type HintError struct {
	Err  error
	Text string
}

func (e *HintError) Error() string { return e.Err.Error() }

// Unwrap returns the error the hint is for.
func (e *HintError) Unwrap() error { return e.Err }

// Hint returns what a person can do about it, in one line.
func (e *HintError) Hint() string { return e.Text }

// Medium is an open medium. It is read from one goroutine, once, from the first byte on.
type Medium struct {
	path string
	src  source
	off  int64
	err  error // sticky: io.EOF, or what went wrong
}

// source is a stream or, on Linux, a disk.
type source interface {
	// read gives bytes at off, where the read before ended. io.EOF comes alone and only where the medium really ends.
	read(p []byte, off int64) (int, error)
	// describe leaves SizeBytes 0 where the size is not known.
	describe() record.Medium
	// size is -1 where it is not known.
	size() int64
	checkDestination(dir string) error
	close() error
}

// Open opens a medium for reading only. The path "-" is stdin, which the caller keeps; reading it ends with ctx, while a
// device or file is left to the system's own time-outs. Links in path are followed: it is the user's word. The caller
// closes the Medium.
//
// Errors: ErrKind, ErrInUse, ErrEmptyDevice, and those of the system; some carry a hint (HintError).
func Open(ctx context.Context, path string, stdin io.Reader) (*Medium, error) {
	if path == Stdin {
		return &Medium{path: "standard input", src: newStream(ctx, stdin)}, nil
	}
	src, err := openDisk(path)
	if err != nil {
		return nil, fmt.Errorf("open medium %q: %w", path, err)
	}
	return &Medium{path: path, src: src}, nil
}

// Read implements io.Reader. A page-aligned p is filled without a copy. After an error every later call returns it.
func (m *Medium) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := m.src.read(p, m.off)
	m.off += int64(n)
	m.err = err
	return n, err
}

// Size returns the size in bytes fixed when the medium was opened, and whether it is known: of a stream it is not.
func (m *Medium) Size() (sizeBytes int64, known bool) {
	n := m.src.size()
	return max(n, 0), n >= 0
}

// Describe says what the medium is. SizeBytes of a stream is the number of bytes read so far.
func (m *Medium) Describe() record.Medium {
	d := m.src.describe()
	if _, known := m.Size(); !known {
		d.SizeBytes = m.off
	}
	return d
}

// Path names the medium for messages: as it was given to Open, or "standard input".
func (m *Medium) Path() string { return m.path }

// CheckDestination returns ErrSameDevice if writing to the folder dir would write to the medium: dir is on the device,
// on a partition of it, or on something stacked on it (LVM, RAID, encryption, a loop device). Of a stream it knows
// nothing.
func (m *Medium) CheckDestination(dir string) error {
	if err := m.src.checkDestination(dir); err != nil {
		return fmt.Errorf("destination %q, medium %q: %w", dir, m.path, err)
	}
	return nil
}

// Close gives the medium back. Standard input stays open.
func (m *Medium) Close() error {
	if err := m.src.close(); err != nil {
		return fmt.Errorf("close medium %q: %w", m.path, err)
	}
	return nil
}
