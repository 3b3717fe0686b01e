package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// lacksModes recognises a file system that cannot make a file read-only.
func lacksModes(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported)
}

// Mkdir makes a folder that must not exist (fs.ErrExist), mode 0755 less the umask.
//
// System calls: mkdirat, fsync(folder that holds it). After an error it does not exist, or exists empty and perhaps not
// durably; [Root.MkdirAll] continues from either.
func (r *Root) Mkdir(name string) error {
	in, base, err := r.enter(name)
	if err != nil {
		return err
	}
	defer in.close()
	if err := in.mkdir(base); err != nil {
		return err
	}
	return in.sync()
}

// MkdirAll makes a folder and those above it as far as they are missing. Every component is synced in the folder that
// holds it, also one that existed: who made it may have been killed before its own sync.
func (r *Root) MkdirAll(name string) error {
	if err := checkName(name); err != nil || name == "." {
		return err
	}
	in, err := r.walk(".")
	if err != nil {
		return err
	}
	for part := range strings.SplitSeq(name, "/") {
		next, err := in.ensure(part)
		in.close()
		if err != nil {
			return err
		}
		in = next
	}
	in.close()
	return nil
}

// ensure makes the folder base if it is missing, syncs its entry and enters it.
func (in folder) ensure(base string) (folder, error) {
	absent, err := in.missing(base)
	if err != nil {
		return folder{}, err
	}
	if absent {
		// Another process may have made it since the look, which is as good.
		if err := in.mkdir(base); err != nil && !errors.Is(err, fs.ErrExist) {
			return folder{}, err
		}
	}
	next, err := in.down(base)
	if err != nil {
		return folder{}, err
	}
	if err := in.sync(); err != nil {
		next.close()
		return folder{}, err
	}
	return next, nil
}

// Remove removes a regular file or an empty folder; anything else is refused.
//
// System calls: unlinkat, fsync(folder). After an error the thing is there, or is gone but a power cut may bring it back.
func (r *Root) Remove(name string) error {
	in, base, err := r.enter(name)
	if err != nil {
		return err
	}
	defer in.close()
	info, err := in.dir.Lstat(base)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = ErrNotRegular
	}
	if err != nil {
		return wrap(string(OpRemove), in.join(base), err)
	}
	if err := in.remove(base); err != nil {
		return err
	}
	return in.sync()
}

// SyncDir makes the entries of a folder durable.
func (r *Root) SyncDir(name string) error {
	in, err := r.walk(name)
	if err != nil {
		return err
	}
	defer in.close()
	return in.sync()
}

// Persist makes durable a file that was found: its writer may have been killed between writing and syncing, and what
// is read can then still be lost. System calls: fsync(file), fsync(folder).
func (r *Root) Persist(name string) error {
	in, base, err := r.enter(name)
	if err != nil {
		return err
	}
	defer in.close()
	f, _, err := in.open(base, os.O_RDONLY)
	if err != nil {
		return err
	}
	err = r.do(OpSync, in.join(base), f.Sync)
	if cerr := r.closeFile(f, in.join(base)); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return in.sync()
}

// Lstat describes an entry without following it.
func (r *Root) Lstat(name string) (fs.FileInfo, error) {
	in, base, err := r.enter(name)
	if err != nil {
		return nil, err
	}
	defer in.close()
	info, err := in.dir.Lstat(base)
	if err != nil {
		return nil, wrap("look at", in.join(base), err)
	}
	return info, nil
}

// Open opens a regular file for reading; anything else is refused without being opened. The caller closes it.
func (r *Root) Open(name string) (*os.File, error) {
	in, base, err := r.enter(name)
	if err != nil {
		return nil, err
	}
	defer in.close()
	f, _, err := in.open(base, os.O_RDONLY)
	return f, err
}

// ReadFile reads a regular file of at most max bytes; a larger one is ErrTooLarge, before anything is allocated.
func (r *Root) ReadFile(name string, max int64) ([]byte, error) {
	in, base, err := r.enter(name)
	if err != nil {
		return nil, err
	}
	defer in.close()
	f, info, err := in.open(base, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer release(f)
	if info.Size() > max {
		return nil, wrap("read", in.join(base), ErrTooLarge)
	}
	// One more than allowed, so that a file that grew meanwhile is seen.
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		err = ErrTooLarge
	}
	if err != nil {
		return nil, wrap("read", in.join(base), err)
	}
	return data, nil
}
