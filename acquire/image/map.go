package image

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
)

var (
	// ErrMap says that a text is not a map as GNU ddrescue writes them, or that a range or state cannot stand in one.
	ErrMap = errors.New("not a sound map")
	// ErrMapTooLarge says that a map has, or would get, more ranges or bytes than it may have.
	ErrMapTooLarge = errors.New("the map is larger than it may be")
)

// Status says what is known of a range of the medium, in ddrescue's characters.
type Status byte

// The states of a range, in the order in which a failing place goes through them.
const (
	NonTried   Status = '?' // not read yet
	NonTrimmed Status = '*' // a read of it, or of a part and more, failed; the edges of the damage are not known
	NonScraped Status = '/' // its edges are known to be bad, what lies inside is not tried sector by sector
	Bad        Status = '-' // each sector failed when it was read alone
	Finished   Status = '+' // read
)

var statuses = [...]Status{NonTried, NonTrimmed, NonScraped, Bad, Finished}

func (s Status) valid() bool { return slices.Contains(statuses[:], s) }

// Phase says what a rescue was doing when the map was saved, in ddrescue's characters.
type Phase byte

// The phases of a rescue. PhaseFilling and PhaseGenerating come from ddrescue only; nothing here works in them.
const (
	PhaseCopying    Phase = '?'
	PhaseTrimming   Phase = '*'
	PhaseScraping   Phase = '/'
	PhaseRetrying   Phase = '-'
	PhaseFilling    Phase = 'F'
	PhaseGenerating Phase = 'G'
	PhaseFinished   Phase = '+'
)

func (p Phase) valid() bool {
	switch p {
	case PhaseCopying, PhaseTrimming, PhaseScraping, PhaseRetrying, PhaseFilling, PhaseGenerating, PhaseFinished:
		return true
	}
	return false
}

// MapState is where a rescue stands, so that it goes on there.
type MapState struct {
	Position int64 // next to read: the beginning of a block in a forward pass, its end in a backward one
	Phase    Phase
	Pass     int // of the phase, from 1
}

func (s MapState) check() error {
	if s.Position < 0 || s.Pass < 1 || !s.Phase.valid() {
		return fmt.Errorf("%w: position %d, status %q, pass %d", ErrMap, s.Position, s.Phase, s.Pass)
	}
	return nil
}

// Range is a run of bytes of one status. It is never empty.
type Range struct {
	Offset, SizeBytes int64
	Status            Status
}

// End is the offset of the first byte behind the range.
func (r Range) End() int64 { return r.Offset + r.SizeBytes }

// Total is what the ranges of one status come to.
type Total struct {
	SizeBytes int64
	Ranges    int
}

// MapTotals is what each status comes to. The sizes add up to that of the medium.
type MapTotals struct {
	NonTried, NonTrimmed, NonScraped, Bad, Finished Total
}

// DefaultMapRanges bounds a map where nothing else is said: 57 MB of text, about as much memory. It holds a GiB of which
// every second sector is bad.
const DefaultMapRanges = 1 << 21

// MapLimits bounds what a map may cost. The zero value means the defaults.
type MapLimits struct {
	Ranges    int   // 0 is DefaultMapRanges
	SizeBytes int64 // of the text that is parsed; 0 is 128 MiB
}

func (l MapLimits) withDefaults() (MapLimits, error) {
	if l.Ranges < 0 || l.SizeBytes < 0 {
		return MapLimits{}, fmt.Errorf("map limits of %d ranges and %d bytes", l.Ranges, l.SizeBytes)
	}
	if l.Ranges == 0 {
		l.Ranges = DefaultMapRanges
	}
	if l.SizeBytes == 0 {
		l.SizeBytes = 128 << 20
	}
	return l, nil
}

// Map says of each byte of a medium whether it was read. Its ranges follow each other without gap or overlap from 0 to
// the medium's size, and neighbours differ in status. Memory follows the number of ranges, never the size.
//
// A Map is used by one goroutine at a time.
type Map struct {
	size   int64
	limit  int
	chunks [][]start // the beginnings of all ranges in order, cut into chunks that are cheap to insert into; none is empty
	totals [256]Total
	ranges int
	state  MapState
}

// start is where a range begins; it ends where the next one does.
type start struct {
	at     int64
	status Status
}

// maxChunk bounds what one insertion moves: 8 KiB.
const maxChunk = 512

