// Package inorder takes the digests of files while something else reads them: an E01 is decoded from the very bytes that
// its files' digests are computed of, and the disk is read once.
//
// Start with [New]. The FS reads its files in stretches of 1 MiB, kept in memory that all files share. After [FS.Begin] it
// hashes each stretch of a file that is read next in order; [FS.Digests] reads what is left of a file. The promise: the
// digests are those of all bytes of the file, each taken once and in order, whatever was read, in whichever order, or not
// at all.
package inorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// ErrChanged says that a file is longer or shorter than it was.
var ErrChanged = errors.New("the file was changed while it was read")

const (
	// stretch is read at once. It is the group of the tree, so that files are hashed without another copy.
	stretch = hashtree.GroupSize
	// maxStretches are in memory: those that wait for the hashes, and those that were read last, for a reader goes on in
	// order, and looks into tables from time to time.
	maxStretches = 12
	// alignment of what is read into, for direct reads.
	alignment = 4096
)

// FS gives the files of another file system, and reads them in stretches.
type FS struct {
	fsys fs.FS
	open func(name string) (fs.File, error)
	busy func(part pass.Part, i int, took time.Duration, sizeBytes int)

	mu        sync.Mutex
	freed     sync.Cond // a piece that no hash needs any more
	hashing   bool
	stretches []*piece // the one that was used last at the end
	files     map[string]*state
}

// piece is a stretch in memory. Only one without users is read into.
type piece struct {
	of    *state
	off   int64
	data  []byte // less than a stretch at the end of the file
	users int    // hashes that have not had it
}

// New makes an FS. open opens a regular file of fsys, which must give io.ReaderAt; busy, if not nil, is told of the hashing
// as pass.Options.Busy says.
func New(fsys fs.FS, open func(name string) (fs.File, error), busy func(pass.Part, int, time.Duration, int)) *FS {
	f := &FS{fsys: fsys, open: open, busy: busy, files: map[string]*state{}}
	f.freed.L = &f.mu
	return f
}

// Lstat implements fs.ReadLinkFS.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(f.fsys, name) }

// ReadLink implements fs.ReadLinkFS.
func (f *FS) ReadLink(name string) (string, error) { return fs.ReadLink(f.fsys, name) }

// Open implements fs.FS. A file that is opened again must have the size that it had, or it is ErrChanged.
func (f *FS) Open(name string) (fs.File, error) {
	opened, err := f.open(name)
	if err != nil {
		return nil, err
	}
	info, err := opened.Stat()
	at, ok := opened.(io.ReaderAt)
	if err == nil && !ok {
		err = errors.New("this file system cannot read at an offset")
	}
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.files[name]
	if s == nil {
		s = &state{size: info.Size()}
		f.files[name] = s
	}
	if s.size != info.Size() {
		return nil, errors.Join(fmt.Errorf("%w: %q had %d bytes and now has %d", ErrChanged, name, s.size, info.Size()), opened.Close())
	}
	return &file{opened, f, at, s}, nil
}

// Begin lets the hashing begin. Before, whoever opens an image looks here and there.
func (f *FS) Begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hashing = true
}

// Digests reads what was not yet hashed of a file, and returns its SHA-256 and BLAKE3. It is called after Begin, once for
// each file.
func (f *FS) Digests(ctx context.Context, name string) (sum [32]byte, root hashtree.Value, err error) {
	opened, err := f.Open(name)
	if err != nil {
		return sum, root, err
	}
	defer opened.Close() //nolint:errcheck // opened for reading only
	one, ok := opened.(*file)
	if !ok {
		return sum, root, fs.ErrInvalid
	}
	s := one.state
	if err := one.finish(ctx); err != nil {
		return sum, root, err
	}
	if s.ended.Wait(); s.err != nil {
		return sum, root, s.err
	}
	return s.sum, s.root, nil
}

// finish gives the hashes what is left of the file.
func (f *file) finish(ctx context.Context) error {
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	for f.next < f.size {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := f.piece(f.next); err != nil {
			return err
		}
	}
	f.fsys.start(f.state) // of an empty file
	f.end()
	return nil
}

// Close ends the hashing of files whose Digests were not asked for. What is read afterwards is hashed no more.
func (f *FS) Close() {
	f.mu.Lock()
	f.hashing = false
	for _, s := range f.files {
		s.end()
	}
	f.mu.Unlock()
	for _, s := range f.files {
		s.ended.Wait()
	}
}

// file is an open file.
type file struct {
	fs.File
	fsys *FS
	at   io.ReaderAt
	*state
}

var _ io.ReaderAt = (*file)(nil)

// Read implements fs.File, and is refused: the files are read at offsets.
func (f *file) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at < 0 || at >= f.size {
			return done, io.EOF
		}
		s, err := f.piece(at - at%stretch)
		if err != nil {
			return done, err
		}
		done += copy(p[done:], s.data[at-s.off:])
	}
	return done, nil
}

// piece returns the stretch that begins at off, and hashes it if it is the next one. FS.mu is held, but not while it
// waits for room.
func (f *file) piece(off int64) (*piece, error) {
	s := f.fsys.find(f.state, off)
	for s == nil {
		if free := f.fsys.room(); free == nil {
			f.fsys.freed.Wait()
			s = f.fsys.find(f.state, off)
		} else if err := f.read(free, off); err != nil {
			return nil, err
		} else {
			s = free
		}
	}
	f.fsys.used(s)
	// What was read ahead of its turn, by one of several readers, follows.
	for next := s; f.fsys.hashing && next != nil && next.off == f.next; next = f.fsys.find(f.state, f.next) {
		f.fsys.take(next)
	}
	return s, nil
}

// read fills a piece that is nobody's.
func (f *file) read(s *piece, off int64) error {
	s.of = nil
	s.data = s.data[:min(stretch, f.size-off)]
	n, err := f.at.ReadAt(s.data, off)
	if n < len(s.data) {
		if err == nil || errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: it ends at byte %d of %d: %w", ErrChanged, off+int64(n), f.size, io.EOF)
		}
		return err
	}
	s.of, s.off = f.state, off
	return nil
}

func (f *FS) find(of *state, off int64) *piece {
	i := slices.IndexFunc(f.stretches, func(p *piece) bool { return p.of == of && p.off == off })
	if i < 0 {
		return nil
	}
	return f.stretches[i]
}

// used puts a piece to the end.
func (f *FS) used(s *piece) {
	i := slices.Index(f.stretches, s)
	f.stretches = append(slices.Delete(f.stretches, i, i+1), s)
}

// room is a piece to read into; nil if there is none now.
func (f *FS) room() *piece {
	if len(f.stretches) < maxStretches {
		s := &piece{data: aligned()}
		f.stretches = append(f.stretches, s)
		return s
	}
	i := slices.IndexFunc(f.stretches, func(p *piece) bool { return p.users == 0 })
	if i < 0 {
		return nil
	}
	return f.stretches[i]
}

// aligned relies on Go's heap, which never moves what it has given out.
func aligned() []byte {
	b := make([]byte, stretch+alignment)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (alignment - 1)
	return b[skip : skip+stretch : skip+stretch]
}
