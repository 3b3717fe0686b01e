package record

import (
	"fmt"
	"slices"
	"strings"
)

// Handled is a custody event of one person: every type but the seizure, which begins a chain, and the acquisition, which a
// station signs. The types share one form; which members each type has says its shape.
type Handled struct {
	kind     Type
	Event    Header   `json:"event"`
	Handling Handling `json:"handling"`
}

// Handling says what was done with an exhibit, by whom, where, why and on what ground.
type Handling struct {
	Actor        Party           `json:"actor"` // who did it, as that person says; that they signed says the envelope
	Attachments  []Attachment    `json:"attachments,omitzero"`
	Authority    Authority       `json:"authority"`
	Condition    Fact[Personal]  `json:"condition"`     // of exhibit and wrapping
	Copy         *CopyElsewhere  `json:"copy,omitzero"` // that another program or a device made
	Corrects     *LeafHash       `json:"corrects,omitzero"`
	Despite      *Despite        `json:"despite,omitzero"`  // absent where no rule stood against the event
	Endorses     []LeafHash      `json:"endorses,omitzero"` // events of this exhibit whose content the signer vouches for, too; sorted
	Erasure      *Erasure        `json:"erasure,omitzero"`  // then the event is about data, and not about the exhibit itself
	From         *Party          `json:"from,omitzero"`
	Images       []ImageCheck    `json:"images,omitzero"` // the images that it is about; absent: it is about the exhibit itself
	Method       Fact[Personal]  `json:"method,omitzero"`
	OccurredAt   Time            `json:"occurredAt"`       // entered by a person: a late entry, written down on paper first
	Package      *Attachment     `json:"package,omitzero"` // the file that was sent, which stays where it is
	Paper        []Digest        `json:"paper,omitzero"`
	PartOf       string          `json:"partOf,omitzero"` // number of the exhibit that this one was taken out of; absent: not said
	Place        Fact[Personal]  `json:"place"`
	Purpose      Fact[Personal]  `json:"purpose"`
	Reference    Fact[Personal]  `json:"reference,omitzero"` // under which it was sent, as the number of a request
	Release      *LeafHash       `json:"release,omitzero"`   // the released event that this answers
	Remarks      Fact[Personal]  `json:"remarks"`
	Restriction  *RestrictionAct `json:"restriction,omitzero"`
	SealsApplied []string        `json:"sealsApplied"`        // put on, after what was done
	SealsFound   []string        `json:"sealsFound,omitzero"` // seen at the beginning; empty: none was; absent: not said
	SealsRemoved []string        `json:"sealsRemoved"`        // taken off, before what was done
	To           *Party          `json:"to,omitzero"`
	Verification *Verification   `json:"verification,omitzero"`
	Witness      Fact[Personal]  `json:"witness"`
	Withheld     *Redaction      `json:"withheld,omitzero"` // of the earlier events, from whoever is given them
}

// Party is a person who gives, takes or acts, with or without a key in the case.
type Party struct {
	Agency     Fact[Personal] `json:"agency"`
	Identifier Fact[Personal] `json:"identifier"`   // badge or identity number
	Key        string         `json:"key,omitzero"` // identifier of the person's key, of a receiver who will sign
	Name       Fact[Personal] `json:"name"`
	Role       Fact[Personal] `json:"role"`
}

// ImageCheck names an acquisition of the exhibit, with the digests of its media stream as they were found at the event;
// none: the image was not hashed then.
type ImageCheck struct {
	Acquisition string   `json:"acquisition"`
	Digests     []Digest `json:"digests"`
}

// RestrictionAct puts a restriction on an exhibit, or lifts one: exactly one of the two members is there.
type RestrictionAct struct {
	Kind  string    `json:"kind,omitzero"`
	Lifts *LeafHash `json:"lifts,omitzero"` // the restricted event whose restriction ends
}

// RestrictionKinds are the grounds on which an exhibit is restricted.
var RestrictionKinds = []string{"abuse-material", "other", "privilege", "protected-person", "third-party"}

// Despite says why an event was logged although rules stood against it.
type Despite struct {
	Reason Personal `json:"reason"`
	Rules  []Rule   `json:"rules"` // that the event broke when it was logged; sorted, never empty
}

