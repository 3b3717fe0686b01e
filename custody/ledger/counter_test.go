//go:build unix

package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// tally is a counter in memory, which a test can put back.
type tally struct {
	id    record.Counter
	value int64
}

func newTally(first int64) *tally {
	name := "000b" + strings.Repeat("5a", 32)
	return &tally{record.Counter{AttestationKey: []byte{1}, First: first, Handle: 0x1800001, Name: name, Parent: name}, first}
}

func (c *tally) Identity() record.Counter { return c.id }
func (c *tally) Value() (int64, error)    { return c.value, nil }
func (c *tally) Increment() error         { c.value++; return nil }
func (c *tally) Certify(text string) ([]byte, error) {
	return fmt.Appendf(nil, "%d\n%s", c.value, text), nil
}

func (c *tally) Check(b []byte, text string) (int64, error) {
	var value int64
	if _, err := fmt.Sscanf(string(b), "%d\n", &value); err != nil || string(b) != fmt.Sprintf("%d\n%s", value, text) {
		return 0, fmt.Errorf("%w: %q", record.ErrMalformed, b)
	}
	return value, nil
}

// mortal asks before and after each use of the counter: there a program can be killed, and an answer be lost.
type mortal struct {
	Counter
	ask func(when string) error
}

func (c *mortal) Value() (int64, error) {
	if err := c.ask("before reading"); err != nil {
		return 0, err
	}
	v, err := c.Counter.Value()
	return v, errors.Join(err, c.ask("after reading"))
}

func (c *mortal) Increment() error {
	if err := c.ask("before advancing"); err != nil {
		return err
	}
	return errors.Join(c.Counter.Increment(), c.ask("after advancing"))
}

func (c *mortal) Certify(text string) ([]byte, error) {
	if err := c.ask("before certifying"); err != nil {
		return nil, err
	}
	b, err := c.Counter.Certify(text)
	return b, errors.Join(err, c.ask("after certifying"))
}

// countedWorld is a world whose log has that counter.
func countedWorld(c Counter) *world {
	w := newWorld()
	id := c.Identity()
	w.opened.Counter, w.counter = &id, c
	w.reseal()
	return w
}

// reseal signs the genesis once more, after it was changed.
func (w *world) reseal() {
	w.genesis.Envelope = must(sign.Seal(w.person, must(record.Encode(w.opened))))
}

// counted requires that the counter went up by one with each checkpoint, and stands at the last.
func (w *world) counted(t *testing.T, dir string, c Counter) {
	t.Helper()
	l := w.open(t, dir)
	want := c.Identity().First
	for _, size := range must(checkpointSizes(l.dir)) {
		want++
		at := must(l.At(size))
		file := read(t, dir, layout.AttestFile(size))
		if v, err := c.Check(file, Checkpoint{w.opened.Origin, size, at.Root()}.Text()); err != nil || v != want {
			t.Errorf("the checkpoint of size %d has the value %d, %v, want %d", size, v, err, want)
		}
	}
	for i := int64(1); i < l.Size(); i++ {
		e := must(sign.ParseEnvelope(must(l.Statement(i))))
		s := as[*record.Seized](must(record.Decode(e.Payload))).Event.Log
		if d := record.SHA256Of(read(t, dir, layout.AttestFile(s.Size))); len(s.Attestations) != 1 || s.Attestations[0] != d {
			t.Errorf("statement %d names the attestations %v, want %s", i, s.Attestations, d)
		}
	}
	if live := must(c.Value()); live != want {
		t.Errorf("the counter is %d, want %d as certified last", live, want)
	}
}

func TestCounterGoesAlong(t *testing.T) {
	c := newTally(17)
	w := countedWorld(c)
	dir, root := create(t, w)
	w.append(t, root, "1")
	w.append(t, root, "1", "2", "3")
	w.append(t, root, "2")
	w.sound(t, dir, 6)
	w.counted(t, dir, c)
}

// killEverywhere kills appends, each one call later than the one before: calls that change the disk, and those to the
// counter, before and after. What is left must go on, each time. next gives the log's folder for the next one.
func (w *world) killEverywhere(t *testing.T, c Counter, next func() (dir string), check func(dir string)) {
	t.Helper()
	for at := 1; ; at++ {
		dir := next()
		calls, where := 0, ""
		ask := func(what string) error {
			if calls++; calls < at {
				return nil
			}
			if calls == at {
				where = what
			}
			return faulttest.ErrKilled
		}
		root, err := durable.OpenRootFaults(dir, func(op durable.Op, name string) error { return ask(string(op) + " " + name) })
		if err != nil {
			t.Fatal(err)
		}
		w.counter = &mortal{c, ask}
		_, err = Append(context.Background(), root, w.key(), nil, w.next("1", "2"))
		root.Close()
		w.counter = c
		if err == nil {
			if at < 40 {
				t.Errorf("an append made %d calls", calls)
			}
			return
		}
		if !errors.Is(err, faulttest.ErrKilled) {
			t.Fatalf("killed at call %d, %s: %v", at, where, err)
		}
		again, err := durable.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.recover(again); err != nil {
			t.Fatalf("killed at call %d, %s: recover: %v", at, where, err)
		}
		w.append(t, again, "next")
		again.Close()
		check(dir)
		if t.Failed() {
			t.Fatalf("killed at call %d, %s", at, where)
		}
	}
}

