package attest

import (
	"encoding/binary"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Type is the TPMI_ST_ATTEST of an attestation.
type Type uint16

// The types of attestation there are here (TPM 2.0 Library, part 2, table 20).
const (
	TypeNV      Type = 0x8014
	TypeCertify Type = 0x8017
	TypeQuote   Type = 0x8018
)

const (
	magic     = 0xff544347 // TPM_GENERATED_VALUE: a restricted key signs it for nobody but its own TPM
	algSHA256 = 0x000b
	algECDSA  = 0x0018
	algECC    = 0x0023
	algNull   = 0x0010
	curveP256 = 0x0003
)

// BootPCRs is how many PCRs a quote covers: 0 to 7 of the SHA-256 bank, which hold how the machine was started.
const BootPCRs = 8

// Clock is the TPMS_CLOCK_INFO of an attestation.
type Clock struct {
	Milliseconds uint64 // that the TPM has been powered; no time of day
	Resets       uint32 // starts of the TPM since it was last cleared
	Restarts     uint32 // resumes since the last reset
	Safe         bool   // no higher value of Milliseconds was ever reported
}

// Attestation is what a TPMS_ATTEST says. Of Certified, NV and Quote only the one of its Type is set.
type Attestation struct {
	Type     Type
	Signer   Name   // qualified Name of the signing key
	Nonce    []byte // qualifying data of the caller
	Clock    Clock
	Firmware uint64 // the maker's number of the firmware

	Certified struct{ Name, QualifiedName Name } // of TypeCertify
	NV        struct {                           // of TypeNV
		Index   Name
		Counter uint64
	}
	Quote [32]byte // of TypeQuote: SHA-256 of the values of the boot PCRs
}

// Parse reads a TPMS_ATTEST; its grammar, all numbers big-endian:
//
//	magic u32 | type u16 | qualifiedSigner 2B | extraData 2B | clock u64 resetCount u32 restartCount u32 safe u8 |
//	firmwareVersion u64 | attested
//	attested, certify: name 2B | qualifiedName 2B
//	attested, NV:      indexName 2B | offset u16 = 0 | contents 2B of 8 bytes
//	attested, quote:   count u32 = 1 | SHA-256 u16 | size u8 = 3 | ff 00 00 | digest 2B of 32 bytes
//
// where 2B is a length in two bytes and so many bytes. All Names are SHA-256. Anything else, a byte too many included,
// wraps record.ErrMalformed.
func Parse(b []byte) (Attestation, error) {
	r := &reader{rest: b}
	var a Attestation
	r.want("magic", r.u32(), magic)
	a.Type = Type(r.u16())
	a.Signer = r.name("qualifiedSigner")
	a.Nonce = r.sized("extraData", 64)
	a.Clock.Milliseconds = r.u64()
	a.Clock.Resets, a.Clock.Restarts = r.u32(), r.u32()
	safe := r.take(1)
	if len(safe) == 1 && safe[0] > 1 {
		r.fail("safe is %d", safe[0])
	}
	a.Clock.Safe = len(safe) == 1 && safe[0] == 1
	a.Firmware = r.u64()
	switch a.Type {
	case TypeCertify:
		a.Certified.Name, a.Certified.QualifiedName = r.name("name"), r.name("qualifiedName")
	case TypeNV:
		a.NV.Index = r.name("indexName")
		r.want("offset", uint32(r.u16()), 0)
		r.want("size of the contents", uint32(r.u16()), 8)
		a.NV.Counter = r.u64()
	case TypeQuote:
		r.want("count of selections", r.u32(), 1)
		r.want("hash of the PCRs", uint32(r.u16()), algSHA256)
		r.want("selection of PCRs", r.u32(), 3<<24|0xff<<16)
		r.want("size of the digest", uint32(r.u16()), 32)
		copy(a.Quote[:], r.take(32))
	default:
		r.fail("type is %#x", a.Type)
	}
	if err := r.end("attestation"); err != nil {
		return Attestation{}, err
	}
	return a, nil
}

// reader reads a structure and keeps the first thing that was wrong with it; from then on it reads zeros.
type reader struct {
	rest   []byte
	little bool // numbers are little-endian, as firmware writes them
	err    error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// take returns the next n bytes; nil when they are not there.
func (r *reader) take(n int) []byte {
	if r.err == nil && (n < 0 || len(r.rest) < n) {
		r.fail("it ends too early")
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) number(n int) uint64 {
	var b [8]byte
	if r.little {
		copy(b[:], r.take(n))
		return binary.LittleEndian.Uint64(b[:])
	}
	copy(b[8-n:], r.take(n))
	return binary.BigEndian.Uint64(b[:])
}

func (r *reader) u16() uint16 { return uint16(r.number(2)) }
func (r *reader) u32() uint32 { return uint32(r.number(4)) }
func (r *reader) u64() uint64 { return r.number(8) }

func (r *reader) want(field string, got, want uint32) {
	if got != want {
		r.fail("%s is %#x, want %#x", field, got, want)
	}
}

// sized returns a copy of the bytes after their length.
func (r *reader) sized(field string, most int) []byte {
	n := int(r.u16())
	if n > most {
		r.fail("%s has %d bytes, at most %d are allowed", field, n, most)
	}
	return append([]byte{}, r.take(n)...)
}

func (r *reader) name(field string) Name {
	n, err := NewName(r.sized(field, len(Name{}.b)))
	if err != nil {
		r.fail("%s: %w", field, err)
	}
	return n
}

func (r *reader) end(what string) error {
	if len(r.rest) > 0 {
		r.fail("%d bytes too many", len(r.rest))
	}
	if r.err != nil {
		return fmt.Errorf("%s: %w: %w", what, record.ErrMalformed, r.err)
	}
	return nil
}
