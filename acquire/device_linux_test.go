package acquire_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// filled is an image file with an ext4 that holds files; it is not mounted.
func filled(t *testing.T, sizeBytes int64) string {
	t.Helper()
	testtool.NeedRoot(t)
	testtool.Need(t, "mkfs.ext4", "mount", "umount")
	file := writeFile(t, filepath.Join(t.TempDir(), "medium.img"), nil)
	if err := os.Truncate(file, sizeBytes); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "mkfs.ext4", "-q", file)
	t.Run("fill", func(t *testing.T) { // unmounted when it ends, however it ends
		dir := mountAt(t, attach(t, file))
		for i := range 20 {
			writeFile(t, filepath.Join(dir, fmt.Sprintf("file%d", i)), content(50_000*i+i))
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return file
}

// The digests that sha256sum and b3sum give of the device, of the image and of the record are the same.
func TestDevice(t *testing.T) {
	paths := testtool.Need(t, "sha256sum", "b3sum")
	file := filled(t, 20*mib+512)
	dev := attach(t, file, "--read-only")
	before := testtool.Run(t, "sha256sum", file)
	for _, segment := range []int64{0, 7*mib + 3} {
		dir := t.TempDir()
		opts := options(t)
		opts.SegmentBytes = segment
		m := openMedium(t, dev)
		a, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		for i, alg := range []record.Algorithm{record.SHA256, record.BLAKE3} {
			device, _, _ := strings.Cut(testtool.Run(t, paths[i], dev), " ")
			image := testtool.Run(t, "sh", "-c", `cd "$1" && cat $(ls | grep -E '(raw|[0-9]{3})$') | "$2"`, "sh", partial(dir), paths[i])
			image, _, _ = strings.Cut(image, " ")
			if got := mediaDigest(a.Acquisition, alg); got != device || got != image {
				t.Errorf("%s: record %s, device %s, image %s", alg, got, device, image)
			}
		}
		if name, _ := a.Medium.Name.Get(); "/dev/"+name != dev || a.Medium.Kind != record.MediumDevice {
			t.Errorf("the record describes %s as %+v", dev, a.Medium)
		}
	}
	if after := testtool.Run(t, "sha256sum", file); after != before {
		t.Errorf("the medium was changed: %s, before %s", after, before)
	}
}

func mediaDigest(a record.Acquisition, alg record.Algorithm) string {
	for _, d := range a.Digests {
		if d.Digest.Algorithm() == alg {
			return d.Digest.Hex()
		}
	}
	return "none"
}

// What the record says of the re-read is what the file system does: tmpfs reads from memory, whatever one asks.
func TestRereadKind(t *testing.T) {
	testtool.NeedRoot(t)
	_, ext4 := mountLoop(t, 64*mib, "mkfs.ext4", "-q")
	loop, journal := mountLoop(t, 64*mib, "mkfs.ext4", "-q")
	testtool.Run(t, "umount", journal)
	testtool.Run(t, "mount", "-o", "data=journal", loop, journal) // ext4 takes O_DIRECT there, and does not heed it
	tmpfs := mountAt(t, "none", "-t", "tmpfs", "-o", "size=64m")
	lower, upper, work := t.TempDir(), t.TempDir(), ""
	work = filepath.Join(filepath.Dir(upper), "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	overlay := mountAt(t, "none", "-t", "overlay", "-o", "lowerdir="+lower+",upperdir="+upper+",workdir="+work)
	file := writeFile(t, filepath.Join(t.TempDir(), "m"), content(mib+17))
	for dir, want := range map[string][2]string{
		ext4: {record.RereadDirect, "ext4"}, journal: {record.RereadCacheDropped, "ext4"}, tmpfs: {record.RereadCached, "tmpfs"}, overlay: {record.RereadCached, "overlay"},
	} {
		a, err := acquire.Acquire(t.Context(), openMedium(t, file), []acquire.Destination{destination(t, dir)}, options(t))
		if err != nil {
			t.Fatal(err)
		}
		kind, _ := a.Destinations[0].FileSystem.Get()
		if a.Reread != (record.Reread{Kind: want[0], Matches: true}) || kind != want[1] {
			t.Errorf("on %s: re-read %+v, want %s on %s", kind, a.Reread, want[0], want[1])
		}
	}
	two := []acquire.Destination{destination(t, ext4), destination(t, tmpfs)}
	opts := options(t)
	opts.ID = "20261123T081501Z-1a2b3c4d"
	a, err := acquire.Acquire(t.Context(), openMedium(t, file), two, opts)
	if err != nil || a.Reread.Kind != record.RereadCached {
		t.Errorf("on both: %+v, %v, want the weaker of the two", a.Reread, err)
	}
}

// A medium that lies under the destination is refused before anything is written to it.
func TestSameDevice(t *testing.T) {
	file := filled(t, 32*mib)
	dir := mountAt(t, attach(t, file))
	if _, err := medium.Open(t.Context(), attachedTo(t, dir), nil); !errors.Is(err, medium.ErrInUse) {
		t.Errorf("the mounted device itself: %v, want ErrInUse", err)
	}
	m := openMedium(t, attach(t, file, "--read-only"))
	_, err := acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, options(t))
	if !errors.Is(err, acquire.ErrSameDevice) {
		t.Errorf("got %v, want ErrSameDevice", err)
	}
	mustNotExist(t, partial(dir))
}

// attachedTo is the device that is mounted at dir.
func attachedTo(t *testing.T, dir string) string {
	t.Helper()
	testtool.Need(t, "findmnt")
	return testtool.Run(t, "findmnt", "-n", "-o", "SOURCE", dir)
}

func TestNoSpaceBefore(t *testing.T) {
	testtool.NeedRoot(t)
	dir := mountAt(t, "none", "-t", "tmpfs", "-o", "size=40m")
	file := writeFile(t, filepath.Join(t.TempDir(), "m"), nil)
	if err := os.Truncate(file, 24*mib); err != nil { // fits, but not with the reserve
		t.Fatal(err)
	}
	_, err := acquire.Acquire(t.Context(), openMedium(t, file), []acquire.Destination{destination(t, dir)}, options(t))
	if !errors.Is(err, acquire.ErrSpace) {
		t.Errorf("got %v, want ErrSpace", err)
	}
	mustBeEmpty(t, dir)
	// Two destinations on one file system need twice the space.
	if err := os.Truncate(file, 8*mib); err != nil {
		t.Fatal(err)
	}
	var two []acquire.Destination
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		two = append(two, destination(t, filepath.Join(dir, name)))
	}
	if _, err := acquire.Acquire(t.Context(), openMedium(t, file), two[:1], options(t)); err != nil {
		t.Errorf("one destination: %v", err)
	}
	if err := os.RemoveAll(partial(two[0].Dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := acquire.Acquire(t.Context(), openMedium(t, file), two, options(t)); !errors.Is(err, acquire.ErrSpace) {
		t.Errorf("two destinations: got %v, want ErrSpace", err)
	}
}

// Somebody else fills the disk meanwhile; also a stream, whose size nobody knew.
func TestNoSpaceWhileWriting(t *testing.T) {
	testtool.NeedRoot(t)
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			var dir string
			if kind == "tmpfs" {
				dir = mountAt(t, "none", "-t", "tmpfs", "-o", "size=40m")
			} else {
				_, dir = mountLoop(t, 48*mib, "mkfs.ext4", "-q")
			}
			file := writeFile(t, filepath.Join(t.TempDir(), "m"), content(12*mib))
			opts := options(t)
			opts.Progress = &progress{at: map[string]func(){acquire.PhaseReading: func() { fillUp(t, dir) }}}
			_, err := acquire.Acquire(t.Context(), openMedium(t, file), []acquire.Destination{destination(t, dir)}, opts)
			checkStopped(t, err, dir, acquire.ErrSpace)
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("got %v, want ENOSPC in it", err)
			}
		})
	}
}

