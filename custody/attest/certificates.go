package attest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxCertificates bounds the certificates in one file.
const maxCertificates = 32

// ParseCertificates reads a file that is 1 to 32 PEM certificates and nothing else, as an authority issues them for keys in a
// TPM (docs/format.md, 15.6). Who the authority is remains the caller's question.
func ParseCertificates(b []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	var again bytes.Buffer
	for rest := b; len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || len(certs) == maxCertificates {
			return nil, fmt.Errorf("not at most %d PEM certificates and nothing else", maxCertificates)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
		again.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	if len(certs) == 0 || !bytes.Equal(again.Bytes(), b) {
		return nil, errors.New("not PEM certificates and nothing else")
	}
	return certs, nil
}
