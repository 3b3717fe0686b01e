package anchor

import (
	"crypto"
	_ "crypto/sha256" // registers what hashes names
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
)

// The structures of RFC 3161 and RFC 5652, as far as a time-stamp has them. Members that come after those listed, in the
// versions that are accepted, have no meaning for who checks.
type (
	response struct {
		Status status
		Token  contentInfo `asn1:"optional"`
	}
	status struct {
		Status int
		Text   []asn1.RawValue `asn1:"optional"`
		Info   asn1.BitString  `asn1:"optional"`
	}
	contentInfo struct {
		Raw     asn1.RawContent
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Encapsulated encapsulated
		Certificates anything     `asn1:"optional,tag:0"`
		Revocations  anything     `asn1:"optional,tag:1"`
		Signers      []signerInfo `asn1:"set"`
	}
	encapsulated struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	anything   struct{ Raw asn1.RawContent }
	signerInfo struct {
		Version    int
		Issuer     asn1.RawValue // issuer and serial number, or [0] a key identifier
		Digest     pkix.AlgorithmIdentifier
		Attributes anything `asn1:"optional,tag:0"`
		Algorithm  pkix.AlgorithmIdentifier
		Signature  []byte
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
	signingCertificate struct {
		Certificates []essCertID
	}
	essCertID struct {
		Hash []byte
	}
	signingCertificateV2 struct {
		Certificates []essCertIDv2
	}
	essCertIDv2 struct {
		Algorithm pkix.AlgorithmIdentifier `asn1:"optional"`
		Hash      []byte
	}
	imprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Hash      []byte
	}
	tstInfo struct {
		Version    int
		Policy     asn1.ObjectIdentifier
		Imprint    imprint
		Serial     *big.Int
		Time       asn1.RawValue
		Accuracy   accuracy `asn1:"optional"`
		Ordering   bool     `asn1:"optional"`
		Nonce      *big.Int `asn1:"optional"`
		Authority  anything `asn1:"optional,tag:0"`
		Extensions anything `asn1:"optional,tag:1"`
	}
	accuracy struct {
		Seconds int64 `asn1:"optional"`
		Millis  int64 `asn1:"optional,tag:0"`
		Micros  int64 `asn1:"optional,tag:1"`
	}
	timeStampReq struct {
		Version int
		Imprint imprint
		Nonce   *big.Int `asn1:"optional"`
		CertReq bool     `asn1:"optional"`
	}
)

var (
	oidSignedData           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidTSTInfo              = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningCertificate   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidExtendedKeyUsage     = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidSHA256               = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
)

// hashes are the digests that are taken from a token; SHA-1 is not among them.
var hashes = map[string]crypto.Hash{
	oidSHA256.String():       crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// sha256Algorithm has NULL for parameters, as OpenSSL writes it; some authorities take no other form.
var sha256Algorithm = pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}

// rsaKey is how many tokens name the algorithm of an RSA signature: the digest then stands beside it.
const rsaKey = "1.2.840.113549.1.1.1"

// signatures are the algorithms of a signer, and the digest that belongs to each.
var signatures = map[string]struct {
	algorithm x509.SignatureAlgorithm
	hash      crypto.Hash
}{
	"1.2.840.113549.1.1.11": {x509.SHA256WithRSA, crypto.SHA256},
	"1.2.840.113549.1.1.12": {x509.SHA384WithRSA, crypto.SHA384},
	"1.2.840.113549.1.1.13": {x509.SHA512WithRSA, crypto.SHA512},
	"1.2.840.10045.4.3.2":   {x509.ECDSAWithSHA256, crypto.SHA256},
	"1.2.840.10045.4.3.3":   {x509.ECDSAWithSHA384, crypto.SHA384},
	"1.2.840.10045.4.3.4":   {x509.ECDSAWithSHA512, crypto.SHA512},
}

var rsaWith = map[crypto.Hash]x509.SignatureAlgorithm{
	crypto.SHA256: x509.SHA256WithRSA, crypto.SHA384: x509.SHA384WithRSA, crypto.SHA512: x509.SHA512WithRSA,
}
