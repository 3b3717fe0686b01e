package bundle

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

const trustedRootType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"

// Authority is a time-stamp authority that a trusted root names.
type Authority struct {
	URL   string
	Chain [][]byte  // DER certificates, that of the authority first and its root last
	Start time.Time // from when on its certificate is valid
}

// TrustedRoot returns the trusted_root.json of the log that g begins: the keys by which the checkpoint of the bundles is signed, and the time-stamp authorities whose
// tokens its bundles carry. It is as trustworthy as the way it came by, and no more.
func TrustedRoot(g *record.CaseOpened, keys []record.LogKey, authorities []Authority) ([]byte, error) {
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	if _, err := sign.LogVerifiers(g.Origin, keys); err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	f := rootFile{MediaType: trustedRootType}
	for _, k := range keys {
		der, err := decodeKey(k)
		if err != nil {
			return nil, fmt.Errorf("trusted root: %w", err)
		}
		id, err := logID(g.Origin, k)
		if err != nil {
			return nil, fmt.Errorf("trusted root: %w", err)
		}
		f.Logs = append(f.Logs, logInstance{
			BaseURL: "https://" + g.Origin, HashAlgorithm: "SHA2_256", LogID: keyID{id},
			PublicKey: rootKey{KeyDetails: keyDetails[k.Line], RawBytes: der, ValidFor: period{g.Time.UTC}},
		})
	}
	for _, a := range authorities {
		var chain certificateChain
		for _, der := range a.Chain {
			chain.Certificates = append(chain.Certificates, rawBytes{der})
		}
		f.Authorities = append(f.Authorities, authority{CertChain: chain, URI: a.URL, ValidFor: period{a.Start.UTC().Format(time.RFC3339)}})
	}
	return record.EncodeJSON(f)
}

var keyDetails = map[string]string{record.LineECDSA: "PKIX_ECDSA_P256_SHA_256", record.LineEd25519: "PKIX_ED25519"}

const ed25519Bytes = 32

// logID is how Sigstore names a log's key: the hash whose first four bytes stand on the line of the checkpoint.
func logID(origin string, k record.LogKey) ([]byte, error) {
	der, err := decodeKey(k)
	if err != nil {
		return nil, err
	}
	covered := der
	if k.Line == record.LineEd25519 && len(der) > ed25519Bytes {
		covered = append([]byte(origin+"\n\x01"), der[len(der)-ed25519Bytes:]...)
	}
	sum := sha256.Sum256(covered)
	return sum[:], nil
}

// The trusted root, in Sigstore's words.
type (
	rootFile struct {
		MediaType   string        `json:"mediaType"`
		Authorities []authority   `json:"timestampAuthorities,omitempty"`
		Logs        []logInstance `json:"tlogs"`
	}
	logInstance struct {
		BaseURL       string  `json:"baseUrl"`
		HashAlgorithm string  `json:"hashAlgorithm"`
		LogID         keyID   `json:"logId"`
		PublicKey     rootKey `json:"publicKey"`
	}
	rootKey struct {
		KeyDetails string `json:"keyDetails"`
		RawBytes   []byte `json:"rawBytes"`
		ValidFor   period `json:"validFor"`
	}
	period struct {
		Start string `json:"start"`
	}
	authority struct {
		CertChain certificateChain `json:"certChain"`
		URI       string           `json:"uri"`
		ValidFor  period           `json:"validFor"`
	}
	certificateChain struct {
		Certificates []rawBytes `json:"certificates"`
	}
	rawBytes struct {
		RawBytes []byte `json:"rawBytes"`
	}
)

// maxAuthorities bounds the time-stamp authorities of a trusted root, and the certificates of one.
const maxAuthorities = 100

// CheckTrustedRoot requires that b is the trusted root of the log that g begins, down to the last byte, whatever
// time-stamp authorities it names, and returns those. Another version of Sigstore's file wraps record.ErrNewer, anything
// else that differs record.ErrMalformed. That an authority stands here is no reason to trust it.
func CheckTrustedRoot(b []byte, g *record.CaseOpened, keys []record.LogKey) ([]Authority, error) {
	var f rootFile
	if err := decode(b, trustedRootType, &f); err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	if len(f.Authorities) > maxAuthorities {
		return nil, fmt.Errorf("trusted root: %w", malformed("%d time-stamp authorities", len(f.Authorities)))
	}
	var authorities []Authority
	for _, a := range f.Authorities {
		start, err := time.Parse(time.RFC3339, a.ValidFor.Start)
		if err != nil || len(a.CertChain.Certificates) > maxAuthorities {
			return nil, fmt.Errorf("trusted root: %w", malformed("start %.40q, %d certificates", a.ValidFor.Start, len(a.CertChain.Certificates)))
		}
		out := Authority{URL: a.URI, Start: start}
		for _, c := range a.CertChain.Certificates {
			out.Chain = append(out.Chain, c.RawBytes)
		}
		authorities = append(authorities, out)
	}
	again, err := TrustedRoot(g, keys, authorities)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("trusted root: %w: it names other keys, or another log, than the genesis and the changes after it", record.ErrMalformed)
	}
	return authorities, nil
}
