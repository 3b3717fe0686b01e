package attest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-eventlog/register"
	"github.com/google/go-eventlog/tcg"
	machines "github.com/google/go-eventlog/testdata"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// bootLogs are those of real machines, from the tests of go-eventlog.
var bootLogs = [][]byte{
	machines.ArchLinuxWorkstationEventLog, machines.GlinuxAlexEventLog, machines.Rhel8EventLog,
	machines.Ubuntu1804AmdSevEventLog, machines.Ubuntu2104NoDbxEventLog, machines.Ubuntu2104NoSecureBootEventLog,
	machines.Ubuntu2404AmdSevSnpEventLog, machines.Cos85AmdSevEventLog, machines.Cos93AmdSevEventLog, machines.Cos101AmdSevEventLog,
}

// rhel8PCRs are what the TPM of the machine of machines.Rhel8EventLog held.
var rhel8PCRs = []string{
	"24af52a4f429b71a3184a6d64cddad17e54ea030e2aa6576bf3a5a3d8bd3328f",
	"454220afaa80c83c3839f6cccd8b3c88bf4f562316a9dda1121c578c9e005a53",
	"3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
	"3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
	"758a3d35f1b0ff5b135dacd07db0c8132c0ac665d944090d4bf96e66447a245c",
	"53d0ee36163219201e686167bbb71ec505b3ba2917b9d9183ed84aad26cfeb89",
}

// byOther is what go-eventlog reads: the values that follow from the log, and the number of events.
func byOther(b []byte) (pcrs [BootPCRs]PCR, events int, err error) {
	log, err := tcg.ParseEventLog(b, tcg.ParseOpts{})
	if err != nil {
		return pcrs, 0, err
	}
	for _, e := range log.Events(register.HashSHA256) {
		switch {
		case e.Index < 0 || e.Index >= BootPCRs:
		case e.Type == tcg.NoAction && e.Index == 0 && len(e.Data) == 17 && bytes.HasPrefix(e.Data, []byte("StartupLocality\x00")) && pcrs[0] == PCR{}:
			pcrs[0][31] = e.Data[16]
		case e.Type == tcg.NoAction:
		default:
			pcrs[e.Index] = sha256.Sum256(append(pcrs[e.Index][:], e.Digest...))
			events++
		}
	}
	return pcrs, events, nil
}

func TestReplayBootLog(t *testing.T) {
	for i, b := range bootLogs {
		pcrs, want, err := byOther(b)
		if err != nil {
			t.Fatal(err)
		}
		if events, err := ReplayBootLog(b, pcrs); err != nil || events != want || events < 10 {
			t.Errorf("log %d: %d events, %v, want %d", i, events, err, want)
		}
		for pcr := range pcrs {
			other := pcrs
			other[pcr][31] ^= 1
			if events, err := ReplayBootLog(b, other); !errors.Is(err, ErrMismatch) || events != 0 {
				t.Errorf("log %d, PCR %d changed: %d, %v, want ErrMismatch", i, pcr, events, err)
			}
		}
	}
	pcrs, _, err := byOther(machines.Rhel8EventLog)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range rhel8PCRs {
		if got := hex.EncodeToString(pcrs[i][:]); got != want {
			t.Errorf("PCR %d is %s, the TPM had %s", i, got, want)
		}
	}
}

// bootLog makes a log with those events; its hashes are SHA-1 and SHA-256.
func bootLog(events ...[]byte) []byte {
	le := binary.LittleEndian
	spec := append([]byte("Spec ID Event03\x00"), 0, 0, 0, 0, 0, 2, 0, 2, 2, 0, 0, 0, 4, 0, 20, 0, 11, 0, 32, 0, 0)
	b := append(make([]byte, 4), 3, 0, 0, 0)
	b = append(b, make([]byte, 20)...)
	b = append(le.AppendUint32(b, uint32(len(spec))), spec...)
	return slices.Concat(append([][]byte{b}, events...)...)
}

