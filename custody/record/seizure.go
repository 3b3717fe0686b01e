package record

import (
	"fmt"
	"slices"
)

// Seized is the event that starts an exhibit's chain: its seizure, or another way by which it came to an authority, see Origin.
type Seized struct {
	Event   Header  `json:"event"`
	Seizure Seizure `json:"seizure"`
}

// Seizure says what came, where, from whom, by whom and on what ground.
type Seizure struct {
	Attachments     []Attachment   `json:"attachments,omitzero"`
	Authority       Authority      `json:"authority"`
	Condition       Fact[Personal] `json:"condition"` // of exhibit and wrapping
	Description     Personal       `json:"description"`
	Despite         *Despite       `json:"despite,omitzero"` // absent where no rule stood against the event
	Device          Device         `json:"device"`
	Holder          Party          `json:"holder"` // from whom
	HolderPresent   Fact[bool]     `json:"holderPresent"`
	HolderSignature Fact[string]   `json:"holderSignature"` // one of Signatures, under the paper record of the seizure
	Officer         Party          `json:"officer"`         // by whom
	Origin          Origin         `json:"origin"`
	PartOf          string         `json:"partOf,omitzero"` // number of the exhibit that this one was taken out of; absent: of none
	Place           Fact[Personal] `json:"place"`
	Purpose         Fact[Personal] `json:"purpose"`
	Remarks         Fact[Personal] `json:"remarks"`
	Seals           []string       `json:"seals"` // numbers of the seals put on, in order
	SeizedAt        Time           `json:"seizedAt"`
	Witness         Fact[Personal] `json:"witness"` // who was present
}

// Device describes the thing, as a person reads it off. What a drive says of itself stands in the acquisition record.
// Numbers that a network or a service ties to a subscriber are personal; make, model and serial number are of the thing alone.
type Device struct {
	CapacityBytes Fact[int64]      `json:"capacityBytes"` // as the label states it
	Colour        Fact[string]     `json:"colour"`
	IMEI          Fact[[]Personal] `json:"imei"` // several of a telephone for several cards
	MAC           Fact[[]Personal] `json:"mac"`
	Make          Fact[string]     `json:"make"`
	Model         Fact[string]     `json:"model"`
	Power         Fact[string]     `json:"power"` // one of PowerStates, when it was found
	Serial        Fact[string]     `json:"serial"`
	UIN           Fact[[]Personal] `json:"uin"` // another identity number: of a card, an account or a service
}

// Origin says how an exhibit came to the authority. Of a seizure it is the kind alone; of every other kind all members are there.
type Origin struct {
	ExtractedAt Fact[Time] `json:"extractedAt,omitzero"` // when the data was taken out of the system that held it
	Extractor   *Party     `json:"extractor,omitzero"`   // who did that there
	Kind        string     `json:"kind"`                 // one of OriginKinds
	Provider    *Party     `json:"provider,omitzero"`    // who handed it over: a service provider, a foreign authority, customs
}

// OriginSeizure is the kind of origin that a warrant or an officer's decision makes.
const OriginSeizure = "seizure"

// The words that a seizure may use, each list sorted.
var (
	OriginKinds = []string{"consent", "customs", "foreign-state", "found", "provider", OriginSeizure, "victim"}
	// PowerStates: locked and unlocked are of a device that was on.
	PowerStates = []string{"locked", "off", "on", "standby", "unlocked"}
	Signatures  = []string{"refused", "signed"}
)

// maxIdentities bounds the numbers of one kind that a device has.
const maxIdentities = 20

// NewSeized returns a seizure of which nothing is known but when, to be filled in: each fact is unknown for that reason. It needs
// a description.
func NewSeized(exhibit string, at Time, reason string) *Seized {
	none, text, numbers := Unknown[Personal](reason), Unknown[string](reason), Unknown[[]Personal](reason)
	party := Party{Agency: none, Identifier: none, Name: none, Role: none}
	return &Seized{Header{Exhibit: exhibit}, Seizure{Authority: NoAuthority(reason), Condition: none,
		Device: Device{Unknown[int64](reason), text, numbers, numbers, text, text, text, text, numbers}, Holder: party,
		HolderPresent: Unknown[bool](reason), HolderSignature: text, Officer: party, Origin: Origin{Kind: OriginSeizure}, Place: none,
		Purpose: none, Remarks: none, Seals: []string{}, SeizedAt: at, Witness: none}}
}

