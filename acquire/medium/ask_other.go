//go:build !linux

package medium

import "github.com/exhibit-forensics/exhibit/custody/record"

// Ask finds out nothing on this operating system.
func (m *Medium) Ask() record.Fact[record.Hardware] {
	return record.Unknown[record.Hardware](errOnlyLinux.Error())
}

func (m *Medium) askHealth() record.Fact[record.Health] {
	return record.Unknown[record.Health](errOnlyLinux.Error())
}

// Temperature is unknown here.
func (*Medium) Temperature() (celsius int64, ok bool) { return 0, false }
