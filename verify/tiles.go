package verify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const tileWidth = 256

// tree folds the leaves of a log as they come: it gives the root at every size and each tile when it is full. It holds
// one unfinished tile a level.
type tree struct {
	size  int64
	peaks []tlog.Hash // roots of the full subtrees, the largest first
	level [][]tlog.Hash
	full  func(level int, n int64, hashes []tlog.Hash) // a tile is complete
}

func (t *tree) add(leaf tlog.Hash) {
	t.push(0, t.size, leaf)
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.peaks) - 1
		leaf = tlog.NodeHash(t.peaks[last], leaf)
		t.peaks = t.peaks[:last]
	}
	t.peaks = append(t.peaks, leaf)
	t.size++
}

// push adds the hash with that index to its level.
func (t *tree) push(level int, index int64, h tlog.Hash) {
	if level == len(t.level) {
		t.level = append(t.level, make([]tlog.Hash, 0, tileWidth))
	}
	t.level[level] = append(t.level[level], h)
	if len(t.level[level]) < tileWidth {
		return
	}
	t.full(level, index/tileWidth, t.level[level])
	above := subtree(t.level[level])
	t.level[level] = t.level[level][:0]
	t.push(level+1, index/tileWidth, above)
}

// subtree is the root over a power of two of hashes.
func subtree(h []tlog.Hash) tlog.Hash {
	if len(h) == 1 {
		return h[0]
	}
	return tlog.NodeHash(subtree(h[:len(h)/2]), subtree(h[len(h)/2:]))
}

// root is the root over all leaves so far, at least one.
func (t *tree) root() tlog.Hash {
	last := len(t.peaks) - 1
	r := t.peaks[last]
	for i := last - 1; i >= 0; i-- {
		r = tlog.NodeHash(t.peaks[i], r)
	}
	return r
}

// finish gives the unfinished tiles.
func (t *tree) finish() {
	for level, hashes := range t.level {
		if len(hashes) > 0 {
			t.full(level, t.size>>(8*(level+1)), hashes)
		}
	}
}

func tileBytes(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// tileAt is one tile file by what its name says. Level -1 is an entry bundle.
type tileAt struct {
	level int
	n     int64
	width int
}

// parseTile reads the name of a tile below the log folder, in its one spelling.
func parseTile(name string) (tileAt, bool) {
	rest, ok := strings.CutPrefix(name, layout.TileDir+"/")
	level, rest, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return tileAt{}, false
	}
	t := tileAt{width: tileWidth}
	if level == "entries" {
		t.level = -1
	} else if l, err := strconv.Atoi(level); err != nil || l < 0 || l > 5 {
		return tileAt{}, false
	} else {
		t.level = l
	}
	if base, width, partial := strings.Cut(rest, ".p/"); partial {
		w, err := strconv.Atoi(width)
		if err != nil || w < 1 || w >= tileWidth {
			return tileAt{}, false
		}
		rest, t.width = base, w
	}
	for group := range strings.SplitSeq(rest, "/") {
		d, err := strconv.Atoi(strings.TrimPrefix(group, "x"))
		if err != nil || d < 0 || d > 999 || t.n > layout.MaxLogSize {
			return tileAt{}, false
		}
		t.n = t.n*1000 + int64(d)
	}
	return t, layout.TilePath(t.level, t.n, t.width) == name
}

// available is how many hashes or entries a log of that size has in the tile.
func (t tileAt) available(size int64) int {
	count := size >> (8 * max(t.level, 0))
	return int(min(max(count-t.n*tileWidth, 0), tileWidth))
}

// limit bounds the tile's file.
func (t tileAt) limit() int64 {
	if t.level < 0 {
		return layout.MaxBundle
	}
	return layout.MaxTile
}

