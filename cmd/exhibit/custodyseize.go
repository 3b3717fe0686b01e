package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// originNeeds are the flags that an origin needs beside the description.
var originNeeds = map[string][]string{
	"consent":            {"from"},
	"customs":            {"provider"},
	"foreign-state":      {"provider", "extractor", "extracted-at"},
	"found":              {"place"},
	"provider":           {"provider", "extractor", "extracted-at"},
	record.OriginSeizure: nil,
	"victim":             {"from"},
}

// ofOrigin are the flags that a seizure does not have, for they say how data came otherwise.
var ofOrigin = []string{"provider", "provider-role", "provider-agency", "provider-id", "extractor", "extractor-role", "extractor-agency", "extractor-id", "extracted-at"}

// checkSeizure requires what the origin needs, and returns the flags that lack.
func (d draft) checkSeizure() (lacking []string, err error) {
	kind := record.OriginSeizure
	if len(d["origin"]) > 0 {
		kind = d["origin"][0]
	}
	if err := checkOrigin(kind); err != nil {
		return nil, err
	}
	for _, name := range originNeeds[kind] {
		if len(d[name]) == 0 || d[name][0] == "" {
			lacking = append(lacking, "--"+name)
		}
	}
	for _, name := range ofOrigin {
		if kind == record.OriginSeizure && len(d[name]) > 0 {
			return nil, withHints(fmt.Errorf("--%s does not belong to a seizure", name), "say how it came with --origin: "+strings.Join(record.OriginKinds, ", "))
		}
	}
	return lacking, checkDescription(d["description"])
}

func checkOrigin(kind string) error {
	if _, known := originNeeds[kind]; !known {
		return fmt.Errorf("--origin %.40q is none of %s", kind, strings.Join(record.OriginKinds, ", "))
	}
	return nil
}

func checkDescription(said []string) error {
	if slices.Equal(said, []string{"unknown"}) {
		return withHints(errors.New("--description unknown: nobody could tell the exhibit from another"), "say what is seen, as on the label: --description \"laptop, black\"")
	}
	return nil
}

// seizure makes the event that begins a chain.
func (b *eventBuilder) seizure() (*record.Seized, error) {
	at, err := timeOf(b.one("at"))
	if err != nil {
		return nil, err
	}
	e := record.NewSeized(b.number, at, "not given")
	s := &e.Seizure
	s.Seals = b.said["seal"]
	if s.PartOf, err = b.partOf(); err != nil {
		return nil, err
	}
	if s.Description, err = b.openings.Commit(rand.Reader, "/seizure/description", b.one("description")); err != nil {
		return nil, err
	}
	for name, to := range map[string]*record.Fact[record.Personal]{"condition": &s.Condition, "place": &s.Place, "purpose": &s.Purpose,
		"remarks": &s.Remarks, "witness": &s.Witness} {
		if *to, err = b.fact("/seizure/"+name, name); err != nil {
			return nil, err
		}
	}
	for _, step := range []func(*record.Seizure) error{b.ground, b.people, b.device, b.origin} {
		if err := step(s); err != nil {
			return nil, err
		}
	}
	if err := s.Validate(); err != nil {
		return nil, misused(err, "one event has at most 100 seals, each of at most 200 bytes", "make, model, colour and serial number are one line each, and a device has at most 20 numbers of a kind")
	}
	s.Despite, err = b.despite("/seizure/despite/reason") // the rules are found when it is logged
	return e, err
}

func (b *eventBuilder) ground(s *record.Seizure) (err error) {
	s.Authority, err = b.authority("/seizure/authority", "authority", "authority-issuer")
	return err
}

func (b *eventBuilder) people(s *record.Seizure) error {
	officer, err := b.actor("/seizure/officer")
	if err != nil {
		return err
	}
	holder, err := b.party("/seizure/holder", "from")
	if err != nil {
		return err
	}
	s.Officer, s.Holder = *officer, *holder
	present, err := b.word("holder-present")
	if err != nil {
		return err
	}
	if word, known := present.Get(); known {
		s.HolderPresent = record.Known(word == "yes")
	} else {
		s.HolderPresent = record.Unknown[bool](present.Reason())
	}
	s.HolderSignature, err = b.word("holder-signature")
	return err
}

