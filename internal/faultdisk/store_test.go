//go:build linux

package faultdisk_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

// A Store keeps what is written, but for the sectors that are stuck, and every write is logged.
func TestStore(t *testing.T) {
	kept, err := os.Create(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if err := kept.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	d := faultdisk.New(t, faultdisk.Options{SizeBytes: 1 << 20, Store: kept})
	d.Stuck(faultdisk.Range{First: 9, Count: 1})
	f, err := os.OpenFile(d.Path(), os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page) //nolint:errcheck // of this test alone
	for i := range page {
		page[i] = 7
	}
	if _, err := f.WriteAt(page, 0); err != nil {
		t.Errorf("write sectors 0 to 7: %v", err)
	}
	if _, err := f.WriteAt(page, 4096); !errors.Is(err, unix.EIO) {
		t.Errorf("write sectors 8 to 15: %v, want EIO", err)
	}
	if _, err := f.WriteAt(page[:512], 4096); err != nil {
		t.Errorf("write sector 8: %v", err)
	}
	b := make([]byte, 2*4096)
	if _, err := kept.ReadAt(b, 0); err != nil || bytes.Count(b[:4608], []byte{7}) != 4608 || bytes.Count(b[4608:], []byte{0}) != 3584 {
		t.Errorf("the store holds something else (%v)", err)
	}
	if w := d.Writes(); len(w) != 3 || w[0].Err != 0 || w[1].Err != unix.EIO {
		t.Errorf("logged: %v", w)
	}
}