func TestKillsOfACountedAppend(t *testing.T) {
	t.Parallel()
	c := newTally(3)
	w := countedWorld(c)
	start, root := create(t, w)
	w.append(t, root, "1")
	value := c.value
	seen := published{}
	w.killEverywhere(t, c, func() string {
		c.value = value
		seen = published{}
		seen.look(t, w, start)
		return copyDir(t, start)
	}, func(dir string) {
		seen.look(t, w, dir)
		w.counted(t, dir, c)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	})
}

// TestKillsOfRecovery kills the completion of an append that was killed between the counter and its certificate.
func TestKillsOfRecovery(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before advancing", "after advancing", "after certifying"} {
		for at := 1; ; at++ {
			c := newTally(3)
			w := countedWorld(c)
			dir, root := create(t, w)
			w.counter = &mortal{c, func(now string) error {
				if now == when {
					return faulttest.ErrKilled
				}
				return nil
			}}
			if _, err := Append(context.Background(), root, w.key(), nil, w.next("1")); !errors.Is(err, faulttest.ErrKilled) && when != "after advancing" {
				t.Fatalf("killed %s: %v", when, err)
			}
			calls := 0
			ask := func(string) error {
				if calls++; calls >= at {
					return faulttest.ErrKilled
				}
				return nil
			}
			faulty := must(durable.OpenRootFaults(dir, func(durable.Op, string) error { return ask("") }))
			w.counter = &mortal{c, ask}
			_, err := w.recover(faulty)
			faulty.Close()
			w.counter = c
			if _, err := w.recover(root); err != nil {
				t.Fatalf("killed %s, and again at call %d: %v", when, at, err)
			}
			w.append(t, root, "1")
			w.counted(t, dir, c)
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err == nil {
				break
			}
		}
	}
}

// TestLostAnswers loses the answer to an increment that was done, and one that was not.
func TestLostAnswers(t *testing.T) {
	lost := errors.New("the answer was lost")
	c := newTally(3)
	w := countedWorld(c)
	dir, root := create(t, w)
	fail := ""
	w.counter = &mortal{c, func(when string) error {
		if when == fail {
			fail = ""
			return lost
		}
		return nil
	}}
	fail = "after advancing"
	w.append(t, root, "1") // the counter was read, and the append goes on
	fail = "before advancing"
	if _, err := Append(context.Background(), root, w.key(), nil, w.next("1")); !errors.Is(err, lost) || !errors.Is(err, ErrUnsettled) {
		t.Errorf("not advanced: %v, want ErrUnsettled", err)
	}
	w.append(t, root, "2")
	w.counter = c
	w.sound(t, dir, 4)
	w.counted(t, dir, c)
}

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := memoryDir(t)
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// refused requires that an append signs nothing, and says why.
func (w *world) refused(t *testing.T, dir, why string) {
	t.Helper()
	signed := len(w.log.notes)
	live := must(w.counter.Value())
	logged, err := Append(context.Background(), openRoot(t, dir), w.key(), nil, w.next("1"))
	if !errors.Is(err, ErrRefused) || !strings.Contains(fmt.Sprint(err), why) || logged != nil {
		t.Errorf("append = %v, %v; want ErrRefused with %q", logged, err, why)
	}
	if len(w.log.notes) != signed || must(w.counter.Value()) != live {
		t.Error("a checkpoint was signed, or the counter advanced")
	}
}

// TestOldCopies writes to a copy of a log, and then to the log.
func TestOldCopies(t *testing.T) {
	c := newTally(3)
	w := countedWorld(c)
	dir, root := create(t, w)
	w.append(t, root, "1")
	other := copyDir(t, dir)
	w.append(t, openRoot(t, other), "1")
	w.append(t, openRoot(t, other), "2")
	w.refused(t, dir, "2 more were signed")
	w.counted(t, other, c)
	c.value -= 2 // the TPM is put back as well: to the state of the old copy, and nothing shows
	w.append(t, root, "1")
	w.refused(t, other, "put back")
}

// interrupted is a log whose append was killed at that use of the counter.
func interrupted(t *testing.T, when string) (*tally, *world, string) {
	t.Helper()
	c := newTally(3)
	w := countedWorld(c)
	dir, root := create(t, w)
	w.counter = &mortal{c, func(now string) error {
		if now == when {
			return faulttest.ErrKilled
		}
		return nil
	}}
	if _, err := Append(context.Background(), root, w.key(), nil, w.next("1")); !errors.Is(err, faulttest.ErrKilled) {
		t.Fatal(err)
	}
	w.counter = c
	return c, w, dir
}