// NewMap returns the map of a medium of sizeBytes of which nothing was tried.
func NewMap(sizeBytes int64, limits MapLimits) (*Map, error) {
	limits, err := limits.withDefaults()
	if err != nil {
		return nil, err
	}
	if sizeBytes < 0 {
		return nil, fmt.Errorf("%w: a medium of %d bytes", ErrMap, sizeBytes)
	}
	m := &Map{limit: limits.Ranges, state: MapState{Phase: PhaseCopying, Pass: 1}}
	if err := m.append(sizeBytes, NonTried); err != nil {
		return nil, err
	}
	return m, nil
}

// append lets a map that is being built grow by n bytes at its end. The caller has checked the status, and that the size
// does not overflow.
func (m *Map) append(n int64, status Status) error {
	if n == 0 {
		return nil
	}
	if m.size > 0 && m.statusAt(m.size-1) == status {
		m.size += n
		m.totals[status].SizeBytes += n
		return nil
	}
	if m.ranges >= m.limit {
		return fmt.Errorf("%w: more than %d ranges", ErrMapTooLarge, m.limit)
	}
	last := len(m.chunks) - 1
	if last < 0 || len(m.chunks[last]) == maxChunk {
		m.chunks = append(m.chunks, nil)
		last++
	}
	m.chunks[last] = append(m.chunks[last], start{m.size, status})
	m.size += n
	m.ranges++
	m.totals[status].Ranges++
	m.totals[status].SizeBytes += n
	return nil
}

// Size returns the size of the medium in bytes.
func (m *Map) Size() int64 { return m.size }

// Ranges returns how many ranges the map has.
func (m *Map) Ranges() int { return m.ranges }

// Total returns what the ranges of one status come to.
func (m *Map) Total(status Status) Total { return m.totals[status] }

// Totals returns what each status comes to.
func (m *Map) Totals() MapTotals {
	return MapTotals{
		NonTried:   m.totals[NonTried],
		NonTrimmed: m.totals[NonTrimmed],
		NonScraped: m.totals[NonScraped],
		Bad:        m.totals[Bad],
		Finished:   m.totals[Finished],
	}
}

// State returns where the rescue stands.
func (m *Map) State() MapState { return m.state }

// SetState notes where the rescue stands. A position below 0, a pass below 1 or an unknown phase is ErrMap.
func (m *Map) SetState(state MapState) error {
	if err := state.check(); err != nil {
		return err
	}
	m.state = state
	return nil
}

// find returns chunk and index of the range in which off lies.
func (m *Map) find(off int64) (c, i int) {
	c = sort.Search(len(m.chunks), func(c int) bool { return m.chunks[c][0].at > off }) - 1
	chunk := m.chunks[c]
	return c, sort.Search(len(chunk), func(i int) bool { return chunk[i].at > off }) - 1
}

func (m *Map) statusAt(off int64) Status {
	c, i := m.find(off)
	return m.chunks[c][i].status
}

func (m *Map) rangeAt(c, i int) Range {
	begin, end := m.chunks[c][i], m.size
	if i+1 < len(m.chunks[c]) {
		end = m.chunks[c][i+1].at
	} else if c+1 < len(m.chunks) {
		end = m.chunks[c+1][0].at
	}
	return Range{begin.at, end - begin.at, begin.status}
}

// At returns the whole range in which the byte at off lies. It panics if the medium has no such byte.
func (m *Map) At(off int64) Range {
	if off < 0 || off >= m.size {
		panic(fmt.Sprintf("image: offset %d of a map of %d bytes", off, m.size))
	}
	return m.rangeAt(m.find(off))
}

// All gives every range in order. The map must not be changed meanwhile.
func (m *Map) All() iter.Seq[Range] {
	return func(yield func(Range) bool) {
		for c := range m.chunks {
			for i := range m.chunks[c] {
				if !yield(m.rangeAt(c, i)) {
					return
				}
			}
		}
	}
}

// Unread gives every range that is not finished, in order, each with its own status. The map must not be changed
// meanwhile.
func (m *Map) Unread() iter.Seq[Range] {
	return func(yield func(Range) bool) {
		for r := range m.All() {
			if r.Status != Finished && !yield(r) {
				return
			}
		}
	}
}

// Next returns the first bytes of the status at or behind from, up to where their range ends.
func (m *Map) Next(from int64, status Status) (Range, bool) {
	from = max(from, 0)
	if from >= m.size {
		return Range{}, false
	}
	c, i := m.find(from)
	for ; c < len(m.chunks); c, i = c+1, 0 {
		for ; i < len(m.chunks[c]); i++ {
			if m.chunks[c][i].status == status {
				r := m.rangeAt(c, i)
				begin := max(r.Offset, from)
				return Range{begin, r.End() - begin, status}, true
			}
		}
	}
	return Range{}, false
}

