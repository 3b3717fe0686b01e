package durable

import (
	"errors"
	"io/fs"
	"os"
	"sync"
)

// File is a file that is being written, under its final name from the start; while it is not sealed it is writable
// (mode 0600), which is how an unfinished one is recognised where the file system has modes. After the first failed
// call every later one returns that failure: what the file holds is no longer known. ReadAt, Write and WriteAt may
// run concurrently with each other; Seal and Abort come last.
type File struct {
	f    *os.File
	in   folder
	name string

	mu   sync.Mutex
	err  error // the first failure, or fs.ErrClosed after the end
	done bool  // closed
}

// OpenEx makes a file that must not exist (fs.ErrExist), to be written in many calls.
//
// System calls: openat(O_CREAT|O_EXCL, 0600), fsync(folder), so that bytes synced later have a durable name. After an
// error an empty file may exist. The caller ends with Seal or Abort.
func (r *Root) OpenEx(name string) (*File, error) {
	in, base, err := r.enterKeep(name)
	if err != nil {
		return nil, err
	}
	f, err := in.create(base, os.O_RDWR)
	if err != nil {
		in.close()
		return nil, err
	}
	return newFile(in, base, f, in.sync())
}

// Reopen opens a file that OpenEx made and that was not sealed, to go on after an interruption; a sealed one is
// ErrSealed (on file systems without modes it cannot be recognised). What it holds is synced first, and its folder,
// so that what the caller reads to find its place is durable.
func (r *Root) Reopen(name string) (*File, error) {
	in, base, err := r.enterKeep(name)
	if err != nil {
		return nil, err
	}
	f, _, err := in.open(base, os.O_RDWR)
	if err != nil {
		in.close()
		return nil, err
	}
	return newFile(in, base, f, in.persist(base, f))
}

func (r *Root) enterKeep(name string) (folder, string, error) {
	in, base, err := r.enter(name)
	if err != nil {
		return folder{}, "", err
	}
	in, err = in.keep()
	return in, base, err
}

func (in folder) persist(base string, f *os.File) error {
	if err := in.r.do(OpSync, in.join(base), f.Sync); err != nil {
		return err
	}
	return in.sync()
}

// newFile takes over f and in, or gives them back when the opening failed with err.
func newFile(in folder, base string, f *os.File, err error) (*File, error) {
	if err != nil {
		err = also(err, in.r.closeFile(f, in.join(base)))
		in.close()
		return nil, err
	}
	return &File{f: f, in: in, name: in.join(base)}, nil
}

// Write appends at the file's position. It does not sync. A failed Write may have written a part.
func (f *File) Write(p []byte) (int, error) {
	return f.write(p, f.f.Write)
}

// WriteAt writes at a byte offset. It does not sync. A failed WriteAt may have written a part.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	return f.write(p, func(p []byte) (int, error) { return f.f.WriteAt(p, off) })
}

func (f *File) write(p []byte, call func([]byte) (int, error)) (int, error) {
	if err := f.failure(); err != nil {
		return 0, err
	}
	n, err := f.in.r.write(f.name, p, call)
	return n, f.note(err)
}

// ReadAt reads what was written.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Seek sets the position of the next Write.
func (f *File) Seek(offset int64, whence int) (int64, error) { return f.f.Seek(offset, whence) }

// Sync makes everything written so far durable.
func (f *File) Sync() error { return f.do(OpSync, f.f.Sync) }

// Truncate cuts the file to size bytes, or extends it with zeros; it does not sync.
func (f *File) Truncate(size int64) error {
	return f.do(OpTruncate, func() error { return f.f.Truncate(size) })
}

// Size returns the current length in bytes.
func (f *File) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, wrap("look at", f.name, err)
	}
	return info.Size(), nil
}

// Fd returns the descriptor for advice and allocation (fallocate, fadvise); bytes written through it would pass by the
// checks here. It is valid until Seal or Abort.
func (f *File) Fd() uintptr { return f.f.Fd() }

// Seal finishes the file.
//
// System calls: fsync, fchmod(0444), fsync, close, fsync(folder). The first fsync stands before the fchmod, so that a
// read-only file is a complete one even after a power cut; the second is left out where the file system has no modes.
// After an error the file must not be called written: it holds what was written as far as that succeeded, and is
// read-only only if all its bytes were synced.
func (f *File) Seal() error {
	err := f.Sync()
	var changed bool
	if err == nil {
		changed, err = f.in.r.chmod(f.f, f.name, modeSealed)
		err = f.note(err)
	}
	if err == nil && changed {
		err = f.Sync()
	}
	if cerr := f.close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = f.in.sync()
	}
	f.in.close()
	return err
}

// Seal seals f, the file of that name; where f is nil the file is opened again. One that is read-only already was sealed by a
// run that was interrupted then, and is left as it is.
func (r *Root) Seal(name string, f *File) error {
	if f == nil {
		var err error
		if f, err = r.Reopen(name); errors.Is(err, ErrSealed) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := f.Seal(); err != nil {
		return errors.Join(err, f.Abort())
	}
	return nil
}

// Abort closes the file and keeps its bytes under its name, unsealed and unsynced since the last Sync. After Seal, or
// a second time, it does nothing, so it can be deferred.
func (f *File) Abort() error {
	if f.closed() {
		return nil
	}
	err := f.close()
	f.in.close()
	return err
}

func (f *File) do(op Op, call func() error) error {
	if err := f.failure(); err != nil {
		return err
	}
	return f.note(f.in.r.do(op, f.name, call))
}

// close gives the descriptor back once; a file that failed before is closed all the same.
func (f *File) close() error {
	if f.closed() {
		return wrap(string(OpClose), f.name, fs.ErrClosed)
	}
	err := f.in.r.closeFile(f.f, f.name)
	f.mu.Lock()
	f.err, f.done = wrap("use", f.name, fs.ErrClosed), true
	f.mu.Unlock()
	return err
}

// failure returns what makes the file unusable.
func (f *File) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// note keeps the first failure.
func (f *File) note(err error) error {
	if err == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	return err
}

func (f *File) closed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done
}
