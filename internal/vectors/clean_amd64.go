package vectors

import "golang.org/x/sys/cpu"

// Clean clears the upper halves of the calling thread's vector registers, where there are any. It costs a few nanoseconds.
// It belongs after wide code, and before long work that other goroutines' wide code may have shared a thread with: a
// goroutine can be moved between the two.
func Clean() {
	if cpu.X86.HasAVX {
		zeroUpper()
	}
}

// zeroUpper is VZEROUPPER, which a processor without AVX does not know.
func zeroUpper()
