//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadMap(t *testing.T) {
	name := filepath.Join(t.TempDir(), "map")
	text := "# Mapfile\n0x00300000     +               1\n0x00000000  0x0007D000  +\n0x0007D000  0x00000400  -\n0x0007D400  0x01F82C00  +\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readMap(name)
	if want := []int{1000, 1001}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err := readMap(name + "-not-there"); err == nil {
		t.Error("a map that is not there is read")
	}
}

// An outcome that names no drive of the table would be compared with nothing.
func TestOutcomes(t *testing.T) {
	for _, o := range outcomes {
		if o.medium != "" && !slices.ContainsFunc(drives, func(d drive) bool { return d.name == o.medium }) {
			t.Errorf("%s is held against %q, which is no drive", o.name, o.medium)
		}
	}
}
