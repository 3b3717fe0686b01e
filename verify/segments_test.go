package verify

import (
	"testing"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// TestFileHashes holds the digests of files cut from a stream against blake3.Sum256, for sizes and cuts around a group.
func TestFileHashes(t *testing.T) {
	data := pattern(3*mib+100, 5)
	for _, sizes := range [][]int64{{0}, {0, 0, 10}, {1, 1023, mib - 1}, {mib, mib}, {mib + 1, 0, mib - 1}, {2*mib - 7, 14, mib + 93}, {3*mib + 100}} {
		for _, block := range []int{mib, 4096 + 1} {
			var parts []part
			total := 0
			for _, n := range sizes {
				parts = append(parts, part{File: record.File{SizeBytes: n}})
				total += int(n)
			}
			s := newSplitter(parts, newFileBLAKE3)
			for at := 0; at < total; at += block {
				must(s.Write(data[at:min(at+block, total)]))
			}
			sums, err := s.finish()
			if err != nil {
				t.Fatalf("sizes %v: %v", sizes, err)
			}
			at := int64(0)
			for i, n := range sizes {
				if want := blake3.Sum256(data[at : at+n]); sums[i] != want {
					t.Errorf("sizes %v in blocks of %d: file %d has %x, want %x", sizes, block, i, sums[i], want)
				}
				at += n
			}
			if _, err := s.Write([]byte{1}); err == nil {
				t.Errorf("sizes %v: a byte after the end is taken", sizes)
			}
		}
	}
	s := newSplitter([]part{{File: record.File{SizeBytes: 5}}}, newFileSHA256)
	must(s.Write([]byte("1234")))
	if sums, err := s.finish(); err == nil {
		t.Errorf("a short stream gives %x", sums)
	}
}
