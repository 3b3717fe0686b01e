package verify

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json/v2"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// The roles of an entry. One role never vouches for another.
const (
	RoleGenesis    = "genesis"    // a log, by the leaf hash of its genesis
	RoleEnrolment  = "enrolment"  // an authority, by the key id of its certificate, that saw keys in genuine TPMs before it certified them
	RoleTimeStamp  = "time-stamp" // the root certificate of time-stamp authorities
	RoleWitness    = "witness"    // a witness, by its key
	RoleRevocation = "revocation" // a key whose signatures count no more, unless they were made before a time
)

// Roles lists the roles that this version knows.
var Roles = []string{RoleGenesis, RoleEnrolment, RoleTimeStamp, RoleWitness, RoleRevocation}

const trustType = "exhibit-trust/v1"

// trustTime is RFC 3339 in UTC with milliseconds, as in every record.
const trustTime = "2006-01-02T15:04:05.000Z"

const (
	maxTrustEntries = 10_000
	maxTrustName    = 200
)

// ErrTrustTwice is returned when a fingerprint would stand twice in one role.
var ErrTrustTwice = errors.New("the fingerprint is in the trust file already")

// TrustEntry is one thing this station trusts, because its fingerprint came by a channel other than the case itself.
type TrustEntry struct {
	Added       string `json:"added"`                // RFC 3339, UTC, milliseconds
	Certificate string `json:"certificate,omitzero"` // of a time-stamp root: DER, base64
	Fingerprint string `json:"fingerprint"`          // 64 lower-case hex digits
	Name        string `json:"name"`                 // of the person's own choice, to recognise it by
	Quorum      int64  `json:"quorum,omitzero"`      // of a witness: how many of all the witnesses must have cosigned
	Role        string `json:"role"`
	Since       string `json:"since,omitzero"`    // of a revocation: from when on, in the form of Added
	Verifier    string `json:"verifier,omitzero"` // of a witness: its verifier key
}

type trustFile struct {
	Entries []TrustEntry `json:"entries"`
	Type    string       `json:"type"`
}

// NewTrustEntry makes an entry of a fingerprint as people write it: 64 hex digits in either case, with or without spaces.
func NewTrustEntry(role, fingerprint, name string, now time.Time) (TrustEntry, error) {
	digits := strings.ToLower(strings.Join(strings.Fields(fingerprint), ""))
	e := TrustEntry{Added: now.UTC().Format(trustTime), Fingerprint: digits, Name: name, Role: role}
	if err := e.validate(); err != nil {
		return TrustEntry{}, err
	}
	return e, nil
}

// ParseTrust reads a trust file (docs/format.md, 13). It is strict: a role of a later version wraps record.ErrNewer and
// refuses the whole file, for what it would mean to leave the entry out cannot be known; all else that is wrong wraps
// record.ErrMalformed.
func ParseTrust(b []byte) ([]TrustEntry, error) {
	if len(b) > layout.MaxTrust {
		return nil, fmt.Errorf("trust file: %w: %d bytes, at most %d are allowed", record.ErrMalformed, len(b), layout.MaxTrust)
	}
	var f trustFile
	if err := record.DecodeTyped(b, trustType, &f); err != nil {
		return nil, fmt.Errorf("trust file: %w", laterRole(b, err))
	}
	if err := validateTrust(f.Entries); err != nil {
		return nil, fmt.Errorf("trust file: %w", err)
	}
	return f.Entries, nil
}

// laterRole returns err, or that an entry has a role of a later version, which may explain its unknown members.
func laterRole(b []byte, err error) error {
	var f struct {
		Entries []struct {
			Role string `json:"role"`
		} `json:"entries"`
	}
	if errors.Is(err, record.ErrNewer) || json.Unmarshal(b, &f) != nil {
		return err
	}
	for _, e := range f.Entries {
		if e.Role != "" && !slices.Contains(Roles, e.Role) {
			return fmt.Errorf("role %.40q is %w", e.Role, record.ErrNewer)
		}
	}
	return err
}

