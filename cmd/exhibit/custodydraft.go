package main

import (
	"context"
	"crypto/rand"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

// draft is what the user said of an event, by the names of fields.
type draft map[string][]string

// draftSchema names the file of --from-file and its version.
const draftSchema = "exhibit-event-draft/v1"

// maxDraft bounds that file, in bytes.
const maxDraft = 4 << 20

// addFile takes in a file: an object with "schema", "type", "exhibit", and for each field a text or an array of texts. What a
// flag said already is not said again.
func (d draft) addFile(name string, v verb, number string) error {
	b, err := readBounded(name, maxDraft)
	if err != nil {
		return fmt.Errorf("read the event: %w", err)
	}
	return d.add(b, name, v, number)
}

// add is addFile of the file's bytes. After an error d means nothing.
func (d draft) add(b []byte, name string, v verb, number string) error {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(b, &members); err != nil {
		return misused(fmt.Errorf("%q is no JSON object: %w", name, err), "see docs/json.md, section event draft")
	}
	for member, want := range map[string]string{"schema": draftSchema, "type": string(v.typ), "exhibit": number} {
		var got string
		if err := json.Unmarshal(members[member], &got); err != nil || got != want {
			return misused(fmt.Errorf("%q: member %q is %.80q, want %q", name, member, string(members[member]), want))
		}
		delete(members, member)
	}
	for member, value := range members {
		i := slices.IndexFunc(v.fields(), func(f field) bool { return f.name == member })
		if i < 0 {
			return misused(fmt.Errorf("%q: an event of type %q has no member %.80q", name, v.typ, member), "see: exhibit custody "+v.name+" -h")
		}
		if _, said := d[member]; said {
			return misused(fmt.Errorf("--%s is given by a flag and in %q", member, name))
		}
		var one string
		var many []string
		if json.Unmarshal(value, &one) == nil && value.Kind() == '"' {
			many = []string{one}
		} else if !v.fields()[i].many || value.Kind() != '[' || json.Unmarshal(value, &many) != nil {
			return misused(fmt.Errorf("%q: member %q is not a text", name, member))
		}
		d[member] = many
	}
	return nil
}

func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%q is larger than %s", name, size(most))
	}
	return b, errors.Join(err, f.Close())
}

// eventBuilder makes an event of what was said.
type eventBuilder struct {
	ctx    context.Context // of this command only
	u      *ui
	c      *custody.Case
	number string
	said   draft
	verify bool
	keyID  string // that will sign

	changed  string // says which image is not what was acquired, of an event that is logged all the same
	openings record.Openings
	chain    []custody.Entry
}

func (b *eventBuilder) one(name string) string { return append(b.said[name], "")[0] }

// fact commits to what was said at path. Nothing said, and the word unknown, are unknown.
func (b *eventBuilder) fact(path, name string) (record.Fact[record.Personal], error) {
	switch value := b.one(name); value {
	case "":
		return record.Unknown[record.Personal]("not given"), nil
	case "unknown":
		return record.Unknown[record.Personal]("said to be unknown"), nil
	default:
		return b.openings.CommitFact(rand.Reader, path, value, "not given")
	}
}

func (b *eventBuilder) handling(t record.Type) (*record.Handled, error) {
	e, err := record.NewHandled(t)
	if err != nil {
		return nil, err
	}
	e.Event.Exhibit = b.number
	h := &e.Handling
	for _, step := range []func(record.Type, *record.Handling) error{b.time, b.facts, b.parties, b.references, b.paper, b.images, b.erasure, b.withheld, b.sent, b.copied} {
		if err := step(t, h); err != nil {
			return nil, err
		}
	}
	h.SealsApplied, h.SealsRemoved = b.said["seal"], b.said["unseal"]
	if found := b.said["found"]; len(found) > 0 {
		h.SealsFound = slices.DeleteFunc(slices.Clone(found), func(s string) bool { return s == "none" })
	}
	return e, nil
}

func (b *eventBuilder) time(_ record.Type, h *record.Handling) error {
	var err error
	h.OccurredAt, err = timeOf(b.one("at"))
	return err
}

// timeOf reads the flag --at; an empty one is now.
func timeOf(at string) (record.Time, error) {
	if at == "" {
		return now(), nil
	}
	return enteredTime("at", at)
}

// enteredTime reads a time that a person wrote into that flag.
func enteredTime(flag, at string) (record.Time, error) {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return record.Time{}, withHints(fmt.Errorf("--%s %.60q is no time", flag, at), "write it as 2026-11-23T09:15:00+01:00")
	}
	entered := record.NewTime(t, record.ClockEntered, record.Unknown[bool]("entered by hand"))
	if err := entered.Validate(); err != nil {
		return record.Time{}, misused(fmt.Errorf("--%s %.60q: %w", flag, at, err), "write it as 2026-11-23T09:15:00+01:00")
	}
	return entered, nil
}

