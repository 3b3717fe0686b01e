package verify

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

var trustDay = time.Date(2026, 11, 23, 9, 15, 0, 0, time.FixedZone("", 3600))

const trustDigits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func exampleTrust(t testing.TB) []byte {
	t.Helper()
	e, err := NewTrustEntry(RoleGenesis, "0123 4567 89AB CDEF 0123 4567 89ab cdef 0123 4567 89ab cdef 0123 4567 89ab cdef", "case 7, by telephone", trustDay)
	if err != nil {
		t.Fatal(err)
	}
	b, err := EncodeTrust([]TrustEntry{e})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTrustFileForm(t *testing.T) {
	const want = `{"entries":[{"added":"2026-11-23T08:15:00.000Z","fingerprint":"` + trustDigits +
		`","name":"case 7, by telephone","role":"genesis"}],"type":"exhibit-trust/v1"}`
	if got := string(exampleTrust(t)); got != want {
		t.Errorf("trust file\n%s, want\n%s", got, want)
	}
	if got, err := EncodeTrust(nil); err != nil || string(got) != `{"entries":[],"type":"exhibit-trust/v1"}` {
		t.Errorf("empty trust file %s, %v", got, err)
	}
}

func TestParseTrustRefuses(t *testing.T) {
	good := string(exampleTrust(t))
	entry := good[len(`{"entries":[`):strings.Index(good, `],"type"`)]
	tests := map[string]struct {
		old, new string
		want     error
	}{
		"another type":       {"exhibit-trust/v1", "exhibit-trust/v2", record.ErrNewer},
		"a later role":       {`"genesis"`, `"oracle"`, record.ErrNewer},
		"no role":            {`"genesis"`, `""`, record.ErrMalformed},
		"something else":     {"exhibit-trust/v1", "exhibit-pending/v1", record.ErrMalformed},
		"a later version":    {`],"type":"exhibit-trust/v1"`, `],"quorum":2,"type":"exhibit-trust/v2"`, record.ErrNewer},
		"a later member":     {`"role":"genesis"`, `"quota":2,"role":"oracle"`, record.ErrNewer},
		"a witness without":  {`"genesis"`, `"witness"`, record.ErrMalformed},
		"a root without":     {`"genesis"`, `"time-stamp"`, record.ErrMalformed},
		"never revoked":      {`"genesis"`, `"revocation"`, record.ErrMalformed},
		"another's member":   {`"role":"genesis"`, `"role":"genesis","since":"2026-11-23T08:15:00.000Z"`, record.ErrMalformed},
		"a quorum of none":   {`"name":"case 7, by telephone"`, `"name":"case 7, by telephone","quorum":2`, record.ErrMalformed},
		"short fingerprint":  {"0123456789abcdef0", "123456789abcdef0", record.ErrMalformed},
		"capital hex":        {"9abcdef0", "9ABCDEF0", record.ErrMalformed},
		"no name":            {"case 7, by telephone", "", record.ErrMalformed},
		"two lines":          {"case 7, by", `case 7,\nby`, record.ErrMalformed},
		"time without parts": {"08:15:00.000Z", "08:15:00Z", record.ErrMalformed},
		"unknown member":     {`{"added"`, `{"aaa":1,"added"`, record.ErrMalformed},
		"doubled member":     {`"role":"genesis"`, `"role":"genesis","role":"genesis"`, record.ErrMalformed},
		"a space":            {`"role":"genesis"`, `"role": "genesis"`, record.ErrMalformed},
		"entry twice":        {entry, entry + "," + entry, record.ErrMalformed},
		"text after it":      {`"exhibit-trust/v1"}`, `"exhibit-trust/v1"}{}`, record.ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, tt.old, tt.new, 1)
			if bad == good {
				t.Fatal("the case changes nothing")
			}
			if got, err := ParseTrust([]byte(bad)); !errors.Is(err, tt.want) || got != nil {
				t.Errorf("got %v, error %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestRolesDoNotMix(t *testing.T) {
	leaf, err := record.ParseLeafHash(trustDigits)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := ParseTrust(exampleTrust(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := trusts(entries, leaf); !ok {
		t.Error("the entry does not vouch for its genesis")
	}
	if _, ok := trusts(entries, record.LeafHash{1}); ok {
		t.Error("the entry vouches for another genesis")
	}
	entries[0].Role = "witness"
	if _, ok := trusts(entries, leaf); ok {
		t.Error("a witness vouches for a genesis")
	}
	if _, ok := trusts([]TrustEntry{{}}, record.LeafHash{}); ok {
		t.Error("an empty entry vouches for an empty leaf hash")
	}
}

func FuzzParseTrust(f *testing.F) {
	f.Add(exampleTrust(f))
	f.Add([]byte(`{"entries":[],"type":"exhibit-trust/v1"}`))
	f.Add([]byte(`{"entries":null,"type":"exhibit-trust/v1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := ParseTrust(b)
		if err != nil {
			if entries != nil {
				t.Fatalf("entries %v beside error %v", entries, err)
			}
			return
		}
		again, err := EncodeTrust(entries)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("parsed %q, encoded %q (%v)", b, again, err)
		}
	})
}

// Each role has its own members; what is written reads back, and a quorum is one for all witnesses.
func TestTrustOfEachRole(t *testing.T) {
	o := newOutside(t)
	entries := append(o.trustWitness(0, 2), o.trustWitness(1, 2)...)
	entries = append(entries, o.trustTSA(), must(NewRevocationEntry(trustDigits, trustDay, "stolen", trustDay)), must(NewTrustEntry(RoleGenesis, trustDigits, "case 7", trustDay)))
	b, err := EncodeTrust(entries)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseTrust(b)
	if err != nil || !slices.Equal(got, entries) {
		t.Errorf("%+v, %v, want %+v", got, err, entries)
	}
	if roots := TimeStampRoots(got); len(roots) != 1 || !roots[0].Equal(o.tsa.Root) {
		t.Errorf("%d roots, want 1", len(roots))
	}
	if keys, quorum := Witnesses(got); len(keys) != 4 || quorum != 2 {
		t.Errorf("%d keys of witnesses with a quorum of %d, want 4 and 2", len(keys), quorum)
	}
	if since := revocations(got)[trustDigits]; !since.Equal(trustDay) {
		t.Errorf("revoked since %v, want %v", since, trustDay)
	}
	for name, change := range map[string]func([]TrustEntry){
		"two quorums":            func(e []TrustEntry) { e[0].Quorum = 1 },
		"another's fingerprint":  func(e []TrustEntry) { e[0].Fingerprint = e[1].Fingerprint },
		"another's certificate":  func(e []TrustEntry) { e[4].Fingerprint = trustDigits },
		"a certificate too many": func(e []TrustEntry) { e[6].Certificate = e[4].Certificate },
		"a time too many":        func(e []TrustEntry) { e[0].Since = e[5].Since },
	} {
		bad := slices.Clone(entries)
		change(bad)
		if b, err := EncodeTrust(bad); !errors.Is(err, record.ErrMalformed) || b != nil {
			t.Errorf("%s: %v, want %v", name, err, record.ErrMalformed)
		}
	}
}
