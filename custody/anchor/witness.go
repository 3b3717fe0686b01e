package anchor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// The files of a witness's folder, each log's in a folder called like its origin.
const (
	witnessLock       = "lock"
	witnessGenesis    = "genesis.dsse.json"
	witnessCheckpoint = "checkpoint"
	forkPrefix        = "fork-" // and the first 16 hex digits of the SHA-256 of what follows
)

// maxForks bounds the evidence kept of one log; who can make more holds the log's keys.
const maxForks = 1000

// ErrUnknownLog says that a witness was not told of a log.
var ErrUnknownLog = errors.New("the witness does not know this log")

// A SizeError says at which size the witness knows the log, where a request said another.
type SizeError struct{ Size int64 }

func (e *SizeError) Error() string {
	return fmt.Sprintf("the witness has cosigned this log at size %d", e.Size)
}

// Witness cosigns the checkpoints of the logs it was told of, each only when it contains what it cosigned before. It
// remembers in a folder, and may be used by several goroutines and processes at once.
type Witness struct {
	root *durable.Root
	key  Cosigner
	now  func() time.Time
}

// NewWitness makes a witness that remembers in the folder root. An older copy of that folder in its place makes it forget
// what it saw since: that is for its keeper to prevent.
func NewWitness(root *durable.Root, key Cosigner, now func() time.Time) *Witness {
	return &Witness{root, key, now}
}

// Admit tells the witness of a log, by the envelope of its genesis. That it is the right one was found out by the caller.
func (w *Witness) Admit(ctx context.Context, genesis []byte) (origin string, err error) {
	g, _, err := ledger.ParseGenesis(genesis)
	if err != nil {
		return "", fmt.Errorf("witness: %w", err)
	}
	err = w.locked(ctx, func() error {
		if err := w.root.MkdirAll(g.Origin); err != nil {
			return err
		}
		return w.root.CreateIdempotent(g.Origin+"/"+witnessGenesis, genesis)
	})
	if err != nil {
		return "", fmt.Errorf("witness: %w", err)
	}
	return g.Origin, nil
}

// AdmitChange tells the witness of a change of keys, by the envelope of that entry of a log which it follows: from there on
// it takes the log's checkpoints by the keys that follow. Changes are told in their order. One that does not fit wraps
// record.ErrMalformed or what ledger.Keys.Change says.
func (w *Witness) AdmitChange(ctx context.Context, envelope []byte) error {
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	c, ok := p.(*record.KeysChanged)
	if !ok {
		return fmt.Errorf("witness: %w: a statement of type %q changes no keys", record.ErrMalformed, p.Type())
	}
	err = w.locked(ctx, func() error {
		keys, err := w.logKeys(c.Log.Origin)
		if err != nil {
			return err
		}
		name := c.Log.Origin + "/" + layout.ChangeFile(c.Log.Size)
		known := slices.ContainsFunc(keys.Changes(), func(r record.KeysRef) bool { return r.Index == c.Log.Size })
		if !known {
			if _, _, err := keys.Change(c.Log.Size, envelope); err != nil {
				return err
			}
		}
		return w.root.CreateIdempotent(name, envelope)
	})
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	return nil
}

// Add answers an add-checkpoint request. The error is ErrUnknownLog; sign.ErrSignature, where a line of the log's does not
// hold; *SizeError, where the request is about another size than the witness knows; ErrFork, and then what contradicts is
// kept; or wraps record.ErrMalformed.
func (w *Witness) Add(ctx context.Context, request []byte) (Cosigned, error) {
	r, err := ParseAddCheckpoint(request)
	if err != nil {
		return Cosigned{}, fmt.Errorf("witness: %w", err)
	}
	origin, _, _ := strings.Cut(string(r.Checkpoint), "\n")
	if !record.ValidOrigin(origin) {
		return Cosigned{}, fmt.Errorf("witness: %w", ErrUnknownLog)
	}
	var next ledger.Checkpoint
	err = w.locked(ctx, func() error {
		var err error
		next, err = w.accept(origin, r)
		if errors.Is(err, ErrFork) {
			err = errors.Join(err, w.keepFork(origin, request))
		}
		return err
	})
	if err != nil {
		return Cosigned{}, fmt.Errorf("witness: %w", err)
	}
	return w.key.Sign(next, w.now())
}

