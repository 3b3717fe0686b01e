package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// quoteFile has the TPM quote PCRs for a record, after change.
func (s *softTPM) quoteFile(leaf record.LeafHash, change func(*attest.QuoteFile)) attest.QuoteFile {
	q := attest.QuoteFile{Key: publicArea(s.ak, true), Parent: s.parent, PCRs: make([]attest.PCR, attest.BootPCRs), BootLog: record.Unknown[record.Digest]("none")}
	q.PCRs[4] = bootPCR4
	change(&q)
	var all []byte
	for _, p := range q.PCRs {
		all = append(all, p[:]...)
	}
	sum := sha256.Sum256(all)
	if q.Attest == nil {
		q.Signed = s.sign(tpm2.TPMSTAttestQuote, attest.QuoteNonce(leaf), tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
			PCRDigest: tpm2.TPM2BDigest{Buffer: sum[:]},
			PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{0xff, 0, 0}}}}}))
	}
	return q
}

// bootLog has one event, of PCR 4, which then has the value bootPCR4.
func bootLog() []byte {
	le := binary.LittleEndian
	spec := append([]byte("Spec ID Event03\x00"), 0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 11, 0, 32, 0, 0)
	b := append(append(make([]byte, 4), 3, 0, 0, 0), make([]byte, 20)...)
	b = append(le.AppendUint32(b, uint32(len(spec))), spec...)
	b = le.AppendUint32(le.AppendUint32(le.AppendUint32(b, 4), 13), 1)
	b = append(append(b, 11, 0), bootEvent[:]...)
	return le.AppendUint32(b, 0)
}

var (
	bootEvent = sha256.Sum256([]byte("a loader"))
	bootPCR4  = attest.PCR(sha256.Sum256(append(make([]byte, 32), bootEvent[:]...)))
)

const quotedEntry = 2

func quoteOf(f *forge) string { return logFile(f, layout.StartFile(quotedEntry, layout.AttestQuote)) }

func bootLogName(f *forge) string {
	return logFile(f, layout.StartFile(quotedEntry, layout.AttestBootLog))
}

// putQuote puts a quote of the record beside it, to be named by the next event.
func (f *forge) putQuote(change func(*attest.QuoteFile)) {
	f.tpm.clock.Clock++
	b := must(f.tpm.quoteFile(record.LeafHash(f.leaves[quotedEntry]), change).Encode())
	f.files[quoteOf(f)] = b
	f.quotes = append(f.quotes, record.SHA256Digest(sha256.Sum256(b)))
}

func asIs(*attest.QuoteFile) {}

// trusting is the policy that trusts the case, and the authority that enrolled its keys if there is one.
func (f *forge) trusting() Policy {
	if f.enrolled.key == nil {
		return f.policy()
	}
	return f.enrolledPolicy(f.enrolled)
}

// quotedForge is a sound case whose acquisition was quoted, which the next event names.
func quotedForge(t *testing.T) *forge { return quotedWith(t, asIs) }

func quotedWith(t *testing.T, change func(*attest.QuoteFile)) *forge {
	f, _ := tpmForge(t)
	f.putQuote(change)
	f.seize("8")
	return f
}

func withBootLog(b []byte) func(*attest.QuoteFile) {
	return func(q *attest.QuoteFile) { q.BootLog = record.Known(record.SHA256Digest(sha256.Sum256(b))) }
}

// edited changes the quote before it is named: a liar with all keys but the attestation key.
func edited(change func(f *forge, q *attest.QuoteFile)) func(*testing.T) *forge {
	return func(t *testing.T) *forge {
		f, _ := tpmForge(t)
		f.putQuote(asIs)
		q := must(attest.ParseQuoteFile(f.files[quoteOf(f)]))
		change(f, &q)
		b := must(q.Encode())
		f.files[quoteOf(f)], f.quotes = b, []record.Digest{record.SHA256Digest(sha256.Sum256(b))}
		f.seize("8")
		return f
	}
}

// started is what is said of the start of the station.
type started struct {
	make func(t *testing.T) *forge
	code int
	want Status
	text string // of a finding in line 2 or 7
}

