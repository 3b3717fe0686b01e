package acquire_test

import (
	"errors"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/rescue"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// Where every group that was read has a bad place, the medium is still known again, and another one is refused.
func TestInPlaceOtherMedium(t *testing.T) {
	testtool.NeedRoot(t)
	bad := []faultdisk.Range{{First: 3, Count: 1}, {First: 2100, Count: 1}, {First: 4200, Count: 9}}
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 8 * mib, Seed: 1})
	disk.Bad(bad...)
	j := job{Path: disk.Path(), Dirs: []string{memoryDir(t)}, Stretch: mib, Format: record.FormatE01, MaxBad: 4 * 512}
	if _, err := j.step(t.Context()); !errors.Is(err, rescue.ErrTooManyBad) {
		t.Fatalf("got %v, want %v", err, rescue.ErrTooManyBad)
	}
	other := faultdisk.New(t, faultdisk.Options{SizeBytes: 8 * mib, Seed: 2})
	same := j.Path
	j.Path, j.MaxBad = other.Path(), 0
	if res, err := j.step(t.Context()); !errors.Is(err, acquire.ErrOtherMedium) {
		t.Fatalf("another medium: got %+v, %v, want %v", res.Interruptions, err, acquire.ErrOtherMedium)
	}
	j.Path = same
	if _, err := j.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkJob(t, &j, truth(t, disk, bad), bad)
}
