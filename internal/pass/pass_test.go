package pass

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/iotest"
	"time"
	"unsafe"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/internal/hashtree"
)

func randomInput(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(b)
	return b
}

// values is a Tree in memory.
type values struct {
	mu  sync.Mutex
	got map[int64]hashtree.Value
	err error
}

func (v *values) Put(group int64, value hashtree.Value) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.got[group]; ok {
		return fmt.Errorf("group %d twice", group)
	}
	if v.got == nil {
		v.got = map[int64]hashtree.Value{}
	}
	v.got[group] = value
	return v.err
}

// check compares with what the groups of data must give.
func (v *values) check(t *testing.T, data []byte) {
	t.Helper()
	n := hashtree.Groups(int64(len(data)))
	if int64(len(v.got)) != n {
		t.Errorf("%d bytes: %d values, want %d", len(data), len(v.got), n)
	}
	for g := range n {
		block := data[g*BlockSize : min(int64(len(data)), (g+1)*BlockSize)]
		want := hashtree.Root(block)
		if n > 1 {
			want = hashtree.Sum(block, g)
		}
		if v.got[g] != want {
			t.Errorf("%d bytes: group %d is %s, want %s", len(data), g, v.got[g], want)
		}
	}
}

// randomReader gives a random number of bytes each time, sometimes none.
func randomReader(r io.Reader) io.Reader {
	rnd := rand.New(rand.NewPCG(5, 6))
	return readerFunc(func(p []byte) (int, error) {
		if n := rnd.IntN(400_000); n < len(p) {
			p = p[:max(0, n-50_000)]
		}
		return r.Read(p)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestEveryConsumerGetsEveryByteOnce(t *testing.T) {
	const g = BlockSize
	data := randomInput(5*g + 1)
	readers := map[string]func(io.Reader) io.Reader{
		"plain":         func(r io.Reader) io.Reader { return r },
		"halves":        iotest.HalfReader,
		"data with EOF": iotest.DataErrReader,
		"random":        randomReader,
	}
	for name, reader := range readers {
		for i, n := range []int{0, 1, 511, g - 1, g, g + 1, 2 * g, 2*g + 1, 5 * g, 5*g + 1} {
			if n > 3*g && name != "plain" {
				continue
			}
			var tree values
			var first, second bytes.Buffer
			sha, md := sha256.New(), md5.New()
			opts := Options{
				Tree: &tree, Linear: []hash.Hash{sha, md}, Sinks: []io.Writer{&first, &second},
				Workers: i % 4, Buffers: []int{0, 2, 3}[i%3],
			}
			res, err := Run(t.Context(), reader(bytes.NewReader(data[:n])), opts)
			if err != nil || res.SizeBytes != int64(n) {
				t.Errorf("%s, %d bytes: got %v, %v", name, n, res, err)
			}
			tree.check(t, data[:n])
			if got, want := sha.Sum(nil), sha256.Sum256(data[:n]); !bytes.Equal(got, want[:]) {
				t.Errorf("%s, %d bytes: sha256 %x, want %x", name, n, got, want)
			}
			if got, want := md.Sum(nil), md5.Sum(data[:n]); !bytes.Equal(got, want[:]) {
				t.Errorf("%s, %d bytes: md5 %x, want %x", name, n, got, want)
			}
			if !bytes.Equal(first.Bytes(), data[:n]) || !bytes.Equal(second.Bytes(), data[:n]) {
				t.Errorf("%s, %d bytes: a sink got other bytes", name, n)
			}
		}
	}
}

func TestOneByteAtATime(t *testing.T) {
	data := randomInput(BlockSize + 3)
	var tree values
	if _, err := Run(t.Context(), iotest.OneByteReader(bytes.NewReader(data)), Options{Tree: &tree}); err != nil {
		t.Fatal(err)
	}
	tree.check(t, data)
}

func TestTreeFile(t *testing.T) {
	data := randomInput(9*BlockSize + 77)
	f, err := os.Create(filepath.Join(t.TempDir(), "tree"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := hashtree.NewWriter(f)
	res, err := Run(t.Context(), bytes.NewReader(data), Options{Tree: w})
	if err != nil {
		t.Fatal(err)
	}
	root, err := w.Finish(res.SizeBytes)
	if want := hashtree.Value(blake3.Sum256(data)); err != nil || root != want {
		t.Errorf("root %s, %v, want %s", root, err, want)
	}
}

// A pass that goes on at group 3 gives the same values as one over the whole, and never a root.
func TestFirstGroup(t *testing.T) {
	data := randomInput(5*BlockSize + 1)
	for _, end := range []int{3 * BlockSize, 3*BlockSize + 1, 4 * BlockSize, len(data)} {
		tree := values{got: map[int64]hashtree.Value{}}
		opts := Options{Tree: &tree, FirstGroup: 3}
		res, err := Run(t.Context(), bytes.NewReader(data[3*BlockSize:end]), opts)
		if err != nil || res.SizeBytes != int64(end-3*BlockSize) {
			t.Errorf("end %d: got %v, %v", end, res, err)
		}
		for g := range int64(3) {
			tree.got[g] = hashtree.Sum(data[g*BlockSize:(g+1)*BlockSize], g)
		}
		tree.check(t, data[:end])
	}
}

func TestWithoutTree(t *testing.T) {
	data := randomInput(3 * BlockSize)
	var sink bytes.Buffer
	res, err := Run(t.Context(), bytes.NewReader(data), Options{Sinks: []io.Writer{&sink}})
	if err != nil || res != (Result{SizeBytes: 3 * BlockSize}) || !bytes.Equal(sink.Bytes(), data) {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestProgress(t *testing.T) {
	var got []int64
	opts := Options{Tree: new(values), Progress: func(n int64) { got = append(got, n) }}
	if _, err := Run(t.Context(), bytes.NewReader(make([]byte, 2*BlockSize+5)), opts); err != nil {
		t.Fatal(err)
	}
	if want := []int64{BlockSize, 2 * BlockSize, 2*BlockSize + 5}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBusy(t *testing.T) {
	data := randomInput(2*BlockSize + 5)
	var mu sync.Mutex
	got := map[string]int{}
	opts := Options{Tree: nothing{}, Linear: []hash.Hash{md5.New(), sha256.New()}, Sinks: []io.Writer{io.Discard}}
	opts.Busy = func(part Part, i int, took time.Duration, n int) {
		mu.Lock()
		defer mu.Unlock()
		got[fmt.Sprint(part, i)] += n
		if took < 0 {
			t.Errorf("part %d took %v", part, took)
		}
	}
	if _, err := Run(t.Context(), bytes.NewReader(data), opts); err != nil {
		t.Fatal(err)
	}
	all := len(data)
	want := map[string]int{fmt.Sprint(PartRead, 0): all, fmt.Sprint(PartWait, 0): 0, fmt.Sprint(PartTree, 0): all,
		fmt.Sprint(PartHash, 0): all, fmt.Sprint(PartHash, 1): all, fmt.Sprint(PartSink, 0): all}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOptionsRefused(t *testing.T) {
	tree := new(values)
	for name, o := range map[string]Options{
		"nobody gets anything": {},
		"negative workers":     {Tree: tree, Workers: -1},
		"too many workers":     {Tree: tree, Workers: maxWorkers + 1},
		"negative buffers":     {Tree: tree, Buffers: -1},
		"one buffer":           {Tree: tree, Buffers: 1},
		"too many buffers":     {Tree: tree, Buffers: maxBuffers + 1},
		"negative first group": {Tree: tree, FirstGroup: -1},
		"first group too high": {Tree: tree, FirstGroup: 1 << 40},
	} {
		src := readerFunc(func([]byte) (int, error) { t.Errorf("%s: the source was read", name); return 0, io.EOF })
		if res, err := Run(t.Context(), src, o); err == nil || res != (Result{}) {
			t.Errorf("%s: got %v without an error", name, res)
		}
	}
}

// endless gives zeros for ever.
var endless = readerFunc(func(p []byte) (int, error) { return len(p), nil })

// The blocks that a sink sees are page-aligned and of a fixed set.
func TestFixedAlignedBuffers(t *testing.T) {
	seen := map[uintptr]bool{}
	sink := writerFunc(func(p []byte) (int, error) {
		a := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
		if a%uintptr(os.Getpagesize()) != 0 {
			t.Errorf("address %x is not page-aligned", a)
		}
		if cap(p) != len(p) {
			t.Errorf("capacity %d for %d bytes", cap(p), len(p))
		}
		seen[a] = true
		return len(p), nil
	})
	src := io.LimitReader(endless, 50*BlockSize+1000)
	if _, err := Run(t.Context(), src, Options{Sinks: []io.Writer{sink}, Tree: new(values), Buffers: 5}); err != nil {
		t.Fatal(err)
	}
	if len(seen) < 2 || len(seen) > 5 {
		t.Errorf("%d buffers were used, want at most 5", len(seen))
	}
}

// nothing is a Tree that keeps nothing.
type nothing struct{}

func (nothing) Put(int64, hashtree.Value) error { return nil }

func TestNoAllocationPerBlock(t *testing.T) {
	count := func(blocks int64) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		opts := Options{Tree: nothing{}, Linear: []hash.Hash{sha256.New()}, Sinks: []io.Writer{io.Discard}, Workers: 2, Buffers: 4}
		if _, err := Run(t.Context(), io.LimitReader(endless, blocks*BlockSize), opts); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	count(10)
	if short, long := count(10), count(310); long > short+60 {
		t.Errorf("%d allocations for 10 blocks, %d for 310", short, long)
	}
}
