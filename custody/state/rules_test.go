package state

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// story is an exhibit's life as the test tells it: a model of its own, and the Book that must agree with it.
type story struct {
	t      *testing.T
	random *rand.Rand
	book   Book
	n      int64
	last   *record.LeafHash
	leaves []record.LeafHash
	keys   []string // that signed them
	seal   int      // numbers given out

	holder       string // "" nobody
	seals, taken []string
	open         *record.LeafHash
	from, to     string
	answered     []record.LeafHash
	restrictions []record.LeafHash
	images       []string
	records      []record.LeafHash // of images
	kept         []string          // images that were not erased
	destroyed    bool
	endorsed     []endorsement
}

type endorsement struct {
	leaf record.LeafHash
	key  string
}

var people = []string{"alice", "bob", "carol"}

func (s *story) header() record.Header {
	at := time.Date(2026, 11, 23, 9, 0, int(s.n), 0, time.UTC)
	return record.Header{Exhibit: "7", Number: s.n + 1, Previous: s.last, Time: record.NewTime(at, record.ClockSystem, record.Known(true))}
}

// event makes an event of that type, changed by the functions given.
func (s *story) event(t record.Type, change ...func(*record.Handling)) *record.Handled {
	s.t.Helper()
	h, err := record.NewHandled(t)
	if err != nil {
		s.t.Fatal(err)
	}
	h.Event = s.header()
	h.Handling.OccurredAt = h.Event.Time
	for _, f := range change {
		f(&h.Handling)
	}
	return h
}

func (s *story) leaf() record.LeafHash {
	return record.LeafHash{1, byte(s.n >> 8), byte(s.n)}
}

// log requires that key may log e, and does.
func (s *story) log(key string, e record.Event) {
	s.t.Helper()
	logged := LoggedEvent{Index: s.n + 1, Leaf: s.leaf(), KeyID: key, Event: e}
	if got := s.book.Check(logged); len(got) > 0 {
		s.t.Fatalf("legal %q of %s as event %d is refused: %v", e.Type(), key, s.n+1, got)
	}
	s.book.Add(logged)
	leaf := s.leaf()
	s.last, s.leaves, s.n = &leaf, append(s.leaves, leaf), s.n+1
	s.keys = append(s.keys, key)
}

// refused requires that rule is among those that stand against e.
func (s *story) refused(rule record.Rule, key string, e record.Event, seen map[record.Rule]int) {
	s.t.Helper()
	before := s.report()
	got := s.book.Check(LoggedEvent{KeyID: key, Leaf: s.leaf(), Event: e})
	if !slices.ContainsFunc(got, func(b Breach) bool { return b.Rule == rule && b.Reason != "" }) {
		s.t.Fatalf("illegal %q of %s as event %d: broken %v, want %s", e.Type(), key, s.n+1, got, rule)
	}
	if after := s.report(); !reflect.DeepEqual(after, before) {
		s.t.Fatalf("a refused event changed the state: %v, want %v", after, before)
	}
	seen[rule]++
}

func (s *story) report() Report { return s.book.Report("7") }

func (s *story) newSeal() string {
	s.seal++
	return fmt.Sprintf("S-%d", s.seal)
}

func (s *story) other(than string) string {
	for {
		if p := people[s.random.IntN(len(people))]; p != than {
			return p
		}
	}
}

func apply(seals ...string) func(*record.Handling) {
	return func(h *record.Handling) { h.SealsApplied = seals }
}
func remove(seals ...string) func(*record.Handling) {
	return func(h *record.Handling) { h.SealsRemoved = seals }
}
func found(seals ...string) func(*record.Handling) {
	return func(h *record.Handling) { h.SealsFound = append([]string{}, seals...) }
}
func to(key string) func(*record.Handling) {
	return func(h *record.Handling) { h.To = &record.Party{Key: key} }
}
func answer(leaf record.LeafHash) func(*record.Handling) {
	return func(h *record.Handling) { h.Release = &leaf }
}
func images(ids ...string) func(*record.Handling) {
	return func(h *record.Handling) {
		for _, id := range ids {
			h.Images = append(h.Images, record.ImageCheck{Acquisition: id})
		}
	}
}
func erase(id string, leaf record.LeafHash, files ...string) func(*record.Handling) {
	return func(h *record.Handling) {
		h.Erasure = &record.Erasure{Images: []record.ErasedImage{{Acquisition: id, Files: files, Record: leaf}}}
	}
}
func attach(sums ...byte) func(*record.Handling) {
	return func(h *record.Handling) {
		for _, n := range sums {
			h.Attachments = append(h.Attachments, record.Attachment{Digests: []record.Digest{record.BLAKE3Digest([32]byte{n}), sum(n)}})
		}
	}
}
func sum(n byte) record.Digest { return record.SHA256Digest([32]byte{n}) }
func eraseAttached(sums ...byte) func(*record.Handling) {
	return func(h *record.Handling) {
		h.Erasure = &record.Erasure{}
		for _, n := range sums {
			h.Erasure.Attachments = append(h.Erasure.Attachments, sum(n))
		}
	}
}

