package contents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

const (
	// maxFailures is after how many unreadable places a medium is left alone: each may cost half a minute and the drive.
	maxFailures = 16
	// maxCached bounds the pages in memory: 16 MiB of 4 KiB each.
	maxCached = 4096
)

var (
	errOutside = errors.New("beyond the end of the medium")
	errGivenUp = errors.New("not read: too many places before it could not be read")
)

// pages reads the medium in pages, none of which is asked for again once it failed.
type pages struct {
	ctx    context.Context
	r      io.ReaderAt
	bytes  int64 // of the medium
	page   int64 // bytes of a page
	cache  map[int64][]byte
	failed map[int64]error
}

func newPages(ctx context.Context, r io.ReaderAt, bytes, page int64) *pages {
	return &pages{ctx: ctx, r: r, bytes: bytes, page: page, cache: map[int64][]byte{}, failed: map[int64]error{}}
}

// placeError says where a read failed.
type placeError struct {
	offset int64 // of the page
	err    error
}

func (e *placeError) Error() string { return e.err.Error() }
func (e *placeError) Unwrap() error { return e.err }

// read returns n bytes at off, which the caller does not change. An error is errOutside or a *placeError.
func (p *pages) read(off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off > p.bytes || n > p.bytes-off {
		return nil, errOutside
	}
	first := off / p.page
	if off%p.page+n <= p.page && n > 0 {
		b, err := p.get(first)
		if err != nil {
			return nil, err
		}
		return b[off%p.page:][:n:n], nil
	}
	out := make([]byte, 0, n)
	for i := first; int64(len(out)) < n; i++ {
		b, err := p.get(i)
		if err != nil {
			return nil, err
		}
		if i == first {
			b = b[off%p.page:]
		}
		out = append(out, b[:min(int64(len(b)), n-int64(len(out)))]...)
	}
	return out, nil
}

func (p *pages) get(i int64) ([]byte, error) {
	if b, ok := p.cache[i]; ok {
		return b, nil
	}
	fail := func(err error) ([]byte, error) { return nil, &placeError{i * p.page, err} }
	if err, ok := p.failed[i]; ok {
		return fail(err)
	}
	if err := p.ctx.Err(); err != nil {
		return fail(fmt.Errorf("not read: %w", err))
	}
	if len(p.failed) >= maxFailures {
		return fail(errGivenUp)
	}
	b := make([]byte, min(p.page, p.bytes-i*p.page))
	n, err := p.r.ReadAt(b, i*p.page)
	if n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		// Without the path, which may name a person.
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		p.failed[i] = err
		return fail(err)
	}
	if len(p.cache) >= maxCached {
		clear(p.cache)
	}
	p.cache[i] = b
	return b, nil
}
