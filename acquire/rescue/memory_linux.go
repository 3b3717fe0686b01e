package rescue

import "golang.org/x/sys/unix"

// allocate returns page-aligned memory outside Go's heap and stacks, which a direct read needs, and which may be left to
// a read that never comes back.
func allocate(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
}

func release(memory []byte) error { return unix.Munmap(memory) }
