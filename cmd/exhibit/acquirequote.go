package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/tpm"
)

// quoteDocument is what the TPM says of how the station was started when it signed a record.
type quoteDocument struct {
	File    string                     `json:"file"`     // below the case folder
	BootLog record.Fact[record.Digest] `json:"eventLog"` // of the firmware
}

// errNoTPM says that a record is quoted for only by the TPM that holds the key which signed it.
var errNoTPM = errors.New("the key that signed the record is not in a TPM")

// quoteRecord has the TPM that signed a record quote how the station was started, and keeps that in the log's folder. What
// an interrupted run has kept stays. A failure must not cost the acquisition: the caller says it and goes on.
func quoteRecord(ctx context.Context, c *custody.Case, logged *custody.Logged, keys *unlocked) (quoteDocument, error) {
	fail := func(err error) (quoteDocument, error) { return quoteDocument{}, err }
	envelope, err := sign.ParseEnvelope(logged.Statement)
	if err != nil {
		return fail(err)
	}
	if keys.info.Attestation == nil || envelope.KeyID != keys.info.KeyID {
		return fail(errNoTPM)
	}
	file, err := c.Quote(logged.Index)
	var bootLog []byte
	if errors.Is(err, fs.ErrNotExist) {
		file, bootLog, err = keys.machine.quote(logged.Leaf)
	}
	if err != nil {
		return fail(err)
	}
	name, err := c.KeepQuote(ctx, logged.Index, file, bootLog)
	if err != nil {
		return fail(err)
	}
	q, err := attest.ParseQuoteFile(file)
	if err != nil {
		return fail(err)
	}
	return quoteDocument{name, q.BootLog}, nil
}

// quote makes the file that quotes the boot PCRs for the record with that leaf, and reads the firmware's event log.
func (m *machine) quote(leaf record.LeafHash) (file, bootLog []byte, err error) {
	station, err := m.attach()
	if err != nil {
		return nil, nil, err
	}
	f, err := m.read()
	if err != nil {
		return nil, nil, err
	}
	signed, pcrs, err := station.Quote(attest.QuoteNonce(leaf))
	if err != nil {
		return nil, nil, err
	}
	ak := station.AttestationKey()
	q := attest.QuoteFile{Signed: signed, Key: ak.Public.Bytes(), Parent: ak.Parent, PCRs: pcrs[:]}
	bootLog, err = tpm.BootLog(os.DirFS(tpm.SecurityFS), f.Address)
	if err != nil {
		q.BootLog = record.Unknown[record.Digest](clean(err.Error()))
	} else {
		q.BootLog = record.Known(record.SHA256Digest(sha256.Sum256(bootLog)))
	}
	file, err = q.Encode()
	return file, bootLog, err
}

// quoteFact makes a member of the document of a quote, or of why there is none.
func quoteFact(q quoteDocument, err error) record.Fact[quoteDocument] {
	if err != nil {
		return record.Unknown[quoteDocument](clean(err.Error()))
	}
	return record.Known(q)
}

// printQuote shows it; noteQuote says what failed, where a quote was to be had.
func printQuote(u *ui, f record.Fact[quoteDocument]) {
	if q, ok := f.Get(); ok {
		bootLog := "with the event log of the firmware"
		if _, ok := q.BootLog.Get(); !ok {
			bootLog = "event log of the firmware " + unknownText(q.BootLog.Reason())
		}
		u.linef("Quote:     how the station was started, by its TPM, in %s; %s", clean(q.File), bootLog)
	}
}

func noteQuote(u *ui, f record.Fact[quoteDocument]) {
	if _, ok := f.Get(); !ok && f.Reason() != errNoTPM.Error() {
		u.notef("the TPM did not say how this station was started, and verify shows that as missing: %s", f.Reason())
	}
}