func (b *eventBuilder) device(s *record.Seizure) (err error) {
	d := &s.Device
	d.Make, d.Model, d.Colour, d.Serial = b.text("make"), b.text("model"), b.text("colour"), b.text("serial")
	if d.Power, err = b.word("power"); err != nil {
		return err
	}
	for name, to := range map[string]*record.Fact[[]record.Personal]{"imei": &d.IMEI, "mac": &d.MAC, "uin": &d.UIN} {
		if *to, err = b.identities(name); err != nil {
			return err
		}
	}
	d.CapacityBytes, err = b.capacity()
	return err
}

func (b *eventBuilder) capacity() (record.Fact[int64], error) {
	said := b.text("capacity")
	text, known := said.Get()
	if !known {
		return record.Unknown[int64](said.Reason()), nil
	}
	n, err := parseCapacity(text)
	return record.Known(n), err
}

func (b *eventBuilder) origin(s *record.Seizure) (err error) {
	o := &s.Origin
	if kind := b.one("origin"); kind != "" {
		o.Kind = kind
	}
	if o.Kind == record.OriginSeizure {
		return nil
	}
	if o.Provider, err = b.party("/seizure/origin/provider", "provider"); err != nil {
		return err
	}
	if o.Extractor, err = b.party("/seizure/origin/extractor", "extractor"); err != nil {
		return err
	}
	o.ExtractedAt, err = b.extractedAt()
	return err
}

func (b *eventBuilder) extractedAt() (record.Fact[record.Time], error) {
	said := b.text("extracted-at")
	at, known := said.Get()
	if !known {
		return record.Unknown[record.Time](said.Reason()), nil
	}
	t, err := enteredTime("extracted-at", at)
	return record.Known(t), err
}

// identities are the numbers of one kind that a device has.
func (b *eventBuilder) identities(name string) (record.Fact[[]record.Personal], error) {
	all := b.said[name]
	if len(all) == 0 || slices.Equal(all, []string{"unknown"}) {
		return record.Unknown[[]record.Personal](b.text(name).Reason()), nil
	}
	out := make([]record.Personal, len(all))
	for i, number := range all {
		if err := checkIdentity(name, number); err != nil {
			return record.Fact[[]record.Personal]{}, err
		}
		var err error
		if out[i], err = b.openings.Commit(rand.Reader, fmt.Sprintf("/seizure/device/%s/%d", name, i), number); err != nil {
			return record.Fact[[]record.Personal]{}, err
		}
	}
	return record.Known(out), nil
}

// checkIdentity requires the form of the number, for what is mistyped is noticed too late.
func checkIdentity(name, number string) error {
	switch {
	case number == "unknown":
		return fmt.Errorf("--%s unknown: the word stands alone", name)
	case name == "imei" && (len(number) < 14 || len(number) > 16 || strings.Trim(number, "0123456789") != ""):
		return withHints(fmt.Errorf("--imei %.40q is not 14 to 16 digits", number), "a telephone shows it after *#06#")
	case name == "mac":
		if _, err := net.ParseMAC(number); err != nil {
			return withHints(fmt.Errorf("--mac %.60q is no MAC address", number), "write it as 00:00:5e:00:53:01")
		}
	}
	return nil
}

// units are those of capacities on labels: decimal ones, and with an i binary ones.
var units = map[string]int64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40, "PIB": 1 << 50}

// parseCapacity reads what a label states, into bytes.
func parseCapacity(text string) (int64, error) {
	wrong := withHints(fmt.Errorf("--capacity %.40q is no capacity", text), "write it as on the label: 128GB, 1.44MB, 64GiB, or bytes")
	digits := strings.TrimRight(text, "BKMGTPIbkmgtpi ")
	unit, known := units[strings.ToUpper(strings.TrimSpace(text[len(digits):]))]
	if !known || len(digits) == 0 || len(digits) > 20 || strings.Trim(digits, "0123456789.") != "" {
		return 0, wrong
	}
	n, ok := new(big.Rat).SetString(digits)
	if !ok {
		return 0, wrong
	}
	n.Mul(n, new(big.Rat).SetInt64(unit))
	bytes, err := strconv.ParseInt(n.RatString(), 10, 64) // a part of a byte is none
	if err != nil || bytes > record.MaxInteger {
		return 0, wrong
	}
	return bytes, nil
}
