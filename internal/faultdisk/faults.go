//go:build linux

package faultdisk

import (
	"fmt"
	"io"
	"math"
	"time"
)

// faults is how the medium fails. Offsets are bytes; Disk.mu guards it.
type faults struct {
	bad    []span
	stuck  []span // for writes
	flaky  []*flaky
	slow   []slow
	hangs  []hang
	reads  int64 // asked so far
	die    trigger
	unplug trigger
}

type span struct{ from, to int64 }

func (s span) touches(from, to int64) bool { return s.from < to && from < s.to }

type flaky struct {
	span
	sector int64
	fails  int
	failed map[int64]int // by sector, counted from the medium's start
}

type slow struct {
	span
	delay time.Duration
}

type hang struct {
	span
	release chan struct{}
}

// trigger fires at the first read that touches offset or anything behind it, or when that many reads were asked.
type trigger struct{ offset, reads int64 }

func (t trigger) fires(to, reads int64) bool { return to > t.offset || reads > t.reads }

var never = trigger{math.MaxInt64, math.MaxInt64}

func (f *faults) reset() {
	*f = faults{reads: f.reads, die: never, unplug: never}
}

func (d *Disk) span(r Range) span {
	return span{r.First * int64(d.opts.SectorBytes), (r.First + r.Count) * int64(d.opts.SectorBytes)}
}

// change sets faults, and forgets what buffered readers have cached: a fault must also meet who has read there before.
func (d *Disk) change(set func(f *faults)) {
	d.mu.Lock()
	set(&d.faults)
	l := d.plugs[len(d.plugs)-1].loop
	d.mu.Unlock()
	_ = l.dropCache() // a device that is gone has nothing cached
}

// Bad makes sectors unreadable: any read that touches one of them fails as a whole with EIO.
func (d *Disk) Bad(ranges ...Range) {
	d.change(func(f *faults) {
		for _, r := range ranges {
			f.bad = append(f.bad, d.span(r))
		}
	})
}

// Stuck makes sectors of a Store unwritable: any write that touches one of them fails as a whole with EIO, and can be read.
func (d *Disk) Stuck(ranges ...Range) {
	d.change(func(f *faults) {
		for _, r := range ranges {
			f.stuck = append(f.stuck, d.span(r))
		}
	})
}

// Flaky makes sectors that are read at last: each fails until it has failed n times in a read of sectors of this range
// alone. A larger read that touches it fails as well, and does not count.
func (d *Disk) Flaky(r Range, n int) {
	d.change(func(f *faults) {
		f.flaky = append(f.flaky, &flaky{span: d.span(r), sector: int64(d.opts.SectorBytes), fails: n, failed: map[int64]int{}})
	})
}

// Slow delays every read that touches the range.
func (d *Disk) Slow(r Range, delay time.Duration) {
	d.change(func(f *faults) { f.slow = append(f.slow, slow{d.span(r), delay}) })
}

// Hang leaves every read that touches the range without an answer until Release.
func (d *Disk) Hang(r Range) {
	d.change(func(f *faults) { f.hangs = append(f.hangs, hang{d.span(r), make(chan struct{})}) })
}

// Release lets all reads go that hang, and ends the hanging: they are answered as if nothing had been.
func (d *Disk) Release() {
	d.change(func(f *faults) {
		for _, h := range f.hangs {
			close(h.release)
		}
		f.hangs = nil
	})
}

// Hanging says how many reads wait for Release.
func (d *Disk) Hanging() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hanging
}

// Heal takes every fault away that has not fired. Reads that hang are released.
func (d *Disk) Heal() {
	d.Release()
	d.change(func(f *faults) { f.reset() })
}

// Die makes every read fail from now on. The device stays, and keeps its size.
func (d *Disk) Die() { d.DieAfter(0) }

// DieAt lets the device die with the first read that touches offset, in bytes, or anything behind it.
func (d *Disk) DieAt(offset int64) {
	d.change(func(f *faults) { f.die = trigger{offset, math.MaxInt64} })
}

// DieAfter lets the device die after n more reads.
func (d *Disk) DieAfter(n int64) {
	d.change(func(f *faults) { f.die = trigger{math.MaxInt64, f.reads + n} })
}

// Unplug pulls the device out: who has it open gets EIO for what is under way, then clean ends of file, and its size is 0.
// A real device's name would go away; this one stays, with size 0, until Close, so that Revive has to give another.
func (d *Disk) Unplug() error {
	err := d.pull(d.present())
	d.Release() // what hangs fails
	return err
}

// UnplugAt pulls the device out with the first read that touches offset, in bytes, or anything behind it.
func (d *Disk) UnplugAt(offset int64) {
	d.change(func(f *faults) { f.unplug = trigger{offset, math.MaxInt64} })
}

// UnplugAfter pulls the device out after n more reads: the one after them fails.
func (d *Disk) UnplugAfter(n int64) {
	d.change(func(f *faults) { f.unplug = trigger{math.MaxInt64, f.reads + n} })
}

// pull makes a plug dead and empty.
func (d *Disk) pull(p *plug) error {
	d.mu.Lock()
	p.dead, p.size = true, 0
	d.mu.Unlock()
	return p.loop.readCapacity()
}

// Shrink makes the device smaller, in bytes, while it is in use.
func (d *Disk) Shrink(sizeBytes int64) error {
	if sizeBytes < 0 || sizeBytes > d.opts.SizeBytes {
		return fmt.Errorf("cannot shrink a medium of %d bytes to %d", d.opts.SizeBytes, sizeBytes)
	}
	p := d.present()
	d.mu.Lock()
	p.size = sizeBytes
	d.mu.Unlock()
	return p.loop.readCapacity()
}

// Revive attaches the same medium again, under another name that Path returns from now on, as if it had been pulled out
// and put in again. Death is over for the new name; bad, flaky and slow sectors stay as they were.
func (d *Disk) Revive() error {
	if err := d.Unplug(); err != nil {
		return err
	}
	d.mu.Lock()
	d.faults.die, d.faults.unplug = never, never
	d.mu.Unlock()
	return d.plugIn()
}

// ReviveAs attaches another medium of the same size in its place, as Revive does.
func (d *Disk) ReviveAs(content io.ReaderAt) error {
	if err := d.Unplug(); err != nil { // before the content changes: the old name must never answer with it
		return err
	}
	d.mu.Lock()
	d.content = content
	d.mu.Unlock()
	return d.Revive()
}
