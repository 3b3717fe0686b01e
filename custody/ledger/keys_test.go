package ledger

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
)

// changer is a world whose person may change keys.
func changer() *world {
	w := newWorld()
	w.opened.Signers[0].Events = []record.Type{record.TypeAcquired, record.TypeKeysChanged, record.TypeSeized}
	w.reseal()
	return w
}

func signerOf(key sign.Signer, kind string, events ...record.Type) record.Signer {
	return record.Signer{Events: events, Holder: record.Unknown[record.Personal]("test"), Kind: kind, PublicKey: key.PublicKey().Base64()}
}

func withdrawal(key, successor sign.Signer) record.Withdrawal {
	w := record.Withdrawal{PublicKey: key.PublicKey().Base64(), Reason: record.WithdrawnLost, Since: record.Known(testTime())}
	if successor != nil {
		w.Successor = successor.PublicKey().Base64()
	}
	return w
}

// changeOf makes a change of keys that by signs, for a log as h describes it.
func changeOf(h Head, by sign.Signer, spoil func(*record.KeysChanged)) Item {
	k := &record.KeysChanged{Admits: []record.Signer{}, Because: record.Unknown[record.Personal]("test"), Time: testTime(), Withdraws: []record.Withdrawal{},
		Log: record.LogState{Anchors: h.Anchors, Attestations: h.Attestations, Checkpoint: h.Checkpoint, Keys: h.Keys.Before(h.Size), Origin: h.Origin, Size: h.Size}}
	spoil(k)
	return Item{Envelope: must(sign.Seal(by, must(record.Encode(k))))}
}

func changeIn(t *testing.T, w *world, root *durable.Root, key sign.LogSigner, item func(Head) Item) ([]Logged, error) {
	t.Helper()
	return Append(context.Background(), root, key, nil, func(h Head) ([]Item, error) { return []Item{item(h)}, nil })
}

func TestKeysChange(t *testing.T) {
	t.Parallel()
	w := changer()
	dir, root := create(t, w)
	w.append(t, root, "1", "2")
	second, third := newSigner(), newSigner()
	if _, err := changeIn(t, w, root, w.log, func(h Head) Item {
		return changeOf(h, w.person, func(k *record.KeysChanged) {
			k.Admits = []record.Signer{signerOf(second, record.KindPerson, record.TypeKeysChanged, record.TypeSeized)}
		})
	}); err != nil {
		t.Fatal(err)
	}
	first := w.person
	w.person = second
	w.append(t, root, "1")
	if _, err := changeIn(t, w, root, w.log, func(h Head) Item {
		return changeOf(h, first, func(k *record.KeysChanged) {
			k.Admits = []record.Signer{signerOf(third, record.KindPerson, record.TypeSeized)}
			k.Withdraws = []record.Withdrawal{withdrawal(first, third)}
		})
	}); err != nil {
		t.Fatal(err)
	}
	w.person = first
	if _, err := Append(context.Background(), root, w.log, nil, w.next("1")); !errors.Is(err, ErrStatement) {
		t.Errorf("an event by a withdrawn key: %v, want ErrStatement", err)
	}
	w.person = third
	w.append(t, root, "2")

	keys := w.open(t, dir).Keys()
	for _, c := range []struct {
		key  sign.Signer
		i    int64
		want bool
	}{
		{first, 0, true}, {first, 5, true}, {first, 6, false}, {first, Next, false},
		{second, 3, false}, {second, 4, true}, {second, Next, true},
		{third, 5, false}, {third, 6, true}, {w.station, Next, false},
	} {
		if got := keys.MaySign(c.key.PublicKey().KeyID(), record.TypeSeized, c.i); got != c.want {
			t.Errorf("key %.8s at entry %d: %t, want %t", c.key.PublicKey().KeyID(), c.i, got, c.want)
		}
	}
	id := func(s sign.Signer) string { return s.PublicKey().KeyID() }
	if keys.Person(id(third)) != id(first) || keys.Person(id(second)) != id(second) {
		t.Error("the third key does not count as the first one's holder's, or the second does")
	}
	if got := keys.Changes(); len(got) != 2 || got[0].Index != 3 || got[1].Index != 5 {
		t.Errorf("changes %+v, want those of entries 3 and 5", got)
	}
	if got := len(keys.Signers(Next)); got != 3 { // station, second, third
		t.Errorf("%d signers, want 3", got)
	}
}

type refusedChange struct {
	want error
	item func(Head) Item
}

func admitting(s sign.Signer, kind string, events ...record.Type) func(*record.KeysChanged) {
	return func(k *record.KeysChanged) { k.Admits = []record.Signer{signerOf(s, kind, events...)} }
}

