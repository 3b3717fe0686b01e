//go:build linux

package main

import (
	"time"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

const mediumBytes = 16 << 20

// medium is one way to fail. What is bad stays bad; what more sets can be read by whoever tries often or long enough.
type medium struct {
	name   string
	sector int // bytes; 0 is 512
	bad    []faultdisk.Range
	more   func(d *faultdisk.Disk)
}

func (m medium) sectorBytes() int { return max(m.sector, 512) }

func (m medium) sectors() int64 { return mediumBytes / int64(m.sectorBytes()) }

// retries is how often each tool that has such an option is told to try a bad sector again.
const retries = "3"

var media = []medium{
	{name: "one", bad: []faultdisk.Range{{First: 12345, Count: 1}}},
	{name: "run", bad: []faultdisk.Range{{First: 20003, Count: 8}}},
	{name: "first", bad: []faultdisk.Range{{First: 0, Count: 1}}},
	{name: "last", bad: []faultdisk.Range{{First: mediumBytes/512 - 1, Count: 1}}},
	{name: "every-second", bad: everySecond(9001, 32)},
	{name: "flaky", more: func(d *faultdisk.Disk) { d.Flaky(faultdisk.Range{First: 5001, Count: 3}, 2) }},
	{name: "slow", bad: []faultdisk.Range{{First: 7001, Count: 1}}, more: func(d *faultdisk.Disk) {
		d.Slow(faultdisk.Range{First: 6912, Count: 256}, 3*time.Millisecond)
	}},
	{name: "4kn", sector: 4096, bad: []faultdisk.Range{{First: 0, Count: 1}, {First: 1001, Count: 2}, {First: mediumBytes/4096 - 1, Count: 1}}},
}

// everySecond is n bad sectors with a good one behind each.
func everySecond(first int64, n int) []faultdisk.Range {
	var bad []faultdisk.Range
	for i := range int64(n) {
		bad = append(bad, faultdisk.Range{First: first + 2*i, Count: 1})
	}
	return bad
}