// entered is a time that a person wrote down, so long after another.
func entered(after time.Duration) func(record.Time) record.Time {
	return func(t record.Time) record.Time {
		at, err := t.Moment()
		if err != nil {
			panic(err)
		}
		return record.NewTime(at.Add(after), record.ClockEntered, record.Unknown[bool]("entered by hand"))
	}
}

func restrict(r record.RestrictionAct) func(*record.Handling) {
	return func(h *record.Handling) { h.Restriction = &r }
}
func corrects(leaf record.LeafHash) func(*record.Handling) {
	return func(h *record.Handling) { h.Corrects = &leaf }
}

func endorses(leaves ...record.LeafHash) func(*record.Handling) {
	return func(h *record.Handling) { h.Endorses = record.SortLeaves(leaves) }
}
func verified(r record.VerificationResult) func(*record.Handling) {
	return func(h *record.Handling) { h.Verification = &record.Verification{Result: r} }
}

// begin starts the story, by a seizure with one seal or without events from outside.
func (s *story) begin() {
	s.holder = people[s.random.IntN(len(people))]
	if s.random.IntN(3) == 0 {
		s.log(s.holder, s.event(record.TypeReceived))
		return
	}
	seal := s.newSeal()
	s.seals, s.taken = []string{seal}, []string{seal}
	s.log(s.holder, &record.Seized{Event: s.header(), Seizure: record.Seizure{Seals: s.seals, SeizedAt: s.header().Time}})
}

// step takes one legal step, if the one that was drawn is possible now.
func (s *story) step() {
	free := !s.destroyed && s.open == nil && s.holder != ""
	switch draw := s.random.IntN(14); {
	case draw == 0 && free:
		seal := s.newSeal()
		s.log(s.holder, s.event(record.TypeSealed, apply(seal), found(s.seals...)))
		s.seals, s.taken = append(slices.Clone(s.seals), seal), append(s.taken, seal)
	case draw == 1 && free && len(s.seals) > 0:
		i := s.random.IntN(len(s.seals))
		s.log(s.holder, s.event(record.TypeUnsealed, remove(s.seals[i])))
		s.seals = slices.Delete(slices.Clone(s.seals), i, i+1)
	case draw <= 4 && free:
		s.from, s.to = s.holder, s.other(s.holder)
		named := s.to
		if s.random.IntN(2) == 0 {
			named = ""
		}
		leaf := s.leaf()
		s.log(s.from, s.event(record.TypeReleased, to(named)))
		s.open = &leaf
	case draw <= 7 && s.open != nil:
		s.log(s.to, s.event(record.TypeAccepted, answer(*s.open), found(s.seals...)))
		s.answered, s.open, s.holder = append(s.answered, *s.open), nil, s.to
	case draw == 8 && s.open != nil:
		s.log(s.to, s.event(record.TypeRefused, answer(*s.open)))
		s.answered, s.open = append(s.answered, *s.open), nil
	case draw == 9 && free && len(s.restrictions) == 0 && len(s.seals) > 0:
		seal := s.newSeal()
		s.log(s.holder, s.event(record.TypeExamined, remove(s.seals...), apply(seal)))
		s.seals, s.taken = []string{seal}, append(s.taken, seal)
	case draw == 10 && free && len(s.restrictions) == 0 && len(s.seals) == 0:
		id := fmt.Sprintf("20261123T081500Z-%08x", s.n)
		s.records = append(s.records, s.leaf())
		s.log("station", &record.Acquired{Event: s.header(), Acquisition: record.Acquisition{ID: id, Files: []record.File{
			{Name: "7.raw", Role: record.RoleImage}, {Name: "7.tree", Role: record.RoleTree}, {Name: "SHA256SUMS", Role: record.RoleSums}}}})
		s.images, s.kept = append(s.images, id), append(s.kept, id)
	case draw == 11 && len(s.restrictions) == 0:
		leaf := s.leaf()
		s.log(s.other(""), s.event(record.TypeRestricted, restrict(record.RestrictionAct{Kind: "privilege"})))
		s.restrictions = append(s.restrictions, leaf)
	case draw == 12 && len(s.restrictions) > 0:
		s.log(s.other(""), s.event(record.TypeRestricted, restrict(record.RestrictionAct{Lifts: &s.restrictions[0]})))
		s.restrictions = nil
	case draw == 13:
		s.aside()
	}
}

