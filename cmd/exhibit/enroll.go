package main

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/tpm"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

type enrolDocument struct {
	Schema string `json:"schema"`
	File   string `json:"file"`
	Secret string `json:"secretFile,omitzero"`
}

const enrolSchema = "exhibit-enrol/v1"

// maxRoots bounds the file of the roots of TPM makers.
const maxRoots = 1 << 20

func newEnrollCommand(u *ui) *cobra.Command {
	return group("enroll", "Have an authority certify the keys in this station's TPM", newEnrollRequestCommand(u), newEnrollChallengeCommand(u),
		newEnrollRespondCommand(u), newEnrollIssueCommand(u), newEnrollInstallCommand(u))
}

// outFlag registers --out.
func outFlag(f *pflag.FlagSet, out *string) {
	f.StringVar(out, "out", "", "write to `FILE`, which must be new (required)")
}

// readFileOf reads a file of the enrolment.
func readFileOf[T any](name string, parse func([]byte) (T, error)) (T, error) {
	var none T
	b, err := readSmall(name, 1<<20)
	if err != nil {
		return none, err
	}
	v, err := parse(b)
	if err != nil {
		return none, misused(fmt.Errorf("%q: %w", name, err), "take the file as exhibit key enroll wrote it")
	}
	return v, nil
}

func newEnrollRequestCommand(u *ui) *cobra.Command {
	var out string
	return newCommand(command{
		use: "request KEY...", short: "On the station: ask for the certification of keys in its TPM",
		long: "On the station: write a request to have the named keys, which are in this machine's TPM, certified. It holds the\n" +
			"certificate of the TPM's endorsement key, which tells this machine from all others for ever: give it to the enrolling\n" +
			"officer and to nobody else. No case ever holds it.",
		example: "  exhibit key enroll request lab1 lab1-log --out request.json",
		args:    cobra.MinimumNArgs(1),
		flags:   func(f *pflag.FlagSet) { outFlag(f, &out) },
		run: func(_ *cobra.Command, args []string) error {
			store, err := openStore(false)
			if err != nil {
				return err
			}
			var keys []tpm.RequestedKey
			for _, name := range args {
				info, err := store.Info(name)
				if err != nil {
					return err
				}
				if info.Attestation == nil {
					return fmt.Errorf("key %q is not in a TPM", name)
				}
				a, err := attest.ParseKeyFile(info.Attestation)
				if err != nil {
					return fmt.Errorf("key %q: %w", name, err)
				}
				keys = append(keys, tpm.RequestedKey{Attestation: a, Kind: info.Kind})
			}
			station, err := store.machine.attach()
			if err != nil {
				return err
			}
			r, err := station.Request(keys)
			if err != nil {
				return err
			}
			b, err := r.Encode()
			if err != nil {
				return err
			}
			return wroteEnrol(u, out, b, "the request", "give it to the enrolling officer")
		},
	})
}

func wroteEnrol(u *ui, out string, b []byte, what, next string) error {
	if err := writeNew(out, b, false); err != nil {
		return err
	}
	return u.result(enrolDocument{Schema: enrolSchema, File: out}, func() { u.linef("Wrote %s to %q: %s.", what, out, next) })
}

func newEnrollChallengeCommand(u *ui) *cobra.Command {
	var out, secret, roots string
	return newCommand(command{
		use: "challenge REQUEST", short: "The officer: check a request and make the challenge for it",
		long: "The officer: check a request, above all that the certificate of the endorsement key is under one of the roots of TPM\n" +
			"makers that you have from elsewhere, and make a challenge that only that TPM can open. Keep the secret until the\n" +
			"response is there.",
		example: "  exhibit key enroll challenge request.json --roots makers.pem --out challenge.json --secret secret.json",
		args:    cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			outFlag(f, &out)
			f.StringVar(&secret, "secret", "", "write the officer's secret to `FILE`, which must be new (required)")
			f.StringVar(&roots, "roots", "", "`FILE` with the certificates of TPM makers that you trust, PEM (required)")
		},
		run: func(_ *cobra.Command, args []string) error {
			if roots == "" || secret == "" || out == "" {
				return withHints(errors.New("--roots, --secret and --out are required"), "see: exhibit key enroll challenge -h")
			}
			r, err := readFileOf(args[0], tpm.ParseRequest)
			if err != nil {
				return err
			}
			pem, err := readSmall(roots, maxRoots)
			if err != nil {
				return err
			}
			makers, others := x509.NewCertPool(), x509.NewCertPool()
			if !makers.AppendCertsFromPEM(pem) {
				return fmt.Errorf("%q holds no certificate in PEM", roots)
			}
			c, s, err := r.Challenge(makers, others, rand.Reader)
			if err != nil {
				return err
			}
			b, err := s.Encode()
			if err != nil {
				return err
			}
			if err := writeNew(secret, b, true); err != nil {
				return err
			}
			if b, err = c.Encode(); err != nil {
				return err
			}
			if err := writeNew(out, b, false); err != nil {
				return err
			}
			return u.result(enrolDocument{enrolSchema, out, secret}, func() {
				u.linef("The request holds together. Wrote the challenge to %q: take it to the station.", out)
				u.linef("Keep %q to yourself until the response is there.", secret)
			})
		},
	})
}

