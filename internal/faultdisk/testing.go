//go:build linux

package faultdisk

import (
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// New attaches a device until the test ends. It needs root, by the rule of testtool.NeedRoot.
func New(t testing.TB, opts Options) *Disk {
	t.Helper()
	testtool.NeedRoot(t)
	d, err := Attach(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close the failing device: %v", err)
		}
	})
	return d
}

// AssertNoWrites fails the test when anybody has tried to change the medium.
func (d *Disk) AssertNoWrites(t testing.TB) {
	t.Helper()
	if w := d.Writes(); len(w) != 0 {
		t.Errorf("%d attempts to change the medium, the first of them:\n%s", len(w), describe(w))
	}
}

// NewDestination mounts a destination until the test ends. It needs root, by the rule of testtool.NeedRoot.
func NewDestination(t testing.TB, opts DestinationOptions) *Destination {
	t.Helper()
	testtool.NeedRoot(t)
	d, err := Mount(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close the failing destination: %v", err)
		}
	})
	return d
}
