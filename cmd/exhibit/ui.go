package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"unicode"

	"golang.org/x/term"
)

// ui is the only thing that prints. Results go to stdout, all else to stderr after "exhibit: ". Text that comes
// from a file or a device passes through clean or %q, so that it cannot forge a line.
type ui struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	json           bool
	tty            bool // stderr is a terminal: progress is drawn
	mu             sync.Mutex
	failed         error // the first failed write of a result
	code           int   // of a command that ended without error but not with 0, as verify does
	flagFailed     bool  // the flags behind a bad one were not read
}

func newUI(stdin io.Reader, stdout, stderr io.Writer) *ui {
	u := &ui{stdin: stdin, stdout: stdout, stderr: stderr}
	if f, ok := stderr.(*os.File); ok {
		u.tty = term.IsTerminal(int(f.Fd()))
	}
	return u
}

// linef prints one line of a result.
func (u *ui) linef(format string, args ...any) {
	u.write(u.stdout, fmt.Sprintf(format, args...)+"\n")
}

// notef prints one line to stderr.
func (u *ui) notef(format string, args ...any) {
	u.write(u.stderr, "exhibit: "+fmt.Sprintf(format, args...)+"\n")
}

// prompt prints text to stderr as it is, for a person who is asked something.
func (u *ui) prompt(text string) { u.write(u.stderr, text) }

// print writes text that ends its own lines.
func (u *ui) print(text string) { u.write(u.stdout, text) }

func (u *ui) write(w io.Writer, s string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, err := io.WriteString(w, s); err != nil && w == u.stdout && u.failed == nil {
		u.failed = err
	}
}

// result prints the JSON document, or lets text print lines.
func (u *ui) result(doc any, text func()) error {
	if !u.json {
		text()
		return nil
	}
	b, err := encodeDocument(doc)
	if err != nil {
		return err
	}
	u.print(string(b) + "\n")
	return nil
}

// finish prints the error, if any, with its hints and returns the exit code. A closed pipe behind stdout changes
// nothing; a result that could not be written for another reason is a failure.
func (u *ui) finish(err error) int {
	code := exitCode(err)
	if err == nil {
		code = u.code
	}
	if err != nil {
		u.write(u.stderr, "exhibit: error: "+clean(err.Error())+"\n")
		for _, h := range hintsFor(err) {
			u.write(u.stderr, "exhibit: hint: "+clean(h)+"\n")
		}
		if u.json {
			b, jsonErr := encodeDocument(errorDocument{"exhibit-error/v1", code, clean(err.Error()), hintsFor(err)})
			if jsonErr == nil {
				u.print(string(b) + "\n")
			}
		}
	}
	if u.failed != nil && !errors.Is(u.failed, syscall.EPIPE) && code == codeDone {
		u.write(u.stderr, "exhibit: error: the result could not be written: "+clean(u.failed.Error())+"\n")
		return codeFailed
	}
	return code
}

// clean makes text fit for one line: what is not printable is shown by its code point.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString("; ")
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "<%U>", r)
		}
	}
	return b.String()
}

// plural puts a count before its noun.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// size shows bytes for people, and exactly.
func size(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB"}
	if n < 1024 {
		return plural(n, "byte")
	}
	f, i := float64(n)/1024, 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	return fmt.Sprintf("%.1f %s (%d bytes)", f, units[i], n)
}