// DespiteOf is why an event was logged although rules stood against it; nil of one that gives no such reason.
func DespiteOf(e Event) *Despite {
	switch e := e.(type) {
	case *Seized:
		return e.Seizure.Despite
	case *Handled:
		return e.Handling.Despite
	}
	return nil
}

// MaxImages bounds the images that one event names.
const MaxImages = 1000

// member is a member of Handling that only some types have.
type member uint32

const (
	hasFrom member = 1 << iota
	hasTo
	hasRelease
	hasPaper
	hasRestriction
	hasCorrects
	hasMethod
	hasImages
	hasFound
	hasApplied // at least one seal
	hasRemoved // at least one seal
	hasRemarks // known: an event that says nothing else needs its words
	hasErasure
	hasWithheld
	hasVerification
	hasPackage
	hasReference
	hasEndorses
	hasPartOf
	hasCopy
)

// shape says which of these members a type must and may have.
type shape struct{ must, may member }

var shapes = map[Type]shape{
	TypeReceived:   {hasFrom, hasFound | hasApplied | hasRemoved | hasPaper | hasPartOf},
	TypeSealed:     {hasApplied, hasFound},
	TypeUnsealed:   {hasRemoved, hasFound},
	TypeReleased:   {hasTo, hasFound | hasImages},
	TypeAccepted:   {hasRelease | hasFound, hasPaper | hasImages | hasApplied},
	TypeRefused:    {hasRelease | hasRemarks, hasPaper | hasImages | hasFound},
	TypeExamined:   {0, hasImages | hasApplied | hasRemoved | hasFound},
	TypeInspected:  {0, hasImages | hasApplied | hasRemoved | hasFound},
	TypeReturned:   {hasTo, hasPaper | hasApplied | hasRemoved | hasFound},
	TypeDestroyed:  {hasMethod, hasPaper | hasRemoved | hasFound | hasErasure},
	TypeRestricted: {hasRestriction, hasPaper},
	TypeNoted:      {hasRemarks, hasImages | hasFound},
	TypeCorrected:  {hasCorrects | hasRemarks, 0},
	TypeDisclosed:  {hasTo, hasImages | hasPaper | hasWithheld},

	TypeVerified:    {hasVerification | hasImages, 0},
	TypeTransmitted: {hasTo, hasImages | hasPackage | hasReference | hasPaper},
	TypeEndorsed:    {hasEndorses, 0},

	TypeCopiedElsewhere: {hasCopy | hasTo, hasImages | hasApplied | hasRemoved | hasFound},
}

// NewHandled returns an event of type t, which must be one of those that Handled stands for, to be filled in.
func NewHandled(t Type) (*Handled, error) {
	if _, ok := shapes[t]; !ok {
		return nil, fmt.Errorf("event type %.40q is %w", t, ErrNewer)
	}
	return &Handled{kind: t}, nil
}

// Type implements Predicate.
func (h *Handled) Type() Type { return h.kind }

// Header implements Event.
func (h *Handled) Header() *Header { return &h.Event }

func (h *Handled) subjects() []subject { return nil }

// Validate implements Predicate.
func (h *Handled) Validate() error {
	s, ok := shapes[h.kind]
	if !ok {
		return fmt.Errorf("event type %.40q is %w", h.kind, ErrNewer)
	}
	if err := h.Event.Validate(); err != nil {
		return err
	}
	has := h.Handling.members()
	if lacking := s.must &^ has; lacking != 0 {
		return fmt.Errorf("%w: it lacks %s", ErrMalformed, lacking)
	}
	if foreign := has &^ (s.must | s.may | hasRemarks); foreign != 0 {
		return fmt.Errorf("%w: it has %s", ErrMalformed, foreign)
	}
	if h.kind == TypeTransmitted && has&(hasImages|hasPackage) == 0 {
		return fmt.Errorf("%w: it says neither which images nor which package was sent", ErrMalformed)
	}
	if err := CheckPartOf(h.Handling.PartOf, h.Event.Exhibit); err != nil {
		return err
	}
	return h.Handling.validate()
}

