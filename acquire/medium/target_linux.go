package medium

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// target is a disk that was opened for writing too.
type target struct{ *disk }

func openTarget(name string) (writer, source, string, error) {
	path, err := Resolve(name)
	if err != nil {
		return nil, nil, "", err
	}
	seen, err := os.Stat(path)
	if err != nil {
		return nil, nil, "", plain(err)
	}
	if mode := seen.Mode(); mode&os.ModeDevice == 0 || mode&os.ModeCharDevice != 0 {
		return nil, nil, "", ErrKind
	}
	h, dev := thisHost(), deviceNumber(seen)
	if err := h.checkTarget(path, dev); err != nil {
		return nil, nil, "", err
	}
	// O_EXCL without O_CREAT claims it as a mount does; see openDevice.
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_EXCL|unix.O_DIRECT, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, nil, "", h.refusal(path, dev)
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES) && os.Geteuid() == 0:
		return nil, nil, "", readOnly(path, plain(err))
	case err != nil:
		return nil, nil, "", targetError(err)
	}
	d, err := openedTarget(f, path, name, dev)
	if err != nil {
		f.Close() //nolint:errcheck // nothing was written
		return nil, nil, "", err
	}
	return target{d}, d, path, nil
}

// checkTarget refuses a disk that the running system lies on, any partition of it, and what is in use without being
// claimed: swap, and a loop device over it.
func (h host) checkTarget(path string, dev uint64) error {
	whole, ok := readNumber(filepath.Join(h.disk(dev), "dev"))
	if !ok {
		return fmt.Errorf("%w: device %s is not in %s", ErrUnchecked, numberText(dev), h.sys)
	}
	for _, number := range []uint64{dev, whole} {
		system, err := h.systemDisk(number)
		if err != nil {
			return fmt.Errorf("whether the running system lies on it: %w: %w", ErrUnchecked, err)
		}
		if system {
			return &HintError{fmt.Errorf("the running system lies on the disk: %w", ErrInUse), "name another device; exhibit devices lists them"}
		}
	}
	if len(h.holders(dev)) > 0 || dev != whole && len(h.usersOf(whole)) > 0 {
		return h.refusal(path, dev)
	}
	return nil
}

// usersOf is holders without the partitions of a disk.
func (h host) usersOf(dev uint64) []holder {
	s := search{host: h, seen: map[uint64]bool{}}
	s.mounts, _ = readMounts(filepath.Join(h.proc, "self/mountinfo"))
	s.device(dev)
	return s.found
}

// openedTarget looks at what was really opened, and asks again whether it is in use: a swap area could have come.
func openedTarget(f *os.File, path, name string, dev uint64) (*disk, error) {
	d, err := newDevice(f, path)
	if err != nil {
		return nil, err
	}
	if deviceNumber(d.seen) != dev {
		return nil, fmt.Errorf("it was exchanged while it was opened: %w", ErrMediumChanged)
	}
	if isNamed(name) && !d.host.identity(d.host.disk(dev)).Is(name) {
		return nil, fmt.Errorf("%q is another device by now: %w", path, ErrMediumChanged)
	}
	if err := d.host.checkTarget(path, dev); err != nil {
		return nil, err
	}
	flag, err := unix.IoctlGetUint32(d.fd, unix.BLKROGET)
	if err != nil {
		return nil, fmt.Errorf("ask for the read-only flag: %w: %w", ErrUnchecked, err)
	}
	if flag != 0 { // opening it for writing works all the same
		return nil, readOnly(path, errors.New("the kernel's read-only flag is set"))
	}
	d.now.Exclusive = true
	d.about.ReadOnly = d.readOnly()
	if program := d.host.automounter(); program != "" {
		d.notef("%q runs, which may mount the copy as soon as it is complete, and change it: stop it, or unplug the copy", program)
	}
	return d, nil
}

// readOnly never clears the flag: it may stand there because the device is evidence.
func readOnly(path string, cause error) error {
	return &HintError{fmt.Errorf("%w: %w", ErrReadOnly, cause),
		fmt.Sprintf("the flag may protect evidence. If this is surely the device to overwrite, type: blockdev --setrw %q", path)}
}

func targetError(err error) error {
	err = plain(err)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return &HintError{err, "writing to a device needs root, for example: sudo exhibit image restore ..."}
	}
	return deviceError(err)
}

// writeAt writes from p itself if that is page-aligned, else by way of the bounce buffer.
func (t target) writeAt(p []byte, off int64) error {
	d := t.disk
	if aligned(p, d.align) {
		return t.write(p, off)
	}
	if d.bounce == nil {
		d.bounce = alignedBuffer(bounceBytes, directAlign)
	}
	for done := 0; done < len(p); {
		n := copy(d.bounce, p[done:])
		if err := t.write(d.bounce[:n], off+int64(done)); err != nil {
			return err
		}
		done += n
	}
	return nil
}

func (t target) write(p []byte, off int64) error {
	n, err := t.f.WriteAt(p, off)
	if err == nil {
		return nil
	}
	err = plain(err)
	at := fmt.Sprintf("write %d bytes at offset %d of %q", len(p), off+int64(n), t.path)
	if gone := t.changed(); gone != nil {
		return fmt.Errorf("%s: %w; then %w", at, err, gone)
	}
	switch {
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s: %w: %w", at, err, ErrAlignment)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s: %w: %w", at, err, ErrReadOnly)
	}
	for _, gone := range []unix.Errno{unix.ENODEV, unix.ENXIO, unix.ENOMEDIUM, unix.ENOTCONN, unix.ESTALE, unix.ESHUTDOWN} {
		if errors.Is(err, gone) {
			return fmt.Errorf("%s: %w: %w", at, err, ErrLost)
		}
	}
	// Any other is of this place, as far as anybody can tell: who asks for smaller pieces finds out.
	return &WriteError{Path: t.path, Offset: off, SizeBytes: int64(len(p)), Err: err}
}

func (t target) sync() error { return plain(t.f.Sync()) }

func (t target) lies() ([]Identity, error) { return t.host.drives(deviceNumber(t.seen)) }

// drives are the disk of a device, and all disks that it is stacked on, in the order of their names.
func (h host) drives(dev uint64) ([]Identity, error) {
	below, err := h.below(func(w *walk) error { return w.device(dev) })
	if err != nil {
		return nil, err
	}
	own := h.disk(dev) // walked, so it is there
	list := []Identity{h.identity(own)}
	for n := range below {
		if n.ino != 0 {
			continue
		}
		id := h.identity(h.disk(n.dev))
		if !slices.ContainsFunc(list, func(other Identity) bool { return other.Path == id.Path }) {
			list = append(list, id)
		}
	}
	slices.SortFunc(list[1:], func(a, b Identity) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

// checkHolds also knows the file behind a loop device, which may be the one that path names.
func (t target) checkHolds(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnchecked, plain(err))
	}
	return t.host.compare(func(w *walk) error {
		w.found[fileNode(info)] = true
		return w.fileSystem(fileNode(info).dev, path)
	}, t.places)
}

// Evict asks the system to forget what it keeps of a synced file. It is a request only; direct I/O does not need it.
func Evict(f *os.File) {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
