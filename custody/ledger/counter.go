package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Counter is a counter in a TPM that each checkpoint of one log advances by one. Only ever advancing, it tells an old copy
// of the log from the newest before anything is signed. Package tpm has one.
type Counter interface {
	// Identity is what the genesis says of the counter.
	Identity() record.Counter
	// Value reads the counter.
	Value() (int64, error)
	// Increment advances it by one. An error may come after it was advanced; then the caller reads it.
	Increment() error
	// Certify returns a certificate of the counter's value for a checkpoint's text, in the form in which it is kept.
	Certify(text string) (certificate []byte, err error)
	// Check requires that a certificate is one of this counter for that text, and returns the value in it.
	Check(certificate []byte, text string) (int64, error)
}

// WithCounter is the log key of a log that has a counter.
func WithCounter(key sign.LogSigner, c Counter) sign.LogSigner { return countedKey{key, c} }

type countedKey struct {
	sign.LogSigner
	counter Counter
}

// takeCounter requires that the key brings the counter that the genesis names, if it names one.
func (w *writer) takeCounter() error {
	want := w.genesis.Counter
	key, ok := w.key.(countedKey)
	switch {
	case want == nil && !ok:
		return nil
	case want == nil:
		return fmt.Errorf("log %s has no counter, and the log key comes with one", w.genesis.Origin)
	case !ok:
		return fmt.Errorf("log %s has a counter in a TPM, and the log key comes without it", w.genesis.Origin)
	case !key.counter.Identity().Equal(*want):
		return fmt.Errorf("log %s has another counter than the log key comes with", w.genesis.Origin)
	}
	w.counter = key.counter
	return nil
}

// beginCounter prepares the folder of a log that begins, whose counter must have the value that its genesis names.
func (w *writer) beginCounter() error {
	if err := w.takeCounter(); err != nil || w.counter == nil {
		return err
	}
	live, err := w.counter.Value()
	if err != nil {
		return err
	}
	if w.value = w.genesis.Counter.First; live != w.value {
		return fmt.Errorf("the TPM's counter is %d, and the genesis names %d", live, w.value)
	}
	return w.root.MkdirAll(layout.AttestDir)
}

// checkLive requires, before anything is signed, that the counter has the value that was certified for the newest
// checkpoint. It has another one when the log goes on elsewhere, or the folder is an old copy.
func (w *writer) checkLive() error {
	if w.counter == nil {
		return nil
	}
	size := w.log.Size()
	file, value, err := w.certificate(Checkpoint{w.genesis.Origin, size, w.log.Root()})
	if err != nil {
		return err
	}
	if file == nil {
		return refuse("%q is missing or no certificate of the counter for the newest checkpoint", layout.AttestFile(size))
	}
	live, err := w.counter.Value()
	if err != nil {
		return err
	}
	if live != value {
		return refuse("the TPM's counter is %d, and was %d at the newest checkpoint here, of size %d: %s", live, value, size, w.whatHappened(live-value))
	}
	w.value, w.certified = value, file
	return nil
}

func (w *writer) whatHappened(ahead int64) string {
	if ahead > 0 {
		return fmt.Sprintf("%d more were signed that this copy of the log does not have", ahead)
	}
	return "the TPM was put back to an earlier state, or is another one"
}

// certificate reads the certificate of a checkpoint; nil when there is none that is right.
func (w *writer) certificate(c Checkpoint) (file []byte, value int64, err error) {
	name := layout.AttestFile(c.Size)
	b, err := w.dir.readFile(name, layout.MaxAttest)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, record.ErrMalformed) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	value, err = w.counter.Check(b, c.Text())
	if errors.Is(err, record.ErrNewer) {
		return nil, 0, fmt.Errorf("%q: %w", name, err)
	}
	if err != nil {
		return nil, 0, nil // torn, or of another checkpoint
	}
	return b, value, nil
}

