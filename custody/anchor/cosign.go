package anchor

import (
	"bytes"
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// The types of cosignature, as C2SP signed notes number them.
const (
	typeEd25519 = 0x04
	typeMLDSA44 = 0x06
)

// WitnessKey is the public key of a witness, with its name. It is comparable. The zero WitnessKey verifies nothing.
type WitnessKey struct {
	name string
	kind byte
	key  string // raw
}

var witnessName = regexp.MustCompile(`^[a-z0-9]([a-z0-9./-]{0,98}[a-z0-9])?$`)

// ValidWitnessName reports whether a witness can be called that: 1 to 100 characters a-z 0-9 . / -, like an address
// without its scheme.
func ValidWitnessName(name string) bool { return witnessName.MatchString(name) }

func newWitnessKey(name string, kind byte, key []byte) (WitnessKey, error) {
	if !ValidWitnessName(name) {
		return WitnessKey{}, fmt.Errorf("witness: %w: name %.120q", record.ErrMalformed, name)
	}
	k := WitnessKey{name, kind, string(key)}
	switch {
	case kind == typeEd25519 && len(key) == ed25519.PublicKeySize:
	case kind == typeMLDSA44 && k.mldsa() != nil:
	default:
		return WitnessKey{}, fmt.Errorf("witness: %w: key of type %d with %d bytes", record.ErrMalformed, kind, len(key))
	}
	return k, nil
}

// ParseWitnessKey reads a verifier key as C2SP signed notes write it: name, key hash and key, joined by "+". The key is one
// for cosignatures, Ed25519 or ML-DSA-44; any other type wraps record.ErrNewer.
func ParseWitnessKey(vkey string) (WitnessKey, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 || len(vkey) > 4096 {
		return WitnessKey{}, fmt.Errorf("witness: %w: it is not name+hash+key", record.ErrMalformed)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(b) == 0 {
		return WitnessKey{}, fmt.Errorf("witness: %w: the key is not base64", record.ErrMalformed)
	}
	if b[0] != typeEd25519 && b[0] != typeMLDSA44 {
		return WitnessKey{}, fmt.Errorf("witness: a key of type %d is %w: a cosignature's is 4 or 6", b[0], record.ErrNewer)
	}
	k, err := newWitnessKey(parts[0], b[0], b[1:])
	if err != nil {
		return WitnessKey{}, err
	}
	if k.String() != vkey {
		return WitnessKey{}, fmt.Errorf("witness: %w: the key hash, or the spelling, is wrong", record.ErrMalformed)
	}
	return k, nil
}

// Name returns the witness's name.
func (k WitnessKey) Name() string { return k.name }

// PostQuantum reports whether it is an ML-DSA-44 key.
func (k WitnessKey) PostQuantum() bool { return k.kind == typeMLDSA44 }

// String returns the verifier key.
func (k WitnessKey) String() string {
	raw := append([]byte{k.kind}, k.key...)
	return fmt.Sprintf("%s+%08x+%s", k.name, k.hash(), base64.StdEncoding.EncodeToString(raw))
}

// Fingerprint is the SHA-256 of the verifier key's text, in hex, by which people compare it.
func (k WitnessKey) Fingerprint() string {
	sum := sha256.Sum256([]byte(k.String()))
	return fmt.Sprintf("%x", sum)
}

func (k WitnessKey) hash() uint32 {
	sum := sha256.Sum256(append([]byte(k.name+"\n"), append([]byte{k.kind}, k.key...)...))
	return binary.BigEndian.Uint32(sum[:])
}

func (k WitnessKey) mldsa() *mldsa.PublicKey {
	if key, err := mldsa.NewPublicKey(mldsa.MLDSA44(), []byte(k.key)); err == nil {
		return key
	}
	return nil
}

// message is what a cosignature covers, made at that time.
func (k WitnessKey) message(c ledger.Checkpoint, at uint64) []byte {
	if k.kind == typeEd25519 {
		return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, c.Text())
	}
	b := []byte("subtree/v1\n\x00")
	b = append(append(b, byte(len(k.name))), k.name...)
	b = binary.BigEndian.AppendUint64(b, at)
	b = append(append(b, byte(len(c.Origin))), c.Origin...)
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Size))
	return append(b, c.Root[:]...)
}

