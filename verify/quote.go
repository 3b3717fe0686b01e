package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// quotes are what the TPMs of stations said of how those were started when they signed a record.
type quotes struct {
	named   map[record.Digest]int64 // attestations that are no certificate of the counter, by the first statement that names them
	unsure  []namedTogether
	waiting []int64                // entries, in order, that no certified checkpoint covers yet
	clocks  map[int64]attest.Clock // of the TPM at the first certified checkpoint that covers an entry
	status  map[int64]Status       // of each record's quote
}

// namedTogether are attestations that a statement names, of which one is that of a certificate which is not here.
type namedTogether struct {
	index   int64
	digests []record.Digest
}

// maxUnsure bounds them. What goes beyond leaves nothing verified: each stands for a missing certificate, which is said.
const maxUnsure = 1000

// attested requires that an event names the certificate of the checkpoint it saw. What else it names has to be quotes.
func (l *logCheck) attested(i int64, name string, s record.LogState) {
	others := s.Attestations
	if l.gen.opened.Counter != nil {
		others = l.besideCertificate(i, name, s)
	}
	for _, d := range others {
		if _, ok := l.quotes.named[d]; !ok {
			l.quotes.named[d] = i
			l.wait(i)
		}
	}
}

// besideCertificate requires the certificate among what an event names, and returns the rest. Where the certificate is not
// here nobody can tell which it was: then all that the event names is noted as unsure.
func (l *logCheck) besideCertificate(i int64, name string, s record.LogState) []record.Digest {
	want := l.last.certificate
	missing := l.last.size != s.Size || want.IsZero()
	switch {
	case len(s.Attestations) == 0:
		l.append.add(mismatch(name, "event.log.attestations", "1", "0", fmt.Sprintf("entry %d does not name the certificate of the checkpoint that preceded it", i)))
		return nil
	case !missing && slices.Contains(s.Attestations, want):
		return slices.DeleteFunc(slices.Clone(s.Attestations), func(d record.Digest) bool { return d == want })
	case !missing:
		f := mismatch(l.path(layout.AttestFile(s.Size)), "", s.Attestations[0].String(), want.String(),
			fmt.Sprintf("it is another certificate than the one that entry %d names", i))
		f.Advice = adviceLog
		l.append.add(f)
	}
	if len(l.quotes.unsure) < maxUnsure {
		l.quotes.unsure = append(l.quotes.unsure, namedTogether{i, s.Attestations})
	}
	return nil
}

// wait asks for the TPM's clock at the next certified checkpoint. Entries come in order.
func (l *logCheck) wait(i int64) {
	if n := len(l.quotes.waiting); l.counter != nil && (n == 0 || l.quotes.waiting[n-1] < i) {
		l.quotes.waiting = append(l.quotes.waiting, i)
	}
}

// clockAt takes the clock at the certified checkpoint of that size.
func (q *quotes) clockAt(size int64, at attest.Clock) {
	for len(q.waiting) > 0 && q.waiting[0] < size {
		q.clocks[q.waiting[0]] = at
		q.waiting = q.waiting[1:]
	}
}

// checkQuotes holds each record's quote against the record, the key that signed it and the counter's certificates, when all
// of the log was read and the keys are known.
func (l *logCheck) checkQuotes() {
	if l.gen == nil || l.cut {
		return
	}
	present := map[record.Digest]bool{}
	for _, ref := range l.images {
		if ref.acquired {
			l.quotes.status[ref.index] = l.checkQuote(ref, present)
		}
	}
	gone := func(i int64, d record.Digest) {
		f := mismatch(l.path(layout.AttestDir), "", d.String(), "", fmt.Sprintf("the attestation %s, which entry %d names, is not here: it was taken away or changed", d, i))
		f.Advice = adviceLog
		l.signature.add(f)
	}
	for _, d := range slices.SortedFunc(maps.Keys(l.quotes.named), func(a, b record.Digest) int { return cmp.Compare(a.Hex(), b.Hex()) }) {
		if !present[d] {
			gone(l.quotes.named[d], d)
		}
	}
	for _, together := range l.quotes.unsure {
		lost := slices.DeleteFunc(slices.Clone(together.digests), func(d record.Digest) bool { return present[d] })
		if len(lost) > 1 { // one may be that of the certificate
			gone(together.index, lost[0])
		}
	}
}

// checkQuote checks the quote for one record, and takes its digest into present.
func (l *logCheck) checkQuote(ref imageRef, present map[record.Digest]bool) Status {
	file := l.path(layout.StartFile(ref.index, layout.AttestQuote))
	b, err := l.c.fsys.readFile(file, layout.MaxAttest)
	ak, inTPM := l.c.attestationKeys[ref.keyID]
	if isMissing(err) {
		return l.unquoted(ref, file, inTPM)
	}
	if err != nil {
		return l.badQuote(fromError(file, err))
	}
	present[record.SHA256Of(b)] = true
	q, err := attest.ParseQuoteFile(b)
	if err != nil {
		return l.badQuote(fromError(file, content(err)))
	}
	by, at, err := q.Check(ref.leaf)
	if err != nil {
		return l.badQuote(fromError(file, content(fmt.Errorf("it is no quote for entry %d: %w", ref.index, err))))
	}
	if !inTPM {
		l.c.lines[7].add(Finding{Severity: Note, File: file, Text: "the quote counts for nothing: nothing here says which TPM is that of the key which signed the record"})
		return Unknown
	}
	if by != ak {
		return l.badQuote(mismatch(file, "attestationKey", ak.Public.Name().String(), by.Public.Name().String(), "another TPM made the quote than the one that holds the key which signed the record"))
	}
	sameStart, err := l.quoteOrder(ref, file, b, at)
	if err != nil {
		return l.badQuote(fromError(file, content(err)))
	}
	explained, sound := l.bootLog(ref, q)
	if !sound {
		return Failed
	}
	l.signature.checked++
	if l.c.assurances[ref.keyID] != AssuranceHardware {
		l.c.lines[7].add(Finding{Severity: Note, File: file, Text: fmt.Sprintf("the quote for entry %d holds, but nobody who is trusted here has certified that the key which made it is in a TPM: anybody can make one", ref.index)})
		return Unknown
	}
	if !sameStart {
		return Unknown
	}
	l.c.quoted++
	if explained {
		l.c.explained++
	}
	return Verified
}

