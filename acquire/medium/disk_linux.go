package medium

import (
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// bounceBytes is read at once where the reader's own memory or place is not aligned. A multiple of every alignment.
const bounceBytes = 256 << 10

// disk is a block device or a regular file.
type disk struct {
	f         *os.File
	fd        int // of f; pread is called directly, because os.File goes on after a short read at an unaligned place
	path      string
	seen      os.FileInfo // when it was opened
	device    bool
	sequence  uint64
	sizeBytes int64
	about     record.Medium
	align     int    // of memory, offset and length; 1: through the page cache
	bounce    []byte // aligned, made when it is first needed
}

func (d *disk) read(p []byte, off int64) (int, error) {
	if off == d.sizeBytes {
		if err := d.checkEnd(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), roundUp(d.sizeBytes-off, int64(d.align)))]
	n, err := d.pread(p, off)
	if err != nil {
		return 0, d.readError(off, int64(len(p)), err)
	}
	if n == 0 {
		return 0, fmt.Errorf("%q ends at byte %d of %d: %w", d.path, off, d.sizeBytes, ErrMediumChanged)
	}
	// More than there was is data behind the end, which checkEnd reports.
	return int(min(int64(n), d.sizeBytes-off)), nil
}

// readError tells a bad place from a medium that is gone: after it was pulled out there is one error, then a clean end.
func (d *disk) readError(off, length int64, cause error) error {
	err := error(&ReadError{Path: d.path, Offset: off, SizeBytes: min(length, d.sizeBytes-off), Err: cause})
	if d.device && d.changed() != nil {
		return fmt.Errorf("%w (%w: pulled out?)", err, ErrMediumChanged)
	}
	return err
}

// checkEnd returns nil if the medium is as it was, and has no byte after its end.
func (d *disk) checkEnd() error {
	if err := d.changed(); err != nil {
		return err
	}
	// The size of some files (in /proc) says nothing, so the end is tried.
	n, err := d.pread(make([]byte, 1), d.sizeBytes)
	if err == nil && n > 0 {
		return fmt.Errorf("%q has bytes after its size of %d: %w", d.path, d.sizeBytes, ErrMediumChanged)
	}
	if err != nil && !d.device { // a device may answer a read at its end with an error
		return &ReadError{Path: d.path, Offset: d.sizeBytes, SizeBytes: 1, Err: err}
	}
	return nil
}

// changed compares the medium with what it was when it was opened.
func (d *disk) changed() error {
	if d.device {
		size, err := d.deviceSize()
		if err != nil {
			return fmt.Errorf("ask %q for its size: %w: %w", d.path, err, ErrMediumChanged)
		}
		if size != d.sizeBytes {
			return fmt.Errorf("%q had %d bytes and now has %d: %w", d.path, d.sizeBytes, size, ErrMediumChanged)
		}
		if d.diskSequence() != d.sequence {
			return fmt.Errorf("%q was attached anew: %w", d.path, ErrMediumChanged)
		}
		return nil
	}
	info, err := d.f.Stat()
	if err != nil {
		return fmt.Errorf("look at %q: %w", d.path, plain(err))
	}
	if info.Size() != d.sizeBytes {
		return fmt.Errorf("%q had %d bytes and now has %d: %w", d.path, d.sizeBytes, info.Size(), ErrMediumChanged)
	}
	if !info.ModTime().Equal(d.seen.ModTime()) {
		return fmt.Errorf("%q was written to: %w", d.path, ErrMediumChanged)
	}
	return nil
}

// pread reads at off, by way of the bounce buffer if p or off is not aligned.
func (d *disk) pread(p []byte, off int64) (int, error) {
	align := int64(d.align)
	whole := int64(len(p)) &^ (align - 1)
	if off%align == 0 && whole > 0 && aligned(p, d.align) {
		return d.system(p[:whole], off)
	}
	if d.bounce == nil {
		d.bounce = alignedBuffer(bounceBytes, d.align)
	}
	skip := off % align
	want := min(roundUp(skip+int64(len(p)), align), bounceBytes)
	n, err := d.system(d.bounce[:want], off-skip)
	if err != nil || int64(n) <= skip {
		return 0, err
	}
	return copy(p, d.bounce[skip:n]), nil
}

// system makes the call. A file system may accept the flag for direct I/O and then refuse to do it.
func (d *disk) system(p []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(d.fd, p, off)
		switch {
		case err == unix.EINTR:
		case err == unix.EINVAL && !d.device && d.align > 1:
			if err := d.setDirect(false); err != nil {
				return 0, err
			}
			d.align = 1
		case err != nil:
			return 0, err
		default:
			return n, nil
		}
	}
}

func (d *disk) setDirect(on bool) error {
	flags, err := unix.FcntlInt(uintptr(d.fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	flags &^= unix.O_DIRECT
	if on {
		flags |= unix.O_DIRECT
	}
	_, err = unix.FcntlInt(uintptr(d.fd), unix.F_SETFL, flags)
	return err
}

func (d *disk) describe() record.Medium { return d.about }

func (d *disk) size() int64 { return d.sizeBytes }

func (d *disk) close() error { return plain(d.f.Close()) }

// PastCache reports whether everything so far was read with direct I/O. It does not say that the file system heeds it:
// tmpfs does not.
func (m *Medium) PastCache() bool {
	d, ok := m.src.(*disk)
	return ok && d.align > 1
}

func roundUp(n, align int64) int64 { return (n + align - 1) &^ (align - 1) }

func aligned(p []byte, align int) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(p)))%uintptr(align) == 0
}

// alignedBuffer relies on Go's heap, which never moves what it has given out.
func alignedBuffer(size, align int) []byte {
	b := make([]byte, size+align)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (align - 1)
	return b[skip : skip+size : skip+size]
}
