package acquire_test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json/v2"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// childMain does a job, and dies at the call it was told. It prints how many calls it made.
func childMain(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	var calls atomic.Int64
	j.hooks = map[string]durable.Hook{}
	for _, dir := range j.Dirs {
		j.hooks[dir] = func(durable.Op, string) error {
			if calls.Add(1) == j.KillAt {
				if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
					return err
				}
				select {}
			}
			return nil
		}
	}
	do := func() (err error) { _, err = j.step(context.Background()); return err }
	if j.CopyOf != "" {
		do = func() (err error) { _, err = j.copy(context.Background()); return err }
	}
	if err := do(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(os.Stdout, calls.Load())
	return err
}

// process does a job in a process of its own. killed says that it died as it was told; calls is how many it made.
func (j *job) process(t *testing.T) (calls int64, killed bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+j.encode(t))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return 0, true
		}
	}
	if err != nil {
		t.Fatalf("%+v: %v\n%s", j, err, &errs)
	}
	if calls, err = strconv.ParseInt(string(bytes.TrimSpace(out.Bytes())), 10, 64); err != nil {
		t.Fatal(err)
	}
	return calls, false
}

// TestKill9 kills an acquisition at a random call that changes a disk, and what resumes it as well, until one gets
// through: the image, its digests and the map are what they would have been. EXHIBIT_SOAK=1: 200 times 64 MiB;
// EXHIBIT_SEED chooses other places.
func TestKill9(t *testing.T) {
	testtool.NeedRoot(t)
	size, points := int64(8*mib+4096), 12
	if os.Getenv("EXHIBIT_SOAK") == "1" {
		size, points = 64*mib+4096, 200
	}
	seed := uint64(1)
	if text := os.Getenv("EXHIBIT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d", seed)
	good := faultdisk.New(t, faultdisk.Options{SizeBytes: size})
	failing := faultdisk.New(t, faultdisk.Options{SizeBytes: size, Seed: 7})
	bad := []faultdisk.Range{{First: 5000, Count: 1}, {First: 7000, Count: 20}, {First: 9001, Count: 1}, {First: 12288, Count: 24}, {First: size/512 - 1, Count: 1}}
	failing.Bad(bad...)
	whole := map[bool][]byte{false: truth(t, good, nil), true: truth(t, failing, bad)}
	calls := map[string]int64{}
	for point := range points {
		random := rand.New(rand.NewPCG(seed, uint64(point)))
		damaged, split, two := point&1 != 0, point&2 != 0, point&4 != 0
		name := fmt.Sprintf("damaged %t, split %t, two %t", damaged, split, two)
		t.Run(fmt.Sprintf("%d: %s", point, name), func(t *testing.T) {
			j := job{Path: good.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib}
			if damaged {
				j.Path, j.Retries = failing.Path(), 1
			}
			if split {
				j.Segment = 3*mib + 512
			}
			if two {
				j.Dirs = append(j.Dirs, memoryDir(t))
			}
			if calls[name] == 0 {
				undisturbed := j
				undisturbed.Dirs = nil
				for range j.Dirs {
					undisturbed.Dirs = append(undisturbed.Dirs, memoryDir(t))
				}
				calls[name], _ = undisturbed.process(t)
			}
			killTillDone(t, &j, random, calls[name])
			if !damaged {
				checkJob(t, &j, whole[false], nil)
				return
			}
			checkJob(t, &j, whole[true], bad)
		})
	}
	good.AssertNoWrites(t)
	failing.AssertNoWrites(t)
}

func killTillDone(t *testing.T, j *job, random *rand.Rand, calls int64) {
	t.Helper()
	var at []int64
	for {
		j.KillAt = 1 + random.Int64N(calls)
		if len(at) > 0 && random.IntN(3) == 0 || len(at) == 8 {
			j.KillAt = 0
		}
		_, killed := j.process(t)
		if !killed {
			break
		}
		at = append(at, j.KillAt)
	}
	t.Logf("killed before the calls %d of %d", at, calls)
	if len(at) == 0 {
		t.Error("the first run was not killed")
	}
}

// TestKillEverywhere stops a short acquisition before each call that changes a disk in turn, so that nothing changes after
// it, as a kill does; and what resumes it at another one.
func TestKillEverywhere(t *testing.T) {
	testtool.NeedRoot(t)
	step := 37
	if os.Getenv("EXHIBIT_SOAK") == "1" {
		step = 1
	}
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 3*mib + 512})
	bad := []faultdisk.Range{{First: 700, Count: 1}, {First: 2500, Count: 8}, {First: 4095, Count: 1}}
	disk.Bad(bad...)
	want := truth(t, disk, bad)
	count := &killer{}
	clean := job{Path: disk.Path(), Dirs: []string{memoryDir(t), memoryDir(t)}, Stretch: 1 << 19}
	clean.hooks = count.hooks(clean.Dirs)
	if _, err := clean.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	for at := 1; at <= count.calls; at += step {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			j := job{Path: disk.Path(), Dirs: []string{memoryDir(t), memoryDir(t)}, Stretch: 1 << 19}
			for i, n := range []int{at, 1 + at*7919%count.calls, 0} {
				k := &killer{at: n}
				j.hooks = k.hooks(j.Dirs)
				res, err := j.step(t.Context())
				lost := err != nil || len(res.Lost) > 0 // at the last calls, with everything done at the other
				if n > 0 && k.calls >= n && !lost || err != nil && !errors.Is(err, faulttest.ErrKilled) {
					t.Fatalf("run %d, killed before call %d: got %v", i, n, err)
				}
			}
			checkJob(t, &j, want, bad)
		})
	}
	disk.AssertNoWrites(t)
}