func newEnrollRespondCommand(u *ui) *cobra.Command {
	var out string
	return newCommand(command{
		use: "respond CHALLENGE", short: "On the station: open the challenge in the TPM", args: cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) { outFlag(f, &out) },
		run: func(_ *cobra.Command, args []string) error {
			c, err := readFileOf(args[0], tpm.ParseChallenge)
			if err != nil {
				return err
			}
			store, err := openStore(false)
			if err != nil {
				return err
			}
			station, err := store.machine.attach()
			if err != nil {
				return err
			}
			r, err := station.Respond(c)
			if err != nil {
				return err
			}
			b, err := r.Encode()
			if err != nil {
				return err
			}
			return wroteEnrol(u, out, b, "the response", "take it back to the officer")
		},
	})
}

func newEnrollIssueCommand(u *ui) *cobra.Command {
	var out, secret, authority string
	var pass passphraseFlags
	return newCommand(command{
		use: "issue RESPONSE", short: "The officer: issue certificates for the keys", args: cobra.ExactArgs(1),
		example: "  exhibit key enroll issue response.json --secret secret.json --ca agency --out certificates.pem",
		flags: func(f *pflag.FlagSet) {
			outFlag(f, &out)
			f.StringVar(&secret, "secret", "", "`FILE` with the secret of the challenge (required)")
			f.StringVar(&authority, "ca", "", "`NAME` of the authority's key, see exhibit key ca create (required)")
			pass.register(f, false)
		},
		run: func(_ *cobra.Command, args []string) error {
			if secret == "" || authority == "" || out == "" {
				return withHints(errors.New("--secret, --ca and --out are required"), "see: exhibit key enroll issue -h")
			}
			r, err := readFileOf(args[0], tpm.ParseResponse)
			if err != nil {
				return err
			}
			s, err := readFileOf(secret, tpm.ParseSecret)
			if err != nil {
				return err
			}
			if _, _, err := s.Check(r); err != nil {
				return err // before a passphrase is typed for nothing
			}
			store, err := openStore(false)
			if err != nil {
				return err
			}
			passphrase, _, err := pass.read(fmt.Sprintf("Passphrase of the authority's key %q", authority))
			if err != nil {
				return err
			}
			key, cert, err := store.UnlockAuthority(authority, passphrase)
			if err != nil {
				return err
			}
			b, err := s.Issue(r, cert, key, time.Now())
			if err != nil {
				return err
			}
			return wroteEnrol(u, out, b, "the certificates", "on the station: exhibit key enroll install FILE")
		},
	})
}

func newEnrollInstallCommand(u *ui) *cobra.Command {
	return newCommand(command{
		use: "install FILE", short: "On the station: keep the certificates for the cases to come",
		long: "On the station: keep the certificates that the officer issued. Every case that is opened from now on holds them. That\n" +
			"they lie there is a reason to trust them for nobody: who verifies trusts the authority's fingerprint.",
		args: cobra.ExactArgs(1),
		run: func(_ *cobra.Command, args []string) error {
			b, err := readSmall(args[0], layout.MaxEnrolment)
			if err != nil {
				return err
			}
			if !x509.NewCertPool().AppendCertsFromPEM(b) {
				return fmt.Errorf("%q holds no certificate in PEM", args[0])
			}
			store, err := openStore(false)
			if err != nil {
				return err
			}
			if _, err := store.machine.read(); err != nil {
				return err
			}
			root, err := durable.OpenRoot(store.machine.dir)
			if err != nil {
				return err
			}
			if err := errors.Join(root.Replace(certificatesFile, b), root.Close()); err != nil {
				return err
			}
			file := filepath.Join(store.machine.dir, certificatesFile)
			return u.result(enrolDocument{Schema: enrolSchema, File: file}, func() { u.linef("Keeps the certificates in %q.", file) })
		},
	})
}

func newKeyCACommand(u *ui) *cobra.Command {
	var pass passphraseFlags
	return group("ca", "Keep an authority that enrols keys in TPMs", newCommand(command{
		use: "create NAME", short: "Make the key of an authority, for an agency that has none",
		long: "Make the key and the certificate of an authority that certifies the keys in the TPMs of the agency's stations. Whoever\n" +
			"verifies trusts it by its fingerprint: exhibit trust add enrolment FINGERPRINT. Keep it on a machine of its own.",
		args:  cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) { pass.register(f, false) },
		run: func(_ *cobra.Command, args []string) error {
			return runKeyCreate(u, args[0], sign.KindAuthority, &pass)
		},
	}))
}
