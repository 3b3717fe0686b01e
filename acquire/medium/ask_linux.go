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

// drive is the device that can be asked, or why there is none.
func (m *Medium) drive() (*disk, string) {
	d, ok := m.src.(*disk)
	switch {
	case !ok || !d.device:
		return nil, "it is not a block device"
	case m.gone != nil || d.closed:
		return nil, "the medium is not there any more"
	}
	if _, ok := d.about.Name.Get(); !ok {
		return nil, d.about.Name.Reason()
	}
	return d, ""
}
