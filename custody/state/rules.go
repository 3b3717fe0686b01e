package state

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Breach is a rule that an event breaks, with the reason in plain words.
type Breach struct {
	Rule   record.Rule
	Reason string
}

// breaches collects them.
type breaches []Breach

func (b *breaches) add(rule record.Rule, format string, args ...any) {
	*b = append(*b, Breach{rule, fmt.Sprintf(format, args...)})
}

// check holds an event against the state before it.
func (c *chain) check(keyID string, h *record.Handled) []Breach {
	var b breaches
	if c.report.Events == 0 && h.Type() != record.TypeReceived {
		b.add(record.RuleNotBegun, "exhibit %q has no event yet: it begins with its seizure, or when it is received", c.report.Exhibit)
	}
	checkFuture(&b, h.Handling.OccurredAt, h.Event.Time)
	c.checkEarly(&b, h)
	c.checkEnded(&b, h)
	c.checkHolder(&b, keyID, h)
	c.checkHandover(&b, keyID, h)
	c.checkSeals(&b, h)
	c.checkRestrictions(&b, h)
	c.checkNames(&b, h)
	c.checkEndorses(&b, keyID, h)
	slices.SortStableFunc(b, func(x, y Breach) int { return strings.Compare(string(x.Rule), string(y.Rule)) })
	return b
}

// checkSeizure holds a seizure against the state before it.
func (c *chain) checkSeizure(s *record.Seized) []Breach {
	var b breaches
	if n := c.report.Events; n > 0 {
		b.add(record.RuleAlreadyBegun, "the exhibit's chain has already begun, with %s, and is not seized again", plural(n, "event"))
	}
	checkFuture(&b, s.Seizure.SeizedAt, s.Event.Time)
	if at, known := s.Seizure.Origin.ExtractedAt.Get(); known {
		checkFuture(&b, at, s.Event.Time)
	}
	return b
}

// checkEarly looks for a time that a person wrote down and that lies before what came before it. The thing itself is in one place at a
// time, so what was done with it is held against its last change of hands; an image can be examined when the thing is
// elsewhere, and is held against the beginning. People write down minutes, so minutes are compared.
func (c *chain) checkEarly(b *breaches, h *record.Handled) {
	since := c.begun
	if ofExhibit(h) || h.Type() == record.TypeReceived || h.Type() == record.TypeAccepted || h.Type() == record.TypeRefused {
		since = c.moved
	}
	if since.number == 0 || onPaperOnly(h) || h.Handling.OccurredAt.Clock != record.ClockEntered {
		return
	}
	if d, ok := between(since.at, h.Handling.OccurredAt); ok && d < 0 {
		b.add(record.RuleTooEarly, "it is said to have happened at %s, and event %d before it at %s%s", h.Handling.OccurredAt.UTC, since.number, since.at.UTC, InLog(since.log))
	}
}

// between is the time from one to the other, in whole minutes; not ok: one of them cannot be read.
func between(from, to record.Time) (d time.Duration, ok bool) {
	f, err := from.Moment()
	t, err2 := to.Moment()
	return t.Truncate(time.Minute).Sub(f.Truncate(time.Minute)), err == nil && err2 == nil
}

func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// checkFuture looks for a time that a person wrote down and that lies after the signature. A clock that was read is no person's word.
func checkFuture(b *breaches, occurred, signed record.Time) {
	o, err := occurred.Moment()
	s, err2 := signed.Moment()
	if err == nil && err2 == nil && occurred.Clock == record.ClockEntered && o.After(s) {
		b.add(record.RuleFuture, "it is said to have happened at %s, after it was signed", occurred.UTC)
	}
}

// onPaperOnly are the events that need no exhibit to be there.
func onPaperOnly(h *record.Handled) bool {
	switch h.Type() {
	case record.TypeDestroyed:
		return h.Handling.Erasure != nil
	case record.TypeNoted, record.TypeCorrected, record.TypeRestricted, record.TypeDisclosed, record.TypeVerified, record.TypeTransmitted,
		record.TypeEndorsed:
		return true
	}
	return false
}

func (c *chain) checkEnded(b *breaches, h *record.Handled) {
	if c.report.Destroyed > 0 && !onPaperOnly(h) {
		b.add(record.RuleDestroyed, "the exhibit was destroyed by event %d", c.report.Destroyed)
	}
}

