package sign

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json/v2"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

const (
	// pemKey is the type cosign's import-key-pair writes, so that cosign can use a key file of ours.
	pemKey = "ENCRYPTED SIGSTORE PRIVATE KEY"
	// pemAuth is the type of a file with the authorization value of a device key.
	pemAuth = "ENCRYPTED EXHIBIT AUTHORIZATION"
	// maxKeyFile bounds a key file; one of ours has less than 1 KiB.
	maxKeyFile = 8 << 10
)

// encryptedKey is what go-securesystemslib/encrypted writes.
type encryptedKey struct {
	KDF struct {
		Name   string       `json:"name"`
		Params scryptParams `json:"params"`
		Salt   []byte       `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce []byte `json:"nonce"`
	} `json:"cipher"`
	Ciphertext []byte `json:"ciphertext"`
}

type scryptParams struct {
	N int `json:"N"`
	R int `json:"r"`
	P int `json:"p"`
}

// allowedScrypt are the only costs there are, at most 128 MiB of memory: a file does not choose how much we compute.
var allowedScrypt = []scryptParams{{1 << 15, 8, 1}, {1 << 16, 8, 1}, {1 << 17, 8, 1}}

// encryptKey returns the key file of key, an ECDSA or Ed25519 private key.
func encryptKey(key crypto.PrivateKey, passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 {
		return nil, ErrPassphraseEmpty
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("encode the key: not an ECDSA or Ed25519 key")
	}
	defer clear(der)
	return encryptSecret(pemKey, der, passphrase)
}

func encryptSecret(kind string, secret, passphrase []byte) ([]byte, error) {
	b, err := encrypted.Encrypt(secret, passphrase)
	if err != nil {
		return nil, fmt.Errorf("encrypt the key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), nil
}

// decryptKey reads a key file. Only ErrPassphrase says that another passphrase may help.
func decryptKey(file, passphrase []byte) (crypto.PrivateKey, error) {
	der, err := decryptSecret(pemKey, file, passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// The parser's error is left out: what it quotes would be the key.
		return nil, fmt.Errorf("%w: the decrypted key is not PKCS #8", record.ErrMalformed)
	}
	return key, nil
}

func decryptSecret(kind string, file, passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 {
		return nil, ErrPassphraseEmpty
	}
	b, err := parseSecretFile(kind, file)
	if err != nil {
		return nil, err
	}
	secret, err := encrypted.Decrypt(b, passphrase)
	if err != nil {
		return nil, ErrPassphrase // all else was checked by parseSecretFile
	}
	return secret, nil
}

func parseKeyFile(file []byte) ([]byte, error) { return parseSecretFile(pemKey, file) }

// parseSecretFile returns the encrypted key in a key file after checking, without computing anything, that decrypting it
// can fail for the passphrase alone and costs no more than allowed.
func parseSecretFile(kind string, file []byte) ([]byte, error) {
	b, err := parsePEM(file, kind)
	if err != nil {
		return nil, err
	}
	var k encryptedKey
	if err := json.Unmarshal(b, &k, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("%w: key file: %w", record.ErrMalformed, err)
	}
	switch {
	case k.KDF.Name != "scrypt" || !slices.Contains(allowedScrypt, k.KDF.Params):
		return nil, fmt.Errorf("%w: key file: %.40q with cost %+v is not one of the allowed", record.ErrMalformed, k.KDF.Name, k.KDF.Params)
	case k.Cipher.Name != "nacl/secretbox" || len(k.Cipher.Nonce) != 24:
		return nil, fmt.Errorf("%w: key file: cipher %.40q with a nonce of %d bytes", record.ErrMalformed, k.Cipher.Name, len(k.Cipher.Nonce))
	case len(k.KDF.Salt) != 32:
		return nil, fmt.Errorf("%w: key file: salt of %d bytes", record.ErrMalformed, len(k.KDF.Salt))
	}
	return b, nil
}

// parsePEM reads a file that is one PEM block of that type without headers, written as we write it, and nothing else.
func parsePEM(file []byte, want string) ([]byte, error) {
	if len(file) > maxKeyFile {
		return nil, fmt.Errorf("%w: PEM file of %d bytes, at most %d are allowed", record.ErrMalformed, len(file), maxKeyFile)
	}
	block, _ := pem.Decode(file)
	if block == nil || block.Type != want {
		return nil, fmt.Errorf("%w: no PEM block %q", record.ErrMalformed, want)
	}
	if !bytes.Equal(file, pem.EncodeToMemory(&pem.Block{Type: want, Bytes: block.Bytes})) {
		return nil, fmt.Errorf("%w: more than one PEM block %q", record.ErrMalformed, want)
	}
	return block.Bytes, nil
}

// SealKey returns the file of a key that no Store keeps, such as a witness's: ECDSA, Ed25519 or ML-DSA. It is protected by
// passphrase as those of a Store are.
func SealKey(key crypto.PrivateKey, passphrase []byte) ([]byte, error) {
	return encryptKey(key, passphrase)
}

// OpenKey reads what SealKey made. Only ErrPassphrase says that another passphrase may help.
func OpenKey(file, passphrase []byte) (crypto.PrivateKey, error) { return decryptKey(file, passphrase) }