// EncodeTrust returns the trust file. It refuses what ParseTrust would.
func EncodeTrust(entries []TrustEntry) ([]byte, error) {
	if err := validateTrust(entries); err != nil {
		return nil, fmt.Errorf("trust file: %w", err)
	}
	b, err := record.EncodeJSON(trustFile{entries, trustType})
	if err == nil && len(b) > layout.MaxTrust {
		err = fmt.Errorf("trust file: %d bytes, at most %d are allowed", len(b), layout.MaxTrust)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

func validateTrust(entries []TrustEntry) error {
	if len(entries) > maxTrustEntries {
		return fmt.Errorf("%w: %d entries, at most %d are allowed", record.ErrMalformed, len(entries), maxTrustEntries)
	}
	type key struct {
		role        string
		fingerprint string
	}
	seen := map[key]bool{}
	var quorum int64 // of the witnesses so far
	for i, e := range entries {
		if err := e.validate(); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		k := key{e.Role, e.Fingerprint}
		if seen[k] {
			return fmt.Errorf("entry %d: %w: %w", i, record.ErrMalformed, ErrTrustTwice)
		}
		seen[k] = true
		if e.Role == RoleWitness && quorum != 0 && e.Quorum != quorum {
			return fmt.Errorf("entry %d: %w: a quorum of %d, and of %d for another witness", i, record.ErrMalformed, e.Quorum, quorum)
		}
		if e.Role == RoleWitness {
			quorum = e.Quorum
		}
	}
	return nil
}

func (e TrustEntry) validate() error {
	if e.Role == "" {
		return fmt.Errorf("%w: no role", record.ErrMalformed)
	}
	if !slices.Contains(Roles, e.Role) {
		return fmt.Errorf("role %.40q is %w", e.Role, record.ErrNewer)
	}
	if err := e.checkMembers(); err != nil {
		return err
	}
	if _, err := record.ParseLeafHash(e.Fingerprint); err != nil {
		return fmt.Errorf("%w: the fingerprint is not 64 hex digits: %.80q", record.ErrMalformed, e.Fingerprint)
	}
	if at, err := time.Parse(trustTime, e.Added); err != nil || at.Format(trustTime) != e.Added {
		return fmt.Errorf("%w: time %.40q", record.ErrMalformed, e.Added)
	}
	if e.Name == "" || len(e.Name) > maxTrustName || !utf8.ValidString(e.Name) ||
		strings.IndexFunc(e.Name, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return fmt.Errorf("%w: the name %.80q is not one printable line of at most %d bytes", record.ErrMalformed, e.Name, maxTrustName)
	}
	return nil
}

// trustsEnrolment reports whether an entry vouches for the enrolment authority with that key id.
func trustsEnrolment(entries []TrustEntry, id string) bool {
	for _, e := range entries {
		if e.Role == RoleEnrolment && e.validate() == nil && e.Fingerprint == id {
			return true
		}
	}
	return false
}

// checkMembers requires what the role has, and nothing else.
func (e TrustEntry) checkMembers() error {
	want := TrustEntry{Added: e.Added, Fingerprint: e.Fingerprint, Name: e.Name, Role: e.Role}
	switch e.Role {
	case RoleTimeStamp:
		want.Certificate = e.Certificate
		if _, err := e.root(); err != nil {
			return err
		}
	case RoleWitness:
		want.Verifier, want.Quorum = e.Verifier, e.Quorum
		k, err := anchor.ParseWitnessKey(e.Verifier)
		if err != nil {
			return err
		}
		if k.Fingerprint() != e.Fingerprint || e.Quorum < 1 || e.Quorum > maxTrustEntries {
			return fmt.Errorf("%w: the fingerprint is not that of the witness, or the quorum is %d", record.ErrMalformed, e.Quorum)
		}
	case RoleRevocation:
		want.Since = e.Since
		if at, err := time.Parse(trustTime, e.Since); err != nil || at.Format(trustTime) != e.Since {
			return fmt.Errorf("%w: time %.40q", record.ErrMalformed, e.Since)
		}
	}
	if e != want {
		return fmt.Errorf("%w: a member that the role %s has not", record.ErrMalformed, e.Role)
	}
	return nil
}

// root is the certificate of a time-stamp root.
func (e TrustEntry) root() (*x509.Certificate, error) {
	der, err := base64.StdEncoding.Strict().DecodeString(e.Certificate)
	if err != nil || base64.StdEncoding.EncodeToString(der) != e.Certificate {
		return nil, fmt.Errorf("%w: the certificate is not base64", record.ErrMalformed)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %w", record.ErrMalformed, err)
	}
	if sum := sha256.Sum256(der); hex.EncodeToString(sum[:]) != e.Fingerprint {
		return nil, fmt.Errorf("%w: the fingerprint is not that of the certificate", record.ErrMalformed)
	}
	return c, nil
}

// NewTimeStampEntry trusts the root certificate of time-stamp authorities, given in DER.
func NewTimeStampEntry(der []byte, name string, now time.Time) (TrustEntry, error) {
	sum := sha256.Sum256(der)
	e := TrustEntry{Added: now.UTC().Format(trustTime), Certificate: base64.StdEncoding.EncodeToString(der), Fingerprint: hex.EncodeToString(sum[:]), Name: name, Role: RoleTimeStamp}
	return checked(e)
}

// NewWitnessEntry trusts a witness; quorum is how many of all the witnesses in the file must have cosigned.
func NewWitnessEntry(k anchor.WitnessKey, quorum int64, name string, now time.Time) (TrustEntry, error) {
	e := TrustEntry{Added: now.UTC().Format(trustTime), Fingerprint: k.Fingerprint(), Name: name, Quorum: quorum, Role: RoleWitness, Verifier: k.String()}
	return checked(e)
}

// NewRevocationEntry says that what a key signed counts only where an anchor shows that it was made before since.
func NewRevocationEntry(keyID string, since time.Time, name string, now time.Time) (TrustEntry, error) {
	e := TrustEntry{Added: now.UTC().Format(trustTime), Fingerprint: keyID, Name: name, Role: RoleRevocation, Since: since.UTC().Format(trustTime)}
	return checked(e)
}

func checked(e TrustEntry) (TrustEntry, error) {
	if err := e.validate(); err != nil {
		return TrustEntry{}, err
	}
	return e, nil
}

// TimeStampRoots returns the trusted roots of time-stamp authorities.
func TimeStampRoots(entries []TrustEntry) []*x509.Certificate {
	var roots []*x509.Certificate
	for _, e := range entries {
		if c, err := e.root(); e.Role == RoleTimeStamp && err == nil {
			roots = append(roots, c)
		}
	}
	return roots
}

// Witnesses returns the keys of the trusted witnesses, and how many of them must have cosigned; 0 when there are none.
func Witnesses(entries []TrustEntry) (keys []anchor.WitnessKey, quorum int64) {
	for _, e := range entries {
		if e.Role != RoleWitness || e.validate() != nil {
			continue
		}
		if k, err := anchor.ParseWitnessKey(e.Verifier); err == nil {
			keys, quorum = append(keys, k), max(quorum, e.Quorum)
		}
	}
	return keys, quorum
}

// revocations returns from when on a key's signatures count no more, by key identifier.
func revocations(entries []TrustEntry) map[string]time.Time {
	out := map[string]time.Time{}
	for _, e := range entries {
		if e.Role != RoleRevocation || e.validate() != nil {
			continue
		}
		if at, err := time.Parse(trustTime, e.Since); err == nil {
			out[e.Fingerprint] = at
		}
	}
	return out
}

// TrustsGenesis reports whether an entry vouches for the genesis with this leaf hash.
func TrustsGenesis(entries []TrustEntry, genesis record.LeafHash) bool {
	_, ok := trusts(entries, genesis)
	return ok
}

// trusts returns the entry that vouches for a genesis with this leaf hash.
func trusts(entries []TrustEntry, genesis record.LeafHash) (TrustEntry, bool) {
	for _, e := range entries {
		if e.Role == RoleGenesis && e.validate() == nil && e.Fingerprint == genesis.String() {
			return e, true
		}
	}
	return TrustEntry{}, false
}
