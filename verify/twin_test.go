package verify

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// twin turns an ECDSA signature (r, s) into (r, n-s), as anybody can, without the key.
func twin(sig []byte) []byte {
	var v struct{ R, S *big.Int }
	must(asn1.Unmarshal(sig, &v))
	v.S.Sub(elliptic.P256().Params().N, v.S)
	return must(asn1.Marshal(v))
}

// twinEnvelope has the second spelling of its signature.
func twinEnvelope(b []byte) []byte {
	sig := must(sign.ParseEnvelope(b)).Signature
	return bytes.Replace(b, []byte(base64.StdEncoding.EncodeToString(sig)), []byte(base64.StdEncoding.EncodeToString(twin(sig))), 1)
}

// twinNote has the second spelling of its ECDSA line; b is a checkpoint, or a proof that ends in one.
func twinNote(b []byte) []byte {
	lines := strings.SplitAfter(string(b), "\n")
	line := &lines[len(lines)-3] // of "— <origin> <base64>"; the Ed25519 line and nothing follow
	at := strings.LastIndexByte(*line, ' ') + 1
	raw := must(base64.StdEncoding.DecodeString(strings.TrimSuffix((*line)[at:], "\n")))
	*line = (*line)[:at] + base64.StdEncoding.EncodeToString(append(raw[:4:4], twin(raw[4:])...)) + "\n"
	return []byte(strings.Join(lines, ""))
}

// Each of these verifies with openssl.
var twinTamperings = map[string]tampering{
	"the second spelling of a statement's signature, logged so": {func(t *testing.T) (*forge, fileSet) {
		f := newForge(t)
		e, o := f.newSeized("7")
		leaf := f.appendEnvelope(twinEnvelope(must(sign.Seal(f.person, must(record.Encode(e))))), f.person, o)
		f.previous["7"] = last{1, leaf}
		f.publish()
		addAcquired(f, f.station, untouched)
		return f, f.build()
	}, ExitMismatch, 2, "signature does not match"},
	"the second spelling of a folder's statement": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		name := f.sealed[0].dir + "/" + layout.Statement
		files[name] = twinEnvelope(files[name])
		return f, files
	}, ExitMismatch, 3, "it differs from the statement that was logged"},
	"the second spelling of the newest checkpoint": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		f.checkpoints[3] = twinNote(f.checkpoints[3])
		return f, f.build()
	}, ExitMismatch, 3, "signature does not match"},
	"the second spelling of an older checkpoint": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files[logFile(f, layout.CheckpointFile(1))] = twinNote(f.checkpoints[1])
		return f, files
	}, ExitMismatch, 3, "signature does not match"},
	"the second spelling in a proof": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		name := f.sealed[0].dir + "/" + layout.Proof
		files[name] = twinNote(files[name])
		return f, files
	}, ExitMismatch, 3, "signature does not match"},
}
