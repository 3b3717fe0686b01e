package ewf_test

import (
	"crypto/md5"
	"fmt"
	"log"
	"os"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// A medium of 3 MiB becomes one segment file. Real media come block by block, and the set's identifier is drawn anew.
func ExampleNewWriter() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer root.Close()

	medium := make([]byte, 3<<20)
	compressor, err := ewf.NewCompressor(ewf.Fast, ewf.SectorsPerChunk*512, 0)
	if err != nil {
		log.Fatal(err)
	}
	w, err := ewf.NewWriter(root, ewf.WriterOptions{
		Name: "stick", SizeBytes: int64(len(medium)), SectorBytes: 512, Level: ewf.Fast, SetID: [16]byte{1},
		Header: ewf.Header{Case: "2026-0001", Evidence: "7", Examiner: "Ada Beispiel"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = w.Abort() }() // after Finish it does nothing
	chunks, err := compressor.Encode(medium)
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Append(chunks); err != nil {
		log.Fatal(err)
	}
	sum := md5.Sum(medium)
	result, err := w.Finish(ewf.Trailer{MD5: sum[:]})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(result.Segments), result.Segments[0].Name, result.Segments[0].SizeBytes < 20_000)
	// Output: 1 stick.E01 true
}
