package ledger

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// The first lines of the files, but for their ends.
const (
	headsType = "exhibit-heads/v1"
	partType  = "exhibit-heads-part/v1"
)

const (
	// headParts is the number of files that the exhibits are spread over, so that an append reads and writes one of them.
	headParts = 1024
	// headsBytes is the size of the file of parts: its first line, the log's size, the checkpoint, the parts, the HMAC.
	headsBytes = len(headsType) + 1 + 8 + sha256.Size + headParts*sha256.Size + sha256.Size
	// maxPart bounds a part's file, in bytes.
	maxPart = 4 << 20
)

// head is an exhibit's events: their indexes, in order, and the leaf of the last.
type head struct {
	events  []int64
	exhibit string
	leaf    record.LeafHash
}

func (h head) number() int64 { return int64(len(h.events)) }

// sum is SHA-256 of a file; the zero value: there is none.
type sum [sha256.Size]byte

// headsFile says which parts belong to the log under that checkpoint.
type headsFile struct {
	checkpoint sum // of its bytes
	size       int64
	parts      [headParts]sum // a part without exhibits has no file
}

// partOf is the part that an exhibit belongs to. Numbers that people take for one another are in the same.
func partOf(exhibit string) int {
	h := sha256.Sum256([]byte(record.FoldExhibit(exhibit)))
	return int(binary.BigEndian.Uint16(h[:]) >> 6) // of 16 bits the first 10
}

// body cuts the first line off. That of a later version is record.ErrNewer.
func body(b []byte, want string) ([]byte, error) {
	if rest, ok := bytes.CutPrefix(b, []byte(want+"\n")); ok {
		return rest, nil
	}
	first, _, _ := bytes.Cut(b[:min(len(b), 64)], []byte("\n"))
	kind, _, _ := strings.Cut(want, "/")
	if version, ok := strings.CutPrefix(string(first), kind+"/"); ok && laterVersion.MatchString(version) {
		return nil, fmt.Errorf("version %.40q is %w", version, record.ErrNewer)
	}
	return nil, fmt.Errorf("%w: it does not begin with %q", record.ErrMalformed, want)
}

// parseHeads reads the file of parts and requires that the holder of the log key wrote it: whoever else can write into the
// folder could otherwise lead the next event to a number that is wrong for good.
//
//	heads = "exhibit-heads/v1" LF size checkpoint 1024part mac
//	size  = 8 bytes, the most significant first; checkpoint, part: SHA-256, or zeros for a part without exhibits
//	mac   = HMAC-SHA256 of all before it
func parseHeads(b []byte, key []byte) (headsFile, error) {
	fail := func(err error) (headsFile, error) { return headsFile{}, fmt.Errorf("heads: %w", err) }
	rest, err := body(b, headsType)
	if err != nil {
		return fail(err)
	}
	if len(b) != headsBytes {
		return fail(fmt.Errorf("%w: %d bytes, want %d", record.ErrMalformed, len(b), headsBytes))
	}
	end := headsBytes - sha256.Size
	if !hmac.Equal(authenticate(b[:end], key), b[end:]) {
		return fail(fmt.Errorf("%w: not written with the log key", record.ErrMalformed))
	}
	size := binary.BigEndian.Uint64(rest)
	if size < 1 || size > layout.MaxLogSize {
		return fail(fmt.Errorf("%w: a log of %d entries", record.ErrMalformed, size))
	}
	f := headsFile{size: int64(size)}
	rest = rest[8:]
	rest = rest[copy(f.checkpoint[:], rest):]
	for i := range f.parts {
		rest = rest[copy(f.parts[i][:], rest):]
	}
	return f, nil
}

// encode makes the file of parts.
func (f *headsFile) encode(key []byte) []byte {
	b := make([]byte, 0, headsBytes)
	b = append(b, headsType+"\n"...)
	b = binary.BigEndian.AppendUint64(b, uint64(f.size))
	b = append(b, f.checkpoint[:]...)
	for _, d := range f.parts {
		b = append(b, d[:]...)
	}
	return append(b, authenticate(b, key)...)
}

// authenticate returns the HMAC of b.
func authenticate(b, key []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return h.Sum(nil)
}

// parsePart reads part number i of the heads of a log of size entries.
//
//	part    = "exhibit-heads-part/v1" LF 1*head    ; sorted by exhibit
//	head    = number exhibit leaf number 1*number  ; bytes of exhibit, SHA-256, events, how far each is after the one before
//	number  = unsigned LEB128, in as few bytes as it needs; at least 1
func parsePart(b []byte, i int, size int64) (map[string]head, error) {
	fail := func(err error) (map[string]head, error) { return nil, fmt.Errorf("part %03x of heads: %w", i, err) }
	rest, err := body(b, partType)
	if err != nil {
		return fail(err)
	}
	if len(b) > maxPart || len(rest) == 0 {
		return fail(fmt.Errorf("%w: %d bytes", record.ErrMalformed, len(b)))
	}
	part, before := map[string]head{}, ""
	for r := (reader{b: rest}); len(r.b) > 0; {
		h := r.head(size)
		if r.failed {
			return fail(fmt.Errorf("%w: the exhibit after %q", record.ErrMalformed, before))
		}
		if err := record.CheckExhibit(h.exhibit); err != nil {
			return fail(err)
		}
		if partOf(h.exhibit) != i || before >= h.exhibit {
			return fail(fmt.Errorf("%w: exhibit %q is doubled, out of order or not of this part", record.ErrMalformed, h.exhibit))
		}
		part[h.exhibit], before = h, h.exhibit
	}
	return part, nil
}

// reader takes a part apart. After the first thing that is not as it must be, failed is set and nothing else counts.
type reader struct {
	b      []byte
	failed bool
}

// number reads a number from 1 to max.
func (r *reader) number(max int64) int64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v < 1 || max < 1 || v > uint64(max) || n > 1 && r.b[n-1] == 0 {
		r.failed = true
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}

// take reads n bytes.
func (r *reader) take(n int64) []byte {
	if r.failed || n > int64(len(r.b)) {
		r.failed = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// head reads an exhibit's; its events are of a log of size entries, and none is the genesis.
func (r *reader) head(size int64) head {
	var h head
	h.exhibit = string(r.take(r.number(int64(len(r.b)))))
	copy(h.leaf[:], r.take(sha256.Size))
	n := r.number(int64(len(r.b))) // an event has at least a byte
	if r.failed {
		return head{}
	}
	h.events = make([]int64, n)
	index := int64(0) // the genesis
	for k := range h.events {
		index += r.number(size - 1 - index)
		if r.failed {
			return head{}
		}
		h.events[k] = index
	}
	return h
}

// encodePart makes the file of a part, which has an exhibit at least.
func encodePart(part map[string]head) []byte {
	b := []byte(partType + "\n")
	for _, exhibit := range slices.Sorted(maps.Keys(part)) {
		h := part[exhibit]
		b = binary.AppendUvarint(b, uint64(len(exhibit)))
		b = append(b, exhibit...)
		b = append(b, h.leaf[:]...)
		b = binary.AppendUvarint(b, uint64(len(h.events)))
		before := int64(0)
		for _, index := range h.events {
			b = binary.AppendUvarint(b, uint64(index-before))
			before = index
		}
	}
	return b
}
