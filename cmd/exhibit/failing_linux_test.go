package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

// failing is the device that a script uses, and what is bad on it.
type failing struct {
	disk  *faultdisk.Disk
	whole io.ReaderAt
	bad   []faultdisk.Range

	target *faultdisk.Disk // that is written to
}

// scriptFailing makes devices and folders that fail. Sectors are written FIRST+COUNT, as 5000+1.
//
//	failing new BYTES SEED     a device of so many bytes; sets DEV
//	failing bad SECTORS...     cannot be read
//	failing slow MILLISECONDS  each read takes so long; 0 ends that
//	failing unplug OFFSET      goes away with the read that comes to this byte
//	failing die OFFSET         answers no read from then on
//	failing shrink BYTES       has only so many
//	failing revive             comes back under another name; sets DEV
//	failing other              something else comes instead of it; sets DEV
//	failing content FILE       writes what must be read of it, zeros for what is bad
//	failing untouched          requires that nobody tried to write to it
//	failing target BYTES N FILE  another device, of sectors of N bytes, that keeps what is written to it in FILE; sets TARGET
//	failing stuck SECTORS...   it does not take these, of its own sectors
//	failing lag MILLISECONDS   each read of it takes so long
//	failing gone OFFSET        it goes away with the write that comes to this byte
//	failing folder BYTES       a folder on a disk that is full after so many; sets ALSO
func scriptFailing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: failing WHAT...")
	}
	what, args := args[0], args[1:]
	if os.Geteuid() != 0 {
		const why = "the test needs root for loop devices and mounts"
		if os.Getenv("EXHIBIT_REQUIRE_TOOLS") == "1" {
			ts.Fatalf("%s, and EXHIBIT_REQUIRE_TOOLS=1 forbids to skip it", why)
		}
		t, ok := ts.Value("t").(testscript.T)
		if !ok {
			ts.Fatalf("Setup did not keep the test")
		}
		t.Skip(why)
	}
	f, ok := ts.Value("failing").(*failing)
	if !ok {
		ts.Fatalf("Setup did not make the device")
	}
	switch what {
	case "new":
		f.attach(ts, number(ts, args, 0), number(ts, args, 1))
		return
	case "folder":
		d, err := faultdisk.Mount(faultdisk.DestinationOptions{})
		ts.Check(err)
		ts.Defer(func() { ts.Check(d.Close()) })
		d.Full(number(ts, args, 0))
		ts.Setenv("ALSO", d.Path())
		return
	case "target", "stuck", "lag", "gone":
		f.overwritten(ts, what, args)
		return
	}
	if f.disk == nil {
		ts.Fatalf("failing %s before failing new", what)
	}
	f.change(ts, what, args)
}

func (f *failing) attach(ts *testscript.TestScript, size, seed int64) {
	d, err := faultdisk.Attach(faultdisk.Options{SizeBytes: size, Seed: uint64(seed)})
	ts.Check(err)
	ts.Defer(func() { ts.Check(d.Close()) })
	*f = failing{disk: d, whole: d.Content(), target: f.target}
	ts.Setenv("DEV", d.Path())
}

// overwritten makes a device to write to, in the place of the one before, and its faults.
func (f *failing) overwritten(ts *testscript.TestScript, what string, args []string) {
	switch {
	case what == "target":
		if len(args) != 3 {
			ts.Fatalf("usage: failing target BYTES N FILE")
		}
		store, err := os.OpenFile(ts.MkAbs(args[2]), os.O_RDWR|os.O_CREATE, 0o600)
		ts.Check(err)
		ts.Check(store.Truncate(number(ts, args, 0)))
		f.target, err = faultdisk.Attach(faultdisk.Options{SizeBytes: number(ts, args, 0), SectorBytes: int(number(ts, args, 1)), Store: store})
		ts.Check(err)
		d := f.target
		ts.Defer(func() {
			ts.Check(d.Close())
			ts.Check(store.Close())
		})
		ts.Setenv("TARGET", d.Path())
	case f.target == nil:
		ts.Fatalf("failing %s before failing target", what)
	case what == "stuck":
		for _, a := range args {
			first, count, _ := strings.Cut(a, "+")
			f.target.Stuck(faultdisk.Range{First: number(ts, []string{first}, 0), Count: number(ts, []string{count}, 0)})
		}
	case what == "lag":
		f.target.Slow(faultdisk.Range{Count: f.target.SizeBytes() / int64(f.target.SectorBytes())}, time.Duration(number(ts, args, 0))*time.Millisecond)
	default:
		f.target.UnplugAt(number(ts, args, 0))
	}
}

func (f *failing) change(ts *testscript.TestScript, what string, args []string) {
	switch what {
	case "bad":
		for _, a := range args {
			first, count, _ := strings.Cut(a, "+")
			f.bad = append(f.bad, faultdisk.Range{First: number(ts, []string{first}, 0), Count: number(ts, []string{count}, 0)})
		}
		f.disk.Bad(f.bad...)
	case "slow":
		f.disk.Heal()
		f.disk.Bad(f.bad...)
		f.disk.Slow(faultdisk.Range{Count: f.disk.SizeBytes() / 512}, time.Duration(number(ts, args, 0))*time.Millisecond)
	case "unplug":
		f.disk.UnplugAt(number(ts, args, 0))
	case "die":
		f.disk.DieAt(number(ts, args, 0))
	case "shrink":
		ts.Check(f.disk.Shrink(number(ts, args, 0)))
	case "revive":
		ts.Check(f.disk.ReviveAs(f.whole))
		ts.Setenv("DEV", f.disk.Path())
	case "other":
		ts.Check(f.disk.ReviveAs(faultdisk.Pattern{Seed: 1 << 40, SizeBytes: f.disk.SizeBytes()}))
		ts.Setenv("DEV", f.disk.Path())
	case "content":
		f.content(ts, args)
	case "untouched":
		if w := f.disk.Writes(); len(w) > 0 {
			ts.Fatalf("%d attempts to write to the medium, the first: %v", len(w), w[0])
		}
	default:
		ts.Fatalf("failing %s is not known", what)
	}
}

func (f *failing) content(ts *testscript.TestScript, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: failing content FILE")
	}
	b := make([]byte, f.disk.SizeBytes())
	if n, err := f.whole.ReadAt(b, 0); n < len(b) {
		ts.Fatalf("%d of %d bytes: %v", n, len(b), err)
	}
	for _, r := range slices.Clone(f.bad) {
		clear(b[r.First*512 : (r.First+r.Count)*512])
	}
	ts.Check(os.WriteFile(filepath.Clean(ts.MkAbs(args[0])), b, 0o600))
}

func number(ts *testscript.TestScript, args []string, i int) int64 {
	if i >= len(args) {
		ts.Fatalf("a number is missing after %q", args)
	}
	n, err := strconv.ParseInt(args[i], 10, 64)
	ts.Check(err)
	return n
}
