package medium

import (
	"github.com/exhibit-forensics/exhibit/acquire/medium/probe"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Ask sends the drive of a block device the commands that say what it is; of everything else it is unknown.
func (m *Medium) Ask() record.Fact[record.Hardware] {
	d, why := m.drive()
	if why != "" {
		return record.Unknown[record.Hardware](why)
	}
	name, _ := d.about.Name.Get()
	return record.Known(probe.Path(d.fd, name))
}

func (m *Medium) askHealth() record.Fact[record.Health] {
	d, why := m.drive()
	if why != "" {
		return record.Unknown[record.Health](why)
	}
	name, _ := d.about.Name.Get()
	return record.Known(probe.PathHealth(d.fd, name))
}

// Temperature asks the drive how warm it is, in degrees Celsius; false where it does not say. It takes as long as the drive
// takes, and may be called beside the reads.
func (m *Medium) Temperature() (celsius int64, ok bool) {
	d, why := m.drive()
	if why != "" {
		return 0, false
	}
	name, _ := d.about.Name.Get()
	err := d.conn.Control(func(fd uintptr) { celsius, ok = probe.PathHealth(int(fd), name).Temperature.Get() })
	return celsius, ok && err == nil
}

// drive is the device that can be asked, or why there is none.
func (m *Medium) drive() (*disk, string) {
	d, ok := m.src.(*disk)
	switch {
	case !ok || !d.device:
		return nil, "it is not a block device"
	case m.isGone() != nil || d.closed.Load():
		return nil, "the medium is not there any more"
	}
	if _, ok := d.about.Name.Get(); !ok {
		return nil, d.about.Name.Reason()
	}
	return d, ""
}
