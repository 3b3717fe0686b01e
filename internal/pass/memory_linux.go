package pass

import "golang.org/x/sys/unix"

// allocate returns zeroed, page-aligned memory outside Go's heap. Pages cost nothing until they are used.
func allocate(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
}

func release(memory []byte) error { return unix.Munmap(memory) }
