package ewf

import (
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkRead reads a whole image of 64 MiB, half of it incompressible, in reads of 4 MiB.
func BenchmarkRead(b *testing.B) {
	data := medium(1 << 17)
	dir, first := ewfacquire(b, data, "-c", "fast")
	if _, err := os.Lstat(filepath.Join(dir, first)); err != nil {
		b.Fatal(err)
	}
	r := open(b, dir, first)
	p := make([]byte, 4<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		for off := int64(0); off < r.Size(); off += int64(len(p)) {
			if _, err := r.ReadAt(p, off); err != nil {
				b.Fatal(err)
			}
		}
	}
}
