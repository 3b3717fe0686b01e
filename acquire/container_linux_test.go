package acquire_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// chunkBytes is the chunk of the images here.
const chunkBytes = 64 * 512

// ownE01 makes an image of data with this program and returns its first file.
func ownE01(t *testing.T, data []byte, set func(*acquire.Options)) string {
	t.Helper()
	opts := e01Options(t)
	opts.Labels = ewf.Header{Case: "K-2026-17", Examiner: "A. Muster", Notes: "a\\b"}
	set(&opts)
	dir := memoryDir(t)
	acquireE01(t, writeFile(t, filepath.Join(t.TempDir(), "medium"), data), opts, dir)
	return filepath.Join(dir, opts.ID+".partial", "7%2Fa.E01")
}

// foreignE01 makes one with ewfacquire.
func foreignE01(t *testing.T, data []byte, args ...string) string {
	t.Helper()
	testtool.Need(t, "ewfacquire")
	dir := memoryDir(t)
	target := filepath.Join(dir, "image")
	testtool.Run(t, "ewfacquire", append(append([]string{"-u", "-q", "-t", target, "-C", "K-2026-18", "-e", "B. Beispiel"}, args...),
		writeFile(t, filepath.Join(t.TempDir(), "medium"), data))...)
	return target + ".E01"
}

// patch changes a file that may be read-only.
func patch(t *testing.T, path string, change func(b []byte)) {
	t.Helper()
	b := readFile(t, path)
	change(b)
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// container is what the record says of the image, which must be there.
func container(t *testing.T, a record.Acquisition) record.Container {
	t.Helper()
	c, ok := a.Medium.Container.Get()
	if !ok || a.Medium.Kind != record.MediumImage {
		t.Fatalf("the medium is %+v, want an image", a.Medium)
	}
	return c
}

func held(t *testing.T, f record.Fact[record.StoredDigest]) record.Fact[bool] {
	t.Helper()
	s, ok := f.Get()
	if !ok {
		t.Fatalf("the image states no digest: %s", f.Reason())
	}
	return s.Held
}

// The medium in an image is acquired as the medium itself would be, whoever made the image, and the record keeps what the
// image says.
func TestFromE01(t *testing.T) {
	data := compressible(5*mib + 3*512)
	for name, c := range map[string]struct {
		path     string
		segments int64
		words    string
	}{
		"ours":                  {ownE01(t, data, func(*acquire.Options) {}), 1, "examiner: A. Muster\nnotes: a\\\\b\n"},
		"ours, segments":        {ownE01(t, data, func(o *acquire.Options) { o.SegmentBytes = mib }), 3, "case number: K-2026-17\n"},
		"ours, stored":          {ownE01(t, data, func(o *acquire.Options) { o.Compression = record.CompressionNone }), 1, "evidence number: 7/a\n"},
		"ewfacquire":            {foreignE01(t, data, "-f", "encase6", "-c", "fast", "-d", "sha1"), 1, "case number: K-2026-18\n"},
		"ewfacquire, segments":  {foreignE01(t, data, "-f", "encase6", "-S", "1048576", "-c", "none", "-d", "sha1"), 6, "examiner: B. Beispiel\n"},
		"ewfacquire, ftk":       {foreignE01(t, data, "-f", "ftk", "-c", "best"), 1, "K-2026-18"},
		"ewfacquire, encase 1":  {foreignE01(t, data, "-f", "encase1", "-c", "none"), 1, "K-2026-18"},
		"ewfacquire, long ones": {foreignE01(t, data, "-f", "encase5", "-b", "4096"), 1, "K-2026-18"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := memoryDir(t)
			opts := options(t)
			opts.Extra = []record.Algorithm{record.SHA1}
			a := acquireE01(t, c.path, opts, dir).Acquisition
			checkFolder(t, partial(dir), data, a)
			got := container(t, a)
			if v, ok := held(t, got.MD5).Get(); !ok || !v || got.Broken() || got.Segments != c.segments || got.Unread != (record.ContainerUnread{}) {
				t.Errorf("the container is %+v; want the MD5 held, %d segments", got, c.segments)
			}
			if want := []record.Algorithm{record.MD5, record.SHA1}; !slices.Equal(a.Options.ExtraDigests, want) {
				t.Errorf("digests %v, want %v", a.Options.ExtraDigests, want)
			}
			un, err := acquire.ReadUnsigned(destination(t, partial(dir)).Root)
			if err != nil {
				t.Fatal(err)
			}
			if words, _ := un.Openings.Value("/acquisition/medium/container/header"); !strings.Contains(words, c.words) {
				t.Errorf("the words of the image are %q, want %q among them", words, c.words)
			}
			if text := string(readFile(t, partial(dir), "journal")); strings.Contains(text, "K-2026") || strings.Contains(text, "Muster") {
				t.Errorf("the journal has the words of the image: %s", text)
			}
		})
	}
}

