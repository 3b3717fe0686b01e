package sign

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/sigstore/pkg/signature"
	"golang.org/x/mod/sumdb/note"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// LogSigner is an unlocked log key, which is a pair: ECDSA P-256 and Ed25519. It signs checkpoints and nothing else.
type LogSigner interface {
	// Keys are the public keys of the two lines, in their order.
	Keys() [2]record.LogKey
	// Sign returns the signed note of a checkpoint's text, checked as OpenNote does it. The text's first line is origin.
	Sign(origin, text string) (note string, err error)
	// Secret returns a key for what its holder keeps for that purpose beside the log of that origin: always the same 32
	// bytes, which nobody can compute without the log key. It is never written down.
	Secret(origin, purpose string) ([]byte, error)
}

type logSigner struct {
	ecdsa   Signer
	ed25519 signature.SignerVerifier
	keys    [2]record.LogKey
}

// NewLogSigner makes a LogSigner of two keys that sigstore can sign with: ECDSA P-256 with SHA-256, and Ed25519.
func NewLogSigner(ecdsaKey, ed25519Key signature.SignerVerifier) (LogSigner, error) {
	first, err := NewSigner(ecdsaKey)
	if err != nil {
		return nil, err
	}
	return makeLogSigner(first, ed25519Key)
}

// NewLogSignerOf makes a LogSigner of a Signer, whose key may be in a device, and an Ed25519 key in memory.
func NewLogSignerOf(first Signer, ed25519Key ed25519.PrivateKey) (LogSigner, error) {
	if len(ed25519Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("use the key: %w: Ed25519 key of %d bytes", record.ErrMalformed, len(ed25519Key))
	}
	second, err := signature.LoadED25519SignerVerifier(ed25519Key)
	if err != nil {
		return nil, fmt.Errorf("use the key: %w", err)
	}
	return makeLogSigner(first, second)
}

func makeLogSigner(first Signer, ed25519Key signature.SignerVerifier) (LogSigner, error) {
	second, err := ed25519Key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("ask the signer for its public key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(second)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	if _, err := parseEd25519(der); err != nil {
		return nil, err
	}
	return &logSigner{first, ed25519Key, logKeys(first.PublicKey(), der)}, nil
}

// NewSoftwareLogSigner makes a LogSigner of keys in memory.
func NewSoftwareLogSigner(ecdsaKey *ecdsa.PrivateKey, ed25519Key ed25519.PrivateKey) (LogSigner, error) {
	first, err := NewSoftwareSigner(ecdsaKey)
	if err != nil {
		return nil, err
	}
	return NewLogSignerOf(first, ed25519Key)
}

func logKeys(first PublicKey, second []byte) [2]record.LogKey {
	return [2]record.LogKey{
		{Line: record.LineECDSA, PublicKey: first.Base64()},
		{Line: record.LineEd25519, PublicKey: base64.StdEncoding.EncodeToString(second)},
	}
}

func (s *logSigner) Keys() [2]record.LogKey { return s.keys }

func (s *logSigner) Sign(origin, text string) (string, error) {
	verifiers, err := LogVerifiers(origin, s.keys[:])
	if err != nil {
		return "", err
	}
	signEd25519 := func(m []byte) ([]byte, error) { return s.ed25519.SignMessage(bytes.NewReader(m)) }
	b, err := note.Sign(&note.Note{Text: text}, noteSigner{verifiers[0], s.ecdsa.Sign}, noteSigner{verifiers[1], signEd25519})
	if err != nil {
		return "", fmt.Errorf("sign the checkpoint of %s: %w", origin, err)
	}
	if _, err := OpenNote(b, origin, s.keys[:]); err != nil {
		return "", fmt.Errorf("check the checkpoint just signed: %w", err)
	}
	return string(b), nil
}

// Secret is SHA-256 of the Ed25519 signature, which is deterministic, of a text that is no checkpoint: its first line is
// no origin.
func (s *logSigner) Secret(origin, purpose string) ([]byte, error) {
	sig, err := s.ed25519.SignMessage(strings.NewReader(fmt.Sprintf("exhibit-secret-v1\n%s\n%s\n", purpose, origin)))
	if err != nil {
		return nil, fmt.Errorf("derive a secret of the log key: %w", err)
	}
	sum := sha256.Sum256(sig)
	return sum[:], nil
}

// noteSigner signs in the name and with the key hash of the verifier that will check it.
type noteSigner struct {
	note.Verifier
	sign func([]byte) ([]byte, error)
}

func (s noteSigner) Sign(text []byte) ([]byte, error) { return s.sign(text) }

// ecdsaVerifier is C2SP signed-note type 0x02; its key hash covers the key alone, not the name.
type ecdsaVerifier struct {
	name string
	key  PublicKey
}

func (v ecdsaVerifier) Name() string { return v.name }

func (v ecdsaVerifier) KeyHash() uint32 {
	sum := sha256.Sum256(v.key.DER())
	return binary.BigEndian.Uint32(sum[:])
}

func (v ecdsaVerifier) Verify(text, sig []byte) bool { return v.key.Verify(text, sig) == nil }