// fillUp leaves 4 MiB.
func fillUp(t *testing.T, dir string) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bfree)*st.Bsize-4*mib); err != nil {
		t.Fatal(err)
	}
}

// checkStopped requires the error, the folder's name in it, and a folder that nobody can take for a finished one.
func checkStopped(t *testing.T, err error, dir string, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	if !strings.Contains(err.Error(), partial(dir)) {
		t.Errorf("%v does not say where the rest is kept", err)
	}
	if _, err := os.Stat(partial(dir)); err != nil {
		t.Errorf("the folder is not kept: %v", err)
	}
	for _, name := range []string{"unsigned.json", "SHA256SUMS", "B3SUMS"} {
		mustNotExist(t, filepath.Join(partial(dir), name))
	}
	if err := acquire.Seal(destination(t, dir).Root, testID, sealed()); !errors.Is(err, acquire.ErrUnfinished) {
		t.Errorf("Seal: %v, want ErrUnfinished", err)
	}
}

// A file too large for FAT is refused at the start, with what to type; segments that fit are not.
func TestFileTooLarge(t *testing.T) {
	testtool.NeedRoot(t)
	testtool.Need(t, "mount", "umount", "mkfs.vfat")
	// mount loads the module where there is one.
	if out, err := exec.Command("mount", "-t", "vfat", "none", t.TempDir()).CombinedOutput(); strings.Contains(string(out), "unknown filesystem type") {
		t.Skipf("this kernel has no FAT (%v); TestCheckSpace tests the decision", err)
	}
	_, dir := mountLoop(t, 5<<30, "mkfs.vfat", "-F", "32")
	file := writeFile(t, filepath.Join(t.TempDir(), "m"), nil)
	if err := os.Truncate(file, 1<<32); err != nil {
		t.Fatal(err)
	}
	_, err := acquire.Acquire(t.Context(), openMedium(t, file), []acquire.Destination{destination(t, dir)}, options(t))
	if h, ok := errors.AsType[*medium.HintError](err); !errors.Is(err, acquire.ErrFileTooLarge) || !ok || !strings.Contains(h.Hint(), "--split 4000M") {
		t.Errorf("got %v, want ErrFileTooLarge with a hint", err)
	}
	mustBeEmpty(t, dir)
	if err := os.Truncate(file, 2*mib+17); err != nil {
		t.Fatal(err)
	}
	opts := options(t)
	opts.SegmentBytes = mib
	a, err := acquire.Acquire(t.Context(), openMedium(t, file), []acquire.Destination{destination(t, dir)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	if a.Reread.Kind != record.RereadDirect {
		t.Errorf("re-read is %s on FAT, want direct", a.Reread.Kind)
	}
	if err := acquire.Seal(destination(t, dir).Root, testID, sealed()); err != nil {
		t.Errorf("Seal on FAT: %v", err)
	}
}

// The kernel kills a process that writes past its own limit, so it is never reached.
func TestFileSizeLimit(t *testing.T) {
	if dir := os.Getenv("EXHIBIT_TEST_LIMITED"); dir != "" {
		limited(t, dir)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `ulimit -f 4096 && exec "$0" -test.run '^TestFileSizeLimit$' -test.v`, exe)
	cmd.Env = append(os.Environ(), "EXHIBIT_TEST_LIMITED="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("under ulimit: %v\n%s", err, out)
	}
}

// limited runs where a file may have 2 or 4 MiB, as the shell counts.
func limited(t *testing.T, dir string) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	zeros, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer zeros.Close()
	m, err := medium.Open(t.Context(), "-", zeros)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	_, err = acquire.Acquire(t.Context(), m, []acquire.Destination{destination(t, dir)}, options(t))
	checkStopped(t, err, dir, acquire.ErrFileTooLarge)
	if !strings.Contains(err.Error(), fmt.Sprint(limit.Cur)) {
		t.Errorf("%v does not name the limit %d", err, limit.Cur)
	}
}

// A bad place stops the acquisition: the error says where, and how to read around it in this format.
func TestReadError(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "medium.img"), content(8*mib))
	dev := attach(t, file, "--read-only")
	if err := os.Truncate(file, 5*mib); err != nil { // the device keeps its size and answers EIO from here on
		t.Fatal(err)
	}
	e01 := e01Options(t)
	e01.OnError = record.OnErrorStop
	for hint, opts := range map[string]acquire.Options{"--on-error rescue": options(t), "--on-error inplace": e01} {
		t.Run(hint, func(t *testing.T) {
			dir := t.TempDir()
			_, err := acquire.Acquire(t.Context(), openMedium(t, dev), []acquire.Destination{destination(t, dir)}, opts)
			checkStopped(t, err, dir, syscall.EIO)
			e, ok := errors.AsType[*acquire.ReadError](err)
			if !ok || e.Offset != 5*mib || !strings.Contains(err.Error(), "offset 5242880") {
				t.Errorf("got %v, want a ReadError at 5 MiB", err)
			}
			if h, ok := errors.AsType[*medium.HintError](err); !ok || !strings.Contains(h.Hint(), hint) {
				t.Errorf("%v does not hint at it", err)
			}
		})
	}
}

func TestMediumChanges(t *testing.T) {
	for name, size := range map[string]int64{"grows": 5 * mib, "shrinks": 3 * mib} {
		t.Run(name, func(t *testing.T) {
			file := writeFile(t, filepath.Join(t.TempDir(), "m"), content(4*mib))
			dir := t.TempDir()
			opts := options(t)
			opts.Progress = &progress{at: map[string]func(){acquire.PhaseReading: func() {
				if err := os.Truncate(file, size); err != nil {
					t.Error(err)
				}
			}}}
			_, err := acquire.Acquire(t.Context(), openMedium(t, file), []acquire.Destination{destination(t, dir)}, opts)
			checkStopped(t, err, dir, acquire.ErrMediumChanged)
		})
	}
}
