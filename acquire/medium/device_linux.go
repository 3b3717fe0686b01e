package medium

import (
	"fmt"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deviceChanged asks the kernel whether the device is there and the one that was opened.
func (d *disk) deviceChanged() error {
	size, err := d.deviceSize()
	switch {
	case err != nil:
		return fmt.Errorf("ask %q for its size: %w: %w", d.path, err, ErrLost)
	case size == 0: // what the kernel says of a device that was pulled out
		return fmt.Errorf("%q had %d bytes and now has none: %w", d.path, d.sizeBytes, ErrLost)
	case size != d.sizeBytes:
		return fmt.Errorf("%q had %d bytes and now has %d: %w", d.path, d.sizeBytes, size, ErrMediumChanged)
	case d.diskSequence() != d.sequence:
		return fmt.Errorf("%q was attached anew: %w", d.path, ErrMediumChanged)
	}
	return d.sysChanged()
}

// WholeDisk is whether the medium is a block device and no partition of one.
func (m *Medium) WholeDisk() bool {
	d, ok := m.src.(*disk)
	if !ok || !d.device {
		return false
	}
	dir, err := d.host.folder(deviceNumber(d.seen))
	return err == nil && !isPartition(dir)
}

// sysChanged looks at what /sys says. A drive that the kernel has given up keeps its size for a while.
func (d *disk) sysChanged() error {
	if text := d.sysIdentity(); text != "" && d.identity != "" && text != d.identity {
		return fmt.Errorf("%q was %q and now is %q: %w", d.path, d.identity, text, ErrMediumChanged)
	}
	state := readText(d.host.disk(deviceNumber(d.seen)) + "/device/state")
	switch state {
	case "offline", "transport-offline", "cancel", "deleted", "dead", "deleting", "deleting (no IO)":
		return fmt.Errorf("the kernel says of %q that it is %q: %w", d.path, state, ErrLost)
	}
	return nil
}

// sysIdentity is what /sys knows of the drive without asking it.
func (d *disk) sysIdentity() string {
	dir := d.host.disk(deviceNumber(d.seen))
	var parts []string
	for _, name := range []string{"wwid", "device/wwid", "serial", "device/serial", "device/vpd_pg80"} {
		if text := readText(filepath.Join(dir, name)); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " ")
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
