package rescue

import "github.com/exhibit-forensics/exhibit/acquire/image"

const (
	passes    = 5        // of copying
	minSkip   = 64 << 10 // before it is rounded to blocks
	limitSkip = 1 << 30
)

// copy reads what was not tried, in five passes. Odd ones go forwards, even ones backwards; if nothing needs skipping,
// the first does it all.
func (r *run) copy(before image.MapState) error {
	first, position := 1, int64(-1)
	if before.Phase == image.PhaseCopying && before.Pass <= passes {
		first, position = before.Pass, before.Position
	}
	for pass := first; pass <= passes; pass++ {
		backwards := pass%2 == 0
		if position < 0 {
			position = 0
			if backwards {
				position = r.m.Size()
			}
		}
		r.begin(image.PhaseCopying, pass, backwards)
		if err := r.copyPass(position); err != nil {
			return err
		}
		position = -1
	}
	return nil
}

// copyPass reads from position on in the direction of the pass.
func (r *run) copyPass(position int64) error {
	errorSkip := r.firstSkip()
	var slowSkip int64
	for {
		part, ok := r.untried(position)
		if !ok {
			return nil
		}
		block, edge := r.block(part)
		if r.behind(block) != position { // another gap: what was learnt of the last one says nothing of it
			errorSkip, slowSkip = r.firstSkip(), 0
		}
		position = edge
		good, err := r.try(block.Offset, block.End(), image.NonTrimmed)
		if err != nil {
			return err
		}
		switch {
		case !good && r.pass < passes:
			position = r.skip(position, errorSkip)
			errorSkip = min(2*errorSkip, r.lastSkip())
		case good && r.slow && r.pass <= 2:
			slowSkip = r.nextSlowSkip(slowSkip)
			position = r.skip(position, slowSkip)
		case good:
			errorSkip = r.firstSkip()
			if r.meter.fresh {
				slowSkip = 0
			}
		}
		if err := r.moveTo(position); err != nil {
			return err
		}
		if err := r.report(); err != nil {
			return err
		}
	}
}

// untried returns what was not tried of the nearest range from position on. Passes 3 and 4 take only what lies behind
// finished bytes: it was skipped for slowness, or because of an error on the other side.
func (r *run) untried(position int64) (image.Range, bool) {
	for {
		var part image.Range
		var ok bool
		if r.backwards {
			part, ok = r.m.Prev(position, image.NonTried)
		} else {
			part, ok = r.m.Next(position, image.NonTried)
		}
		if !ok || r.pass != 3 && r.pass != 4 || r.statusBefore(part) == image.Finished {
			return part, ok
		}
		if r.backwards {
			position = part.Offset
		} else {
			position = part.End()
		}
	}
}

// statusBefore is the status of the byte that the pass meets before the range; outside the medium it is Finished, for
// nothing bad is known of the side.
func (r *run) statusBefore(part image.Range) image.Status {
	at := part.Offset - 1
	if r.backwards {
		at = part.End()
	}
	if at < 0 || at >= r.m.Size() {
		return image.Finished
	}
	return r.m.At(at).Status
}

// block is the first block of a range in the direction of the pass, and edge the side on which the pass leaves it.
func (r *run) block(part image.Range) (block image.Range, edge int64) {
	if r.backwards {
		begin := max(part.Offset, groupBegin(part.End()-1))
		return image.Range{Offset: begin, SizeBytes: part.End() - begin, Status: part.Status}, begin
	}
	end := min(part.End(), groupBegin(part.Offset)+BlockBytes)
	return image.Range{Offset: part.Offset, SizeBytes: end - part.Offset, Status: part.Status}, end
}

// behind is the side on which the pass enters a block.
func (r *run) behind(block image.Range) int64 {
	if r.backwards {
		return block.End()
	}
	return block.Offset
}

// skip leaves out n bytes from position on, but not more than what is left of the range that was being read; from pass 2
// on, all of that.
func (r *run) skip(position, n int64) int64 {
	at := position
	if r.backwards {
		at--
	}
	if at < 0 || at >= r.m.Size() {
		return position
	}
	rest := r.m.At(at)
	switch {
	case rest.Status != image.NonTried:
		return position
	case r.backwards:
		return rest.Offset
	case r.pass >= 2:
		return rest.End()
	}
	return min(position+n, rest.End())
}

// firstSkip is what is left out behind the first error, in whole blocks.
func (r *run) firstSkip() int64 {
	return roundUp(max(minSkip, r.m.Size()/100000))
}

// lastSkip is the most that is ever left out: a hundredth of the medium.
func (r *run) lastSkip() int64 {
	return max(r.firstSkip(), min(roundUp(r.m.Size()/100), limitSkip))
}

// nextSlowSkip is what is left out behind a slow read: at first what was just read in a second, then twice as much each
// time.
func (r *run) nextSlowSkip(last int64) int64 {
	next := 2 * last
	if last == 0 {
		next = max(r.firstSkip(), roundUp(r.meter.rate))
	}
	return min(next, r.lastSkip())
}

func groupBegin(off int64) int64 { return off - off%BlockBytes }

// roundUp rounds to whole blocks; n is far below the greatest int64.
func roundUp(n int64) int64 { return (n + BlockBytes - 1) / BlockBytes * BlockBytes }
