// Package durable is the only place where evidence and log files are written.
//
// Start with [OpenRoot]; then [Root.CreateEx] for a small file, [Root.OpenEx] for an image, [Root.OpenAppend] for a
// journal, [Root.Replace] for one of the few files that change, and [Root.Lock] before any of it when another process
// may write too.
//
// The promises:
//
//   - What is reported as written is on the disk: the file was synced, then the folder that holds its name. Folders
//     are not synced where the system or the file system cannot do it (Windows; EINVAL or ENOTSUP from fsync).
//   - A failed create, write, sync, chmod, close or rename is an error of the call, and is never retried: after a
//     failed sync the kernel may have dropped the pages, so a second sync that succeeds would prove nothing.
//   - Nothing that exists is overwritten or removed except by Replace, Remove and Sweep, which say so in their names.
//   - A finished file is made read-only. A file system that refuses that with EPERM, ENOTSUP or ENOSYS (exFAT, vfat,
//     some FUSE file systems) is tolerated; any other refusal is an error.
//   - No name leads outside the folder, and none is followed through a link inside it: every component is looked at
//     first, only real folders are entered and only regular files opened, so neither a link nor a FIFO or a device
//     that somebody placed there is ever opened.
//
// Names are slash-separated, relative and clean as [fs.ValidPath] wants them. Names that end in ".<16 hex>.tmp" are
// reserved for the unfinished files of this package; a reader of a folder ignores or reports them, [Root.Sweep]
// removes them. Errors carry names relative to the folder that was opened, quoted.
//
// This protects against crashes and against hostile content of the folder, not against another process that may
// write into it and exchanges entries between two system calls; what was opened is compared with what was looked at,
// and a difference is an error.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

var (
	// ErrName refuses a name that is empty, absolute, not clean, leads outside, is reserved by the system or is
	// reserved for unfinished files.
	ErrName = errors.New("not a usable name inside the folder")
	// ErrNotRegular refuses a link, a folder, a FIFO, a socket or a device where a regular file was wanted.
	ErrNotRegular = errors.New("not a regular file")
	// ErrNotFolder refuses anything but a real folder, also a link to one.
	ErrNotFolder = errors.New("not a folder")
	// ErrTooLarge says that a file exceeds the bound the caller gave.
	ErrTooLarge = errors.New("file is larger than allowed")
	// ErrSealed refuses to write to a file that was made read-only.
	ErrSealed = errors.New("file is sealed (read-only)")
	// ErrDiffers says that a file exists with other bytes than those that should stand in it.
	ErrDiffers = errors.New("file exists with different content")
	// ErrChanged says that an entry was exchanged between looking at it and opening it.
	ErrChanged = errors.New("entry changed while it was opened")
)

// Root is an open folder, inside which all names are resolved. It is safe for concurrent use. The zero value is not
// usable.
type Root struct {
	dir    *os.Root
	hook   Hook
	prefix string // of this folder below the one that was opened first; "" there
}

// OpenRoot opens an existing folder. Links in dir itself are followed: it is the user's word, not a file's. The caller
// closes the Root.
func OpenRoot(dir string) (*Root, error) {
	return OpenRootFaults(dir, nil)
}

// OpenRootFaults is OpenRoot with a hook that can make system calls fail; it is meant for tests (package faulttest).
// A hook can only take away: it cannot make a call that failed look as if it had succeeded.
func OpenRootFaults(dir string, hook Hook) (*Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder %q: %w", dir, cause(err))
	}
	return &Root{dir: root, hook: hook}, nil
}

// Sub opens an existing folder inside r as a Root of its own, which the caller closes. A link is refused.
func (r *Root) Sub(name string) (*Root, error) {
	in, err := r.walk(name)
	if err != nil {
		return nil, err
	}
	if in.borrowed { // name is "."; the new Root must survive the closing of r
		dir, err := r.dir.OpenRoot(".")
		if err != nil {
			return nil, wrap("open folder", in.path, err)
		}
		in.dir = dir
	}
	return &Root{dir: in.dir, hook: r.hook, prefix: in.path}, nil
}

// Close closes the folder. Files and Roots opened from it stay usable.
func (r *Root) Close() error {
	if err := r.dir.Close(); err != nil {
		return wrap("close folder", r.prefix, err)
	}
	return nil
}

// FS gives the folder for reading. It does not look at what it opens: links inside the folder are followed and a FIFO
// blocks, so a caller that reads what others wrote looks first, or uses [Root.Open] and [Root.ReadFile].
func (r *Root) FS() fs.FS { return r.dir.FS() }

// Name returns the path of the folder, as given to OpenRoot and extended by Sub.
func (r *Root) Name() string { return r.dir.Name() }

// join names an entry of r relative to the folder that was opened first.
func (r *Root) join(name string) string { return path.Join(r.prefix, name) }

// wrap says what was attempted on which name. The path inside os's own errors is not quoted, so it is dropped.
func wrap(what string, name string, err error) error {
	return fmt.Errorf("%s %q: %w", what, name, cause(err))
}

func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// also adds a second error, such as that of cleaning up, to the one that matters.
func also(err, second error) error {
	if second == nil {
		return err
	}
	return fmt.Errorf("%w (and: %w)", err, second)
}
