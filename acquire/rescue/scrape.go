package rescue

import (
	"github.com/exhibit-forensics/exhibit/acquire/image"
)

// trim reads each failed range from both edges up to a bad sector, or until nothing is left. An edge beside a bad sector
// counts as trimmed, so that a run that goes on does not eat into the range.
func (r *run) trim(image.MapState) error {
	r.begin(image.PhaseTrimming, 1, false)
	for position := int64(0); ; {
		part, ok := r.m.Next(position, image.NonTrimmed)
		if !ok {
			return nil
		}
		position = part.End()
		if err := r.trimRange(part.Offset, part.End()); err != nil {
			return err
		}
	}
}

func (r *run) trimRange(lo, hi int64) error {
	var err error
	r.backwards = false
	for bad := r.isBad(lo - 1); lo < hi && !bad; {
		lo, bad, err = r.firstBad(lo, min(hi, groupBegin(lo)+BlockBytes))
		if err != nil {
			return err
		}
	}
	r.backwards = true
	for bad := r.isBad(hi); lo < hi && !bad; {
		hi, bad, err = r.lastBad(max(lo, groupBegin(hi-1)), hi)
		if err != nil {
			return err
		}
	}
	if lo >= hi {
		return nil
	}
	return r.m.Set(lo, hi-lo, image.NonScraped)
}

func (r *run) isBad(at int64) bool {
	return at >= 0 && at < r.m.Size() && r.m.At(at).Status == image.Bad
}

// firstBad reads from the beginning of [lo, hi), which lies in one group, up to its first bad sector by halving what is
// in doubt. It returns where it stopped, behind the bad sector if there was one. What it did not reach is untouched.
func (r *run) firstBad(lo, hi int64) (next int64, bad bool, err error) {
	if !r.wholeGroup(lo, hi) && hi-lo > r.opts.SectorBytes {
		good, err := r.attempt(lo, hi, image.NonTrimmed)
		if good || err != nil {
			return hi, false, err
		}
	}
	for hi-lo > r.leaf() {
		mid := r.middle(lo, hi)
		good, err := r.attempt(lo, mid, image.NonTrimmed)
		if err != nil {
			return lo, false, err
		}
		switch {
		case good:
			lo = mid
		case mid-lo <= r.opts.SectorBytes:
			return mid, true, nil
		default:
			hi = mid
		}
	}
	for lo < hi {
		sector := min(lo+r.opts.SectorBytes, hi)
		good, err := r.attempt(lo, sector, image.Bad)
		lo = sector
		if !good || err != nil {
			return lo, true, err
		}
	}
	return lo, false, nil
}

// lastBad is firstBad from the other end.
func (r *run) lastBad(lo, hi int64) (next int64, bad bool, err error) {
	if !r.wholeGroup(lo, hi) && hi-lo > r.opts.SectorBytes {
		good, err := r.attempt(lo, hi, image.NonTrimmed)
		if good || err != nil {
			return lo, false, err
		}
	}
	for hi-lo > r.leaf() {
		mid := r.middle(lo, hi)
		good, err := r.attempt(mid, hi, image.NonTrimmed)
		if err != nil {
			return hi, false, err
		}
		switch {
		case good:
			hi = mid
		case hi-mid <= r.opts.SectorBytes:
			return mid, true, nil
		default:
			lo = mid
		}
	}
	for lo < hi {
		sector := r.lastSector(lo, hi)
		good, err := r.attempt(sector, hi, image.Bad)
		hi = sector
		if !good || err != nil {
			return hi, true, err
		}
	}
	return hi, false, nil
}

// scrape reads what trimming left, one group after another.
func (r *run) scrape(image.MapState) error {
	r.begin(image.PhaseScraping, 1, false)
	for position := int64(0); ; {
		part, ok := r.m.Next(position, image.NonScraped)
		if !ok {
			return nil
		}
		position = min(part.End(), groupBegin(part.Offset)+BlockBytes)
		if _, err := r.scrapeHalves(part.Offset, position, r.wholeGroup(part.Offset, position)); err != nil {
			return err
		}
	}
}

