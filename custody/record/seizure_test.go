package record

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// fullSeized has every member that a seizure can have.
func fullSeized(t *testing.T) *Seized {
	t.Helper()
	var o Openings
	s := exampleSeized(&o)
	p := s.Seizure.Description
	party := Party{Agency: Known(p), Identifier: Known(p), Name: Known(p), Role: Known(p)}
	z := &s.Seizure
	z.Holder = party
	z.Authority = Authority{Known(p), Known("warrant"), Known(p)}
	z.Despite = &Despite{p, []Rule{RuleFuture}}
	z.Device = Device{Known[int64](128e9), Known("black"), Known([]Personal{p, p}), Known([]Personal{p}), Known("Example"), Known("X 1"), Known("locked"), Known("SN-7"), Known([]Personal{p})}
	z.HolderPresent, z.HolderSignature = Known(true), Known("refused")
	z.Origin = Origin{Known(exampleTime()), &party, "provider", &party}
	z.PartOf = "6"
	return s
}

func TestSeizedRoundTrip(t *testing.T) {
	first, err := Encode(fullSeized(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(first)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Encode(got)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("encoded again %s (%v), want %s", again, err, first)
	}
	if e, ok := got.(*Seized); !ok || PartOf(e) != "6" || DespiteOf(e) == nil || !slices.Equal(e.Seizure.Device.Texts(), []string{"black", "Example", "X 1", "SN-7"}) {
		t.Errorf("read back %+v", got)
	}
}

// Every member of a seizure is exact, or refused.
func TestSeizedRefuses(t *testing.T) {
	good, err := Encode(fullSeized(t))
	if err != nil {
		t.Fatal(err)
	}
	one := `{"personal":"sha256:` + strings.Split(strings.Split(string(good), `"description":{"personal":"sha256:`)[1], `"`)[0] + `"}`
	for name, tt := range map[string]struct {
		old, new string
		want     error
	}{
		"unknown member":           {`"seizure":{`, `"seizure":{"aaa":1,`, ErrMalformed},
		"no device":                {`"device":{`, `"devicf":{`, ErrMalformed},
		"member of the device":     {`"device":{`, `"device":{"aaa":1,`, ErrMalformed},
		"power left out":           {`"power":"locked",`, ``, ErrMalformed},
		"unknown power":            {`"power":"locked"`, `"power":"glowing"`, ErrNewer},
		"power of no words":        {`"power":"locked"`, `"power":1`, ErrMalformed},
		"make of two lines":        {`"make":"Example"`, `"make":"Exa\nmple"`, ErrMalformed},
		"make that turns":          {`"make":"Example"`, "\"make\":\"\u202eExample\"", ErrMalformed},
		"serial too long":          {`"serial":"SN-7"`, `"serial":"` + strings.Repeat("7", maxDeviceText+1) + `"`, ErrMalformed},
		"negative capacity":        {`"capacityBytes":128000000000`, `"capacityBytes":-1`, ErrMalformed},
		"capacity in words":        {`"capacityBytes":128000000000`, `"capacityBytes":"128 GB"`, ErrMalformed},
		"no IMEI in a list":        {`"imei":[` + one + `,` + one + `]`, `"imei":[]`, ErrMalformed},
		"too many MAC":             {`"mac":[` + one, `"mac":[` + strings.Repeat(one+",", maxIdentities) + one, ErrMalformed},
		"MAC in the clear":         {`"mac":[` + one, `"mac":["00:00:5e:00:53:01"`, ErrMalformed},
		"unknown authority":        {`"kind":"warrant"`, `"kind":"whim"`, ErrNewer},
		"authority as a text":      {`"authority":{"issuer":` + one + `,"kind":"warrant","number":` + one + `}`, `"authority":` + one, ErrMalformed},
		"unknown origin":           {`"kind":"provider"`, `"kind":"dreamt"`, ErrNewer},
		"no origin":                {`"kind":"provider"`, `"kind":""`, ErrNewer},
		"seizure with a provider":  {`"kind":"provider"`, `"kind":"seizure"`, ErrMalformed},
		"origin without its time":  {`"origin":{"extractedAt":{"clock":"system","offsetMinutes":60,"synchronised":true,"utc":"2026-11-23T08:15:00.000Z"},`, `"origin":{`, ErrMalformed},
		"unknown signature":        {`"holderSignature":"refused"`, `"holderSignature":"forged"`, ErrNewer},
		"presence in words":        {`"holderPresent":true`, `"holderPresent":"yes"`, ErrMalformed},
		"part of itself":           {`"partOf":"6"`, `"partOf":"7/a"`, ErrMalformed},
		"part of two lines":        {`"partOf":"6"`, `"partOf":"6\n"`, ErrMalformed},
		"part of an endless one":   {`"partOf":"6"`, `"partOf":"` + strings.Repeat("6", maxExhibit+1) + `"`, ErrMalformed},
		"despite no rule":          {`"rules":["future"]`, `"rules":[]`, ErrMalformed},
		"despite an unknown rule":  {`"rules":["future"]`, `"rules":["gravity"]`, ErrNewer},
		"holder as a text":         {`"holder":{"agency":` + one, `"holder":{"agency":"x"`, ErrMalformed},
		"holder with a key":        {`"holder":{"agency":` + one + `,"identifier":` + one + `,`, `"holder":{"agency":` + one + `,"identifier":` + one + `,"key":"` + strings.Repeat("0a", 32) + `",`, ErrMalformed},
		"witness in the clear":     {`"witness":{"unknown":"not given"}`, `"witness":"W. Itness"`, ErrMalformed},
		"condition without reason": {`"condition":{"unknown":"not given"}`, `"condition":{"unknown":""}`, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Replace(good, []byte(tt.old), []byte(tt.new), 1)
			if bytes.Equal(bad, good) {
				t.Fatalf("%s has no %s", good, tt.old)
			}
			if p, err := Decode(bad); !errors.Is(err, tt.want) || p != nil {
				t.Errorf("Decode: %v, %v, want %v", p, err, tt.want)
			}
		})
	}
}

// Each origin but a seizure has provider, extractor and time, and a seizure has none of them.
func TestOrigins(t *testing.T) {
	for _, kind := range OriginKinds {
		for bits := range 8 {
			s := fullSeized(t)
			o := &s.Seizure.Origin
			o.Kind = kind
			if bits&1 == 0 {
				o.Provider = nil
			}
			if bits&2 == 0 {
				o.Extractor = nil
			}
			if bits&4 == 0 {
				o.ExtractedAt = Fact[Time]{}
			}
			want := bits == 7
			if kind == OriginSeizure {
				want = bits == 0
			}
			if err := s.Validate(); (err == nil) != want || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("origin %q with members %03b: %v, want it sound: %t", kind, bits, err, want)
			}
		}
	}
	for _, words := range [][]string{OriginKinds, PowerStates, Signatures, AuthorityKinds} {
		if !slices.IsSorted(words) {
			t.Errorf("%v are out of order", words)
		}
	}
}
