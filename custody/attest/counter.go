package attest

import (
	"encoding/binary"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// CounterAttributes are the TPMA_NV of a counter before it is first written: read and advanced with its own
// authorization value, which a power cut does not put at risk. Anything that would let somebody else write is not set.
const CounterAttributes uint32 = 1<<2 | nvCounter<<4 | 1<<18 | 1<<25

const (
	nvCounter        = 1       // TPM_NT_COUNTER: it only ever advances, also when its index is made anew
	nvWritten uint32 = 1 << 29 // set by the first increment, which changes the Name
)

// The handles an owner may give to an index (TCG registry of reserved handles, owner's range).
const (
	FirstCounter uint32 = 0x01800000
	LastCounter  uint32 = 0x01bfffff
)

// CounterName returns the Name that a counter with that handle has once it was advanced. It follows from the handle
// alone, so the Name in an attestation proves that the index is a counter with exactly these attributes.
//
//	handle u32 | SHA-256 u16 | attributes u32 | authPolicy 2B, empty | dataSize u16 = 8
func CounterName(handle uint32) (Name, error) {
	if handle < FirstCounter || handle > LastCounter {
		return Name{}, fmt.Errorf("%w: handle %#x is not one of an owner's index", record.ErrMalformed, handle)
	}
	b := binary.BigEndian.AppendUint32(nil, handle)
	b = binary.BigEndian.AppendUint16(b, algSHA256)
	b = binary.BigEndian.AppendUint32(b, CounterAttributes|nvWritten)
	b = binary.BigEndian.AppendUint16(b, 0)
	return hashNames(binary.BigEndian.AppendUint16(b, 8)), nil
}

// Follow requires that one TPM can have made an attestation at time next after it made one at time before: that its
// numbers of resets and restarts did not go back, and its clock only where a start without an orderly stop explains it.
// A TPM that was cleared, one whose state was put back to an earlier one, and another TPM do not follow.
func Follow(before, next Clock) error {
	switch {
	case next.Resets < before.Resets:
		return mismatch("the TPM had been started %d times, and later %d times", before.Resets, next.Resets)
	case next.Resets == before.Resets && next.Restarts < before.Restarts:
		return mismatch("the TPM had been resumed %d times, and later %d times, without a start between", before.Restarts, next.Restarts)
	case next.Milliseconds >= before.Milliseconds:
		return nil
	case next.Resets == before.Resets && next.Restarts == before.Restarts:
		return mismatch("the TPM's clock went from %d ms back to %d ms while it ran", before.Milliseconds, next.Milliseconds)
	case next.Safe:
		return mismatch("the TPM's clock went from %d ms back to %d ms, and the TPM says that it never did", before.Milliseconds, next.Milliseconds)
	}
	return nil
}
