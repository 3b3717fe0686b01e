package record

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// exampleHandled has every member that type t may have.
func exampleHandled(t Type) *Handled {
	none := Unknown[Personal]("not given")
	party := func() *Party { return &Party{Agency: none, Identifier: none, Name: none, Role: none} }
	var o Openings
	p, err := o.Commit(fixedRandom(), "/handling/remarks", "as it came")
	if err != nil {
		panic(err)
	}
	two := []Digest{exampleDigest(BLAKE3, 1), exampleDigest(SHA256, 2)}
	h := &Handled{t, exampleHeader(2), Handling{Actor: *party(), Authority: NoAuthority("not given"), Condition: none, OccurredAt: exampleTime(), Place: none,
		Purpose: none, Remarks: Known(p), Witness: none, Despite: &Despite{p, []Rule{RuleNotHolder, RuleSealed}}}}
	a, has := &h.Handling, shapes[t].must|shapes[t].may
	for bit, set := range map[member]func(){
		hasFrom: func() { a.From = party() }, hasTo: func() { a.To = party(); a.To.Key = strings.Repeat("0a", 32) },
		hasRelease: func() { a.Release = &LeafHash{4} }, hasPaper: func() { a.Paper = two },
		hasRestriction: func() { a.Restriction = &RestrictionAct{Kind: "privilege"} }, hasCorrects: func() { a.Corrects = &LeafHash{5} },
		hasMethod: func() { a.Method = Known(p) }, hasFound: func() { a.SealsFound = []string{} },
		hasImages: func() {
			a.Images = []ImageCheck{{"20261123T081500Z-1a2b3c4d", two}, {"20261123T081500Z-1a2b3c4e", nil}}
		},
		hasApplied: func() { a.SealsApplied = []string{"S-2"} }, hasRemoved: func() { a.SealsRemoved = []string{"S-1"} },
		hasWithheld: func() { a.Withheld = &Redaction{p, []string{"/handling/actor/name", "/seizure/holder"}, p} },
		hasVerification: func() {
			a.Verification = &Verification{ResultHeld, Tool{Build: Unknown[Digest]("not read"), Name: "exhibit", Version: "v1"}}
		},
		hasPackage:   func() { a.Package = &Attachment{two, Known(p), 7} },
		hasReference: func() { a.Reference = Known(p) },
		hasEndorses:  func() { a.Endorses = []LeafHash{{1}, {2}} },
		hasPartOf:    func() { a.PartOf = "6" },
		hasCopy:      func() { a.Copy = &CopyElsewhere{two, "7-C1", Known("dc3dd"), Unknown[string]("not given")} },
		hasRemarks:   func() {}, hasErasure: func() {
			a.Authority = Authority{Known(p), Known("court-order"), Known(p)}
			a.Erasure = &Erasure{[]Digest{exampleDigest(SHA256, 2), exampleDigest(SHA256, 4)}, none, []ErasedImage{{"20261123T081500Z-1a2b3c4d", []string{"7.raw", "7.tree"}, LeafHash{6}}}, []LeafHash{{7}, {8}}}
		},
	} {
		if has&bit != 0 {
			set()
		}
	}
	if t == TypeVerified { // of which every image was hashed
		a.Images[1].Digests = two[1:]
	}
	if t == TypeCopiedElsewhere { // which is of one image
		a.Images = a.Images[:1]
	}
	a.Attachments = []Attachment{{two, none, 5}, {[]Digest{exampleDigest(BLAKE3, 3), exampleDigest(SHA256, 4)}, Known(p), 0}}
	if a.Erasure != nil {
		a.SealsFound, a.SealsRemoved = nil, nil // which would be about the exhibit itself
	}
	return h
}

// handledTypes are those that Handled stands for, and together with the other three all that a signer is admitted for.
func handledTypes(t *testing.T) []Type {
	types := slices.DeleteFunc(slices.Clone(EventTypes), func(e Type) bool { return e == TypeSeized || e == TypeAcquired || e == TypeCopied })
	for _, typ := range types {
		if _, ok := shapes[typ]; !ok {
			t.Fatalf("type %q has no shape", typ)
		}
	}
	if len(types) != len(shapes) {
		t.Fatalf("%d types, %d shapes", len(types), len(shapes))
	}
	return types
}

func TestHandledRoundTrip(t *testing.T) {
	for _, typ := range handledTypes(t) {
		first, err := Encode(exampleHandled(typ))
		if err != nil {
			t.Fatalf("Encode(%s): %v", typ, err)
		}
		got, err := Decode(first)
		if err != nil {
			t.Fatalf("Decode(%s): %v", typ, err)
		}
		again, err := Encode(got)
		if err != nil || !bytes.Equal(first, again) || got.Type() != typ {
			t.Errorf("%s: encoded again %s (%v), want %s", typ, again, err, first)
		}
	}
}

