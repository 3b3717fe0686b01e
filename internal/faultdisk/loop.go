//go:build linux

package faultdisk

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loop is a loop device of ours. fd stays open for as long as it is attached: opening it again from within a read that it
// waits for could wait for that read. It detaches by itself when this process has ended and nobody else has it open.
type loop struct {
	path       string
	fd         int
	dev, inode uint64 // of the backing file, so that nobody else's loop device is ever detached
}

// attachLoop makes a block device of a file, with direct I/O: without it the page cache of the file would answer reads,
// 4096 bytes at a time at best.
func attachLoop(file string, sectorBytes int, flags uint32) (*loop, error) {
	backing, err := unix.Open(file, unix.O_RDWR|unix.O_CLOEXEC, 0) // not os.Open: the poller would ask this very process
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", file, err)
	}
	defer func() { _ = unix.Close(backing) }() // the loop device holds the file itself
	control, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", "/dev/loop-control", err)
	}
	defer func() { _ = unix.Close(control) }()
	for range 100 { // another process may take the free device first
		n, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		l, err := configureLoop(fmt.Sprintf("/dev/loop%d", n), file, backing, sectorBytes, flags|unix.LO_FLAGS_DIRECT_IO|unix.LO_FLAGS_AUTOCLEAR)
		if !errors.Is(err, unix.EBUSY) {
			return l, err
		}
	}
	return nil, errors.New("no free loop device after 100 attempts")
}

func configureLoop(path, file string, backing, sectorBytes int, flags uint32) (*loop, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", path, err)
	}
	conf := unix.LoopConfig{Fd: uint32(backing), Size: uint32(sectorBytes), Info: unix.LoopInfo64{Flags: flags}}
	copy(conf.Info.File_name[:len(conf.Info.File_name)-1], file)
	if err := unix.IoctlLoopConfigure(fd, &conf); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("attach %q to %q: %w", file, path, err)
	}
	l := &loop{path: path, fd: fd}
	info, err := unix.IoctlLoopGetStatus64(fd)
	if err == nil {
		l.dev, l.inode = info.Device, info.Inode
		if info.Flags&unix.LO_FLAGS_DIRECT_IO == 0 {
			err = errors.New("the kernel gives this loop device no direct I/O")
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach %q to %q: %w", file, path, err), l.detach())
	}
	return l, nil
}

// addPartition tells the kernel of a partition, as addpart does: not every kernel can read a table itself.
func (l *loop) addPartition(number int, start, length int64) error {
	part := struct {
		start, length int64
		number        int32
		names         [128]byte
	}{start: start, length: length, number: int32(number)}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&part)
	arg := struct {
		op, flags, size int32
		data            unsafe.Pointer
	}{op: unix.BLKPG_ADD_PARTITION, size: int32(unsafe.Sizeof(part)), data: unsafe.Pointer(&part)}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l.fd), unix.BLKPG, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 && errno != unix.EBUSY { // EBUSY: the kernel has found it by itself
		return fmt.Errorf("add partition %d to %q: %w", number, l.path, errno)
	}
	return nil
}

// ours says whether the device is still attached to our file.
func (l *loop) ours() bool {
	info, err := unix.IoctlLoopGetStatus64(l.fd)
	return err == nil && info.Device == l.dev && info.Inode == l.inode
}

// readCapacity lets the kernel ask for the file's size again.
func (l *loop) readCapacity() error {
	if err := unix.IoctlSetInt(l.fd, unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("set the capacity of %q: %w", l.path, err)
	}
	return nil
}

// dropCache forgets what buffered readers have left in the device's page cache.
func (l *loop) dropCache() error {
	if err := unix.IoctlSetInt(l.fd, unix.BLKFLSBUF, 0); err != nil {
		return fmt.Errorf("drop the cache of %q: %w", l.path, err)
	}
	return nil
}

// detach takes the read-only flag off again, which would stay with the device and meet its next user, and detaches.
func (l *loop) detach() error {
	if l.fd < 0 {
		return nil
	}
	var err error
	if l.ours() {
		err = unix.IoctlSetPointerInt(l.fd, unix.BLKROSET, 0)
		if err != nil {
			err = fmt.Errorf("make %q writable again: %w", l.path, err)
		}
		if e := unix.IoctlSetInt(l.fd, unix.LOOP_CLR_FD, 0); e != nil {
			err = errors.Join(err, fmt.Errorf("detach %q: %w", l.path, e))
		}
	}
	err = errors.Join(err, unix.Close(l.fd))
	l.fd = -1
	return errors.Join(err, l.gone())
}

// gone waits until the kernel has let the backing file go; somebody else who has the device open delays that.
func (l *loop) gone() error {
	for begun := time.Now(); time.Since(begun) < 10*time.Second; time.Sleep(2 * time.Millisecond) {
		fd, err := unix.Open(l.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENXIO) || errors.Is(err, os.ErrNotExist) {
			return nil
		} else if err != nil {
			return fmt.Errorf("open %q: %w", l.path, err)
		}
		info, err := unix.IoctlLoopGetStatus64(fd)
		_ = unix.Close(fd)
		if err != nil || info.Device != l.dev || info.Inode != l.inode {
			return nil
		}
	}
	return fmt.Errorf("%q is still attached: somebody has it open", l.path)
}