func withdrawing(w record.Withdrawal) func(*record.KeysChanged) {
	return func(k *record.KeysChanged) { k.Withdraws = []record.Withdrawal{w} }
}

// refusedChanges do not fit a log that has withdrawn gone, and does not know other.
func refusedChanges(w *world, gone, other sign.Signer) map[string]refusedChange {
	admit, withdraw := admitting, withdrawing
	return map[string]refusedChange{
		"by a station": {ErrStatement, func(h Head) Item { return changeOf(h, w.station, admit(other, record.KindPerson, record.TypeSeized)) }},
		"by a stranger": {ErrStatement, func(h Head) Item {
			return changeOf(h, w.stranger, admit(w.stranger, record.KindPerson, record.TypeSeized))
		}},
		"by a withdrawn key": {ErrStatement, func(h Head) Item { return changeOf(h, gone, admit(other, record.KindPerson, record.TypeSeized)) }},
		"an older size": {ErrStatement, func(h Head) Item {
			h.Size--
			return changeOf(h, w.person, admit(other, record.KindPerson, record.TypeSeized))
		}},
		"without the one before": {ErrStatement, func(h Head) Item {
			return changeOf(h, w.person, func(k *record.KeysChanged) { admit(other, record.KindPerson, record.TypeSeized)(k); k.Log.Keys = nil })
		}},
		"another one before": {ErrStatement, func(h Head) Item {
			return changeOf(h, w.person, func(k *record.KeysChanged) {
				admit(other, record.KindPerson, record.TypeSeized)(k)
				k.Log.Keys.Leaf[0] ^= 1
			})
		}},
		"a withdrawn key again": {ErrKeys, func(h Head) Item { return changeOf(h, w.person, admit(gone, record.KindPerson, record.TypeSeized)) }},
		"of another kind": {ErrKeys, func(h Head) Item {
			return changeOf(h, w.person, admit(w.station, record.KindPerson, record.TypeSeized))
		}},
		"withdrawn twice":             {ErrKeys, func(h Head) Item { return changeOf(h, w.person, withdraw(withdrawal(gone, nil))) }},
		"withdrawn and unknown":       {ErrKeys, func(h Head) Item { return changeOf(h, w.person, withdraw(withdrawal(w.stranger, nil))) }},
		"an unknown successor":        {ErrKeys, func(h Head) Item { return changeOf(h, w.person, withdraw(withdrawal(w.station, w.stranger))) }},
		"a successor of another kind": {ErrKeys, func(h Head) Item { return changeOf(h, w.person, withdraw(withdrawal(w.station, w.person))) }},
		"nobody is left":              {ErrKeys, func(h Head) Item { return changeOf(h, w.person, withdraw(withdrawal(w.person, nil))) }},
		"right is given away":         {ErrKeys, func(h Head) Item { return changeOf(h, w.person, admit(w.person, record.KindPerson, record.TypeSeized)) }},
	}
}

// refusedLogKeys are changes with keys of checkpoints.
func refusedLogKeys(w *world, other sign.Signer) map[string]refusedChange {
	logKeys := w.log.Keys()
	next := newNotary()
	nextKeys := next.Keys()
	admit := admitting
	with := func(key sign.LogSigner, i Item) Item { i.LogKey = key; return i }
	return map[string]refusedChange{
		"a log key": {ErrKeys, func(h Head) Item {
			return changeOf(h, w.person, func(k *record.KeysChanged) {
				admit(other, record.KindPerson, record.TypeSeized)(k)
				k.Admits[0].PublicKey = logKeys[0].PublicKey
			})
		}},
		"the same log key": {ErrKeys, func(h Head) Item {
			return with(w.log, changeOf(h, w.person, func(k *record.KeysChanged) { k.LogKeys = logKeys[:] }))
		}},
		"a log key that is not here": {ErrStatement, func(h Head) Item {
			return changeOf(h, w.person, func(k *record.KeysChanged) { k.LogKeys = nextKeys[:] })
		}},
		"another log key than here": {ErrStatement, func(h Head) Item {
			return with(newNotary(), changeOf(h, w.person, func(k *record.KeysChanged) { k.LogKeys = nextKeys[:] }))
		}},
		"a signer as log key": {ErrKeys, func(h Head) Item {
			return with(next, changeOf(h, w.person, func(k *record.KeysChanged) {
				k.LogKeys = slices.Clone(nextKeys[:])
				k.LogKeys[0].PublicKey = w.station.PublicKey().Base64()
			}))
		}},
	}
}

