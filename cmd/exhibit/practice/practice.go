// Package practice holds a medium to practise on: the image of a 24 MiB memory stick with a partition table, one
// FAT16 file system, a few invented files, and one deleted file that can be recovered (NOTES/_HURSDAY.TXT).
//
// Start with [Open]. The promise: what Open returns is, byte for byte, the image whose size and SHA-256 stand here, so
// that a demonstration can be checked against published values. make-medium.sh makes the image again from nothing.
package practice

import (
	"bytes"
	"compress/gzip"
	_ "embed" // for the image
	"fmt"
	"io"
)

// SizeBytes is the size of the medium.
const SizeBytes = 24 << 20

// SHA256 is the digest of the whole medium in lower-case hexadecimal.
const SHA256 = "0fa6a8d84e9bc2173989ae731139e682ba1c0a16471a6b9bb3afa97939990cb2"

//go:embed medium.img.gz
var compressed []byte

// Open returns a reader of the medium's SizeBytes bytes, from the first. The caller closes it.
func Open() (io.ReadCloser, error) {
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, fmt.Errorf("open the embedded practice medium: %w", err)
	}
	return r, nil
}
