package custody

import (
	"errors"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// What Allows says is what Append says, and it logs nothing.
func TestAllows(t *testing.T) {
	c, second := pairCase(t)
	size := func() int64 {
		l, err := c.Log()
		if err != nil {
			t.Fatal(err)
		}
		return l.Size()
	}
	allows := func(e Unlogged, keyID string) error {
		t.Helper()
		chain, err := c.Chain("7")
		if err != nil {
			t.Fatal(err)
		}
		return c.Allows(e, chain, keyID, testClock)
	}
	note := func() Unlogged { return handled(t, record.TypeNoted, "a note", nil) }
	release := func() Unlogged { return handled(t, record.TypeReleased, "to the lab", nil) }
	person := c.person.PublicKey().KeyID()

	before := size()
	var rule *RuleError
	if err := allows(note(), person); !errors.As(err, &rule) || rule.Breaches[0].Rule != record.RuleNotBegun {
		t.Errorf("a note of no exhibit: %v, want rule %s", err, record.RuleNotBegun)
	}
	given := despite(t, note(), "so it was")
	if err := allows(given, person); err != nil {
		t.Errorf("despite the rule: %v", err)
	}
	if d := record.DespiteOf(given.Event); d.Rules != nil {
		t.Errorf("the reason was given rules: %v", d.Rules)
	}
	if err := allows(note(), newSigner(t).PublicKey().KeyID()); !errors.Is(err, ErrNotAdmitted) {
		t.Errorf("a key that the case does not admit: %v", err)
	}
	if size() != before {
		t.Errorf("the log has %d entries, had %d", size(), before)
	}

	if _, err := c.by(c.person, seized(t, "7")); err != nil {
		t.Fatal(err)
	}
	if err := allows(despite(t, note(), "no reason"), person); !errors.Is(err, ErrNothingDespite) {
		t.Errorf("despite nothing: %v", err)
	}
	held := release()
	if err := allows(held, person); err != nil {
		t.Fatalf("a release that Append takes: %v", err)
	}
	other := release()
	want := allows(other, second.PublicKey().KeyID())
	if _, got := c.by(second, other); want == nil || got == nil || !errors.As(want, &rule) || !errors.As(got, &rule) {
		t.Errorf("a release by who does not hold it: %v, and logged: %v", want, got)
	}
	if _, err := c.by(c.person, held); err != nil {
		t.Errorf("what was allowed: %v", err)
	}
}