// ofExhibit reports whether the event needs the exhibit in the hands of whoever signs it.
func ofExhibit(h *record.Handled) bool {
	switch h.Type() {
	case record.TypeSealed, record.TypeUnsealed, record.TypeReleased, record.TypeReturned:
		return true
	case record.TypeDestroyed:
		return h.Handling.Erasure == nil
	case record.TypeExamined, record.TypeInspected, record.TypeCopiedElsewhere:
		return h.Handling.Images == nil || len(h.Handling.SealsApplied)+len(h.Handling.SealsRemoved) > 0
	}
	return false
}

func (c *chain) checkHolder(b *breaches, keyID string, h *record.Handled) {
	holder := c.report.Holder
	switch {
	case h.Type() == record.TypeReceived && holder.KeyID != "":
		b.add(record.RuleAlreadyHeld, "the exhibit is held by key %s since event %d, and can be had from there only by a release", short(holder.KeyID), holder.Since)
	case !ofExhibit(h), c.report.Destroyed > 0, c.same(holder.KeyID, keyID):
	case holder.KeyID == "":
		b.add(record.RuleNotHolder, "nobody who signs here holds the exhibit: log first that it was received")
	default:
		b.add(record.RuleNotHolder, "the exhibit is held by key %s since event %d, and key %s signs", short(holder.KeyID), holder.Since, short(keyID))
	}
}

// same reports whether two keys are, or were after one another, those of one holder.
func (c *chain) same(a, b string) bool {
	return a == b || c.person != nil && a != "" && b != "" && c.person(a) == c.person(b)
}

func (c *chain) checkHandover(b *breaches, keyID string, h *record.Handled) {
	open := c.report.Handover
	if h.Type() != record.TypeAccepted && h.Type() != record.TypeRefused {
		if open != nil && ofExhibit(h) {
			b.add(record.RuleHandoverOpen, "the release of event %d waits for its answer", open.Number)
		}
		return
	}
	switch leaf := *h.Handling.Release; {
	case c.answered[leaf]:
		b.add(record.RuleAcceptedTwice, "the release with leaf %s was answered already", short(leaf.String()))
	case open == nil || open.Leaf != leaf:
		b.add(record.RuleNoSuchRelease, "no open release of the exhibit has leaf %s", short(leaf.String()))
	case open.To == "" || c.same(open.To, keyID):
	case !c.same(keyID, open.From), h.Type() == record.TypeAccepted && h.Handling.Paper == nil:
		// The giver may take a release back, and log what the receiver signed on paper.
		b.add(record.RuleNotReceiver, "event %d releases the exhibit to key %s, and key %s signs", open.Number, short(open.To), short(keyID))
	}
}

func (c *chain) checkSeals(b *breaches, h *record.Handled) {
	on := c.report.Seals
	if found := h.Handling.SealsFound; found != nil && !sameSet(found, on) {
		b.add(record.RuleSealsDiffer, "found were %s, and by the log there should be %s", sealsText(found), sealsText(on))
	}
	left := len(on)
	for _, seal := range h.Handling.SealsRemoved {
		if slices.Contains(on, seal) {
			left--
		} else {
			b.add(record.RuleNoSuchSeal, "seal %q is not on: there should be %s", seal, sealsText(on))
		}
	}
	for _, seal := range h.Handling.SealsApplied {
		if c.seals[seal] {
			b.add(record.RuleSealedTwice, "seal %q was on the exhibit before, and a seal can be put on once", seal)
		}
	}
	if (h.Type() == record.TypeExamined || h.Type() == record.TypeCopiedElsewhere) && h.Handling.Images == nil && left > 0 {
		b.add(record.RuleSealed, "the exhibit is sealed (%s), and was not unsealed to be examined or copied", sealsText(on))
	}
}

func (c *chain) checkRestrictions(b *breaches, h *record.Handled) {
	switch h.Type() {
	case record.TypeExamined, record.TypeDisclosed, record.TypeTransmitted, record.TypeCopiedElsewhere:
		for _, r := range c.report.Restrictions {
			b.add(record.RuleRestricted, "event %d restricts the exhibit (%s)", r.Number, r.Kind)
		}
	case record.TypeRestricted:
		if lifts := h.Handling.Restriction.Lifts; lifts != nil && c.restriction(*lifts) < 0 {
			b.add(record.RuleNotRestricted, "no restriction in force has leaf %s", short(lifts.String()))
		}
	}
}

