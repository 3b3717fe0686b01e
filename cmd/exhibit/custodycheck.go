package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// check requires what the verb needs, all at once, and each single thing once.
func (d draft) check(v verb) error {
	lacking, err := d.lacking(v)
	if err != nil {
		return err
	}
	if len(lacking) > 0 {
		return withHints(fmt.Errorf("%s needs %s", v.name, strings.Join(lacking, ", ")), "what nobody knows is written as the word unknown",
			"see: exhibit custody "+v.name+" -h")
	}
	for _, f := range v.fields() {
		if err := f.check(d[f.name]); err != nil {
			return err
		}
	}
	return nil
}

// lacking returns the flags that the verb needs and that say nothing. An error is of some that do not go together.
func (d draft) lacking(v verb) (lacking []string, err error) {
	for _, name := range strings.Fields(v.required) {
		if len(d[name]) == 0 || d[name][0] == "" {
			lacking = append(lacking, "--"+name)
		}
	}
	if v.typ == record.TypeRestricted && (len(d["kind"]) == 0) == (len(d["lift"]) == 0) {
		lacking = append(lacking, "one of --kind and --lift")
	}
	if v.typ == record.TypeTransmitted && len(d["image"])+len(d["package"]) == 0 {
		lacking = append(lacking, "one of --image and --package")
	}
	if err := checkAttach(slices.Concat(d["paper"], d["attach"])); err != nil {
		return nil, err
	}
	if v.typ == record.TypeSeized {
		more, err := d.checkSeizure()
		if err != nil {
			return nil, err
		}
		lacking = append(lacking, more...)
	}
	if v.typ == record.TypeDestroyed {
		more, err := d.checkOrder()
		if err != nil {
			return nil, err
		}
		lacking = append(more, lacking...)
	}
	for _, name := range []string{"ground", "authorised-by"} {
		switch withheld := len(d["withhold"]) > 0; {
		case withheld && (len(d[name]) == 0 || d[name][0] == "unknown"):
			lacking = append(lacking, "--"+name)
		case !withheld && len(d[name]) > 0:
			return nil, withHints(fmt.Errorf("--%s belongs to --withhold", name), "name what is withheld, or leave it out")
		}
	}
	return lacking, nil
}

// check requires of what was said in the field what can be required without the case.
func (f field) check(said []string) error {
	switch {
	case !f.many && len(said) > 1:
		return fmt.Errorf("--%s is given twice", f.name)
	case slices.Contains(said, ""):
		return withHints(fmt.Errorf("--%s is empty", f.name), "leave it out, or write the word unknown")
	case f.name == "seal", f.name == "unseal", f.name == "found":
		return checkSealFlags(f.name, said)
	}
	return nil
}

func checkSealFlags(name string, seals []string) error {
	for i, seal := range seals {
		switch {
		case seal == "" || clean(seal) != seal:
			return withHints(fmt.Errorf("--%s %.80q is not one printable line", name, seal), "give each seal its own --"+name+" NUMBER")
		case slices.Contains(seals[:i], seal):
			return fmt.Errorf("--%s %.80q is given twice", name, seal)
		case seal == "none" && (name != "found" || len(seals) > 1):
			return fmt.Errorf("--%s none: none is no seal's number", name)
		}
	}
	return nil
}

func checkKind(kind string) error {
	if kind != "" && !slices.Contains(record.RestrictionKinds, kind) {
		return fmt.Errorf("--kind %.40q is none of %s", kind, strings.Join(record.RestrictionKinds, ", "))
	}
	return nil
}

func checkToKey(key string) error {
	if _, err := record.ParseLeafHash(key); err != nil {
		return withHints(fmt.Errorf("--to-key %.80q is not the identifier of a key, 64 hex digits", key), "see: exhibit case show")
	}
	return nil
}

func (b *eventBuilder) checkImage(id string) error {
	if !record.ValidAcquisitionID(id) {
		return withHints(fmt.Errorf("--image %.80q is no acquisition", id), fmt.Sprintf("see them with: exhibit custody show %q", b.number))
	}
	return nil
}

// checkField tries what b.said has in one field with what reads it when the event is made.
func (b *eventBuilder) checkField(f field) (err error) {
	said := b.said[f.name]
	if err := f.check(said); err != nil || len(said) == 0 {
		return err
	}
	if wordsOf[f.name] != nil {
		_, err = b.word(f.name)
		return err
	}
	switch f.name {
	case "at":
		_, err = timeOf(said[0])
	case "extracted-at":
		_, err = b.extractedAt()
	case "origin":
		err = checkOrigin(said[0])
	case "description":
		err = checkDescription(said)
	case "capacity":
		_, err = b.capacity()
	case "imei", "mac", "uin":
		b.openings = nil
		_, err = b.identities(f.name)
	case "part-of":
		_, err = b.partOf()
	case "kind":
		err = checkKind(said[0])
	case "to-key":
		err = checkToKey(said[0])
	case "attach":
		err = checkAttach(said)
	case "by-order":
		err = checkByOrder(said)
	case "paper", "package":
		err = checkFile(f.name, said[0])
	default:
		err = b.checkNamed(f.name, said)
	}
	return err
}

// checkNamed is checkField of what names something in the log, and of words.
func (b *eventBuilder) checkNamed(name string, said []string) (err error) {
	switch name {
	case "release", "event", "lift":
		_, err = b.event(name)
	case "entry":
		_, err = b.endorsed()
	case "openings":
		_, err = b.erasedOpenings()
	case "attachment":
		_, err = b.erasedAttachments()
	case "image":
		for _, id := range said {
			if id != "all" || len(said) > 1 {
				err = errors.Join(err, b.checkImage(id))
			}
		}
	default:
		for _, text := range said {
			_, more := new(record.Openings).Commit(rand.Reader, "/"+name, text)
			err = errors.Join(err, more)
		}
	}
	return err
}

// checkFile requires before a passphrase is asked for that the file is there.
func checkFile(name, file string) error {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is no regular file", file)
	}
	if err != nil {
		return fmt.Errorf("--%s: %w", name, err)
	}
	return nil
}