// aside takes a step that moves nothing, or rarely one that ends the story.
func (s *story) aside() {
	switch draw := s.random.IntN(16); {
	case draw == 0 && !s.destroyed && s.open == nil && s.holder != "":
		s.log(s.holder, s.event(record.TypeDestroyed))
		s.holder, s.destroyed = "", true
	case draw == 1 && len(s.kept) > 0: // whoever holds the exhibit, and also when it is no more
		i := slices.Index(s.images, s.kept[0])
		s.log(s.other(""), s.event(record.TypeDestroyed, erase(s.kept[0], s.records[i], "7.raw", "7.tree")))
		s.kept = s.kept[1:]
	case draw < 4 && len(s.kept) > 0 && len(s.restrictions) == 0:
		s.log(s.other(""), s.event(record.TypeDisclosed, to(""), images(s.kept[0])))
	case draw == 4 && len(s.kept) > 0:
		s.log(s.other(""), s.event(record.TypeVerified, images(s.kept...), verified(record.ResultHeld)))
	case draw == 5 && len(s.kept) > 0 && len(s.restrictions) == 0:
		s.log(s.other(""), s.event(record.TypeTransmitted, to(""), images(s.kept[0])))
	case draw == 6:
		i := s.random.IntN(len(s.leaves))
		if key := s.other(s.keys[i]); !slices.Contains(s.endorsed, endorsement{s.leaves[i], key}) {
			s.log(key, s.event(record.TypeEndorsed, endorses(s.leaves[i])))
			s.endorsed = append(s.endorsed, endorsement{s.leaves[i], key})
		}
	case draw < 8:
		s.log(s.other(""), s.event(record.TypeCorrected, corrects(s.leaves[s.random.IntN(len(s.leaves))])))
	case draw < 10 && !s.destroyed && len(s.kept) > 0:
		s.log(s.other(""), s.event(record.TypeInspected, images(s.kept...)))
	default:
		s.log(s.other(""), s.event(record.TypeNoted))
	}
}