func (c *chain) restriction(leaf record.LeafHash) int {
	return slices.IndexFunc(c.report.Restrictions, func(r Restriction) bool { return r.Leaf == leaf })
}

func (c *chain) checkNames(b *breaches, h *record.Handled) {
	for _, image := range h.Handling.Images {
		have := c.images[image.Acquisition]
		if have == nil {
			b.add(record.RuleNoSuchAcquisition, "the exhibit has no acquisition %s", image.Acquisition)
		} else if n := have.erasedBy(); n > 0 && h.Type() != record.TypeNoted && h.Type() != record.TypeRefused {
			b.add(record.RuleErased, "data of acquisition %s was erased by order (event %d)", image.Acquisition, n)
		}
	}
	if h.Handling.Erasure != nil {
		c.checkErasure(b, h.Handling.Erasure)
	}
	if corrects := h.Handling.Corrects; corrects != nil && c.leaves[*corrects].number == 0 {
		b.add(record.RuleNoSuchEvent, "no event of the exhibit has leaf %s", short(corrects.String()))
	}
}

// checkEndorses requires that a second key vouches for what the first one signed.
func (c *chain) checkEndorses(b *breaches, keyID string, h *record.Handled) {
	for _, leaf := range h.Handling.Endorses {
		of := c.leaves[leaf]
		switch {
		case of.number == 0:
			b.add(record.RuleNoSuchEvent, "no event of the exhibit has leaf %s, so it cannot be endorsed", short(leaf.String()))
		case c.same(of.keyID, keyID):
			b.add(record.RuleOwnSignature, "event %d was signed by key %s, of the same holder%s, and only somebody else can endorse it", of.number, short(of.keyID), InLog(of.log))
		case c.endorsed(leaf, keyID):
			b.add(record.RuleEndorsedTwice, "key %s has endorsed event %d before%s", short(keyID), of.number, InLog(of.log))
		}
	}
}

func (c *chain) endorsed(leaf record.LeafHash, keyID string) bool {
	return slices.ContainsFunc(c.report.Endorsements, func(e Endorsement) bool { return e.Leaf == leaf && c.same(e.KeyID, keyID) })
}

// erasedBy is the number of an event that erased something of the image; 0: none did.
func (i *imaged) erasedBy() int64 {
	var last int64
	for _, n := range i.erased {
		last = max(last, n)
	}
	return last
}

func (c *chain) checkErasure(b *breaches, e *record.Erasure) {
	for _, image := range e.Images {
		have := c.images[image.Acquisition]
		if have == nil || have.leaf != image.Record {
			b.add(record.RuleNoSuchAcquisition, "the exhibit has no acquisition %s of which the record has leaf %s", image.Acquisition, short(image.Record.String()))
			continue
		}
		for _, name := range image.Files {
			if n := have.erased[name]; n > 0 {
				b.add(record.RuleErased, "%q of acquisition %s was erased by order before (event %d)", name, image.Acquisition, n)
			} else if !slices.Contains(have.files, name) {
				b.add(record.RuleNoSuchAcquisition, "acquisition %s has no image or tree %q", image.Acquisition, name)
			}
		}
	}
	for _, sum := range e.Attachments {
		if n, ok := c.attached[sum]; !ok {
			b.add(record.RuleNoSuchEvent, "no event of the exhibit attaches a file with the digest %s", sum)
		} else if n > 0 {
			b.add(record.RuleErased, "the attachment %s was erased by order before (event %d)", sum, n)
		}
	}
	for _, leaf := range e.Openings {
		if c.leaves[leaf].number == 0 {
			b.add(record.RuleNoSuchEvent, "no event of the exhibit has leaf %s, so its openings cannot be erased by it", short(leaf.String()))
		}
	}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func sealsText(seals []string) string {
	if len(seals) == 0 {
		return "no seals"
	}
	quoted := make([]string, len(seals))
	for i, s := range seals {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "seals " + strings.Join(quoted, ", ")
}

// short is the beginning of a hash, enough for people to find it.
func short(hex string) string { return hex[:min(len(hex), 16)] }
