//go:build linux

package faultdisk

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// Op is what was asked of the device.
type Op string

// What the log tells apart. A Discard is what BLKDISCARD, BLKZEROOUT and fallocate become; a Sync changes nothing.
const (
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpDiscard  Op = "discard"
	OpSync     Op = "sync"
)

// Access is one request that reached the device. Offset and Length are bytes; Device says under which name it came.
type Access struct {
	Op             Op
	Device         string
	Offset, Length int64
	Err            syscall.Errno // 0: it was answered
}

func (a Access) String() string {
	outcome := "ok"
	if a.Err != 0 {
		outcome = a.Err.Error()
	}
	return fmt.Sprintf("%s %s %d+%d: %s", a.Device, a.Op, a.Offset, a.Length, outcome)
}

// Log returns every access so far, in the order in which they were answered.
func (d *Disk) Log() []Access {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.log)
}

// ForgetLog empties the log.
func (d *Disk) ForgetLog() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = nil
}

// Writes returns every attempt to change the medium. None has ever succeeded.
func (d *Disk) Writes() []Access {
	return slices.DeleteFunc(d.Log(), func(a Access) bool { return a.Op == OpRead || a.Op == OpSync })
}

func describe(log []Access) string {
	var lines []string
	for _, a := range log[:min(len(log), 20)] {
		lines = append(lines, a.String())
	}
	return strings.Join(lines, "\n")
}
