package medium

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// pieceBytes is read from a stream at once: more than a pipe holds.
const pieceBytes = 256 << 10

// stream is standard input. A read of a pipe cannot be cancelled, so it runs on a goroutine with buffers of its own,
// which a cancelled reading leaves behind; it ends with its read, at the latest with the process.
type stream struct {
	ctx    context.Context
	pieces chan piece
	free   chan []byte
	done   chan struct{}
	once   sync.Once
	now    piece  // being given out
	rest   []byte // what is left of it
}

type piece struct {
	buf []byte
	n   int
	err error
}

func newStream(ctx context.Context, in io.Reader) *stream {
	s := &stream{ctx: ctx, pieces: make(chan piece, 2), free: make(chan []byte, 2), done: make(chan struct{})}
	s.free <- make([]byte, pieceBytes)
	s.free <- make([]byte, pieceBytes)
	go s.pump(in)
	return s
}

// pump ends at the first error, io.EOF included. The channel has room for every piece, so only free makes it wait.
func (s *stream) pump(in io.Reader) {
	for {
		select {
		case <-s.done:
			return
		case buf := <-s.free:
			n, err := in.Read(buf)
			s.pieces <- piece{buf, n, err}
			if err != nil {
				return
			}
		}
	}
}

func (s *stream) read(p []byte, off int64) (int, error) {
	for len(s.rest) == 0 {
		if err := s.now.err; errors.Is(err, io.EOF) {
			return 0, io.EOF
		} else if err != nil {
			return 0, &ReadError{Path: "standard input", Offset: off, Err: err}
		}
		if s.now.buf != nil {
			s.free <- s.now.buf
			s.now.buf = nil
		}
		select {
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		case s.now = <-s.pieces:
			s.rest = s.now.buf[:s.now.n]
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) describe() record.Medium {
	const none = "a stream does not have it"
	return record.Medium{
		Kind:                record.MediumStream,
		Name:                record.Unknown[string](none),
		LogicalSectorBytes:  record.Unknown[int64](none),
		PhysicalSectorBytes: record.Unknown[int64](none),
		ReadOnly:            record.Unknown[bool](none),
	}
}

func (s *stream) state() State { return unknownState("a stream does not have it") }

func (s *stream) size() int64 { return -1 }

func (s *stream) sectorBytes() int64 { return fileSectorBytes }

func (s *stream) readAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

func (s *stream) checkEnd() error { return nil }

func (s *stream) checkDestination(string) error { return nil }

func (s *stream) close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}