// Each type must have what its shape says, and has nothing else.
func TestHandledShape(t *testing.T) {
	clear := map[member]func(*Handling){
		hasFrom: func(h *Handling) { h.From = nil }, hasTo: func(h *Handling) { h.To = nil },
		hasRelease: func(h *Handling) { h.Release = nil }, hasRestriction: func(h *Handling) { h.Restriction = nil },
		hasCorrects: func(h *Handling) { h.Corrects = nil }, hasMethod: func(h *Handling) { h.Method = Fact[Personal]{} },
		hasFound: func(h *Handling) { h.SealsFound = nil }, hasApplied: func(h *Handling) { h.SealsApplied = nil },
		hasRemoved: func(h *Handling) { h.SealsRemoved = nil }, hasRemarks: func(h *Handling) { h.Remarks = Unknown[Personal]("not given") },
		hasVerification: func(h *Handling) { h.Verification = nil }, hasPackage: func(h *Handling) { h.Package = nil },
		hasReference: func(h *Handling) { h.Reference = Fact[Personal]{} }, hasEndorses: func(h *Handling) { h.Endorses = nil },
		hasCopy: func(h *Handling) { h.Copy = nil },
	}
	for _, typ := range handledTypes(t) {
		for bit, remove := range clear {
			h := exampleHandled(typ)
			remove(&h.Handling)
			err := h.Validate()
			if must := shapes[typ].must&bit != 0; must != errors.Is(err, ErrMalformed) || must != (err != nil) {
				t.Errorf("%s without %s: %v, must it have it: %t", typ, bit, err, must)
			}
		}
		if shapes[typ].must&hasFrom == 0 {
			h := exampleHandled(typ)
			h.Handling.From = exampleHandled(TypeReceived).Handling.From
			if err := h.Validate(); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "it has from") {
				t.Errorf("%s with from: %v", typ, err)
			}
		}
	}
	if _, err := NewHandled(TypeSeized); !errors.Is(err, ErrNewer) {
		t.Errorf("NewHandled(seized): %v", err)
	}
	if err := new(Handled).Validate(); !errors.Is(err, ErrNewer) {
		t.Errorf("the zero Handled: %v", err)
	}
}

func TestHandledRefuses(t *testing.T) {
	tests := map[string]badEvent{
		"unknown member":    {TypeNoted, `"handling":{`, `"handling":{"aaa":1,`, ErrMalformed},
		"null seals":        {TypeNoted, `"sealsApplied":[]`, `"sealsApplied":null`, ErrMalformed},
		"seals left out":    {TypeNoted, `"sealsApplied":[],`, ``, ErrMalformed},
		"seal twice":        {TypeSealed, `["S-2"]`, `["S-2","S-2"]`, ErrMalformed},
		"empty seal":        {TypeSealed, `["S-2"]`, `[""]`, ErrMalformed},
		"seal of two lines": {TypeSealed, `["S-2"]`, `["S\n2"]`, ErrMalformed},
		"key of the actor":  {TypeNoted, `"actor":{"agency":{"unknown":"not given"},"identifier":{"unknown":"not given"},`, `"actor":{"agency":{"unknown":"not given"},"identifier":{"unknown":"not given"},"key":"` + strings.Repeat("0a", 32) + `",`, ErrMalformed},
		"key in capitals":   {TypeReleased, strings.Repeat("0a", 32), strings.Repeat("0A", 32), ErrMalformed},
		"no acquisition":    {TypeNoted, `20261123T081500Z-1a2b3c4d`, `20261123T081500Z`, ErrMalformed},
		"acquisition twice": {TypeNoted, `20261123T081500Z-1a2b3c4e`, `20261123T081500Z-1a2b3c4d`, ErrMalformed},
		"no images":         {TypeNoted, `"method"`, `"images":[],"method"`, ErrMalformed},
		"one digest":        {TypeAccepted, `,"sha256:` + strings.Repeat("02", 32) + `"`, ``, ErrMalformed},
		"unknown kind":      {TypeRestricted, `"kind":"privilege"`, `"kind":"whim"`, ErrNewer},
		"neither nor":       {TypeRestricted, `"kind":"privilege"`, ``, ErrMalformed},
		"both":              {TypeRestricted, `"kind":"privilege"`, `"kind":"privilege","lifts":"` + strings.Repeat("00", 32) + `"`, ErrMalformed},
		"no rules":          {TypeNoted, `["not-holder","sealed"]`, `[]`, ErrMalformed},
		"rules in disorder": {TypeNoted, `["not-holder","sealed"]`, `["sealed","not-holder"]`, ErrMalformed},
		"rule twice":        {TypeNoted, `["not-holder","sealed"]`, `["sealed","sealed"]`, ErrMalformed},
		"unknown rule":      {TypeNoted, `["not-holder","sealed"]`, `["not-nice"]`, ErrNewer},
		"newer version":     {TypeNoted, `/noted/v1`, `/noted/v2`, ErrNewer},
		"another type":      {TypeNoted, `/noted/v1`, `/corrected/v1`, ErrMalformed},
	}
	refuseAll(t, tests)
}

