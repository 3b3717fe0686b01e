package acquire_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

var scattered = []faultdisk.Range{{First: 5000, Count: 1}, {First: 9001, Count: 12}}

// reads is how much was asked of a medium.
func reads(d *faultdisk.Disk) (n int64) {
	for _, a := range d.Log() {
		if a.Op == faultdisk.OpRead {
			n += a.Length
		}
	}
	return n
}

// at runs a function once, when that much of a phase is done.
type at struct {
	phase, now string
	bytes      int64
	do         func()
}

func (a *at) Phase(name string, _ int64) { a.now = name }
func (*at) Temperature(int64)            {}

func (a *at) Doing(string, int64) {}
func (a *at) Done(n int64) {
	if a.now == a.phase && n >= a.bytes && a.do != nil {
		a.do()
		a.do = nil
	}
}

// A destination that fails at 60 % stops the acquisition, which goes on where it was when the destination is well again.
func TestDestinationFails(t *testing.T) {
	testtool.NeedRoot(t)
	const size = 8 * mib
	for name, test := range map[string]struct {
		fail func(d *faultdisk.Destination)
		want error
	}{
		"full":       {func(d *faultdisk.Destination) { d.Full(0) }, acquire.ErrSpace},
		"read-only":  {func(d *faultdisk.Destination) { d.ReadOnly() }, syscall.EROFS},
		"file limit": {func(d *faultdisk.Destination) { d.LimitFile(size * 6 / 10) }, acquire.ErrFileTooLarge},
		"vanished":   {func(d *faultdisk.Destination) { d.Vanish() }, syscall.EIO},
	} {
		for _, bad := range [][]faultdisk.Range{nil, scattered} {
			for _, segment := range []int64{0, 3*mib + 512} {
				if segment > 0 && name == "file limit" {
					continue
				}
				t.Run(fmt.Sprint(name, bad, segment), func(t *testing.T) {
					disk := faultdisk.New(t, faultdisk.Options{SizeBytes: size})
					disk.Bad(bad...)
					to := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: memoryDir(t)})
					when := &at{phase: acquire.PhaseReading, bytes: size * 6 / 10, do: func() { test.fail(to) }}
					if bad != nil {
						when.phase = acquire.PhaseRescuing
					}
					if name == "file limit" {
						to.LimitFile(size * 6 / 10)
						when.do = nil
					}
					j := job{Path: disk.Path(), Dirs: []string{to.Path()}, Stretch: mib, Segment: segment, progress: when}
					_, err := j.step(t.Context())
					if !errors.Is(err, test.want) {
						t.Fatalf("got %v, want %v", err, test.want)
					}
					if !strings.Contains(err.Error(), "unfinished, kept in") {
						t.Errorf("the error does not say what is kept: %v", err)
					}
					to.Heal()
					disk.ForgetLog()
					j.progress = nil
					if _, err := j.step(t.Context()); err != nil {
						t.Fatal(err)
					}
					if n := reads(disk); bad == nil && n > size-3*mib+16*mib {
						t.Errorf("%d bytes were read after it", n)
					}
					checkJob(t, &j, truth(t, disk, bad), bad)
					disk.AssertNoWrites(t)
				})
			}
		}
	}
}

// A slow destination is only slow.
func TestSlowDestination(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib})
	slow := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: memoryDir(t)})
	slow.Slow(8 * mib)
	j := job{Path: disk.Path(), Dirs: []string{memoryDir(t), slow.Path()}, Stretch: mib}
	if _, err := j.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkJob(t, &j, truth(t, disk, nil), nil)
}

// After a power cut at a random place only what was synced is there, or some of the rest too: what the state says is
// durable, is, and the acquisition goes on to an image that is right; nothing that was recorded is gone.
func TestPowerCut(t *testing.T) {
	testtool.NeedRoot(t)
	points := 8
	if os.Getenv("EXHIBIT_SOAK") == "1" {
		points = 400
	}
	good, failing := faultdisk.New(t, faultdisk.Options{SizeBytes: 5*mib + 512}), faultdisk.New(t, faultdisk.Options{SizeBytes: 5*mib + 512})
	bad := []faultdisk.Range{{First: 3000, Count: 1}, {First: 7001, Count: 3}, {First: 10240, Count: 1}}
	failing.Bad(bad...)
	ops := map[string]int64{}
	for point := range points {
		random := rand.New(rand.NewPCG(1, uint64(point)))
		j := job{Path: good.Path(), Stretch: mib, Retries: 1}
		disk, unread := good, []faultdisk.Range(nil)
		if point&1 != 0 {
			j.Path, disk, unread = failing.Path(), failing, bad
		}
		if point&2 != 0 {
			j.Segment = 2*mib + 512
		}
		two := point&4 != 0
		name := fmt.Sprintf("bad %t, split %t, two %t", point&1 != 0, point&2 != 0, two)
		t.Run(fmt.Sprintf("%d: %s", point, name), func(t *testing.T) {
			to := faultdisk.NewDestination(t, faultdisk.DestinationOptions{Dir: memoryDir(t)})
			j.Dirs = []string{to.Path()}
			if two { // two folders of one disk, which the power leaves together
				j.Dirs = nil
				for _, sub := range []string{"/a", "/b"} {
					j.Dirs = append(j.Dirs, to.Path()+sub)
				}
			}
			if ops[name] == 0 {
				undisturbed := j
				before := to.Ops()
				makeDirs(t, to, undisturbed.Dirs)
				if _, err := undisturbed.step(t.Context()); err != nil {
					t.Fatal(err)
				}
				ops[name] = to.Ops() - before
				for _, dir := range j.Dirs {
					if err := os.RemoveAll(partial(dir)); err != nil {
						t.Fatal(err)
					}
				}
			} else {
				makeDirs(t, to, j.Dirs)
			}
			cutTillDone(t, &j, to, random, ops[name])
			checkJob(t, &j, truth(t, disk, unread), unread)
			if err := to.PowerCut(); err != nil { // and what is finished stays
				t.Fatal(err)
			}
			checkAfterCut(t, &j, truth(t, disk, unread), unread)
		})
	}
}

func makeDirs(t *testing.T, to *faultdisk.Destination, dirs []string) {
	t.Helper()
	for _, dir := range dirs {
		if dir == to.Path() {
			continue
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.Open(to.Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(root.Sync(), root.Close()); err != nil {
		t.Fatal(err)
	}
}

func cutTillDone(t *testing.T, j *job, to *faultdisk.Destination, random *rand.Rand, ops int64) {
	t.Helper()
	for cuts := 0; ; cuts++ {
		last := cuts == 5 || cuts > 0 && random.IntN(3) == 0
		if !last {
			to.CutAfter(random.Int64N(ops))
		}
		_, err := j.step(t.Context())
		if last && err != nil {
			t.Fatalf("after %d power cuts: %v", cuts, err)
		}
		if last {
			return
		}
		if random.IntN(2) == 0 {
			err = to.PowerCut()
		} else {
			err = to.PowerCutTorn(random.Uint64())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkAfterCut looks at a finished job again.
func checkAfterCut(t *testing.T, j *job, want []byte, bad []faultdisk.Range) {
	t.Helper()
	res, err := j.step(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range j.Dirs {
		sweep(t, dir)
		if bad != nil {
			checkRescued(t, dir, res.Acquisition, want, bad)
		} else {
			checkFolder(t, partial(dir), want, res.Acquisition)
		}
	}
}
