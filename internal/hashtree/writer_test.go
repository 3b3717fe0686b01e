package hashtree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestWriterInAnyOrder(t *testing.T) {
	values := madeUp(2*pieceGroups + 3)
	want := injected(values)
	orders := map[string][]int{"shuffled": rand.New(rand.NewPCG(1, 2)).Perm(len(values))}
	for i := range values {
		orders["upwards"] = append(orders["upwards"], i)
		orders["downwards"] = append(orders["downwards"], len(values)-1-i)
	}
	for name, order := range orders {
		var s memory
		w := NewWriter(&s)
		for _, g := range order {
			if err := w.Put(int64(g), values[g]); err != nil {
				t.Fatalf("%s: Put(%d): %v", name, g, err)
			}
		}
		root, err := w.Finish(int64(len(values)-1)*GroupSize + 1)
		if err != nil || root != simpleRoot(values) {
			t.Errorf("%s: Finish: %s, %v", name, root, err)
		}
		if !bytes.Equal(s.b, want) {
			t.Errorf("%s: the file differs from one written by hand", name)
		}
	}
}

func TestWriterConcurrently(t *testing.T) {
	values := madeUp(5000)
	f := create(t)
	w := NewWriter(f)
	order := rand.New(rand.NewPCG(3, 4)).Perm(len(values))
	const workers = 8
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for j := i; j < len(order); j += workers {
				if err := w.Put(int64(order[j]), values[order[j]]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := w.Finish(5000 * GroupSize); err != nil {
		t.Fatal(err)
	}
	got, err := Open(f, FileSize(5000*GroupSize))
	if err != nil || got.Root() != simpleRoot(values) {
		t.Fatalf("Open: %v", err)
	}
	for i := range workers {
		wg.Go(func() {
			for j := i; j < len(order); j += 100 {
				if v, err := got.Value(int64(order[j])); err != nil || v != values[order[j]] {
					t.Errorf("group %d: %s, %v", order[j], v, err)
				}
			}
		})
	}
	wg.Wait()
}

// Of many goroutines that put the same group, one succeeds, and the file cannot be finished.
func TestWriterSameGroupConcurrently(t *testing.T) {
	w := NewWriter(create(t))
	var wg sync.WaitGroup
	results := make(chan error, 16)
	for range 16 {
		wg.Go(func() { results <- w.Put(3, Value{1}) })
	}
	wg.Wait()
	close(results)
	ok := 0
	for err := range results {
		if err == nil {
			ok++
		}
	}
	if ok != 1 {
		t.Errorf("%d of 16 succeeded, want 1", ok)
	}
}

func TestFinishRefuses(t *testing.T) {
	const g = GroupSize
	for name, c := range map[string]struct {
		put  []int64
		size int64
		want string
	}{
		"nothing at all":     {nil, 0, "group 0 of 1 is missing"},
		"first missing":      {[]int64{1, 2}, 3 * g, "group 0 of 3 is missing"},
		"middle missing":     {[]int64{0, 2}, 3 * g, "group 1 of 3 is missing"},
		"last missing":       {[]int64{0, 1}, 2*g + 1, "group 2 of 3 is missing"},
		"far page missing":   {[]int64{0}, (pageGroups + 1) * g, "group 1 of 32769 is missing"},
		"doubled":            {[]int64{0, 1, 1}, 2 * g, "group 1 of the tree was given twice"},
		"one too many":       {[]int64{0, 1, 2}, 2 * g, "after the last of 2 groups"},
		"one on a far page":  {[]int64{0, 1, pageGroups * 3}, 2 * g, "after the last of 2 groups"},
		"one for the empty":  {[]int64{0, 1}, 0, "after the last of 1 groups"},
		"negative group":     {[]int64{0, -1}, g, "group -1 of the tree"},
		"group out of range": {[]int64{0, maxGroups}, g, "at most"},
		"negative size":      {[]int64{0}, -1, "a medium of -1 bytes"},
		"size out of range":  {[]int64{0}, MaxSize + 1, "a medium of"},
	} {
		var s memory
		w := NewWriter(&s)
		for _, group := range c.put {
			if err := w.Put(group, Value{byte(group)}); err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: Put(%d) = %v, want an error with %q", name, group, err, c.want)
			}
		}
		root, err := w.Finish(c.size)
		if err == nil || !strings.Contains(err.Error(), c.want) || root != (Value{}) {
			t.Errorf("%s: got %s, %v, want an error with %q", name, root, err, c.want)
		}
		if len(s.b) >= 64 && !bytes.Equal(s.b[:64], make([]byte, 64)) {
			t.Errorf("%s: a header was written", name)
		}
	}
}

func TestWriterAfterFinish(t *testing.T) {
	w := NewWriter(new(memory))
	if err := w.Put(0, Value{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(1); err != nil {
		t.Fatal(err)
	}
	if err := w.Put(1, Value{1}); !errors.Is(err, errFinished) {
		t.Errorf("Put: got %v, want errFinished", err)
	}
	if _, err := w.Finish(1); !errors.Is(err, errFinished) {
		t.Errorf("Finish: got %v, want errFinished", err)
	}
}

func TestWriterFaults(t *testing.T) {
	s := memory{writeErr: errDisk}
	w := NewWriter(&s)
	if err := w.Put(0, Value{1}); !errors.Is(err, errDisk) {
		t.Errorf("Put: got %v, want errDisk", err)
	}
	s.writeErr = nil
	if _, err := w.Finish(1); !errors.Is(err, errDisk) {
		t.Errorf("Finish after a failed Put: got %v, want errDisk", err)
	}

	s = memory{}
	w = NewWriter(&s)
	if err := w.Put(0, Value{1}); err != nil {
		t.Fatal(err)
	}
	s.writeErr = errDisk
	if root, err := w.Finish(1); !errors.Is(err, errDisk) || root != (Value{}) {
		t.Errorf("Finish that cannot write: got %s, %v, want errDisk", root, err)
	}

	w = NewWriter(&memory{b: make([]byte, 64+32+1)})
	if err := w.Put(0, Value{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(1); !errors.Is(err, ErrFormat) {
		t.Errorf("Finish of a file that goes on: got %v, want ErrFormat", err)
	}
}

func TestResume(t *testing.T) {
	values := madeUp(100)
	var s memory
	w := NewWriter(&s)
	for g, v := range values[:60] {
		if err := w.Put(int64(g), v); err != nil {
			t.Fatal(err)
		}
	}
	w = NewWriter(&s) // the first run was killed
	if err := w.Resume(0, 60); err != nil {
		t.Fatal(err)
	}
	for g := 60; g < 100; g++ {
		if err := w.Put(int64(g), values[g]); err != nil {
			t.Fatal(err)
		}
	}
	if root, err := w.Finish(99*GroupSize + 1); err != nil || root != simpleRoot(values) || !bytes.Equal(s.b, injected(values)) {
		t.Errorf("Finish: %s, %v", root, err)
	}

	for _, c := range [][2]int64{{-1, 1}, {0, -1}, {maxGroups, 1}, {1, maxGroups}, {1 << 62, 1 << 62}} {
		if err := NewWriter(&s).Resume(c[0], c[1]); err == nil {
			t.Errorf("Resume(%d, %d): no error", c[0], c[1])
		}
	}
	w = NewWriter(&s)
	if err := errors.Join(w.Resume(0, 10), w.Resume(9, 1)); err == nil {
		t.Error("Resume of a group twice: no error")
	}
	w = NewWriter(&s)
	if err := errors.Join(w.Resume(0, 10), w.Put(9, Value{})); err == nil {
		t.Error("Put of a resumed group: no error")
	}
	w = NewWriter(new(memory)) // a list that is not there
	if err := w.Resume(0, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(10 * GroupSize); !errors.Is(err, ErrFormat) {
		t.Errorf("Finish of a list that is not there: got %v, want ErrFormat", err)
	}
}

// 150 GiB of medium, in order and shuffled, within a fixed amount of memory allocated in all.
func TestBoundedMemory(t *testing.T) {
	const groups = 150_000
	for name, order := range map[string]func(i int64) int64{
		"in order":  func(i int64) int64 { return i },
		"shuffled":  func(i int64) int64 { return i * 7919 % groups },
		"backwards": func(i int64) int64 { return groups - 1 - i },
	} {
		used := allocated(func() { writeInjected(t, create(t), groups, order) })
		if used > 512<<10 {
			t.Errorf("%s: %d bytes allocated for %d of list, want at most 512 KiB", name, used, 32*groups)
		}
	}
}

// A complete page costs nothing, and still knows its groups.
func TestCompletePages(t *testing.T) {
	s := groupSet{pages: map[int64]*page{}}
	for g := range int64(2*pageGroups + 5) {
		if !s.add(g) {
			t.Fatalf("group %d is not new", g)
		}
	}
	for g := range int64(2*pageGroups + 5) {
		if s.add(g) {
			t.Fatalf("group %d is new again", g)
		}
	}
	if s.pages[0] != fullPage || s.pages[1] != fullPage || s.pages[2] == fullPage {
		t.Errorf("pages %v: want the first two to be the shared one", s.pages)
	}
	if err := s.exactly(2*pageGroups + 5); err != nil {
		t.Error(err)
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func writeInjected(t testing.TB, f *os.File, groups int64, order func(int64) int64) {
	w := NewWriter(f)
	var v Value
	for i := range groups {
		g := order(i)
		binary.LittleEndian.PutUint64(v[:], uint64(g))
		if err := w.Put(g, v); err != nil {
			t.Fatal(err)
		}
	}
	root, err := w.Finish(groups * GroupSize)
	if err != nil {
		t.Fatal(err)
	}
	file, err := Open(f, FileSize(groups*GroupSize))
	if err != nil || file.Root() != root {
		t.Fatalf("Open: %v", err)
	}
}

func create(t testing.TB) *os.File {
	f, err := os.Create(filepath.Join(t.TempDir(), "tree"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// BenchmarkTree20TiB writes, finishes and opens the 640 MiB tree file of a medium of 20 TiB. B/op is all that is
// allocated on the way.
func BenchmarkTree20TiB(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		writeInjected(b, create(b), 20<<20, func(i int64) int64 { return i })
	}
}
