package ledger

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// archiveOf is the one file in which a log is handed over.
func archiveOf(l *Log) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	err := l.Export(nil, func(name string, data []byte) error {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	})
	if err := errors.Join(err, z.Close()); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// rewritten is an archive with its files changed one by one; a name that change makes empty is left out.
func rewritten(archive []byte, change func(name string, data []byte) (string, []byte)) []byte {
	in := must(zip.NewReader(bytes.NewReader(archive), int64(len(archive))))
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range in.File {
		name, data := change(f.Name, must(fs.ReadFile(in, f.Name)))
		if name != "" {
			must(must(z.Create(name)).Write(data))
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func openArchived(archive []byte) (*Log, *record.CaseOpened, record.LeafHash, error) {
	fsys, err := OpenArchive(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, nil, record.LeafHash{}, err
	}
	return OpenForeign(context.Background(), fsys)
}

// mismatches reports whether an error says that what was handed over is not what it should be: exit code 4 of the command.
func mismatches(err error) bool {
	for _, is := range []error{record.ErrMalformed, record.ErrOpening, sign.ErrSignature, durable.ErrNotRegular, durable.ErrTooLarge} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// Of what was handed over nothing may be gone, in another place, or otherwise than it was logged.
func TestArchiveRefused(t *testing.T) {
	w := sharedWorld()
	dir, root := create(t, w)
	w.append(t, root, "1", "2")
	w.append(t, root, "1")
	archive := archiveOf(w.open(t, dir))
	l, g, leaf, err := openArchived(archive)
	if err != nil || l.Size() != 4 || g.Origin != w.opened.Origin || leaf != must(l.Leaf(0)) {
		t.Fatalf("the archive as it was written: %v", err)
	}
	names, required := map[string]bool{}, 0
	rewritten(archive, func(name string, data []byte) (string, []byte) { names[name] = true; return name, data })
	for name := range names {
		other := rewritten(archive, func(n string, data []byte) (string, []byte) {
			if n == name {
				data = bytes.Clone(data)
				data[len(data)/2] ^= 1
			}
			return n, data
		})
		if l, g, leaf, err := openArchived(other); !mismatches(err) || l != nil || g != nil || leaf != (record.LeafHash{}) {
			t.Errorf("%s altered: %v", name, err)
		}
		less := rewritten(archive, func(n string, data []byte) (string, []byte) { return strings.TrimPrefix(n, name), data })
		free := strings.HasPrefix(name, layout.CheckpointsDir) || strings.HasSuffix(name, "personal.json") // may be withheld, or is not there of every size
		if _, _, _, err := openArchived(less); !free && !mismatches(err) {
			t.Errorf("%s gone: %v", name, err)
		} else if !free {
			required++
		}
	}
	if required < 6 {
		t.Errorf("only %d of the files in %v are required", required, names)
	}
	swapped := rewritten(archive, func(n string, data []byte) (string, []byte) {
		return strings.NewReplacer("/1.dsse", "/2.dsse", "/2.dsse", "/1.dsse", "/1.pers", "/2.pers", "/2.pers", "/1.pers").Replace(n), data
	})
	if _, _, _, err := openArchived(swapped); !mismatches(err) {
		t.Errorf("two entries change places: %v", err)
	}
	for n := range len(archive) / 97 {
		if _, _, _, err := openArchived(archive[:n*97]); !mismatches(err) {
			t.Fatalf("the first %d bytes: %v", n*97, err)
		}
	}
}

// hostile is an archive of layout.MaxHandedOver bytes that nobody has to write down: nothing but a list of nameless files.
type hostile struct{ header, end []byte }

func newHostile() *hostile {
	h := &hostile{header: make([]byte, 46), end: make([]byte, 22)}
	binary.LittleEndian.PutUint32(h.header, 0x02014b50)
	binary.LittleEndian.PutUint32(h.end, 0x06054b50)
	records := (layout.MaxHandedOver - 22) / 46
	binary.LittleEndian.PutUint16(h.end[8:], uint16(records&0xffff))
	binary.LittleEndian.PutUint16(h.end[10:], uint16(records&0xffff))
	binary.LittleEndian.PutUint32(h.end[12:], uint32(records*46))
	binary.LittleEndian.PutUint32(h.end[16:], uint32(layout.MaxHandedOver-22-records*46))
	return h
}

func (h *hostile) ReadAt(p []byte, off int64) (int, error) {
	const end = int64(layout.MaxHandedOver - 22)
	const begin = end - end/46*46
	for i := range p {
		switch at := off + int64(i); {
		case at >= layout.MaxHandedOver:
			return i, io.EOF
		case at >= end:
			p[i] = h.end[at-end]
		case at >= begin:
			p[i] = h.header[(at-begin)%46]
		}
	}
	return len(p), nil
}

// An archive with millions of names, or a name of thousands of folders, is refused before they are all in memory.
func TestArchiveBounds(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if fsys, err := OpenArchive(newHostile(), layout.MaxHandedOver); !errors.Is(err, record.ErrMalformed) || fsys != nil || !strings.Contains(err.Error(), "list of its files") {
		t.Errorf("millions of names: %v", err)
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 512<<20 {
		t.Errorf("to refuse it took %d MiB", (after.TotalAlloc-before.TotalAlloc)>>20)
	}
	if _, err := OpenArchive(newHostile(), layout.MaxHandedOver+1); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("an archive that is too large: %v", err)
	}
	for _, name := range []string{strings.Repeat("a/", layout.MaxArchived/2) + "a", strings.Repeat("a", layout.MaxArchived+1), "a/b/c/d/e/f/g/h"} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		must(z.Create(name))
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenArchive(bytes.NewReader(b.Bytes()), int64(b.Len())); !errors.Is(err, record.ErrMalformed) || !strings.Contains(err.Error(), "is called") {
			t.Errorf("a file called %.40q: %v", name, err)
		}
	}
}

// FuzzHandedOver alters one file of an archive, or takes any bytes for one. Nobody here has the keys, so what is accepted is the
// log or its beginning, and what is taken in of it is what was handed over.
func FuzzHandedOver(f *testing.F) {
	w := newWorld()
	dir, root := create(f, w)
	w.append(f, root, "1", "2")
	w.append(f, root, "1")
	own := w.open(f, dir)
	archive := archiveOf(own)
	files := len(must(zip.NewReader(bytes.NewReader(archive), int64(len(archive)))).File)
	for i := range files {
		f.Add([]byte(nil), uint16(i), uint32(40), byte(1))
	}
	f.Add(archive, uint16(0), uint32(0), byte(0))
	f.Add(archive[:len(archive)/2], uint16(0), uint32(0), byte(0))
	f.Add([]byte("PK\x05\x06"+strings.Repeat("\x00", 18)), uint16(0), uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, which uint16, at uint32, xor byte) {
		n := -1
		if b == nil {
			b = rewritten(archive, func(name string, data []byte) (string, []byte) {
				if n++; n == int(which)%files && len(data) > 0 {
					data = bytes.Clone(data)
					data[int(at)%len(data)] ^= xor
				}
				return name, data
			})
		}
		l, g, leaf, err := openArchived(b)
		if err != nil {
			if !mismatches(err) && !errors.Is(err, record.ErrNewer) || l != nil || g != nil || leaf != (record.LeafHash{}) {
				t.Errorf("an error that is none, or a value with it: %v, %v", l, err)
			}
			return
		}
		if n >= 0 { // of another process's archive, which the corpus may hold, only that it is taken in is known
			at, err := own.At(l.Size())
			if err != nil || at.Root() != l.Root() || leaf != must(own.Leaf(0)) {
				t.Errorf("accepted a log of %d entries that was never signed: %v", l.Size(), err)
			}
		}
		into := t.TempDir()
		if added, err := Import(context.Background(), openRoot(t, into), l, nil); err != nil || added != l.Size() {
			t.Fatalf("accepted, and then not taken in: %d, %v", added, err)
		}
		if got := must(os.ReadFile(filepath.Join(into, layout.Checkpoint))); !bytes.Equal(got, l.Checkpoint()) {
			t.Errorf("taken in was %q, want %q", got, l.Checkpoint())
		}
	})
}
