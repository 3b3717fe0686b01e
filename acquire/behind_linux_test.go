package acquire_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// replaced counts how often the state is replaced at a destination, and from a number on lets nothing change any more.
type replaced struct {
	until int

	mu sync.Mutex
	n  int
}

func (r *replaced) hook(op durable.Op, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if op == durable.OpRename && r.n < r.until && isState(name) {
		r.n++
	}
	if r.n >= r.until {
		return faulttest.ErrKilled
	}
	return nil
}

func isState(name string) bool {
	return name == testID+".partial/"+layout.Resume || name == layout.Resume
}

// One destination is lost early, the other is killed later: whichever is named first, nothing that is safe at the better one
// is read again, and the one that lags is lost, with the reason, not trusted.
func TestGoesOnFromTheNewer(t *testing.T) {
	testtool.NeedRoot(t)
	const size = 12 * mib
	for which := range 2 {
		disk := faultdisk.New(t, faultdisk.Options{SizeBytes: size})
		j := job{Path: disk.Path(), Dirs: []string{memoryDir(t), memoryDir(t)}, Stretch: mib}
		j.hooks = map[string]durable.Hook{j.Dirs[which]: (&replaced{until: 3}).hook, j.Dirs[1-which]: (&replaced{until: 8}).hook}
		if _, err := j.step(t.Context()); err == nil {
			t.Fatal("it was not killed")
		}
		j.hooks = nil
		lagging, err := j.state(destination(t, j.Dirs[which]))
		if err != nil {
			t.Fatal(err)
		}
		better, err := j.state(destination(t, j.Dirs[1-which]))
		if err != nil {
			t.Fatal(err)
		}
		if lagging.Behind(&better) != 2 || better.Behind(&lagging) != -2 || better.SafeBytes < lagging.SafeBytes+3*mib || better.Behind(&better) != 0 {
			t.Fatalf("%d and %d bytes are safe, Behind %d and %d", lagging.SafeBytes, better.SafeBytes, lagging.Behind(&better), better.Behind(&lagging))
		}
		disk.ForgetLog()
		res, err := j.step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		samples := better.SafeBytes // all of it, as it has fewer groups than there are samples
		if n := reads(disk); n > size-better.SafeBytes+samples+mib {
			t.Errorf("%d bytes were read again and on, want the %d that were missing and the samples", n, size-better.SafeBytes)
		}
		if len(res.Lost) != 1 || res.Lost[0].Dir != j.Dirs[which] || !errors.Is(res.Lost[0], acquire.ErrBehind) {
			t.Errorf("lost are %v, want %q for lagging behind", res.Lost, j.Dirs[which])
		}
		if res.Interruptions[0].SafeBytes != better.SafeBytes {
			t.Errorf("it went on at %d, want %d", res.Interruptions[0].SafeBytes, better.SafeBytes)
		}
		sweep(t, j.Dirs[1-which])
		checkFolder(t, partial(j.Dirs[1-which]), truth(t, disk, nil), res.Acquisition)
		disk.AssertNoWrites(t)
	}
}

// between kills everything right after the first destination has got that many more states.
type between struct {
	mu   sync.Mutex
	left int
	dead bool
}

func (b *between) first(op durable.Op, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return faulttest.ErrKilled
	}
	if op == durable.OpRename && isState(name) {
		b.left--
		b.dead = b.left == 0
	}
	return nil
}

func (b *between) second(durable.Op, string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return faulttest.ErrKilled
	}
	return nil
}

// Killed between the states of the two, both are brought in line and none is lost, also when it is killed there again.
func TestBroughtInLine(t *testing.T) {
	testtool.NeedRoot(t)
	for _, bad := range [][]faultdisk.Range{nil, scattered} {
		shown := 0
		disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 8 * mib})
		disk.Bad(bad...)
		j := job{Path: disk.Path(), Dirs: []string{memoryDir(t), memoryDir(t)}, Stretch: mib}
		for _, states := range []int{3, 1, 2} {
			k := &between{left: states}
			j.hooks = map[string]durable.Hook{j.Dirs[0]: k.first, j.Dirs[1]: k.second}
			if _, err := j.step(t.Context()); err == nil {
				t.Fatal("it was not killed")
			}
			j.hooks = nil
			a, err1 := j.state(destination(t, j.Dirs[0]))
			b, err2 := j.state(destination(t, j.Dirs[1]))
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			if n := b.Behind(&a); n < 0 || n > 1 {
				t.Fatalf("the second lags by %d, want 1 at most", n)
			} else {
				shown += n
			}
		}
		if shown < 2 {
			t.Errorf("the second lagged %d times, want more", shown)
		}
		if _, err := j.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkJob(t, &j, truth(t, disk, bad), bad)
	}
}