// badQuote adds a finding, and gives the status that follows from it.
func (l *logCheck) badQuote(f Finding) Status {
	l.signature.add(f)
	if f.Severity == Missing {
		return Unknown
	}
	return Failed
}

// unquoted says of a record that a TPM's key signed that there is no quote. Where a later event names one, that is said too.
func (l *logCheck) unquoted(ref imageRef, file string, inTPM bool) Status {
	if !inTPM {
		return NotChecked
	}
	l.c.lines[7].add(Finding{Severity: Note, File: file,
		Text: fmt.Sprintf("how the station was started when it signed entry %d is not shown: its TPM gave no quote, or it was not kept", ref.index)})
	return Unknown
}

// quoteOrder requires that the quote was made after the checkpoint that covers the record and before the one that covers the
// statement which names it, as far as there are certificates of a counter in the same TPM. sameStart says that the station had
// not been started again since that checkpoint.
func (l *logCheck) quoteOrder(ref imageRef, file string, b []byte, at attest.Clock) (sameStart bool, err error) {
	note := func(text string) { l.c.lines[7].add(Finding{Severity: Note, File: file, Text: text}) }
	before, known := l.quotes.clocks[ref.index]
	if known {
		if err := attest.Follow(before, at); err != nil {
			return false, fmt.Errorf("it was not made after the record: %w", err)
		}
	}
	sameStart = known && before.Resets == at.Resets
	switch {
	case !known:
		note(fmt.Sprintf("nothing shows that the station had not been started again between entry %d and the quote for it: the log has no counter in that TPM", ref.index))
	case !sameStart:
		note("the station was started again between the record and the quote, so the quote is about the later start")
	}
	if named, ok := l.quotes.named[record.SHA256Of(b)]; ok {
		if after, ok := l.quotes.clocks[named]; ok {
			if err := attest.Follow(at, after); err != nil {
				return false, fmt.Errorf("it was not made before entry %d, which names it: %w", named, err)
			}
		}
	}
	return sameStart, nil
}

// bootLog requires the event log that the quote names, which is sound then, and says whether it explains the quoted values. Firmware is known to
// write logs that do not, so that contradicts nothing.
func (l *logCheck) bootLog(ref imageRef, q attest.QuoteFile) (explained, sound bool) {
	file := l.path(layout.StartFile(ref.index, layout.AttestBootLog))
	want, known := q.BootLog.Get()
	if !known {
		if l.c.fsys.exists(file) {
			l.c.uncovered(file)
		}
		return false, true
	}
	b, err := l.c.fsys.readFile(file, layout.MaxBootLog)
	switch {
	case isMissing(err):
		l.signature.add(mismatch(file, "", want.String(), "", "the event log of the firmware, which the quote names, is not here: it was taken away"))
		return false, false
	case err != nil:
		l.signature.add(fromError(file, err))
		return false, false
	case record.SHA256Of(b) != want:
		l.signature.add(mismatch(file, "", want.String(), record.SHA256Of(b).String(), "the event log of the firmware is not the one that the quote names"))
		return false, false
	}
	if _, err := attest.ReplayBootLog(b, [attest.BootPCRs]attest.PCR(q.PCRs)); err != nil {
		l.c.lines[7].add(Finding{Severity: Note, File: file, Text: "the event log of the firmware does not explain what the TPM quoted: " + err.Error()})
		return false, true
	}
	return true, true
}

// acquiredAt reports whether entry i is the record of an acquisition.
func (l *logCheck) acquiredAt(i int64) bool {
	at, ok := slices.BinarySearchFunc(l.images, i, func(r imageRef, i int64) int { return cmp.Compare(r.index, i) })
	return ok && l.images[at].acquired
}

// quotedSentence says for how many records the start of the station was quoted.
func (c *checker) quotedSentence() string {
	if c.quoted == 0 {
		return ""
	}
	return fmt.Sprintf(" How the station was started when it logged its record, its TPM quoted for %s.", number(c.quoted, "record"))
}

// quotedNotProven says what quotes do not show.
func (c *checker) quotedNotProven() string {
	switch {
	case c.quoted == 0:
		return ""
	case c.explained == 0:
		return " Nor what the station ran: the values that its TPM quoted (PCR 0 to 7) speak only to who knows what they should be, and no event log of the firmware was replayed that explains them."
	}
	return fmt.Sprintf(" Nor what the station ran: the values that its TPM quoted (PCR 0 to 7) speak only to who knows what they should be; for %d of %s the event log of the firmware, replayed, explains them.",
		c.explained, number(c.quoted, "quote"))
}