// compareTile requires a tile file to hold exactly these bytes.
func (l *logCheck) compareTile(level int, n int64, width int, want []byte) {
	name := within(l.dir, layout.TilePath(level, n, width))
	got, err := l.c.fsys.readFile(name, tileAt{level: level}.limit())
	if err != nil {
		l.log.add(fromError(name, err))
		return
	}
	if bytes.Equal(got, want) {
		l.log.checked++
		return
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	f := mismatch(name, "", fmt.Sprintf("%d bytes", len(want)), fmt.Sprintf("%d bytes", len(got)),
		fmt.Sprintf("the file differs at byte %d from what follows from the log's statements", at))
	f.Advice = adviceLog
	l.log.add(f)
}

// leafAt returns a leaf hash as the log's tile has it, which was compared before.
func (l *logCheck) leafAt(i int64) (record.LeafHash, bool) {
	n := i / tileWidth
	width := tileAt{level: 0, n: n}.available(l.size)
	b, err := l.c.fsys.readFile(l.path(layout.TilePath(0, n, width)), layout.MaxTile)
	at := int(i%tileWidth) * tlog.HashSize
	if err != nil || len(b) < at+tlog.HashSize {
		return record.LeafHash{}, false
	}
	return record.LeafHash(b[at : at+tlog.HashSize]), true
}

// splitBundle cuts an entry bundle as far as it is well-formed.
func splitBundle(b []byte) (entries [][]byte) {
	for len(b) >= 2 {
		n := int(binary.BigEndian.Uint16(b))
		if len(b) < 2+n {
			break
		}
		entries = append(entries, b[2:2+n])
		b = b[2+n:]
	}
	return entries
}

// checkLeftovers walks the tile folder. An older partial tile has to be the beginning of the present one; what lies
// beyond the size was written by an append that did not come to its end.
func (l *logCheck) checkLeftovers() error {
	return l.walk(layout.TileDir, 0, func(name string) {
		t, ok := parseTile(name)
		switch available := t.available(l.size); {
		case !ok:
			l.c.uncovered(within(l.dir, name))
		case t.width > available:
			l.beyond++
		case t.width < available:
			l.comparePrefix(name, t, available)
		}
	})
}

// comparePrefix holds an older partial tile against the present one, which was compared with the statements.
func (l *logCheck) comparePrefix(name string, t tileAt, available int) {
	old, err := l.c.fsys.readFile(within(l.dir, name), t.limit())
	if err != nil {
		l.log.add(fromError(within(l.dir, name), err))
		return
	}
	present, err := l.c.fsys.readFile(within(l.dir, layout.TilePath(t.level, t.n, available)), t.limit())
	if err != nil {
		return // reported where it was required
	}
	want := present
	if t.level >= 0 {
		want = present[:min(len(present), t.width*tlog.HashSize)]
	} else if entries := splitBundle(present); len(entries) >= t.width {
		n := 0
		for _, e := range entries[:t.width] {
			n += 2 + len(e)
		}
		want = present[:n]
	}
	if !bytes.Equal(old, want) {
		f := mismatch(within(l.dir, name), "", "", "", "an older tile of the log is not the beginning of the present one")
		f.Advice = adviceLog
		l.log.add(f)
	}
}

// maxDepth bounds the folders of a log below each other; a tile's name needs seven at most.
const maxDepth = 10

var errDepth = errors.New("folders lie too deep")

// walk calls file for each thing in a folder of the log that is not a folder, by its name below the log. Folders that
// cannot be listed are findings; the error is that of the context.
func (l *logCheck) walk(dir string, depth int, file func(name string)) error {
	if err := l.c.ctx.Err(); err != nil {
		return err
	}
	entries, err := l.c.fsys.readDir(within(l.dir, dir), layout.MaxFolder)
	if err == nil && depth > maxDepth {
		err = content(errDepth)
	}
	if err != nil {
		l.log.add(fromError(within(l.dir, dir), err))
		return nil
	}
	for _, e := range entries {
		name := dir + "/" + e.Name()
		switch {
		case e.IsDir():
			if err := l.walk(name, depth+1, file); err != nil {
				return err
			}
		case !e.Type().IsRegular():
			l.log.add(fromError(within(l.dir, name), fmt.Errorf("%q is %s: %w", name, kindOf(e.Type()), errNotPlain)))
		default:
			file(name)
		}
	}
	return nil
}
