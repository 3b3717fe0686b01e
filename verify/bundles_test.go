package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/json/v2"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/bundle"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// bundleOf is the bundle of an entry, with time-stamps of its signature.
func (f *forge) bundleOf(i int64, stamps ...[]byte) []byte {
	e := must(sign.ParseEnvelope(f.envelopes[i]))
	s := bundle.Statement{Envelope: f.envelopes[i], Origin: f.origin, LogKeys: f.genesis.LogKeys, Proof: f.proof(i), Tokens: stamps}
	for _, k := range []sign.Signer{f.person, f.second, f.station} {
		if k.PublicKey().KeyID() == e.KeyID {
			s.Key = k.PublicKey()
		}
	}
	return must(bundle.Encode(s))
}

// export is what `exhibit log export --sigstore` writes.
func (f *forge) export() fileSet {
	out := fileSet{layout.TrustedRoot: must(bundle.TrustedRoot(f.genesis, f.genesis.LogKeys, nil))}
	for i := range f.entries {
		out[fmt.Sprint(i)+layout.BundleSuffix] = f.bundleOf(int64(i))
	}
	for _, k := range []sign.Signer{f.person, f.second, f.station} {
		out[k.PublicKey().KeyID()+layout.PublicKeySuffix] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.PublicKey().DER()})
	}
	return out
}

// signatureStamp is a time-stamp over the signature of entry i.
func (f *forge) signatureStamp(o outside, i int64) []byte {
	e := must(sign.ParseEnvelope(f.envelopes[i]))
	return o.tsa.Reply(f.t, must(anchor.NewRequest(sha256.Sum256(e.Signature), nil)))
}

