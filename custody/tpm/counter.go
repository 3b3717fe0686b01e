package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Counter is a counter in the TPM.
type Counter struct {
	station *Station
	id      record.Counter
	handle  uint32
	auth    []byte
	index   tpm2.NamedHandle // with the Name of a counter that was advanced: another index is refused by the TPM
}

// firstIndex is where a free handle is looked for, in the owner's range; maxIndexes how many are tried.
const (
	firstIndex = attest.FirstCounter + 0x45800
	maxIndexes = 1 << 10
)

// DefineCounter makes a counter under a free handle, to be used with auth, and advances it once, so that it has a value
// and the Name it keeps. No room is ErrFull; an owner's password, which is not asked for, ErrOwned.
func (s *Station) DefineCounter(auth []byte) (*Counter, error) {
	if err := checkAuth(auth); err != nil {
		return nil, fmt.Errorf("define a counter in the TPM: %w", err)
	}
	for handle := uint32(firstIndex); handle < firstIndex+maxIndexes; handle++ {
		err := s.define(handle, auth)
		if errors.Is(err, tpm2.TPMRCNVDefined) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("define a counter in the TPM: %w", err)
		}
		c, err := s.begin(handle, auth)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("define a counter in the TPM: %w", err), s.undefine(handle))
		}
		return c, nil
	}
	return nil, fmt.Errorf("define a counter in the TPM: %w: %d handles from %#x on are taken", ErrFull, maxIndexes, firstIndex)
}

func (s *Station) define(handle uint32, auth []byte) error {
	_, err := tpm2.NVDefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: s.session(nil, secret())},
		Auth:       tpm2.TPM2BAuth{Buffer: auth},
		PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
			NVIndex: tpm2.TPMHandle(handle), NameAlg: tpm2.TPMAlgSHA256, DataSize: 8,
			Attributes: tpm2.TPMANV{NT: tpm2.TPMNTCounter, AuthWrite: true, AuthRead: true, NoDA: true},
		}),
	}.Execute(s.tpm.conn)
	return explainOwned(err)
}

// begin advances a new counter for the first time and reads what it then is.
func (s *Station) begin(handle uint32, auth []byte) (*Counter, error) {
	h, err := s.readPublic(handle)
	if err != nil {
		return nil, err
	}
	if _, err := (tpm2.NVIncrement{AuthHandle: s.with(h, auth), NVIndex: h}).Execute(s.tpm.conn); err != nil {
		return nil, explain(err)
	}
	name, err := attest.CounterName(handle)
	if err != nil {
		return nil, err
	}
	c := s.counter(handle, name, auth)
	value, err := c.Value()
	if err != nil {
		return nil, err
	}
	c.id = record.Counter{
		AttestationKey: s.ak.Public.Bytes(), Parent: s.ak.Parent.String(), Handle: int64(handle), Name: name.String(), First: value,
	}
	return c, nil
}

func (s *Station) counter(handle uint32, name attest.Name, auth []byte) *Counter {
	return &Counter{station: s, handle: handle, auth: auth,
		index: tpm2.NamedHandle{Handle: tpm2.TPMHandle(handle), Name: tpm2.TPM2BName{Buffer: name.Bytes()}}}
}

func (s *Station) readPublic(handle uint32) (tpm2.NamedHandle, error) {
	r, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(handle)}.Execute(s.tpm.conn)
	if err != nil {
		return tpm2.NamedHandle{}, explain(err)
	}
	return tpm2.NamedHandle{Handle: tpm2.TPMHandle(handle), Name: r.NVName}, nil
}

// Counter takes up the counter of a log, as its genesis names it. Whether the TPM has it is seen by Value.
func (s *Station) Counter(id record.Counter, auth []byte) (*Counter, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	handle := uint32(id.Handle)
	name, err := attest.CounterName(handle)
	if err != nil {
		return nil, err
	}
	if name.String() != id.Name || string(id.AttestationKey) != string(s.ak.Public.Bytes()) || id.Parent != s.ak.Parent.String() {
		return nil, fmt.Errorf("counter %#x: %w", handle, ErrOther)
	}
	c := s.counter(handle, name, auth)
	c.id = id
	return c, nil
}

