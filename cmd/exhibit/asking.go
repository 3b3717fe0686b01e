package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// maxAnswer bounds a line that a person types, in bytes: a terminal hands over no more than 4095 and drops the rest unseen.
const maxAnswer = 4000

// errAnswer says that a line cannot be taken; the person is asked again.
var errAnswer = errors.New("not taken")

// asks reports whether there is a person who can be asked: at a terminal, for text.
func (u *ui) asks() bool {
	f, ok := u.stdin.(*os.File)
	return ok && u.tty && !u.json && term.IsTerminal(int(f.Fd()))
}

// ask prints the prompt and reads the line that is typed, without the blanks around it. It is io.EOF when nothing will be typed
// any more, and ends with ctx: then the reading still waits, and nothing else can be asked.
func (u *ui) ask(ctx context.Context, prompt string) (string, error) {
	type answer struct {
		line string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		line, err := readAnswer(u.stdin)
		done <- answer{line, err}
	}()
	u.prompt(prompt)
	select {
	case a := <-done:
		return a.line, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// forget drops what was typed before it is asked for: a text of many lines that was pasted must not sign anything.
func (u *ui) forget() {
	if f, ok := u.stdin.(*os.File); ok {
		dropTyped(f)
	}
}

// readAnswer reads one line and not a byte more. A line that was cut short by the end is none.
func readAnswer(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := r.Read(b)
		if n == 1 && b[0] == '\n' {
			break
		}
		if n == 0 && err != nil {
			return "", err
		}
		if n == 1 && len(line) <= maxAnswer {
			line = append(line, b[0])
		}
	}
	if len(line) > maxAnswer {
		return "", fmt.Errorf("%w: a line that is typed has at most %d bytes; what is longer is given by its flag", errAnswer, maxAnswer)
	}
	if !utf8.Valid(line) {
		return "", fmt.Errorf("%w: it is not text in UTF-8", errAnswer)
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	if i := bytes.IndexFunc(line, unicode.IsControl); i >= 0 {
		return "", fmt.Errorf("%w: a control character is in it (%q), as an arrow key types it", errAnswer, line[i:min(i+4, len(line))])
	}
	return strings.TrimSpace(string(line)), nil
}
