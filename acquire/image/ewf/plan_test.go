package ewf_test

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
)

const (
	gib = int64(1) << 30
	tib = int64(1) << 40
)

func TestNewPlan(t *testing.T) {
	for _, c := range []struct {
		size         int64
		sector       int
		segment, max int64
		want         int64 // bytes of a segment
		segments     int   // at most so many, and at least half of them
	}{
		{512, 512, 0, 0, ewf.DefaultSegmentBytes, 2},
		{1 * tib, 512, 0, 0, ewf.DefaultSegmentBytes, 528},
		{1 * tib, 4096, 0, 0, ewf.DefaultSegmentBytes, 528},
		{20 * tib, 512, 0, 0, ewf.DefaultSegmentBytes, 10520},
		{100 * tib, 512, 0, 0, 0, ewf.MaxSegments}, // more than the default
		{1 * tib, 512, 100 << 20, 0, 100 << 20, 10520},
		{1 * tib, 512, 0, 1 * gib, 1 * gib, 1030},
		{1 << 20, 512, 5 * tib, 4 * gib, 4 * gib, 2}, // no file becomes so large
	} {
		p, err := ewf.NewPlan(c.size, c.sector, c.segment, c.max)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if c.want != 0 && p.SegmentBytes != c.want || c.want == 0 && p.SegmentBytes <= ewf.DefaultSegmentBytes {
			t.Errorf("%+v: segments of %d bytes", c, p.SegmentBytes)
		}
		if p.Segments > c.segments || p.Segments < c.segments/2 {
			t.Errorf("%+v: %d segments", c, p.Segments)
		}
		if float64(p.MaxBytes) > float64(c.size)*1.01+1e6 || p.MaxBytes < c.size {
			t.Errorf("%+v: %d bytes", c, p.MaxBytes)
		}
	}
}

func TestNewPlanRefuses(t *testing.T) {
	for _, c := range []struct {
		size         int64
		sector       int
		segment, max int64
		want         error
	}{
		{0, 512, 0, 0, ewf.ErrValue}, {-512, 512, 0, 0, ewf.ErrValue}, {513, 512, 0, 0, ewf.ErrValue}, {math.MaxInt64, 512, 0, 0, ewf.ErrValue},
		{math.MaxInt64 - 511, 512, 0, 0, ewf.ErrValue}, {5200, 520, 0, 0, ewf.ErrValue}, {256, 256, 0, 0, ewf.ErrValue},
		{8192, 8192, 0, 0, ewf.ErrValue}, {512, 0, 0, 0, ewf.ErrValue}, {512, -512, 0, 0, ewf.ErrValue},
		{128*tib + 512, 512, 0, 0, ewf.ErrValue}, // 2^32 chunks and one
		{tib, 512, 1, 0, ewf.ErrSegments}, {tib, 512, -1, 0, ewf.ErrSegments}, {tib, 512, 64 << 20, 0, ewf.ErrSegments},
		{tib, 512, 0, 50 << 20, ewf.ErrFileTooLarge}, {tib, 512, gib, gib - 1, ewf.ErrFileTooLarge},
		{100 * tib, 512, 0, 4 * gib, ewf.ErrFileTooLarge},
	} {
		if p, err := ewf.NewPlan(c.size, c.sector, c.segment, c.max); !errors.Is(err, c.want) || p != (ewf.Plan{}) {
			t.Errorf("%+v: %+v, %v; want %v", c, p, err, c.want)
		}
	}
}

// What a refusal says is enough is enough, and little less is not.
func TestNewPlanSaysTheLeast(t *testing.T) {
	for _, size := range []int64{100 * gib, tib, 127 * tib} {
		_, err := ewf.NewPlan(size, 512, ewf.MinSegmentBytes, 0)
		m := regexp.MustCompile(`at least (\d+) bytes`).FindStringSubmatch(fmt.Sprint(err))
		if !errors.Is(err, ewf.ErrSegments) || m == nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		least, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ewf.NewPlan(size, 512, least, 0); err != nil {
			t.Error(err)
		}
		if _, err := ewf.NewPlan(size, 512, least-1<<16, 0); !errors.Is(err, ewf.ErrSegments) {
			t.Errorf("%d bytes in segments of %d and less: %v", size, least, err)
		}
	}
}

// An image is never larger than planned: nothing can be compressed, and it is flushed as often as the plan reckons with.
func TestPlanHolds(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		j := newJob(random(8, 7*mib+3*4096))
		j.opts.SectorBytes, j.opts.SegmentBytes, j.flush = sector, mib, mib
		p, err := ewf.NewPlan(j.opts.SizeBytes, sector, j.opts.SegmentBytes, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, res := j.write(t)
		total := int64(0)
		for _, s := range res.Segments {
			total += s.SizeBytes
			if s.SizeBytes > p.SegmentBytes {
				t.Errorf("%q has %d bytes", s.Name, s.SizeBytes)
			}
		}
		if total > p.MaxBytes || len(res.Segments) > p.Segments {
			t.Errorf("%d bytes in %d segments; planned were %+v", total, len(res.Segments), p)
		}
	}
}
