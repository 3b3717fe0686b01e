package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

var titles = [lineCount + 1]string{1: "image", 2: "signature", 3: "log", 4: "append-only", 5: "time", 6: "custody", 7: "not proven"}

// finish writes the seven lines.
func (c *checker) finish() Report {
	r := c.report
	sentences := [lineCount + 1]string{1: c.sentenceImage(), 2: c.sentenceSignature(), 3: c.sentenceLog(), 4: c.sentenceAppend(),
		5: c.sentenceTime(), 6: c.sentenceCustody(), 7: c.sentenceNotProven()}
	for n := 1; n <= lineCount; n++ {
		r.Lines = append(r.Lines, c.lines[n].render(n, titles[n], sentences[n]))
	}
	return r
}

// about says what the lines are about where nothing was checked.
func (c *checker) about() string {
	switch c.report.Kind {
	case KindPartial:
		return "The acquisition is not finished, so there is nothing to check yet."
	case KindNothing:
		return "There is no evidence here that could be checked."
	}
	return ""
}

func (c *checker) sentenceImage() string {
	l := &c.lines[1]
	if s := c.about(); s != "" {
		return s
	}
	if c.bundles != nil {
		return "Not checked: what was exported of a log are statements, and no image" + c.bundles.what() + "."
	}
	if c.report.Kind == KindExtract {
		return "Not checked: an extract of a log holds statements, and no image."
	}
	word := "acquisition"
	if slices.ContainsFunc(c.report.Acquisitions, func(a AcquisitionFacts) bool { return a.CopyOf != "" }) {
		word = "image"
	}
	n := number(int64(len(c.report.Acquisitions)), word)
	switch l.status() {
	case Verified:
		return fmt.Sprintf("The bytes are those that were acquired: every recorded digest of %s holds (%s over %s).", n, number(l.checked, "check"), number(c.bytes, "byte")) + c.takenOver() + c.keptElsewhere()
	case AbsentByOrder:
		return fmt.Sprintf("Data of %d of %s is absent: the log says that an order had it erased, and what it was cannot be checked any more. Every recorded digest of what is left holds (%s over %s).",
			c.erased, n, number(l.checked, "check"), number(c.bytes, "byte")) + c.takenOver() + c.keptElsewhere()
	case Failed:
		return "The bytes are NOT those that were acquired, or a file beside them was changed; what differs is listed."
	case Unknown:
		return "Whether the bytes are those that were acquired is not known, because something needed to check it is missing."
	}
	return "No acquisition is here, so no image was checked." + c.keptElsewhere()
}

// keptElsewhere says how many images the other logs of the case name that are not here: the line is about those that are.
func (c *checker) keptElsewhere() string {
	if c.absent == 0 {
		return ""
	}
	return fmt.Sprintf(" Not here, and not checked: %s that logs of others in this case name.", number(c.absent, "image"))
}

func (c *checker) sentenceSignature() string {
	if s := c.about(); s != "" {
		return s
	}
	switch c.lines[2].status() {
	case Verified:
		return fmt.Sprintf("The statements were signed by %s that the case admits; assurance: %s. %s%s%s", number(int64(len(c.signingKeys())), "key"), c.assuranceWords(), c.trustedAs(), c.heldBy(), c.quotedSentence())
	case Failed:
		return "A signature, a key or what was signed does NOT hold; what differs is listed."
	case Unknown:
		for _, g := range c.report.Cases {
			if !g.Trusted {
				return "Whoever signed this, it is not known to be the case it claims to be: compare its fingerprint by telephone, in person or with the case file: " + sign.Fingerprint(g.Fingerprint) + "."
			}
		}
		return "Who signed is not known, because something needed to check it is missing."
	}
	return "Nothing signed was checked."
}

// signingKeys are the keys whose signatures were checked.
func (c *checker) signingKeys() []string {
	keys := map[string]bool{}
	for id := range c.keys {
		keys[id] = true
	}
	for _, a := range c.report.Acquisitions {
		if a.KeyID != "" {
			keys[a.KeyID] = true
		}
	}
	return sortedKeys(keys)
}

func (c *checker) trustedAs() string {
	var names []string
	for _, g := range c.report.Cases {
		names = append(names, fmt.Sprintf("%q", g.TrustName))
	}
	return "The case is the one trusted on this station as " + strings.Join(names, ", ") + "."
}

