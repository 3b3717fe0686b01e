package verify

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// e01Of is an E01 of data that lists these sectors as unread.
func e01Of(t *testing.T, data []byte, unread []ewf.Range) []byte {
	t.Helper()
	dir := t.TempDir()
	root := must(durable.OpenRoot(dir))
	defer root.Close()
	w := must(ewf.NewWriter(root, ewf.WriterOptions{Name: "x", SizeBytes: int64(len(data)), SectorBytes: 512, SetID: [16]byte{7}}))
	c := must(ewf.NewCompressor(ewf.Fast, ewf.SectorsPerChunk*512, 0))
	if err := w.Append(must(c.Encode(data))); err != nil {
		t.Fatal(err)
	}
	must(w.Finish(ewf.Trailer{Unread: unread}))
	return must(os.ReadFile(filepath.Join(dir, "x.E01")))
}

// unreadE01 makes an acquisition into an E01 that lists listed, with a map that calls the ranges of bad unread; no bad: none.
func unreadE01(t *testing.T, data []byte, bad []image.Range, listed []ewf.Range) forgedImage {
	t.Helper()
	m := newImage("7", idA, data, 0)
	a := &m.acq
	delete(m.files, "7.raw")
	file := func(name, role string, b []byte) record.File {
		m.files[name] = b
		return record.File{Name: name, Role: role, SizeBytes: int64(len(b)), Digests: digests(b)}
	}
	a.Format, a.Mode, a.Options.OnError = record.FormatE01, record.ModeSequential, record.OnErrorInPlace
	a.Files[0] = file("7.E01", record.RoleImage, e01Of(t, data, listed))
	if bad != nil {
		given := must(image.NewMap(int64(len(data)), image.MapLimits{}))
		must(0, given.Set(0, int64(len(data)), image.Finished))
		for _, b := range bad {
			must(0, given.Set(b.Offset, b.SizeBytes, image.Bad))
		}
		var text bytes.Buffer
		must(0, given.Encode(&text, nil))
		total := given.Total(image.Bad)
		a.Mode, a.Unread = record.ModeInPlace, record.Unread{Bytes: total.SizeBytes, Ranges: int64(total.Ranges)}
		a.Files = slices.Insert(a.Files, 2, file("7.map", record.RoleMap, text.Bytes()))
	}
	for i, f := range a.Files {
		if f.Role == record.RoleSums {
			alg := map[string]record.Algorithm{layout.SHA256Sums: record.SHA256, layout.B3Sums: record.BLAKE3}[f.Name]
			a.Files[i] = file(f.Name, f.Role, record.Sums(a.Files, alg))
		}
	}
	return m
}