func verifyBundle(t *testing.T, files fileSet, name string, p Policy) Report {
	t.Helper()
	r, err := Verify(t.Context(), files.fs(""), name, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const record2 = "2" + layout.BundleSuffix

// One bundle with its genesis, or all of a folder, is verified as statements, and as no more.
func TestBundles(t *testing.T) {
	f := smallCase(t)
	files := f.export()
	one := verifyBundle(t, files, record2, f.policy())
	if one.ExitCode() != ExitVerified || one.Kind != KindBundle || one.Lines[0].Status != NotChecked || one.Lines[5].Status != NotChecked ||
		!strings.Contains(one.Lines[2].Sentence, "as entry 2, under a checkpoint of 5 entries") {
		t.Errorf("one bundle: %s", show(one))
	}
	all := verifyBundle(t, files, layout.TrustedRoot, f.policy())
	if all.ExitCode() != ExitVerified || all.Kind != KindBundle || all.Lines[1].Checked != 6 || !strings.Contains(all.Lines[2].Sentence, "Each of 5 statements") {
		t.Errorf("all: %s", show(all))
	}
	if r := verifyBundle(t, files, "0"+layout.BundleSuffix, f.policy()); r.ExitCode() != ExitVerified {
		t.Errorf("the genesis: %s", show(r))
	}
	beside := fileSet{record2: files[record2], layout.Genesis: f.envelopes[0]}
	if r := verifyBundle(t, beside, record2, f.policy()); r.ExitCode() != ExitVerified {
		t.Errorf("beside the envelope of the genesis: %s", show(r))
	}
}

// What is not known is unknown: exit 5.
func TestBundlesUnknown(t *testing.T) {
	f := smallCase(t)
	files := f.export()
	without := func(names ...string) fileSet {
		out := maps.Clone(files)
		for _, n := range names {
			delete(out, n)
		}
		return out
	}
	for name, test := range map[string]struct {
		files  fileSet
		name   string
		policy Policy
		line   int
		text   string
	}{
		"a bundle alone":          {fileSet{record2: files[record2]}, record2, f.policy(), 2, "without the genesis nothing says whose that is"},
		"no trust":                {files, record2, Policy{}, 2, "nothing on this station says"},
		"trust in another case":   {files, record2, trusting(record.LeafHash{1}), 2, "nothing on this station says"},
		"the folder, not by name": {files, "", f.policy(), 1, "this is no case"},
		"one left out":            {without("3" + layout.BundleSuffix), layout.TrustedRoot, f.policy(), 3, "of the log's 5 entries, 1 are not here"},
		"the last left out":       {without("4" + layout.BundleSuffix), layout.TrustedRoot, f.policy(), 3, "of the log's 5 entries, 1 are not here"},
		"no trusted root":         {without(layout.TrustedRoot), record2, Policy{Trust: f.policy().Trust, Require: []string{RequireTimeStamp}}, 5, "0 of 1 have one"},
		"witnesses required":      {files, record2, Policy{Trust: f.policy().Trust, Require: []string{RequireWitness}}, 4, "in no bundle"},
		"an empty export":         {fileSet{layout.TrustedRoot: files[layout.TrustedRoot]}, layout.TrustedRoot, f.policy(), 3, "are not here"},
		"a revoked signer": {files, record2, Policy{Trust: append(f.policy().Trust,
			must(NewRevocationEntry(f.station.PublicKey().KeyID(), trustDay.AddDate(9, 0, 0), "stolen", trustDay)))}, 2, "is revoked"},
		"a revoked log key": {files, record2, Policy{Trust: append(f.policy().Trust,
			must(NewRevocationEntry(logKeyID(f.genesis.LogKeys[1]), trustDay, "stolen", trustDay)))}, 3, "is revoked"},
		"the genesis' signer revoked": {files, record2, Policy{Trust: append(f.policy().Trust,
			must(NewRevocationEntry(f.person.PublicKey().KeyID(), trustDay, "stolen", trustDay)))}, 2, "is revoked"},
	} {
		r := verifyBundle(t, test.files, test.name, test.policy)
		if r.ExitCode() != ExitUnknown || r.Kind != KindBundle || r.Lines[test.line-1].Status != Unknown || !strings.Contains(show(r), test.text) {
			t.Errorf("%s: exit code %d, want 5 by line %d\n%s", name, r.ExitCode(), test.line, show(r))
		}
	}
}

// as is v, which must be a T.
func as[T any](v any) T {
	t, ok := v.(T)
	if !ok {
		panic(fmt.Sprintf("%T", v))
	}
	return t
}

// edit changes a bundle and writes it in the one form.
func edit(b []byte, change func(bundle, material, envelope map[string]any)) []byte {
	var all map[string]any
	must(0, json.Unmarshal(b, &all))
	change(all, as[map[string]any](all["verificationMaterial"]), as[map[string]any](all["dsseEnvelope"]))
	return must(record.EncodeJSON(all))
}

// eachEntry changes both log entries of a bundle.
func eachEntry(b []byte, change func(entry, proof map[string]any)) []byte {
	return edit(b, func(_, material, _ map[string]any) {
		for _, e := range as[[]any](material["tlogEntries"]) {
			entry := as[map[string]any](e)
			change(entry, as[map[string]any](entry["inclusionProof"]))
		}
	})
}

// changedBundle is a change of a bundle, and what must come of it.
type changedBundle struct {
	bundle []byte
	code   int
	text   string
}

func changedBundles(f, other *forge, sound []byte) map[string]changedBundle {
	return map[string]changedBundle{
		"payload type": {edit(sound, func(_, _, e map[string]any) { e["payloadType"] = "text/plain" }), ExitMismatch, "payload type"},
		"two signatures": {edit(sound, func(_, _, e map[string]any) {
			s := as[[]any](e["signatures"])
			e["signatures"] = []any{s[0], s[0]}
		}), ExitMismatch, "2 signatures, want 1"},
		"no signature":    {edit(sound, func(_, _, e map[string]any) { e["signatures"] = []any{} }), ExitMismatch, "0 signatures, want 1"},
		"a later version": {edit(sound, func(b, _, _ map[string]any) { b["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.4+json" }), ExitUnknown, "does not know"},
		"later, and more": {edit(sound, func(b, _, _ map[string]any) {
			b["mediaType"], b["x"] = "application/vnd.dev.sigstore.bundle.v1.0+json", 1
		}), ExitUnknown, "does not know"},
		"an old version":   {edit(sound, func(b, _, _ map[string]any) { b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2" }), ExitUnknown, "does not know"},
		"media type":       {edit(sound, func(b, _, _ map[string]any) { b["mediaType"] = "application/json" }), ExitMismatch, "media type"},
		"no media type":    {edit(sound, func(b, _, _ map[string]any) { delete(b, "mediaType") }), ExitMismatch, "media type"},
		"another member":   {edit(sound, func(b, _, _ map[string]any) { b["x"] = 1 }), ExitMismatch, "damaged or was changed"},
		"a certificate":    {edit(sound, func(_, m, _ map[string]any) { m["certificate"] = map[string]any{"rawBytes": "AAAA"} }), ExitMismatch, "damaged or was changed"},
		"another's hint":   {edit(sound, func(_, m, _ map[string]any) { m["publicKey"] = map[string]any{"hint": f.person.PublicKey().KeyID()} }), ExitMismatch, "signature"},
		"another's leaf":   {eachEntry(sound, func(e, _ map[string]any) { e["canonicalizedBody"] = f.entries[4] }), ExitMismatch, "signature"},
		"no leaf":          {eachEntry(sound, func(e, _ map[string]any) { e["canonicalizedBody"] = "" }), ExitMismatch, "bundle: log entry: malformed"},
		"index":            {eachEntry(sound, func(e, p map[string]any) { e["logIndex"], p["logIndex"] = "1", "1" }), ExitMismatch, "does not stand at index"},
		"index outside":    {eachEntry(sound, func(e, _ map[string]any) { e["logIndex"] = "1" }), ExitMismatch, "is not what follows"},
		"index below":      {eachEntry(sound, func(_, p map[string]any) { p["logIndex"] = "-1" }), ExitMismatch, "index"},
		"proof":            {eachEntry(sound, func(_, p map[string]any) { p["hashes"] = []any{make([]byte, 32)} }), ExitMismatch, "does not stand at index"},
		"a hash too short": {eachEntry(sound, func(_, p map[string]any) { p["hashes"] = []any{make([]byte, 31)} }), ExitMismatch, "a hash of 31 bytes"},
		"no proof":         {eachEntry(sound, func(_, p map[string]any) { p["hashes"] = []any{} }), ExitMismatch, "does not stand at index"},
		"root":             {eachEntry(sound, func(_, p map[string]any) { p["rootHash"] = make([]byte, 32) }), ExitMismatch, "is not what follows"},
		"size":             {eachEntry(sound, func(_, p map[string]any) { p["treeSize"] = "6" }), ExitMismatch, "is not what follows"},
		"version of entry": {eachEntry(sound, func(e, _ map[string]any) {
			e["kindVersion"] = map[string]any{"kind": "hashedrekord", "version": "0.0.1"}
		}), ExitMismatch, "is not what follows"},
		"log": {eachEntry(sound, func(e, _ map[string]any) { e["logId"] = map[string]any{"keyId": make([]byte, 32)} }), ExitMismatch, "is not what follows"},
		"checkpoint": {eachEntry(sound, func(_, p map[string]any) {
			p["checkpoint"] = map[string]any{"envelope": strings.Replace(string(f.checkpoints[5]), "\n5\n", "\n6\n", 1)}
		}), ExitMismatch, ""},
		"a line stripped": {eachEntry(sound, func(_, p map[string]any) {
			note := strings.SplitAfter(string(f.checkpoints[5]), "\n")
			p["checkpoint"] = map[string]any{"envelope": strings.Join(note[:len(note)-2], "")}
		}), ExitMismatch, ""},
		"both lines stripped": {eachEntry(sound, func(_, p map[string]any) {
			text, _, _ := strings.Cut(string(f.checkpoints[5]), "\n\n")
			p["checkpoint"] = map[string]any{"envelope": text + "\n"}
		}), ExitMismatch, "no signature"},
		"one entry":               {edit(sound, func(_, m, _ map[string]any) { m["tlogEntries"] = as[[]any](m["tlogEntries"])[:1] }), ExitMismatch, "1 log entries"},
		"no entry":                {edit(sound, func(_, m, _ map[string]any) { m["tlogEntries"] = []any{} }), ExitMismatch, "0 log entries"},
		"foreign log":             {other.export()[record2], ExitMismatch, ""},
		"another statement":       {f.bundleOf(4), ExitMismatch, "of another entry than its name says"},
		"the genesis in its name": {f.bundleOf(0), ExitMismatch, "of another entry than its name says"},
		"white space":             {append(bytes.Clone(sound), '\n'), ExitMismatch, "damaged or was changed"},
		"nothing":                 {[]byte{}, ExitMismatch, "damaged or was changed"},
		"too large":               {make([]byte, record.MaxJSON+1), ExitMismatch, "damaged or was changed"},
	}
}

// Each change of a bundle is named, with its exit code.
func TestBundlesChanged(t *testing.T) {
	f := smallCase(t)
	files := f.export()
	for name, test := range changedBundles(f, smallCase(t), files[record2]) {
		changed := maps.Clone(files)
		changed[record2] = test.bundle
		for _, name2 := range []string{record2, layout.TrustedRoot} {
			r := verifyBundle(t, changed, name2, f.policy())
			if r.ExitCode() != test.code || r.Kind != KindBundle || !strings.Contains(show(r), test.text) {
				t.Errorf("%s, by %s: exit code %d, want %d with %q\n%s", name, name2, r.ExitCode(), test.code, test.text, show(r))
			}
		}
	}
}

// What lies beside the bundles for others' tools must be what the genesis says.
func TestBundlesBeside(t *testing.T) {
	f := smallCase(t)
	other := smallCase(t)
	files := f.export()
	key := f.person.PublicKey().KeyID() + layout.PublicKeySuffix
	foreign := other.person.PublicKey().KeyID() + layout.PublicKeySuffix
	for name, put := range map[string]fileSet{
		"another's key in its name": {key: files[f.second.PublicKey().KeyID()+layout.PublicKeySuffix]},
		"a foreign key":             {foreign: other.export()[foreign]},
		"no key":                    {key: nil},
		"a foreign trusted root":    {layout.TrustedRoot: other.export()[layout.TrustedRoot]},
		"a changed trusted root":    {layout.TrustedRoot: bytes.Replace(files[layout.TrustedRoot], []byte("PKIX_ED25519"), []byte("PKIX_ED25518"), 1)},
		"no trusted root in it":     {layout.TrustedRoot: []byte("{}")},
		"a foreign genesis":         {"0" + layout.BundleSuffix: other.export()["0"+layout.BundleSuffix]},
		"a second of an entry":      {"copy" + layout.BundleSuffix: files[record2][:100]},
	} {
		changed := maps.Clone(files)
		maps.Copy(changed, put)
		if r := verifyBundle(t, changed, layout.TrustedRoot, f.policy()); r.ExitCode() != ExitMismatch {
			t.Errorf("%s: exit code %d, want 4\n%s", name, r.ExitCode(), show(r))
		}
	}
	changed := maps.Clone(files)
	changed[layout.TrustedRoot] = bytes.Replace(files[layout.TrustedRoot], []byte("version=0.1"), []byte("version=0.2"), 1)
	if r := verifyBundle(t, changed, layout.TrustedRoot, f.policy()); r.ExitCode() != ExitUnknown {
		t.Errorf("a trusted root of a later version: exit code %d, want 5\n%s", r.ExitCode(), show(r))
	}
	linked := files.fs("")
	linked[record2] = &fstest.MapFile{Data: []byte("1" + layout.BundleSuffix), Mode: 0o777 | 1<<27}
	if r, err := Verify(t.Context(), linked, record2, f.policy()); err != nil || r.ExitCode() == ExitVerified {
		t.Errorf("a link: %v\n%s", err, show(r))
	}
}

// Two checkpoints of one size in one export are two histories, though each bundle holds.
func TestBundlesFork(t *testing.T) {
	f := newForge(t)
	f.seize("7")
	first := f.export()
	f.envelopes, f.entries, f.leaves = f.envelopes[:1], f.entries[:1], f.leaves[:1]
	delete(f.checkpoints, 2)
	f.previous = map[string]last{}
	f.seize("8")
	second := f.export()
	first["fork"+layout.BundleSuffix] = second["1"+layout.BundleSuffix]
	r := verifyBundle(t, first, layout.TrustedRoot, f.policy())
	if r.ExitCode() != ExitMismatch || r.Lines[3].Status != Failed || !strings.Contains(show(r), "there were two logs") {
		t.Errorf("exit code %d, want 4 by line 4\n%s", r.ExitCode(), show(r))
	}
}

// A time-stamp over the signature counts under a trusted root only, fulfils --require, and shows that a key which was
// revoked later signed before.
func TestBundlesStamped(t *testing.T) {
	f := smallCase(t)
	o := newOutside(t)
	files := f.export()
	stamp := f.signatureStamp(o, 2)
	files[record2] = f.bundleOf(2, stamp)
	at := time.Now()
	revoked := func(since time.Time) TrustEntry {
		return must(NewRevocationEntry(f.station.PublicKey().KeyID(), since, "stolen", trustDay))
	}
	trusted := append(f.policy().Trust, o.trustTSA())
	for name, test := range map[string]struct {
		bundle []byte
		policy Policy
		code   int
	}{
		"stamped":                 {files[record2], Policy{Trust: trusted, Require: []string{RequireTimeStamp}}, ExitVerified},
		"not required":            {files[record2], f.policy(), ExitVerified},
		"by nobody trusted":       {files[record2], Policy{Trust: f.policy().Trust, Require: []string{RequireTimeStamp}}, ExitUnknown},
		"stripped":                {f.bundleOf(2), Policy{Trust: trusted, Require: []string{RequireTimeStamp}}, ExitUnknown},
		"revoked later":           {files[record2], Policy{Trust: append(trusted, revoked(at.AddDate(50, 0, 0)))}, ExitVerified},
		"revoked before":          {files[record2], Policy{Trust: append(trusted, revoked(trustDay.AddDate(-20, 0, 0)))}, ExitUnknown},
		"revoked later, no stamp": {f.bundleOf(2), Policy{Trust: append(trusted, revoked(at.AddDate(50, 0, 0)))}, ExitUnknown},
		"of another signature":    {f.bundleOf(2, f.signatureStamp(o, 4)), Policy{Trust: trusted}, ExitMismatch},
		"no token at all":         {f.bundleOf(2, []byte("stamp")), Policy{Trust: trusted}, ExitMismatch},
		"a changed one":           {f.bundleOf(2, append(bytes.Clone(stamp[:len(stamp)-1]), stamp[len(stamp)-1]^1)), Policy{Trust: trusted}, ExitMismatch},
	} {
		changed := maps.Clone(files)
		changed[record2] = test.bundle
		if r := verifyBundle(t, changed, record2, test.policy); r.ExitCode() != test.code {
			t.Errorf("%s: exit code %d, want %d\n%s", name, r.ExitCode(), test.code, show(r))
		}
	}
}

// FuzzBundle changes a bundle: only the unmodified one is verified.
func FuzzBundle(f *testing.F) {
	forged := exampleCase(f, 40, 50, 0)
	files := forged.export()
	sound := files[record2]
	for i := range uint16(40) {
		f.Add(i*211, uint16(1), []byte{byte(i)})
		f.Add(i*97, uint16(0), []byte(`,"a":1`))
	}
	f.Fuzz(func(t *testing.T, at, length uint16, put []byte) {
		from := min(int(at), len(sound))
		now := bytes.Join([][]byte{sound[:from], put, sound[min(from+int(length), len(sound)):]}, nil)
		changed := maps.Clone(files)
		changed[record2] = now
		r := verifyBundle(t, changed, record2, forged.policy())
		if same := bytes.Equal(now, sound); (r.ExitCode() == ExitVerified) != same {
			t.Errorf("with %q in place of bytes %d to %d: exit code %d, the same bytes: %t\n%s", put, from, from+int(length), r.ExitCode(), same, show(r))
		}
	})
}
