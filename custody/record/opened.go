package record

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
)

// The kinds of key that sign. A log key is none of them: it signs checkpoints only.
const (
	KindPerson  = "person"  // signs that person's custody events
	KindStation = "station" // signs acquisition records
)

// The signature algorithms of checkpoint lines, as C2SP signed-note types.
const (
	LineECDSA   = "ecdsa-p256" // type 0x02
	LineEd25519 = "ed25519"    // type 0x01
)

// CaseOpened is the genesis: leaf 0 of a log. Its leaf hash is what people compare by telephone.
type CaseOpened struct {
	Agency    string         `json:"agency"`
	Case      string         `json:"case"` // the case number
	Continues *Continuation  `json:"continues,omitzero"`
	Counter   *Counter       `json:"counter,omitzero"`
	Joins     *Joining       `json:"joins,omitzero"`
	LogKeys   []LogKey       `json:"logKeys"`
	Nonce     string         `json:"nonce"` // 32 random bytes, hex: two cases never share a genesis
	OpenedBy  Fact[Personal] `json:"openedBy"`
	Origin    string         `json:"origin"`
	Signers   []Signer       `json:"signers"`
	Time      Time           `json:"time"`
}

// LogKey is the public key of one line that every checkpoint of the log carries.
type LogKey struct {
	Line      string `json:"line"`      // LineECDSA or LineEd25519
	PublicKey string `json:"publicKey"` // DER SubjectPublicKeyInfo, standard base64
}

// Signer is one admitted key and the events it may sign.
type Signer struct {
	Events    []Type         `json:"events"` // sorted, none doubled, never empty
	Holder    Fact[Personal] `json:"holder"`
	Kind      string         `json:"kind"`      // KindPerson or KindStation
	PublicKey string         `json:"publicKey"` // DER SubjectPublicKeyInfo of an ECDSA P-256 key, standard base64
}

// MaxSigners bounds the signers of a genesis.
const MaxSigners = 1000

var originForm = regexp.MustCompile(`^[a-z2-7]{26}\.exhibit\.invalid$`)

// ValidOrigin reports whether s is a log's name: 26 base32 characters and ".exhibit.invalid".
func ValidOrigin(s string) bool { return originForm.MatchString(s) }

// Type implements Predicate.
func (c *CaseOpened) Type() Type { return TypeCaseOpened }

func (c *CaseOpened) subjects() []subject { return nil }

// Validate implements Predicate.
func (c *CaseOpened) Validate() error {
	if err := checkLine("agency", c.Agency); err != nil {
		return err
	}
	if err := checkLine("case", c.Case); err != nil {
		return err
	}
	if n, err := hex.DecodeString(c.Nonce); err != nil || len(n) != 32 || hex.EncodeToString(n) != c.Nonce {
		return fmt.Errorf("%w: nonce", ErrMalformed)
	}
	if !ValidOrigin(c.Origin) {
		return fmt.Errorf("%w: origin %.80q", ErrMalformed, c.Origin)
	}
	if err := checkLogKeys(c.LogKeys); err != nil {
		return err
	}
	if len(c.Signers) == 0 || len(c.Signers) > MaxSigners {
		return fmt.Errorf("%w: %d signers", ErrMalformed, len(c.Signers))
	}
	if err := c.checkKeys(); err != nil {
		return err
	}
	if c.Continues != nil {
		if err := c.Continues.Validate(); err != nil {
			return fmt.Errorf("continues: %w", err)
		}
	}
	if c.Joins != nil {
		if err := c.Joins.Validate(); err != nil {
			return fmt.Errorf("joins: %w", err)
		}
		if c.Joins.Origin == c.Origin || c.Continues != nil && c.Continues.Origin == c.Joins.Origin {
			return fmt.Errorf("%w: it joins itself, or the log that it continues", ErrMalformed)
		}
	}
	if c.Counter != nil {
		if err := c.Counter.Validate(); err != nil {
			return fmt.Errorf("counter: %w", err)
		}
	}
	return c.Time.Validate()
}

// checkKeys requires that no public key stands twice, in whatever role: the three kinds are never the same key.
func (c *CaseOpened) checkKeys() error { return seenKeys{}.addAll(c.LogKeys, c.Signers) }

func checkLogKeys(keys []LogKey) error {
	if len(keys) != 2 || keys[0].Line != LineECDSA || keys[1].Line != LineEd25519 {
		return fmt.Errorf("%w: logKeys are not one %s and one %s, in this order", ErrMalformed, LineECDSA, LineEd25519)
	}
	return nil
}

// seenKeys are the public keys of one statement.
type seenKeys map[string]bool

// add requires the base64 of something that may be a key and was not there before.
func (k seenKeys) add(field, key string) error {
	der, err := base64.StdEncoding.Strict().DecodeString(key)
	if err != nil || len(der) == 0 || len(der) > 512 || base64.StdEncoding.EncodeToString(der) != key || k[key] {
		return fmt.Errorf("%w: %s is no public key, or stands twice", ErrMalformed, field)
	}
	k[key] = true
	return nil
}

func (k seenKeys) addAll(logKeys []LogKey, signers []Signer) error {
	for i, l := range logKeys {
		if err := k.add(fmt.Sprintf("logKeys[%d]", i), l.PublicKey); err != nil {
			return err
		}
	}
	for i, s := range signers {
		if err := k.add(fmt.Sprintf("signers[%d]", i), s.PublicKey); err != nil {
			return err
		}
		if err := s.validate(); err != nil {
			return fmt.Errorf("signers[%d]: %w", i, err)
		}
	}
	return nil
}

func (s *Signer) validate() error {
	if s.Kind != KindPerson && s.Kind != KindStation {
		return fmt.Errorf("%w: kind %.40q", ErrMalformed, s.Kind)
	}
	if len(s.Events) == 0 {
		return fmt.Errorf("%w: no events", ErrMalformed)
	}
	for i, e := range s.Events {
		if !slices.Contains(SignedTypes, e) || i > 0 && s.Events[i-1] >= e {
			return fmt.Errorf("%w: events[%d] %.40q is unknown, doubled or out of order", ErrMalformed, i, e)
		}
	}
	if s.Kind != KindPerson && slices.Contains(s.Events, TypeKeysChanged) {
		return fmt.Errorf("%w: a %s is admitted for %q, which is a person's to decide", ErrMalformed, s.Kind, TypeKeysChanged)
	}
	return nil
}

// MaySign reports whether s is admitted for statements of type t. Each key that is admitted for any may take another log's
// checkpoint in, and each person's key may close the log.
func (s *Signer) MaySign(t Type) bool {
	return t == TypeAnchored || t == TypeCaseClosed && s.Kind == KindPerson || slices.Contains(s.Events, t)
}
