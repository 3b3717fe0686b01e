package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody/tpm"
)

type tpmDocument struct {
	Schema              string `json:"schema"`
	Address             string `json:"address"`
	Manufacturer        string `json:"manufacturer"`
	Model               string `json:"model"`
	Firmware            string `json:"firmware"`
	EKCertificate       bool   `json:"ekCertificate"`
	Counters            int64  `json:"counters"`
	CountersFree        int64  `json:"countersFree"`
	Locked              bool   `json:"locked"`
	Failures            int64  `json:"failures"`
	Allowed             int64  `json:"allowed"`
	ForgetsSeconds      int64  `json:"forgetsSeconds"`
	OwnerPassword       bool   `json:"ownerPassword"`
	EndorsementPassword bool   `json:"endorsementPassword"`
	Station             string `json:"station"`
}

// What this machine's TPM is to the station's keys.
const (
	stationNone  = "none"
	stationHere  = "here"
	stationOther = "other"
)

func newKeyStatusCommand(u *ui) *cobra.Command {
	var address string
	return newCommand(command{
		use: "status [NAME]", short: "Say what this machine's TPM, or the token of a key, is and can do",
		long: "Say what this machine's TPM is and can do: its maker and firmware, whether it can be enrolled, how many counters it has\n" +
			"room for (each open case with a log key in the TPM needs one), and whether it is locked, and then what to do.\n\n" +
			"With the NAME of a key in a token: whether the token is there, and whether it is locked. It asks for no PIN.",
		args: cobra.MaximumNArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&address, "tpm", "", "the TPM at `ADDRESS` (default: that of the station's keys, else "+tpm.DefaultAddress+")")
		},
		run: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && address != "" {
				return errors.New("a NAME and --tpm exclude each other")
			}
			if len(args) == 1 {
				return runKeyStatusToken(u, args[0])
			}
			return runKeyStatus(u, address)
		},
	})
}

func runKeyStatus(u *ui, address string) error {
	store, err := openStore(true)
	if err != nil {
		return err
	}
	file, err := store.machine.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	own := err == nil
	if address == "" && own {
		address = file.Address
	}
	if address == "" {
		address = tpm.DefaultAddress
	}
	t, err := openTPM(address)
	if err != nil {
		return err
	}
	defer t.Close() //nolint:errcheck // nothing was changed
	f, err := t.Facts()
	if err != nil {
		return err
	}
	d := tpmDocument{
		Schema: "exhibit-tpm/v1", Address: address, Manufacturer: f.Manufacturer, Model: f.Model, Firmware: f.Firmware, EKCertificate: f.EKCertificate != nil,
		Counters: f.Counters, CountersFree: f.CountersFree, Locked: f.Locked, Failures: f.Failures, Allowed: f.Allowed, ForgetsSeconds: int64(f.Forgets / time.Second),
		OwnerPassword: f.OwnerPassword, EndorsementPassword: f.EndorsementPassword, Station: stationNone,
	}
	if own {
		d.Station = stationHere
		s, err := t.Attach(file)
		switch {
		case errors.Is(err, tpm.ErrOther):
			d.Station = stationOther
		case err != nil:
			return err
		default:
			defer s.Close() //nolint:errcheck // nothing was changed
		}
	}
	return u.result(d, func() { showTPM(u, d) })
}

func showTPM(u *ui, d tpmDocument) {
	u.linef("TPM:         %s %s, firmware %s, at %q", d.Manufacturer, clean(d.Model), d.Firmware, d.Address)
	ek := "it has a certificate of its endorsement key, so it can be enrolled"
	if !d.EKCertificate {
		ek = "it has no certificate of an RSA endorsement key: it cannot be enrolled, and its keys stay tpm-unverified"
	}
	u.linef("Enrolment:   %s", ek)
	u.linef("Counters:    %d, and room for at least %d more", d.Counters, d.CountersFree)
	lock := "not locked"
	if d.Locked {
		lock = fmt.Sprintf("LOCKED after %d failed authorizations; it forgets one every %d seconds, or at once by: tpm2_dictionarylockout --clear-lockout", d.Failures, d.ForgetsSeconds)
	}
	u.linef("Lock:        %s (the keys and counters of exhibit do not count for it and work all the same)", lock)
	if d.OwnerPassword {
		u.linef("Owner:       has a password, so no counter can be made: take it away with tpm2_changeauth -c owner -p PASSWORD")
	}
	if d.EndorsementPassword {
		u.linef("Endorsement: has a password, so no key can be used: take it away with tpm2_changeauth -c endorsement -p PASSWORD")
	}
	switch d.Station {
	case stationHere:
		u.linef("This station: its keys are in this TPM")
	case stationOther:
		u.linef("This station: its keys are NOT in this TPM: they are in another, or it was cleared")
	default:
		u.linef("This station: has no keys in a TPM; make one with: exhibit key create NAME --kind station --tpm")
	}
}
