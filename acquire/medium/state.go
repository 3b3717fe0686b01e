package medium

import (
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// State is how a medium was opened, and what was set on it for the time of reading.
type State struct {
	// Live says that Options.Live was given: the medium may have been written to while it was read.
	Live bool
	// Exclusive says that a block device is held so that nothing can mount it or build on it.
	Exclusive bool
	// DiskSequence is the kernel's count of attachments. It tells a swap while the system runs, never identity later.
	DiskSequence record.Fact[int64]
	// ReadOnlyBefore is the kernel's read-only flag of the device and all its partitions when it was opened; ReadOnlyNow
	// when State was called. It is advice that the kernel's own file systems can ignore, and no write blocker.
	ReadOnlyBefore, ReadOnlyNow record.Fact[bool]
	// TimeoutBeforeSeconds is how long the kernel waited for a command when the device was opened, TimeoutNowSeconds
	// when State was called.
	TimeoutBeforeSeconds, TimeoutNowSeconds record.Fact[int64]
	// Notes are sentences for the user and the record: what could not be set and why, that a live medium is in use, a
	// program that mounts by itself.
	Notes []string
	// Users are what a live device is used for: mount points, volumes. They may name persons, so they are for the user
	// alone, and not for a record.
	Users []string
}

func unknownState(why string) State {
	number, flag := record.Unknown[int64](why), record.Unknown[bool](why)
	return State{DiskSequence: number, ReadOnlyBefore: flag, ReadOnlyNow: flag, TimeoutBeforeSeconds: number, TimeoutNowSeconds: number}
}

// State says how the medium was opened, and asks for the flags anew: call it at the start and at the end. After Close
// it gives what it gave last.
func (m *Medium) State() State { return m.src.state() }

// maxNote bounds a note in the record, in bytes, when all that cannot be printed is written out.
const maxNote = 500

// access is State in the words of the record, before the medium was read.
func (m *Medium) access() record.Access {
	s := m.State()
	a := record.Access{
		Exclusive: s.Exclusive, Live: s.Live, ReadOnlyAfter: record.Unknown[bool]("it was not asked"), ReadOnlyBefore: s.ReadOnlyBefore,
		TimeoutBeforeSeconds: s.TimeoutBeforeSeconds, TimeoutSeconds: s.TimeoutNowSeconds,
	}
	for _, n := range s.Notes {
		text := record.DeviceText([]byte(n))
		a.Notes = append(a.Notes, strings.ToValidUTF8(text[:min(len(text), maxNote)], ""))
	}
	return a
}

// After adds what is known only when all was read to what Describe said before. It asks the drive for its health.
func (m *Medium) After(before record.Medium) record.Medium {
	before.Access.ReadOnlyAfter = m.State().ReadOnlyNow
	before.HealthAfter = m.askHealth()
	return before
}
