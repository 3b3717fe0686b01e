package acquire_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// breaker fails call number at, and everything from then on if forGood.
type breaker struct {
	at      int
	fault   error
	forGood bool

	mu    sync.Mutex
	calls int
	op    durable.Op // that failed first
}

func (b *breaker) hook(op durable.Op, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.at == 0 || b.calls < b.at || b.calls > b.at && !b.forGood {
		return nil
	}
	if b.op == "" {
		b.op = op
	}
	if half, ok := errors.AsType[*durable.HalfWrite](b.fault); ok && op != durable.OpWrite {
		return half.Err
	}
	return b.fault
}

// phases notes which phases began.
type phases struct{ begun []string }

func (p *phases) Phase(name string, _ int64) { p.begun = append(p.begun, name) }
func (*phases) Temperature(int64)            {}

func (p *phases) Doing(string, int64) {}
func (p *phases) Done(int64)          {}

// smallFailing is a medium with a bad sector in each of its two groups.
func smallFailing(t *testing.T) (disk *faultdisk.Disk, bad []faultdisk.Range, want []byte) {
	t.Helper()
	disk = faultdisk.New(t, faultdisk.Options{SizeBytes: mib + 4096})
	bad = []faultdisk.Range{{First: 777, Count: 1}, {First: 2051, Count: 2}}
	disk.Bad(bad...)
	return disk, bad, truth(t, disk, bad)
}

// clean returns how many calls an undisturbed job makes at its first destination.
func clean(t *testing.T, j job) int {
	t.Helper()
	var dirs []string
	for range j.Dirs {
		dirs = append(dirs, memoryDir(t))
	}
	count := &breaker{}
	j.Dirs, j.hooks = dirs, map[string]durable.Hook{dirs[0]: count.hook}
	if _, err := j.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	return count.calls
}

// Whatever call fails at one of two destinations, once or for good: the other is complete and right, and the result names
// the one that was lost.
func TestOneOfTwoLost(t *testing.T) {
	testtool.NeedRoot(t)
	disk, bad, want := smallFailing(t)
	faults := []error{syscall.EIO, syscall.ENOSPC, &durable.HalfWrite{Err: syscall.ENOSPC}, syscall.EROFS}
	calls := clean(t, job{Path: disk.Path(), Dirs: []string{"", ""}, Stretch: 1 << 19})
	step := 7
	if os.Getenv("EXHIBIT_SOAK") == "1" {
		step = 1
	}
	var before, after int
	for at := 1; at <= calls; at += step {
		which := at / step % 2
		b := &breaker{at: at, fault: faults[at%len(faults)], forGood: at/step%4 > 1}
		j := job{Path: disk.Path(), Dirs: []string{memoryDir(t), memoryDir(t)}, Stretch: 1 << 19}
		j.hooks = map[string]durable.Hook{j.Dirs[which]: b.hook}
		seen := &phases{}
		j.progress = seen
		t.Run(fmt.Sprintf("%d of %d, destination %d", at, calls, which), func(t *testing.T) {
			res, err := j.step(t.Context())
			if err != nil && len(seen.begun) == 0 { // nothing was read yet
				before++
				return
			}
			if err != nil {
				t.Fatalf("%s failed with %v: got %v", b.op, b.fault, err)
			}
			after++
			checkLost(t, &j, which, res, b)
			checkRescued(t, j.Dirs[1-which], res.Acquisition, want, bad)
		})
	}
	if before > after {
		t.Errorf("%d runs ended before the first byte, %d went on; want fewer", before, after)
	}
	disk.AssertNoWrites(t)
}

// checkLost requires the result to name destination which, and its folder not to be finished. Nothing was lost only where
// the failure came when all was complete.
func checkLost(t *testing.T, j *job, which int, res acquire.Result, b *breaker) {
	t.Helper()
	sweep(t, j.Dirs[1-which])
	if len(res.Lost) != 1 || res.Lost[0].Dir != j.Dirs[which] {
		t.Fatalf("%s failed with %v: lost are %v, want %q", b.op, b.fault, res.Lost, j.Dirs[which])
	}
	cause := b.fault
	if half, ok := errors.AsType[*durable.HalfWrite](cause); ok {
		cause = half.Err
	}
	if !errors.Is(res.Lost[0], cause) {
		t.Errorf("it was lost for %v, want %v", res.Lost[0], cause)
	}
}

// Both lost at the same call is an error, which is no success at either; when they are back, it goes on.
func TestBothLost(t *testing.T) {
	testtool.NeedRoot(t)
	disk, bad, want := smallFailing(t)
	calls := clean(t, job{Path: disk.Path(), Dirs: []string{"", ""}, Stretch: 1 << 19})
	for at := 2; at < calls; at += calls / 16 {
		t.Run(fmt.Sprintf("%d of %d", at, calls), func(t *testing.T) {
			j := job{Path: disk.Path(), Dirs: []string{memoryDir(t), memoryDir(t)}, Stretch: 1 << 19}
			j.hooks = map[string]durable.Hook{}
			for _, dir := range j.Dirs {
				j.hooks[dir] = (&breaker{at: at, fault: syscall.EIO, forGood: true}).hook
			}
			_, err := j.step(t.Context())
			if lost, ok := errors.AsType[*acquire.DestinationError](err); !ok || !errors.Is(lost, syscall.EIO) {
				t.Fatalf("got %v, want a *DestinationError for EIO", err)
			}
			j.hooks = nil
			if _, err := j.step(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkJob(t, &j, want, bad)
		})
	}
}

// A destination that was lost and comes back is taken up again if what it holds is right, and left out if it lags behind.
func TestLostAndBack(t *testing.T) {
	testtool.NeedRoot(t)
	disk, bad, want := smallFailing(t)
	calls := clean(t, job{Path: disk.Path(), Dirs: []string{"", ""}, Stretch: 1 << 19})
	for at := 10; at < calls; at += calls / 12 {
		for which := range 2 {
			t.Run(fmt.Sprintf("%d of %d, destination %d", at, calls, which), func(t *testing.T) {
				j := job{Path: disk.Path(), Dirs: []string{memoryDir(t), memoryDir(t)}, Stretch: 1 << 19}
				first := &breaker{at: at, fault: syscall.EIO, forGood: true}
				second := &breaker{at: at + 10, fault: syscall.EIO, forGood: true} // a kill soon after
				j.hooks = map[string]durable.Hook{j.Dirs[which]: first.hook, j.Dirs[1-which]: second.hook}
				if _, err := j.step(t.Context()); err == nil {
					return // it came to its end before
				}
				j.hooks = nil
				res, err := j.step(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				good := 0
				for _, dir := range j.Dirs {
					if len(res.Lost) == 1 && res.Lost[0].Dir == dir {
						continue
					}
					if _, err := os.Lstat(filepath.Join(partial(dir), "unsigned.json")); err != nil {
						continue // lost when the other was complete already
					}
					good++
					sweep(t, dir)
					checkRescued(t, dir, res.Acquisition, want, bad)
				}
				if good == 0 || len(res.Lost) > 1 {
					t.Errorf("lost are %v", res.Lost)
				}
			})
		}
	}
}