// TestKeptIsKept stops a rescue among its tries, before each of their calls, and lets the medium lose all that the map
// called finished by then in the groups that were read in part: it is still there at the end.
func TestKeptIsKept(t *testing.T) {
	testtool.NeedRoot(t)
	tried := 0
	for at := 1; at <= 16; at++ {
		disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib})
		// At each try one in each group is read, so that the groups take turns.
		for i := range int64(4) {
			disk.Flaky(faultdisk.Range{First: 2048 + 100 + 500*i, Count: 1}, int(2+i))
			disk.Flaky(faultdisk.Range{First: 4096 + 100 + 500*i, Count: 1}, int(2+i))
		}
		want := truth(t, disk, nil)
		j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib, Retries: 6}
		k := &killer{at: at, unarmed: true}
		j.hooks, j.progress = k.hooks(j.Dirs), k
		if _, err := j.step(t.Context()); !errors.Is(err, faulttest.ErrKilled) {
			t.Fatalf("stopped before call %d of the tries: got %v", at, err)
		}
		j.hooks, j.progress = nil, nil
		kept := loseWhatWasRead(t, disk, j.Dirs[0])
		if _, err := j.step(t.Context()); err != nil {
			t.Fatalf("stopped before call %d: %v", at, err)
		}
		got := readFile(t, partial(j.Dirs[0]), "7%2Fa.raw")
		for _, r := range kept {
			tried++
			if !bytes.Equal(got[r.Offset:r.End()], want[r.Offset:r.End()]) {
				t.Errorf("stopped before call %d: bytes %d to %d were read and are lost", at, r.Offset, r.End())
			}
		}
	}
	if tried < 16 {
		t.Errorf("%d ranges were looked at; the test shows nothing", tried)
	}
}

// loseWhatWasRead makes bad what the map calls finished in the groups 1 and 2, and returns that.
func loseWhatWasRead(t *testing.T, disk *faultdisk.Disk, dir string) (kept []image.Range) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(partial(dir), "7%2Fa.map"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := image.ParseMap(bytes.NewReader(text), image.MapLimits{})
	if err != nil {
		t.Fatal(err)
	}
	for r := range m.All() {
		if lo, hi := max(r.Offset, mib), min(r.End(), 3*mib); r.Status == image.Finished && lo < hi {
			kept = append(kept, image.Range{Offset: lo, SizeBytes: hi - lo})
			disk.Bad(faultdisk.Range{First: lo / 512, Count: (hi - lo) / 512})
		}
	}
	return kept
}

// killer lets nothing change any more from call number at on; 0: everything may. Unarmed it does not count until bad
// sectors are tried again.
type killer struct {
	at int

	mu      sync.Mutex
	unarmed bool
	calls   int
}

func (k *killer) Phase(string, int64) {}
func (k *killer) Done(int64)          {}
func (*killer) Temperature(int64)     {}

func (k *killer) Doing(what string, _ int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unarmed = k.unarmed && !strings.HasPrefix(what, "retrying")
}

func (k *killer) hooks(dirs []string) map[string]durable.Hook {
	hooks := map[string]durable.Hook{}
	for _, dir := range dirs {
		hooks[dir] = func(durable.Op, string) error {
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.unarmed {
				return nil
			}
			if k.calls++; k.at > 0 && k.calls >= k.at {
				return faulttest.ErrKilled
			}
			return nil
		}
	}
	return hooks
}

// checkJob requires every destination of a job to be complete and right, and all to have the same record.
func checkJob(t *testing.T, j *job, want []byte, bad []faultdisk.Range) {
	t.Helper()
	j.hooks = nil
	res, err := j.step(t.Context()) // only reads the record
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
		if a, b := readFile(t, partial(dir), "unsigned.json"), readFile(t, partial(j.Dirs[0]), "unsigned.json"); !bytes.Equal(a, b) {
			t.Errorf("%s has another record than %s", dir, j.Dirs[0])
		}
	}
	sum := sha512.Sum512(want)
	for _, d := range res.Digests {
		if d.Digest.Algorithm() == record.SHA512 && d.Digest.Hex() != hex.EncodeToString(sum[:]) {
			t.Errorf("SHA-512 is %s, want %x", d.Digest.Hex(), sum)
		}
	}
	digests := 3
	if c, ok := res.Medium.Container.Get(); ok {
		digests += len(c.Stored())
	}
	if len(res.Digests) != digests || len(res.Lost) != 0 || len(res.Destinations) != len(j.Dirs) {
		t.Errorf("%d digests, lost %v, destinations %v; want %d, none, %d", len(res.Digests), res.Lost, res.Destinations, digests, len(j.Dirs))
	}
}
