// Package bundle writes what others' tools check of a log: a Sigstore bundle v0.3 for each statement, and the trusted root
// that names the log's keys. It reads them back, too.
//
// Start with [Encode] and [TrustedRoot], or with [Parse] and [CheckTrustedRoot]. The shapes are Sigstore's (protobuf-specs,
// sigstore_bundle.proto and sigstore_trustroot.proto) in their JSON form; docs/format.md, section 17, says what stands in
// each member.
//
// The promises: nothing is written that was not checked before; nothing is read that could not have been written; and
// everything in a bundle is public in the log already. A bundle proves no more than that a key signed a statement and that
// the statement stands under a checkpoint: whether the genesis admits the key, and whether the genesis is the right one, no
// other tool knows.
package bundle

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// Statement is a logged statement and its place in the log.
type Statement struct {
	Envelope []byte
	Key      sign.PublicKey // that signed it
	Origin   string
	LogKeys  []record.LogKey // of the log's genesis
	Proof    []byte          // proof.tlog-proof, of the statement's entry
	// Tokens are RFC 3161 time-stamp responses over the bytes of the statement's signature; none is usual. They are
	// written as they are.
	Tokens [][]byte
}

// Encode returns the Sigstore bundle of a statement, as the one line of JSON that record.EncodeJSON makes. The signature
// must be Key's, and the entry must stand under the proof's checkpoint with both its lines; else the error is that of
// sign.Envelope.Verify or ledger.CheckProof.
//
// Of the checkpoint's two lines a Sigstore client checks the one whose key the bundle's entry names. The entry is written
// once for each, so that a client which knows both keys requires both lines.
func Encode(s Statement) ([]byte, error) {
	e, err := sign.ParseEnvelope(s.Envelope)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if err := e.Verify(s.Key); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	body, err := e.Entry(s.Key)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if _, _, _, err := ledger.CheckProof(s.Proof, body, s.Origin, s.LogKeys); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	proof, err := ledger.ParseProof(s.Proof)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	entries, err := s.entries(body, proof)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	f := bundleFile{
		DSSEEnvelope: dsseEnvelope{Payload: e.Payload, PayloadType: record.PayloadType, Signatures: []dsseSignature{{e.Signature}}},
		MediaType:    mediaType,
		Material:     material{PublicKey: keyHint{e.KeyID}, Entries: entries},
	}
	for _, t := range s.Tokens {
		f.Material.Timestamps.Tokens = append(f.Material.Timestamps.Tokens, signedTimestamp{t})
	}
	b, err := record.EncodeJSON(f)
	if err == nil && len(b) > record.MaxJSON {
		err = fmt.Errorf("bundle: the statement is too large: %d bytes, at most %d can be read back", len(b), record.MaxJSON)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// entries returns the log entry, once for each line of the checkpoint.
func (s Statement) entries(body []byte, proof ledger.Proof) ([]logEntry, error) {
	checkpoint, err := ledger.OpenCheckpoint(proof.Checkpoint, s.Origin, s.LogKeys)
	if err != nil {
		return nil, err
	}
	hashes := make([][]byte, len(proof.Hashes))
	for i, h := range proof.Hashes {
		hashes[i] = h[:]
	}
	var entries []logEntry
	for _, k := range s.LogKeys {
		id, err := logID(s.Origin, k)
		if err != nil {
			return nil, err
		}
		entries = append(entries, logEntry{
			Body: body, Index: number(proof.Index), KindVersion: kindVersion{"hashedrekord", "0.0.2"}, LogID: keyID{id},
			Proof: inclusionProof{
				Checkpoint: envelopeText{string(proof.Checkpoint)}, Hashes: hashes, Index: number(proof.Index), Root: root(checkpoint.Root), Size: number(checkpoint.Size),
			},
		})
	}
	return entries, nil
}

func root(h tlog.Hash) []byte { return h[:] }

// number is how the JSON form of protocol buffers writes a 64-bit integer.
func number(n int64) string { return strconv.FormatInt(n, 10) }

// The bundle, in Sigstore's words.
type (
	bundleFile struct {
		DSSEEnvelope dsseEnvelope `json:"dsseEnvelope"`
		MediaType    string       `json:"mediaType"`
		Material     material     `json:"verificationMaterial"`
	}
	dsseEnvelope struct {
		Payload     []byte          `json:"payload"`
		PayloadType string          `json:"payloadType"`
		Signatures  []dsseSignature `json:"signatures"`
	}
	// The key identifier, which no signature covers, is left out: Sigstore's clients make one of their own of the key, in the
	// form of an SSH fingerprint, and pass over a signature that names another.
	dsseSignature struct {
		Sig []byte `json:"sig"`
	}
	material struct {
		PublicKey  keyHint    `json:"publicKey"`
		Timestamps timestamps `json:"timestampVerificationData,omitzero"`
		Entries    []logEntry `json:"tlogEntries"`
	}
	keyHint struct {
		Hint string `json:"hint"`
	}
	timestamps struct {
		Tokens []signedTimestamp `json:"rfc3161Timestamps,omitempty"`
	}
	signedTimestamp struct {
		Token []byte `json:"signedTimestamp"`
	}
	logEntry struct {
		Body        []byte         `json:"canonicalizedBody"`
		Proof       inclusionProof `json:"inclusionProof"`
		KindVersion kindVersion    `json:"kindVersion"`
		LogID       keyID          `json:"logId"`
		Index       string         `json:"logIndex"`
	}
	inclusionProof struct {
		Checkpoint envelopeText `json:"checkpoint"`
		Hashes     [][]byte     `json:"hashes"`
		Index      string       `json:"logIndex"`
		Root       []byte       `json:"rootHash"`
		Size       string       `json:"treeSize"`
	}
	envelopeText struct {
		Envelope string `json:"envelope"`
	}
	kindVersion struct {
		Kind    string `json:"kind"`
		Version string `json:"version"`
	}
	keyID struct {
		KeyID []byte `json:"keyId"`
	}
)

// IsZero implements the interface of omitzero.
func (t timestamps) IsZero() bool { return len(t.Tokens) == 0 }

func decodeKey(k record.LogKey) ([]byte, error) {
	der, err := base64.StdEncoding.DecodeString(k.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: public key of the line %.40q: %w", record.ErrMalformed, k.Line, err)
	}
	return der, nil
}
