package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// folder is an entered folder: every component on the way was seen to be a real folder.
type folder struct {
	r        *Root
	dir      *os.Root
	borrowed bool   // dir belongs to r
	path     string // relative to the folder that was opened first
}

// checkName refuses what fs.ValidPath refuses, and names the system would read otherwise than we do (backslashes,
// colons and device names on Windows, NUL).
func checkName(name string) error {
	if _, err := filepath.Localize(name); err != nil || isTemp(path.Base(name), "") {
		return wrap("use", name, ErrName)
	}
	return nil
}

// walk enters the folder name, "." included. The caller closes it.
func (r *Root) walk(name string) (folder, error) {
	if err := checkName(name); err != nil {
		return folder{}, err
	}
	in := folder{r: r, dir: r.dir, borrowed: true, path: r.prefix}
	if name == "." {
		return in, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		next, err := in.down(part)
		in.close()
		if err != nil {
			return folder{}, err
		}
		in = next
	}
	return in, nil
}

// enter enters the folder that holds name and returns the last component of name. The caller closes it.
func (r *Root) enter(name string) (folder, string, error) {
	if name == "." {
		return folder{}, "", wrap("use", name, ErrName)
	}
	if err := checkName(name); err != nil {
		return folder{}, "", err
	}
	in, err := r.walk(path.Dir(name))
	return in, path.Base(name), err
}

// down enters one real folder. os.Root would follow a link, so the entry is looked at first and compared afterwards.
func (in folder) down(base string) (folder, error) {
	name := in.join(base)
	seen, err := in.dir.Lstat(base)
	if err != nil {
		return folder{}, wrap("open folder", name, err)
	}
	if !seen.IsDir() {
		return folder{}, wrap("open folder", name, ErrNotFolder)
	}
	dir, err := in.dir.OpenRoot(base)
	if err != nil {
		return folder{}, wrap("open folder", name, err)
	}
	got, err := dir.Stat(".")
	if err == nil && !os.SameFile(seen, got) {
		err = ErrChanged
	}
	if err != nil {
		release(dir)
		return folder{}, wrap("open folder", name, err)
	}
	return folder{r: in.r, dir: dir, path: name}, nil
}

func (in folder) join(base string) string { return path.Join(in.path, base) }

// release closes a handle through which nothing was written, so that an error of closing it says nothing about the disk.
func release(c io.Closer) { _ = c.Close() }

// close gives the handle back.
func (in folder) close() {
	if !in.borrowed && in.dir != nil {
		release(in.dir)
	}
}

// keep returns in with a handle of its own, for a file that outlives the call.
func (in folder) keep() (folder, error) {
	if !in.borrowed {
		return in, nil
	}
	dir, err := in.dir.OpenRoot(".")
	if err != nil {
		return folder{}, wrap("open folder", in.path, err)
	}
	return folder{r: in.r, dir: dir, path: in.path}, nil
}

// sync makes the folder's entries durable. Some file systems (CIFS, a few FUSE ones) have no fsync for folders and
// say EINVAL or ENOTSUP; nothing better exists there.
func (in folder) sync() error {
	err := in.r.do(OpSyncDir, in.join("."), func() error {
		f, err := in.dir.Open(".")
		if err != nil {
			return err
		}
		defer release(f)
		return syncFolder(f)
	})
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// missing reports that base does not exist; any other trouble in looking is an error.
func (in folder) missing(base string) (bool, error) {
	_, err := in.dir.Lstat(base)
	if err == nil {
		return false, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, wrap("look at", in.join(base), err)
}

// create makes the file base exclusively.
func (in folder) create(base string, flags int) (*os.File, error) {
	var f *os.File
	err := in.r.do(OpCreate, in.join(base), func() (err error) {
		f, err = in.dir.OpenFile(base, flags|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	return f, err
}

// open opens the regular file base, and nothing else. It never waits for the other end of a FIFO that was put in the
// file's place after the look.
func (in folder) open(base string, flags int) (*os.File, fs.FileInfo, error) {
	name := in.join(base)
	seen, err := in.dir.Lstat(base)
	if err != nil {
		return nil, nil, wrap("open", name, err)
	}
	if !seen.Mode().IsRegular() {
		return nil, nil, wrap("open", name, ErrNotRegular)
	}
	if flags&(os.O_RDWR|os.O_WRONLY) != 0 && seen.Mode().Perm()&0o222 == 0 {
		// The permission alone would not stop root, and imaging runs as root.
		return nil, nil, wrap("open for writing", name, ErrSealed)
	}
	f, err := in.dir.OpenFile(base, flags|openNoWait, 0)
	if err != nil {
		return nil, nil, wrap("open", name, err)
	}
	got, err := f.Stat()
	if err == nil && !os.SameFile(seen, got) {
		err = ErrChanged
	}
	if err != nil {
		release(f)
		return nil, nil, wrap("open", name, err)
	}
	return f, got, nil
}

// openOrCreate opens base or makes it exclusively. Another process may make it between the look and the call, so the
// look is repeated.
func (in folder) openOrCreate(base string, flags int) (f *os.File, err error) {
	for range 3 {
		absent, lerr := in.missing(base)
		switch {
		case lerr != nil:
			return nil, lerr
		case absent:
			f, err = in.create(base, flags)
		default:
			f, _, err = in.open(base, flags)
		}
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, err
}
