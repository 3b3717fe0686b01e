package medium

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// helper makes system calls on a goroutine of its own, because a read that the device does not answer cannot be
// cancelled: it is left behind with its memory. Beside a read of 1 MiB the hand-over cannot be measured (BenchmarkRead).
type helper struct {
	asks    chan ask
	answers chan answer // has room for one, so that a late answer finds its way out and the goroutine its end
	timer   *time.Timer
	ended   chan struct{}
	once    sync.Once
}

type ask struct {
	call func(p []byte, off int64) (int, error)
	p    []byte
	off  int64
}

type answer struct {
	n   int
	err error
}

func newHelper() *helper {
	h := &helper{asks: make(chan ask), answers: make(chan answer, 1), timer: time.NewTimer(time.Hour), ended: make(chan struct{})}
	go h.run()
	return h
}

func (h *helper) run() {
	for {
		select {
		case <-h.ended:
			return
		case a := <-h.asks:
			n, err := a.call(a.p, a.off)
			h.answers <- answer{n, err}
		}
	}
}

// do reports false if the call has not returned in time. The helper is of no use after that.
func (h *helper) do(a ask, limit time.Duration) (answer, bool) {
	h.timer.Reset(limit)
	select {
	case <-h.ended:
		return answer{err: os.ErrClosed}, true
	case h.asks <- a:
	}
	select {
	case r := <-h.answers:
		return r, true
	case <-h.timer.C:
		return answer{}, false
	}
}

// end lets the goroutine end, at once or when its last call returns. A read that is not waited for may ask once more, and gets
// os.ErrClosed.
func (h *helper) end() { h.once.Do(func() { close(h.ended) }) }

// call makes one read, within the time-out if there is one.
func (d *disk) call(p []byte, off int64) (int, error) {
	if d.timeout == 0 {
		return d.system(p, off)
	}
	a, ok := d.helper.do(ask{d.system, p, off}, d.timeout)
	if !ok {
		return 0, &HungError{Path: d.path, Offset: off, SizeBytes: int64(len(p)), Waited: d.timeout}
	}
	return a.n, a.err
}

// system is pread without os.File's own loop, which goes on after a short read at an unaligned place. The connection
// keeps the descriptor from being closed, and its number from being given to another file, while a read hangs.
func (d *disk) system(p []byte, off int64) (n int, err error) {
	closed := d.conn.Control(func(fd uintptr) { n, err = unix.Pread(int(fd), p, off) })
	if closed != nil {
		return 0, os.ErrClosed
	}
	return max(n, 0), err
}
