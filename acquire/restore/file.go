package restore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// File is a new file that is restored to. Until Finish it has the name with ".partial" behind it.
type File struct {
	root *durable.Root
	file *durable.File
	name string
	size int64

	back      io.ReaderAt // to read back from; nil before the first read
	closeBack func() error
	evicted   bool // openBack asked for it where the system can be asked
}

// CreateFile makes a file that will have sizeBytes. Neither it nor its ".partial" may exist (fs.ErrExist). The caller
// ends with Finish or Close.
func CreateFile(path string, sizeBytes int64) (*File, error) {
	root, err := durable.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	if err := free(root, name); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	f, err := root.OpenEx(name + layout.PartialSuffix)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &File{root: root, file: f, name: name, size: sizeBytes}, nil
}

func free(root *durable.Root, name string) error {
	_, err := root.Lstat(name)
	switch {
	case err == nil:
		return fmt.Errorf("create %q: %w", name, os.ErrExist)
	case errors.Is(err, os.ErrNotExist):
		return nil
	}
	return err
}

// ReadAt implements Target. The first call asks the system to forget what it keeps of the file, and nothing may be written
// after it.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if f.back == nil {
		if err := f.openBack(); err != nil {
			return 0, err
		}
	}
	n, err := f.back.ReadAt(p, off)
	if errors.Is(err, io.EOF) && n == len(p) {
		err = nil
	}
	return n, err
}

func (f *File) openBack() error {
	file, err := f.root.Open(f.name + layout.PartialSuffix)
	if err != nil {
		return err
	}
	medium.Evict(file)
	m, err := medium.FromFile(file)
	switch {
	case err == nil:
		f.back, f.closeBack, f.evicted = m, m.Close, true
		return nil
	case errors.Is(err, errors.ErrUnsupported):
		f.back, f.closeBack = file, file.Close
		return nil
	}
	return errors.Join(err, file.Close())
}

// Evicted reports whether the system was asked to forget the file before it was read back; it may not have.
func (f *File) Evicted() bool { return f.evicted }

// WriteAt implements Target. No place of a file is bad by itself: any error ends the restore.
func (f *File) WriteAt(p []byte, off int64) error {
	_, err := f.file.WriteAt(p, off)
	return err
}

// Sync implements Target.
func (f *File) Sync() error { return f.file.Sync() }

// Size implements Target: what the file will have.
func (f *File) Size() int64 { return f.size }

// SectorBytes implements Target: a file is written in any pieces.
func (f *File) SectorBytes() int64 { return 1 }

// Path is the file's present name.
func (f *File) Path() string { return filepath.Join(f.root.Name(), f.name+layout.PartialSuffix) }

// Finish makes the file read-only and gives it its name. After an error it is ".partial".
func (f *File) Finish() error {
	err := f.closeReading()
	if err == nil {
		err = f.file.Seal()
	}
	if err == nil {
		err = f.root.Rename(f.name+layout.PartialSuffix, f.name)
	}
	return errors.Join(err, f.Close())
}

func (f *File) closeReading() error {
	if f.closeBack == nil {
		return nil
	}
	err := f.closeBack()
	f.back, f.closeBack = nil, nil
	return err
}

// Close leaves what was written as ".partial". After Finish, or a second time, it does nothing.
func (f *File) Close() error {
	if f.root == nil {
		return nil
	}
	err := errors.Join(f.closeReading(), f.file.Abort(), f.root.Close())
	f.root = nil
	return err
}
