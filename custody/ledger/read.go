package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// folder is the log folder as it is read. An fs.FS follows links and waits at a FIFO, so everything is looked at before it
// is opened; folders that were seen to be real ones are remembered, because logs have few folders and many files.
type folder struct {
	fsys fs.FS
	mu   sync.Mutex
	seen map[string]bool
}

func newFolder(fsys fs.FS) *folder { return &folder{fsys: fsys, seen: map[string]bool{}} }

// look requires that every component of name but the last is a folder, and returns what the last one is.
func (d *folder) look(name string) (fs.FileInfo, error) {
	for i, c := range name {
		if c == '/' {
			if err := d.enter(name[:i]); err != nil {
				return nil, err
			}
		}
	}
	return fs.Lstat(d.fsys, name)
}

func (d *folder) enter(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen[name] {
		return nil
	}
	info, err := fs.Lstat(d.fsys, name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%q: %w: not a folder", name, record.ErrMalformed)
	}
	d.seen[name] = true
	return nil
}

// readFile returns the bytes of a regular file of at most max bytes.
func (d *folder) readFile(name string, max int64) ([]byte, error) {
	info, err := d.look(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q: %w: not a regular file", name, record.ErrMalformed)
	}
	f, err := d.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > max {
		return nil, fmt.Errorf("%q: %w: not a regular file of at most %d bytes", name, record.ErrMalformed, max)
	}
	var b bytes.Buffer
	b.Grow(int(info.Size()) + bytes.MinRead)
	// One more than allowed, so that a file that grew meanwhile is seen.
	n, err := b.ReadFrom(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if n > max {
		return nil, fmt.Errorf("%q: %w: it grew beyond %d bytes", name, record.ErrMalformed, max)
	}
	return b.Bytes(), nil
}

// exists reports whether there is anything called name.
func (d *folder) exists(name string) (bool, error) {
	_, err := d.look(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// list returns the entries of a real folder, in no order. It reads them in portions so that a folder with too many names
// is refused before they are in memory.
func (d *folder) list(name string) ([]fs.DirEntry, error) {
	info, err := d.look(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%q: %w: not a folder", name, record.ErrMalformed)
	}
	f, err := d.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	dir, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, fmt.Errorf("%q: %w: not a folder", name, record.ErrMalformed)
	}
	var all []fs.DirEntry
	for {
		some, err := dir.ReadDir(4096)
		all = append(all, some...)
		if len(all) > layout.MaxFolder {
			return nil, fmt.Errorf("%q: %w: more than %d names", name, record.ErrMalformed, layout.MaxFolder)
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
