package acquire_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

const testID = "20261123T081500Z-1a2b3c4d"

// options are those of a careful acquisition of exhibit 7/a.
func options(t testing.TB) acquire.Options {
	t.Helper()
	var openings record.Openings
	personal := func(path, value string) record.Personal {
		p, err := openings.Commit(rand.Reader, path, value)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	return acquire.Options{
		Exhibit: "7/a",
		ID:      testID,
		Reread:  true,
		Tool:    record.Tool{Name: "exhibit", Version: "test", Build: record.Unknown[record.Digest]("a test")},
		Host: record.Host{OS: "linux", Architecture: "amd64", Processors: 2,
			Kernel: record.Unknown[string]("a test")},
		Circumstances: record.Circumstances{
			CommandLine: personal("/circumstances/commandLine", "exhibit acquire"),
			MediumPath:  personal("/circumstances/mediumPath", "/dev/sdz"),
			Description: record.Unknown[record.Personal]("not given"),
			Examiner:    record.Known(personal("/circumstances/examiner", "A. Muster")),
			Host:        record.Unknown[record.Personal]("not given"),
			Despite:     record.Unknown[record.Personal]("not given"),
			Live:        record.Unknown[record.Personal]("not given"), WriteBlocker: record.Unknown[record.Personal]("not given"),
		},
		Openings: openings,
		Clock: func() record.Time {
			at := time.Date(2026, 11, 23, 8, 15, 0, 0, time.UTC)
			return record.NewTime(at, record.ClockSystem, record.Known(true))
		},
	}
}

// content is size bytes that do not repeat, the same for each size.
func content(size int) []byte {
	b := make([]byte, size)
	if _, err := mrand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)}).Read(b); err != nil {
		panic(err)
	}
	return b
}

func writeFile(t testing.TB, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func openMedium(t testing.TB, path string) *medium.Medium {
	t.Helper()
	m, err := medium.Open(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func destination(t testing.TB, dir string) acquire.Destination {
	t.Helper()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return acquire.Destination{Root: root, Dir: dir}
}

// checkFolder compares everything in an acquisition folder with the bytes of the medium, by other means than those
// that wrote it.
func checkFolder(t *testing.T, dir string, want []byte, a record.Acquisition) {
	t.Helper()
	wantDigests := digests(want)
	for _, d := range a.Digests {
		if i := slices.Index(wantDigests, d.Digest); d.Digest.Algorithm() == record.BLAKE3 && i != 0 || d.Digest.Algorithm() == record.SHA256 && i != 1 {
			t.Errorf("digest of the medium is %s, want one of %s", d.Digest, wantDigests)
		}
	}
	var media []byte
	names := []string{"unsigned.json"}
	for _, f := range a.Files {
		names = append(names, f.Name)
		b, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		if got := digests(b); !slices.Equal(f.Digests, got) || f.SizeBytes != int64(len(b)) {
			t.Errorf("%s: record says %d bytes, %v; the file has %d bytes, %v", f.Name, f.SizeBytes, f.Digests, len(b), got)
		}
		if f.Role == record.RoleImage {
			media = append(media, b...)
		}
		if f.Role == record.RoleTree {
			tree, err := hashtree.Open(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Errorf("tree: %v", err)
			} else if tree.Root().String() != wantDigests[0].Hex() || tree.Size() != int64(len(want)) {
				t.Errorf("tree has root %s of %d bytes, want %s of %d", tree.Root(), tree.Size(), wantDigests[0], len(want))
			}
		}
	}
	if a.Format == record.FormatE01 {
		media = decoded(t, dir, a)
	}
	if !bytes.Equal(media, want) {
		t.Errorf("the image of %d bytes is not the medium of %d bytes", len(media), len(want))
	}
	if a.Medium.SizeBytes != int64(len(want)) {
		t.Errorf("record says %d bytes, want %d", a.Medium.SizeBytes, len(want))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
		if info, err := e.Info(); err != nil || info.Mode() != 0o444 {
			t.Errorf("%s: mode %v, %v, want 0444", e.Name(), info.Mode(), err)
		}
	}
	if slices.Sort(names); !slices.Equal(got, names) {
		t.Errorf("the folder holds %q, want %q", got, names)
	}
}

// decoded is what an E01 holds.
func decoded(t *testing.T, dir string, a record.Acquisition) []byte {
	t.Helper()
	var names []string
	for _, f := range a.Files {
		if f.Role == record.RoleImage {
			names = append(names, f.Name)
		}
	}
	r, err := image.OpenE01(os.DirFS(dir), names)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// digests are BLAKE3 and SHA-256 as other code computes them.
func digests(b []byte) []record.Digest {
	return []record.Digest{record.BLAKE3Digest(blake3.Sum256(b)), record.SHA256Digest(sha256.Sum256(b))}
}

// memoryDir is t.TempDir in memory where there is such a place, for tests that are about something else than a disk.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "exhibit-acquire-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// partial is where an acquisition lies before it is sealed.
func partial(dir string) string { return filepath.Join(dir, testID+".partial") }

// attach makes a loop device of a file, past the page cache, until the test ends.
func attach(t testing.TB, file string, flags ...string) string {
	t.Helper()
	testtool.NeedRoot(t)
	testtool.Need(t, "losetup")
	dev := testtool.Run(t, "losetup", append(append([]string{"--find", "--show", "--direct-io=on"}, flags...), file)...)
	t.Cleanup(func() { testtool.Run(t, "losetup", "--detach", dev) })
	return dev
}

// mountLoop makes a file system of sizeBytes in a file and mounts it until the test ends.
func mountLoop(t testing.TB, sizeBytes int64, mkfs ...string) (dev, dir string) {
	t.Helper()
	testtool.NeedRoot(t)
	testtool.Need(t, mkfs[0], "mount", "umount")
	file := filepath.Join(t.TempDir(), "fs.img")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, sizeBytes); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, mkfs[0], append(mkfs[1:], file)...)
	dev = attach(t, file)
	return dev, mountAt(t, dev)
}

func mountAt(t testing.TB, dev string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	testtool.Run(t, "mount", append(flags, dev, dir)...)
	t.Cleanup(func() { testtool.Run(t, "umount", dir) })
	return dir
}

func mustNotExist(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("%s exists (%v), want nothing there", path, err)
	}
}

func mustBeEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "lost+found" {
			t.Errorf("%s holds %s, want nothing", dir, e.Name())
		}
	}
}
