package acquire_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// TestMapAlteredWhileRereading puts another map, of the same totals, into the folder while the image is read again.
func TestMapAlteredWhileRereading(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 8 * mib})
	disk.Bad(faultdisk.Range{First: 9000, Count: 8})
	dir := t.TempDir()
	opts := rescueOptions(t)
	done := false
	opts.Progress = &stopAt{phase: acquire.PhaseRereading, bytes: mib, stop: func() {
		if done {
			return
		}
		done = true
		maps, err := filepath.Glob(filepath.Join(partial(dir), "*.map"))
		if err != nil || len(maps) != 1 {
			t.Fatalf("maps %q, error %v, want one", maps, err)
		}
		const forged = "0x0 + 1\n0 0x500000 +\n0x500000 0x1000 -\n0x501000 0x2FF000 +\n"
		b, err := os.ReadFile(maps[0])
		if err != nil || !bytes.Contains(b, []byte("0x00001000  -")) {
			t.Fatalf("the map is %q, error %v, want one bad range of 4096 bytes", b, err)
		}
		if err := os.WriteFile(maps[0], []byte(forged), 0o600); err != nil {
			t.Fatal(err)
		}
	}}
	_, err := acquire.Acquire(t.Context(), openMedium(t, disk.Path()), []acquire.Destination{destination(t, dir)}, opts)
	if !errors.Is(err, acquire.ErrReread) {
		t.Errorf("error %v, want ErrReread", err)
	}
	mustNotExist(t, filepath.Join(partial(dir), "unsigned.json"))
}
