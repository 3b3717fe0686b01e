package hashtree

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// standardInput is the input of the published vectors.
func standardInput(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func randomInput(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// treeOf computes the root of data by way of a tree file, its groups in the order of a shuffle.
func treeOf(t testing.TB, data []byte) (Value, *memory) {
	t.Helper()
	var s memory
	w := NewWriter(&s)
	n := int(Groups(int64(len(data))))
	order := rand.New(rand.NewPCG(uint64(len(data)), 1)).Perm(n)
	for _, g := range order {
		block := data[g*GroupSize : min(len(data), (g+1)*GroupSize)]
		v := Root
		if n > 1 {
			v = func(b []byte) Value { return Sum(b, int64(g)) }
		}
		if err := w.Put(int64(g), v(block)); err != nil {
			t.Fatalf("Put(%d) of %d: %v", g, n, err)
		}
	}
	root, err := w.Finish(int64(len(data)))
	if err != nil {
		t.Fatalf("Finish(%d): %v", len(data), err)
	}
	return root, &s
}

func TestPublishedVectors(t *testing.T) {
	f, err := os.Open(filepath.Join("testdata", "blake3-vectors.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		var size int
		var want string
		if _, err := fmt.Sscanf(sc.Text(), "%d %64s", &size, &want); err != nil {
			t.Fatalf("line %q: %v", sc.Text(), err)
		}
		if got := Root(standardInput(size)).String(); got != want {
			t.Errorf("%d bytes: got %s, want %s", size, got, want)
		}
		seen++
	}
	if seen != 35 {
		t.Errorf("%d vectors, want 35", seen)
	}
}

// Every length around the borders of a block, a chunk, a batch, a group and their multiples.
func TestEqualToBLAKE3(t *testing.T) {
	lengths := map[int]bool{}
	for _, unit := range []int{0, 1, 64, 1024, 16 << 10, GroupSize / 2, GroupSize} {
		for _, times := range []int{1, 2, 3, 4, 5, 7, 8, 9, 12} {
			for d := -1; d <= 1; d++ {
				lengths[max(0, unit*times+d)] = true
			}
		}
	}
	data := randomInput(12*GroupSize + 1)
	for n := range lengths {
		got, _ := treeOf(t, data[:n])
		if want := Value(blake3.Sum256(data[:n])); got != want {
			t.Errorf("%d bytes: got %s, want %s", n, got, want)
		}
		if n <= GroupSize {
			if got, want := Root(data[:n]), Value(blake3.Sum256(data[:n])); got != want {
				t.Errorf("Root of %d bytes: got %s, want %s", n, got, want)
			}
		}
	}
}

// The value of a group depends on its position, and no group's own value is its root.
func TestSumDependsOnPosition(t *testing.T) {
	block := randomInput(GroupSize)
	seen := map[Value]int64{Root(block): -1}
	for _, group := range []int64{0, 1, 2, 1 << 22, maxGroups - 1} {
		v := Sum(block, group)
		if other, ok := seen[v]; ok {
			t.Errorf("groups %d and %d have one value", group, other)
		}
		seen[v] = group
	}
}

func TestSumReadsOnlyItsBlock(t *testing.T) {
	data := randomInput(GroupSize)
	for _, n := range []int{1, 1000, 1024, 5000, 16 << 10, 16<<10 + 1, 100_000} {
		dirty := slices.Clone(data)
		for i := n; i < len(dirty); i++ {
			dirty[i] ^= 0xff
		}
		if got, want := Sum(dirty[:n], 7), Sum(bytes.Clone(data[:n]), 7); got != want {
			t.Errorf("%d bytes: the value depends on what lies behind them", n)
		}
	}
}

func TestSumAllocatesNothing(t *testing.T) {
	block := randomInput(GroupSize)
	for _, n := range []int{1, 100_000, GroupSize} {
		if got := testing.AllocsPerRun(5, func() { Sum(block[:n], 3); Root(block[:n]) }); got != 0 {
			t.Errorf("%d bytes: %v allocations, want 0", n, got)
		}
	}
}

func TestPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"empty sum":      func() { Sum(nil, 0) },
		"long sum":       func() { Sum(make([]byte, GroupSize+1), 0) },
		"negative group": func() { Sum([]byte{1}, -1) },
		"group too high": func() { Sum([]byte{1}, maxGroups) },
		"long root":      func() { Root(make([]byte, GroupSize+1)) },
		"negative size":  func() { Groups(-1) },
		"size too great": func() { Groups(MaxSize + 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestGroups(t *testing.T) {
	for size, want := range map[int64]int64{
		0: 1, 1: 1, GroupSize - 1: 1, GroupSize: 1, GroupSize + 1: 2, 2 * GroupSize: 2, 2*GroupSize + 1: 3,
		MaxSize: maxGroups, 20 << 40: 20 << 20,
	} {
		if got := Groups(size); got != want {
			t.Errorf("Groups(%d): got %d, want %d", size, got, want)
		}
	}
}

func TestEqualToB3sum(t *testing.T) {
	b3sum := testtool.Need(t, "b3sum")[0]
	for _, n := range []int{0, 1, 4096, GroupSize, GroupSize + 1, 5*GroupSize + 12345} {
		data := randomInput(n)
		name := filepath.Join(t.TempDir(), "medium")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(b3sum, "--no-names", name).Output()
		if err != nil {
			t.Fatalf("b3sum: %v", err)
		}
		if got, _ := treeOf(t, data); got.String() != strings.TrimSpace(string(out)) {
			t.Errorf("%d bytes: got %s, b3sum says %s", n, got, out)
		}
	}
}

// memory is a Storage of bytes, not for use by several goroutines, with faults on demand.
type memory struct {
	b        []byte
	writeErr error
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if m.writeErr != nil {
		return 0, m.writeErr
	}
	if end := int(off) + len(p); end > len(m.b) {
		m.b = append(m.b, make([]byte, end-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.b).ReadAt(p, off)
}

var errDisk = errors.New("the disk is gone")

func BenchmarkSum(b *testing.B) {
	block := randomInput(GroupSize)
	b.SetBytes(GroupSize)
	for b.Loop() {
		Sum(block, 1)
	}
}
