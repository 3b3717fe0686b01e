package medium

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// directAlign of memory fits every device and file system: it is the page.
const directAlign = 4096

func openDisk(name string, opts Options) (source, string, error) {
	path, err := Resolve(name)
	if err != nil {
		return nil, "", err
	}
	// Looked at first: opening a FIFO waits, and opening a character device may do things to it.
	seen, err := os.Stat(path)
	if err != nil {
		return nil, "", plain(err)
	}
	if seen.Mode().IsRegular() {
		src, err := openFile(path, seen, opts)
		return src, path, err
	}
	var d *disk
	switch mode := seen.Mode(); {
	case mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0:
		d, err = openDevice(path, name, deviceNumber(seen), opts)
	case mode.IsDir():
		err = &HintError{fmt.Errorf("a folder: %w", ErrKind), "give the block device (lsblk lists them) or an image file"}
	case mode&os.ModeNamedPipe != 0:
		err = &HintError{fmt.Errorf("a named pipe: %w", ErrKind), "to read a pipe, give - and redirect it to standard input"}
	default:
		err = fmt.Errorf("%v: %w", seen.Mode().Type(), ErrKind)
	}
	if err != nil {
		return nil, "", err
	}
	d.obey(opts)
	return d, path, nil
}

func (d *disk) obey(opts Options) {
	if d.timeout, d.now.Live = opts.ReadTimeout, opts.Live; d.timeout > 0 {
		d.helper = newHelper()
	}
}

// openFile opens a regular file: the medium in it, if it begins like an image.
func openFile(path string, seen os.FileInfo, opts Options) (source, error) {
	d, err := openPlainFile(path, seen)
	if err != nil {
		return nil, err
	}
	d.obey(opts)
	if opts.AsFile || !d.isImage() {
		return d, nil
	}
	if err := d.close(); err != nil {
		return nil, err
	}
	return openE01(path, opts.Incomplete)
}

func openPlainFile(path string, seen os.FileInfo) (*disk, error) {
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
	d, err := newDisk(f, f.Name(), info)
	if err != nil {
		return nil, err
	}
	d.sector, d.sizeBytes = fileSectorBytes, info.Size()
	d.about = record.Medium{
		Kind:                record.MediumFile,
		Name:                record.Unknown[string](none),
		LogicalSectorBytes:  record.Unknown[int64](none),
		PhysicalSectorBytes: record.Unknown[int64](none),
		ReadOnly:            record.Unknown[bool](none),
		SizeBytes:           info.Size(),
	}
	if step := directStep(d.fd); step > 0 && d.setDirect(true) == nil {
		d.step, d.align = step, directAlign
	}
	return d, nil
}

// newDisk is a disk that is read through the page cache, in any steps.
func newDisk(f *os.File, path string, seen os.FileInfo) (*disk, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, plain(err)
	}
	return &disk{host: thisHost(), f: f, fd: int(f.Fd()), conn: conn, path: path, seen: seen, step: 1, align: 1, now: unknownState("a regular file does not have it")}, nil
}

// directStep is what offset and length of a direct read of an open file must be multiples of, 0 where the file system
// says that it has no such reads: ext4 takes the flag for files it journals or encrypts, and then reads through the page
// cache. Most file systems say nothing; they refuse the flag, or a read, if they must.
func directStep(fd int) int {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err != nil || st.Mask&unix.STATX_DIOALIGN == 0 {
		return fileSectorBytes
	}
	if st.Dio_offset_align == 0 || st.Dio_offset_align > bounceBytes || st.Dio_mem_align > directAlign {
		return 0
	}
	return int(max(fileSectorBytes, st.Dio_offset_align))
}

// openDevice opens the block device at path, which has the number dev and is the one that name means. The system's own is
// not even opened.
func openDevice(path, name string, dev uint64, opts Options) (*disk, error) {
	h := thisHost()
	if system, _ := h.systemDisk(dev); system && !opts.Live { // if it cannot be told, State.Notes says so
		return nil, h.refusal(path, dev)
	}
	// O_EXCL without O_CREAT claims a block device as a mount does: it fails while one exists and keeps others off.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_EXCL|unix.O_DIRECT, 0)
	exclusive := err == nil
	if opts.Live && errors.Is(err, unix.EBUSY) {
		f, err = os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	}
	if errors.Is(err, unix.EBUSY) {
		return nil, h.refusal(path, dev)
	}
	if err != nil {
		return nil, deviceError(err)
	}
	d, err := newDevice(f, path)
	if err == nil && deviceNumber(d.seen) != dev {
		err = fmt.Errorf("it was exchanged while it was opened: %w", ErrMediumChanged)
	}
	if err == nil && isNamed(name) && !d.host.identity(d.host.disk(deviceNumber(d.seen))).Is(name) {
		err = fmt.Errorf("%q is another device by now: %w", path, ErrMediumChanged)
	}
	if err == nil {
		err = d.prepare(opts, exclusive)
	}
	if err != nil {
		f.Close() //nolint:errcheck // nothing was read, and nothing is set when prepare fails
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
	d, err := newDisk(f, path, info)
	if err != nil {
		return nil, err
	}
	d.device = true
	if d.sizeBytes, err = d.deviceSize(); err != nil {
		return nil, fmt.Errorf("ask for the size: %w", err)
	}
	if d.sizeBytes == 0 {
		return nil, ErrEmptyDevice
	}
	d.sequence = d.diskSequence()
	d.identity = d.sysIdentity()
	logical := deviceFact(d.fd, unix.BLKSSZGET, "BLKSSZGET")
	name := record.Unknown[string]("the kernel does not list the device in /sys/dev/block")
	if dir, err := d.host.folder(deviceNumber(info)); err == nil {
		name = record.Known(kernelName(dir))
	}
	d.about = record.Medium{
		Kind:                record.MediumDevice,
		Name:                name,
		LogicalSectorBytes:  logical,
		PhysicalSectorBytes: deviceFact(d.fd, unix.BLKPBSZGET, "BLKPBSZGET"),
		SizeBytes:           d.sizeBytes,
	}
	sector, ok := logical.Get()
	if !ok || sector < fileSectorBytes {
		sector = fileSectorBytes
	}
	if sector > bounceBytes || sector&(sector-1) != 0 {
		return nil, fmt.Errorf("the device has sectors of %d bytes: %w", sector, errors.ErrUnsupported)
	}
	if d.sizeBytes%sector != 0 {
		return nil, fmt.Errorf("the device has %d bytes, which are not whole sectors of %d: the last ones cannot be read", d.sizeBytes, sector)
	}
	d.sector, d.step, d.align = int(sector), int(sector), directAlign
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

// deviceError explains why a block device could not be opened.
func deviceError(err error) error {
	err = plain(err)
	switch {
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
