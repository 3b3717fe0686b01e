package sign

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// maxSignature is the longest DER of two 256-bit numbers, in bytes.
const maxSignature = 72

// Envelope is a DSSE envelope of a statement, decoded and NOT verified. The zero Envelope verifies by no key.
type Envelope struct {
	Payload   []byte // the statement
	KeyID     string // of the key that is said to have signed: 64 lower-case hex digits
	Signature []byte // ASN.1 DER
}

type envelopeFile struct {
	Payload     []byte          `json:"payload"`
	PayloadType string          `json:"payloadType"`
	Signatures  []signatureFile `json:"signatures"`
}

type signatureFile struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// Seal signs a statement's bytes and returns the *.dsse.json bytes, parsed again and verified.
func Seal(s Signer, payload []byte) ([]byte, error) {
	sig, err := s.Sign(preAuth(payload))
	if err != nil {
		return nil, err
	}
	key := s.PublicKey()
	b, err := Envelope{payload, key.KeyID(), sig}.Encode()
	if err != nil {
		return nil, err
	}
	e, err := ParseEnvelope(b)
	if err != nil {
		return nil, fmt.Errorf("check the envelope just made: %w", err)
	}
	if err := e.Verify(key); err != nil {
		return nil, fmt.Errorf("check the envelope just made: %w", err)
	}
	return b, nil
}

// ParseEnvelope reads *.dsse.json bytes, at most record.MaxJSON. Whatever is not exactly the canonical JSON of one
// payload of the statements' type with one signature wraps record.ErrMalformed.
func ParseEnvelope(b []byte) (Envelope, error) {
	var f envelopeFile
	if err := record.DecodeJSON(b, &f); err != nil {
		return Envelope{}, fmt.Errorf("envelope: %w", err)
	}
	if f.PayloadType != record.PayloadType {
		return Envelope{}, fmt.Errorf("envelope: %w: payloadType %.100q", record.ErrMalformed, f.PayloadType)
	}
	if len(f.Signatures) != 1 {
		return Envelope{}, fmt.Errorf("envelope: %w: %d signatures, want 1", record.ErrMalformed, len(f.Signatures))
	}
	e := Envelope{f.Payload, f.Signatures[0].KeyID, f.Signatures[0].Sig}
	if len(e.Payload) == 0 || len(e.Signature) == 0 || len(e.Signature) > maxSignature {
		return Envelope{}, fmt.Errorf("envelope: %w: payload of %d bytes, signature of %d", record.ErrMalformed, len(e.Payload), len(e.Signature))
	}
	if id, err := hex.DecodeString(e.KeyID); err != nil || len(id) != sha256.Size || hex.EncodeToString(id) != e.KeyID {
		return Envelope{}, fmt.Errorf("envelope: %w: keyid %.100q", record.ErrMalformed, e.KeyID)
	}
	return e, nil
}

// Encode returns the envelope as it lies in the log; it checks nothing.
func (e Envelope) Encode() ([]byte, error) {
	return record.EncodeJSON(envelopeFile{e.Payload, record.PayloadType, []signatureFile{{e.KeyID, e.Signature}}})
}

// Verify requires that e names k and that k signed its payload; else ErrSignature.
func (e Envelope) Verify(k PublicKey) error {
	if err := e.names(k); err != nil {
		return err
	}
	return k.Verify(preAuth(e.Payload), e.Signature)
}

// Entry returns the log's entry of e: the canonical Rekor v2 hashedrekord 0.0.2 entry of its signature by k. It does
// not verify the signature; a key that e does not name is ErrSignature.
func (e Envelope) Entry(k PublicKey) ([]byte, error) {
	if err := e.names(k); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(preAuth(e.Payload))
	return record.EncodeJSON(entryFile{
		APIVersion: "0.0.2",
		Kind:       "hashedrekord",
		Spec: entrySpec{hashedRekord{
			Data: entryData{Algorithm: "SHA2_256", Digest: sum[:]},
			Signature: entrySignature{
				Content:  e.Signature,
				Verifier: entryVerifier{KeyDetails: "PKIX_ECDSA_P256_SHA_256", PublicKey: entryKey{k.DER()}},
			},
		}},
	})
}

func (e Envelope) names(k PublicKey) error {
	if k.IsZero() {
		return fmt.Errorf("%w: no key to verify with", ErrSignature)
	}
	if e.KeyID != k.KeyID() {
		return fmt.Errorf("%w: the envelope names key %.64q, not %s", ErrSignature, e.KeyID, k.KeyID())
	}
	return nil
}

// preAuth is what the signature covers: DSSE's pre-authentication encoding.
func preAuth(payload []byte) []byte { return dsse.PAE(record.PayloadType, payload) }

// The hashedrekord entry, in Rekor's words.
type (
	entryFile struct {
		APIVersion string    `json:"apiVersion"`
		Kind       string    `json:"kind"`
		Spec       entrySpec `json:"spec"`
	}
	entrySpec struct {
		HashedRekord hashedRekord `json:"hashedRekordV002"`
	}
	hashedRekord struct {
		Data      entryData      `json:"data"`
		Signature entrySignature `json:"signature"`
	}
	entryData struct {
		Algorithm string `json:"algorithm"`
		Digest    []byte `json:"digest"`
	}
	entrySignature struct {
		Content  []byte        `json:"content"`
		Verifier entryVerifier `json:"verifier"`
	}
	entryVerifier struct {
		KeyDetails string   `json:"keyDetails"`
		PublicKey  entryKey `json:"publicKey"`
	}
	entryKey struct {
		RawBytes []byte `json:"rawBytes"`
	}
)
