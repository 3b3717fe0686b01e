package ewf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// maxOpen is how many segment files are open at once: an image may have more of them than a process may open.
const maxOpen = 128

// files are the segment files. They are opened when they are read, and must then be what they were at first.
type files struct {
	fsys fs.FS
	list []*file

	mu    sync.Mutex
	open  []*file
	clock int64 // counts uses
}

type file struct {
	name   string
	number int // of the segment, from 1
	info   fs.FileInfo
	size   int64

	// Guarded by files.mu.
	f     fs.File // nil while it is not open
	at    io.ReaderAt
	users int
	last  int64 // of files.clock
}

var errNotRegular = errors.New("not a regular file")

// add looks at a file before it is opened, and opens it.
func (fl *files) add(name string) error {
	seen, err := fs.Lstat(fl.fsys, name)
	if err != nil {
		return plain(err)
	}
	if !seen.Mode().IsRegular() {
		return errNotRegular
	}
	f := &file{name: name}
	fl.list = append(fl.list, f)
	if err := fl.take(f); err != nil {
		return err
	}
	fl.release(f)
	return nil
}

// take opens a file if it is not open, and keeps it open until release.
func (fl *files) take(f *file) error {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if f.f == nil {
		if err := fl.closeOldest(); err != nil {
			return err
		}
		if err := f.reopen(fl.fsys); err != nil {
			return err
		}
		fl.open = append(fl.open, f)
	}
	f.users++
	fl.clock++
	f.last = fl.clock
	return nil
}

func (fl *files) release(f *file) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	f.users--
}

// closeOldest makes room for one more. Files in use stay open, even if they are more.
func (fl *files) closeOldest() error {
	if len(fl.open) < maxOpen {
		return nil
	}
	oldest := -1
	for i, f := range fl.open {
		if f.users == 0 && (oldest < 0 || f.last < fl.open[oldest].last) {
			oldest = i
		}
	}
	if oldest < 0 {
		return nil
	}
	f := fl.open[oldest]
	fl.open = append(fl.open[:oldest], fl.open[oldest+1:]...)
	err := f.f.Close()
	f.f, f.at = nil, nil
	return plain(err)
}

func (f *file) reopen(fsys fs.FS) error {
	seen, err := fs.Lstat(fsys, f.name)
	if err == nil && !seen.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		return plain(err)
	}
	opened, err := fsys.Open(f.name)
	if err != nil {
		return plain(err)
	}
	info, err := opened.Stat()
	at, ok := opened.(io.ReaderAt)
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errNotRegular
	case !ok:
		err = errors.New("this file system cannot read at an offset")
	case f.info != nil && (info.Size() != f.size || !info.ModTime().Equal(f.info.ModTime())):
		err = fmt.Errorf("%w: %q is another one than at first", ErrChanged, f.name)
	}
	if err != nil {
		return errors.Join(plain(err), opened.Close())
	}
	f.f, f.at = opened, at
	if f.info == nil { // once: others read them without the lock
		f.info, f.size = info, info.Size()
	}
	return nil
}

// read fills b from the offset off of a segment file.
func (fl *files) read(segment int, b []byte, off int64) error {
	f := fl.list[segment]
	if off < 0 || int64(len(b)) > f.size-off {
		return fmt.Errorf("%w: %d bytes at byte %d of %q, which has %d", ErrStructure, len(b), off, f.name, f.size)
	}
	if err := fl.take(f); err != nil {
		return fmt.Errorf("open image file %q again: %w", f.name, err)
	}
	defer fl.release(f)
	n, err := f.at.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil, errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %q ends at byte %d of %d", ErrChanged, f.name, off+int64(n), f.size)
	}
	return fmt.Errorf("read image file %q at byte %d: %w", f.name, off+int64(n), plain(err))
}

// unchanged says whether every file still has the size and time of change that it had.
func (fl *files) unchanged() error {
	for _, f := range fl.list {
		info, err := fs.Lstat(fl.fsys, f.name)
		if err != nil {
			return fmt.Errorf("look at image file %q: %w", f.name, plain(err))
		}
		if info.Size() != f.size || !info.ModTime().Equal(f.info.ModTime()) {
			return fmt.Errorf("%w: %q had %d bytes and now has %d, or was written to", ErrChanged, f.name, f.size, info.Size())
		}
	}
	return nil
}

func (fl *files) close() error {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	var errs []error
	for _, f := range fl.open {
		errs = append(errs, f.f.Close())
		f.f, f.at = nil, nil
	}
	fl.open = nil
	return errors.Join(errs...)
}
