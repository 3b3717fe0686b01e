package custody

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

// handled makes an event with nothing but remarks, changed by change.
func handled(t *testing.T, typ record.Type, remarks string, change func(*record.Handling)) Unlogged {
	t.Helper()
	h, err := record.NewHandled(typ)
	if err != nil {
		t.Fatal(err)
	}
	none := record.Unknown[record.Personal]("not given")
	party := record.Party{Agency: none, Identifier: none, Name: none, Role: none}
	h.Event.Exhibit = "7"
	h.Handling = record.Handling{Actor: party, Authority: record.NoAuthority("not given"), Condition: none, OccurredAt: testClock(), Place: none, Purpose: none, Witness: none}
	var open record.Openings
	if h.Handling.Remarks, err = open.CommitFact(rand.Reader, "/handling/remarks", remarks, "not given"); err != nil {
		t.Fatal(err)
	}
	switch typ {
	case record.TypeReleased:
		h.Handling.To = &party
	case record.TypeReceived:
		h.Handling.From = &party
	}
	if change != nil {
		change(&h.Handling)
	}
	return Unlogged{h, open}
}

func despite(t *testing.T, e Unlogged, reason string) Unlogged {
	t.Helper()
	p, err := e.Openings.Commit(rand.Reader, "/handling/despite/reason", reason)
	if err != nil {
		t.Fatal(err)
	}
	h, ok := e.Event.(*record.Handled)
	if !ok {
		t.Fatalf("%T takes no reason", e.Event)
	}
	h.Handling.Despite = &record.Despite{Reason: p}
	return e
}

