package medium

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// directAlign fits every logical sector in use, and the page; a device with larger sectors has its own.
const directAlign = 4096

func openDisk(path string) (source, error) {
	// Looked at first: opening a FIFO waits, and opening a character device may do things to it.
	seen, err := os.Stat(path)
	if err != nil {
		return nil, plain(err)
	}
	switch mode := seen.Mode(); {
	case mode.IsRegular():
		return openFile(path, seen)
	case mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0:
		return openDevice(path)
	case mode.IsDir():
		return nil, &HintError{fmt.Errorf("a folder: %w", ErrKind), "give the block device (lsblk lists them) or an image file"}
	case mode&os.ModeNamedPipe != 0:
		return nil, &HintError{fmt.Errorf("a named pipe: %w", ErrKind), "to read a pipe, give - and redirect it to standard input"}
	}
	return nil, fmt.Errorf("%v: %w", seen.Mode().Type(), ErrKind)
}

func openFile(path string, seen os.FileInfo) (source, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, plain(err)
	}
	d, err := fromFile(f)
	if err == nil && !os.SameFile(seen, d.seen) {
		err = fmt.Errorf("it was exchanged while it was opened: %w", ErrMediumChanged)
	}
	if err != nil {
		f.Close() //nolint:errcheck // nothing was read
		return nil, err
	}
	return d, nil
}

// FromFile is Open for a regular file that is open already, which the Medium takes over once there is no error. Its
// position does not matter, and its status flags change.
func FromFile(f *os.File) (*Medium, error) {
	d, err := fromFile(f)
	if err != nil {
		return nil, fmt.Errorf("open medium %q: %w", f.Name(), err)
	}
	return &Medium{path: f.Name(), src: d}, nil
}

func fromFile(f *os.File) (*disk, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, plain(err)
	}
	if !info.Mode().IsRegular() {
		return nil, ErrKind
	}
	const none = "a regular file does not have it"
	d := &disk{f: f, fd: int(f.Fd()), path: f.Name(), seen: info, align: 1, sizeBytes: info.Size(), about: record.Medium{
		Kind:                record.MediumFile,
		Name:                record.Unknown[string](none),
		LogicalSectorBytes:  record.Unknown[int64](none),
		PhysicalSectorBytes: record.Unknown[int64](none),
		ReadOnly:            record.Unknown[bool](none),
		SizeBytes:           info.Size(),
	}}
	if align := directAlignment(d.fd); align > 0 && d.setDirect(true) == nil {
		d.align = align
	}
	return d, nil
}

// directAlignment is what direct I/O on an open file needs, 0 where the file system says that it has none: ext4 takes
// the flag for files it journals or encrypts, and then reads through the page cache. Most file systems say nothing; they
// refuse the flag if they must.
func directAlignment(fd int) int {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err != nil || st.Mask&unix.STATX_DIOALIGN == 0 {
		return directAlign
	}
	align := max(directAlign, st.Dio_offset_align, st.Dio_mem_align)
	if st.Dio_offset_align == 0 || align > bounceBytes {
		return 0
	}
	return int(align)
}

func openDevice(path string) (source, error) {
	// O_EXCL without O_CREAT claims a block device as a mount does: it fails while one exists and keeps others off.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_EXCL|unix.O_DIRECT, 0)
	if err != nil {
		return nil, deviceError(path, err)
	}
	d, err := newDevice(f, path)
	if err != nil {
		f.Close() //nolint:errcheck // nothing was read
		return nil, err
	}
	return d, nil
}

func newDevice(f *os.File, path string) (*disk, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, plain(err)
	}
	if mode := info.Mode(); mode&os.ModeDevice == 0 || mode&os.ModeCharDevice != 0 {
		return nil, fmt.Errorf("it was exchanged while it was opened: %w", ErrMediumChanged)
	}
	d := &disk{f: f, fd: int(f.Fd()), path: path, seen: info, device: true}
	if d.sizeBytes, err = d.deviceSize(); err != nil {
		return nil, fmt.Errorf("ask for the size: %w", err)
	}
	if d.sizeBytes == 0 {
		return nil, ErrEmptyDevice
	}
	d.sequence = d.diskSequence()
	logical := deviceFact(d.fd, unix.BLKSSZGET, "BLKSSZGET")
	flag := deviceFact(d.fd, unix.BLKROGET, "BLKROGET")
	readOnly := record.Unknown[bool](flag.Reason())
	if v, ok := flag.Get(); ok {
		readOnly = record.Known(v != 0)
	}
	d.about = record.Medium{
		Kind:                record.MediumDevice,
		Name:                deviceName(deviceNumber(info)),
		LogicalSectorBytes:  logical,
		PhysicalSectorBytes: deviceFact(d.fd, unix.BLKPBSZGET, "BLKPBSZGET"),
		ReadOnly:            readOnly,
		SizeBytes:           d.sizeBytes,
	}
	sector, _ := logical.Get()
	if sector > 0 && d.sizeBytes%sector != 0 {
		return nil, fmt.Errorf("the device has %d bytes, which are not whole sectors of %d: the last ones cannot be read", d.sizeBytes, sector)
	}
	d.align = max(directAlign, int(sector))
	return d, nil
}

// deviceFact asks one of the ioctls that answer with an int of the C language.
func deviceFact(fd int, request uint, name string) record.Fact[int64] {
	v, err := unix.IoctlGetUint32(fd, request)
	if err != nil {
		return record.Unknown[int64](fmt.Sprintf("the kernel answers %s with: %v", name, err))
	}
	return record.Known(int64(v))
}

// deviceSize asks BLKGETSIZE64 anew each time.
func (d *disk) deviceSize() (int64, error) {
	v, err := ioctlUint64(d.fd, unix.BLKGETSIZE64)
	return int64(v), err
}

// diskSequence is the kernel's count of attachments, which tells a medium that was pulled and put back; 0 where the
// kernel has none.
func (d *disk) diskSequence() uint64 {
	v, err := ioctlUint64(d.fd, unix.BLKGETDISKSEQ)
	if err != nil {
		return 0
	}
	return v
}

func ioctlUint64(fd int, request uint) (v uint64, err error) {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(&v)))
	if errno != 0 {
		return 0, errno
	}
	return v, nil
}

func deviceName(dev uint64) record.Fact[string] {
	link, err := os.Readlink(sysBlock(dev))
	if err != nil {
		return record.Unknown[string]("the kernel does not list the device in /sys/dev/block")
	}
	return record.Known(filepath.Base(link))
}

// deviceError explains why a block device could not be opened.
func deviceError(path string, err error) error {
	err = plain(err)
	switch {
	case errors.Is(err, unix.EBUSY):
		return inUse(path)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return &HintError{err, "reading a device needs root, for example: sudo exhibit acquire ..."}
	case errors.Is(err, unix.ENOMEDIUM):
		return &HintError{err, "put the medium into the drive and wait until lsblk shows its size"}
	}
	return err
}

// plain drops the unquoted path of the os package's errors.
func plain(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
