package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// Facts are what a TPM says of itself. A number it does not give is 0.
type Facts struct {
	Manufacturer string // four letters registered with the TCG
	Model        string
	Firmware     string // two numbers, in hex

	EKCertificate []byte // of its RSA-2048 endorsement key, DER; nil when it holds none

	Counters     int64 // defined
	CountersFree int64 // that can still be defined

	Locked   bool // after failed authorizations
	Failures int64
	Allowed  int64         // failures until it locks itself
	Forgets  time.Duration // after which it forgets one failure

	OwnerPassword       bool
	EndorsementPassword bool
	LockoutPassword     bool
}

// The properties are asked for in two groups: fixed ones and those that change.
const (
	fixedProperties    = 0x100
	variableProperties = 0x200
	manyProperties     = 128
)

// Bits of TPM_PT_PERMANENT.
const (
	ownerAuthSet       = 1 << 0
	endorsementAuthSet = 1 << 1
	lockoutAuthSet     = 1 << 2
	inLockout          = 1 << 9
)

// Facts asks the TPM what it is and what it can do.
func (t *TPM) Facts() (Facts, error) {
	values := map[tpm2.TPMPT]uint32{}
	for _, first := range []uint32{fixedProperties, variableProperties} {
		r, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: first, PropertyCount: manyProperties}.Execute(t.conn)
		if err != nil {
			return Facts{}, fmt.Errorf("ask the TPM for its properties: %w", explain(err))
		}
		list, err := r.CapabilityData.Data.TPMProperties()
		if err != nil {
			return Facts{}, fmt.Errorf("ask the TPM for its properties: %w", err)
		}
		for _, p := range list.TPMProperty {
			values[p.Property] = p.Value
		}
	}
	permanent := values[tpm2.TPMPTPermanent]
	f := Facts{
		Manufacturer:        letters(values[tpm2.TPMPTManufacturer]),
		Firmware:            fmt.Sprintf("%08x.%08x", values[tpm2.TPMPTFirmwareVersion1], values[tpm2.TPMPTFirmwareVersion1+1]),
		Counters:            int64(values[tpm2.TPMPTNVCounters]),
		CountersFree:        int64(values[tpm2.TPMPTNVCountersAvail]),
		Locked:              permanent&inLockout != 0,
		Failures:            int64(values[tpm2.TPMPTLockoutCounter]),
		Allowed:             int64(values[tpm2.TPMPTMaxAuthFail]),
		Forgets:             time.Duration(values[tpm2.TPMPTLockoutInterval]) * time.Second,
		OwnerPassword:       permanent&ownerAuthSet != 0,
		EndorsementPassword: permanent&endorsementAuthSet != 0,
		LockoutPassword:     permanent&lockoutAuthSet != 0,
	}
	for i := range tpm2.TPMPT(4) {
		f.Model += letters(values[tpm2.TPMPTVendorString1+i])
	}
	f.Model = strings.TrimSpace(f.Model)
	var err error
	if f.EKCertificate, err = t.ekCertificate(); err != nil {
		return Facts{}, err
	}
	return f, nil
}

// letters reads up to four printable characters out of a number.
func letters(v uint32) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(binary.BigEndian.AppendUint32(nil, v)))
}

const (
	// ekIndex is where a maker leaves the certificate of the RSA-2048 endorsement key (TCG EK Credential Profile).
	ekIndex = 0x01c00002
	// maxEK bounds that certificate, in bytes; nvPiece is how much every TPM gives at a time.
	maxEK   = 8 << 10
	nvPiece = 512
)

// ekCertificate reads the certificate of the RSA endorsement key; nil when there is none.
func (t *TPM) ekCertificate() ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("read the certificate of the endorsement key: %w", explain(err))
	}
	r, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(ekIndex)}.Execute(t.conn)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, nil
	}
	if err != nil {
		return fail(err)
	}
	public, err := r.NVPublic.Contents()
	if err != nil {
		return fail(err)
	}
	if public.DataSize > maxEK {
		return fail(fmt.Errorf("it has %d bytes", public.DataSize))
	}
	index := tpm2.NamedHandle{Handle: ekIndex, Name: r.NVName}
	var b []byte
	for len(b) < int(public.DataSize) {
		piece, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: ekIndex, Name: r.NVName, Auth: tpm2.PasswordAuth(nil)}, NVIndex: index,
			Size: uint16(min(nvPiece, int(public.DataSize)-len(b))), Offset: uint16(len(b)),
		}.Execute(t.conn)
		if err != nil {
			return fail(err)
		}
		if len(piece.Data.Buffer) == 0 {
			return fail(errors.New("it ends too early"))
		}
		b = append(b, piece.Data.Buffer...)
	}
	der, err := firstDER(b)
	if err != nil {
		return fail(err)
	}
	return der, nil
}
