package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/tpm"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// The exit codes, as in docs/exit-codes.md. 2 is Go's own, for a crash.
const (
	codeDone        = 0
	codeFailed      = 1
	codeUnread      = 3
	codeMismatch    = 4
	codeMissing     = 5
	codeResumable   = 6
	codeInterrupted = 130
)

var codeMeanings = map[int]string{
	codeDone:        "done",
	codeFailed:      "failed or misused; what exists is named as partial",
	codeUnread:      "not all: of the medium (unread ranges, or a hidden area), or of the image (--truncate)",
	codeMismatch:    "evidence, record or log does not match: changed or damaged",
	codeMissing:     "nothing contradicts, but something required is missing, unknown or not trusted",
	codeResumable:   "stopped and resumable",
	codeInterrupted: "interrupted by the user",
}

func codesText(codes []int) string {
	all := slices.Compact(slices.Sorted(slices.Values(append([]int{codeDone, codeFailed}, codes...))))
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, c := range all {
		fmt.Fprintf(&b, "  %-4d %s\n", c, codeMeanings[c])
	}
	return strings.TrimRight(b.String(), "\n")
}

// codedError carries an exit code that the error's kind alone does not tell.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// hintedError carries what the user can type next.
type hintedError struct {
	hints []string
	err   error
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &codedError{code, err}
}

func withHints(err error, hints ...string) error {
	if err == nil || len(hints) == 0 { // without one of its own it must not hide one inside
		return err
	}
	return &hintedError{hints, err}
}

// misused marks what the user's own words caused: exit 1, though it may wrap what in a case folder would be damage.
func misused(err error, hints ...string) error { return withHints(withCode(codeFailed, err), hints...) }

// exitCode is the one function that maps an error to an exit code. What it does not know is a failure.
func exitCode(err error) int {
	var coded *codedError
	switch {
	case err == nil:
		return codeDone
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, acquire.ErrReread), errors.Is(err, image.ErrPartial), errors.Is(err, record.ErrMalformed), errors.Is(err, record.ErrOpening),
		errors.Is(err, sign.ErrSignature), errors.Is(err, durable.ErrDiffers), errors.Is(err, durable.ErrNotRegular), errors.Is(err, durable.ErrTooLarge):
		return codeMismatch
	case errors.Is(err, context.Canceled):
		return codeInterrupted
	case errors.Is(err, record.ErrNewer), errors.Is(err, custody.ErrMissing), errors.Is(err, ledger.ErrRefused) && errors.Is(err, fs.ErrNotExist):
		return codeMissing
	case errors.Is(err, ledger.ErrRefused):
		return codeMismatch
	}
	return codeFailed
}

// hintsFor collects the hints that the error carries, or else those for causes known everywhere.
func hintsFor(err error) []string {
	var out []string
	if h := (*hintedError)(nil); errors.As(err, &h) {
		out = append(out, h.hints...)
	}
	// A library error may carry a hint where the cause is known.
	var known interface{ Hint() string }
	if errors.As(err, &known) && known.Hint() != "" && !slices.Contains(out, known.Hint()) {
		out = append(out, known.Hint())
	}
	if len(out) == 0 {
		out = remoteHints(err)
	}
	if len(out) > 0 {
		return out
	}
	switch {
	case errors.Is(err, custody.ErrNotCase):
		return []string{"name the case folder with --case DIR, or make one with: exhibit case create"}
	case errors.Is(err, custody.ErrNotAdmitted):
		return []string{"see which keys the case admits with: exhibit case show", "choose another key with --key NAME"}
	case errors.Is(err, sign.ErrPassphrase):
		return []string{"the passphrase is the one given to: exhibit key create", "give it with --passphrase-file FILE, or at the prompt"}
	case errors.Is(err, tpm.ErrFull):
		return []string{"close a case whose counter is still in the TPM with: exhibit case close DIR", "see: exhibit key status"}
	case errors.Is(err, tpm.ErrLockout), errors.Is(err, tpm.ErrOther), errors.Is(err, tpm.ErrOwned):
		return []string{"see what is the matter with: exhibit key status"}
	case errors.Is(err, sign.ErrExposed):
		return []string{"find out who read it; if nobody did, take the rights of others away with chmod 600, else make a new key"}
	case errors.Is(err, durable.ErrLocked):
		return []string{"wait until the other process has ended"}
	case errors.Is(err, record.ErrNewer):
		return []string{"check it with a newer version of exhibit"}
	case errors.Is(err, ledger.ErrRefused):
		return []string{"see what is damaged or missing with: exhibit verify CASE", "look for the newest copy of the case folder; if there is none: exhibit log continue -h"}
	case errors.Is(err, record.ErrMalformed), errors.Is(err, record.ErrOpening), errors.Is(err, custody.ErrMissing):
		return []string{"see what is damaged or missing with: exhibit verify CASE"}
	case errors.Is(err, fs.ErrPermission):
		return []string{"run the command as a user who may read the medium and write the case folder"}
	}
	return nil
}