// accept checks a request and, when it is sound, remembers its checkpoint. The lock is held.
func (w *Witness) accept(origin string, r AddCheckpoint) (ledger.Checkpoint, error) {
	keys, err := w.logKeys(origin)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	next, err := keys.OpenCheckpoint(r.Checkpoint)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	if r.Old > next.Size || r.Old == 0 && len(r.Proof) > 0 {
		return ledger.Checkpoint{}, fmt.Errorf("%w: old size %d of a checkpoint of size %d", record.ErrMalformed, r.Old, next.Size)
	}
	seen, err := w.seen(origin, keys)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	if seen.Size == next.Size && seen.Root != next.Root {
		return ledger.Checkpoint{}, fmt.Errorf("%w: %d", ErrSameSize, next.Size)
	}
	if r.Old != seen.Size {
		return ledger.Checkpoint{}, &SizeError{seen.Size}
	}
	if r.Old > 0 {
		if err := tlog.CheckTree(r.Proof, next.Size, next.Root, r.Old, seen.Root); err != nil {
			return ledger.Checkpoint{}, fmt.Errorf("%w: the proof does not lead from size %d to %d", ErrFork, r.Old, next.Size)
		}
	}
	return next, w.root.Replace(origin+"/"+witnessCheckpoint, r.Checkpoint)
}

// logKeys are the keys of a log, as far as the witness was told.
func (w *Witness) logKeys(origin string) (*ledger.Keys, error) {
	b, err := w.root.ReadFile(origin+"/"+witnessGenesis, layout.MaxEnvelope)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrUnknownLog
	}
	if err != nil {
		return nil, err
	}
	g, _, err := ledger.ParseGenesis(b)
	if err != nil {
		return nil, err
	}
	if g.Origin != origin {
		return nil, fmt.Errorf("%w: the genesis kept for %s is of %s", record.ErrMalformed, origin, g.Origin)
	}
	keys, err := ledger.GenesisKeys(g)
	if err != nil {
		return nil, err
	}
	changes, err := w.changes(origin)
	if err != nil {
		return nil, err
	}
	for _, i := range changes {
		b, err := w.root.ReadFile(origin+"/"+layout.ChangeFile(i), layout.MaxEnvelope)
		if err != nil {
			return nil, err
		}
		if _, _, err := keys.Change(i, b); err != nil {
			return nil, fmt.Errorf("what the witness keeps of %s: %w", origin, err)
		}
	}
	return keys, nil
}

// changes are the entries of a log of which the witness was told that they change its keys, in their order.
func (w *Witness) changes(origin string) ([]int64, error) {
	names, err := fs.ReadDir(w.root.FS(), origin)
	if err != nil {
		return nil, err
	}
	var changes []int64
	for _, e := range names {
		if i, ok := layout.ParseChange(e.Name()); ok {
			changes = append(changes, i)
		}
	}
	slices.Sort(changes)
	return changes, nil
}

// seen returns the newest checkpoint that was cosigned; of size 0 when none was.
func (w *Witness) seen(origin string, keys *ledger.Keys) (ledger.Checkpoint, error) {
	b, err := w.root.ReadFile(origin+"/"+witnessCheckpoint, layout.MaxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return ledger.Checkpoint{}, nil
	}
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	c, err := keys.OpenCheckpoint(b)
	if err != nil {
		return ledger.Checkpoint{}, fmt.Errorf("what the witness remembers of %s: %w", origin, err)
	}
	return c, nil
}

// keepFork keeps what contradicts: the checkpoint that was cosigned, and the request, after an empty line each.
func (w *Witness) keepFork(origin string, request []byte) error {
	names, err := fs.ReadDir(w.root.FS(), origin)
	if err != nil || len(names) > maxForks {
		return err
	}
	cosigned, err := w.root.ReadFile(origin+"/"+witnessCheckpoint, layout.MaxCheckpoint)
	if err != nil {
		return err
	}
	b := slices.Concat(cosigned, []byte("\n"), request)
	sum := sha256.Sum256(b)
	return w.root.CreateIdempotent(origin+"/"+forkPrefix+hex.EncodeToString(sum[:8]), b)
}

func (w *Witness) locked(ctx context.Context, do func() error) error {
	lock, err := w.root.Lock(ctx, witnessLock)
	if err != nil {
		return err
	}
	return errors.Join(do(), lock.Unlock())
}
