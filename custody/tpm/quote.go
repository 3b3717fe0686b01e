package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/exhibit-forensics/exhibit/custody/attest"
)

// Quote has the boot PCRs of the SHA-256 bank quoted with nonce as qualifying data. It returns their values too, and has
// checked that they are the quoted ones.
func (s *Station) Quote(nonce [32]byte) (attest.Signed, [attest.BootPCRs]attest.PCR, error) {
	fail := func(err error) (attest.Signed, [attest.BootPCRs]attest.PCR, error) {
		return attest.Signed{}, [attest.BootPCRs]attest.PCR{}, fmt.Errorf("quote the boot PCRs: %w", explain(err))
	}
	selection := tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{0xff, 0, 0}}}}
	values, err := tpm2.PCRRead{PCRSelectionIn: selection}.Execute(s.tpm.conn)
	if err != nil {
		return fail(err)
	}
	var pcrs [attest.BootPCRs]attest.PCR
	if len(values.PCRValues.Digests) != len(pcrs) {
		return fail(errors.New("the TPM has no SHA-256 bank of PCRs in use"))
	}
	for i, d := range values.PCRValues.Digests {
		if len(d.Buffer) != len(pcrs[i]) {
			return fail(fmt.Errorf("PCR %d has %d bytes", i, len(d.Buffer)))
		}
		copy(pcrs[i][:], d.Buffer)
	}
	r, err := s.quote(nonce, selection)
	if err != nil {
		return fail(err)
	}
	a, err := signed(r.Quoted, r.Signature)
	if err != nil {
		return fail(err)
	}
	if _, err := s.ak.CheckQuote(a, nonce, pcrs); err != nil {
		return fail(err)
	}
	return a, pcrs, nil
}

func (s *Station) quote(nonce [32]byte, selection tpm2.TPMLPCRSelection) (*tpm2.QuoteResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ak, err := s.withAK()
	if err != nil {
		return nil, err
	}
	return tpm2.Quote{
		SignHandle: ak, QualifyingData: tpm2.TPM2BData{Buffer: nonce[:]}, InScheme: scheme, PCRSelect: selection,
	}.Execute(s.tpm.conn)
}
