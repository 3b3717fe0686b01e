package medium_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

const mib = 1 << 20

// e01 writes an image of data, in files of at most segment bytes, and returns the first one.
func e01(t *testing.T, data []byte, sector int, segment int64) string {
	t.Helper()
	dir := t.TempDir()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	w, err := ewf.NewWriter(root, ewf.WriterOptions{Name: "x", SizeBytes: int64(len(data)), SectorBytes: sector, SegmentBytes: segment, SetID: [16]byte{7}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ewf.NewCompressor(ewf.None, ewf.SectorsPerChunk*sector, 0)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(data); at += mib {
		chunks, err := c.Encode(data[at:min(at+mib, len(data))])
		if err == nil {
			err = w.Append(chunks)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish(ewf.Trailer{}); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "x.E01")
}

// The medium in an image is read as its file would be, in order and anywhere, also by a link to the first file.
func TestImage(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		data := content(3*mib + 3*sector)
		path := e01(t, data, sector, mib+mib/2)
		link := filepath.Join(t.TempDir(), "other name")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{path, link} {
			m := open(t, name, nil)
			got, err := blocks(m, mib)
			if !errors.Is(err, io.EOF) || !bytes.Equal(got, data) {
				t.Errorf("%s: got %d bytes, %v, want %d", name, len(got), err, len(data))
			}
			p := make([]byte, 5*sector)
			if n, err := m.ReadAt(p, int64(70*sector)); n != len(p) || err != nil || !bytes.Equal(p, data[70*sector:75*sector]) {
				t.Errorf("read at sector 70: %d, %v", n, err)
			}
			d := m.Describe()
			c, ok := d.Container.Get()
			if s, _ := d.LogicalSectorBytes.Get(); !ok || d.Kind != record.MediumImage || d.SizeBytes != int64(len(data)) || s != int64(sector) ||
				m.SectorBytes() != s || c.Segments != 3 || c.ChunkBytes != int64(64*sector) || m.WholeDisk() || m.PastCache() {
				t.Errorf("described as %+v", d)
			}
			if id, _ := c.SetID.Get(); id != "07"+strings.Repeat("00", 15) {
				t.Errorf("set identifier %q", id)
			}
			if err := m.CheckDestination(t.TempDir()); err != nil {
				t.Error(err)
			}
		}
	}
}

// AsFile gives the bytes of the file itself.
func TestImageAsFile(t *testing.T) {
	path := e01(t, content(mib), 512, 0)
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := medium.OpenWith(t.Context(), path, medium.Options{AsFile: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got, err := blocks(m, mib); !bytes.Equal(got, want) || !errors.Is(err, io.EOF) || m.Describe().Kind != record.MediumFile {
		t.Errorf("got %d bytes of a %s, %v, want %d", len(got), m.Describe().Kind, err, len(want))
	}
}

// A damaged chunk is a bad place of exactly its sectors, and what stands around it is read.
func TestImageDamaged(t *testing.T) {
	data := content(3 * mib)
	path := e01(t, data, 512, 0)
	const chunk = 64 * 512
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, data[40*chunk:41*chunk])+chunk/2] ^= 1
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	m := open(t, path, nil)
	var got []byte
	p := make([]byte, mib)
	for err == nil {
		var n int
		n, err = m.Read(p)
		got = append(got, p[:n]...)
	}
	bad, ok := errors.AsType[*medium.ReadError](err)
	if !ok || bad.Offset != 40*chunk || bad.SizeBytes != chunk || bad.Path != path || !bytes.Equal(got, data[:40*chunk]) {
		t.Errorf("after %d bytes: %v; want the chunk at byte %d", len(got), err, 40*chunk)
	}
	for _, c := range []struct{ off, n, badOff, badBytes int64 }{
		{39 * chunk, 3 * chunk, 40 * chunk, chunk}, {40 * chunk, 512, 40 * chunk, 512}, {41*chunk - 512, 1024, 41*chunk - 512, 512},
		{41 * chunk, chunk, 0, 0}, {39 * chunk, chunk, 0, 0},
	} {
		n, err := m.ReadAt(make([]byte, c.n), c.off)
		bad, ok := errors.AsType[*medium.ReadError](err)
		if c.badBytes == 0 && (err != nil || int64(n) != c.n) || c.badBytes > 0 && (!ok || bad.Offset != c.badOff || bad.SizeBytes != c.badBytes || n != 0) {
			t.Errorf("%d bytes at %d: %d, %v; want bad %d bytes at %d", c.n, c.off, n, err, c.badBytes, c.badOff)
		}
	}
	if err := m.StartAt(41 * chunk); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(m); err != nil || !bytes.Equal(rest, data[41*chunk:]) {
		t.Errorf("behind it: %d bytes, %v", len(rest), err)
	}
}

// An image that is written to, or goes away, while it is read is not read to its end.
func TestImageChanges(t *testing.T) {
	data := content(4 * mib)
	for name, c := range map[string]struct {
		do   func(first, second string) error
		want error
	}{
		"touched":  {func(_, second string) error { return os.Chtimes(second, time.Time{}, time.Unix(1, 0)) }, medium.ErrMediumChanged},
		"grown":    {func(first, _ string) error { return os.Truncate(first, 5*mib) }, medium.ErrMediumChanged},
		"removed":  {func(_, second string) error { return os.Remove(second) }, medium.ErrLost},
		"replaced": {func(first, second string) error { return os.Rename(first, second) }, medium.ErrLost},
	} {
		path := e01(t, data, 512, 2*mib)
		second := strings.TrimSuffix(path, "1") + "2"
		if err := errors.Join(os.Chmod(path, 0o600), os.Chmod(second, 0o600)); err != nil {
			t.Fatal(err)
		}
		m := open(t, path, nil)
		if _, err := io.ReadFull(m, make([]byte, mib)); err != nil {
			t.Fatal(err)
		}
		if err := c.do(path, second); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(m); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if _, err := m.ReadAt(make([]byte, 512), 0); !errors.Is(err, c.want) {
			t.Errorf("%s: the next read gives %v, want %v", name, err, c.want)
		}
	}
}

// What is no E01 that can be read is refused, by its name where it is known, with a way out; none of it is taken for a plain
// file by mistake.
func TestImageRefused(t *testing.T) {
	whole, err := os.ReadFile(e01(t, content(mib), 512, 0))
	if err != nil {
		t.Fatal(err)
	}
	segments := e01(t, content(3*mib), 512, mib+mib/2)
	for name, c := range map[string]struct {
		path string
		b    []byte
		say  string
	}{
		"Ex01":           {"a.Ex01", []byte("EVF2\r\n\x81\x00"), "Ex01"},
		"L01":            {"a.L01", []byte("LVF\x09\x0d\x0a\xff\x00"), "L01"},
		"Lx01":           {"a.Lx01", []byte("LEF2\r\n\x81\x00"), "Lx01"},
		"encrypted":      {"a.E01", append([]byte("ADCRYPT\x00"), make([]byte, 600)...), "decrypt it first"},
		"cut off":        {"a.E01", whole[:len(whole)/2], "structure of the image is damaged"},
		"signature only": {"a.E01", whole[:8], "signature"},
		"second segment": {strings.TrimSuffix(segments, "1") + "2", nil, "is not the first one"},
	} {
		path := c.path
		if c.b != nil {
			path = filepath.Join(t.TempDir(), c.path)
			if err := os.WriteFile(path, c.b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := medium.Open(t.Context(), path, nil)
		hint, ok := errors.AsType[*medium.HintError](err)
		if !ok || !strings.Contains(hint.Hint(), "--as-file") || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: got %v (%T), want %q and a hint", name, err, err, c.say)
		}
		m, err := medium.OpenWith(t.Context(), path, medium.Options{AsFile: true})
		if err != nil {
			t.Errorf("%s as a file: %v", name, err)
			continue
		}
		m.Close()
	}
}
