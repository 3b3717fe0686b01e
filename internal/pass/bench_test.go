package pass

import (
	"crypto/sha256"
	"hash"
	"io"
	"os"
	"path/filepath"
	"testing"
)

const benchSize = 512 << 20

// cachedFile is read over and over from the page cache. EXHIBIT_BENCH_DIR names a folder to make it in, /dev/shm for one.
func cachedFile(b *testing.B) *os.File {
	dir := os.Getenv("EXHIBIT_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	f, err := os.Create(filepath.Join(dir, "exhibit-bench-medium"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	})
	block := randomInput(BlockSize)
	for range benchSize / BlockSize {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	return f
}

func benchmark(b *testing.B, opts func() Options) {
	f := cachedFile(b)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		if _, err := Run(b.Context(), f, opts()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTree(b *testing.B) {
	benchmark(b, func() Options { return Options{Tree: nothing{}, Workers: 2} })
}

func BenchmarkTreeSHA256(b *testing.B) {
	benchmark(b, func() Options { return Options{Tree: nothing{}, Linear: []hash.Hash{sha256.New()}} })
}

// The sink is a file that is written over, so that page allocation is not measured again and again.
func BenchmarkTreeSHA256Sink(b *testing.B) {
	sink, err := os.Create(filepath.Join(b.TempDir(), "sink"))
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	benchmark(b, func() Options {
		if _, err := sink.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		return Options{Tree: nothing{}, Linear: []hash.Hash{sha256.New()}, Sinks: []io.Writer{sink}}
	})
}
