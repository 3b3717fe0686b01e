package verify

import (
	"crypto/ed25519"
	"crypto/rand"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// changingCase is one whose first person may change its keys.
func changingCase(t testing.TB) *forge {
	f := newForge(t)
	f.genesis.Signers[0].Events = slices.Sorted(slices.Values(append(personEvents(), record.TypeKeysChanged)))
	var openings record.Openings
	f.genesis.OpenedBy = record.Unknown[record.Personal]("a test")
	f.genesis.Signers[0].Holder = record.Unknown[record.Personal]("a test")
	f.envelopes, f.entries, f.leaves, f.checkpoints = nil, nil, nil, map[int64][]byte{}
	delete(f.files, layout.LogDir(f.origin)+"/"+layout.PersonalFile(0))
	f.append(f.person, must(record.Encode(f.genesis)), openings)
	f.publish()
	f.seize(exhibitA)
	return f
}

const exhibitA = "7/a"

// change logs a change of keys, whatever spoil makes of it, and publishes it unless batch says that more comes with it.
func (f *forge) change(by sign.Signer, batch bool, spoil func(*record.KeysChanged)) {
	k := &record.KeysChanged{Admits: []record.Signer{}, Because: record.Unknown[record.Personal]("a test"), Log: f.header("x").Log, Time: testTime,
		Withdraws: []record.Withdrawal{}}
	spoil(k)
	leaf := f.append(by, must(record.Encode(k)), nil)
	f.changes = append(f.changes, record.KeysRef{Index: int64(len(f.leaves)) - 1, Leaf: leaf})
	if !batch {
		f.publish()
	}
}

// newcomer is a person's key that the case gets to know later; its certificate lies in keys/.
func (f *forge) newcomer() sign.Signer {
	key := newKey()
	s := must(sign.NewSoftwareSigner(key))
	f.files[layout.KeyFile(s.PublicKey().KeyID())] = certificateOf(key)
	return s
}

func admitting(s sign.Signer, kind string, events ...record.Type) func(*record.KeysChanged) {
	return func(k *record.KeysChanged) {
		k.Admits = []record.Signer{{Events: events, Holder: record.Unknown[record.Personal]("a test"), Kind: kind, PublicKey: s.PublicKey().Base64()}}
	}
}

func withdrawing(s sign.Signer) func(*record.KeysChanged) {
	return func(k *record.KeysChanged) {
		k.Withdraws = []record.Withdrawal{{PublicKey: s.PublicKey().Base64(), Reason: record.WithdrawnCompromised, Since: record.Known(testTime)}}
	}
}

// rekey gives the log another key; the next checkpoint has the lines of both.
func (f *forge) rekey() func(*record.KeysChanged) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	next := must(sign.NewSoftwareLogSigner(newKey(), must(ed, err)))
	keys := next.Keys()
	f.oldLog, f.log = f.log, next
	return func(k *record.KeysChanged) { k.LogKeys = keys[:] }
}

func (f *forge) noteBy(by sign.Signer) {
	e, o := f.newSeized("8")
	f.event(by, e, o)
	f.publish()
}

func acquireA(f *forge) { f.acquire(exhibitA, idA, pattern(700, 1), 0) }

