package probe

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How long a drive has to answer: long enough for one that must first spin up, since a command that is given up has the
// kernel reset the drive.
const (
	scsiTimeout = 30 * time.Second
	nvmeTimeout = 60 * time.Second // the kernel's own for such commands
)

// file sends commands to the drive behind an open device file.
type file struct{ fd int }

func newCommander(fd int) Commander { return file{fd} }

// sgHeader is sg_io_hdr_t of scsi/sg.h.
type sgHeader struct {
	interfaceID    int32
	direction      int32
	cdbLength      uint8
	senseMax       uint8
	scatterCount   uint16
	dataLength     uint32
	data           *byte
	cdb            *byte
	sense          *byte
	timeout        uint32 // milliseconds
	flags          uint32
	packID         int32
	user           uintptr
	status         uint8
	maskedStatus   uint8
	messageStatus  uint8
	senseLength    uint8
	hostStatus     uint16
	driverStatus   uint16
	residual       int32
	durationMillis uint32
	info           uint32
}

const (
	sgIO       = 0x2285
	sgNoData   = -1
	sgFromDisk = -3
)

// SCSI implements Commander.
func (f file) SCSI(cdb, data []byte) (Answer, error) {
	sense := make([]byte, 64)
	var pinner runtime.Pinner // the kernel writes to addresses that it reads from the header
	defer pinner.Unpin()
	h := &sgHeader{interfaceID: 'S', direction: sgNoData, cdbLength: uint8(len(cdb)), senseMax: uint8(len(sense)),
		dataLength: uint32(len(data)), cdb: &cdb[0], sense: &sense[0], timeout: uint32(scsiTimeout.Milliseconds())}
	pinner.Pin(h.cdb)
	pinner.Pin(h.sense)
	if len(data) > 0 {
		h.direction, h.data = sgFromDisk, &data[0]
		pinner.Pin(h.data)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd), sgIO, uintptr(unsafe.Pointer(h))); errno != 0 {
		return Answer{}, kernelError(errno)
	}
	const noConnection, timedOut, badTarget, driverTimeout = 1, 3, 4, 6
	switch {
	case h.hostStatus == timedOut || h.driverStatus&0x0f == driverTimeout:
		return Answer{}, fmt.Errorf("%w within %v", ErrNoAnswer, scsiTimeout)
	case h.hostStatus == noConnection || h.hostStatus == badTarget:
		return Answer{}, fmt.Errorf("%w: it is not connected", ErrNoAnswer)
	case h.hostStatus != 0:
		return Answer{}, fmt.Errorf("the host adapter fails with status %02xh", h.hostStatus)
	}
	return Answer{Status: h.status, Sense: sense[:min(int(h.senseLength), len(sense))], Bytes: len(data) - int(h.residual)}, nil
}

// nvmeHeader is struct nvme_admin_cmd of linux/nvme_ioctl.h.
type nvmeHeader struct {
	opcode, flags  uint8
	_              uint16
	namespace      uint32
	cdw2, cdw3     uint32
	metadata       uint64
	address        uint64
	metadataLength uint32
	dataLength     uint32
	cdw10          uint32
	_              [5]uint32 // cdw11 to cdw15
	timeout        uint32    // milliseconds
	result         uint32
}

const nvmeIoctlAdmin = 0xc0484e41

// NVMeAdmin implements Commander.
func (f file) NVMeAdmin(cmd NVMeCommand, data []byte) (uint16, error) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	pinner.Pin(&data[0])
	h := &nvmeHeader{opcode: cmd.Opcode, namespace: cmd.Namespace, address: uint64(uintptr(unsafe.Pointer(&data[0]))),
		dataLength: uint32(len(data)), cdw10: cmd.CDW10, timeout: uint32(nvmeTimeout.Milliseconds())}
	status, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd), nvmeIoctlAdmin, uintptr(unsafe.Pointer(h)))
	if errno != 0 {
		return 0, kernelError(errno)
	}
	return uint16(status), nil
}

// kernelError says what the kernel refused a command with.
func kernelError(errno syscall.Errno) error {
	switch errno {
	case unix.ENOTTY, unix.EINVAL, unix.EOPNOTSUPP:
		return fmt.Errorf("the kernel's driver does not take such commands (%w)", errno)
	case unix.EPERM, unix.EACCES:
		return fmt.Errorf("the kernel does not let this user send commands (%w)", errno)
	case unix.ENODEV, unix.ENXIO, unix.ETIMEDOUT:
		return fmt.Errorf("%w (%w)", ErrNoAnswer, errno)
	}
	return fmt.Errorf("the kernel answers: %w", errno)
}

// openDevice opens a block device that has the number given.
func openDevice(path, number string) (*os.File, error) {
	// O_NONBLOCK opens a drive without a medium as well, and no FIFO could make it wait.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		if e, ok := errors.AsType[*os.PathError](err); ok {
			err = e.Err
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		st, ok := info.Sys().(*syscall.Stat_t)
		block := info.Mode()&os.ModeDevice != 0 && info.Mode()&os.ModeCharDevice == 0
		if !ok || !block || fmt.Sprintf("%d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))) != number {
			err = fmt.Errorf("it is not the block device %s", number)
		}
	}
	if err != nil {
		f.Close() //nolint:errcheck // opened for reading only
		return nil, err
	}
	return f, nil
}