func bootEvent(pcr, kind uint32, data string) []byte {
	le := binary.LittleEndian
	sum := sha256.Sum256([]byte(data))
	b := le.AppendUint32(le.AppendUint32(nil, pcr), kind)
	b = append(append(b, 2, 0, 0, 0, 4, 0), make([]byte, 20)...)
	b = append(append(b, 11, 0), sum[:]...)
	return append(le.AppendUint32(b, uint32(len(data))), data...)
}

func TestReplayBootLogRefuses(t *testing.T) {
	var zero [BootPCRs]PCR
	one := bootLog(bootEvent(4, 13, "a loader"))
	held := zero
	sum := sha256.Sum256([]byte("a loader"))
	held[4] = sha256.Sum256(append(make([]byte, 32), sum[:]...))
	if n, err := ReplayBootLog(one, held); n != 1 || err != nil {
		t.Fatalf("the sound one: %d, %v", n, err)
	}
	// A TPM that was started from locality 3, as with a launch that the processor measures.
	begun := held
	begun[0][31] = 3
	if n, err := ReplayBootLog(bootLog(bootEvent(0, 3, "StartupLocality\x00\x03"), bootEvent(4, 13, "a loader")), begun); n != 1 || err != nil {
		t.Errorf("locality 3: %d, %v", n, err)
	}
	for name, test := range map[string]struct {
		log  []byte
		pcrs [BootPCRs]PCR
		want error
	}{
		"empty":                       {nil, zero, record.ErrMalformed},
		"no event":                    {bootLog(), zero, ErrMismatch},
		"events of others alone":      {bootLog(bootEvent(9, 13, "x")), zero, ErrMismatch},
		"a PCR without events":        {one, begun, ErrMismatch},
		"one event twice":             {bootLog(bootEvent(4, 13, "a loader"), bootEvent(4, 13, "a loader")), held, ErrMismatch},
		"a byte too few":              {one[:len(one)-1], held, record.ErrMalformed},
		"a byte too many":             {append(bytes.Clone(one), 0), held, record.ErrMalformed},
		"SHA-1 alone":                 {machines.Debian10EventLog, zero, record.ErrMalformed},
		"a thousand hashes":           {edit(one, 32+24, 0xe8, 3), held, record.ErrMalformed},
		"a hash twice":                {edit(one, 32+28, 11, 0, 32), held, record.ErrMalformed},
		"a SHA-256 of 20 bytes":       {edit(one, 32+34, 20), held, record.ErrMalformed},
		"no SHA-256":                  {bytes.Replace(one, []byte{11, 0}, []byte{12, 0}, 2), held, record.ErrMalformed},
		"a digest of an unknown hash": {bytes.Replace(one, []byte{2, 0, 0, 0, 4, 0, 0}, []byte{2, 0, 0, 0, 5, 0, 0}, 1), held, record.ErrMalformed},
		"data that is not there":      {edit(one, len(one)-12, 255, 255, 255, 255), held, record.ErrMalformed},
	} {
		if n, err := ReplayBootLog(test.log, test.pcrs); !errors.Is(err, test.want) || n != 0 {
			t.Errorf("%s: %d, %v, want %v", name, n, err, test.want)
		}
	}
}

func edit(b []byte, at int, to ...byte) []byte {
	out := bytes.Clone(b)
	copy(out[at:], to)
	return out
}

// FuzzBootLog has go-eventlog read whatever is taken: the values must be the same.
func FuzzBootLog(f *testing.F) {
	for _, b := range bootLogs {
		f.Add(b[:min(len(b), 2000)])
	}
	f.Add(bootLog(bootEvent(0, 3, "StartupLocality\x00\x03"), bootEvent(4, 13, "a loader")))
	f.Fuzz(func(t *testing.T, b []byte) {
		var none [BootPCRs]PCR
		_, err := ReplayBootLog(b, none)
		if err == nil {
			t.Fatal("it gives values of zero")
		}
		if errors.Is(err, record.ErrMalformed) {
			return
		}
		pcrs, want, err := byOther(b)
		if err != nil {
			t.Fatalf("go-eventlog refuses it: %v", err)
		}
		if got, err := ReplayBootLog(b, pcrs); want > 0 && (err != nil || got != want) {
			t.Fatalf("%d events, %v, go-eventlog has %d", got, err, want)
		}
	})
}
