package ledger

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Checkpoint is what a checkpoint's text says: the log of that name had that many entries and that root.
type Checkpoint struct {
	Origin string
	Size   int64 // at least 1
	Root   tlog.Hash
}

// Text returns the text that is signed: three lines.
func (c Checkpoint) Text() string { return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root) }

// ParseCheckpoint reads the text of a checkpoint, without its signature lines. Any other spelling, an extension line or
// an empty log wraps record.ErrMalformed.
func ParseCheckpoint(text string) (Checkpoint, error) {
	fail := func(field string) (Checkpoint, error) {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: %s", record.ErrMalformed, field)
	}
	lines := strings.SplitN(text, "\n", 5)
	if len(lines) != 4 || lines[3] != "" {
		return fail("not three lines")
	}
	if !record.ValidOrigin(lines[0]) {
		return fail("origin")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 1 || size > layout.MaxLogSize {
		return fail("size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return fail("root")
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root)}
	if c.Text() != text {
		return fail("not the canonical text")
	}
	return c, nil
}

// OpenCheckpoint verifies the lines of keys of a signed checkpoint with keys and reads its text, which must be one of the log
// origin. Errors are those of sign.OpenNote and ParseCheckpoint.
func OpenCheckpoint(note []byte, origin string, keys []record.LogKey) (Checkpoint, error) {
	text, err := sign.OpenNote(note, origin, keys)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := ParseCheckpoint(text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != origin {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: origin is %s, not %s", record.ErrMalformed, c.Origin, origin)
	}
	return c, nil
}
