package custody

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// meet returns two cases that have met: d holds the log of c, with a release of exhibit 7 that d has accepted, and of each
// the newest checkpoint is in the other but for c's. The log of c has more than enough statements for a file of steps.
func meet(t *testing.T) (c, d *testCase) {
	t.Helper()
	all := func(n *NewCase) { n.Admit[0].Events = record.EventTypes }
	c = newCaseWith(t, all)
	var names []string
	for i := range 2 * stepsBehind {
		names = append(names, fmt.Sprint(i))
	}
	c.grow(t, names...)
	f := openFolder(t, handOver(t, c, ""))
	d = newCaseWith(t, func(n *NewCase) { all(n); n.Number, n.Joins = f.Genesis.Case, f.Joining() })
	release, err := c.by(c.person, handled(t, record.TypeReleased, "to the laboratory", nil))
	if err != nil {
		t.Fatal(err)
	}
	c.handTo(t, d)
	if _, err := d.Anchor(context.Background(), c.Genesis().Origin, d.person, d.log, testClock); err != nil {
		t.Fatal(err)
	}
	accepted := handled(t, record.TypeAccepted, "", func(h *record.Handling) { h.Release, h.SealsFound = &release, []string{} })
	if _, err := d.by(d.person, accepted); err != nil {
		t.Fatal(err)
	}
	d.note(t, "3")
	return c, d
}

// handTo gives d the newest state of the log of c.
func (c *testCase) handTo(t *testing.T, d *testCase) {
	t.Helper()
	if _, err := d.Import(context.Background(), openFolder(t, handOver(t, c, ""))); err != nil {
		t.Fatal(err)
	}
}

func (c *testCase) note(t *testing.T, exhibit string) {
	t.Helper()
	n := handled(t, record.TypeNoted, "a word", nil)
	n.Event.Header().Exhibit = exhibit
	if _, err := c.by(c.person, n); err != nil {
		t.Fatal(err)
	}
}

// stepsFile is that of the log of c in the case d.
func (c *testCase) stepsFile(d *testCase) string {
	return filepath.Join(d.Dir(), layout.LogDir(d.Genesis().Origin), layout.HeadsSteps(c.Genesis().Origin))
}

// sameByCache requires that what an append knows of exhibits is what all logs say, read whole.
func (c *testCase) sameByCache(t *testing.T) {
	t.Helper()
	held, err := c.several()
	if err != nil || held == nil {
		t.Fatalf("the logs of the case: %v, %v", held, err)
	}
	for exhibit, least := range map[string]int{"7": 3, "3": 2, "5": 1, "unheard of": 0} {
		want, err := c.merged(held, exhibit)
		if err != nil || len(want) < least {
			t.Fatalf("exhibit %s: %d events, %v; want at least %d", exhibit, len(want), err, least)
		}
		got, err := c.mergedByCache(held, exhibit, c.log)
		if err != nil {
			t.Fatalf("exhibit %s: %v", exhibit, err)
		}
		if !slices.EqualFunc(got, want, func(a, b Entry) bool {
			return a.Log == b.Log && a.Index == b.Index && a.Leaf == b.Leaf && bytes.Equal(a.Envelope, b.Envelope) && len(a.Openings) == len(b.Openings)
		}) {
			t.Errorf("exhibit %s: an append knows of %v, and the logs of %v", exhibit, got, want)
		}
	}
}

// harmedSteps are files that nobody may take for good, which says s of the log of c in the case d.
func harmedSteps(t *testing.T, c, d *testCase, good []byte, s *steps, checkpoint [sha256.Size]byte, secret []byte) map[string][]byte {
	t.Helper()
	origin := c.Genesis().Origin
	other, err := newLogSigner(t).Secret(d.Genesis().Origin, stepsType)
	if err != nil {
		t.Fatal(err)
	}
	less := *s // without what is known of exhibit 7
	less.exhibits = slices.Clone(s.exhibits)
	for i, x := range less.exhibits {
		if x == "7" {
			less.exhibits[i] = "8"
		}
	}
	more := *s
	more.size += 4
	for range 4 {
		more.steps, more.exhibits = append(more.steps[:len(more.steps):len(more.steps)], state.Step{}), append(more.exhibits[:len(more.exhibits):len(more.exhibits)], "")
	}
	flipped := func(at int) []byte {
		b := slices.Clone(good)
		b[at] ^= 1
		return b
	}
	return map[string][]byte{
		"empty":                  {},
		"cut":                    good[:len(good)-1],
		"longer":                 append(slices.Clone(good), 0),
		"a bit of its type":      flipped(0),
		"a bit of its size":      flipped(len(stepsType) + len(origin) + 9),
		"a bit of a step":        flipped(len(good) / 2),
		"a bit of the HMAC":      flipped(len(good) - 1),
		"less, of another key":   less.encode(origin, checkpoint, other),
		"less, HMAC as it was":   append(less.encode(origin, checkpoint, other)[:len(good)-sha256.Size], good[len(good)-sha256.Size:]...),
		"less, of another log":   less.encode(d.Genesis().Origin, checkpoint, secret),
		"less, of no checkpoint": less.encode(origin, [sha256.Size]byte{1}, secret),
		"more than there is":     more.encode(origin, checkpoint, secret),
		"of a size that was none": func() []byte {
			l := less
			l.size, l.steps, l.exhibits = 9, l.steps[:8], l.exhibits[:8]
			return l.encode(origin, checkpoint, secret)
		}(),
	}
}

