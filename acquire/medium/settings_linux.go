package medium

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// setting is a change made to the system that is taken back when the medium is closed.
type setting struct {
	what string
	undo func() error
}

// prepare guards an open device, and sets what is set while it is read. Nothing is set before all refusals are past.
func (d *disk) prepare(opts Options, exclusive bool) error {
	dev := deviceNumber(d.seen)
	s := &d.now
	s.Exclusive = exclusive
	if err := d.guard(dev, opts); err != nil {
		return err
	}
	s.DiskSequence = record.Unknown[int64]("this kernel does not count")
	if d.sequence != 0 && d.sequence <= math.MaxInt64 {
		s.DiskSequence = record.Known(int64(d.sequence))
	}
	s.ReadOnlyBefore, s.TimeoutBeforeSeconds = d.readOnly(), d.deviceTimeout()
	if on, _ := s.ReadOnlyBefore.Get(); on && opts.WasWritable {
		d.was = true
		d.notef("the kernel's read-only flag was set already, by a run that was killed; before that the device was writable")
	}
	switch {
	case opts.KeepWritable:
		d.notef("the kernel's read-only flag was left as it was, as asked")
	case !exclusive:
		d.notef("the kernel's read-only flag was not set, because something else uses the device")
	default:
		d.setReadOnly(dev)
	}
	if opts.DeviceTimeout > 0 {
		d.setTimeout(opts.DeviceTimeout)
	}
	d.about.ReadOnly = d.readOnly()
	return nil
}

// maxNoteBytes keeps a note within what a record takes: a mount point may have 4096 bytes.
const maxNoteBytes = 400

func (d *disk) notef(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if len(note) > maxNoteBytes {
		note = strings.ToValidUTF8(note[:maxNoteBytes], "") + " ..."
	}
	d.now.Notes = append(d.now.Notes, note)
}

// guard refuses what O_EXCL does not: a device that a loop device has as its file, and a partition that the system lies
// on by ways that do not claim it.
func (d *disk) guard(dev uint64, opts Options) error {
	if name := d.host.automounter(); name != "" {
		d.notef("%q runs, which may mount what is plugged in: stop it before a medium is connected", name)
	}
	system, err := d.host.systemDisk(dev)
	if err != nil {
		d.notef("whether the running system lies on the device could not be checked: %v", err)
	}
	users := d.host.holders(dev)
	if !opts.Live && (system || len(users) > 0) {
		return d.host.refusal(d.path, dev)
	}
	if system {
		d.notef("the running system lies on the device")
	}
	if len(users) > 0 {
		d.notef("it was in use while it was read; mounts and other users: %d", len(users))
	}
	for _, u := range users {
		d.now.Users = append(d.now.Users, u.what)
	}
	return nil
}

// state asks anew for what may have been changed by others meanwhile.
func (d *disk) state() State {
	if d.device && !d.closed.Load() {
		d.now.ReadOnlyNow, d.now.TimeoutNowSeconds = d.readOnly(), d.deviceTimeout()
	}
	s := d.now
	s.Notes, s.Users = slices.Clone(s.Notes), slices.Clone(s.Users)
	return s
}

// readOnly is the flag of the device and all its partitions.
func (d *disk) readOnly() record.Fact[bool] {
	flag := deviceFact(d.fd, unix.BLKROGET, "BLKROGET")
	v, ok := flag.Get()
	if !ok {
		return record.Unknown[bool](flag.Reason())
	}
	for _, part := range d.host.parts(deviceNumber(d.seen))[1:] {
		on, err := d.host.partReadOnly(part)
		if err != nil {
			return record.Unknown[bool](err.Error())
		}
		if !on {
			v = 0
		}
	}
	return record.Known(v != 0)
}

func (h host) partReadOnly(dev uint64) (bool, error) {
	dir, err := h.folder(dev)
	if err != nil {
		return false, err
	}
	text := readText(filepath.Join(dir, "ro"))
	if text != "0" && text != "1" {
		return false, fmt.Errorf("/sys does not say whether partition %q is read-only", kernelName(dir))
	}
	return text == "1", nil
}

