package main

import (
	"fmt"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// seizure tells how an exhibit came, and what it is.
func (t *teller) seizure(s *record.Seizure) {
	t.add("description", t.value("/seizure/description"))
	t.add("part of exhibit", s.PartOf)
	t.origin(&s.Origin)
	t.device(&s.Device)
	t.add("condition", t.value("/seizure/condition"))
	t.add("place", t.value("/seizure/place"))
	t.add("from", t.party("/seizure/holder"))
	if there, known := s.HolderPresent.Get(); known {
		t.add("holder present", map[bool]string{false: "no", true: "yes"}[there])
	}
	if word, _ := s.HolderSignature.Get(); word == "refused" {
		t.add("holder's signature", "REFUSED")
	} else {
		t.add("holder's signature", word)
	}
	t.add("witness", t.value("/seizure/witness"))
	t.add("purpose", t.value("/seizure/purpose"))
	t.authority("/seizure/authority", s.Authority)
	t.add("seals put on", strings.Join(s.Seals, ", "))
	t.attachments("/seizure", s.Attachments)
	t.add("remarks", t.value("/seizure/remarks"))
	t.despite("/seizure/despite/reason", s.Despite)
}

func (t *teller) origin(o *record.Origin) {
	if o.Kind == record.OriginSeizure {
		return
	}
	t.add("origin", o.Kind)
	t.add("handed over by", t.party("/seizure/origin/provider"))
	t.add("extracted by", t.party("/seizure/origin/extractor"))
	if at, known := o.ExtractedAt.Get(); known {
		t.add("extracted at", at.Wall())
	}
}

func (t *teller) device(d *record.Device) {
	for _, f := range []struct {
		name string
		text record.Fact[string]
	}{{"make", d.Make}, {"model", d.Model}, {"colour", d.Colour}, {"serial number", d.Serial}, {"power", d.Power}} {
		text, _ := f.text.Get()
		t.add(f.name, text)
	}
	if n, known := d.CapacityBytes.Get(); known {
		t.add("capacity", size(n))
	}
	for _, f := range []struct {
		name, path string
		numbers    record.Fact[[]record.Personal]
	}{{"IMEI", "imei", d.IMEI}, {"MAC", "mac", d.MAC}, {"UIN", "uin", d.UIN}} {
		numbers, _ := f.numbers.Get()
		for i := range numbers {
			t.add(f.name, t.value(fmt.Sprintf("/seizure/device/%s/%d", f.path, i)))
		}
	}
}
