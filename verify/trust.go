package verify

import (
	"encoding/json/v2"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// RoleGenesis is the role of an entry that trusts a log by the leaf hash of its genesis. One role never vouches for
// another.
const RoleGenesis = "genesis"

// RoleEnrolment is the role of an entry that trusts an authority, by the key id of its certificate, to have seen keys in
// genuine TPMs before it certified them.
const RoleEnrolment = "enrolment"

// roles are those that this version knows.
var roles = []string{RoleGenesis, RoleEnrolment}

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
	Added       string `json:"added"`       // RFC 3339, UTC, milliseconds
	Fingerprint string `json:"fingerprint"` // 64 lower-case hex digits
	Name        string `json:"name"`        // of the person's own choice, to recognise it by
	Role        string `json:"role"`
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
		if e.Role != "" && !slices.Contains(roles, e.Role) {
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
	for i, e := range entries {
		if err := e.validate(); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		k := key{e.Role, e.Fingerprint}
		if seen[k] {
			return fmt.Errorf("entry %d: %w: %w", i, record.ErrMalformed, ErrTrustTwice)
		}
		seen[k] = true
	}
	return nil
}

func (e TrustEntry) validate() error {
	if e.Role == "" {
		return fmt.Errorf("%w: no role", record.ErrMalformed)
	}
	if !slices.Contains(roles, e.Role) {
		return fmt.Errorf("role %.40q is %w", e.Role, record.ErrNewer)
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

// trusts returns the entry that vouches for a genesis with this leaf hash.
func trusts(entries []TrustEntry, genesis record.LeafHash) (TrustEntry, bool) {
	for _, e := range entries {
		if e.Role == RoleGenesis && e.validate() == nil && e.Fingerprint == genesis.String() {
			return e, true
		}
	}
	return TrustEntry{}, false
}
