package ledger

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// proofVersion opens every C2SP tlog-proof, and is followed by its version.
const proofVersion = "c2sp.org/tlog-proof@"

var laterVersion = regexp.MustCompile(`^v[1-9]\d{0,8}$`)

// maxProofHashes bounds an inclusion proof: the height of the largest log.
const maxProofHashes = 40

// Proof is what a proof.tlog-proof file says, not yet checked.
type Proof struct {
	Index      int64
	Hashes     []tlog.Hash
	Checkpoint []byte // a signed note
}

// Encode returns the C2SP tlog-proof v1.
func (p Proof) Encode() []byte {
	t := proof.TLogProof{Index: uint64(p.Index), Checkpoint: p.Checkpoint}
	for _, h := range p.Hashes {
		t.Hashes = append(t.Hashes, h)
	}
	return t.Marshal()
}

// ParseProof reads a C2SP tlog-proof. Another version wraps record.ErrNewer; extra data, any other spelling, wrap
// record.ErrMalformed.
func ParseProof(b []byte) (Proof, error) {
	fail := func(why string) (Proof, error) {
		return Proof{}, fmt.Errorf("proof: %w: %s", record.ErrMalformed, why)
	}
	if len(b) > layout.MaxProof {
		return fail("too large")
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	version, ok := strings.CutPrefix(string(first), proofVersion)
	if !ok {
		return fail("not a tlog-proof")
	}
	if version != "v1" && laterVersion.MatchString(version) {
		return Proof{}, fmt.Errorf("proof: version %.40q is %w", version, record.ErrNewer)
	}
	var t proof.TLogProof
	if err := t.Unmarshal(b); err != nil {
		return Proof{}, fmt.Errorf("proof: %w: %w", record.ErrMalformed, err)
	}
	switch {
	case t.ExtraData != nil:
		return fail("it carries extra data")
	case t.Index >= layout.MaxLogSize:
		return fail("index")
	case len(t.Hashes) > maxProofHashes:
		return fail("too many hashes")
	case len(t.Checkpoint) == 0 || len(t.Checkpoint) > layout.MaxCheckpoint:
		return fail("checkpoint is missing or too large")
	}
	p := Proof{Index: int64(t.Index), Checkpoint: t.Checkpoint}
	for _, h := range t.Hashes {
		p.Hashes = append(p.Hashes, h)
	}
	// The library is lenient about line ends and spellings of numbers.
	if !bytes.Equal(p.Encode(), b) {
		return fail("not the canonical text")
	}
	return p, nil
}

// CheckProof checks a proof.tlog-proof alone: both lines of its checkpoint verify with keys, and entry stands under it at
// the index returned. After an error nothing is proven.
func CheckProof(b, entry []byte, origin string, keys []record.LogKey) (index, size int64, checkpoint []byte, err error) {
	p, err := ParseProof(b)
	if err != nil {
		return 0, 0, nil, err
	}
	c, err := OpenCheckpoint(p.Checkpoint, origin, keys)
	if err != nil {
		return 0, 0, nil, fmt.Errorf("proof: %w", err)
	}
	if err := tlog.CheckRecord(p.Hashes, c.Size, c.Root, p.Index, tlog.RecordHash(entry)); err != nil {
		return 0, 0, nil, fmt.Errorf("proof: %w: the entry does not stand at index %d of the log of size %d", record.ErrMalformed, p.Index, c.Size)
	}
	return p.Index, c.Size, p.Checkpoint, nil
}
