package record

import (
	"errors"
	"testing"
)

func exampleKeysChanged() *KeysChanged {
	s := exampleOpened().Signers
	return &KeysChanged{Admits: s[:1], Because: Unknown[Personal]("a test"), Log: exampleSeized(new(Openings)).Event.Log, Time: exampleOpened().Time,
		Withdraws: []Withdrawal{{PublicKey: "AQID", Reason: WithdrawnReplaced, Since: Unknown[Time]("not given"), Successor: s[0].PublicKey}}}
}

func TestKeysChangedRoundTrip(t *testing.T) {
	k := exampleKeysChanged()
	k.Log.Keys = &KeysRef{Index: 1, Leaf: LeafHash{7}}
	k.Log.Size = 2
	b, err := Encode(k)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := p.(*KeysChanged)
	if !ok || *got.Log.Keys != *k.Log.Keys || len(got.Admits) != 1 || got.Withdraws[0].Successor != k.Withdraws[0].Successor {
		t.Errorf("decoded %+v", p)
	}
	if again, err := Encode(p); err != nil || string(again) != string(b) {
		t.Errorf("encoded again as %s, %v", again, err)
	}
}

func TestKeysChangedRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*KeysChanged){
		"nothing":                 func(k *KeysChanged) { k.Admits, k.Withdraws = []Signer{}, []Withdrawal{} },
		"one log key":             func(k *KeysChanged) { k.LogKeys = exampleOpened().LogKeys[:1] },
		"no log key":              func(k *KeysChanged) { k.LogKeys = []LogKey{} },
		"a key twice":             func(k *KeysChanged) { k.Withdraws[0].PublicKey = k.Admits[0].PublicKey },
		"a signer twice":          func(k *KeysChanged) { k.Admits = append(k.Admits, k.Admits[0]) },
		"a signer for nothing":    func(k *KeysChanged) { k.Admits[0].Events = nil },
		"a station changes keys":  func(k *KeysChanged) { k.Admits[0].Kind, k.Admits[0].Events = KindStation, []Type{TypeKeysChanged} },
		"no reason":               func(k *KeysChanged) { k.Withdraws[0].Reason = "" },
		"another reason":          func(k *KeysChanged) { k.Withdraws[0].Reason = "stolen" },
		"replaced by nobody":      func(k *KeysChanged) { k.Withdraws[0].Successor = "" },
		"left and goes on":        func(k *KeysChanged) { k.Withdraws[0].Reason = WithdrawnLeft },
		"its own successor":       func(k *KeysChanged) { k.Withdraws[0].Successor = k.Withdraws[0].PublicKey },
		"a successor of no form":  func(k *KeysChanged) { k.Withdraws[0].Successor = "?" },
		"no since":                func(k *KeysChanged) { k.Withdraws[0].Since = Fact[Time]{} },
		"since an unreadable day": func(k *KeysChanged) { k.Withdraws[0].Since = Known(Time{Clock: ClockEntered, UTC: "yesterday"}) },
		"out of order": func(k *KeysChanged) {
			k.Withdraws = append(k.Withdraws, Withdrawal{PublicKey: "AAAA", Reason: WithdrawnLost, Since: Unknown[Time]("not given")})
		},
		"a change of the genesis": func(k *KeysChanged) { k.Log.Keys = &KeysRef{Index: 0} },
		"a change to come":        func(k *KeysChanged) { k.Log.Keys = &KeysRef{Index: k.Log.Size} },
		"no time":                 func(k *KeysChanged) { k.Time = Time{} },
		"no log":                  func(k *KeysChanged) { k.Log.Origin = "" },
		"because left out":        func(k *KeysChanged) { k.Because = Fact[Personal]{} },
	} {
		k := exampleKeysChanged()
		spoil(k)
		if b, err := Encode(k); err == nil || b != nil {
			t.Errorf("%s: Encode gave %s, %v, want an error", name, b, err)
		} else if name != "no since" && name != "because left out" && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}
