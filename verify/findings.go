package verify

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
)

// What to do, by cause.
const (
	adviceCopy    = "compare with another copy of this folder; if none has the file intact, say so in the report of the examination"
	adviceMissing = "fetch the file from another copy of this folder"
	adviceRead    = "check the storage and the access rights, then verify again"
	adviceNewer   = "verify with a newer version of exhibit"
	adviceLink    = "do not open it; fetch the file itself from another copy of this folder"
	adviceLog     = "do not append to this log; fetch the log from another copy of the case and compare"
	adviceAppend  = "run any command that appends to the case, such as `exhibit custody seize`, on the station that keeps this log"
)

// fromError turns an error about a file into a finding. What is missing, unreadable or newer leaves open whether the
// evidence is sound; everything else contradicts.
func fromError(file string, err error) Finding {
	f := Finding{Severity: Mismatch, File: file, Advice: adviceCopy}
	switch {
	case errors.Is(err, record.ErrNewer), errors.Is(err, hashtree.ErrVersion):
		f.Severity, f.Advice = Missing, adviceNewer
		f.Text = "the file is of a type or version that this program does not know: " + err.Error()
	case errors.Is(err, errNotPlain):
		f.Advice = adviceLink
		f.Text = "something other than a file or folder of the case stands here: " + err.Error()
	case errors.Is(err, fs.ErrNotExist):
		f.Severity, f.Advice = Missing, adviceMissing
		f.Text = "the file is missing"
	case errors.Is(err, errTooLarge), errors.Is(err, image.ErrChanged), isContent(err):
		f.Text = "the file is damaged or was changed: " + err.Error()
	default:
		f.Severity, f.Advice = Missing, adviceRead
		f.Text = "the file could not be read: " + err.Error()
	}
	return f
}

// contentError marks an error about what a file says, as opposed to one about reaching it.
type contentError struct{ error }

func (e contentError) Unwrap() error { return e.error }

// content marks err; nil stays nil.
func content(err error) error {
	if err == nil {
		return nil
	}
	return contentError{err}
}

func isContent(err error) bool {
	var c contentError
	return errors.As(err, &c) || errors.Is(err, record.ErrMalformed) || errors.Is(err, hashtree.ErrFormat)
}

// mismatch is a finding about a value that is not the one expected.
func mismatch(file, field, expected, found, text string) Finding {
	return Finding{Severity: Mismatch, File: file, Field: field, Expected: expected, Found: found, Text: text, Advice: adviceCopy}
}

// number puts a count before its noun.
func number(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
