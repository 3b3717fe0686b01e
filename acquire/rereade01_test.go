package acquire

import (
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// An image lists what fits into 32 bits, also for a run that goes on with reading it back and did not finish it itself; and
// one that lists anything else is refused.
func TestCompareUnread(t *testing.T) {
	root, err := durable.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	near, far := ewf.Range{FirstSector: 3, Sectors: 2}, int64(1<<32+5)
	w, err := ewf.NewWriter(root, ewf.WriterOptions{Name: "x", SizeBytes: 4096, SectorBytes: 512, SetID: [16]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append([]ewf.Chunk{{Data: append(make([]byte, 4096), 1, 0, 0, 0x10)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(ewf.Trailer{Unread: []ewf.Range{near}}); err != nil {
		t.Fatal(err)
	}
	segments, err := findE01(root, "x")
	if err != nil {
		t.Fatal(err)
	}
	r, err := ewf.Open(root.FS(), []string{segments[0].Name})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	at := func(first, n int64) image.Range {
		return image.Range{Offset: first * 512, SizeBytes: n * 512, Status: image.Bad}
	}
	for name, c := range map[string]struct {
		bad []image.Range
		ok  bool
	}{
		"listed":          {[]image.Range{at(3, 2)}, true},
		"one too far":     {[]image.Range{at(3, 2), at(far, 7)}, true},
		"one not listed":  {[]image.Range{at(3, 2), at(6, 1)}, false},
		"other, and far":  {[]image.Range{at(2, 2), at(far, 7)}, false},
		"none was unread": {nil, false},
	} {
		run := &run{}
		run.inPlace = &inPlace{r: run, bad: c.bad}
		cmp := &rereading{run: run, dest: &dest{segments: segments}}
		if err := cmp.compareE01(r); (err == nil) != c.ok {
			t.Errorf("%s: got %v, want it to be right: %t", name, err, c.ok)
		}
	}
}