func TestKeysChangeRefused(t *testing.T) {
	t.Parallel()
	w := changer()
	dir, root := create(t, w)
	w.append(t, root, "1")
	gone, other := newSigner(), newSigner()
	must(changeIn(t, w, root, w.log, func(h Head) Item {
		return changeOf(h, w.person, func(k *record.KeysChanged) {
			k.Admits = []record.Signer{signerOf(gone, record.KindPerson, record.TypeSeized)}
		})
	}))
	must(changeIn(t, w, root, w.log, func(h Head) Item {
		return changeOf(h, w.person, func(k *record.KeysChanged) { k.Withdraws = []record.Withdrawal{withdrawal(gone, nil)} })
	}))
	before := w.open(t, dir).Size()
	all := refusedChanges(w, gone, other)
	maps.Copy(all, refusedLogKeys(w, other))
	for name, c := range all {
		if _, err := changeIn(t, w, root, w.log, c.item); !errors.Is(err, c.want) || errors.Is(err, ErrUnsettled) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	_, err := Append(context.Background(), root, w.log, nil, func(h Head) ([]Item, error) {
		return []Item{w.seized(h, "9", 1, nil), changeOf(h, w.person, admitting(other, record.KindPerson, record.TypeSeized))}, nil
	})
	if !errors.Is(err, ErrKeys) {
		t.Errorf("after another statement: %v, want ErrKeys", err)
	}
	_, err = Append(context.Background(), root, w.log, nil, func(h Head) ([]Item, error) {
		return []Item{changeOf(h, w.person, admitting(other, record.KindPerson, record.TypeSeized)), w.seized(h, "9", 1, nil)}, nil
	})
	if !errors.Is(err, ErrStatement) {
		t.Errorf("before another statement: %v, want ErrStatement", err)
	}
	if got := w.open(t, dir).Size(); got != before {
		t.Errorf("the log grew from %d to %d", before, got)
	}
}

// A log with a counter keeps its log key: the counter belongs to it.
func TestKeysOfACounterStay(t *testing.T) {
	t.Parallel()
	w := changer()
	w.counter = newTally(41)
	id := w.counter.Identity()
	w.opened.Counter = &id
	w.reseal()
	_, root := create(t, w)
	next := newNotary()
	nextKeys := next.Keys()
	_, err := changeIn(t, w, root, w.key(), func(h Head) Item {
		i := changeOf(h, w.person, func(k *record.KeysChanged) { k.LogKeys = nextKeys[:] })
		i.LogKey = next
		return i
	})
	if !errors.Is(err, ErrKeys) {
		t.Errorf("another log key: %v, want ErrKeys", err)
	}
}

// Nobody becomes the successor of a key of another writer's log by saying so in their own.
func TestPersonsOfSeveralLogs(t *testing.T) {
	t.Parallel()
	home, strange, later := changer(), changer(), changer()
	later.opened.Continues = &record.Continuation{Origin: home.opened.Origin}
	a, thief, next := home.person, newSigner(), newSigner()
	id := func(s sign.Signer) string { return s.PublicKey().KeyID() }
	succeed := func(w *world, old, successor sign.Signer) *Keys {
		t.Helper()
		k := must(GenesisKeys(w.opened))
		events := []record.Type{record.TypeKeysChanged, record.TypeSeized}
		c := &record.KeysChanged{Admits: []record.Signer{signerOf(old, record.KindPerson, events...)}, Log: record.LogState{Origin: w.opened.Origin, Size: 1}}
		if err := k.apply(1, c, record.LeafHash{1}); err != nil {
			t.Fatal(err)
		}
		c = &record.KeysChanged{Admits: []record.Signer{signerOf(successor, record.KindPerson, events...)}, Withdraws: []record.Withdrawal{withdrawal(old, successor)},
			Log: record.LogState{Origin: w.opened.Origin, Size: 2, Keys: k.Before(2)}}
		if err := k.apply(2, c, record.LeafHash{2}); err != nil {
			t.Fatal(err)
		}
		return k
	}
	own := must(GenesisKeys(home.opened))
	if got := Persons([]*Keys{own, succeed(strange, a, thief)})(id(thief)); got != id(thief) {
		t.Error("the key of another log passes for that of the home log's person")
	}
	if got := Persons([]*Keys{own, succeed(later, a, next)})(id(next)); got != id(a) {
		t.Error("in the log that continues it, the successor does not count as the person")
	}
}

// rotation is the append that brings next as the log key.
func rotation(w *world, next *notary) func(Head) ([]Item, error) {
	keys := next.Keys()
	return func(h Head) ([]Item, error) {
		i := changeOf(h, w.person, func(k *record.KeysChanged) { k.LogKeys = keys[:] })
		i.LogKey = next
		return []Item{i}, nil
	}
}

func TestLogKeyChanges(t *testing.T) {
	t.Parallel()
	w := changer()
	old, next := w.log, newNotary()
	dir, root := create(t, w)
	w.append(t, root, "1", "2")
	if _, err := Append(context.Background(), root, old, nil, rotation(w, next)); err != nil {
		t.Fatal(err)
	}
	if _, err := Append(context.Background(), root, old, nil, w.next("1")); err == nil {
		t.Error("the old log key still appends")
	}
	w.log = next
	w.append(t, root, "1")
	l := w.open(t, dir)
	for size, want := range map[int64]int{3: 2, 4: 4, 5: 2} {
		at, err := l.At(size)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(l.Keys().LogKeys(size)); got != want {
			t.Errorf("%d lines at size %d, want %d", got, size, want)
		}
		// Every line in force is required, and no other key's will do.
		for n := range want {
			keys := l.Keys().LogKeys(size)
			keys = slices.Delete(keys, n-n%2, n-n%2+2)
			if _, err := OpenCheckpoint(at.Checkpoint(), w.opened.Origin, keys); err == nil {
				t.Errorf("the checkpoint of size %d is read without the key of line %d", size, n+1)
			}
		}
	}
	w.sound(t, dir, 5)
}

// Killed at any call, a change of the log key has happened or it has not, and the log goes on with the key that it then has.
func TestKillsOfALogKeyChange(t *testing.T) {
	t.Parallel()
	w := changer()
	old, next := w.log, newNotary()
	start, root := create(t, w)
	w.append(t, root, "1", "2")
	for at := 0; ; at++ {
		dir := memoryDir(t)
		if err := os.CopyFS(dir, os.DirFS(start)); err != nil {
			t.Fatal(err)
		}
		calls := 0
		faulty, err := durable.OpenRootFaults(dir, func(durable.Op, string) error {
			if calls++; calls > at {
				return faulttest.ErrKilled
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		_, failed := Append(context.Background(), faulty, old, nil, rotation(w, next))
		faulty.Close()
		if failed != nil && !errors.Is(failed, faulttest.ErrKilled) {
			t.Fatalf("killed at call %d: %v", at+1, failed)
		}
		again := openRoot(t, dir)
		_, err = Append(context.Background(), again, old, nil, w.next("1"))
		if err != nil { // the change was completed, so the old key is no more
			_, err = Append(context.Background(), again, next, nil, w.next("1"))
		}
		if err != nil {
			t.Fatalf("after a kill at call %d: %v", at+1, err)
		}
		w.sound(t, dir, 4)
		if failed == nil {
			if calls < 20 {
				t.Fatalf("the append made only %d calls", calls)
			}
			return
		}
	}
}

// Whoever takes the last statement away, or puts an older one in its place, does not bring a withdrawn key back.
func TestKeysOfAChangedFolder(t *testing.T) {
	t.Parallel()
	w := changer()
	dir, root := create(t, w)
	w.append(t, root, "1", "2")
	second := newSigner()
	must(changeIn(t, w, root, w.log, func(h Head) Item {
		return changeOf(h, w.person, func(k *record.KeysChanged) {
			k.Admits = []record.Signer{signerOf(second, record.KindPerson, record.TypeSeized)}
		})
	}))
	must(changeIn(t, w, root, w.log, func(h Head) Item {
		return changeOf(h, w.person, func(k *record.KeysChanged) { k.Withdraws = []record.Withdrawal{withdrawal(second, nil)} })
	}))
	w.append(t, root, "1")
	files := os.DirFS(dir)
	for _, from := range []string{"2", "3"} {
		again := copyDir(t, dir)
		b := must(os.ReadFile(dir + "/statement/000000/" + from + ".dsse.json"))
		name := again + "/statement/000000/5.dsse.json"
		if err := errors.Join(os.Remove(name), os.WriteFile(name, b, 0o600)); err != nil {
			t.Fatal(err)
		}
		first := w.person
		w.person = second
		_, err := Append(context.Background(), openRoot(t, again), w.log, nil, w.next("2"))
		w.person = first
		if err == nil {
			t.Errorf("with entry %s in place of the last one, the withdrawn key signs", from)
		}
	}
	if _, err := Open(files, w.opened.Origin, w.opened.LogKeys); err != nil {
		t.Fatal(err)
	}
}
