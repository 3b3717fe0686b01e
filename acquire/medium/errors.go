package medium

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrMediumChanged says that the medium is not what it was when it was opened: it grew, shrank, was written to or
	// exchanged.
	ErrMediumChanged = errors.New("the medium changed while it was read")
	// ErrLost says that the medium is no longer there: pulled out, switched off, or dead. It is never the end of the
	// medium; reading can be resumed when the medium is back and was opened anew.
	ErrLost = errors.New("the medium is lost")
	// ErrHung says that a read did not return in time. It is always an ErrLost too, and a *HungError.
	ErrHung = errors.New("the medium does not answer")
	// ErrAlignment says that place, length or memory of a read do not fit the medium's sectors. It says nothing about the
	// medium: the place is not bad.
	ErrAlignment = errors.New("the read does not fit the sectors of the medium")
	// ErrSameDevice says that a destination lies on the medium, so that writing there would alter the evidence.
	ErrSameDevice = errors.New("the destination lies on the medium that is read")
	// ErrUnchecked says that it could not be found out whether a destination lies on the medium. Nothing may be written
	// there.
	ErrUnchecked = errors.New("whether the destination lies on the medium could not be checked")
	// ErrAmbiguous refuses a name that means more than one device.
	ErrAmbiguous = errors.New("the name does not tell which device is meant")
	// ErrInUse says that something else holds the block device.
	ErrInUse = errors.New("the device is in use")
	// ErrReadOnly refuses to write to a device that has the kernel's read-only flag, or that is write-protected itself.
	ErrReadOnly = errors.New("the device is read-only")
	// ErrKind refuses a folder, a pipe or any other thing that is neither a block device nor a regular file.
	ErrKind = errors.New("neither a block device nor a regular file")
	// ErrEmptyDevice refuses a block device that has no bytes: a card reader without a card, a loop device without a file.
	ErrEmptyDevice = errors.New("the device has a size of 0 bytes: nothing is in it or attached to it")
)

// ReadError says which read failed: the medium is there and did not give this place. The damaged sectors lie somewhere
// in these bytes; nothing of them was given out.
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

// HungError is a read that did not return within Options.ReadTimeout. It cannot be cancelled and may still write into
// the memory it was given, minutes later: see KeepsMemory.
type HungError struct {
	Path      string
	Offset    int64
	SizeBytes int64
	Waited    time.Duration
}

func (e *HungError) Error() string {
	return fmt.Sprintf("read %d bytes at offset %d of %q: no answer in %v: %v", e.SizeBytes, e.Offset, e.Path, e.Waited, ErrHung)
}

// Unwrap makes it an ErrHung and an ErrLost.
func (e *HungError) Unwrap() []error { return []error{ErrHung, ErrLost} }

// KeepsMemory is true: the slice given to the failed Read or ReadAt belongs to the kernel for good. The caller must
// neither use it again nor unmap it.
func (e *HungError) KeepsMemory() bool { return true }

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
