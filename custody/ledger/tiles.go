package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Tiles are 2^8 wide, as C2SP tlog-tiles wants them. Level -1 holds the entries, numbered like level 0.
const (
	tileHeight   = 8
	tileWidth    = 1 << tileHeight
	entriesLevel = -1
	maxLevels    = 6 // of a log of layout.MaxLogSize
)

func tileFile(t tlog.Tile) string { return layout.TilePath(t.L, t.N, t.W) }

// parseTileFile is the reverse of tileFile; ok is false for any other name.
func parseTileFile(name string) (t tlog.Tile, ok bool) {
	rest, ok := strings.CutPrefix(name, layout.TileDir+"/")
	if !ok {
		return tlog.Tile{}, false
	}
	if n, is := strings.CutPrefix(rest, "entries/"); is {
		rest = "data/" + n
	}
	t, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", tileHeight, rest))
	return t, err == nil && t.L < maxLevels && t.N < layout.MaxLogSize && tileFile(t) == name
}

// widthIn is how many hashes of the tile a tree of that size has: 0 to tileWidth.
func widthIn(size int64, level int, n int64) int {
	have := size >> (tileHeight * max(level, 0))
	return int(min(max(have-n*tileWidth, 0), tileWidth))
}

// partials lists the partial tiles of a tree of that size, entries included: at most one a level.
func partials(size int64) []tlog.Tile {
	var tiles []tlog.Tile
	for level := 0; size>>(tileHeight*level) > 0; level++ {
		n := size >> (tileHeight * (level + 1))
		w := widthIn(size, level, n)
		if w == 0 {
			continue
		}
		t := tlog.Tile{H: tileHeight, L: level, N: n, W: w}
		if level == 0 {
			entries := t
			entries.L = entriesLevel
			tiles = append(tiles, entries)
		}
		tiles = append(tiles, t)
	}
	return tiles
}

// tileReader reads tiles from the log folder. It implements tlog.TileReader, which proves them before they are used.
type tileReader struct {
	dir    *folder
	proven map[tlog.Tile][]byte // a few that were proven, so that a walk along the log does not read them again
}

// maxProven bounds the tiles kept: 512 KiB.
const maxProven = 64

// Height implements tlog.TileReader.
func (r *tileReader) Height() int { return tileHeight }

// ReadTiles implements tlog.TileReader.
func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		if b, ok := r.proven[t]; ok {
			data[i] = b
			continue
		}
		b, err := readTile(r.dir, t)
		if err != nil {
			return nil, &tileError{err}
		}
		data[i] = b
	}
	return data, nil
}

// SaveTiles implements tlog.TileReader: it is called when the tiles were proven.
func (r *tileReader) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for i, t := range tiles {
		if len(r.proven) >= maxProven {
			clear(r.proven)
		}
		r.proven[t] = data[i]
	}
}

// tileError is an error of reading a tile, to tell it from one about what tiles say.
type tileError struct{ err error }

func (e *tileError) Error() string { return e.err.Error() }
func (e *tileError) Unwrap() error { return e.err }

// readTile reads a tile as wide as asked. A partial tile is removed once the full one is there, whose first hashes are
// the same.
func readTile(dir *folder, t tlog.Tile) ([]byte, error) {
	got, b, err := readTileFile(dir, t, layout.MaxTile)
	if err != nil {
		return nil, err
	}
	if len(b) != got.W*tlog.HashSize {
		return nil, fmt.Errorf("%q: %w: %d bytes, want %d", tileFile(got), record.ErrMalformed, len(b), got.W*tlog.HashSize)
	}
	return b[:t.W*tlog.HashSize], nil
}

// readBundle reads the first w entries of bundle n. Nothing about them is proven.
func readBundle(dir *folder, n int64, w int) ([][]byte, error) {
	got, b, err := readTileFile(dir, tlog.Tile{H: tileHeight, L: entriesLevel, N: n, W: w}, layout.MaxBundle)
	if err != nil {
		return nil, err
	}
	entries, err := parseBundle(b, got.W)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", tileFile(got), err)
	}
	return entries[:w], nil
}

// readTileFile reads the file of t, or of the full tile in place of a partial one that is missing; got says which.
func readTileFile(dir *folder, t tlog.Tile, max int64) (got tlog.Tile, b []byte, err error) {
	b, err = dir.readFile(tileFile(t), max)
	if t.W == tileWidth || !errors.Is(err, fs.ErrNotExist) {
		return t, b, err
	}
	full := t
	full.W = tileWidth
	if b, ferr := dir.readFile(tileFile(full), max); !errors.Is(ferr, fs.ErrNotExist) {
		return full, b, ferr
	}
	return t, nil, err // names the file that should be there
}

// tileFolder is a folder that holds tiles, or folders of them.
var tileFolder = regexp.MustCompile(`^tile/(entries|[0-5])(/x\d{3}){0,4}(/\d{3}\.p)?$`)

// walkTiles calls visit for the folder name and each folder of tiles in it, with the tiles and bundles that lie there.
func walkTiles(dir *folder, name string, visit func(name string, tiles []tlog.Tile) error) error {
	entries, err := dir.list(name)
	if err != nil {
		return err
	}
	var tiles []tlog.Tile
	for _, e := range entries {
		below := name + "/" + e.Name()
		if t, ok := parseTileFile(below); ok {
			tiles = append(tiles, t)
		} else if e.IsDir() && tileFolder.MatchString(below) {
			if err := walkTiles(dir, below, visit); err != nil {
				return err
			}
		}
	}
	return visit(name, tiles)
}

// parseBundle splits an entry bundle: each entry after its length in two bytes, exactly w of them.
func parseBundle(b []byte, w int) ([][]byte, error) {
	entries := make([][]byte, 0, w)
	for range w {
		if len(b) < 2 {
			return nil, fmt.Errorf("%w: it ends after %d entries of %d", record.ErrMalformed, len(entries), w)
		}
		n := int(binary.BigEndian.Uint16(b))
		if len(b) < 2+n {
			return nil, fmt.Errorf("%w: entry %d is cut", record.ErrMalformed, len(entries))
		}
		entries = append(entries, b[2:2+n:2+n])
		b = b[2+n:]
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: %d bytes follow the last entry", record.ErrMalformed, len(b))
	}
	return entries, nil
}

// appendEntry adds an entry, at most layout.MaxEntry bytes, to a bundle.
func appendEntry(b, e []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(e)))
	return append(b, e...)
}