// wrong tries one illegal step of each kind that can be illegal now.
func (s *story) wrong(seen map[record.Rule]int) {
	none, strange := record.LeafHash{9}, s.other(s.holder)
	s.wrongNames(strange, seen)
	late := func(h *record.Handling) {
		h.OccurredAt = record.NewTime(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), record.ClockEntered, record.Unknown[bool]("entered"))
	}
	s.refused(record.RuleFuture, strange, s.event(record.TypeNoted, late), seen)
	early := func(h *record.Handling) {
		h.OccurredAt = record.NewTime(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), record.ClockEntered, record.Unknown[bool]("entered"))
	}
	s.refused(record.RuleTooEarly, s.holder, s.event(record.TypeInspected, early), seen)
	again := &record.Seized{Event: s.header()}
	again.Seizure.SeizedAt = again.Event.Time
	s.refused(record.RuleAlreadyBegun, strange, again, seen)
	again.Seizure.SeizedAt = entered(time.Hour)(again.Event.Time)
	s.refused(record.RuleFuture, strange, again, seen)
	s.refused(record.RuleNoSuchRelease, strange, s.event(record.TypeAccepted, answer(none), found(s.seals...)), seen)
	s.refused(record.RuleNotRestricted, strange, s.event(record.TypeRestricted, restrict(record.RestrictionAct{Lifts: &none})), seen)
	s.refused(record.RuleNoSuchAcquisition, strange, s.event(record.TypeInspected, images("20200101T000000Z-00000000")), seen)
	s.refused(record.RuleSealsDiffer, strange, s.event(record.TypeInspected, found(append(slices.Clone(s.seals), "S-x")...)), seen)
	s.refused(record.RuleNoSuchSeal, s.holder, s.event(record.TypeUnsealed, remove("S-x")), seen)
	if len(s.taken) > 0 {
		used := s.taken[s.random.IntN(len(s.taken))]
		s.refused(record.RuleSealedTwice, s.holder, s.event(record.TypeSealed, apply(used)), seen)
	}
	if len(s.seals) > 0 {
		s.refused(record.RuleSealed, s.holder, s.event(record.TypeExamined), seen)
	}
	for i, id := range s.images {
		s.refused(record.RuleNoSuchAcquisition, strange, s.event(record.TypeDestroyed, erase(id, none, "7.raw")), seen)
		s.refused(record.RuleNoSuchAcquisition, strange, s.event(record.TypeDestroyed, erase(id, s.records[i], "SHA256SUMS")), seen)
		if !slices.Contains(s.kept, id) {
			s.refused(record.RuleErased, strange, s.event(record.TypeInspected, images(id)), seen)
			s.refused(record.RuleErased, strange, s.event(record.TypeVerified, images(id)), seen)
			s.refused(record.RuleErased, strange, s.event(record.TypeDestroyed, erase(id, s.records[i], "7.tree")), seen)
		}
	}
	for _, leaf := range s.answered {
		s.refused(record.RuleAcceptedTwice, strange, s.event(record.TypeAccepted, answer(leaf), found(s.seals...)), seen)
	}
	if len(s.restrictions) > 0 {
		s.refused(record.RuleRestricted, strange, s.event(record.TypeDisclosed, to("")), seen)
		s.refused(record.RuleRestricted, strange, s.event(record.TypeTransmitted, to("")), seen)
		s.refused(record.RuleRestricted, s.holder, s.event(record.TypeExamined, remove(s.seals...)), seen)
	}
	if s.destroyed {
		for _, typ := range []record.Type{record.TypeReceived, record.TypeSealed, record.TypeReleased, record.TypeExamined, record.TypeReturned, record.TypeDestroyed} {
			s.refused(record.RuleDestroyed, strange, s.event(typ, to("")), seen)
		}
		return
	}
	s.refused(record.RuleNotHolder, strange, s.event(record.TypeReleased, to("")), seen)
	s.refused(record.RuleNotHolder, strange, s.event(record.TypeSealed, apply(s.newSeal())), seen)
	s.refused(record.RuleAlreadyHeld, strange, s.event(record.TypeReceived), seen)
	if s.open != nil {
		s.refused(record.RuleHandoverOpen, s.holder, s.event(record.TypeReleased, to("")), seen)
		s.refused(record.RuleHandoverOpen, s.holder, s.event(record.TypeDestroyed), seen)
		if r := s.report().Handover; r.To != "" {
			s.refused(record.RuleNotReceiver, s.from, s.event(record.TypeAccepted, answer(*s.open), found(s.seals...)), seen)
		}
	}
}

// wrongNames tries events about events and images that are not there.
func (s *story) wrongNames(strange string, seen map[record.Rule]int) {
	none := record.LeafHash{9}
	s.refused(record.RuleNoSuchEvent, strange, s.event(record.TypeCorrected, corrects(none)), seen)
	s.refused(record.RuleNoSuchEvent, strange, s.event(record.TypeEndorsed, endorses(none)), seen)
	i := s.random.IntN(len(s.leaves))
	s.refused(record.RuleOwnSignature, s.keys[i], s.event(record.TypeEndorsed, endorses(s.leaves[i])), seen)
	for _, e := range s.endorsed {
		s.refused(record.RuleEndorsedTwice, e.key, s.event(record.TypeEndorsed, endorses(e.leaf)), seen)
	}
	s.refused(record.RuleNoSuchAcquisition, strange, s.event(record.TypeVerified, images("20200101T000000Z-00000000")), seen)
}

// agree requires that the Book says what the model says, and no gap but the release that is open.
func (s *story) agree() {
	s.t.Helper()
	r := s.report()
	if r.Holder.KeyID != s.holder || !slices.Equal(r.Seals, s.seals) || (r.Handover == nil) != (s.open == nil) ||
		len(r.Restrictions) != len(s.restrictions) || (r.Destroyed > 0) != s.destroyed || len(r.Erased) != len(s.images)-len(s.kept) || len(r.Endorsements) != len(s.endorsed) || !slices.Equal(r.Acquisitions, s.images) || r.Events != s.n {
		s.t.Fatalf("after event %d the state is %+v, want that of %+v", s.n, r, s)
	}
	for _, gap := range r.Gaps {
		if !strings.Contains(gap, "waits for its answer") && !strings.Contains(gap, `is no seizure but "received"`) {
			s.t.Fatalf("after event %d there is a gap: %s", s.n, gap)
		}
	}
	if len(r.Contradictions)+len(r.Notes) > 0 {
		s.t.Fatalf("after event %d: %q, %q, want none", s.n, r.Contradictions, r.Notes)
	}
}

