package attest

import "crypto/sha256"

const (
	specID      = "Spec ID Event03\x00"
	locality    = "StartupLocality\x00" // the event that says from which locality the TPM was started: PCR 0 begins with it
	evNoAction  = 3                     // an event that extends no PCR
	maxAlgs     = 16                    // hashes in one log
	maxDigest   = 64                    // bytes of one
	specIDFixed = 28                    // bytes before the list of hashes
)

// ReplayBootLog computes from the event log of a machine's firmware what the boot PCRs of the SHA-256 bank must be, and
// requires that they are. It returns how many events that took. What the events say of themselves, their texts and types,
// is not proven by that: only their digests are in the PCRs. The grammar (TCG PC Client Platform Firmware Profile, crypto
// agile log), all numbers little-endian:
//
//	log:    pcr u32 | type u32 = no action | 20 bytes | size u32 | spec ID | event...
//	specID: "Spec ID Event03\0" | class u32 | minor u8 = 0 | major u8 = 2 | errata u8 | uintn u8 | count u32 |
//	        (hash u16 | size u16)... | vendor size u8 | vendor
//	event:  pcr u32 | type u32 | count u32 | (hash u16 | digest)... | size u32 | data
//
// A log that is not so wraps record.ErrMalformed; one that gives other values, or none, ErrMismatch.
func ReplayBootLog(log []byte, pcrs [BootPCRs]PCR) (events int, err error) {
	r := &reader{rest: log, little: true}
	sizes := r.specID()
	var got [BootPCRs]PCR
	for r.err == nil && len(r.rest) > 0 {
		pcr, kind := r.u32(), r.u32()
		digest := r.digests(sizes)
		data := r.take(int(r.u32()))
		switch {
		case r.err != nil || pcr >= BootPCRs:
		case kind == evNoAction && pcr == 0 && got[0] == PCR{} && len(data) == len(locality)+1 && string(data[:len(locality)]) == locality:
			got[0][len(PCR{})-1] = data[len(locality)]
		case kind == evNoAction:
		case digest == nil:
			r.fail("an event of PCR %d has no SHA-256", pcr)
		default:
			got[pcr] = sha256.Sum256(append(got[pcr][:], digest...))
			events++
		}
	}
	if err := r.end("event log"); err != nil {
		return 0, err
	}
	if events == 0 {
		return 0, mismatch("the log has no event of PCR 0 to %d", BootPCRs-1)
	}
	for i, p := range pcrs {
		if got[i] != p {
			return 0, mismatch("the events of PCR %d give %x, and the TPM quoted %x", i, got[i], p)
		}
	}
	return events, nil
}

// specID reads the first event, and returns how many bytes the digests of each hash have.
func (r *reader) specID() map[uint16]int {
	r.take(4)
	r.want("type of the first event", r.u32(), evNoAction)
	r.take(20)
	first := &reader{rest: r.take(int(r.u32())), little: true}
	head := first.take(specIDFixed - 4)
	count := first.u32()
	if first.err == nil && (string(head[:len(specID)]) != specID || head[len(specID)+4] != 0 || head[len(specID)+5] != 2) {
		first.fail("the log is not in the form of TPM 2.0")
	}
	if first.err == nil && (count == 0 || count > maxAlgs) {
		first.fail("%d hashes, at most %d are allowed", count, maxAlgs)
	}
	sizes := map[uint16]int{}
	for i := uint32(0); first.err == nil && i < count; i++ {
		id, size := first.u16(), int(first.u16())
		if sizes[id] != 0 || size == 0 || size > maxDigest || id == algSHA256 && size != sha256.Size {
			first.fail("hash %#x stands twice or has %d bytes", id, size)
		}
		sizes[id] = size
	}
	first.take(int(first.number(1)))
	if first.err == nil && sizes[algSHA256] == 0 {
		first.fail("the log has no SHA-256")
	}
	if err := first.end("first event"); err != nil {
		r.fail("%w", err)
	}
	return sizes
}

// digests reads the digests of an event and returns its SHA-256; nil when it has none.
func (r *reader) digests(sizes map[uint16]int) (sum []byte) {
	count := r.u32()
	if r.err == nil && count > maxAlgs {
		r.fail("an event has %d digests, at most %d are allowed", count, maxAlgs)
	}
	for i := uint32(0); r.err == nil && i < count; i++ {
		id := r.u16()
		size, ok := sizes[id]
		if !ok {
			r.fail("an event has a digest of the hash %#x, which the log does not name", id)
		}
		if d := r.take(size); id == algSHA256 && sum == nil {
			sum = d
		}
	}
	return sum
}