func (h *Handling) members() (m member) {
	_, remarks := h.Remarks.Get()
	for bit, there := range map[member]bool{
		hasFrom: h.From != nil, hasTo: h.To != nil, hasRelease: h.Release != nil, hasPaper: h.Paper != nil,
		hasRestriction: h.Restriction != nil, hasCorrects: h.Corrects != nil, hasMethod: h.Method != Fact[Personal]{},
		hasImages: h.Images != nil, hasFound: h.SealsFound != nil, hasApplied: len(h.SealsApplied) > 0,
		hasRemoved: len(h.SealsRemoved) > 0, hasRemarks: remarks, hasErasure: h.Erasure != nil, hasWithheld: h.Withheld != nil,
		hasVerification: h.Verification != nil, hasPackage: h.Package != nil, hasReference: h.Reference != Fact[Personal]{}, hasEndorses: h.Endorses != nil,
		hasPartOf: h.PartOf != "", hasCopy: h.Copy != nil,
	} {
		if there {
			m |= bit
		}
	}
	return m
}

func (m member) String() string {
	var names []string
	for i, name := range []string{"from", "to", "release", "paper", "restriction", "corrects", "method", "images", "sealsFound",
		"sealsApplied", "sealsRemoved", "remarks", "erasure", "withheld", "verification", "package", "reference", "endorses", "partOf", "copy"} {
		if m&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func (h *Handling) validate() error {
	for _, s := range []struct {
		field string
		seals []string
	}{{"sealsApplied", h.SealsApplied}, {"sealsFound", h.SealsFound}, {"sealsRemoved", h.SealsRemoved}} {
		if err := checkSeals(s.field, s.seals); err != nil {
			return err
		}
		for i, seal := range s.seals {
			if slices.Contains(s.seals[:i], seal) {
				return fmt.Errorf("%w: %s names seal %.80q twice", ErrMalformed, s.field, seal)
			}
		}
	}
	for field, p := range map[string]*Party{"actor": &h.Actor, "from": h.From, "to": h.To} {
		if p != nil && p.Key != "" && (field != "to" || !validKeyID(p.Key)) {
			return fmt.Errorf("%w: %s.key", ErrMalformed, field)
		}
	}
	if h.Paper != nil {
		if err := checkDigests("paper", h.Paper, BLAKE3, SHA256); err != nil {
			return err
		}
	}
	for _, check := range []func() error{h.Authority.validate, h.checkImages, h.checkRestriction, h.Despite.validate, h.checkErasure, h.checkRedaction, h.checkVerification, h.checkPackage, h.checkEndorses, h.checkCopy} {
		if err := check(); err != nil {
			return err
		}
	}
	if err := checkAttachments(h.Attachments); err != nil {
		return err
	}
	return h.OccurredAt.Validate()
}

func (h *Handling) checkImages() error {
	if h.Images != nil && len(h.Images) == 0 || len(h.Images) > MaxImages {
		return fmt.Errorf("%w: %d images", ErrMalformed, len(h.Images))
	}
	for i, image := range h.Images {
		if !ValidAcquisitionID(image.Acquisition) || i > 0 && h.Images[i-1].Acquisition >= image.Acquisition {
			return fmt.Errorf("%w: images[%d] names no acquisition, or one that is doubled or out of order", ErrMalformed, i)
		}
		if len(image.Digests) == 0 {
			continue
		}
		must := []Algorithm{BLAKE3, SHA256}
		if h.Verification != nil { // which stops at the first, damaged group of a tree
			must = must[1:]
		}
		if err := checkDigests("the image", image.Digests, must...); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handling) checkRestriction() error {
	r := h.Restriction
	if r == nil {
		return nil
	}
	if (r.Kind == "") != (r.Lifts != nil) {
		return fmt.Errorf("%w: a restriction is either put on or lifted", ErrMalformed)
	}
	if r.Kind != "" && !slices.Contains(RestrictionKinds, r.Kind) {
		return fmt.Errorf("restriction kind %.40q is %w", r.Kind, ErrNewer)
	}
	return nil
}

func (d *Despite) validate() error {
	if d == nil {
		return nil
	}
	rules := d.Rules
	if len(rules) == 0 || !slices.IsSorted(rules) || len(slices.Compact(slices.Clone(rules))) != len(rules) {
		return fmt.Errorf("%w: the rules are none, doubled or out of order", ErrMalformed)
	}
	for _, r := range rules {
		if !slices.Contains(Rules, r) {
			return fmt.Errorf("rule %.40q is %w", r, ErrNewer)
		}
	}
	return nil
}

// validKeyID reports whether s is a key's identifier: 64 lower-case hex digits.
func validKeyID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
