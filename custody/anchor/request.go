package anchor

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// SizeType is the media type in which a witness names the size that it knows a log at (C2SP tlog-witness).
const SizeType = "text/x.tlog.size"

// maxProof bounds the hashes of a consistency proof, as C2SP tlog-witness does.
const maxProof = 63

// MaxRequest bounds an add-checkpoint request, in bytes.
const MaxRequest = layout.MaxCheckpoint + (maxProof+2)*64

// AddCheckpoint is a request to a witness: the log's newest checkpoint, and the proof that it contains what the witness
// cosigned before. On a stick it is the same text as in the body of an HTTP request.
type AddCheckpoint struct {
	Old        int64 // the size that the witness knows; 0: it does not know the log
	Proof      []tlog.Hash
	Checkpoint []byte // a signed note
}

// NewAddCheckpoint makes the request for a log, of which a witness has seen the first old entries.
func NewAddCheckpoint(l *ledger.Log, old int64) (AddCheckpoint, error) {
	r := AddCheckpoint{Old: old, Checkpoint: l.Checkpoint()}
	if old > l.Size() {
		return AddCheckpoint{}, fmt.Errorf("witness: %w: it has cosigned %d entries, and the log has %d: the log was cut back", ErrFork, old, l.Size())
	}
	if old > 0 {
		proof, err := l.ProveConsistency(old)
		if err != nil {
			return AddCheckpoint{}, err
		}
		r.Proof = proof
	}
	return r, nil
}

// Encode returns the text of the request.
func (r AddCheckpoint) Encode() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", r.Old)
	for _, h := range r.Proof {
		b.WriteString(h.String() + "\n")
	}
	b.WriteString("\n")
	b.Write(r.Checkpoint)
	return []byte(b.String())
}

// ParseAddCheckpoint reads the text of a request in its one spelling; else the error wraps record.ErrMalformed. The
// checkpoint is not looked into.
func ParseAddCheckpoint(b []byte) (AddCheckpoint, error) {
	fail := func(why string) (AddCheckpoint, error) {
		return AddCheckpoint{}, fmt.Errorf("add-checkpoint: %w: %s", record.ErrMalformed, why)
	}
	if len(b) > MaxRequest {
		return fail("too large")
	}
	head, note, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		return fail("no empty line")
	}
	lines := strings.Split(head, "\n")
	digits, ok := strings.CutPrefix(lines[0], "old ")
	old, sizeOK := ParseSize([]byte(digits + "\n"))
	if !ok || !sizeOK || len(lines)-1 > maxProof {
		return fail("the first line, or too many hashes")
	}
	r := AddCheckpoint{Old: old, Checkpoint: []byte(note)}
	for i, l := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(l)
		if err != nil || len(h) != tlog.HashSize {
			return fail(fmt.Sprintf("hash %d", i+1))
		}
		r.Proof = append(r.Proof, tlog.Hash(h))
	}
	if string(r.Encode()) != string(b) {
		return fail("not the canonical text")
	}
	return r, nil
}

// ParseSize reads the text in which a witness names a size.
func ParseSize(b []byte) (int64, bool) {
	digits, ok := strings.CutSuffix(string(b), "\n")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, ok && err == nil && n >= 0 && n <= layout.MaxLogSize && strconv.FormatInt(n, 10) == digits
}