// Random legal sequences keep the rules; random illegal events are refused with the rule's name, and change nothing.
func TestRules(t *testing.T) {
	seen := map[record.Rule]int{}
	for seed := range uint64(60) {
		s := &story{t: t, random: rand.New(rand.NewPCG(seed, 1))}
		s.refused(record.RuleNotBegun, "alice", s.event(record.TypeNoted), seen)
		s.begin()
		for range 80 {
			s.step()
			s.agree()
			s.wrong(seen)
		}
	}
	for _, rule := range record.Rules {
		if !slices.Contains([]record.Rule{record.RuleRecoveryPhrase, record.RuleNoSuchExhibit}, rule) && seen[rule] < 20 { // those are package custody's
			t.Errorf("rule %s was tried %d times", rule, seen[rule])
		}
	}
}

// An illegal event that stands in a log all the same is a gap with the rule's name; a reason is shown, and closes nothing.
func TestDespite(t *testing.T) {
	s := &story{t: t, random: rand.New(rand.NewPCG(1, 2))}
	s.log("alice", &record.Seized{Event: s.header()})
	for _, tt := range []struct {
		despite  *record.Despite
		openings record.Openings
		want     string
	}{
		{nil, nil, "breaks the rule not-holder: the exhibit is held by key alice since event 1, and key bob signs; nothing says why"},
		{&record.Despite{Rules: []record.Rule{record.RuleNotHolder}}, nil, "for a reason that is not revealed"},
		{&record.Despite{Rules: []record.Rule{record.RuleNotHolder}}, record.Openings{{Path: "/handling/despite/reason", Value: "fire in\nthe store"}}, `because "fire in\nthe store"`},
		{&record.Despite{Rules: []record.Rule{record.RuleNotHolder, record.RuleRecoveryPhrase}}, nil, "was logged despite the rule recovery-phrase"},
	} {
		e := s.event(record.TypeSealed, apply(s.newSeal()), func(h *record.Handling) { h.Despite = tt.despite })
		leaf := s.leaf()
		s.book.Add(LoggedEvent{Index: s.n + 1, Leaf: leaf, KeyID: "bob", Event: e, Openings: tt.openings})
		s.last, s.n = &leaf, s.n+1
		if gaps := s.report().Gaps; !strings.Contains(gaps[len(gaps)-1], tt.want) {
			t.Errorf("gaps %q, want the last with %q", gaps, tt.want)
		}
	}
}

