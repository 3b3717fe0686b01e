package verify

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// counterCheck follows the counter in a TPM that the checkpoints of a log advance.
type counterCheck struct {
	key    attest.Key
	handle uint32

	value    int64 // of the newest checkpoint that was certified
	lost     int64 // checkpoints since then that are not here and that an event names, or that have no certificate
	lastLost int64 // size of the newest of those that are not here
	clock    attest.Clock
	verified int64 // certificates
}

// certificate is what attest/<size> says, without its neighbours.
type certificate struct {
	err    error // fs.ErrNotExist: there is none
	digest record.Digest
	value  int64
	clock  attest.Clock
}

// readCounter takes what the genesis says of the counter; nil when it names none.
func (l *logCheck) readCounter() {
	id := l.gen.opened.Counter
	if id == nil {
		return
	}
	fail := func(err error) {
		l.append.add(fromError(l.path(layout.StatementFile(0)), content(fmt.Errorf("the counter that the genesis names: %w", err))))
	}
	var parent attest.Name
	if err := parent.UnmarshalText([]byte(id.Parent)); err != nil {
		fail(err)
		return
	}
	key, err := attest.NewKey(id.AttestationKey, parent)
	if err != nil {
		fail(err)
		return
	}
	name, err := attest.CounterName(uint32(id.Handle))
	if err == nil && name.String() != id.Name {
		err = fmt.Errorf("its Name is %s, and not that of a counter with this handle, %s", id.Name, name)
	}
	if err != nil {
		fail(err)
		return
	}
	l.counter = &counterCheck{key: key, handle: uint32(id.Handle), value: id.First}
}

// loadCertificate reads and checks the counter's certificate for a checkpoint.
func (l *logCheck) loadCertificate(cp ledger.Checkpoint) (c certificate) {
	b, err := l.c.fsys.readFile(l.path(layout.AttestFile(cp.Size)), layout.MaxAttest)
	if err != nil {
		c.err = err
		return c
	}
	c.digest = record.SHA256Of(b)
	a, err := attest.ParseCounter(b)
	if err != nil {
		c.err = content(err)
		return c
	}
	value, clock, err := l.counter.key.CheckCounter(a, l.counter.handle, cp.Text())
	if err == nil && value > record.MaxInteger {
		err = fmt.Errorf("the counter is %d", value)
	}
	if err != nil {
		c.err = content(err)
		return c
	}
	c.value, c.clock = int64(value), clock
	return c
}

// count takes the next checkpoint's certificate: the counter went up by one, and the TPM's clock did not go back.
func (l *logCheck) count(size int64, c certificate) {
	if l.counter == nil {
		return
	}
	name, k := l.path(layout.AttestFile(size)), l.counter
	if c.err != nil {
		f := fromError(name, c.err)
		if errors.Is(c.err, fs.ErrNotExist) {
			f.Text = fmt.Sprintf("the certificate of the counter for the checkpoint of size %d is missing", size)
		}
		l.append.add(f)
		k.lost++
		return
	}
	if want := k.value + k.lost + 1; c.value != want {
		f := mismatch(name, "counter", fmt.Sprint(want), fmt.Sprint(c.value), counterWords(c.value-want))
		f.Advice = adviceLog
		l.append.add(f)
	}
	if k.verified > 0 {
		if err := attest.Follow(k.clock, c.clock); err != nil {
			f := fromError(name, content(err))
			f.Advice = adviceLog
			l.append.add(f)
		}
	}
	k.value, k.lost, k.clock = c.value, 0, c.clock
	k.verified++
	l.quotes.clockAt(size, c.clock)
}

// missed takes a checkpoint that an event names and that is not here.
func (l *logCheck) missed(size int64) {
	if l.counter != nil && l.counter.lastLost < size {
		l.counter.lost++
		l.counter.lastLost = size
	}
}

func counterWords(ahead int64) string {
	if ahead > 0 {
		return fmt.Sprintf("the counter shows that %d more checkpoints were signed than are here: the log was cut back and continued, or written to in two copies", ahead)
	}
	return "the counter went back or stood still: the TPM was put back to an earlier state, or the certificate is another's"
}

// strangeAttestations looks for files in attest/, certificates and quotes, that belong to no checkpoint and no record.
func (l *logCheck) strangeAttestations() error {
	dir := l.path(layout.AttestDir)
	err := l.c.fsys.eachEntry(l.c.ctx, dir, func(e fs.DirEntry) {
		size, err := strconv.ParseInt(e.Name(), 10, 64)
		name := within(dir, e.Name())
		leaf, _, start := layout.ParseStart(e.Name())
		switch {
		case !e.Type().IsRegular():
			l.append.add(fromError(name, fmt.Errorf("%q is %s: %w", e.Name(), kindOf(e.Type()), errNotPlain)))
		case start && leaf >= l.size:
			l.beyond++
		case start && l.acquiredAt(leaf):
			// What it says is checked with the record.
		case l.counter == nil, err != nil, size < 1, strconv.FormatInt(size, 10) != e.Name():
			l.c.uncovered(name)
		case size > l.size:
			l.beyond++
		case !l.c.fsys.exists(l.path(layout.CheckpointFile(size))):
			l.c.uncovered(name)
		}
	})
	if l.c.ctx.Err() != nil {
		return l.c.ctx.Err()
	}
	if err != nil && !isMissing(err) {
		l.append.add(fromError(dir, err))
	}
	return nil
}