// heldBy says what is revealed of the holders of the keys that signed the records.
func (c *checker) heldBy() string {
	var out []string
	for _, a := range c.report.Acquisitions {
		if a.KeyID == "" {
			continue
		}
		s := fmt.Sprintf(" Key %s is that of a %s; who holds it is not said here.", a.KeyID[:16], a.KeyKind)
		if a.Holder != "unknown" {
			s = fmt.Sprintf(" Key %s is that of a %s; according to the genesis %q holds it.", a.KeyID[:16], a.KeyKind, a.Holder)
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if len(out) > 3 {
		out = append(out[:3], " And more.")
	}
	return strings.Join(out, "")
}

func (c *checker) sentenceLog() string {
	if s := c.about(); s != "" {
		return s
	}
	switch c.lines[3].status() {
	case Verified:
		if c.alone != nil {
			return fmt.Sprintf("The record stands in the log %s as entry %d, under a checkpoint of %s that carries every signature that the log requires.",
				c.alone.gen.opened.Origin, c.alone.index, entries(c.alone.size))
		}
		if c.bundles != nil {
			return c.bundles.sentence()
		}
		if c.extract != nil {
			return fmt.Sprintf("Every statement in the extract stands in the log %s, under a checkpoint of %s that carries every signature that the log requires. What else the log holds was not looked at.",
				c.extract.Origin, entries(c.extract.Size))
		}
		return fmt.Sprintf("Every statement stands in its log: %s and %s, each with every signature that the log requires.", entries(c.entries), number(c.checkpoints, "checkpoint"))
	case Failed:
		return "The log, or a copy of what was logged, was changed or is damaged; what differs is listed."
	case Unknown:
		return "Whether the statements stand in the log is not fully known, because something is missing or unfinished."
	}
	return "No log entry was checked."
}

func entries(n int64) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func (c *checker) sentenceAppend() string {
	if s := c.about(); s != "" {
		return s
	}
	const outside = "nothing from outside (a witness, a time-stamp, another log, a receipt) was there to compare with, so a log rewritten as a whole would not be seen."
	switch {
	case c.lines[4].status() == Failed:
		return "The log was NOT only appended to, or what others saw of it was changed; what differs is listed."
	case c.lines[4].status() == Verified:
		return "The log holds what others saw of it: " + c.seenByOthers() + ". What came later nobody outside has seen."
	case c.report.Kind == KindCase && c.checkpoints > 0 && c.lines[3].worst == Note:
		return fmt.Sprintf("Every checkpoint in this folder (%d of them) is a prefix of the next%s; %s", c.checkpoints, c.counterSentence(), outside)
	}
	return "Not checked: " + outside
}

// counterSentence says what the counter in the TPM shows.
func (c *checker) counterSentence() string {
	if c.certified == 0 {
		return ""
	}
	return fmt.Sprintf(", and the counter in the TPM went up by one with each of %d; that it is one in a genuine TPM is shown only by the assurance %s of the log key (%s)",
		c.certified, AssuranceHardware, c.logAssurance())
}

// seenByOthers says how much of each log somebody outside saw.
func (c *checker) seenByOthers() string {
	var out []string
	for _, g := range c.report.Cases {
		if g.Witnessed > 0 {
			out = append(out, fmt.Sprintf("%s of %d by the witnesses that are trusted here", entries(g.Witnessed), g.Entries))
		}
		if g.Stamped > 0 {
			out = append(out, fmt.Sprintf("%s of %d by a time-stamp authority", entries(g.Stamped), g.Entries))
		}
		if g.Anchored > 0 {
			out = append(out, fmt.Sprintf("%s of %d by another log of the case", entries(g.Anchored), g.Entries))
		}
	}
	return strings.Join(out, ", ")
}

func (c *checker) sentenceTime() string {
	if c.lines[5].status() == Failed {
		return "A time-stamp does NOT belong to this log, or was changed; what differs is listed."
	}
	if len(c.times) == 0 {
		return "No time was recorded that could be shown." + c.stampWords("")
	}
	var first, last record.Time
	for i, t := range c.times {
		if i == 0 || t.UTC < first.UTC {
			first = t
		}
		if i == 0 || t.UTC > last.UTC {
			last = t
		}
	}
	said := clockWords(first)
	if last != first {
		said += ", and at last " + clockWords(last)
	}
	return "The station's clock said " + said + "." + c.stampWords(" No time-stamp authority confirms it, so the time is the station's word.") + c.clockSentence()
}

// stampWords says what time-stamp authorities signed; none where there is nothing.
func (c *checker) stampWords(none string) string {
	var out strings.Builder
	for _, g := range c.report.Cases {
		if g.Stamped > 0 {
			fmt.Fprintf(&out, " A time-stamp authority, %q, signed that %s of the log existed at %s; how long before, it does not say.", g.StampedBy, entries(g.Stamped), g.StampedAt)
		}
	}
	if b := c.bundles; b != nil && b.stamped > 0 {
		fmt.Fprintf(&out, " A time-stamp authority, %q, signed that %s existed, the last at %s; how long before, it does not say.",
			b.stamp.Authority, number(b.stamped, "signature"), b.stamp.Time.UTC().Format(trustTime))
	}
	if out.Len() == 0 {
		return none
	}
	return out.String()
}

// clockSentence says what the TPM's clock shows.
func (c *checker) clockSentence() string {
	if c.certified == 0 {
		return ""
	}
	return fmt.Sprintf(" The TPM's own clock, which knows no time of day, puts %s in their order.", number(c.certified, "checkpoint"))
}

func clockWords(t record.Time) string {
	words := t.UTC
	if t.Clock == record.ClockEntered {
		words += " (typed in by a person)"
	}
	synchronised, known := t.Synchronised.Get()
	switch {
	case !known:
		return words + fmt.Sprintf(" (whether it was synchronised is unknown: %q)", t.Synchronised.Reason())
	case synchronised:
		return words + " (the operating system called it synchronised)"
	}
	return words + " (the operating system called it NOT synchronised)"
}

func (c *checker) sentenceCustody() string {
	if s := c.about(); s != "" {
		return s
	}
	if c.extract != nil && c.lines[6].status() == Verified {
		return fmt.Sprintf("The custody of exhibit %s has no gap up to event %d, the last one in the extract, as this log alone tells it%s. Whether later events were left out is not known.",
			c.extract.Exhibit, c.extract.Count, c.bothSides())
	}
	if c.report.Kind != KindCase && c.extract == nil {
		return "Not checked: the chain of custody stands in the log of the case, which is not part of this folder."
	}
	switch c.lines[6].status() {
	case Verified, AbsentByOrder:
		return fmt.Sprintf("The custody of %s has no gap: %s, numbered through, each naming the one before; hashes and seals agree%s.",
			number(int64(len(c.report.Exhibits)), "exhibit"), number(c.events, "event"), c.bothSides()) + c.attachmentsGone()
	case Failed:
		return "The custody events contradict each other, or an image at one of them was not what was acquired; what differs is listed."
	case Unknown:
		return "The custody has a gap, or something on the disk that no event explains."
	}
	return "The case has no custody event yet."
}

// attachmentsGone says how many attachments are absent by order.
func (c *checker) attachmentsGone() string {
	if c.lines[6].absent == 0 {
		return ""
	}
	return fmt.Sprintf(" Not here, and not checked: %s that an order had erased, by the log.", number(c.lines[6].absent, "attachment"))
}

// bothSides says so of the handovers, where there were any: one of one side would be a gap.
func (c *checker) bothSides() string {
	if c.handovers == 0 {
		return ", and nobody handed anything over"
	}
	return fmt.Sprintf(", and both sides of %s signed", number(c.handovers, "handover"))
}

// takenOver says what of the images was not read from the media.
func (c *checker) takenOver() string {
	if c.taken == 0 {
		return ""
	}
	return fmt.Sprintf(" Of them %s came from images that other programs had made, and were not read from the medium.", number(c.taken, "byte"))
}

func (c *checker) sentenceNotProven() string {
	if c.taken == 0 {
		return sentenceNotProven + c.quotedNotProven()
	}
	return sentenceNotProven + " Nor that what was taken over from an image of another program is what the medium held." + c.quotedNotProven()
}

const sentenceNotProven = "Not proven by any of this: that the medium was the right one and was unchanged before it was read; " +
	"that the station, its clock and its software were what they should be; who held a key when it signed; " +
	"that the medium gave all it held (areas hidden by the drive itself are not read); and what the content means."
