package tpm

import (
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// busyTPM answers with the codes in order, and then with success.
type busyTPM struct {
	codes []tpm2.TPMRC
	sent  int
	raw   []byte // answered instead, if any
}

func (b *busyTPM) Send(command []byte) ([]byte, error) {
	b.sent++
	clear(command) // it is ours
	if b.raw != nil {
		return b.raw, nil
	}
	answer := make([]byte, headerBytes)
	binary.BigEndian.PutUint32(answer[2:], headerBytes)
	if len(b.codes) > 0 {
		binary.BigEndian.PutUint32(answer[6:], uint32(b.codes[0]))
		b.codes = b.codes[1:]
	}
	return answer, nil
}

func (b *busyTPM) Close() error { return nil }

func TestBusyIsAskedAgain(t *testing.T) {
	b := &busyTPM{codes: []tpm2.TPMRC{tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate}}
	s := newSerial(b)
	var waited []time.Duration
	s.wait = func(d time.Duration) { waited = append(waited, d) }
	command := []byte{1, 2, 3}
	answer, err := s.Send(command)
	if err != nil || b.sent != 5 || binary.BigEndian.Uint32(answer[6:]) != 0 || command[0] != 1 {
		t.Errorf("sent %d times, %x, %v", b.sent, answer, err)
	}
	if len(waited) != 4 || waited[0] != firstWait || waited[3] != 8*firstWait {
		t.Errorf("waited %v", waited)
	}
}

func TestBusyForEverIsAnAnswer(t *testing.T) {
	b := &busyTPM{codes: make([]tpm2.TPMRC, 1000)}
	for i := range b.codes {
		b.codes[i] = tpm2.TPMRCRetry
	}
	s := newSerial(b)
	var waited time.Duration
	s.wait = func(d time.Duration) { waited += d }
	answer, err := s.Send(nil)
	if err != nil || tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:])) != tpm2.TPMRCRetry || waited < patience || waited > 3*patience {
		t.Errorf("waited %v, %x, %v", waited, answer, err)
	}
}

func TestOtherCodesAreNotRepeated(t *testing.T) {
	b := &busyTPM{codes: []tpm2.TPMRC{tpm2.TPMRCLockout}}
	if _, err := newSerial(b).Send(nil); err != nil || b.sent != 1 {
		t.Errorf("sent %d times, %v", b.sent, err)
	}
	for _, raw := range [][]byte{{}, make([]byte, headerBytes-1), {0, 0, 0, 0, 0, 11, 0, 0, 0, 0}} {
		b := &busyTPM{raw: raw}
		if answer, err := newSerial(b).Send(nil); err == nil || answer != nil {
			t.Errorf("answer %x: %x, no error", raw, answer)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, address := range []string{"192.0.2.1:2321", "example.com:2321", "nonsense", "/dev/null", filepath.Join(t.TempDir(), "missing")} {
		if d, err := Open(address); err == nil || d != nil {
			t.Errorf("%q: no error", address)
		}
	}
}

// TestSocketReadsInPieces has an answer come byte by byte, over TCP.
func TestSocketReadsInPieces(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		for _, answer := range [][]byte{{0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 7, 8}, {0x80, 1, 0, 0, 0, 9, 0, 0, 0, 0}} {
			if _, err := conn.Read(make([]byte, 10)); err != nil {
				done <- err
				return
			}
			for _, b := range answer {
				if _, err := conn.Write([]byte{b}); err != nil {
					done <- err
					return
				}
			}
		}
		done <- conn.Close()
	}()
	d, err := dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Send(make([]byte, headerBytes))
	if err != nil || len(answer) != 12 || answer[11] != 8 {
		t.Errorf("answer %x, %v", answer, err)
	}
	if _, err := d.Send(make([]byte, headerBytes)); err == nil {
		t.Error("an answer that says it is shorter than its header is taken")
	}
	if err := errors.Join(<-done, d.Close()); err != nil {
		t.Error(err)
	}
}
