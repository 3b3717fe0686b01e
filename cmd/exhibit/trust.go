package main

import (
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/verify"
)

type trustDocument struct {
	Schema  string              `json:"schema"`
	Entries []verify.TrustEntry `json:"entries"`
}

func newTrustCommand(u *ui) *cobra.Command {
	return group("trust", "Say which cases this station trusts, and as what", newTrustAddCommand(u), newTrustListCommand(u), newTrustRemoveCommand(u))
}

type trustAddOptions struct {
	name, since string
	quorum      int64
}

func newTrustAddCommand(u *ui) *cobra.Command {
	var o trustAddOptions
	return newCommand(command{
		use: "add genesis|enrolment|time-stamp|witness|revocation VALUE", short: "Trust a case, a time-stamp root or a witness, or revoke a key",
		long: "Say what this station trusts, and as what; one role never vouches for another. Take each VALUE from another channel\n" +
			"than the case folder: by telephone, in person, from the case file. What lies in a case folder is never a reason to\n" +
			"trust it.\n\n" +
			"  genesis FINGERPRINT   a case, by its fingerprint: 64 hex digits, with or without spaces\n" +
			"  enrolment FINGERPRINT an authority, by its key (exhibit key ca create shows it): what it certified after looking at the\n" +
			"                        TPM counts as tpm-hardware\n" +
			"  time-stamp FILE       the root certificate (PEM) of time-stamp authorities\n" +
			"  witness KEY           a witness, by the verifier key that exhibit witness create shows\n" +
			"  revocation KEYID      a key whose signatures count no more, but for those that an anchor shows to be older\n" +
			"                        than --since; also one that was replaced, with the time of that",
		example: "  exhibit trust add genesis \"1f2e 3d4c ...\" --name \"Case 2026-001, Example Police\"\n" +
			"  exhibit trust add time-stamp root.pem --name \"Example time-stamps\"\n" +
			"  exhibit trust add revocation 9c01... --since 2026-11-23T09:15:00+01:00 --name \"laptop stolen\"",
		args: cobra.ExactArgs(2),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.name, "name", "", "what it is and who told you, in `WORDS` (required)")
			f.Int64Var(&o.quorum, "quorum", 1, "of a witness: how many of all the witnesses must have cosigned, `N`; the same for each")
			f.StringVar(&o.since, "since", "", "of a revocation: `TIME` from which on signatures count no more, RFC 3339 with offset")
		},
		run: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("quorum") && args[0] != verify.RoleWitness || o.since != "" && args[0] != verify.RoleRevocation {
				return withHints(fmt.Errorf("the role %.40q has no such flag", args[0]), "see: exhibit trust add -h")
			}
			return runTrustAdd(u, args[0], args[1], &o)
		},
	})
}

func runTrustAdd(u *ui, role, value string, o *trustAddOptions) error {
	if !slices.Contains(verify.Roles, role) {
		return withHints(fmt.Errorf("role %.40q is not known in this version", role), "this version knows the roles: "+strings.Join(verify.Roles, ", "))
	}
	entry, err := newTrust(role, value, o)
	if err != nil {
		return err
	}
	entries, err := readTrust("")
	if err != nil {
		return err
	}
	for i, e := range entries {
		if e.Role == role && e.Fingerprint == entry.Fingerprint {
			return withHints(fmt.Errorf("already trusted, as %q", e.Name), "take it away first with: exhibit trust remove "+e.Fingerprint)
		}
		if e.Role == role && role == verify.RoleWitness {
			entries[i].Quorum = entry.Quorum // one for all of them
		}
	}
	entries = append(entries, entry)
	if err := writeTrust(entries); err != nil {
		return err
	}
	return u.result(trustDocument{"exhibit-trust-list/v1", []verify.TrustEntry{entry}}, func() {
		u.linef("Trusted as %s: %s", role, clean(o.name))
		u.linef("Fingerprint: %s", sign.Fingerprint(entry.Fingerprint))
	})
}

