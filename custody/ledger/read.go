package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// look requires that every component of name but the last is a folder, and returns what the last one is. An fs.FS
// follows links and waits at a FIFO, so nothing is opened before this.
func look(fsys fs.FS, name string) (fs.FileInfo, error) {
	for i, c := range name {
		if c != '/' {
			continue
		}
		info, err := fs.Lstat(fsys, name[:i])
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%q: %w: not a folder", name[:i], record.ErrMalformed)
		}
	}
	return fs.Lstat(fsys, name)
}

// readFile returns the bytes of a regular file of at most max bytes.
func readFile(fsys fs.FS, name string, max int64) ([]byte, error) {
	info, err := look(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q: %w: not a regular file", name, record.ErrMalformed)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > max {
		return nil, fmt.Errorf("%q: %w: not a regular file of at most %d bytes", name, record.ErrMalformed, max)
	}
	// One more than allowed, so that a file that grew meanwhile is seen.
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, fmt.Errorf("%q: %w: it grew beyond %d bytes", name, record.ErrMalformed, max)
	}
	return b, nil
}

// exists reports whether there is anything called name.
func exists(fsys fs.FS, name string) (bool, error) {
	_, err := look(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// listFolder returns the entries of a real folder, in no order. It reads them in portions so that a folder with too
// many names is refused before they are in memory.
func listFolder(fsys fs.FS, name string) ([]fs.DirEntry, error) {
	info, err := look(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%q: %w: not a folder", name, record.ErrMalformed)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
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

// leftover recognises names that are no part of the log: what an append set aside, and temporary files.
func leftover(base string) bool {
	return strings.HasPrefix(base, layout.TornPrefix) || strings.HasSuffix(base, ".tmp")
}