// Identity returns what the genesis says of the counter.
func (c *Counter) Identity() record.Counter { return c.id }

func (c *Counter) fail(what string, err error) error {
	if errors.Is(err, tpm2.TPMRCHandle) {
		err = fmt.Errorf("%w: %w", ErrNoCounter, err)
	}
	return fmt.Errorf("%s counter %#x of the TPM: %w", what, c.handle, explain(err))
}

// Value reads the counter.
func (c *Counter) Value() (int64, error) {
	r, err := tpm2.NVRead{AuthHandle: c.station.with(c.index, c.auth), NVIndex: c.index, Size: 8}.Execute(c.station.tpm.conn)
	if err != nil {
		return 0, c.fail("read", err)
	}
	if len(r.Data.Buffer) != 8 {
		return 0, c.fail("read", fmt.Errorf("%d bytes", len(r.Data.Buffer)))
	}
	value := binary.BigEndian.Uint64(r.Data.Buffer)
	if value > record.MaxInteger {
		return 0, c.fail("read", fmt.Errorf("its value %d is beyond what a record can hold", value))
	}
	return int64(value), nil
}

// Increment advances the counter by one. After an error it may have been advanced.
func (c *Counter) Increment() error {
	if _, err := (tpm2.NVIncrement{AuthHandle: c.station.with(c.index, c.auth), NVIndex: c.index}).Execute(c.station.tpm.conn); err != nil {
		return c.fail("advance", err)
	}
	return nil
}

// Certify has the counter's value certified for a checkpoint, and returns the file to be kept. It was checked.
func (c *Counter) Certify(text string) ([]byte, error) {
	r, err := c.certify(attest.CounterNonce(text))
	if err != nil {
		return nil, c.fail("certify", err)
	}
	a, err := signed(r.CertifyInfo, r.Signature)
	if err != nil {
		return nil, c.fail("certify", err)
	}
	file, err := attest.EncodeCounter(a)
	if err != nil {
		return nil, c.fail("certify", err)
	}
	if _, err := c.Check(file, text); err != nil {
		return nil, c.fail("certify", err)
	}
	return file, nil
}

func (c *Counter) certify(nonce [32]byte) (*tpm2.NVCertifyResponse, error) {
	s := c.station
	s.mu.Lock()
	defer s.mu.Unlock()
	ak, err := s.withAK()
	if err != nil {
		return nil, err
	}
	return tpm2.NVCertify{
		SignHandle: ak, AuthHandle: s.with(c.index, c.auth), NVIndex: c.index,
		QualifyingData: tpm2.TPM2BData{Buffer: nonce[:]}, InScheme: scheme, Size: 8,
	}.Execute(s.tpm.conn)
}

// Check requires that file is a certificate of this counter for a checkpoint, and returns the value in it.
func (c *Counter) Check(file []byte, text string) (int64, error) {
	a, err := attest.ParseCounter(file)
	if err != nil {
		return 0, err
	}
	value, _, err := c.station.ak.CheckCounter(a, c.handle, text)
	if err != nil {
		return 0, err
	}
	if value > record.MaxInteger {
		return 0, fmt.Errorf("%w: counter %d", record.ErrMalformed, value)
	}
	return int64(value), nil
}

// Free removes the counter from the TPM, for good: no other counter ever begins below its value.
func (c *Counter) Free() error {
	if err := c.station.undefine(c.handle); err != nil {
		return c.fail("free", err)
	}
	return nil
}

func (s *Station) undefine(handle uint32) error {
	h, err := s.readPublic(handle)
	if err != nil {
		return err
	}
	_, err = tpm2.NVUndefineSpace{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: s.session(nil)}, NVIndex: h}.Execute(s.tpm.conn)
	return explainOwned(err)
}