func quoteFaults() map[string]started {
	return map[string]started{
		"sound": {quotedForge, ExitVerified, Verified, ""},
		"not named yet": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.putQuote(asIs)
			return f
		}, ExitVerified, Verified, ""},
		"named twice": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.putQuote(asIs)
			again := f.quotes
			f.seize("8")
			f.quotes = again
			f.seize("9")
			return f
		}, ExitVerified, Verified, ""},
		"no quote": {func(t *testing.T) *forge { f, _ := tpmForge(t); return f }, ExitVerified, Unknown, "is not shown: its TPM gave no quote"},
		"a key that is in no TPM": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			delete(f.files, layout.KeyAttestationFile(idOf(f.stationKey)))
			return f
		}, ExitVerified, NotChecked, ""},
		"stripped before it was named": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.putQuote(asIs)
			delete(f.files, quoteOf(f))
			return f
		}, ExitVerified, Unknown, "is not shown"},
		"stripped": {func(t *testing.T) *forge {
			f := quotedForge(t)
			delete(f.files, quoteOf(f))
			return f
		}, ExitMismatch, Unknown, "which entry 3 names, is not here"},
		"stripped together with the counter's certificate": {func(t *testing.T) *forge {
			f := quotedForge(t)
			delete(f.files, quoteOf(f))
			delete(f.files, attestFile(f, 3))
			return f
		}, ExitMismatch, Unknown, "which entry 3 names, is not here"},
		"made once more": {func(t *testing.T) *forge {
			f := quotedForge(t)
			f.tpm.clock.Clock -= 2
			f.putQuote(asIs)
			return f
		}, ExitMismatch, Verified, "is not here: it was taken away or changed"},
		"torn": {func(t *testing.T) *forge {
			f := quotedForge(t)
			f.files[quoteOf(f)] = f.files[quoteOf(f)][:90]
			return f
		}, ExitMismatch, Failed, "damaged"},
		"of a newer version": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.putQuote(asIs)
			f.files[quoteOf(f)] = bytes.Replace(f.files[quoteOf(f)], []byte("quote/v1"), []byte("quote/v2"), 1)
			return f
		}, ExitUnknown, Unknown, "does not know"},
	}
}

func quoteLies() map[string]started {
	return map[string]started{
		"another PCR":     {edited(func(_ *forge, q *attest.QuoteFile) { q.PCRs[2][0] ^= 1 }), ExitMismatch, Failed, "not those that were quoted"},
		"another nonce":   {edited(func(f *forge, q *attest.QuoteFile) { q.Signed = f.tpm.quoteFile(record.LeafHash{}, asIs).Signed }), ExitMismatch, Failed, "nonce"},
		"the signature":   {edited(func(_ *forge, q *attest.QuoteFile) { q.Signature[12] ^= 1 }), ExitMismatch, Failed, "no quote for entry 2"},
		"the attestation": {edited(func(_ *forge, q *attest.QuoteFile) { q.Attest[60] ^= 1 }), ExitMismatch, Failed, "no quote for entry 2"},
		"a certificate of the counter": {edited(func(f *forge, q *attest.QuoteFile) {
			q.Signed = must(attest.ParseCounter(f.files[attestFile(f, 3)]))
		}), ExitMismatch, Failed, "it is of type"},
		"another TPM": {edited(func(f *forge, q *attest.QuoteFile) {
			*q = newSoftTPM().quoteFile(record.LeafHash(f.leaves[quotedEntry]), asIs)
		}), ExitMismatch, Failed, "another TPM made the quote"},
		"a TPM that nothing names": {func(t *testing.T) *forge {
			f := seizedCase(t)
			addAcquired(f, f.station, untouched)
			f.tpm = newSoftTPM()
			f.putQuote(asIs)
			f.tpm = nil
			f.seize("8")
			return f
		}, ExitVerified, Unknown, "counts for nothing"},
		"before the record": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.tpm.clock.ResetCount--
			f.putQuote(asIs)
			f.tpm.clock.ResetCount++
			f.seize("8")
			return f
		}, ExitMismatch, Failed, "not made after the record"},
		"after the event that names it": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.tpm.clock.ResetCount++
			f.putQuote(asIs)
			f.tpm.clock.ResetCount--
			f.seize("8")
			return f
		}, ExitMismatch, Failed, "not made before entry 3"},
		"after another start": {func(t *testing.T) *forge {
			f, _ := tpmForge(t)
			f.tpm.clock.ResetCount++
			f.putQuote(asIs)
			f.seize("8")
			return f
		}, ExitVerified, Unknown, "started again between"},
	}
}

