package ewf

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// What is replaced may be in the file already, or not yet, or partly.
func TestGatherPatch(t *testing.T) {
	dir := t.TempDir()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s, err := openSegment(root, "x", false)
	if err != nil {
		t.Fatal(err)
	}
	const room, descriptor = 1000, SectionBytes
	g := gather{p: make([]byte, 0, room)}
	var want []byte
	for i := range 2 * room { // the descriptor begins at each place of the buffer
		start := g.pos()
		if err := g.write(s, make([]byte, descriptor)); err != nil {
			t.Fatal(err)
		}
		content := bytes.Repeat([]byte{byte(i)}, 925+i%500)
		if err := g.write(s, content); err != nil {
			t.Fatal(err)
		}
		patch := bytes.Repeat([]byte{byte(i), 0xff}, descriptor/2)
		if err := g.patch(s, patch, start); err != nil {
			t.Fatal(err)
		}
		want = append(append(want, patch...), content...)
	}
	if err := g.flush(s); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) || s.SizeBytes != int64(len(want)) {
		t.Errorf("%d bytes in the file, %d said, other ones than the %d that were written", len(got), s.SizeBytes, len(want))
	}
}
