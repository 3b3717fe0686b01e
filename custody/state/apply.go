package state

import (
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

func (c *chain) seized(e LoggedEvent, s *record.Seized) {
	c.noteBreaches(e, c.checkSeizure(s))
	c.report.PartOf = s.Seizure.PartOf
	c.report.Seals = slices.Clone(s.Seizure.Seals)
	for _, seal := range s.Seizure.Seals {
		c.seals[seal] = true
	}
	c.follow(e, s.Seizure.SeizedAt)
	c.hold(e, "/seizure/officer/name")
	c.place(e, "/seizure/place")
}

// follow remembers when the exhibit changed hands.
func (c *chain) follow(e LoggedEvent, at record.Time) {
	c.moved = moved{e.Event.Header().Number, e.Log, at}
	if c.begun.number == 0 {
		c.begun = c.moved
	}
}

// hold says that the exhibit came to whoever signed e.
func (c *chain) hold(e LoggedEvent, name string) {
	c.report.Holder = Holder{Log: e.Log, KeyID: e.KeyID, Since: e.Event.Header().Number}
	c.report.Holder.Name, _ = e.Openings.Value(name)
	c.report.Returned = 0
	c.report.Place = "" // where it was is not where it is, in other hands
}

func (c *chain) place(e LoggedEvent, path string) {
	if place, ok := e.Openings.Value(path); ok {
		c.report.Place = place
	}
}

func (c *chain) acquired(e LoggedEvent, a *record.Acquired) {
	index := e.Index
	if c.report.Events == 0 {
		note(&c.report.Gaps, "the exhibit was acquired (log entry %d) though never seized: nothing says where it came from", index)
	}
	if len(c.report.Seals) > 0 {
		note(&c.report.Gaps, "the exhibit was acquired (log entry %d) although it was sealed (%s): nothing says that it was unsealed", index, sealsText(c.report.Seals))
	}
	for _, r := range c.report.Restrictions {
		note(&c.report.Gaps, "the exhibit was acquired (log entry %d) although event %d restricts it (%s)", index, r.Number, r.Kind)
	}
	switch {
	case c.report.Destroyed > 0:
		note(&c.report.Gaps, "the exhibit was acquired (log entry %d) after event %d had destroyed it", index, c.report.Destroyed)
	case c.report.Returned > 0:
		note(&c.report.Gaps, "the exhibit was acquired (log entry %d) after event %d had returned it", index, c.report.Returned)
	case c.report.Handover != nil:
		note(&c.report.Gaps, "the exhibit was acquired (log entry %d) while the release of event %d waited for its answer", index, c.report.Handover.Number)
	}
	id := a.Acquisition.ID
	if c.images[id] != nil {
		note(&c.report.Contradictions, "acquisition %s is recorded a second time (log entry %d)", id, index)
		return
	}
	c.images[id] = newImaged(e.Leaf, true, a.Acquisition.Image())
	c.report.Acquisitions = append(c.report.Acquisitions, id)
}

// handled takes the event's effects in, whether or not rules stood against it: it says what was done.
func (c *chain) handled(e LoggedEvent, h *record.Handled) {
	c.noteBreaches(e, c.check(e.KeyID, h))
	c.noteImages(e, h)
	for _, seal := range h.Handling.SealsRemoved {
		if i := slices.Index(c.report.Seals, seal); i >= 0 {
			c.report.Seals = slices.Delete(c.report.Seals, i, i+1)
		}
	}
	c.move(e, h)
	c.vouch(e, h)
	if h.Handling.Paper != nil && !h.Handling.PaperAttached() {
		note(&c.report.Gaps, "event %d (log entry %d) was signed on paper, and its scan is not attached: nobody can look at it here", h.Event.Number, e.Index)
	}
	c.elsewhere(e, h)
	for _, seal := range h.Handling.SealsApplied {
		c.seals[seal] = true
		if !slices.Contains(c.report.Seals, seal) {
			c.report.Seals = append(c.report.Seals, seal)
		}
	}
	// What is done with an image is done where the image is; a handover is one of the exhibit, though its images be hashed.
	if !onPaperOnly(h) && (h.Handling.Images == nil || ofExhibit(h) || h.Type() == record.TypeAccepted) {
		c.place(e, "/handling/place")
	}
}

// noteBreaches recomputes the rules: what was logged despite them is a gap that no reason closes.
func (c *chain) noteBreaches(e LoggedEvent, broken []Breach) {
	var named []record.Rule
	reason := "nothing says why"
	h := e.Event.Header()
	if d := record.DespiteOf(e.Event); d != nil {
		named = slices.Clone(d.Rules)
		reason = "logged despite it, for a reason that is not revealed"
		path := "/handling/despite/reason"
		if e.Event.Type() == record.TypeSeized {
			path = "/seizure/despite/reason"
		}
		if value, ok := e.Openings.Value(path); ok {
			reason = "logged despite it, because " + strconv.Quote(value)
		}
	}
	for _, breach := range broken {
		note(&c.report.Gaps, "event %d, %q (log entry %d), breaks the rule %s: %s; %s", h.Number, e.Event.Type(), e.Index, breach.Rule, breach.Reason, reason)
		named = slices.DeleteFunc(named, func(r record.Rule) bool { return r == breach.Rule })
	}
	for _, rule := range named {
		note(&c.report.Gaps, "event %d, %q (log entry %d), was logged despite the rule %s; %s", h.Number, e.Event.Type(), e.Index, rule, strings.TrimPrefix(reason, "logged despite it, "))
	}
}

// noteImages compares what an image hashed to with what was acquired. A copy that its receiver refused was not taken.
func (c *chain) noteImages(e LoggedEvent, h *record.Handled) {
	index, differ := e.Index, false
	for _, image := range h.Handling.Images {
		if len(image.Digests) > 0 {
			c.report.HashChecks = append(c.report.HashChecks, HashCheck{h.Event.Number, e.Log, e.Leaf, image.Acquisition, matchOf(image.Digests, c.recorded(image.Acquisition))})
		}
		for _, found := range image.Digests {
			for _, recorded := range c.recorded(image.Acquisition) {
				want := recorded.Digest
				if found.Algorithm() != want.Algorithm() || found == want {
					continue
				}
				differ = true
				list := &c.report.Contradictions
				if h.Type() == record.TypeRefused {
					list = &c.report.Notes
				}
				note(list, "at event %d (log entry %d) the image of acquisition %s had the digest %s, and %s when it was acquired",
					h.Event.Number, index, image.Acquisition, found, want)
			}
		}
	}
	c.noteResult(index, h, differ)
}

// noteResult takes in what came of a verification, where the digests alone do not say it.
func (c *chain) noteResult(index int64, h *record.Handled, differ bool) {
	v := h.Handling.Verification
	if v == nil {
		return
	}
	switch {
	case v.Result == record.ResultFailed && !differ:
		note(&c.report.Gaps, "event %d (log entry %d) found that the images did not hold, though their media streams did: something beside them was changed or damaged", h.Event.Number, index)
	case v.Result == record.ResultUnknown:
		note(&c.report.Notes, "event %d (log entry %d) could not check everything of the images", h.Event.Number, index)
	case v.Result == record.ResultHeld && differ:
		note(&c.report.Contradictions, "event %d (log entry %d) says that the images held, and names digests that are not theirs", h.Event.Number, index)
	}
}

// vouch takes in who endorsed which event.
func (c *chain) vouch(e LoggedEvent, h *record.Handled) {
	for _, leaf := range h.Handling.Endorses {
		of := c.leaves[leaf]
		if of.number == 0 || c.same(of.keyID, e.KeyID) || c.endorsed(leaf, e.KeyID) {
			continue
		}
		by := Endorsement{Number: h.Event.Number, Log: e.Log, KeyID: e.KeyID, Leaf: leaf, Of: of.number, OfLog: of.log}
		by.Name, _ = e.Openings.Value("/handling/actor/name")
		c.report.Endorsements = append(c.report.Endorsements, by)
	}
}

// recorded are the digests of an image, none if there is no such image.
func (c *chain) recorded(id string) []record.MediaDigest {
	if i := c.images[id]; i != nil {
		return i.digests
	}
	return nil
}

// erase takes in what an order had erased: of what it names only that which the exhibit has, so that it excuses nothing else.
func (c *chain) erase(e LoggedEvent, h *record.Handled) {
	for _, image := range h.Handling.Erasure.Images {
		have := c.images[image.Acquisition]
		if have == nil || have.leaf != image.Record {
			continue
		}
		files := slices.DeleteFunc(slices.Clone(image.Files), func(name string) bool { return !slices.Contains(have.files, name) })
		if len(files) == 0 {
			continue
		}
		if have.erased == nil {
			have.erased = map[string]int64{}
		}
		for _, name := range files {
			have.erased[name] = h.Event.Number
		}
		by := Erased{Number: h.Event.Number, Index: e.Index, Log: e.Log, KeyID: e.KeyID, Acquisition: image.Acquisition, Files: files}
		by.Order, _ = e.Openings.Value("/handling/authority/number")
		by.Court, _ = e.Openings.Value("/handling/authority/issuer")
		c.report.Erased = append(c.report.Erased, by)
	}
}

// attach takes in what an event has attached. What is attached again after it was erased is here again.
func (c *chain) attach(e record.Event) {
	all := record.Attachments(e)
	if c.attached == nil && len(all) > 0 {
		c.attached = map[record.Digest]int64{}
	}
	for i := range all {
		c.attached[all[i].SHA256()] = 0
	}
}

// eraseAttachments is erase for attachments.
func (c *chain) eraseAttachments(e LoggedEvent, h *record.Handled) {
	by := Erased{Number: h.Event.Number, Index: e.Index, Log: e.Log, KeyID: e.KeyID}
	for _, sum := range h.Handling.Erasure.Attachments {
		if _, ok := c.attached[sum]; ok {
			c.attached[sum] = h.Event.Number
			by.Attachments = append(by.Attachments, sum)
		}
	}
	if len(by.Attachments) > 0 {
		by.Order, _ = e.Openings.Value("/handling/authority/number")
		by.Court, _ = e.Openings.Value("/handling/authority/issuer")
		c.report.Erased = append(c.report.Erased, by)
	}
}

// move follows the exhibit from hand to hand.
func (c *chain) move(e LoggedEvent, h *record.Handled) {
	r := &c.report
	switch h.Type() {
	case record.TypeReceived, record.TypeReleased, record.TypeAccepted, record.TypeRefused, record.TypeReturned:
		defer c.follow(e, h.Handling.OccurredAt)
	}
	switch h.Type() {
	case record.TypeReceived:
		if r.Returned > 0 {
			note(&r.Gaps, "from event %d, which returned the exhibit, to event %d nobody whom this log knows held it", r.Returned, h.Event.Number)
		}
		c.hold(e, "/handling/actor/name")
		if whole := h.Handling.PartOf; whole != "" {
			r.PartOf = whole
		}
	case record.TypeReleased:
		r.Handover = &Handover{Number: h.Event.Number, Leaf: e.Leaf, From: e.KeyID, To: h.Handling.To.Key, Log: e.Log, At: h.Handling.OccurredAt}
		r.Handover.ToName, _ = e.Openings.Value("/handling/to/name")
	case record.TypeAccepted:
		c.accepted(e, h)
	case record.TypeRefused:
		c.answer(*h.Handling.Release)
	case record.TypeReturned:
		r.Holder, r.Returned, r.Place = Holder{Log: e.Log, Since: h.Event.Number}, h.Event.Number, ""
		r.Holder.Name, _ = e.Openings.Value("/handling/to/name")
	case record.TypeDestroyed:
		if h.Handling.Erasure != nil {
			c.erase(e, h)
			c.eraseAttachments(e, h)
			return
		}
		r.Holder, r.Destroyed, r.Handover, r.Place = Holder{}, h.Event.Number, nil, ""
		r.DestroyedLog, r.DestroyedAt = e.Log, h.Handling.OccurredAt
		r.DestroyedOrder, _ = e.Openings.Value("/handling/authority/number")
	case record.TypeRestricted:
		if lifts := h.Handling.Restriction.Lifts; lifts == nil {
			r.Restrictions = append(r.Restrictions, Restriction{h.Event.Number, e.Leaf, h.Handling.Restriction.Kind})
		} else if i := c.restriction(*lifts); i >= 0 {
			r.Restrictions = slices.Delete(r.Restrictions, i, i+1)
		}
	}
}

// accepted closes a handover. One key on both sides, also where it logs what was signed on paper, makes it one-sided.
func (c *chain) accepted(e LoggedEvent, h *record.Handled) {
	open := c.report.Handover
	if open != nil && open.Leaf == *h.Handling.Release {
		c.report.Handovers++
		if d, ok := between(open.At, h.Handling.OccurredAt); ok && d > 0 {
			note(&c.report.Notes, "in transit from %s (event %d%s) to %s (event %d): nobody signed for it then", open.At.Wall(), open.Number, InLog(open.Log), h.Handling.OccurredAt.Wall(), h.Event.Number)
		}
		switch {
		case c.same(open.From, e.KeyID) && h.Handling.Paper != nil:
			note(&c.report.Gaps, "the handover of events %d and %d is one-sided: key %s signed both sides, and the receiver on paper", open.Number, h.Event.Number, short(e.KeyID))
		case c.same(open.From, e.KeyID):
			note(&c.report.Gaps, "the handover of events %d and %d is one-sided: key %s signed both", open.Number, h.Event.Number, short(e.KeyID))
		}
	}
	c.hold(e, "/handling/actor/name")
	if open != nil && c.same(open.From, e.KeyID) && h.Handling.Paper != nil {
		c.report.Holder.KeyID, c.report.Holder.Name = "", open.ToName // has no key here
	}
	c.answer(*h.Handling.Release)
}

func (c *chain) answer(release record.LeafHash) {
	c.answered[release] = true
	if open := c.report.Handover; open != nil && open.Leaf == release {
		c.report.Handover = nil
	}
}
