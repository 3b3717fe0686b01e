package verify

import (
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// outside is a time-stamp authority and two witnesses.
type outside struct {
	tsa       *testtool.TSA
	witnesses []anchor.Cosigner
}

func newOutside(t *testing.T) outside {
	t.Helper()
	o := outside{tsa: testtool.NewTSA(t, testtool.TSAOptions{})}
	for _, name := range []string{"witness.example/w1", "witness.example/w2"} {
		_, key, err := ed25519.GenerateKey(nil)
		o.witnesses = append(o.witnesses, anchor.Cosigner{Name: name, Ed25519: must(key, err), MLDSA: must(mldsa.GenerateKey(mldsa.MLDSA44()))})
	}
	return o
}

// at is what the log's own text says of the checkpoint of that size.
func (f *forge) at(size int64) ledger.Checkpoint {
	return ledger.Checkpoint{Origin: f.origin, Size: size, Root: mth(f.leaves[:size])}
}

// anchor puts an anchor where it belongs, and returns its digest.
func (f *forge) anchor(size int64, kind string, b []byte) record.Digest {
	sum := sha256.Sum256(b)
	f.put(layout.AnchorFile(size, hex.EncodeToString(sum[:]), kind), b)
	return record.SHA256Digest(sum)
}

func (f *forge) stamp(o outside, size int64) record.Digest {
	return f.anchor(size, layout.AnchorToken, f.tokenOf(o.tsa, f.at(size)))
}

func (f *forge) tokenOf(tsa *testtool.TSA, c ledger.Checkpoint) []byte {
	return tsa.Reply(f.t, must(anchor.NewRequest(sha256.Sum256([]byte(c.Text())), nil)))
}

var sawIt = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func (f *forge) cosign(w anchor.Cosigner, c ledger.Checkpoint) record.Digest {
	return f.anchor(c.Size, layout.AnchorCosigned, must(w.Sign(c, sawIt)).Encode())
}

func (o outside) trustTSA() TrustEntry {
	return must(NewTimeStampEntry(o.tsa.Root.Raw, "Example time-stamps", trustDay))
}

// trustWitness trusts both keys of a witness.
func (o outside) trustWitness(n int, quorum int64) (entries []TrustEntry) {
	for _, k := range must(o.witnesses[n].Keys()) {
		entries = append(entries, must(NewWitnessEntry(k, quorum, k.Name(), trustDay)))
	}
	return entries
}

// anchored is one case of TestAnchors: what was done to a sound case of four entries, what is trusted beside it, and what
// must come out without and with everything required.
type anchored struct {
	prepare             func(f *forge, o outside)
	trust               func(f *forge, o outside) []TrustEntry
	without, with       int
	line                int // that says why
	text                string
	witnessed, stampedN int64
}

func trustAll(_ *forge, o outside) []TrustEntry {
	return append(append(o.trustWitness(0, 1), o.trustWitness(1, 1)...), o.trustTSA())
}

func both(f *forge, o outside) {
	f.stamp(o, 3)
	f.cosign(o.witnesses[0], f.at(3))
}

var anchoredCases = map[string]anchored{
	"none": {func(*forge, outside) {}, trustAll, ExitVerified, ExitUnknown, 5, "a time-stamp under a trusted root is required", 0, 0},
	"both": {both, trustAll, ExitVerified, ExitVerified, 4, "", 3, 3},
	"trusted by nobody": {both, func(*forge, outside) []TrustEntry { return nil }, ExitVerified, ExitUnknown, 4,
		"no line in it is by a witness that is trusted here", 0, 0},
	"before the acquisition": {func(f *forge, o outside) {
		f.stamp(o, 2)
		f.cosign(o.witnesses[0], f.at(2))
	}, trustAll, ExitVerified, ExitUnknown, 5, "covers 2 entries of this log, not entry 2", 2, 2},
	"a time-stamp of another checkpoint": {func(f *forge, o outside) {
		both(f, o)
		f.anchor(3, layout.AnchorToken, f.tokenOf(o.tsa, f.at(2)))
	}, trustAll, ExitMismatch, ExitMismatch, 5, "about something else than the checkpoint of size 3", 3, 3},
	"an expired chain": {func(f *forge, o outside) {
		f.cosign(o.witnesses[0], f.at(3))
		f.stamp(o, 3)
	}, trustAll, ExitVerified, ExitUnknown, 5, "counts for nothing", 3, 0},
	"a token without a certificate": {func(f *forge, o outside) {
		f.cosign(o.witnesses[0], f.at(3))
		sum := sha256.Sum256([]byte(f.at(3).Text()))
		type imprint struct {
			Algorithm struct {
				OID  asn1.ObjectIdentifier
				Null asn1.RawValue
			}
			Hash []byte
		}
		var q struct {
			Version int
			Imprint imprint
		}
		q.Version, q.Imprint.Hash = 1, sum[:]
		q.Imprint.Algorithm.OID, q.Imprint.Algorithm.Null = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, asn1.NullRawValue
		f.anchor(3, layout.AnchorToken, o.tsa.Reply(f.t, must(asn1.Marshal(q))))
	}, trustAll, ExitVerified, ExitUnknown, 5, "does not hold the certificate", 3, 0},
	"a witness that signed a fork": {func(f *forge, o outside) {
		both(f, o)
		fork := f.at(3)
		fork.Root[0] ^= 1
		f.cosign(o.witnesses[1], fork)
	}, trustAll, ExitMismatch, ExitMismatch, 4, "there are two histories", 3, 3},
	"a quorum of two, and one": {both, func(f *forge, o outside) []TrustEntry {
		return append(append(o.trustWitness(0, 2), o.trustWitness(1, 2)...), o.trustTSA())
	}, ExitVerified, ExitUnknown, 4, "a cosignature of 2 trusted witnesses is required", 0, 3},
	"a quorum of two": {func(f *forge, o outside) {
		both(f, o)
		f.cosign(o.witnesses[1], f.at(3))
	}, func(f *forge, o outside) []TrustEntry {
		return append(append(o.trustWitness(0, 2), o.trustWitness(1, 2)...), o.trustTSA())
	}, ExitVerified, ExitVerified, 4, "", 3, 3},
	"a witness with one key of two": {func(f *forge, o outside) {
		f.stamp(o, 3)
		half := o.witnesses[0]
		half.MLDSA = nil
		f.cosign(half, f.at(3))
	}, trustAll, ExitVerified, ExitUnknown, 4, "a cosignature of 1 trusted witnesses is required", 0, 3},
	"a token that was changed": {func(f *forge, o outside) {
		both(f, o)
		for name, b := range f.files {
			if strings.HasSuffix(name, ".tsr") {
				f.files[name] = append(slices.Clone(b[:len(b)-1]), b[len(b)-1]^1)
			}
		}
	}, trustAll, ExitMismatch, ExitMismatch, 4, "the anchor was changed", 3, 0},
	"a token with a signature that was changed": {func(f *forge, o outside) {
		both(f, o)
		b := f.tokenOf(o.tsa, f.at(3))
		f.anchor(3, layout.AnchorToken, append(b[:len(b)-1], b[len(b)-1]^1))
	}, trustAll, ExitMismatch, ExitMismatch, 5, "signature does not match", 3, 3},
	"a malformed cosignature": {func(f *forge, o outside) {
		both(f, o)
		f.anchor(3, layout.AnchorCosigned, []byte(f.at(3).Text()+"\n"))
	}, trustAll, ExitMismatch, ExitMismatch, 4, "no signature lines", 3, 3},
	"an anchor of a larger log": {func(f *forge, o outside) {
		both(f, o)
		more := f.at(3)
		more.Size = 9
		f.cosign(o.witnesses[1], more)
	}, trustAll, ExitMismatch, ExitMismatch, 4, "the log was cut back", 3, 3},
	"a stranger beside them": {func(f *forge, o outside) {
		both(f, o)
		f.put(layout.AnchorsDir+"/readme", []byte("x"))
		f.put(layout.PendingAnchors, []byte("anything"))
	}, trustAll, ExitVerified, ExitVerified, 4, "", 3, 3},
}

func TestAnchors(t *testing.T) {
	sound, expired := newOutside(t), newOutside(t)
	expired.tsa = testtool.NewTSA(t, testtool.TSAOptions{NotAfter: time.Now().AddDate(-1, 0, 0)})
	for name, test := range anchoredCases {
		t.Run(name, func(t *testing.T) {
			o := sound
			if strings.Contains(name, "expired") {
				o = expired
			}
			f := soundCase(t)
			test.prepare(f, o)
			for _, required := range [][]string{nil, {RequireWitness, RequireTimeStamp}} {
				p := f.policy()
				p.Trust, p.Require = append(p.Trust, test.trust(f, o)...), required
				report, err := Verify(t.Context(), f.build().fs(""), "", p)
				if err != nil {
					t.Fatal(err)
				}
				want := test.without
				if required != nil {
					want = test.with
				}
				if got := report.ExitCode(); got != want {
					t.Errorf("required %v: exit code %d, want %d\n%s", required, got, want, texts(report))
				}
				if got := report.Cases[0]; got.Witnessed != test.witnessed || got.Stamped != test.stampedN {
					t.Errorf("%d entries witnessed and %d stamped, want %d and %d", got.Witnessed, got.Stamped, test.witnessed, test.stampedN)
				}
				if required != nil && !lineSays(report, test.line, test.text) {
					t.Errorf("line %d does not say %q\n%s", test.line, test.text, texts(report))
				}
			}
		})
	}
}

func lineSays(r Report, line int, text string) bool {
	l := r.Lines[line-1]
	return text == "" || slices.ContainsFunc(l.Findings, func(f Finding) bool { return strings.Contains(f.Text, text) })
}

func texts(r Report) string {
	var b strings.Builder
	for _, l := range r.Lines {
		b.WriteString(l.Title + " " + l.Status.String() + " " + l.Sentence + "\n")
		for _, f := range l.Findings {
			b.WriteString("  " + f.String() + "\n")
		}
	}
	return b.String()
}

// An anchor that an event names must be there; taking it away is seen.
func TestAnchorTakenAway(t *testing.T) {
	o := newOutside(t)
	f := newForge(t)
	digest := f.stamp(o, 1)
	e, openings := f.newSeized("7")
	e.Event.Log.Anchors = []record.Digest{digest}
	f.event(f.person, e, openings)
	f.publish()
	f.acquire("7", idA, pattern(700, 1), 0)
	report, err := Verify(t.Context(), f.build().fs(""), "", f.policy())
	if err != nil || report.ExitCode() != ExitVerified {
		t.Fatalf("exit code %d, %v\n%s", report.ExitCode(), err, texts(report))
	}
	files := f.build()
	for name := range files {
		if strings.HasSuffix(name, ".tsr") {
			delete(files, name)
		}
	}
	report, err = Verify(t.Context(), files.fs(""), "", f.policy())
	if err != nil || report.ExitCode() != ExitUnknown || !lineSays(report, 4, "which entry 1 names, is not here: it was taken away") {
		t.Errorf("exit code %d, %v\n%s", report.ExitCode(), err, texts(report))
	}
}

// What a revoked key signed counts only where an anchor is older than the revocation.
func TestRevocation(t *testing.T) {
	o := newOutside(t)
	f := soundCase(t)
	stampedAt := time.Now() // openssl's clock
	f.stamp(o, 3)
	logKey := logKeyID(f.genesis.LogKeys[0])
	trust := func(keyID string, since time.Time, more ...TrustEntry) []TrustEntry {
		return append(append(f.policy().Trust, must(NewRevocationEntry(keyID, since, "stolen", trustDay))), more...)
	}
	later, earlier := stampedAt.Add(time.Hour), stampedAt.Add(-time.Hour)
	tests := map[string]struct {
		trust []TrustEntry
		want  int
		line  int
	}{
		"the station's key, later":             {trust(f.station.PublicKey().KeyID(), later, o.trustTSA()), ExitVerified, 2},
		"the station's key, before":            {trust(f.station.PublicKey().KeyID(), earlier, o.trustTSA()), ExitUnknown, 2},
		"the station's key, no root":           {trust(f.station.PublicKey().KeyID(), later), ExitUnknown, 2},
		"the person's key, before":             {trust(f.person.PublicKey().KeyID(), earlier, o.trustTSA()), ExitUnknown, 2},
		"the log's key, later":                 {trust(logKey, later, o.trustTSA()), ExitVerified, 3},
		"the log's key, before":                {trust(logKey, earlier, o.trustTSA()), ExitUnknown, 3},
		"another's key":                        {trust(strings.Repeat("0", 64), earlier), ExitVerified, 2},
		"the key of a witness that saw it, in": {trust(f.station.PublicKey().KeyID(), sawIt.Add(time.Second), o.trustWitness(0, 1)...), ExitVerified, 2},
		"a witness that saw it too late":       {trust(f.station.PublicKey().KeyID(), sawIt, o.trustWitness(0, 1)...), ExitUnknown, 2},
	}
	f.cosign(o.witnesses[0], f.at(3))
	for name, test := range tests {
		report, err := Verify(t.Context(), f.build().fs(""), "", Policy{Trust: test.trust})
		if err != nil || report.ExitCode() != test.want {
			t.Errorf("%s: exit code %d, %v, want %d\n%s", name, report.ExitCode(), err, test.want, texts(report))
		}
		if test.want == ExitUnknown && !lineSays(report, test.line, "is revoked, and no anchor shows") {
			t.Errorf("%s: line %d does not say so\n%s", name, test.line, texts(report))
		}
		if test.want == ExitUnknown && test.line == 2 && report.Acquisitions[0].Signature == Verified && strings.Contains(name, "station") {
			t.Errorf("%s: the acquisition's own signature is said to be verified", name)
		}
	}
	// A folder by itself has no anchors.
	dir := f.sealed[0].dir
	for _, id := range []string{f.station.PublicKey().KeyID(), f.person.PublicKey().KeyID(), logKey} {
		report, err := Verify(t.Context(), f.build().fs(dir), "", Policy{Trust: trust(id, later, o.trustTSA()), FolderName: idA})
		if err != nil || report.ExitCode() != ExitUnknown {
			t.Errorf("the folder alone, key %s: exit code %d, %v, want %d\n%s", id, report.ExitCode(), err, ExitUnknown, texts(report))
		}
	}
}

// A time-stamp root, a witness or a revocation never vouches for a case, and a case's own certificates for no time-stamp.
func TestRolesOfAnchorsDoNotMix(t *testing.T) {
	o := newOutside(t)
	f := soundCase(t)
	f.stamp(o, 3)
	p := Policy{Trust: append(o.trustWitness(0, 1), o.trustTSA(), must(NewRevocationEntry(f.fingerprint().String(), trustDay, "x", trustDay)))}
	report, err := Verify(t.Context(), f.build().fs(""), "", p)
	if err != nil || report.ExitCode() != ExitUnknown || !lineSays(report, 2, "nothing on this station says") {
		t.Errorf("exit code %d, %v\n%s", report.ExitCode(), err, texts(report))
	}
	p.Trust[len(p.Trust)-2].Role = RoleGenesis // the root's certificate, offered as a case
	if _, ok := trusts(p.Trust, f.fingerprint()); ok {
		t.Error("a certificate vouches for a case")
	}
	if got := TimeStampRoots(f.policy().Trust); len(got) != 0 {
		t.Errorf("%d roots of a file that names a case only", len(got))
	}
	if keys, quorum := Witnesses(f.policy().Trust); len(keys) != 0 || quorum != 0 {
		t.Errorf("witnesses %v, quorum %d", keys, quorum)
	}
}

func TestRequireWhatIsUnknown(t *testing.T) {
	f := soundCase(t)
	p := f.policy()
	p.Require = []string{"moon"}
	if report, err := Verify(t.Context(), f.build().fs(""), "", p); err == nil || report.Kind != "" {
		t.Errorf("%+v, want an error", report)
	}
	// What is required of a folder alone cannot be met.
	for _, what := range Requirements {
		p.Require, p.FolderName = []string{what}, idA
		report, err := Verify(t.Context(), f.build().fs(f.sealed[0].dir), "", p)
		if err != nil || report.ExitCode() != ExitUnknown {
			t.Errorf("%s of a folder alone: exit code %d, %v", what, report.ExitCode(), err)
		}
	}
}

// An envelope of another payload type, or with a second signature, is no statement, whoever signed it.
func TestEnvelopesThatAreNoStatements(t *testing.T) {
	for name, change := range map[string][2]string{
		"payload type":   {`"payloadType":"application/vnd.in-toto+json"`, `"payloadType":"application/json"`},
		"two signatures": {`"signatures":[{`, `"signatures":[{"keyid":"` + strings.Repeat("0", 64) + `","sig":"AAAA"},{`},
	} {
		f := soundCase(t)
		files := f.build()
		for _, file := range []string{logFile(f, layout.StatementFile(2)), f.sealed[0].dir + "/" + layout.Statement} {
			changed := strings.Replace(string(files[file]), change[0], change[1], 1)
			if changed == string(files[file]) {
				t.Fatalf("%s: %q was not changed", name, file)
			}
			files[file] = []byte(changed)
		}
		report, err := Verify(t.Context(), files.fs(""), "", f.policy())
		if err != nil || report.ExitCode() != ExitMismatch || report.Lines[1].Status != Failed {
			t.Errorf("%s: exit code %d, %v, want %d\n%s", name, report.ExitCode(), err, ExitMismatch, texts(report))
		}
	}
}
