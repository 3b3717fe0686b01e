package restore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/restore"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// loop attaches a file of ones until the test ends.
func loop(t *testing.T, size int, flags ...string) (device, file string) {
	t.Helper()
	testtool.NeedRoot(t)
	testtool.Need(t, "losetup")
	file = filepath.Join(t.TempDir(), "target.img")
	if err := os.WriteFile(file, bytes.Repeat([]byte{0xff}, size), 0o600); err != nil {
		t.Fatal(err)
	}
	device = testtool.Run(t, "losetup", append(append([]string{"--find", "--show", "--direct-io=on"}, flags...), file)...)
	t.Cleanup(func() { testtool.Run(t, "losetup", "--detach", device) })
	return device, file
}

func onto(t *testing.T, device string, img []byte, opts restore.Options) (restore.Result, error) {
	t.Helper()
	to, err := medium.OpenTarget(device)
	if err != nil {
		t.Fatal(err)
	}
	got, err := run(t, img, to, opts)
	if cerr := to.Close(); cerr != nil {
		t.Error(cerr)
	}
	return got, err
}

// A clone holds the image, as sha256sum reads it, and what is behind the image only if it was to be filled.
func TestDevice(t *testing.T) {
	testtool.Need(t, "sha256sum")
	img := content(3*mib + 512)
	for _, sector := range []string{"512", "4096"} {
		for _, fill := range []bool{false, true} {
			device, file := loop(t, 5*mib, "--sector-size", sector)
			got, err := onto(t, device, img, restore.Options{FillExcess: fill})
			if err != nil || !got.Whole() {
				t.Fatalf("sectors of %s: %+v, %v", sector, got, err)
			}
			sum, _, _ := strings.Cut(testtool.Run(t, "sh", "-c", `head -c "$1" "$2" | sha256sum`, "sh", "3146240", device), " ")
			if want := digests(img)[0]; sum != want.Hex() || !slices.Contains(got.Digests, want) {
				t.Errorf("sectors of %s: sha256sum says %s, the restore %v, want %s", sector, sum, got.Digests, want)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rest := bytes.Repeat([]byte{0xff}, len(b)-len(img))
			if fill {
				clear(rest)
			}
			if !bytes.Equal(b, append(slices.Clone(img), rest...)) {
				t.Errorf("sectors of %s, filled %t: the device holds something else", sector, fill)
			}
		}
	}
}

// A smaller device gets the beginning only if that is allowed.
func TestSmallerDevice(t *testing.T) {
	img := content(3 * mib)
	device, file := loop(t, 2*mib)
	if _, err := restore.NewPlan(int64(len(img)), 2*mib, restore.Options{}); !errors.Is(err, restore.ErrTooSmall) {
		t.Errorf("%v, want ErrTooSmall", err)
	}
	got, err := onto(t, device, img, restore.Options{Truncate: true})
	if err != nil || got.Whole() || got.Truncated != mib {
		t.Errorf("%+v, %v", got, err)
	}
	if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, img[:2*mib]) {
		t.Errorf("the device holds something else (%v)", err)
	}
}

// store is a file that a failing device keeps its bytes in.
func store(t *testing.T, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "store"))
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// Sectors that a real device does not take are just those that are listed; the rest is written, past the cache.
func TestStuckSectors(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		kept := store(t, 8*mib)
		d := faultdisk.New(t, faultdisk.Options{SizeBytes: 8 * mib, SectorBytes: sector, Store: kept})
		d.Stuck(faultdisk.Range{First: 1, Count: 1}, faultdisk.Range{First: 700, Count: 3}, faultdisk.Range{First: 8*mib/int64(sector) - 1, Count: 1})
		n := int64(sector)
		want := []restore.Range{{Offset: n, SizeBytes: n}, {Offset: 700 * n, SizeBytes: 3 * n}, {Offset: 8*mib - n, SizeBytes: n}}
		img := content(8 * mib)
		got, err := onto(t, d.Path(), img, restore.Options{})
		if err != nil || !slices.Equal(got.Unwritten, want) || !slices.Equal(got.Differing, want) || got.Written() {
			t.Errorf("sectors of %d: %+v, %v", sector, got, err)
		}
		for _, r := range want {
			clear(img[r.Offset:r.End()])
		}
		b := make([]byte, 8*mib)
		if _, err := kept.ReadAt(b, 0); err != nil || !bytes.Equal(b, img) {
			t.Errorf("sectors of %d: the device holds something else (%v)", sector, err)
		}
	}
}

// Sectors that take what is written, and cannot be read back, are listed.
func TestBlindSectors(t *testing.T) {
	d := faultdisk.New(t, faultdisk.Options{SizeBytes: 4 * mib, Store: store(t, 4*mib)})
	d.Bad(faultdisk.Range{First: 3000, Count: 2})
	got, err := onto(t, d.Path(), content(4*mib), restore.Options{})
	want := []restore.Range{{Offset: 3000 * 512, SizeBytes: 1024}}
	if err != nil || len(got.Unwritten) != 0 || !slices.Equal(got.Differing, want) || got.Written() {
		t.Errorf("%+v, %v", got, err)
	}
}

// A device that goes away ends the restore; a place of it is not called bad for that.
func TestUnpluggedTarget(t *testing.T) {
	d := faultdisk.New(t, faultdisk.Options{SizeBytes: 8 * mib, Store: store(t, 8*mib)})
	d.UnplugAt(5 * mib)
	got, err := onto(t, d.Path(), content(8*mib), restore.Options{})
	if !errors.Is(err, medium.ErrLost) || got.Finished || len(got.Unwritten) != 0 {
		t.Errorf("%+v, %v, want ErrLost", got, err)
	}
}
