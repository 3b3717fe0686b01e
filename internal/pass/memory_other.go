//go:build !linux

package pass

import "unsafe"

// pageSize is the greatest page of the systems Go runs on: arm64 can have 64 KiB.
const pageSize = 64 << 10

// allocate returns zeroed, page-aligned memory.
func allocate(size int) ([]byte, error) {
	memory := make([]byte, size+pageSize)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))) & (pageSize - 1)
	return memory[skip : skip+size : skip+size], nil
}

// release leaves the memory to the garbage collector.
func release([]byte) error { return nil }