func TestPendingAndCounter(t *testing.T) {
	for name, test := range map[string]struct {
		when string
		do   func(t *testing.T, c *tally, dir string)
		why  string
	}{
		"the counter went on without it": {"before advancing", func(_ *testing.T, c *tally, _ string) { c.value += 2 }, "more were signed"},
		"the counter went on after it":   {"before certifying", func(_ *testing.T, c *tally, _ string) { c.value++ }, "more were signed"},
		"the counter was put back":       {"before advancing", func(_ *testing.T, c *tally, _ string) { c.value-- }, "put back"},
		"another value": {"before advancing", func(t *testing.T, _ *tally, dir string) {
			note, value, err := ParsePending(read(t, dir, layout.Pending))
			mustDo(t, err)
			overwrite(t, dir, layout.Pending, must(encodePending(note, value+1)))
		}, "put back"},
		"no value": {"before advancing", func(t *testing.T, _ *tally, dir string) {
			note, _, err := ParsePending(read(t, dir, layout.Pending))
			mustDo(t, err)
			overwrite(t, dir, layout.Pending, must(encodePending(note, 0)))
		}, "names the value 0"},
		"dropped": {"before certifying", func(t *testing.T, _ *tally, dir string) { remove(t, dir, layout.Pending) }, "1 more were signed"},
		"certified with another value": {"before certifying", func(t *testing.T, c *tally, dir string) {
			note, _, err := ParsePending(read(t, dir, layout.Pending))
			mustDo(t, err)
			text, _, _ := strings.Cut(string(note), "\n\n")
			if err := os.WriteFile(filepath.Join(dir, layout.AttestFile(2)), fmt.Appendf(nil, "%d\n%s\n", c.value+1, text), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "certifies the value"},
	} {
		t.Run(name, func(t *testing.T) {
			c, w, dir := interrupted(t, test.when)
			test.do(t, c, dir)
			w.refused(t, dir, test.why)
		})
	}
	t.Run("a torn certificate", func(t *testing.T) {
		c, w, dir := interrupted(t, "before certifying")
		if err := os.WriteFile(filepath.Join(dir, layout.AttestFile(2)), []byte("5"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.append(t, openRoot(t, dir), "1")
		w.counted(t, dir, c)
		if !bytes.Equal(read(t, dir, layout.AttestDir+"/.torn-2-1"), []byte("5")) {
			t.Error("the torn certificate was not set aside")
		}
	})
}

func TestCertificates(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, dir string){
		"lost":    func(t *testing.T, dir string) { remove(t, dir, layout.AttestFile(2)) },
		"altered": func(t *testing.T, dir string) { overwrite(t, dir, layout.AttestFile(2), []byte("5\n")) },
		"that of another": func(t *testing.T, dir string) {
			overwrite(t, dir, layout.AttestFile(2), read(t, dir, layout.AttestFile(1)))
		},
		"all of them, and the folder": func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, layout.AttestDir)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := countedWorld(newTally(3))
			dir, root := create(t, w)
			w.append(t, root, "1")
			do(t, dir)
			w.refused(t, dir, "no certificate of the counter")
		})
	}
}

func TestKeyAndCounterBelongTogether(t *testing.T) {
	c := newTally(3)
	w := countedWorld(c)
	dir, root := create(t, w)
	plain := sharedWorld()
	_, plainRoot := create(t, plain)
	other := newTally(4)
	for name, test := range map[string]struct {
		root *durable.Root
		w    *world
		key  sign.LogSigner
	}{
		"no counter":                      {root, w, w.log},
		"another counter":                 {root, w, WithCounter(w.log, other)},
		"a counter for a log without one": {plainRoot, plain, WithCounter(plain.log, c)},
	} {
		if logged, err := Append(context.Background(), test.root, test.key, nil, test.w.next("1")); err == nil || errors.Is(err, ErrUnsettled) || logged != nil {
			t.Errorf("%s: %v, %v", name, logged, err)
		}
	}
	// Somebody takes the counter on between reading and certifying.
	w.counter = &mortal{c, func(when string) error {
		if when == "before certifying" {
			c.value++
		}
		return nil
	}}
	if _, err := Append(context.Background(), root, w.key(), nil, w.next("1")); !errors.Is(err, ErrRefused) {
		t.Errorf("somebody else advances the counter: %v, want ErrRefused", err)
	}
	w.counter = c
	w.refused(t, dir, "more were signed")
	late := newTally(3)
	x := countedWorld(late)
	late.value++
	if err := Create(openRoot(t, memoryDir(t)), x.key(), x.genesis); err == nil {
		t.Error("a log began with a counter that had gone on")
	}
	// An event that leaves the certificate out is refused.
	y := countedWorld(newTally(3))
	_, yroot := create(t, y)
	_, err := Append(context.Background(), yroot, y.key(), nil, func(h Head) ([]Item, error) {
		h.Attestations = nil
		return y.next("1")(h)
	})
	if !errors.Is(err, ErrStatement) {
		t.Errorf("an event that names no attestation: %v, want ErrStatement", err)
	}
}
