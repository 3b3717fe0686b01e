package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// PCR is the value of a PCR of the SHA-256 bank. Its text is hex digits.
type PCR [sha256.Size]byte

// MarshalText implements encoding.TextMarshaler.
func (p PCR) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, p[:]), nil }

// UnmarshalText reads the form that MarshalText writes, and no other.
func (p *PCR) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(p) || hex.EncodeToString(b) != string(text) {
		return fmt.Errorf("%w: the value of a PCR is not %d lower-case hex digits: %.80q", record.ErrMalformed, 2*len(p), text)
	}
	copy(p[:], b)
	return nil
}

// QuoteFile is the file attest/<i>.quote of a log: how the machine that signed the record at leaf i was started, as its TPM
// says.
type QuoteFile struct {
	Signed
	Key     []byte                     `json:"attestationKey"` // TPMT_PUBLIC of the attestation key
	BootLog record.Fact[record.Digest] `json:"eventLog"`       // SHA-256 of attest/<i>.eventlog
	Parent  Name                       `json:"parent"`         // of that key's parent
	PCRs    []PCR                      `json:"pcrs"`           // 0 to 7 of the SHA-256 bank
	Type    string                     `json:"type"`
}

// Encode returns the file.
func (f QuoteFile) Encode() ([]byte, error) {
	f.Type = typeQuote
	return record.EncodeJSON(f)
}

// ParseQuoteFile reads the file. Nothing in it is checked but its form.
func ParseQuoteFile(b []byte) (QuoteFile, error) {
	var f QuoteFile
	if err := decode(b, typeQuote, &f); err != nil {
		return QuoteFile{}, err
	}
	if len(f.PCRs) != BootPCRs {
		return QuoteFile{}, fmt.Errorf("%w: %d values of PCRs, want %d", record.ErrMalformed, len(f.PCRs), BootPCRs)
	}
	if d, known := f.BootLog.Get(); known && d.Algorithm() != record.SHA256 {
		return QuoteFile{}, fmt.Errorf("%w: eventLog is no SHA-256", record.ErrMalformed)
	}
	return f, nil
}

// QuoteNonce is the qualifying data with which the start of the machine is quoted for a record, by its leaf in the log.
func QuoteNonce(leaf record.LeafHash) [32]byte {
	return nonceOf("exhibit-quote-v1", leaf.String()+"\n")
}

// Check requires that the file is a quote for that record, as Key.CheckQuote does with the attestation key in it, and
// returns the key. Who the attestation key is remains the caller's question, and so does the event log.
func (f QuoteFile) Check(leaf record.LeafHash) (ak Key, at Clock, err error) {
	if len(f.PCRs) != BootPCRs {
		return Key{}, Clock{}, mismatch("%d values of PCRs, want %d", len(f.PCRs), BootPCRs)
	}
	if ak, err = NewKey(f.Key, f.Parent); err != nil {
		return Key{}, Clock{}, err
	}
	if at, err = ak.CheckQuote(f.Signed, QuoteNonce(leaf), [BootPCRs]PCR(f.PCRs)); err != nil {
		return Key{}, Clock{}, err
	}
	return ak, at, nil
}