// Type implements Predicate.
func (s *Seized) Type() Type { return TypeSeized }

// Header implements Event.
func (s *Seized) Header() *Header { return &s.Event }

func (s *Seized) subjects() []subject { return nil }

// Validate implements Predicate.
func (s *Seized) Validate() error {
	if err := s.Event.Validate(); err != nil {
		return err
	}
	if err := CheckPartOf(s.Seizure.PartOf, s.Event.Exhibit); err != nil {
		return err
	}
	return s.Seizure.Validate()
}

// Validate reports the first thing wrong with s.
func (s *Seizure) Validate() error {
	if err := checkSeals("seals", s.Seals); err != nil {
		return err
	}
	if err := checkAttachments(s.Attachments); err != nil {
		return err
	}
	if s.Holder.Key != "" || s.Officer.Key != "" {
		return fmt.Errorf("%w: a party of a seizure with a key", ErrMalformed)
	}
	if err := checkWord("holderSignature", s.HolderSignature, Signatures); err != nil {
		return err
	}
	for _, check := range []func() error{s.Authority.validate, s.Despite.validate, s.Device.validate, s.Origin.validate} {
		if err := check(); err != nil {
			return err
		}
	}
	return s.SeizedAt.Validate()
}

func (d *Device) validate() error {
	c := &factCheck{}
	c.texts([]named[string]{{"device.colour", d.Colour}, {"device.make", d.Make}, {"device.model", d.Model}, {"device.serial", d.Serial}})
	c.counts("device.", []named[int64]{{"capacityBytes", d.CapacityBytes}})
	if c.err != nil {
		return c.err
	}
	for field, numbers := range map[string]Fact[[]Personal]{"imei": d.IMEI, "mac": d.MAC, "uin": d.UIN} {
		if all, known := numbers.Get(); known && (len(all) == 0 || len(all) > maxIdentities) {
			return fmt.Errorf("%w: device.%s has %d numbers, 1 to %d are allowed", ErrMalformed, field, len(all), maxIdentities)
		}
	}
	return checkWord("device.power", d.Power, PowerStates)
}

func (o *Origin) validate() error {
	if !slices.Contains(OriginKinds, o.Kind) {
		return fmt.Errorf("origin %.40q is %w", o.Kind, ErrNewer)
	}
	said := []bool{o.Provider != nil, o.Extractor != nil, o.ExtractedAt != Fact[Time]{}}
	for i, there := range said {
		if there == (o.Kind == OriginSeizure) {
			return fmt.Errorf("%w: origin %q, %s given: %t", ErrMalformed, o.Kind, []string{"provider", "extractor", "extractedAt"}[i], there)
		}
	}
	if o.Kind == OriginSeizure {
		return nil
	}
	if o.Provider.Key != "" || o.Extractor.Key != "" {
		return fmt.Errorf("%w: a party of an origin with a key", ErrMalformed)
	}
	if at, known := o.ExtractedAt.Get(); known {
		return at.Validate()
	}
	return nil
}

// Texts are what a person wrote down of the device in the clear.
func (d *Device) Texts() []string {
	var out []string
	for _, f := range []Fact[string]{d.Colour, d.Make, d.Model, d.Serial} {
		if text, known := f.Get(); known {
			out = append(out, text)
		}
	}
	return out
}

// CheckPartOf requires of what an exhibit is part of that it is another one.
func CheckPartOf(whole, exhibit string) error {
	if whole == "" {
		return nil
	}
	if err := CheckExhibit(whole); err != nil {
		return fmt.Errorf("partOf: %w", err)
	}
	if whole == exhibit {
		return fmt.Errorf("%w: exhibit %q is part of itself", ErrMalformed, exhibit)
	}
	return nil
}

// PartOf is the number of the exhibit of which an event says that its own is a part; empty: it says nothing of the kind.
func PartOf(e Event) string {
	switch e := e.(type) {
	case *Seized:
		return e.Seizure.PartOf
	case *Handled:
		return e.Handling.PartOf
	}
	return ""
}

// checkWord requires that a known fact is one of the words, which are those of version 1.
func checkWord(field string, f Fact[string], words []string) error {
	if word, known := f.Get(); known && !slices.Contains(words, word) {
		return fmt.Errorf("%s %.40q is %w", field, word, ErrNewer)
	}
	return nil
}
