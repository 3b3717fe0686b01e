package record

import (
	"fmt"
	"slices"
)

// TypeKeysChanged is the statement by which the keys of a running log change.
const TypeKeysChanged Type = "keys-changed"

// KeysChanged says whom a log admits from its own place in the log on, and by which keys its checkpoints are signed. It is no event of
// an exhibit. The genesis, or an earlier KeysChanged, admits the person who signs it for TypeKeysChanged. What was signed
// before it stays as good as it was.
type KeysChanged struct {
	Admits    []Signer       `json:"admits"`           // further keys; of one that is admitted already, what it may sign from here on
	Because   Fact[Personal] `json:"because"`          // in a person's words
	Log       LogState       `json:"log"`              // this log as it stood before
	LogKeys   []LogKey       `json:"logKeys,omitzero"` // the new pair; absent: the log key stays
	Time      Time           `json:"time"`
	Withdraws []Withdrawal   `json:"withdraws"` // keys that sign nothing from here on; sorted by PublicKey
}

// Withdrawal is a key that is no longer admitted.
type Withdrawal struct {
	PublicKey string `json:"publicKey"` // as in Signer
	Reason    string `json:"reason"`    // one of WithdrawalReasons
	// Since is when the key was lost or came into other hands. It is what the signer says: only a verifier's own trust file
	// makes doubtful what the key signed before this statement.
	Since     Fact[Time] `json:"since"`
	Successor string     `json:"successor,omitzero"` // the admitted key by which the same holder goes on; absent: nobody does
}

// Why a key is withdrawn.
const (
	WithdrawnReplaced    = "replaced"    // the same holder has another key now
	WithdrawnLeft        = "left"        // its holder has no part in the case any more
	WithdrawnLost        = "lost"        // nobody has it
	WithdrawnCompromised = "compromised" // others have it, or may have
)

// WithdrawalReasons lists them.
var WithdrawalReasons = []string{WithdrawnReplaced, WithdrawnLeft, WithdrawnLost, WithdrawnCompromised}

// KeysRef names the newest KeysChanged that came before a statement, by its place and its leaf hash.
type KeysRef struct {
	Index int64    `json:"index"`
	Leaf  LeafHash `json:"leaf"`
}

// Type implements Predicate.
func (k *KeysChanged) Type() Type { return TypeKeysChanged }

func (k *KeysChanged) subjects() []subject { return nil }

// Validate implements Predicate. Whether the changes fit the keys that are in force is for whoever has the log.
func (k *KeysChanged) Validate() error {
	if err := k.Log.validate(); err != nil {
		return err
	}
	if len(k.Admits) == 0 && len(k.Withdraws) == 0 && k.LogKeys == nil {
		return fmt.Errorf("%w: it changes nothing", ErrMalformed)
	}
	if k.LogKeys != nil {
		if err := checkLogKeys(k.LogKeys); err != nil {
			return err
		}
	}
	if len(k.Admits) > MaxSigners || len(k.Withdraws) > MaxSigners {
		return fmt.Errorf("%w: %d keys are admitted and %d withdrawn", ErrMalformed, len(k.Admits), len(k.Withdraws))
	}
	seen := seenKeys{}
	if err := seen.addAll(k.LogKeys, k.Admits); err != nil {
		return err
	}
	for i := range k.Withdraws {
		w := &k.Withdraws[i]
		if err := seen.add(fmt.Sprintf("withdraws[%d]", i), w.PublicKey); err != nil {
			return err
		}
		if i > 0 && k.Withdraws[i-1].PublicKey >= w.PublicKey {
			return fmt.Errorf("%w: withdraws[%d] is out of order", ErrMalformed, i)
		}
		if err := w.validate(); err != nil {
			return fmt.Errorf("withdraws[%d]: %w", i, err)
		}
	}
	return k.Time.Validate()
}

func (w *Withdrawal) validate() error {
	if !slices.Contains(WithdrawalReasons, w.Reason) {
		return fmt.Errorf("%w: reason %.40q", ErrMalformed, w.Reason)
	}
	if (w.Reason == WithdrawnReplaced) && w.Successor == "" || w.Reason == WithdrawnLeft && w.Successor != "" {
		return fmt.Errorf("%w: withdrawn as %q with a successor: %t", ErrMalformed, w.Reason, w.Successor != "")
	}
	if w.Successor != "" {
		if err := (seenKeys{w.PublicKey: true}).add("successor", w.Successor); err != nil {
			return err
		}
	}
	f := &factCheck{}
	checkFact(f, "since", w.Since, func(f *factCheck, t Time) {
		if err := t.Validate(); err != nil {
			f.err = err
		}
	})
	return f.err
}

func (r *KeysRef) validate(size int64) error {
	if r.Index < 1 || r.Index >= size {
		return fmt.Errorf("%w: the keys of entry %d under a checkpoint of size %d", ErrMalformed, r.Index, size)
	}
	return nil
}
