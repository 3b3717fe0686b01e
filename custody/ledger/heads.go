package ledger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const (
	headsType = "exhibit-heads/v1"
	partType  = "exhibit-heads-part/v1"
)

// headParts is the number of files that the exhibits are spread over, so that an append reads and writes one of them.
const headParts = 256

// head is an exhibit's events: their indexes, in order, and the leaf of the last.
type head struct {
	Events  []int64         `json:"events"`
	Exhibit string          `json:"exhibit"`
	Leaf    record.LeafHash `json:"leaf"`
}

func (h head) number() int64 { return int64(len(h.Events)) }

// headsFile says which parts belong to the log under that checkpoint.
type headsFile struct {
	Checkpoint record.Digest            `json:"checkpoint"`
	Closed     bool                     `json:"closed,omitzero"` // by the log's last statement
	MAC        string                   `json:"mac,omitzero"`
	Parts      map[string]record.Digest `json:"parts"` // by their names; a part without exhibits has no file
	Size       int64                    `json:"size"`
	Type       string                   `json:"type"`
}

// partFile is one part of the heads.
type partFile struct {
	Heads []head `json:"heads"` // sorted by exhibit
	Type  string `json:"type"`
}

// partOf is the part that an exhibit belongs to. Numbers that people take for one another are in the same.
func partOf(exhibit string) int {
	return int(sha256.Sum256([]byte(record.FoldExhibit(exhibit)))[0])
}

// parseHeads reads the file of parts and requires that the holder of the log key wrote it: whoever else can write into the
// folder could otherwise lead the next event to a number that is wrong for good.
func parseHeads(b []byte, key []byte) (headsFile, error) {
	fail := func(format string, args ...any) (headsFile, error) {
		return headsFile{}, fmt.Errorf("heads: "+format, args...)
	}
	var f headsFile
	if err := record.DecodeTyped(b, headsType, &f); err != nil {
		return fail("%w", err)
	}
	if mac, err := f.authenticate(key); err != nil || !hmac.Equal([]byte(mac), []byte(f.MAC)) {
		return fail("%w: not written with the log key", record.ErrMalformed)
	}
	if f.Size < 1 || f.Size > layout.MaxLogSize || f.Checkpoint.Algorithm() != record.SHA256 {
		return fail("%w: size or checkpoint", record.ErrMalformed)
	}
	for name, d := range f.Parts {
		if b, err := hex.DecodeString(name); err != nil || len(b) != 1 || hex.EncodeToString(b) != name || d.Algorithm() != record.SHA256 {
			return fail("%w: part %q", record.ErrMalformed, name)
		}
	}
	return f, nil
}

// authenticate returns the HMAC of the file without its own.
func (f headsFile) authenticate(key []byte) (string, error) {
	f.MAC = ""
	b, err := record.EncodeJSON(f)
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// parsePart reads part number i of the heads of a log of size entries.
func parsePart(b []byte, i int, size int64) (map[string]head, error) {
	fail := func(format string, args ...any) (map[string]head, error) {
		return nil, fmt.Errorf("part %02x of heads: "+format, append([]any{i}, args...)...)
	}
	var f partFile
	if err := record.DecodeTyped(b, partType, &f); err != nil {
		return fail("%w", err)
	}
	part := map[string]head{}
	for n, h := range f.Heads {
		if err := record.CheckExhibit(h.Exhibit); err != nil {
			return fail("%w", err)
		}
		if partOf(h.Exhibit) != i || n > 0 && f.Heads[n-1].Exhibit >= h.Exhibit {
			return fail("%w: exhibit %q is doubled, out of order or not of this part", record.ErrMalformed, h.Exhibit)
		}
		before := int64(0) // the genesis
		for _, index := range h.Events {
			if index <= before || index >= size {
				return fail("%w: an event of exhibit %q at index %d", record.ErrMalformed, h.Exhibit, index)
			}
			before = index
		}
		if len(h.Events) == 0 {
			return fail("%w: exhibit %q without events", record.ErrMalformed, h.Exhibit)
		}
		part[h.Exhibit] = h
	}
	if len(part) == 0 {
		return fail("%w: no exhibit", record.ErrMalformed)
	}
	return part, nil
}

func encodePart(part map[string]head) ([]byte, error) {
	f := partFile{Type: partType}
	for _, exhibit := range slices.Sorted(maps.Keys(part)) {
		f.Heads = append(f.Heads, part[exhibit])
	}
	return record.EncodeJSON(f)
}
