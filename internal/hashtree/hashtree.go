package hashtree

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"lukechampine.com/blake3/guts"
)

const (
	// GroupSize is the number of bytes in each group but the last: 2^10 BLAKE3 chunks.
	GroupSize = 1 << 20
	// MaxSize is the greatest length of a medium in bytes. A JSON number still carries it exactly.
	MaxSize = 1<<53 - 1

	maxGroups      = (MaxSize + GroupSize - 1) / GroupSize
	chunksPerGroup = GroupSize / guts.ChunkSize
	// batchSize is what guts compresses at once.
	batchSize = guts.MaxSIMD * guts.ChunkSize
)

// Value is the chaining value of one group, or a root.
type Value [32]byte

// String returns v as 64 lower-case hexadecimal digits.
func (v Value) String() string { return hex.EncodeToString(v[:]) }

// Groups returns how many groups a medium of size bytes has: at least one, for the empty medium has a value too.
// It panics if size is not in 0..MaxSize.
func Groups(size int64) int64 {
	if size < 0 || size > MaxSize {
		panic(fmt.Sprintf("hashtree: a medium of %d bytes", size))
	}
	return max(1, (size+GroupSize-1)/GroupSize)
}

// Sum returns the non-root chaining value of a group, whose bytes are block and whose number, from zero, is group. Each
// group but the last has GroupSize bytes. It is not for a medium of a single group: see [Root].
//
// Sum reads block in place, does not keep it, allocates nothing and may run on any goroutine. It panics if block is
// empty or longer than GroupSize, or if no medium has such a group.
func Sum(block []byte, group int64) Value {
	if len(block) == 0 || len(block) > GroupSize || group < 0 || group >= maxGroups {
		panic(fmt.Sprintf("hashtree: sum of %d bytes as group %d", len(block), group))
	}
	return toValue(guts.ChainingValue(groupNode(block, uint64(group)*chunksPerGroup)))
}

// Root returns the BLAKE3 of a medium of at most GroupSize bytes, which may be empty. It panics if block is longer.
func Root(block []byte) Value {
	if len(block) > GroupSize {
		panic(fmt.Sprintf("hashtree: %d bytes are more than one group", len(block)))
	}
	return rootValue(groupNode(block, 0))
}

// groupNode returns the last node of a group, not yet compressed, so that the caller can still make it the root.
// It stays on one goroutine, unlike guts.CompressEigentree: the parallel work is in the groups.
func groupNode(p []byte, chunk uint64) guts.Node {
	if len(p) <= batchSize {
		return batchNode(p, chunk)
	}
	var f fold
	for ; len(p) > batchSize; p = p[batchSize:] {
		f.push(guts.ChainingValue(batchNode(p[:batchSize], chunk)))
		chunk += guts.MaxSIMD
	}
	return f.close(guts.ChainingValue(batchNode(p, chunk)))
}

// batchNode is groupNode for at most batchSize bytes. Only a short batch is copied, because guts reads a whole one.
func batchNode(p []byte, chunk uint64) guts.Node {
	if len(p) == batchSize {
		return guts.CompressBuffer((*[batchSize]byte)(p), batchSize, &guts.IV, chunk, 0)
	}
	var buf [batchSize]byte
	n := copy(buf[:], p)
	return guts.CompressBuffer(&buf, n, &guts.IV, chunk, 0)
}

// words is a chaining value as guts has it.
type words = [8]uint32

// fold joins chaining values of equally large subtrees, from left to right, into the BLAKE3 tree. The last subtree may
// be smaller. A parent is made only when a further value is known to follow, because the very last one may be the root.
type fold struct {
	stack [64]words
	depth int
	count uint64
}

// push adds a value that is not the last one.
func (f *fold) push(v words) {
	f.settle()
	f.stack[f.depth] = v
	f.depth++
	f.count++
}

// settle makes the parents that are complete: as many subtrees remain as the count has one bits.
func (f *fold) settle() {
	for f.depth > bits.OnesCount64(f.count) {
		f.depth--
		f.stack[f.depth-1] = guts.ChainingValue(f.parent(f.stack[f.depth-1], f.stack[f.depth]))
	}
}

// close adds the last value and returns the topmost parent. At least one value was pushed before.
func (f *fold) close(last words) guts.Node {
	f.settle()
	for f.depth > 1 {
		f.depth--
		last = guts.ChainingValue(f.parent(f.stack[f.depth], last))
	}
	return f.parent(f.stack[0], last)
}

func (*fold) parent(left, right words) guts.Node {
	return guts.ParentNode(left, right, &guts.IV, 0)
}

func rootValue(n guts.Node) Value {
	n.Flags |= guts.FlagRoot
	return toValue(guts.ChainingValue(n))
}

func toValue(w words) (v Value) {
	for i, x := range w {
		binary.LittleEndian.PutUint32(v[4*i:], x)
	}
	return v
}

// toWords takes the first 32 bytes of b.
func toWords(b []byte) (w words) {
	_ = b[31]
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return w
}
