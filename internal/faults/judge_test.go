//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

// What the peers print, as seen, must be understood: a report that is not is no fair comparison.
func TestSaid(t *testing.T) {
	got := said("[!!] 8 occurrences while reading `/dev/loop3' from sector 20003 to sector 20010 : Input/output error\n"+
		"[!!] reading `/dev/loop3' at sector 0 : Input/output error\n", dc3ddLine)
	if want := []faultdisk.Range{{First: 20003, Count: 8}, {First: 0, Count: 1}}; !slices.Equal(got, want) {
		t.Errorf("dc3dd: %v, want %v", got, want)
	}
	got = said("Errors reading device:\n\ttotal number: 1\n\tat sector(s): 12288 - 14336 number: 2048 (offset: 0x00600000 of size: 1048576)\n", ewfLine)
	if want := []faultdisk.Range{{First: 12288, Count: 2048}}; !slices.Equal(got, want) {
		t.Errorf("ewfacquire: %v, want %v", got, want)
	}
}

func TestReadMap(t *testing.T) {
	name := filepath.Join(t.TempDir(), "map")
	text := "# Mapfile. Created by GNU ddrescue version 1.27\n# current_pos  current_status  current_pass\n0x00607200     +               1\n" +
		"#      pos        size  status\n0x00000000  0x00607200  +\n0x00607200  0x00000200  -\n0x00607400  0x00000400  ?\n0x00607800  0x009F8800  +\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readMap(name, 512)
	if want := []faultdisk.Range{{First: 12345, Count: 1}, {First: 12346, Count: 2}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

// An image that lacks good sectors, by zeros or by its end, must be found short.
func TestLost(t *testing.T) {
	m := medium{bad: []faultdisk.Range{{First: 5, Count: 1}}}
	truth := faultdisk.Pattern{SizeBytes: mediumBytes}
	image := make([]byte, mediumBytes)
	if _, err := truth.ReadAt(image, 0); err != nil {
		t.Fatal(err)
	}
	clear(image[5*512 : 6*512])
	name := filepath.Join(t.TempDir(), "image")
	for _, c := range []struct {
		zero, end int64 // what else is zero, in sectors; how long the image is
		lost      int
		report    []faultdisk.Range
		want      string
	}{
		{5, m.sectors(), 0, m.bad, exact},
		{5, m.sectors(), 0, nil, nothing},
		{5, m.sectors(), 0, []faultdisk.Range{{First: 4, Count: 2}}, "inexact: 2 sectors for 1"},
		{6, m.sectors(), 1, []faultdisk.Range{{First: 5, Count: 2}}, exact},
		{5, m.sectors() - 3, 3, m.bad, "inexact: 1 sectors for 4"},
	} {
		clear(image[c.zero*512 : (c.zero+1)*512])
		if err := os.WriteFile(name, image[:c.end*512], 0o600); err != nil {
			t.Fatal(err)
		}
		gone, err := missing(name, truth, m)
		if got := lost(gone, m.bad); err != nil || got != c.lost || compare(c.report, gone) != c.want {
			t.Errorf("sector %d zero, %d sectors long: lost %d, %v, report %q; want %d and %q",
				c.zero, c.end, got, err, compare(c.report, gone), c.lost, c.want)
		}
		if _, err := truth.ReadAt(image[6*512:7*512], 6*512); err != nil {
			t.Fatal(err)
		}
	}
	if gone, err := missing(name+"-not-there", truth, m); err != nil || lost(gone, m.bad) != int(m.sectors())-1 {
		t.Errorf("no image: %v, lost %d", err, lost(gone, m.bad))
	}
}
