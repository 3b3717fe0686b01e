// Package tpm talks to the TPM of a station: keys that cannot leave it, what it certifies of them, the counter that the
// checkpoints of a log advance, quotes of how the machine was started, and enrolment with an agency's authority.
//
// Start with [Open]. [TPM.NewStation] makes a station's attestation key, [TPM.Attach] takes it into use again; then
// [Station.NewKey], [Station.Signer], [Station.DefineCounter] and [Station.Counter]. [TPM.Facts] says what a TPM can do.
// What a TPM signs is checked by package attest, at once and later in court.
//
// The promises:
//
//   - A private key exists in clear inside its TPM only; what is kept outside is wrapped by that TPM.
//   - Every use of a key or a counter goes through a session that is salted to the station's own primary key, whose public
//     part was kept when the station was made: what listens or meddles between here and the TPM learns no authorization
//     value and forges no answer.
//   - Keys and counters are exempt from the TPM's lock against guessing, so that a power cut locks nobody out. In exchange
//     their authorization values are 32 random bytes.
//   - Everything the TPM signs is checked before it is handed out.
package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

var (
	// ErrOther says that the TPM is not the one in which the station's keys were made, or that it was cleared since.
	ErrOther = errors.New("not the TPM that the station's keys were made in, or it was cleared since")
	// ErrFull says that the TPM has no room for another counter.
	ErrFull = errors.New("the TPM has no room for another counter")
	// ErrNoCounter says that the TPM has no counter under that handle: it was freed when the case was closed, or the TPM was
	// cleared.
	ErrNoCounter = errors.New("the TPM has no such counter: the case was closed, or the TPM was cleared")
	// ErrLockout says that the TPM refuses what needs an authorization for some time, after failed tries.
	ErrLockout = errors.New("the TPM is locked after failed authorizations")
	// ErrOwned says that a hierarchy of the TPM has an authorization value that is not known here.
	ErrOwned = errors.New("a hierarchy of the TPM has a password of its own")
)

// TPM is an open connection to a TPM. It is safe for concurrent use.
type TPM struct {
	conn *serial
}

// Open connects to the TPM at an address: the path of a device (/dev/tpmrm0) or of the socket of a software TPM, or
// host:port of one on this machine. The empty address is the system's own TPM.
func Open(address string) (*TPM, error) {
	conn, err := dial(address)
	if err != nil {
		return nil, fmt.Errorf("open the TPM %q: %w", address, err)
	}
	t, err := New(conn)
	if err != nil {
		return nil, fmt.Errorf("open the TPM %q: %w", address, err)
	}
	return t, nil
}

// New takes a connection that somebody else made, which nobody else uses. Close closes it; after an error it is closed.
func New(conn transport.TPMCloser) (*TPM, error) {
	t := &TPM{newSerial(conn)}
	if err := t.tidy(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// tidy removes the keys and sessions that a program which was killed has left in a TPM without a resource manager: it has
// room for three of each. With one, each connection sees its own, and there are none yet.
func (t *TPM) tidy() error {
	for _, first := range []uint32{transientHandles, sessionHandles} {
		r, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 64}.Execute(t.conn)
		if err != nil {
			return fmt.Errorf("ask the TPM what is loaded: %w", explain(err))
		}
		list, err := r.CapabilityData.Data.Handles()
		if err != nil {
			return fmt.Errorf("ask the TPM what is loaded: %w", err)
		}
		for _, h := range list.Handle {
			if err := t.flush(h); err != nil {
				return fmt.Errorf("remove what another program left in the TPM: %w", explain(err))
			}
		}
	}
	return nil
}

// Where the handles of loaded keys and of loaded sessions begin.
const (
	transientHandles = 0x80000000
	sessionHandles   = 0x02000000
)

// Close ends the connection.
func (t *TPM) Close() error { return t.conn.Close() }

// primary makes the station's primary key, which is the same each time. The caller flushes it.
func (t *TPM) primary() (tpm2.NamedHandle, *tpm2.TPMTPublic, error) {
	fail := func(err error) (tpm2.NamedHandle, *tpm2.TPMTPublic, error) {
		return tpm2.NamedHandle{}, nil, fmt.Errorf("make the primary key: %w", explain(err))
	}
	r, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(t.conn)
	if err != nil {
		return fail(err)
	}
	public, err := r.OutPublic.Contents()
	if err != nil {
		return fail(errors.Join(err, t.flush(r.ObjectHandle)))
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return fail(errors.Join(err, t.flush(r.ObjectHandle)))
	}
	return tpm2.NamedHandle{Handle: r.ObjectHandle, Name: *name}, public, nil
}

func (t *TPM) flush(h tpm2.TPMHandle) error {
	_, err := tpm2.FlushContext{FlushHandle: h}.Execute(t.conn)
	return err
}

// explain gives the errors a person can do something about their sentinel.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tpm2.TPMRCLockout):
		return fmt.Errorf("%w: %w", ErrLockout, err)
	case errors.Is(err, tpm2.TPMRCNVSpace):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// explainOwned is explain for what is done with the empty authorization of a hierarchy.
func explainOwned(err error) error {
	if errors.Is(err, tpm2.TPMRCBadAuth) || errors.Is(err, tpm2.TPMRCAuthFail) {
		return fmt.Errorf("%w: %w", ErrOwned, err)
	}
	return explain(err)
}
