package vectors

import "golang.org/x/sys/cpu"

// Clean clears the upper halves of the calling thread's vector registers, where there are any. It costs a few
// nanoseconds. Call it before each long piece of SHA-256 in a process that also computes BLAKE3.
func Clean() {
	if cpu.X86.HasAVX {
		zeroUpper()
	}
}

// zeroUpper is VZEROUPPER, which a processor without AVX does not know.
func zeroUpper()