var keyChanges = map[string]struct {
	exit int
	line int // that tells; 0: none
	want string
	make func(f *forge)
}{
	"a station that came later": {0, 0, "", func(f *forge) {
		f.station = f.newcomer()
		f.change(f.person, false, admitting(f.station, record.KindStation, record.TypeAcquired))
		acquireA(f)
	}},
	"another log key": {0, 0, "", func(f *forge) {
		f.change(f.person, false, f.rekey())
		acquireA(f)
	}},
	"a log key after another": {0, 0, "", func(f *forge) {
		f.change(f.person, false, f.rekey())
		f.change(f.person, false, f.rekey())
		acquireA(f)
	}},
	"a withdrawn key signs": {ExitMismatch, 2, "which entry 3 withdraws", func(f *forge) {
		acquireA(f)
		f.change(f.person, false, withdrawing(f.second))
		f.noteBy(f.second)
	}},
	"a key that comes later signs": {ExitMismatch, 2, "which the log does not admit", func(f *forge) {
		acquireA(f)
		late := f.newcomer()
		f.noteBy(late)
		f.change(f.person, false, admitting(late, record.KindPerson, record.TypeSeized))
	}},
	"changed by who may not": {ExitMismatch, 2, "not for \"keys-changed\"", func(f *forge) {
		acquireA(f)
		f.change(f.second, false, admitting(f.newcomer(), record.KindPerson, record.TypeSeized))
	}},
	"changed by itself": {ExitMismatch, 2, "which the log does not admit", func(f *forge) {
		acquireA(f)
		late := f.newcomer()
		f.change(late, false, admitting(late, record.KindPerson, record.TypeKeysChanged, record.TypeSeized))
	}},
	"an event passes over the change": {ExitMismatch, 3, "another change of keys than the newest", func(f *forge) {
		acquireA(f)
		f.change(f.person, false, withdrawing(f.second))
		f.changes = nil
		f.noteBy(f.person)
	}},
	"an event names another change": {ExitMismatch, 3, "another change of keys than the newest", func(f *forge) {
		acquireA(f)
		f.change(f.person, false, withdrawing(f.second))
		f.changes[0].Leaf[3] ^= 1
		f.noteBy(f.person)
	}},
	"a change passes over the one before": {ExitMismatch, 2, "does not name the change before it", func(f *forge) {
		acquireA(f)
		f.change(f.person, false, withdrawing(f.second))
		f.changes = nil
		f.change(f.person, false, admitting(f.newcomer(), record.KindPerson, record.TypeSeized))
	}},
	"not alone under its checkpoint": {ExitMismatch, 2, "is not the first entry after it", func(f *forge) {
		acquireA(f)
		e, o := f.newSeized("8")
		f.event(f.person, e, o)
		f.change(f.person, false, withdrawing(f.second))
	}},
	"others with it": {ExitMismatch, 3, "another change of keys than the newest", func(f *forge) {
		acquireA(f)
		f.change(f.person, true, withdrawing(f.second))
		f.changes = nil
		f.noteBy(f.person)
	}},
	"nobody is left to change them": {ExitMismatch, 2, "nobody would be left", func(f *forge) {
		acquireA(f)
		f.change(f.person, false, withdrawing(f.person))
	}},
	"the new log key alone": {ExitMismatch, 3, "checkpoint", func(f *forge) {
		acquireA(f)
		change := f.rekey()
		f.oldLog = nil
		f.change(f.person, false, change)
	}},
	"the old log key alone": {ExitMismatch, 3, "checkpoint", func(f *forge) {
		acquireA(f)
		old := f.log
		change := f.rekey()
		f.log, f.oldLog = old, nil
		f.change(f.person, false, change)
	}},
	"the old log key goes on": {ExitMismatch, 3, "checkpoint", func(f *forge) {
		acquireA(f)
		old := f.log
		f.change(f.person, false, f.rekey())
		f.log = old
		f.noteBy(f.person)
	}},
	"a log key comes from nowhere": {ExitMismatch, 3, "checkpoint", func(f *forge) {
		acquireA(f)
		f.rekey()
		f.oldLog = nil
		f.noteBy(f.person)
	}},
}

func TestKeysChanged(t *testing.T) {
	t.Parallel()
	for name, c := range keyChanges {
		t.Run(name, func(t *testing.T) {
			f := changingCase(t)
			c.make(f)
			m := f.build()
			r := check(t, m.fs(""), "", f.policy(), c.exit)
			if c.line > 0 && !strings.Contains(lineText(r, c.line), c.want) {
				t.Errorf("line %d does not say %q\n%s", c.line, c.want, show(r))
			}
			if c.exit != 0 {
				return
			}
			for _, s := range f.sealed {
				check(t, m.fs(path.Dir(s.dir)), path.Base(s.dir), f.policy(), 0)
			}
		})
	}
}

// Where the change itself cannot be read, a key that it may have admitted is not called a stranger's.
func TestKeysChangedMissing(t *testing.T) {
	t.Parallel()
	f := changingCase(t)
	f.acquire(exhibitA, idA, pattern(700, 1), 0)
	late := f.newcomer()
	f.change(f.person, false, admitting(late, record.KindPerson, record.TypeSeized))
	f.noteBy(late)
	m := f.build()
	delete(m, logFile(f, layout.StatementFile(3)))
	r := check(t, m.fs(""), "", f.policy(), ExitUnknown)
	if !strings.Contains(lineText(r, 2), "which is missing or cannot be read, may do so") {
		t.Errorf("line 2 does not say why\n%s", show(r))
	}
}

// lineText is everything that a line of the report says.
func lineText(r Report, n int) string {
	var b strings.Builder
	b.WriteString(r.Lines[n-1].Sentence)
	for _, f := range r.Lines[n-1].Findings {
		b.WriteString("\n" + f.String())
	}
	return b.String()
}
