package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/verify"
)

type trustDocument struct {
	Schema  string              `json:"schema"`
	Entries []verify.TrustEntry `json:"entries"`
}

func newTrustCommand(u *ui) *cobra.Command {
	return group("trust", "Say which cases this station trusts, and as what", newTrustAddCommand(u), newTrustListCommand(u), newTrustRemoveCommand(u))
}

func newTrustAddCommand(u *ui) *cobra.Command {
	var name string
	return newCommand(command{
		use: "add genesis|enrolment FINGERPRINT", short: "Trust a case, or an authority that enrols TPM keys, by its fingerprint",
		long: "Trust a case by the fingerprint of its genesis, 64 hex digits, with or without spaces. Take the fingerprint from\n" +
			"another channel than the case folder: by telephone, in person, from the case file. What lies in a case folder\n" +
			"is never a reason to trust it. With the role enrolment the fingerprint is that of an authority's key (exhibit key ca\n" +
			"create shows it): what it certified after looking at the TPM counts as tpm-hardware.",
		example: "  exhibit trust add genesis \"1f2e 3d4c ...\" --name \"Case 2026-001, Example Police\"",
		args:    cobra.ExactArgs(2),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&name, "name", "", "whose case it is and who told you, in `WORDS` (required)")
		},
		run: func(_ *cobra.Command, args []string) error { return runTrustAdd(u, args[0], args[1], name) },
	})
}

func runTrustAdd(u *ui, role, fingerprint, name string) error {
	if role != verify.RoleGenesis && role != verify.RoleEnrolment {
		return withHints(fmt.Errorf("role %q is not known in this version", role), "this version knows the roles: genesis, enrolment")
	}
	leaf, err := record.ParseLeafHash(strings.ToLower(strings.Join(strings.Fields(fingerprint), "")))
	if err != nil {
		return withHints(err, "a fingerprint is 64 hex digits; see it with: exhibit case show")
	}
	if name == "" {
		return withHints(fmt.Errorf("an entry of trust needs a name"), "say whose case it is with --name WORDS")
	}
	entries, err := readTrust("")
	if err != nil {
		return err
	}
	entry, err := verify.NewTrustEntry(role, leaf.String(), name, time.Now())
	if err != nil {
		return misused(err, "say whose case it is with --name WORDS, one printable line of at most 200 bytes")
	}
	for _, e := range entries {
		if e.Role == role && e.Fingerprint == entry.Fingerprint {
			return withHints(fmt.Errorf("already trusted, as %q", e.Name), "take it away first with: exhibit trust remove "+e.Fingerprint)
		}
	}
	entries = append(entries, entry)
	if err := writeTrust(entries); err != nil {
		return err
	}
	return u.result(trustDocument{"exhibit-trust-list/v1", []verify.TrustEntry{entry}}, func() {
		u.linef("Trusted as %s: %s", role, clean(name))
		u.linef("Fingerprint: %s", sign.Fingerprint(entry.Fingerprint))
	})
}

func newTrustListCommand(u *ui) *cobra.Command {
	return newCommand(command{use: "list", short: "List what this station trusts", run: func(*cobra.Command, []string) error {
		entries, err := readTrust("")
		if err != nil {
			return err
		}
		return u.result(trustDocument{"exhibit-trust-list/v1", entries}, func() {
			for _, e := range entries {
				u.linef("%s  %s  added %s", e.Role, clean(e.Name), e.Added)
				u.linef("  %s", sign.Fingerprint(e.Fingerprint))
			}
			if len(entries) == 0 {
				u.notef("nothing is trusted yet")
			}
		})
	}})
}

func newTrustRemoveCommand(u *ui) *cobra.Command {
	return newCommand(command{
		use: "remove FINGERPRINT", short: "Trust a case no longer", args: cobra.ExactArgs(1),
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