func (k WitnessKey) verify(message, sig []byte) bool {
	switch k.kind {
	case typeEd25519:
		return len(k.key) == ed25519.PublicKeySize && ed25519.Verify(ed25519.PublicKey(k.key), message, sig)
	case typeMLDSA44:
		key := k.mldsa()
		return key != nil && mldsa.Verify(key, message, sig, nil) == nil
	}
	return false
}

// Cosigned is a checkpoint's text with lines of witnesses, read and NOT verified.
type Cosigned struct {
	Checkpoint ledger.Checkpoint
	lines      []cosignature
}

type cosignature struct {
	name string
	hash uint32
	time uint64
	sig  []byte
}

// maxLines bounds the lines of witnesses in one file.
const maxLines = 32

// maxTime is the last second of the year 9999.
const maxTime = 253402300799

// ParseCosigned reads a .cosig file: a signed note of the checkpoint's text and at least one line, of witnesses only, in its
// one spelling; else the error wraps record.ErrMalformed.
func ParseCosigned(b []byte) (Cosigned, error) {
	fail := func(why string) (Cosigned, error) {
		return Cosigned{}, fmt.Errorf("cosigned checkpoint: %w: %s", record.ErrMalformed, why)
	}
	if len(b) > layout.MaxCosigned {
		return fail("too large")
	}
	text, rest, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		return fail("no signature lines")
	}
	checkpoint, err := ledger.ParseCheckpoint(text + "\n")
	if err != nil {
		return Cosigned{}, err
	}
	c := Cosigned{Checkpoint: checkpoint}
	if c.lines, err = parseLines(rest); err != nil {
		return Cosigned{}, err
	}
	if len(c.lines) == 0 {
		return fail("no signature lines")
	}
	if !bytes.Equal(c.Encode(), b) {
		return fail("not the canonical text")
	}
	return c, nil
}

// parseLines reads signature lines, as a witness answers with.
func parseLines(text string) ([]cosignature, error) {
	var lines []cosignature
	for text != "" {
		line, rest, ok := strings.Cut(text, "\n")
		fields, isLine := strings.CutPrefix(line, "— ")
		name, coded, two := strings.Cut(fields, " ")
		raw, err := base64.StdEncoding.Strict().DecodeString(coded)
		if !ok || !isLine || !two || err != nil || name == "" || len(name) > 255 || len(raw) < 4+8+1 || len(lines) >= maxLines {
			return nil, fmt.Errorf("cosignature: %w: line %d", record.ErrMalformed, len(lines)+1)
		}
		lines = append(lines, cosignature{name, binary.BigEndian.Uint32(raw), binary.BigEndian.Uint64(raw[4:]), raw[12:]})
		text = rest
	}
	return lines, nil
}

func (s cosignature) String() string {
	raw := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, s.hash), s.time)
	return "— " + s.name + " " + base64.StdEncoding.EncodeToString(append(raw, s.sig...)) + "\n"
}

// Encode returns the .cosig file.
func (c Cosigned) Encode() []byte {
	var b strings.Builder
	b.WriteString(c.Checkpoint.Text() + "\n")
	for _, l := range c.lines {
		b.WriteString(l.String())
	}
	return []byte(b.String())
}