// scrapeHalves reads every sector of [lo, hi) that can be read and says whether all could. If it is known that something
// there is bad, it is not read as a whole.
func (r *run) scrapeHalves(lo, hi int64, known bool) (clean bool, err error) {
	if hi-lo <= r.opts.SectorBytes {
		return r.attempt(lo, hi, image.Bad)
	}
	if !known {
		good, err := r.attempt(lo, hi, image.NonScraped)
		if good || err != nil {
			return good, err
		}
	}
	if hi-lo <= r.leaf() {
		return r.scrapeSectors(lo, hi)
	}
	mid := r.middle(lo, hi)
	left, err := r.scrapeHalves(lo, mid, false)
	if err != nil {
		return false, err
	}
	right, err := r.scrapeHalves(mid, hi, left) // the whole is bad: if the left half is not, the right one is
	return left && right, err
}

func (r *run) scrapeSectors(lo, hi int64) (clean bool, err error) {
	clean = true
	for lo < hi {
		sector := min(lo+r.opts.SectorBytes, hi)
		good, err := r.attempt(lo, sector, image.Bad)
		if err != nil {
			return false, err
		}
		clean = clean && good
		lo = sector
	}
	return clean, nil
}

// wholeGroup says whether [lo, hi) is a whole group. If it has failed it was read as one, and need not be again.
func (r *run) wholeGroup(lo, hi int64) bool {
	return lo%BlockBytes == 0 && (hi == lo+BlockBytes || hi == r.m.Size())
}

// leaf is the most that is read sector by sector.
func (r *run) leaf() int64 { return max(leafBytes, r.opts.SectorBytes) }

// middle is the border of a leaf near the middle of [lo, hi), which is longer than a leaf: the physical sectors of the
// disk are not cut.
func (r *run) middle(lo, hi int64) int64 {
	leaf := r.leaf()
	mid := lo + (hi-lo)/2
	mid -= mid % leaf
	if mid <= lo {
		mid = lo - lo%leaf + leaf
	}
	return mid
}

// lastSector is where the last sector of [lo, hi) begins; at the end of the medium it may be short.
func (r *run) lastSector(lo, hi int64) int64 {
	return max(lo, (hi-1)-(hi-1)%r.opts.SectorBytes)
}

// retry reads the bad sectors again, each alone and once a pass.
func (r *run) retry(before image.MapState) error {
	first, position := 1, int64(-1)
	if before.Phase == image.PhaseRetrying {
		first, position = before.Pass, before.Position
	}
	for pass := first; pass <= r.opts.Retries && r.m.Total(image.Bad).Ranges > 0; pass++ {
		backwards := pass%2 == 0
		if position < 0 {
			position = 0
			if backwards {
				position = r.m.Size()
			}
		}
		r.begin(image.PhaseRetrying, pass, backwards)
		if err := r.retryPass(position); err != nil {
			return err
		}
		position = -1
	}
	return nil
}

func (r *run) retryPass(position int64) error {
	for {
		lo, hi, ok := r.nextBad(position)
		if !ok {
			return nil
		}
		if _, err := r.try(lo, hi, image.Bad); err != nil {
			return err
		}
		position = hi
		if r.backwards {
			position = lo
		}
		if err := r.moveTo(position); err != nil {
			return err
		}
		if err := r.report(); err != nil {
			return err
		}
	}
}

// nextBad is the next bad sector from position on.
func (r *run) nextBad(position int64) (lo, hi int64, ok bool) {
	if r.backwards {
		part, ok := r.m.Prev(position, image.Bad)
		if !ok {
			return 0, 0, false
		}
		return r.lastSector(part.Offset, part.End()), part.End(), true
	}
	part, ok := r.m.Next(position, image.Bad)
	return part.Offset, min(part.End(), part.Offset+r.opts.SectorBytes), ok
}