// What an E01 lists as unread is what the map and the signed record have, or it is damage with its place, though every digest
// is right: the station itself signed it so.
func TestE01UnreadIsThatOfTheRecord(t *testing.T) {
	data := pattern(64*512, 5)
	clear(data[10*512 : 14*512])
	clear(data[63*512:])
	sectors := func(first, n int64) image.Range { return image.Range{Offset: first * 512, SizeBytes: n * 512} }
	bad := []image.Range{sectors(10, 4), sectors(63, 1)}
	for name, c := range map[string]struct {
		bad    []image.Range
		listed []ewf.Range
		says   []string // nothing: it holds
	}{
		"the same":               {bad, []ewf.Range{{FirstSector: 10, Sectors: 4}, {FirstSector: 63, Sectors: 1}}, nil},
		"the same, cut in two":   {bad, []ewf.Range{{FirstSector: 10, Sectors: 1}, {FirstSector: 11, Sectors: 3}, {FirstSector: 63, Sectors: 1}}, nil},
		"none, and none":         {nil, nil, nil},
		"none is listed":         {bad, nil, []string{"does not list as unread", "bytes 5120 to 7167", "bytes 32256 to 32767"}},
		"one is not listed":      {bad, []ewf.Range{{FirstSector: 10, Sectors: 4}}, []string{"does not list as unread", "bytes 32256 to 32767"}},
		"the first is not":       {bad, []ewf.Range{{FirstSector: 63, Sectors: 1}}, []string{"does not list as unread", "bytes 5120 to 7167"}},
		"a part is not":          {bad, []ewf.Range{{FirstSector: 10, Sectors: 1}, {FirstSector: 12, Sectors: 1}, {FirstSector: 63, Sectors: 1}}, []string{"bytes 5632 to 6143", "bytes 6656 to 7167"}},
		"one too many":           {bad, []ewf.Range{{FirstSector: 10, Sectors: 4}, {FirstSector: 20, Sectors: 2}, {FirstSector: 63, Sectors: 1}}, []string{"lists as unread what", "bytes 10240 to 11263"}},
		"shifted by one":         {bad, []ewf.Range{{FirstSector: 11, Sectors: 4}, {FirstSector: 63, Sectors: 1}}, []string{"bytes 7168 to 7679", "bytes 5120 to 5631"}},
		"listed, and no map":     {nil, []ewf.Range{{FirstSector: 3, Sectors: 2}}, []string{"lists as unread what", "bytes 1536 to 2559"}},
		"everything, and no map": {nil, []ewf.Range{{FirstSector: 0, Sectors: 64}}, []string{"bytes 0 to 32767"}},
	} {
		f, files := sealedImage(t, unreadE01(t, data, c.bad, c.listed))
		code, status := ExitVerified, Verified
		if c.says != nil {
			code, status = ExitMismatch, Failed
		}
		r := check(t, files.fs(""), "", f.policy(), code)
		text := show(r)
		if r.Lines[0].Status != status {
			t.Errorf("%s: line 1 is %s:\n%s", name, r.Lines[0].Status, text)
		}
		for _, s := range c.says {
			if !strings.Contains(text, s) || !strings.Contains(text, "7.E01: the image ") {
				t.Errorf("%s: the report does not say %q:\n%s", name, s, text)
			}
		}
		if n := strings.Count(text, "(acquisition.unread)"); c.says == nil && n != 0 {
			t.Errorf("%s: %d findings:\n%s", name, n, text)
		}
	}
	// Without the map it cannot be compared, which is no contradiction.
	f, files := sealedImage(t, unreadE01(t, data, bad, nil))
	delete(files, "7.map")
	if text := show(check(t, files.fs(""), "", f.policy(), ExitUnknown)); !strings.Contains(text, "could not be compared, as there is no map that holds") {
		t.Errorf("nothing about the list:\n%s", text)
	}
}

// What cannot stand in the list need not, and what lies beyond a list that is full; and many differences are counted.
func TestE01UnreadThatCannotBeListed(t *testing.T) {
	const size, sector = 8 << 40, 512
	given := must(image.NewMap(size, image.MapLimits{}))
	must(0, given.Set(0, size, image.Finished))
	must(0, given.Set((1<<32-1)*sector, 2*sector, image.Bad)) // begins before the bound
	must(0, given.Set((1<<32+9)*sector, sector, image.Bad))
	run := func(listed []ewf.Range, m *image.Map) *unreadDiffers {
		d := &unreadDiffers{c: &files{a: &record.Image{SizeBytes: size}}, listed: listed, sector: sector}
		d.tooMany(m)
		d.tooFew(m)
		d.finish()
		return d
	}
	for _, n := range []int64{1, 2} { // as one entry, or the part of it that has one
		if d := run([]ewf.Range{{FirstSector: 1<<32 - 1, Sectors: n}}, given); d.count != 0 || d.omitted != 1 || d.c.line.worst != Note {
			t.Errorf("%d sectors listed: %d differences, %d omitted", n, d.count, d.omitted)
		}
	}
	if d := run(nil, given); d.count != 1 || d.c.line.worst != Mismatch {
		t.Errorf("nothing listed: %d differences", d.count)
	}
	many := must(image.NewMap(size, image.MapLimits{}))
	must(0, many.Set(0, size, image.Finished))
	var listed []ewf.Range
	for i := range int64(fullList + 500) {
		must(0, many.Set(i*2*sector, sector, image.Bad))
		listed = append(listed, ewf.Range{FirstSector: 2 * i, Sectors: 1})
	}
	if d := run(listed[:fullList], many); d.count != 0 || d.omitted != 500 {
		t.Errorf("a full list: %d differences, %d omitted", d.count, d.omitted)
	}
	if d := run(listed[:fullList-1], many); d.count != 501 || d.omitted != 0 || !strings.Contains(fmt.Sprint(d.c.line.findings), "and 401 more places") {
		t.Errorf("a list with room: %d differences, %d omitted", d.count, d.omitted)
	}
	if d := run(slices.Delete(slices.Clone(listed), 7, 8), many); d.count != 1 {
		t.Errorf("one of a full list is gone: %d differences", d.count)
	}
}
