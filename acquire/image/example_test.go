package image_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// An image that somebody named is found with its segments, opened, and read at any place. The format shows in its first bytes:
// an E01 is read with the same lines.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "exhibit-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir) //nolint:errcheck // an example
	root, err := durable.OpenRoot(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer root.Close()
	w, err := image.NewWriter(root, image.WriterOptions{Name: "7", SegmentBytes: image.MinSegment})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := w.Write(make([]byte, image.MinSegment+512)); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := w.Finish(); err != nil {
		fmt.Println(err)
		return
	}

	fsys := os.DirFS(filepath.Clean(dir))
	names, err := image.Find(fsys, "7.001")
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := image.Open(fsys, names)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	sector := make([]byte, 512)
	if _, err := r.ReadAt(sector, image.MinSegment); err != nil && !errors.Is(err, io.EOF) {
		fmt.Println(err)
		return
	}
	fmt.Println(names, r.Size(), "E01:", r.E01() != nil)
	// Output: [7.001 7.002] 1049088 E01: false
}