// LogVerifiers returns the verifiers of the lines of a log's checkpoints, in their order: two for a log key, or four for a
// checkpoint that two of them sign, because one takes the other's place. Keys that are not each one record.LineECDSA and
// one record.LineEd25519, in this order, wrap record.ErrMalformed.
func LogVerifiers(origin string, keys []record.LogKey) ([]note.Verifier, error) {
	if !record.ValidOrigin(origin) {
		return nil, fmt.Errorf("%w: origin %.80q", record.ErrMalformed, origin)
	}
	if len(keys) == 4 {
		before, err := pairVerifiers(origin, keys[:2])
		if err != nil {
			return nil, err
		}
		after, err := pairVerifiers(origin, keys[2:])
		if err != nil {
			return nil, err
		}
		return append(before, after...), nil
	}
	return pairVerifiers(origin, keys)
}

func pairVerifiers(origin string, keys []record.LogKey) ([]note.Verifier, error) {
	if len(keys) != 2 || keys[0].Line != record.LineECDSA || keys[1].Line != record.LineEd25519 {
		return nil, fmt.Errorf("%w: log keys are not one %s and one %s, in this order", record.ErrMalformed, record.LineECDSA, record.LineEd25519)
	}
	first, err := ParsePublicKeyBase64(keys[0].PublicKey)
	if err != nil {
		return nil, fmt.Errorf("log key %s: %w", record.LineECDSA, err)
	}
	der, err := decodeBase64(keys[1].PublicKey, ed25519DERBytes)
	if err != nil {
		return nil, fmt.Errorf("log key %s: %w", record.LineEd25519, err)
	}
	raw, err := parseEd25519(der)
	if err != nil {
		return nil, fmt.Errorf("log key %s: %w", record.LineEd25519, err)
	}
	text, err := note.NewEd25519VerifierKey(origin, raw)
	if err != nil {
		return nil, fmt.Errorf("log key %s: %w", record.LineEd25519, err)
	}
	second, err := note.NewVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("log key %s: %w", record.LineEd25519, err)
	}
	return []note.Verifier{ecdsaVerifier{origin, first}, second}, nil
}

func parseEd25519(der []byte) (ed25519.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", record.ErrMalformed, err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: public key is not one of Ed25519", record.ErrMalformed)
	}
	again, err := x509.MarshalPKIXPublicKey(key)
	if err != nil || !bytes.Equal(again, der) {
		return nil, fmt.Errorf("%w: public key is not in its canonical form", record.ErrMalformed)
	}
	return key, nil
}

// OpenNote returns the text of a signed checkpoint, which ends in a newline and begins with the line origin. It
// requires exactly the lines of keys, see LogVerifiers, in their order, each verified. A line that does not verify is ErrSignature;
// a missing, further, misplaced or differently written one, and a text of another origin, wrap record.ErrMalformed.
func OpenNote(noteBytes []byte, origin string, keys []record.LogKey) (text string, err error) {
	verifiers, err := LogVerifiers(origin, keys)
	if err != nil {
		return "", err
	}
	if len(noteBytes) > layout.MaxCheckpoint {
		return "", fmt.Errorf("%w: checkpoint of %d bytes, at most %d are allowed", record.ErrMalformed, len(noteBytes), layout.MaxCheckpoint)
	}
	n, err := note.Open(noteBytes, note.VerifierList(verifiers...))
	if err != nil {
		return "", noteError(err)
	}
	if !strings.HasPrefix(n.Text, origin+"\n") {
		return "", fmt.Errorf("%w: the checkpoint is not one of %s", record.ErrMalformed, origin)
	}
	// note.Open passes over unknown and repeated lines, any order, and base64 with stray bits: compare what it should be.
	if again, ok := formatNote(n, verifiers); !ok || again != string(noteBytes) {
		return "", fmt.Errorf("%w: the checkpoint has not exactly the lines of its log, in order", record.ErrMalformed)
	}
	return n.Text, nil
}

func noteError(err error) error {
	if _, ok := errors.AsType[*note.InvalidSignatureError](err); ok {
		return fmt.Errorf("checkpoint: %w: %w", ErrSignature, err)
	}
	if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return fmt.Errorf("checkpoint: %w: no line is by a key of its log", ErrSignature)
	}
	return fmt.Errorf("checkpoint: %w: %w", record.ErrMalformed, err)
}

// formatNote writes the note that has exactly these lines; false when n lacks one or has them in another order.
func formatNote(n *note.Note, verifiers []note.Verifier) (string, bool) {
	if len(n.Sigs) != len(verifiers) {
		return "", false
	}
	var b strings.Builder
	b.WriteString(n.Text + "\n")
	for i, v := range verifiers {
		raw, err := base64.StdEncoding.DecodeString(n.Sigs[i].Base64)
		if err != nil || n.Sigs[i].Name != v.Name() || n.Sigs[i].Hash != v.KeyHash() {
			return "", false
		}
		b.WriteString("— " + v.Name() + " " + base64.StdEncoding.EncodeToString(raw) + "\n")
	}
	return b.String(), true
}
