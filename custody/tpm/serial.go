package tpm

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// maxResponse bounds an answer of a TPM, in bytes.
const maxResponse = 8 << 10

// headerBytes is the size of the header of a command and of an answer: tag u16, size u32, code u32.
const headerBytes = 10

// busy are the answers after which the same command is to be sent again. They are normal.
var busy = []tpm2.TPMRC{tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate}

// patience is how long a busy TPM is asked again, and firstWait after which time at first; it doubles each time.
const (
	patience  = 30 * time.Second
	firstWait = time.Millisecond
)

// serial sends one command at a time, again while the TPM is busy.
type serial struct {
	mu   sync.Mutex
	conn transport.TPMCloser
	wait func(time.Duration)
}

func newSerial(conn transport.TPMCloser) *serial { return &serial{conn: conn, wait: time.Sleep} }

// Send implements transport.TPM.
func (s *serial) Send(command []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waited := time.Duration(0)
	for pause := firstWait; ; pause *= 2 {
		answer, err := s.conn.Send(slices.Clone(command))
		if err != nil {
			return nil, fmt.Errorf("talk to the TPM: %w", err)
		}
		if len(answer) < headerBytes || int(binary.BigEndian.Uint32(answer[2:])) != len(answer) {
			return nil, fmt.Errorf("talk to the TPM: an answer of %d bytes says that it has another length", len(answer))
		}
		if !slices.Contains(busy, tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:]))) || waited >= patience {
			return answer, nil
		}
		s.wait(pause)
		waited += pause
	}
}

// Close implements io.Closer.
func (s *serial) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn.Close()
}

// socket is the command channel of a software TPM.
type socket struct{ conn net.Conn }

// commandTime bounds one command; drawing an RSA key takes some TPMs a minute. A software TPM that serves another program
// does not answer.
const commandTime = 2 * time.Minute

func dialSocket(network, address string) (transport.TPMCloser, error) {
	conn, err := net.DialTimeout(network, address, commandTime)
	if err != nil {
		return nil, err
	}
	return socket{conn}, nil
}

// Send implements transport.TPM. An answer can come in pieces.
func (s socket) Send(command []byte) ([]byte, error) {
	if err := s.conn.SetDeadline(time.Now().Add(commandTime)); err != nil {
		return nil, err
	}
	if _, err := s.conn.Write(command); err != nil {
		return nil, err
	}
	header := make([]byte, headerBytes)
	if _, err := io.ReadFull(s.conn, header); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(header[2:])
	if n < headerBytes || n > maxResponse {
		return nil, fmt.Errorf("an answer says that it has %d bytes", n)
	}
	answer := append(header, make([]byte, n-headerBytes)...)
	_, err := io.ReadFull(s.conn, answer[headerBytes:])
	return answer, err
}

// Close implements io.Closer.
func (s socket) Close() error { return s.conn.Close() }

// dialTCP connects to a software TPM on this machine: the protocol is neither encrypted nor authenticated.
func dialTCP(address string) (transport.TPMCloser, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("neither a device, nor a socket, nor host:port: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() {
		return nil, fmt.Errorf("%q is not this machine, and the connection to a TPM over a network is not protected", host)
	}
	return dialSocket("tcp", address)
}