func (b *eventBuilder) facts(t record.Type, h *record.Handling) (err error) {
	all := map[string]*record.Fact[record.Personal]{"condition": &h.Condition, "place": &h.Place,
		"purpose": &h.Purpose, "remarks": &h.Remarks, "witness": &h.Witness}
	if t == record.TypeDestroyed {
		all["method"] = &h.Method
	}
	for name, to := range all {
		if *to, err = b.fact("/handling/"+name, name); err != nil {
			return err
		}
	}
	number, issuer := "authority", "authority-issuer"
	if b.one("by-order") != "" {
		number, issuer = "by-order", "court"
	}
	if h.Authority, err = b.authority("/handling/authority", number, issuer); err != nil {
		return err
	}
	if _, known := h.Remarks.Get(); !known && (t == record.TypeNoted || t == record.TypeCorrected || t == record.TypeRefused) {
		return errors.New("--remarks must say something")
	}
	if h.PartOf, err = b.partOf(); err != nil {
		return err
	}
	h.Despite, err = b.despite("/handling/despite/reason")
	return err
}

func (b *eventBuilder) parties(t record.Type, h *record.Handling) error {
	actor, err := b.actor("/handling/actor")
	if err != nil {
		return err
	}
	h.Actor = *actor
	switch t {
	case record.TypeReceived:
		h.From, err = b.party("/handling/from", "from")
	case record.TypeReleased, record.TypeReturned, record.TypeDisclosed, record.TypeTransmitted, record.TypeCopiedElsewhere:
		h.To, err = b.party("/handling/to", "to")
	}
	if key := b.one("to-key"); err == nil && key != "" {
		h.To.Key = key
		return checkToKey(key)
	}
	return err
}

// holder is who holds the key that signs, as far as the log reveals it.
func (b *eventBuilder) holder() string {
	name, err := b.c.Holder(b.keyID)
	if err != nil {
		return ""
	}
	return name
}

func (b *eventBuilder) party(path, flag string) (*record.Party, error) {
	var p record.Party
	for _, f := range []struct {
		to           *record.Fact[record.Personal]
		member, flag string
	}{{&p.Name, "name", flag}, {&p.Role, "role", flag + "-role"}, {&p.Agency, "agency", flag + "-agency"}, {&p.Identifier, "identifier", flag + "-id"}} {
		var err error
		if *f.to, err = b.fact(path+"/"+f.member, f.flag); err != nil {
			return nil, err
		}
	}
	return &p, nil
}

// references finds the events that this one names by their numbers.
func (b *eventBuilder) references(t record.Type, h *record.Handling) (err error) {
	switch t {
	case record.TypeAccepted, record.TypeRefused:
		h.Release, err = b.release()
	case record.TypeCorrected:
		h.Corrects, err = b.event("event")
	case record.TypeEndorsed:
		h.Endorses, err = b.endorsed()
	case record.TypeRestricted:
		h.Restriction = &record.RestrictionAct{Kind: b.one("kind")}
		if err := checkKind(h.Restriction.Kind); err != nil {
			return err
		}
		if b.one("lift") != "" {
			h.Restriction.Lifts, err = b.event("lift")
		}
	}
	return err
}

// release is the event that is answered: the one that was named, or else the newest release, whether or not it is still open.
func (b *eventBuilder) release() (*record.LeafHash, error) {
	if b.one("release") != "" {
		return b.event("release")
	}
	for _, e := range slices.Backward(b.chain) {
		if e.Predicate.Type() == record.TypeReleased {
			return &e.Leaf, nil
		}
	}
	return nil, withHints(fmt.Errorf("exhibit %q was never released, so there is nothing to answer", b.number),
		"what comes from somebody without a key in the case is logged with: exhibit custody receive")
}

func (b *eventBuilder) paper(_ record.Type, h *record.Handling) error {
	name := b.one("paper")
	if name == "" {
		return nil
	}
	digests, _, err := digestsOfFile(name)
	if err != nil {
		return fmt.Errorf("read the scan: %w", err)
	}
	h.Paper = digests
	return nil
}

// images names the acquisitions that the event is about, and hashes their images when that was asked for.
func (b *eventBuilder) images(t record.Type, h *record.Handling) error {
	if t == record.TypeDestroyed { // they are to be erased
		return nil
	}
	acquired := map[string]*record.Acquired{}
	for _, e := range b.chain {
		if a, ok := e.Predicate.(*record.Acquired); ok {
			acquired[a.Acquisition.ID] = a
		}
	}
	ids := slices.Clone(b.said["image"])
	if slices.Equal(ids, []string{"all"}) || b.verify && len(ids) == 0 {
		ids = nil
		for id := range acquired {
			ids = append(ids, id)
		}
		if len(ids) == 0 {
			return fmt.Errorf("exhibit %q has no image", b.number)
		}
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if err := b.checkImage(id); err != nil {
			return err
		}
		check := record.ImageCheck{Acquisition: id, Digests: []record.Digest{}}
		if a := acquired[id]; a != nil && b.verify {
			var err error
			if check.Digests, err = b.hash(a); err != nil {
				return err
			}
			if err := b.hashesAsAcquired(t, a, check.Digests); err != nil {
				return err
			}
		}
		h.Images = append(h.Images, check)
	}
	return nil
}

// keyIDOf returns the identifier of a public key in base64.
func keyIDOf(publicKey string) (string, error) {
	key, err := sign.ParsePublicKeyBase64(publicKey)
	if err != nil {
		return "", err
	}
	return key.KeyID(), nil
}
