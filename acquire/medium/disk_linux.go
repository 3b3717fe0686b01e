package medium

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// bounceBytes is read at once where the reader's own memory or place is not aligned. A multiple of every alignment.
const bounceBytes = 256 << 10

// disk is a block device or a regular file.
type disk struct {
	host      host
	f         *os.File
	fd        int // of f
	conn      syscall.RawConn
	path      string
	seen      os.FileInfo // when it was opened
	device    bool
	sequence  uint64
	identity  string // of a device, as /sys gives it; "" if it gives none
	sizeBytes int64
	about     record.Medium
	sector    int    // of the medium
	step      int    // of offset and length of a direct read
	align     int    // of memory; 1: through the page cache
	bounce    []byte // aligned, made when it is first needed
	timeout   time.Duration
	helper    *helper // makes the reads; nil without a timeout
	now       State
	settings  []setting // to be taken back
	was       bool      // Options.WasWritable
	closed    atomic.Bool
}

func (d *disk) read(p []byte, off int64) (int, error) {
	if off == d.sizeBytes {
		if err := d.checkEnd(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), roundUp(d.sizeBytes-off, int64(d.step)))]
	n, err := d.pread(p, off)
	if err != nil {
		return 0, d.readError(off, int64(len(p)), err)
	}
	if n == 0 {
		return 0, d.endsEarly(off)
	}
	// More than there was is data behind the end, which checkEnd reports.
	return int(min(int64(n), d.sizeBytes-off)), nil
}

// readAt goes on after a short read: of a file on FUSE it says that the next part is bad, and only asking for that part
// gives the error.
func (d *disk) readAt(p []byte, off int64) (int, error) {
	want := int(min(int64(len(p)), d.sizeBytes-off))
	for done := 0; done < want; {
		n, err := d.pread(p[done:], off+int64(done))
		if err != nil {
			return 0, d.readError(off, int64(want), err)
		}
		if n == 0 {
			return 0, d.endsEarly(off + int64(done))
		}
		done += n
	}
	return want, nil
}

// endsEarly explains a read of 0 bytes before the end: of a device that was pulled out every read but the first gives
// that.
func (d *disk) endsEarly(off int64) error {
	if err := d.changed(); err != nil {
		return err
	}
	return fmt.Errorf("%q ends at byte %d of %d: %w", d.path, off, d.sizeBytes, ErrLost)
}

// readError tells a bad place from a medium that is gone or exchanged, and from an error of our own.
func (d *disk) readError(off, length int64, cause error) error {
	if errors.Is(cause, ErrHung) {
		return cause
	}
	length = min(length, d.sizeBytes-off)
	at := fmt.Sprintf("read %d bytes at offset %d of %q", length, off, d.path)
	if err := d.changed(); err != nil {
		return fmt.Errorf("%s: %w; then %w", at, cause, err)
	}
	return sortError(at, cause, &ReadError{Path: d.path, Offset: off, SizeBytes: length, Err: cause})
}

// sortError tells by the system's error a bad place from a medium that is gone, and from an error of our own.
func sortError(at string, cause error, bad *ReadError) error {
	errno, _ := errors.AsType[unix.Errno](cause)
	switch errno {
	case unix.ENODEV, unix.ENXIO, unix.ENOMEDIUM, unix.ENOTCONN, unix.ESTALE, unix.ESHUTDOWN:
		return fmt.Errorf("%s: %w: %w", at, cause, ErrLost)
	case unix.EINVAL:
		return fmt.Errorf("%s: %w: %w", at, cause, ErrAlignment)
	// What the block layer makes of a drive's answers, and file systems of a checksum that does not fit.
	case unix.EIO, unix.ENODATA, unix.EILSEQ, unix.ETIMEDOUT, unix.EREMOTEIO, unix.ENOLINK, unix.EBADMSG, unix.EUCLEAN:
		return bad
	}
	return fmt.Errorf("%s: %w", at, cause)
}