// setReadOnly sets the flag on the device, and on each partition that does not take it from there, as those of older
// kernels do not.
func (d *disk) setReadOnly(dev uint64) {
	if err := d.flag(d.fd, dev); err != nil {
		d.notef("the kernel's read-only flag could not be set: %v", err)
		return
	}
	var failed int
	var first error
	for _, part := range d.host.parts(dev)[1:] {
		if on, err := d.host.partReadOnly(part); err == nil && on && !d.was {
			continue
		}
		if err := d.flagPartition(part); err != nil {
			if failed++; failed == 1 {
				first = fmt.Errorf("partition %s: %w", numberText(part), err)
			}
		}
	}
	if failed > 0 { // one note: a record takes a hundred, and a disk may have more partitions
		d.notef("the kernel's read-only flag could not be set on %d partitions, the first of them %v", failed, first)
	}
}

func (d *disk) flagPartition(part uint64) error {
	f, err := d.host.openDevice(part)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // opened for the flag only
	return d.flag(int(f.Fd()), part)
}

// flag sets the read-only flag of one device. It is taken back only on a loop device, where it would stay for the next
// file: an exhibit that is writable again while it is connected may be mounted by whatever waits for that.
func (d *disk) flag(fd int, dev uint64) error {
	before, err := unix.IoctlGetUint32(fd, unix.BLKROGET)
	if err != nil || before != 0 && !d.was {
		return err
	}
	if err := unix.IoctlSetPointerInt(fd, unix.BLKROSET, 1); err != nil {
		return err
	}
	if !strings.HasPrefix(filepath.Base(d.host.disk(deviceNumber(d.seen))), "loop") {
		return nil
	}
	d.settings = append(d.settings, setting{"the read-only flag of " + numberText(dev), func() error {
		if dev == deviceNumber(d.seen) {
			return unix.IoctlSetPointerInt(d.fd, unix.BLKROSET, 0)
		}
		f, err := d.host.openDevice(dev)
		if err != nil {
			return err
		}
		return errors.Join(unix.IoctlSetPointerInt(int(f.Fd()), unix.BLKROSET, 0), f.Close())
	}})
	return nil
}

// timeoutFile is where the kernel keeps how long it waits for one command, and in what unit: of SCSI and ATA in
// seconds, of NVMe in milliseconds.
func (d *disk) timeoutFile() (path string, unit time.Duration) {
	dir := d.host.disk(deviceNumber(d.seen))
	if path = filepath.Join(dir, "device/timeout"); readText(path) != "" {
		return path, time.Second
	}
	return filepath.Join(dir, "queue/io_timeout"), time.Millisecond
}

func (d *disk) deviceTimeout() record.Fact[int64] {
	path, unit := d.timeoutFile()
	n, err := strconv.ParseInt(readText(path), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(unit) {
		return record.Unknown[int64]("the kernel has none for this device in /sys")
	}
	return record.Known(int64((time.Duration(n) * unit).Seconds()))
}

func (d *disk) setTimeout(wanted time.Duration) {
	path, unit := d.timeoutFile()
	before := readText(path)
	if before == "" {
		d.notef("the device has no time-out in /sys that could be set")
		return
	}
	text := strconv.FormatInt(int64(wanted/unit), 10)
	if before == text {
		return
	}
	if err := writeSys(path, text); err != nil {
		d.notef("the device's time-out could not be set: %v", plain(err))
		return
	}
	d.settings = append(d.settings, setting{"the device's time-out", func() error {
		err := writeSys(path, before)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			return nil // the device is gone, and its setting with it
		}
		return err
	}})
}

// writeSys creates nothing: a file of /sys is there or not.
func writeSys(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return plain(err)
	}
	_, err = f.WriteString(text)
	return errors.Join(plain(err), f.Close())
}

// restore takes back what was set, the last first.
func (d *disk) restore() (err error) {
	for len(d.settings) > 0 {
		s := d.settings[len(d.settings)-1]
		d.settings = d.settings[:len(d.settings)-1]
		if e := s.undo(); e != nil {
			err = errors.Join(err, fmt.Errorf("put back %s: %w", s.what, e))
		}
	}
	return err
}
