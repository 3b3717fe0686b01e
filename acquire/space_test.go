package acquire

import (
	"errors"
	"math"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
)

// What fits is decided before the first byte, to the byte.
func TestCheckSpace(t *testing.T) {
	const fat = 1<<32 - 1
	need := func(size int64) int64 { return size + 64 + 32*max(1, (size+1<<20-1)>>20) + 16<<20 }
	for name, c := range map[string]struct {
		size, file int64 // of the medium, of its largest segment
		spaces     []space
		want       error
	}{
		"just fits":          {5 << 20, 5 << 20, []space{{device: 1, freeBytes: need(5 << 20)}}, nil},
		"one byte too few":   {5 << 20, 5 << 20, []space{{device: 1, freeBytes: need(5<<20) - 1}}, ErrSpace},
		"reserve for nobody": {-1, 0, []space{{device: 1, freeBytes: 16<<20 - 1}}, ErrSpace},
		"stream":             {-1, 0, []space{{device: 1, freeBytes: 16 << 20}}, nil},
		"two disks":          {9, 9, []space{{device: 1, freeBytes: need(9)}, {device: 2, freeBytes: need(9)}}, nil},
		"one disk twice":     {9, 9, []space{{device: 1, freeBytes: 2*need(9) - 1}, {device: 1, freeBytes: 2*need(9) - 1}}, ErrSpace},
		"second is full":     {9, 9, []space{{device: 1, freeBytes: need(9)}, {device: 2, freeBytes: 9}}, ErrSpace},
		"FAT":                {fat, fat, []space{{freeBytes: math.MaxInt64, fileBytes: fat}}, nil},
		"FAT, one more":      {fat + 1, fat + 1, []space{{freeBytes: math.MaxInt64, fileBytes: fat}}, ErrFileTooLarge},
		"FAT, cut":           {fat + 1, fat, []space{{freeBytes: math.MaxInt64, fileBytes: fat}}, nil},
		"endless medium":     {math.MaxInt64, 9, []space{{freeBytes: math.MaxInt64}}, ErrOptions},
	} {
		r := &run{size: c.size}
		for _, s := range c.spaces {
			r.dests = append(r.dests, &dest{space: s})
		}
		err := r.checkSpace(max(c.size, 0), c.file)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if h, ok := errors.AsType[*medium.HintError](err); errors.Is(c.want, ErrFileTooLarge) && (!ok || h.Hint() == "") {
			t.Errorf("%s: %v does not say what to type", name, err)
		}
	}
}