func (d *disk) checkEnd() error {
	if err := d.changed(); err != nil {
		return err
	}
	// The size of some files (in /proc) says nothing, so the end is tried.
	n, err := d.pread(make([]byte, 1), d.sizeBytes)
	switch {
	case errors.Is(err, ErrHung):
		return err
	case err == nil && n > 0:
		return fmt.Errorf("%q has bytes after its size of %d: %w", d.path, d.sizeBytes, ErrMediumChanged)
	case err != nil && !d.device: // a device may answer a read at its end with an error
		return &ReadError{Path: d.path, Offset: d.sizeBytes, SizeBytes: 1, Err: err}
	}
	return nil
}

// changed compares the medium with what it was when it was opened. A descriptor that is closed meanwhile may be another
// file's, so it is kept from that.
func (d *disk) changed() (err error) {
	if closed := d.conn.Control(func(uintptr) { err = d.changedNow() }); closed != nil {
		return fmt.Errorf("look at %q: %w", d.path, os.ErrClosed)
	}
	return err
}

func (d *disk) changedNow() error {
	if d.device {
		return d.deviceChanged()
	}
	info, err := d.f.Stat()
	if err != nil {
		return fmt.Errorf("look at %q: %w: %w", d.path, plain(err), ErrLost)
	}
	if info.Size() != d.sizeBytes {
		return fmt.Errorf("%q had %d bytes and now has %d: %w", d.path, d.sizeBytes, info.Size(), ErrMediumChanged)
	}
	if !info.ModTime().Equal(d.seen.ModTime()) {
		return fmt.Errorf("%q was written to: %w", d.path, ErrMediumChanged)
	}
	return nil
}

// pread reads at off. A regular file's system may ask for larger steps than it said, or accept the flag for direct I/O
// and then refuse to do it.
func (d *disk) pread(p []byte, off int64) (int, error) {
	for {
		n, err := d.try(p, off)
		if err == unix.EINTR || err == unix.EINVAL && d.relax() { //nolint:errorlint // as the system call gives it
			continue
		}
		return n, err
	}
}

// relax asks less of a file's system. A device is never read in another way than at first.
func (d *disk) relax() bool {
	switch {
	case d.device || d.align == 1:
		return false
	case d.step < directAlign:
		d.step = directAlign
		return true
	}
	return d.throughCache() == nil
}

func (d *disk) throughCache() error {
	if err := d.setDirect(false); err != nil {
		return err
	}
	d.step, d.align = 1, 1
	return nil
}

// try reads straight into p if that is aligned, else by way of the bounce buffer. A read through the page cache that
// may be given up goes that way too: the kernel would write to p by its address, whatever lies there by then, while a
// direct read has the pages pinned.
func (d *disk) try(p []byte, off int64) (int, error) {
	step := int64(d.step)
	whole := int64(len(p)) &^ (step - 1)
	if off%step == 0 && whole > 0 && aligned(p, d.align) && (d.align > 1 || d.timeout == 0) {
		return d.call(p[:whole], off)
	}
	if d.bounce == nil {
		d.bounce = alignedBuffer(bounceBytes, directAlign)
	}
	skip := off % step
	want := min(roundUp(skip+int64(len(p)), step), bounceBytes)
	n, err := d.call(d.bounce[:want], off-skip)
	if err != nil {
		return 0, err
	}
	if n > 0 && int64(n) <= skip && !d.device && off < d.sizeBytes {
		// A short read that ends where this one should begin is neither an error nor the end.
		if err := d.throughCache(); err != nil {
			return 0, err
		}
		return d.try(p, off)
	}
	if int64(n) <= skip {
		return 0, nil
	}
	return copy(p, d.bounce[skip:n]), nil
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

func (d *disk) sectorBytes() int64 { return int64(d.sector) }

func (d *disk) close() error {
	if d.closed.Load() {
		return os.ErrClosed
	}
	d.state() // the last one, for who asks later
	d.closed.Store(true)
	if d.helper != nil {
		d.helper.end()
	}
	return errors.Join(d.restore(), plain(d.f.Close()))
}

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
