package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// errNotPlain is wrapped when something other than a folder or a regular file stands where one belongs.
var errNotPlain = errors.New("neither opened nor followed")

// errTooLarge is wrapped when a file is larger than any of its kind.
var errTooLarge = errors.New("larger than any such file can be")

// plainFS opens folders and regular files of the file system below it and nothing else. Every part of a name is looked
// at before it is opened: a link could lead anywhere, a pipe would never answer, a device is no file of a case. What is
// read through it is never more than what its caller bounds.
type plainFS struct {
	fsys fs.FS

	mu   sync.Mutex
	seen map[string]bool // folders that were looked at
}

var _ fs.StatFS = (*plainFS)(nil)

func newPlainFS(fsys fs.FS) *plainFS { return &plainFS{fsys: fsys, seen: map[string]bool{}} }

// kindOf names a thing that is neither folder nor regular file.
func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m.IsDir():
		return "a folder"
	case m.IsRegular():
		return "a file"
	}
	return "of an unknown kind"
}

// Stat returns the information about name itself, never of what a link points to. It implements fs.StatFS.
func (p *plainFS) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	for i := range len(name) {
		if name[i] == '/' {
			if err := p.folder(name[:i]); err != nil {
				return nil, err
			}
		}
	}
	return p.lstat(name)
}

// folder requires that name is a folder.
func (p *plainFS) folder(name string) error {
	p.mu.Lock()
	ok := p.seen[name]
	p.mu.Unlock()
	if ok {
		return nil
	}
	info, err := p.lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is %s, not a folder: %w", name, kindOf(info.Mode()), errNotPlain)
	}
	p.mu.Lock()
	p.seen[name] = true
	p.mu.Unlock()
	return nil
}

// lstat looks at name in its folder. A file system that cannot look at links themselves lists the folder instead.
func (p *plainFS) lstat(name string) (fs.FileInfo, error) {
	if _, ok := p.fsys.(fs.ReadLinkFS); ok || name == "." {
		return fs.Lstat(p.fsys, name)
	}
	entries, err := fs.ReadDir(p.fsys, path.Dir(name))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() == path.Base(name) {
			return e.Info()
		}
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// Open implements fs.FS.
func (p *plainFS) Open(name string) (fs.File, error) {
	info, err := p.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is %s: %w", name, kindOf(info.Mode()), errNotPlain)
	}
	f, err := p.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	again, err := f.Stat()
	if err == nil && again.Mode().Type() != info.Mode().Type() {
		err = fmt.Errorf("%q was replaced while it was opened: %w", name, errNotPlain)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openFile opens a regular file and returns its size.
func (p *plainFS) openFile(name string) (fs.File, int64, error) {
	f, err := p.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is %s, not a file: %w", name, kindOf(info.Mode()), errNotPlain)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// readFile reads a regular file of at most limit bytes.
func (p *plainFS) readFile(name string, limit int64) (b []byte, err error) {
	f, size, err := p.openFile(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if size > limit {
		return nil, fmt.Errorf("%q has %d bytes, at most %d are allowed: %w", name, size, limit, errTooLarge)
	}
	b, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%q grew past %d bytes: %w", name, limit, errTooLarge)
	}
	return b, nil
}

// readDir lists a folder of at most limit entries, in the order of the names. A listing never follows anything.
func (p *plainFS) readDir(name string, limit int) ([]fs.DirEntry, error) {
	if name != "." {
		if _, err := p.Stat(name); err != nil {
			return nil, err
		}
		if err := p.folder(name); err != nil {
			return nil, err
		}
	}
	entries, err := fs.ReadDir(p.fsys, name)
	if err != nil {
		return nil, err
	}
	if len(entries) > limit {
		return nil, fmt.Errorf("folder %q has %d entries, at most %d are allowed: %w", name, len(entries), limit, errTooLarge)
	}
	return entries, nil
}

// eachEntry calls each for every entry of a folder of any size, in no order.
func (p *plainFS) eachEntry(ctx context.Context, name string, each func(fs.DirEntry)) (err error) {
	f, err := p.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	dir, ok := f.(fs.ReadDirFile)
	if !ok {
		return fmt.Errorf("%q is not a folder: %w", name, errNotPlain)
	}
	if info, err := f.Stat(); err != nil || !info.IsDir() {
		return errors.Join(err, fmt.Errorf("%q is not a folder: %w", name, errNotPlain))
	}
	for ctx.Err() == nil {
		entries, err := dir.ReadDir(4096)
		for _, e := range entries {
			each(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %q: %w", name, err)
		}
	}
	return ctx.Err()
}

// exists reports whether anything stands at name.
func (p *plainFS) exists(name string) bool {
	_, err := p.Stat(name)
	return err == nil
}

// within joins a folder, possibly ".", and a name.
func within(dir, name string) string {
	if dir == "." || dir == "" {
		return name
	}
	return strings.TrimSuffix(dir, "/") + "/" + name
}
