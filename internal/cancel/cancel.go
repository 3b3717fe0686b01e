// Package cancel lets a long copy be interrupted.
//
// Start with [Reader]. The promise: after the context has ended, no further read begins, and the error of the next one is the
// context's own. A read that waits already is not ended.
package cancel

import (
	"context"
	"io"
)

// Reader returns a reader of what r gives that ends when ctx does. It is for one goroutine, as r is.
func Reader(ctx context.Context, r io.Reader) io.Reader { return reader{ctx, r} }

type reader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
