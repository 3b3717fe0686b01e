package bundle

import (
	"bytes"
	"encoding/json/v2"
	"fmt"
	"regexp"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Bundle is a Sigstore bundle that agrees with itself: the key that stands in it signed its statement, and the entry stands
// under the root that its checkpoint names. Whose key it is, and whose checkpoint, only [Bundle.Check] can tell.
type Bundle struct {
	Envelope []byte         // as it lies in the log
	Key      sign.PublicKey // as the log's entry has it
	Index    int64          // in the log
	Leaf     record.LeafHash
	Size     int64    // of the checkpoint, whose lines nobody has verified yet
	Tokens   [][]byte // RFC 3161 responses over the signature, not looked at

	proof []byte // the tlog-proof that the log's entries make
	raw   []byte
}

// otherVersion matches what Sigstore calls its bundles, in all versions that there have been or may be.
var otherVersion = regexp.MustCompile(`^application/vnd\.dev\.sigstore\.(bundle\.v\d{1,4}\.\d{1,4}|bundle|trustedroot)\+json(;version=\d{1,4}\.\d{1,4})?$`)

const (
	maxTokens = 100
	maxHashes = 40 // in an inclusion proof
	lines     = 2  // of a checkpoint
)

// Parse reads a bundle that Encode wrote. It is strict: what Encode would not write, be it in a member that nobody looks
// at, wraps record.ErrMalformed; a signature that does not hold is sign.ErrSignature; another version of Sigstore's
// bundle wraps record.ErrNewer.
func Parse(b []byte) (Bundle, error) {
	var f bundleFile
	if err := decode(b, mediaType, &f); err != nil {
		return Bundle{}, fmt.Errorf("bundle: %w", err)
	}
	out, err := f.read()
	if err != nil {
		return Bundle{}, fmt.Errorf("bundle: %w", err)
	}
	out.raw = b
	return out, nil
}

// decode is record.DecodeTyped for Sigstore's name of a type.
func decode(b []byte, want string, v any) error {
	err := record.DecodeJSON(b, v)
	var t struct {
		MediaType string `json:"mediaType"`
	}
	if len(b) > record.MaxJSON || json.Unmarshal(b, &t) != nil || t.MediaType == want {
		return err
	}
	if otherVersion.MatchString(t.MediaType) {
		return fmt.Errorf("media type %.80q is %w", t.MediaType, record.ErrNewer)
	}
	return fmt.Errorf("%w: media type %.80q", record.ErrMalformed, t.MediaType)
}

func (f bundleFile) read() (Bundle, error) {
	switch {
	case f.DSSEEnvelope.PayloadType != record.PayloadType:
		return Bundle{}, malformed("payload type %.80q", f.DSSEEnvelope.PayloadType)
	case len(f.DSSEEnvelope.Signatures) != 1:
		return Bundle{}, malformed("%d signatures, want 1", len(f.DSSEEnvelope.Signatures))
	case len(f.Material.Entries) != lines && len(f.Material.Entries) != 2*lines:
		return Bundle{}, malformed("%d log entries, want one for each of the %d lines of the checkpoint, or %d where the log key changes", len(f.Material.Entries), lines, 2*lines)
	case len(f.Material.Timestamps.Tokens) > maxTokens:
		return Bundle{}, malformed("%d time-stamps, at most %d are allowed", len(f.Material.Timestamps.Tokens), maxTokens)
	}
	first := f.Material.Entries[0]
	key, err := ledger.EntryKey(first.Body)
	if err != nil {
		return Bundle{}, err
	}
	e := sign.Envelope{Payload: f.DSSEEnvelope.Payload, KeyID: f.Material.PublicKey.Hint, Signature: f.DSSEEnvelope.Signatures[0].Sig}
	out := Bundle{Key: key, Leaf: ledger.LeafHash(first.Body)}
	if out.Envelope, err = e.Encode(); err != nil {
		return Bundle{}, err
	}
	if e, err = sign.ParseEnvelope(out.Envelope); err != nil {
		return Bundle{}, err
	}
	if err := e.Verify(key); err != nil {
		return Bundle{}, err
	}
	if body, err := e.Entry(key); err != nil || !bytes.Equal(body, first.Body) {
		return Bundle{}, malformed("the log's entry is not that of the statement")
	}
	if out.Index, out.Size, out.proof, err = first.read(); err != nil {
		return Bundle{}, err
	}
	for _, t := range f.Material.Timestamps.Tokens {
		out.Tokens = append(out.Tokens, t.Token)
	}
	return out, nil
}

// read returns the proof that an entry holds, which leads to the root of its checkpoint. The checkpoint's lines are not
// looked at.
func (e logEntry) read() (index, size int64, proof []byte, err error) {
	fail := func(err error) (int64, int64, []byte, error) { return 0, 0, nil, err }
	index, err = strconv.ParseInt(e.Proof.Index, 10, 64)
	if err != nil || index < 0 || index >= layout.MaxLogSize || len(e.Proof.Hashes) > maxHashes {
		return fail(malformed("index %.40q, proof of %d hashes", e.Proof.Index, len(e.Proof.Hashes)))
	}
	note := []byte(e.Proof.Checkpoint.Envelope)
	if len(note) > layout.MaxCheckpoint {
		return fail(malformed("a checkpoint of %d bytes", len(note)))
	}
	text, _, ok := bytes.Cut(note, []byte("\n\n"))
	if !ok {
		return fail(malformed("the checkpoint has no signature"))
	}
	checkpoint, err := ledger.ParseCheckpoint(string(text) + "\n")
	if err != nil {
		return fail(err)
	}
	p := ledger.Proof{Index: index, Checkpoint: note}
	for _, h := range e.Proof.Hashes {
		if len(h) != tlog.HashSize {
			return fail(malformed("a hash of %d bytes", len(h)))
		}
		p.Hashes = append(p.Hashes, tlog.Hash(h))
	}
	if err := tlog.CheckRecord(p.Hashes, checkpoint.Size, checkpoint.Root, index, tlog.RecordHash(e.Body)); err != nil {
		return fail(malformed("the entry does not stand at index %d of the log of size %d", index, checkpoint.Size))
	}
	return index, checkpoint.Size, p.Encode(), nil
}

// Check requires that b is of the log with that origin and those keys, and is what Encode makes of its statement, down to
// the last byte. It returns the checkpoint that the statement stands under.
func (b Bundle) Check(origin string, keys []record.LogKey) (ledger.Checkpoint, error) {
	again, err := Encode(Statement{Envelope: b.Envelope, Key: b.Key, Origin: origin, LogKeys: keys, Proof: b.proof, Tokens: b.Tokens})
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	if !bytes.Equal(again, b.raw) {
		return ledger.Checkpoint{}, fmt.Errorf("bundle: %w: the log's name, its version, a root, a size, or the second of the log's entries is not what follows from the statement and the log",
			record.ErrMalformed)
	}
	p, err := ledger.ParseProof(b.proof)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	return ledger.OpenCheckpoint(p.Checkpoint, origin, keys)
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", record.ErrMalformed, fmt.Sprintf(format, args...))
}
