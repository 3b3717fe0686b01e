package vectors

import (
	"crypto/sha256"
	"runtime"
	"testing"
	_ "unsafe" // for go:linkname

	"golang.org/x/sys/cpu"
	"lukechampine.com/blake3/guts"
)

// compressChunksAVX512 is the first step of BLAKE3, which leaves the registers as they are.
//
//go:linkname compressChunksAVX512 lukechampine.com/blake3/guts.compressChunksAVX512
func compressChunksAVX512(cvs *[guts.MaxSIMD][8]uint32, buf *[guts.MaxSIMD * guts.ChunkSize]byte, key *[8]uint32, counter uint64, flags uint32)

// BenchmarkSHA256 is the trouble, and that Clean ends it: a thread after half of a BLAKE3, with and without Clean.
func BenchmarkSHA256(b *testing.B) {
	if !cpu.X86.HasAVX512F {
		b.Skip("this processor has no AVX-512")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer Clean()
	block := make([]byte, 1<<20)
	var buf [guts.MaxSIMD * guts.ChunkSize]byte
	var cvs [guts.MaxSIMD][8]uint32
	for name, clean := range map[string]func(){"as it was left": func() {}, "clean": Clean} {
		b.Run(name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.SetBytes(int64(len(block)))
			for b.Loop() {
				compressChunksAVX512(&cvs, &buf, &guts.IV, 0, 0)
				clean()
				sha256.Sum256(block)
			}
		})
	}
}