// count brings the counter to the value that pending names for its checkpoint, and the certificate of it to the disk:
//
//	the counter is one less: advance it
//	it has the value: certify it, unless that was done
//
// Anything else is refused. It can be repeated after a crash at any point.
func (w *writer) count(c Checkpoint, want int64) error {
	if w.counter == nil {
		return nil
	}
	file, value, err := w.certificate(c)
	if err != nil {
		return err
	}
	if file != nil && value != want {
		return refuse("%q certifies the value %d, and %q names %d", layout.AttestFile(c.Size), value, layout.Pending, want)
	}
	live, err := w.counter.Value()
	if err != nil {
		return err
	}
	if live == want-1 && file == nil {
		if live, err = w.advance(want); err != nil {
			return err
		}
	}
	if live != want {
		return refuse("the TPM's counter is %d, and %q names %d for the checkpoint of size %d: %s", live, layout.Pending, want, c.Size, w.whatHappened(live-want))
	}
	if file == nil {
		if file, err = w.certify(c, want); err != nil {
			return err
		}
	}
	w.value, w.certified = want, file
	return nil
}

// countPending is count for a pending checkpoint that was found. If it was published already, certified with its value,
// only pending was left to be removed; the counter is then looked at as always.
func (w *writer) countPending(c Checkpoint, note []byte, want int64) error {
	if w.counter == nil {
		return nil
	}
	file, value, err := w.certificate(c)
	if err != nil {
		return err
	}
	published := file != nil && value == want
	for _, name := range []string{layout.Checkpoint, layout.CheckpointFile(c.Size)} {
		b, err := w.dir.readFile(name, layout.MaxCheckpoint)
		published = published && err == nil && bytes.Equal(b, note)
	}
	if published {
		return nil
	}
	return w.count(c, want)
}

// advance advances the counter once. When that fails the counter is read, never advanced again: the answer may have been
// lost after the TPM had done it.
func (w *writer) advance(want int64) (live int64, err error) {
	err = w.counter.Increment()
	if err == nil {
		return want, nil // which its certificate will have to say
	}
	live, rerr := w.counter.Value()
	if rerr != nil {
		return 0, errors.Join(err, rerr)
	}
	if live == want-1 {
		return 0, err
	}
	return live, nil
}

func (w *writer) certify(c Checkpoint, want int64) ([]byte, error) {
	b, err := w.counter.Certify(c.Text())
	if err != nil {
		return nil, err
	}
	value, err := w.counter.Check(b, c.Text())
	if err != nil {
		return nil, err
	}
	if value != want {
		return nil, refuse("the TPM certified the value %d of its counter instead of %d: somebody else advances it", value, want)
	}
	return b, w.writeFile(file{layout.AttestFile(c.Size), b})
}

// nextCounter is what the counter will stand at with the next checkpoint; 0 of a log without one.
func (w *writer) nextCounter() int64 {
	if w.counter == nil {
		return 0
	}
	return w.value + 1
}

// attestations are what the next events say came since the one before: the counter's certificate for the newest
// checkpoint, and quotes.
func (w *writer) attestations() []record.Digest {
	if w.counter == nil {
		return w.uncommitted.Quotes
	}
	return withDigest(slices.Clone(w.uncommitted.Quotes), record.SHA256Of(w.certified))
}

// placeAttestations requires that an event names the counter's certificate for the newest checkpoint, if there is a
// counter, and else only quotes that no other event named before it.
func (w *writer) placeAttestations(named []record.Digest) error {
	can := w.attestations()
	for _, d := range named {
		if !slices.Contains(can, d) {
			return fmt.Errorf("%w: it names another attestation than that of the newest checkpoint, or a quote that is not here: %s", ErrStatement, d)
		}
	}
	if w.counter != nil && !slices.Contains(named, record.SHA256Of(w.certified)) {
		return fmt.Errorf("%w: it does not name the attestation of the newest checkpoint", ErrStatement)
	}
	return nil
}