// newTrust makes the entry of what was typed.
func newTrust(role, value string, o *trustAddOptions) (verify.TrustEntry, error) {
	if o.name == "" {
		return verify.TrustEntry{}, withHints(fmt.Errorf("an entry of trust needs a name"), "say whose it is with --name WORDS")
	}
	var entry verify.TrustEntry
	var err error
	switch role {
	case verify.RoleTimeStamp:
		var der []byte
		if der, err = readCertificate(value); err == nil {
			entry, err = verify.NewTimeStampEntry(der, o.name, time.Now())
		}
	case verify.RoleWitness:
		var k anchor.WitnessKey
		if k, err = anchor.ParseWitnessKey(value); err == nil {
			entry, err = verify.NewWitnessEntry(k, o.quorum, o.name, time.Now())
		}
	case verify.RoleRevocation:
		var since time.Time
		if since, err = time.Parse(time.RFC3339, o.since); err != nil {
			return verify.TrustEntry{}, withHints(fmt.Errorf("--since %.60q is no time", o.since), "write it as 2026-11-23T09:15:00+01:00")
		}
		var digits string
		if digits, err = fingerprintDigits(value); err == nil {
			entry, err = verify.NewRevocationEntry(digits, since, o.name, time.Now())
		}
	default:
		var digits string
		if digits, err = fingerprintDigits(value); err == nil {
			entry, err = verify.NewTrustEntry(role, digits, o.name, time.Now())
		}
	}
	return entry, misused(err, "a fingerprint is 64 hex digits, and so is the identifier of a key; see them with: exhibit case show",
		"--name is one printable line of at most 200 bytes")
}

func fingerprintDigits(s string) (string, error) {
	leaf, err := record.ParseLeafHash(strings.ToLower(strings.Join(strings.Fields(s), "")))
	return leaf.String(), err
}

// readCertificate reads a file that holds exactly one certificate.
func readCertificate(name string) ([]byte, error) {
	b, err := readBounded(name, layout.MaxCertificate)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, fmt.Errorf("%q does not hold exactly one certificate in PEM", name)
	}
	return block.Bytes, nil
}

func newTrustListCommand(u *ui) *cobra.Command {
	return newCommand(command{use: "list", short: "List what this station trusts", run: func(*cobra.Command, []string) error {
		entries, err := readTrust("")
		if err != nil {
			return err
		}
		return u.result(trustDocument{"exhibit-trust-list/v1", entries}, func() {
			for _, e := range entries {
				u.linef("%s  %s  added %s%s", e.Role, clean(e.Name), e.Added, trustDetail(e))
				u.linef("  %s", sign.Fingerprint(e.Fingerprint))
			}
			if len(entries) == 0 {
				u.notef("nothing is trusted yet")
			}
		})
	}})
}

func trustDetail(e verify.TrustEntry) string {
	switch e.Role {
	case verify.RoleWitness:
		return fmt.Sprintf("  quorum %d", e.Quorum)
	case verify.RoleRevocation:
		return "  since " + e.Since
	}
	return ""
}

func newTrustRemoveCommand(u *ui) *cobra.Command {
	return newCommand(command{
		use: "remove FINGERPRINT", short: "Take back an entry of trust, or a revocation", args: cobra.ExactArgs(1),
		run: func(_ *cobra.Command, args []string) error {
			want := strings.ToLower(strings.Join(strings.Fields(args[0]), ""))
			entries, err := readTrust("")
			if err != nil {
				return err
			}
			left := slices.DeleteFunc(slices.Clone(entries), func(e verify.TrustEntry) bool { return e.Fingerprint == want })
			if len(left) == len(entries) {
				return withHints(fmt.Errorf("no entry has the fingerprint %.80q", args[0]), "see: exhibit trust list")
			}
			if err := writeTrust(left); err != nil {
				return err
			}
			return u.result(trustDocument{"exhibit-trust-list/v1", left}, func() {
				u.linef("Removed: %s", sign.Fingerprint(want))
			})
		},
	})
}