// What the handovers, the images and the acquisitions of an exhibit leave open is said.
func TestGaps(t *testing.T) {
	release := record.LeafHash{1, 0, 1}
	paper := func(h *record.Handling) { h.Paper = []record.Digest{record.SHA256Digest([32]byte{1})} }
	check := func(typ record.Type, digest byte) func(*story) record.Event {
		return func(s *story) record.Event {
			return s.event(typ, answer(release), func(h *record.Handling) {
				h.Images = []record.ImageCheck{{Acquisition: "20261123T081500Z-00000001", Digests: []record.Digest{record.SHA256Digest([32]byte{digest})}}}
			})
		}
	}
	imageFound := func(r record.VerificationResult, digest byte) func(*story) record.Event {
		return func(s *story) record.Event {
			e, _ := check(record.TypeVerified, digest)(s).(*record.Handled)
			e.Handling.Release, e.Handling.Verification = nil, &record.Verification{Result: r}
			return e
		}
	}
	plain := func(typ record.Type, change ...func(*record.Handling)) func(*story) record.Event {
		return func(s *story) record.Event { return s.event(typ, change...) }
	}
	acquire := func(s *story) record.Event {
		return &record.Acquired{Event: s.header(), Acquisition: record.Acquisition{ID: "20261123T081500Z-00000001",
			Digests: []record.MediaDigest{{Digest: record.SHA256Digest([32]byte{1})}}}}
	}
	tests := map[string]struct {
		by     string
		events []func(*story) record.Event
		gap    string // of the last; empty: none
		contra string
	}{
		"open":             {"alice", []func(*story) record.Event{plain(record.TypeReleased, to(""))}, "release of event 2 waits", ""},
		"one-sided":        {"alice", []func(*story) record.Event{plain(record.TypeReleased, to("")), plain(record.TypeAccepted, answer(release), found())}, "is one-sided: key alice signed both", ""},
		"on paper":         {"alice", []func(*story) record.Event{plain(record.TypeReleased, to("bob")), plain(record.TypeAccepted, answer(release), found(), paper)}, "and the receiver on paper", ""},
		"taken back":       {"alice", []func(*story) record.Event{plain(record.TypeReleased, to("bob")), plain(record.TypeRefused, answer(release))}, "", ""},
		"received again":   {"alice", []func(*story) record.Event{plain(record.TypeReturned, to("")), plain(record.TypeReceived)}, "to event 3 nobody whom this log knows", ""},
		"acquired sealed":  {"alice", []func(*story) record.Event{plain(record.TypeSealed, apply("S-1")), acquire}, `although it was sealed (seals "S-1")`, ""},
		"acquired after":   {"alice", []func(*story) record.Event{plain(record.TypeDestroyed), acquire}, "after event 2 had destroyed it", ""},
		"restricted":       {"alice", []func(*story) record.Event{plain(record.TypeRestricted, restrict(record.RestrictionAct{Kind: "privilege"})), acquire}, "although event 2 restricts it (privilege)", ""},
		"image as it was":  {"alice", []func(*story) record.Event{acquire, check(record.TypeInspected, 1)}, "", ""},
		"held":             {"alice", []func(*story) record.Event{acquire, imageFound(record.ResultHeld, 1)}, "", ""},
		"held, it says":    {"alice", []func(*story) record.Event{acquire, imageFound(record.ResultHeld, 2)}, "", "says that the images held, and names digests that are not theirs"},
		"did not hold":     {"alice", []func(*story) record.Event{acquire, imageFound(record.ResultFailed, 2)}, "", "at event 3 (log entry 3) the image of acquisition"},
		"beside it":        {"alice", []func(*story) record.Event{acquire, imageFound(record.ResultFailed, 1)}, "something beside them was changed or damaged", ""},
		"image is another": {"alice", []func(*story) record.Event{acquire, check(record.TypeInspected, 2)}, "", "at event 3 (log entry 3) the image of acquisition"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &story{t: t, random: rand.New(rand.NewPCG(1, 2))}
			s.log("alice", &record.Seized{Event: s.header()})
			for _, make := range tt.events {
				s.log(tt.by, make(s))
			}
			r := s.report()
			if got := strings.Join(r.Gaps, "\n"); tt.gap == "" && got != "" || !strings.Contains(got, tt.gap) {
				t.Errorf("gaps %q, want %q", got, tt.gap)
			}
			if got := strings.Join(r.Contradictions, "\n"); tt.contra == "" && got != "" || !strings.Contains(got, tt.contra) {
				t.Errorf("contradictions %q, want %q", got, tt.contra)
			}
		})
	}
}

// An attachment can be erased by an order that comes after the event it belongs to, once; what is attached again is here again.
func TestErasedAttachments(t *testing.T) {
	s := &story{t: t, random: rand.New(rand.NewPCG(5, 6))}
	s.begin()
	seen := map[record.Rule]int{}
	s.refused(record.RuleNoSuchEvent, s.holder, s.event(record.TypeDestroyed, eraseAttached(1)), seen)
	s.log(s.holder, s.event(record.TypeNoted, attach(1, 2)))
	s.refused(record.RuleNoSuchEvent, s.holder, s.event(record.TypeDestroyed, eraseAttached(3)), seen)
	s.log(s.holder, s.event(record.TypeDestroyed, eraseAttached(1)))
	if r := s.report(); len(r.Erased) != 1 || r.Erased[0].Number != s.n || r.Erased[0].Acquisition != "" || !slices.Equal(r.Erased[0].Attachments, []record.Digest{sum(1)}) || r.Destroyed > 0 {
		t.Errorf("the state is %+v", r)
	}
	s.refused(record.RuleErased, s.holder, s.event(record.TypeDestroyed, eraseAttached(1)), seen)
	s.log(s.holder, s.event(record.TypeNoted, attach(1)))
	s.log(s.holder, s.event(record.TypeDestroyed, eraseAttached(1, 2)))
	// In a log that was written despite the rules, what was never attached is not taken for erased.
	s.book.Add(LoggedEvent{Index: s.n + 1, Leaf: s.leaf(), KeyID: s.holder, Event: s.event(record.TypeDestroyed, eraseAttached(9))})
	if r := s.report(); len(r.Erased) != 2 || len(r.Gaps) == 0 || seen[record.RuleErased] != 1 || seen[record.RuleNoSuchEvent] != 2 {
		t.Errorf("the state is %+v, refused %v", r, seen)
	}
}