// pairCase is a case with two persons who may sign everything.
func pairCase(t *testing.T) (c *testCase, second sign.Signer) {
	t.Helper()
	c = &testCase{person: newSigner(t), station: newSigner(t), log: newLogSigner(t)}
	second = newSigner(t)
	n := admit(c.person, c.station)
	n.Admit[0].Events = record.EventTypes
	n.Admit = append(n.Admit, Admission{second.PublicKey(), record.KindPerson, "B. Lab", record.EventTypes, []byte("certificate\n")})
	var err error
	if c.Case, err = Create(filepath.Join(t.TempDir(), "case"), n, c.person, c.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, second
}

func (c *testCase) by(s sign.Signer, e Unlogged) (record.LeafHash, error) {
	logged, err := c.Append(context.Background(), e.Event, e.Openings, s, c.log, testClock)
	return logged.Leaf, err
}

// broken returns the names of the rules in err, joined.
func broken(err error) string {
	var names []string
	if e, ok := errors.AsType[*RuleError](err); ok {
		for _, b := range e.Breaches {
			names = append(names, string(b.Rule))
		}
	}
	return strings.Join(names, " ")
}

func TestAppendKeepsRules(t *testing.T) {
	c, second := pairCase(t)
	if _, err := c.by(c.person, handled(t, record.TypeNoted, "a note", nil)); broken(err) != "not-begun" {
		t.Fatalf("a note before all: %v", err)
	}
	if _, err := c.by(c.person, seized(t, "7")); err != nil {
		t.Fatal(err)
	}
	seal := func(s string) func(*record.Handling) {
		return func(h *record.Handling) { h.SealsApplied = []string{s} }
	}
	if _, err := c.by(second, handled(t, record.TypeSealed, "", seal("S-1"))); broken(err) != "not-holder" || !strings.Contains(err.Error(), "rule not-holder: the exhibit is held by key") {
		t.Errorf("sealed by another: %v", err)
	}
	if _, err := c.by(c.person, despite(t, handled(t, record.TypeSealed, "", seal("S-1")), "because")); !errors.Is(err, ErrNothingDespite) {
		t.Errorf("despite no rule: %v", err)
	}
	if _, err := c.by(second, despite(t, handled(t, record.TypeSealed, "", seal("S-1")), "the holder is ill")); err != nil {
		t.Errorf("despite a rule: %v", err)
	}
	chain, err := c.Chain("7")
	if err != nil || len(chain) != 2 {
		t.Fatalf("%d events, %v, want 2", len(chain), err)
	}
	if h, ok := chain[1].Predicate.(*record.Handled); !ok || !slices.Equal(h.Handling.Despite.Rules, []record.Rule{record.RuleNotHolder}) {
		t.Errorf("the event is %+v, want one despite not-holder", chain[1].Predicate)
	}
	states, err := c.States()
	if err != nil || len(states) != 1 || len(states[0].Gaps) != 1 || !strings.Contains(states[0].Gaps[0], `because "the holder is ill"`) {
		t.Errorf("states %+v, %v, want one gap with the reason", states, err)
	}
}

// Of several events that are logged together each is held against those before it.
func TestBatchKeepsRules(t *testing.T) {
	c, _ := pairCase(t)
	seal := handled(t, record.TypeSealed, "", func(h *record.Handling) { h.SealsApplied = []string{"S-1"} })
	again := handled(t, record.TypeSealed, "", func(h *record.Handling) { h.SealsApplied = []string{"S-1"} })
	if _, err := c.AppendBatch(context.Background(), []Unlogged{seized(t, "7"), seal, again}, c.person, c.log, testClock); broken(err) != "sealed-twice" {
		t.Errorf("one seal twice in a batch: %v", err)
	}
	if chain, err := c.Chain("7"); err != nil || len(chain) != 0 {
		t.Errorf("%d events were logged, %v, want none", len(chain), err)
	}
	if _, err := c.AppendBatch(context.Background(), []Unlogged{seized(t, "7"), seal}, c.person, c.log, testClock); err != nil {
		t.Error(err)
	}
}

// A chain that begins with a receipt is held to the same: no number that is taken for another's.
func TestReceivedBegins(t *testing.T) {
	c, _ := pairCase(t)
	if _, err := c.by(c.person, seized(t, "a1")); err != nil {
		t.Fatal(err)
	}
	e := handled(t, record.TypeReceived, "", nil)
	e.Event.Header().Exhibit = "A1"
	if _, err := c.by(c.person, e); !errors.Is(err, ErrExists) {
		t.Errorf("received as A1: %v, want %v", err, ErrExists)
	}
}

// The words of a wallet are refused wherever they stand; a seizure has no way around.
func TestRecoveryPhrase(t *testing.T) {
	const phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow"
	c, _ := pairCase(t)
	bad := seized(t, "7")
	if _, err := bad.Openings.Commit(rand.Reader, "/seizure/place", phrase); err != nil {
		t.Fatal(err)
	}
	if _, err := c.by(c.person, bad); broken(err) != "recovery-phrase" || strings.Contains(err.Error(), "sausage") {
		t.Errorf("seized: %v", err)
	}
	if _, err := c.by(c.person, seized(t, "7")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.by(c.person, handled(t, record.TypeNoted, "On paper: "+phrase, nil)); broken(err) != "recovery-phrase" {
		t.Errorf("noted: %v", err)
	}
	if _, err := c.by(c.person, despite(t, handled(t, record.TypeNoted, "On paper: "+phrase, nil), "the wallet is empty")); err != nil {
		t.Errorf("despite: %v", err)
	}
}

// Of two acceptances at once one is logged, and the other is told the rule.
func TestAcceptancesRace(t *testing.T) {
	c, second := pairCase(t)
	if _, err := c.by(c.person, seized(t, "7")); err != nil {
		t.Fatal(err)
	}
	release, err := c.by(c.person, handled(t, record.TypeReleased, "", nil))
	if err != nil {
		t.Fatal(err)
	}
	accept := func() error {
		_, err := c.by(second, handled(t, record.TypeAccepted, "", func(h *record.Handling) { h.Release, h.SealsFound = &release, []string{} }))
		return err
	}
	errs := make([]error, 4)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() { errs[i] = accept() })
	}
	wait.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case broken(err) != "accepted-twice":
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d acceptances were logged, want 1: %v", won, fmt.Sprint(errs))
	}
}

// A chain is found among many others, by itself and by the events it leads through; one whose events lead nowhere is shown
// as far as it is there.
func TestChainAmongMany(t *testing.T) {
	c, _ := pairCase(t)
	var batch []Unlogged
	for i := range 600 {
		batch = append(batch, seized(t, fmt.Sprintf("x%d", i)))
		if i == 10 {
			batch = append(batch, seized(t, "7"))
		}
		if i%200 == 100 {
			batch = append(batch, handled(t, record.TypeNoted, "a note", nil))
		}
	}
	if _, err := c.AppendBatch(context.Background(), batch, c.person, c.log, testClock); err != nil {
		t.Fatal(err)
	}
	chain, err := c.Chain("7")
	if err != nil || len(chain) != 4 || chain[0].Predicate.Type() != record.TypeSeized {
		t.Fatalf("%d events, %v, want 4 from the seizure on", len(chain), err)
	}
	if again, err := c.chain("7", &chain[3].Leaf); err != nil || len(again) != 4 || again[3].Leaf != chain[3].Leaf {
		t.Errorf("from its last event: %d events, %v, want 4", len(again), err)
	}
	for _, astray := range []record.LeafHash{{1}, chain[0].Leaf} {
		if got, err := c.chain("x5", &astray); err != nil || len(got) != 1 {
			t.Errorf("from a leaf that is none of its own: %d events, %v, want 1", len(got), err)
		}
	}
	if none, err := c.Chain("8"); err != nil || len(none) != 0 {
		t.Errorf("of none: %d events, %v", len(none), err)
	}
}
