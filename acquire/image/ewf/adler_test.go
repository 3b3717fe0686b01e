package ewf

import (
	"bytes"
	std "hash/adler32"
	"math/rand/v2"
	"testing"
)

func TestAdler(t *testing.T) {
	random := make([]byte, 3<<20)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(random) // never fails, by its contract
	for _, p := range [][]byte{random, bytes.Repeat([]byte{0xff}, 3<<20), make([]byte, 3<<20)} {
		for _, n := range []int{0, 1, 7, 8, adlerBlock - 1, adlerBlock, adlerBlock + 1, 512, 32768, adlerPart, adlerPart + 5, len(p)} {
			if got, want := adler(p[:n]), std.Checksum(p[:n]); got != want {
				t.Errorf("%d bytes: got %#08x, want %#08x", n, got, want)
			}
		}
	}
}

func FuzzAdler(f *testing.F) {
	f.Add([]byte("EVF"), uint16(3))
	f.Add([]byte{0xff}, uint16(65535))
	f.Fuzz(func(t *testing.T, p []byte, repeat uint16) {
		p = bytes.Repeat(p, 1+int(repeat)%(1+65536/(1+len(p))))
		if got, want := adler(p), std.Checksum(p); got != want {
			t.Errorf("%d bytes: got %#08x, want %#08x", len(p), got, want)
		}
	})
}

func BenchmarkAdler(b *testing.B) {
	p := make([]byte, 32768)
	b.Run("std", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			std.Checksum(p)
		}
	})
	b.Run("here", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			adler(p)
		}
	})
}