// A chunk of which a byte is wrong is unread, all of it and nothing else, in every mode.
func TestFromDamagedE01(t *testing.T) {
	data := content(5*mib + 3*512) // stored as it is, so that its place in the file shows
	bad := []faultdisk.Range{{First: 0, Count: 64}, {First: 63 * 64, Count: 2 * 64}, {First: 160 * 64, Count: 3}}
	damaged := func(path string) string {
		b := readFile(t, path)
		for _, off := range []int{0, 63 * chunkBytes, 64 * chunkBytes, 160 * chunkBytes} {
			at := bytes.Index(b, data[off:off+512])
			if at < 0 {
				t.Fatalf("the chunk at byte %d is not in %s", off, path)
			}
			flip(t, path, int64(at)+17)
		}
		return path
	}
	want := slices.Clone(data)
	for _, r := range bad {
		clear(want[r.First*512 : (r.First+r.Count)*512])
	}
	for name, path := range map[string]string{
		"ours":       damaged(ownE01(t, data, func(o *acquire.Options) { o.Compression = record.CompressionNone })),
		"ewfacquire": damaged(foreignE01(t, data, "-f", "encase6", "-c", "none")),
	} {
		for format, onError := range map[string]string{record.FormatRaw: record.OnErrorRescue, record.FormatE01: record.OnErrorInPlace} {
			t.Run(name+" to "+format, func(t *testing.T) {
				dir := memoryDir(t)
				opts := options(t)
				opts.Format, opts.OnError, opts.StretchBytes, opts.Retries = format, onError, mib, 1
				a := acquireE01(t, path, opts, dir).Acquisition
				checkRescued(t, dir, a, want, bad)
				c := container(t, a)
				if _, known := held(t, c.MD5).Get(); known || c.Broken() || c.ChunkBytes != chunkBytes {
					t.Errorf("the container is %+v; whether its MD5 held cannot be known", c)
				}
				journal := string(readFile(t, partial(dir), "journal"))
				if format == record.FormatRaw && !strings.Contains(journal, `"offset":0,"sizeBytes":32768,"text":"error: damaged chunk: wrong checksum"`) {
					t.Errorf("the journal does not say what was damaged:\n%s", journal)
				}
				if strings.Contains(journal, filepath.Base(path)) {
					t.Errorf("the journal names the file:\n%s", journal)
				}
			})
		}
	}
}

// An image that states another digest than its bytes have is acquired, and the record says so.
func TestFromE01WrongDigest(t *testing.T) {
	data := compressible(mib)
	m, s := md5.Sum(data), sha1.Sum(data)
	path := ownE01(t, data, func(*acquire.Options) {})
	patch(t, path, func(b []byte) {
		patched := 0
		for at := range b {
			if !bytes.HasPrefix(b[at:], m[:]) {
				continue
			}
			if h, err := ewf.ParseHash(b[at : at+ewf.HashBytes]); err == nil {
				h.MD5[0] ^= 1
				copy(b[at:], h.Append(nil))
				patched++
			} else if d, err := ewf.ParseDigest(b[at : at+ewf.DigestBytes]); err == nil {
				d.MD5[0] ^= 1
				copy(b[at:], d.Append(nil))
				patched++
			}
		}
		if patched != 2 {
			t.Fatalf("patched %d digests, want 2", patched)
		}
	})
	dir := memoryDir(t)
	a := acquireE01(t, path, options(t), dir).Acquisition
	checkFolder(t, partial(dir), data, a)
	c := container(t, a)
	if v, known := held(t, c.MD5).Get(); !known || v || !c.Broken() {
		t.Errorf("the MD5 held: %t, %t, want known and false", v, known)
	}
	if v, known := held(t, c.SHA1).Get(); !known || !v {
		t.Errorf("the SHA-1 held: %t, %t, want known and true", v, known)
	}
	if st, _ := c.SHA1.Get(); st.Digest.Hex() != fmt.Sprintf("%x", s) {
		t.Errorf("the SHA-1 is %s, want %x", st.Digest, s)
	}
}