// A file of steps is made again whenever it does not fit or the log key did not write it, and a lie in it is not believed.
func TestStepsAreACache(t *testing.T) {
	c, d := meet(t)
	d.sameByCache(t)
	name := c.stepsFile(d)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := d.log.Secret(d.Genesis().Origin, stepsType)
	if err != nil {
		t.Fatal(err)
	}
	s, checkpoint, err := parseSteps(good, c.Genesis().Origin, secret)
	if err != nil {
		t.Fatal(err)
	}
	origin := c.Genesis().Origin
	for what, b := range harmedSteps(t, c, d, good, s, checkpoint, secret) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d.sameByCache(t)
		if again, err := os.ReadFile(name); err != nil || len(again) < len(good)-200 || bytes.Equal(again, b) {
			t.Errorf("%s: it was not made again (%v)", what, err)
		} else if _, _, err := parseSteps(again, origin, secret); err != nil {
			t.Errorf("%s: made again: %v", what, err)
		}
	}
	if err := os.RemoveAll(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
	d.sameByCache(t)
}

// The steps go on with the logs, whether their files do or lag behind.
func TestStepsFollow(t *testing.T) {
	c, d := meet(t)
	d.sameByCache(t)
	for range 3 {
		for _, x := range []string{"5", "3", "7"} {
			c.note(t, x)
			d.note(t, x)
		}
		d.sameByCache(t)
		c.handTo(t, d)
		if _, err := d.Anchor(context.Background(), c.Genesis().Origin, d.person, d.log, testClock); err != nil {
			t.Fatal(err)
		}
		d.sameByCache(t)
	}
	before, err := os.ReadFile(c.stepsFile(d))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range stepsBehind {
		names = append(names, fmt.Sprintf("new %d", i))
	}
	c.grow(t, names...)
	c.handTo(t, d)
	d.sameByCache(t)
	after, err := os.ReadFile(c.stepsFile(d))
	if err != nil || len(after) <= len(before) {
		t.Errorf("the file of steps has %d bytes (%v), and had %d", len(after), err, len(before))
	}
}

// An append reads of the other logs the exhibit's own events and what came since the file of steps, not all of them.
func TestAppendReadsItsExhibitOfOtherLogs(t *testing.T) {
	c, d := meet(t)
	d.note(t, "7") // now the files are there
	theirs := filepath.Join(d.Dir(), layout.LogDir(c.Genesis().Origin), layout.StatementFile(20))
	if err := os.Rename(theirs, theirs+".away"); err != nil { // the seizure of exhibit 19
		t.Fatal(err)
	}
	d.note(t, "7")
	d.note(t, "3")
	note := handled(t, record.TypeNoted, "a word", nil)
	note.Event.Header().Exhibit = "19"
	if _, err := d.by(d.person, note); err == nil {
		t.Error("an event was logged of an exhibit whose seizure is gone")
	}
	if err := os.Remove(c.stepsFile(d)); err != nil {
		t.Fatal(err)
	}
	note.Event.Header().Exhibit = "7"
	if _, err := d.by(d.person, note); err == nil {
		t.Error("without the file of steps the other log was not read")
	}
}

func FuzzParseSteps(f *testing.F) {
	const origin = "aaaaaaaaaaaaaaaaaaaaaaaaaa.exhibit.invalid"
	secret := []byte("a key")
	leaf := record.LeafHash{3}
	s := steps{size: 5, exhibits: []string{"7", "7", "", ""}, steps: []state.Step{
		{Index: 1, Leaf: record.LeafHash{1}}, {Index: 2, Leaf: record.LeafHash{2}, Answers: &leaf},
		{Index: 3, Leaf: leaf, Seen: origin, Size: 4}, {Index: 4, Leaf: record.LeafHash{4}},
	}}
	sample := s.encode(origin, [sha256.Size]byte{9}, secret)
	if got, _, err := parseSteps(sample, origin, secret); err != nil || got.size != 5 || *got.steps[1].Answers != leaf || got.steps[2].Seen != origin {
		f.Fatalf("parseSteps = %v, %v", got, err)
	}
	for end := range len(sample) - sha256.Size {
		if got, _, err := parseSteps(append(slices.Clone(sample[:end]), macOf(sample[:end], secret)...), origin, secret); err == nil || got != nil {
			f.Fatalf("its first %d bytes: %v, %v", end, got, err)
		}
	}
	f.Add(sample[:len(sample)-sha256.Size])
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append(slices.Clone(b), macOf(b, secret)...)
		got, checkpoint, err := parseSteps(b, origin, secret)
		if err != nil {
			if got != nil || checkpoint != [sha256.Size]byte{} {
				t.Errorf("an error and a value: %v", got)
			}
			return
		}
		if !bytes.Equal(got.encode(origin, checkpoint, secret), b) {
			t.Errorf("%q was read and is written otherwise", b)
		}
	})
}