// Prev returns the last bytes of the status before the offset end, from where their range begins.
func (m *Map) Prev(end int64, status Status) (Range, bool) {
	end = min(end, m.size)
	if end <= 0 {
		return Range{}, false
	}
	c, i := m.find(end - 1)
	for {
		for ; i >= 0; i-- {
			if m.chunks[c][i].status == status {
				r := m.rangeAt(c, i)
				return Range{r.Offset, min(r.End(), end) - r.Offset, status}, true
			}
		}
		if c == 0 {
			return Range{}, false
		}
		c--
		i = len(m.chunks[c]) - 1
	}
}

// Set gives n bytes at off a status. Bytes outside the medium, none at all, or an unknown status are ErrMap; a map that
// would have too many ranges is ErrMapTooLarge. After an error the map is as it was.
func (m *Map) Set(off, n int64, status Status) error {
	if off < 0 || n <= 0 || off > m.size-n || !status.valid() {
		return fmt.Errorf("%w: %d bytes at %d of %d, status %q", ErrMap, n, off, m.size, status)
	}
	if now := m.At(off); now.Status == status && now.End() >= off+n {
		return nil
	}
	if m.ranges+2 > m.limit && m.ranges+m.growth(off, n, status) > m.limit {
		return fmt.Errorf("%w: more than %d ranges", ErrMapTooLarge, m.limit)
	}
	m.split(off)
	m.split(off + n)
	c, i := m.find(off)
	m.recolour(c, i, status)
	for m.joinNext(off, off+n) {
		continue
	}
	m.merge(off + n)
	m.merge(off)
	return nil
}

// growth is by how many ranges Set would change the map. Counted are the borders between ranges.
func (m *Map) growth(off, n int64, status Status) int {
	end, change := off+n, 0
	for at := m.At(off).End(); at < end; at = m.At(at).End() {
		change-- // a border inside goes
	}
	for _, border := range []int64{off, end} {
		if border == 0 || border == m.size {
			continue
		}
		left, right := m.statusAt(border-1), m.statusAt(border)
		if left != right {
			change--
		}
		if border == off {
			right = status
		} else {
			left = status
		}
		if left != right {
			change++
		}
	}
	return change
}

// split makes a range begin at off.
func (m *Map) split(off int64) {
	if off == m.size {
		return
	}
	c, i := m.find(off)
	if begin := m.chunks[c][i]; begin.at != off {
		m.insert(c, i+1, start{off, begin.status})
		m.totals[begin.status].Ranges++
		m.ranges++
	}
}

// recolour changes the status of a whole range.
func (m *Map) recolour(c, i int, status Status) {
	r := m.rangeAt(c, i)
	m.totals[r.Status].Ranges--
	m.totals[r.Status].SizeBytes -= r.SizeBytes
	m.totals[status].Ranges++
	m.totals[status].SizeBytes += r.SizeBytes
	m.chunks[c][i].status = status
}

// joinNext lets the range that begins at off swallow the one behind it, unless that begins at end.
func (m *Map) joinNext(off, end int64) bool {
	c, i := m.find(off)
	next := m.rangeAt(c, i).End()
	if next >= end {
		return false
	}
	status := m.chunks[c][i].status
	c, i = m.find(next)
	m.recolour(c, i, status)
	m.drop(c, i)
	return true
}

// merge removes the border at off if both sides have one status.
func (m *Map) merge(off int64) {
	if off == 0 || off == m.size || m.statusAt(off-1) != m.statusAt(off) {
		return
	}
	m.drop(m.find(off))
}

func (m *Map) insert(c, i int, s start) {
	chunk := slices.Insert(m.chunks[c], i, s)
	if len(chunk) > maxChunk {
		half := len(chunk) / 2
		m.chunks = slices.Insert(m.chunks, c+1, slices.Clone(chunk[half:]))
		chunk = chunk[:half]
	}
	m.chunks[c] = chunk
}

// drop removes the beginning of a range, so that the range before it, of the same status, goes on. Chunks that became
// small are put together, or memory would follow the greatest number of ranges there ever was.
func (m *Map) drop(c, i int) {
	m.totals[m.chunks[c][i].status].Ranges--
	m.ranges--
	m.chunks[c] = slices.Delete(m.chunks[c], i, i+1)
	if len(m.chunks[c]) > maxChunk/4 || len(m.chunks) == 1 {
		return
	}
	left := max(c-1, 0)
	if len(m.chunks[left])+len(m.chunks[left+1]) <= maxChunk {
		m.chunks[left] = append(m.chunks[left], m.chunks[left+1]...)
		m.chunks = slices.Delete(m.chunks, left+1, left+2)
	}
}