// What an image says its own medium did not give is counted, and not taken for unread.
func TestFromE01WithUnread(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib})
	bad := []faultdisk.Range{{First: 100, Count: 1}, {First: 3000, Count: 4}}
	disk.Bad(bad...)
	first := memoryDir(t)
	acquireE01(t, disk.Path(), e01Options(t), first)
	dir := memoryDir(t)
	a := acquireE01(t, filepath.Join(partial(first), "7%2Fa.E01"), options(t), dir).Acquisition
	checkFolder(t, partial(dir), truth(t, disk, bad), a)
	c := container(t, a)
	if c.Unread != (record.ContainerUnread{Bytes: 5 * 512, Ranges: 2}) || c.Broken() || a.Unread != (record.Unread{}) {
		t.Errorf("the container is %+v, unread %+v; want 2560 bytes in 2 ranges, nothing unread now", c, a.Unread)
	}
}

// A reading of an image that is killed goes on where it was, damage and all.
func TestFromE01Kill9(t *testing.T) {
	data := content(6*mib + 512)
	path := ownE01(t, data, func(o *acquire.Options) { o.SegmentBytes, o.Compression = 3*mib, record.CompressionNone })
	broken := foreignE01(t, data, "-f", "encase6", "-c", "none")
	flip(t, broken, int64(bytes.Index(readFile(t, broken), data[100*chunkBytes:100*chunkBytes+512])))
	bad := []faultdisk.Range{{First: 6400, Count: 64}}
	holed := slices.Clone(data)
	clear(holed[100*chunkBytes : 101*chunkBytes])
	for point := range 4 {
		t.Run(fmt.Sprint(point), func(t *testing.T) {
			j := job{Path: path, Dirs: []string{memoryDir(t)}, Stretch: mib}
			want, unread := data, []faultdisk.Range(nil)
			if point&1 != 0 {
				j.Path, want, unread = broken, holed, bad
			}
			if point&2 != 0 {
				j.Format = record.FormatE01
			}
			undisturbed := j
			undisturbed.Dirs = []string{memoryDir(t)}
			calls, _ := undisturbed.process(t)
			killTillDone(t, &j, rand.New(rand.NewPCG(5, uint64(point))), calls)
			checkJob(t, &j, want, unread)
		})
	}
}

// Another image, or the same one as a file, is not gone on with.
func TestFromE01Other(t *testing.T) {
	data := content(3 * mib)
	stored := func(o *acquire.Options) { o.Compression = record.CompressionNone }
	path := ownE01(t, data, stored)
	flip(t, path, int64(bytes.Index(readFile(t, path), data[2*mib:2*mib+512])))
	otherSet := ownE01(t, data, func(o *acquire.Options) { stored(o); o.ID = "20261123T081501Z-1a2b3c4d" })
	cut := ownE01(t, data, func(o *acquire.Options) { stored(o); o.SegmentBytes = mib })
	other := ownE01(t, content(3*mib-512), stored)
	plain := writeFile(t, filepath.Join(t.TempDir(), "plain"), data)
	j := job{Path: path, Dirs: []string{memoryDir(t)}, Stretch: mib, Stop: true}
	if _, err := j.step(t.Context()); err == nil {
		t.Fatal("no error at a damaged chunk")
	}
	for name, is := range map[string]string{"set": otherSet, "cut": cut, "size": other, "file": plain} {
		j.Path = is
		if _, err := j.step(t.Context()); !errors.Is(err, acquire.ErrOtherMedium) {
			t.Errorf("%s: got %v, want %v", name, err, acquire.ErrOtherMedium)
		}
	}
	j.Path = path
	if _, err := j.step(t.Context()); err != nil {
		t.Errorf("the same image: %v", err)
	}
}

// A raw image of a file that begins as an E01 does is looked at as what it is, also where it is none.
func TestE01AsFile(t *testing.T) {
	disk := compressible(mib)
	copy(disk[446:], []byte{0, 0, 2, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 100, 0, 0, 0}) // a partition of 100 sectors
	disk[510], disk[511] = 0x55, 0xaa
	own := readFile(t, ownE01(t, disk, func(*acquire.Options) {}))
	for name, data := range map[string][]byte{"whole": own, "torn": own[:len(own)/2]} {
		m, err := medium.OpenWith(t.Context(), writeFile(t, filepath.Join(t.TempDir(), "medium.E01"), data), medium.Options{AsFile: true})
		if err != nil {
			t.Fatal(err)
		}
		dir := memoryDir(t)
		a, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, options(t))
		if err := errors.Join(err, m.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkFolder(t, partial(dir), data, a.Acquisition)
		if c, known := a.Contents.Get(); !known || len(c.Partitions) != 0 {
			t.Errorf("%s: partitions %+v, known %t; want that the file has none", name, c.Partitions, known)
		}
	}
}