// By returns the time at which a witness says that it saw the checkpoint as the newest of its log, and whether a line of
// the witness is there and holds. Of several lines of one key the earliest counts.
func (c Cosigned) By(k WitnessKey) (at time.Time, ok bool) {
	for _, l := range c.lines {
		if l.name != k.name || l.hash != k.hash() || l.time > maxTime || !k.verify(k.message(c.Checkpoint, l.time), l.sig) {
			continue
		}
		if t := time.Unix(int64(l.time), 0).UTC(); !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	return at, ok
}

// Claimed returns the witness and the time that the first line gives, which is not verified.
func (c Cosigned) Claimed() (name, at string) {
	if len(c.lines) == 0 || c.lines[0].time > maxTime {
		return "", ""
	}
	return c.lines[0].name, time.Unix(int64(c.lines[0].time), 0).UTC().Format("2006-01-02T15:04:05.000Z")
}

// Only returns c with the lines that hold by one of keys, in their order; ok is false when there is none.
func (c Cosigned) Only(keys []WitnessKey) (out Cosigned, ok bool) {
	out.Checkpoint = c.Checkpoint
	for _, l := range c.lines {
		one := Cosigned{Checkpoint: c.Checkpoint, lines: []cosignature{l}}
		for _, k := range keys {
			if _, holds := one.By(k); holds {
				out.lines = append(out.lines, l)
				break
			}
		}
	}
	return out, len(out.lines) > 0
}

// ParseAnswer reads the lines that a witness answered with, about a checkpoint. Nothing is verified: see Only.
func ParseAnswer(c ledger.Checkpoint, answer []byte) (Cosigned, error) {
	if len(answer) > layout.MaxCosigned {
		return Cosigned{}, fmt.Errorf("cosignature: %w: %d bytes", record.ErrMalformed, len(answer))
	}
	lines, err := parseLines(string(answer))
	if err != nil {
		return Cosigned{}, err
	}
	return Cosigned{c, lines}, nil
}

// Cosigner is the key of a witness: Ed25519, and with it an ML-DSA-44 key or none. The second protects the checkpoint, and
// nothing else, against whoever can break the first with a quantum computer; it is a key in a file like the other.
type Cosigner struct {
	Name    string
	Ed25519 ed25519.PrivateKey
	MLDSA   *mldsa.PrivateKey // may be nil
}

// Keys returns the public keys, Ed25519 first.
func (s Cosigner) Keys() ([]WitnessKey, error) {
	public, ok := s.Ed25519.Public().(ed25519.PublicKey)
	if !ok || len(s.Ed25519) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("witness: %w: no Ed25519 key", record.ErrMalformed)
	}
	first, err := newWitnessKey(s.Name, typeEd25519, public)
	if err != nil || s.MLDSA == nil {
		return []WitnessKey{first}, err
	}
	second, err := newWitnessKey(s.Name, typeMLDSA44, s.MLDSA.PublicKey().Bytes())
	return []WitnessKey{first, second}, err
}

// Sign cosigns a checkpoint, and verifies what it made.
func (s Cosigner) Sign(c ledger.Checkpoint, now time.Time) (Cosigned, error) {
	keys, err := s.Keys()
	if err != nil {
		return Cosigned{}, err
	}
	at := now.Unix()
	if at < 0 || at > maxTime {
		return Cosigned{}, fmt.Errorf("witness: the clock says %v", now)
	}
	out := Cosigned{Checkpoint: c}
	for _, k := range keys {
		message := k.message(c, uint64(at))
		sig := ed25519.Sign(s.Ed25519, message)
		if k.PostQuantum() {
			if sig, err = s.MLDSA.Sign(nil, message, nil); err != nil {
				return Cosigned{}, fmt.Errorf("witness: %w", err)
			}
		}
		out.lines = append(out.lines, cosignature{s.Name, k.hash(), uint64(at), sig})
		if _, ok := out.By(k); !ok {
			return Cosigned{}, fmt.Errorf("witness: the signature just made does not hold")
		}
	}
	return out, nil
}

// Lines returns the signature lines, as a witness answers with.
func (c Cosigned) Lines() []byte {
	_, lines, _ := strings.Cut(string(c.Encode()), "\n\n")
	return []byte(lines)
}