func bootLogFaults() map[string]started {
	with := func(b []byte, change func(f *forge)) func(*testing.T) *forge {
		return func(t *testing.T) *forge {
			f := quotedWith(t, withBootLog(b))
			f.files[bootLogName(f)] = b
			change(f)
			return f
		}
	}
	return map[string]started{
		"explained":             {with(bootLog(), func(*forge) {}), ExitVerified, Verified, ""},
		"the event log missing": {with(bootLog(), func(f *forge) { delete(f.files, bootLogName(f)) }), ExitMismatch, Failed, "is not here: it was taken away"},
		"the event log changed": {with(bootLog(), func(f *forge) { f.files[bootLogName(f)] = bootLog()[:20] }), ExitMismatch, Failed, "not the one that the quote names"},
		"a huge event log": {with(bootLog(), func(f *forge) { f.files[bootLogName(f)] = make([]byte, layout.MaxBootLog+1) }),
			ExitMismatch, Failed, "damaged"},
		"an event log that explains nothing": {with(bootLog()[:20], func(*forge) {}), ExitVerified, Verified, "does not explain"},
		"an event log that no quote names": {func(t *testing.T) *forge {
			f := quotedForge(t)
			f.files[bootLogName(f)] = bootLog()
			return f
		}, ExitVerified, Verified, ""},
	}
}

func TestQuotes(t *testing.T) {
	for _, faults := range []map[string]started{quoteFaults(), quoteLies(), bootLogFaults()} {
		for name, test := range faults {
			t.Run(name, func(t *testing.T) {
				f := test.make(t)
				r := check(t, f.build().fs(""), "", f.trusting(), test.code)
				all := slices.Concat(r.Lines[1].Findings, r.Lines[6].Findings)
				if test.text != "" && !slices.ContainsFunc(all, func(g Finding) bool { return strings.Contains(g.Text, test.text) }) {
					t.Errorf("nothing says %q\n%s", test.text, show(r))
				}
				if got := r.Acquisitions[0].Quote; got != test.want {
					t.Errorf("the quote is %s, want %s\n%s", got, test.want, show(r))
				}
				if said := strings.Contains(r.Lines[1].Sentence, "its TPM quoted for 1 record"); said != (test.want == Verified && test.code == ExitVerified) {
					t.Errorf("line 2 speaks of a quote: %t\n%s", said, show(r))
				}
				const explained = "for 1 of 1 quote the event log"
				if said := strings.Contains(r.Lines[6].Sentence, explained); said != (name == "explained") {
					t.Errorf("line 7 says %q: %t\n%s", explained, said, show(r))
				}
			})
		}
	}
}

// A quote by a key that nobody trusted has certified to be in a TPM proves nothing about a start, whatever else holds; and so
// does one for a record that was signed by a key of which nothing says that it is in that TPM, or in a log without a counter.
func TestQuotesThatProveNothing(t *testing.T) {
	for name, c := range map[string]struct {
		make func() (*forge, Policy)
		text string
	}{
		"nobody is trusted": {func() (*forge, Policy) { f := quotedForge(t); return f, f.policy() }, "nobody who is trusted here has certified"},
		"a key in a file": {func() (*forge, Policy) {
			f := quotedForge(t)
			delete(f.files, layout.KeyAttestationFile(idOf(f.stationKey)))
			return f, f.trusting()
		}, "counts for nothing"},
	} {
		f, policy := c.make()
		r := check(t, f.build().fs(""), "", policy, ExitVerified)
		if got := r.Acquisitions[0].Quote; got != Unknown {
			t.Errorf("%s: the quote is %s, want unknown", name, got)
		}
		if !strings.Contains(show(r), c.text) || strings.Contains(show(r), "its TPM quoted") {
			t.Errorf("%s: want %q\n%s", name, c.text, show(r))
		}
	}
}

// A quote for what is no acquisition is foreign.
func TestStrangeQuotes(t *testing.T) {
	f := quotedForge(t)
	f.put(layout.StartFile(1, layout.AttestQuote), []byte("x"))
	f.put(layout.AttestDir+"/2.other", []byte("x"))
	r := check(t, f.build().fs(""), "", f.policy(), ExitVerified)
	if len(r.Notes) != 2 {
		t.Errorf("%d notes, want 2\n%s", len(r.Notes), show(r))
	}
	f.put(layout.StartFile(9, layout.AttestQuote), []byte("x"))
	check(t, f.build().fs(""), "", f.policy(), ExitUnknown)
}
