// Package remote asks time-stamp authorities and witnesses over HTTP, and answers as a witness. It is apart from package
// anchor so that whoever only checks anchors has no network code.
//
// Start with [Stamp] and [Cosign], or with [NewHandler]. The promise: every answer is bounded, nothing that came is believed here,
// and nothing is asked of an address that the caller did not name: a redirection is an error.
package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// patience is how long an authority or a witness may take.
const patience = 30 * time.Second

// CheckAddress requires an http or https address.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%.200q is no http or https address", address)
	}
	return nil
}

// Stamp sends a time-stamp request and returns the answer of the authority, unread.
func Stamp(ctx context.Context, address string, request []byte) ([]byte, error) {
	status, _, answer, err := post(ctx, address, "application/timestamp-query", request, layout.MaxToken)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%q: %w, with HTTP status %d", address, anchor.ErrRefused, status)
	}
	return answer, nil
}

// Cosign sends an add-checkpoint request to a witness, and returns its answer, unread. The error is *anchor.SizeError where the
// witness knows the log at another size.
func Cosign(ctx context.Context, address string, request []byte) ([]byte, error) {
	address = strings.TrimSuffix(address, "/") + "/add-checkpoint"
	status, kind, answer, err := post(ctx, address, "text/plain; charset=utf-8", request, layout.MaxCosigned)
	if err != nil {
		return nil, err
	}
	switch status {
	case http.StatusOK:
		return answer, nil
	case http.StatusConflict:
		if size, ok := anchor.ParseSize(answer); ok && kind == anchor.SizeType {
			return nil, &anchor.SizeError{Size: size}
		}
		return nil, fmt.Errorf("%q: %w: the witness has cosigned another checkpoint of this size", address, anchor.ErrFork)
	case http.StatusUnprocessableEntity:
		return nil, fmt.Errorf("%q: %w: for the witness this log does not contain what it has cosigned", address, anchor.ErrFork)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%q: %w: the witness does not know this log", address, anchor.ErrRefused)
	}
	return nil, fmt.Errorf("%q: %w, with HTTP status %d", address, anchor.ErrRefused, status)
}

func post(ctx context.Context, address, kind string, body []byte, limit int64) (status int, answerKind string, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, fmt.Errorf("ask %q: %w", address, err)
	}
	req.Header.Set("Content-Type", kind)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("it sends us to another address")
	}}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", nil, fmt.Errorf("ask %q: %w", address, withoutURL(err))
	}
	answer, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return 0, "", nil, fmt.Errorf("read the answer of %q: %w", address, err)
	}
	if int64(len(answer)) > limit {
		return 0, "", nil, fmt.Errorf("the answer of %q is longer than %d bytes", address, limit)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), answer, nil
}

// withoutURL takes the address out of an error that names it unquoted.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