// What was verified, sent and endorsed is said as a whole, or refused.
func TestHandledRefusesRecords(t *testing.T) {
	h := exampleHandled(TypeTransmitted)
	h.Handling.Images, h.Handling.Package = nil, nil
	if err := h.Validate(); !errors.Is(err, ErrMalformed) {
		t.Errorf("nothing was sent: %v", err)
	}
	one := `"sha256:` + strings.Repeat("02", 32) + `"`
	refuseAll(t, map[string]badEvent{
		"image not hashed":           {TypeVerified, `"digests":[` + one + `]`, `"digests":[]`, ErrMalformed},
		"image without SHA-256":      {TypeVerified, `"digests":[` + one + `]`, `"digests":["md5:` + strings.Repeat("02", 16) + `"]`, ErrMalformed},
		"another result":             {TypeVerified, `"result":"held"`, `"result":"fine"`, ErrNewer},
		"no result":                  {TypeVerified, `"result":"held",`, ``, ErrMalformed},
		"no program":                 {TypeVerified, `"name":"exhibit"`, `"name":""`, ErrMalformed},
		"package without SHA-256":    {TypeTransmitted, `,` + one + `],"name":{"personal":"`, `],"name":{"personal":"`, ErrMalformed},
		"package of no size":         {TypeTransmitted, `"sizeBytes":7`, `"sizeBytes":-7`, ErrMalformed},
		"nothing endorsed":           {TypeEndorsed, `"endorses":["01` + strings.Repeat("00", 31) + `","02` + strings.Repeat("00", 31) + `"]`, `"endorses":[]`, ErrMalformed},
		"endorsed twice":             {TypeEndorsed, `"endorses":["01`, `"endorses":["02`, ErrMalformed},
		"a copy without a label":     {TypeCopiedElsewhere, `"label":"7-C1"`, `"label":""`, ErrMalformed},
		"a copy, label of two lines": {TypeCopiedElsewhere, `"label":"7-C1"`, `"label":"7\nC1"`, ErrMalformed},
		"a copy in a note":           {TypeNoted, `"condition":`, `"copy":{"digests":[],"label":"a","tool":{"unknown":"x"},"toolVersion":{"unknown":"x"}},"condition":`, ErrMalformed},
		"endorsed by a note":         {TypeNoted, `"images":[`, `"endorses":["01` + strings.Repeat("00", 31) + `"],"images":[`, ErrMalformed},
	})
}

func TestRulesAreSorted(t *testing.T) {
	if !slices.IsSorted(Rules) || len(slices.Compact(slices.Clone(Rules))) != len(Rules) {
		t.Errorf("Rules %v are doubled or out of order", Rules)
	}
	if !slices.IsSorted(RestrictionKinds) {
		t.Errorf("kinds %v are out of order", RestrictionKinds)
	}
}

// badEvent is an example with one text in it replaced by another.
type badEvent struct {
	typ      Type
	old, new string
	want     error
}

func refuseAll(t *testing.T, tests map[string]badEvent) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := Encode(exampleHandled(tt.typ))
			if err != nil {
				t.Fatal(err)
			}
			if name == "no images" {
				tt.old = `"occurredAt"`
				tt.new = `"images":[],"occurredAt"`
				h := exampleHandled(tt.typ)
				h.Handling.Images = nil
				if b, err = Encode(h); err != nil {
					t.Fatal(err)
				}
			}
			bad := bytes.Replace(b, []byte(tt.old), []byte(tt.new), 1)
			if bytes.Equal(bad, b) {
				t.Fatalf("%s has no %s", b, tt.old)
			}
			if p, err := Decode(bad); !errors.Is(err, tt.want) || p != nil {
				t.Errorf("Decode: %v, %v, want %v", p, err, tt.want)
			}
		})
	}
}
