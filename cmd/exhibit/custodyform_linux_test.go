package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/custody"
)

// typist is a person at a terminal who waits for each prompt before typing.
type typist struct {
	t             *testing.T
	master, slave *os.File
	cmd           *exec.Cmd
	chunks        chan []byte
	seen          string // all of it
	fresh         string // of seen, what comes after the last prompt that was waited for
}

// sitDown starts the command on a terminal of its own, in the folder dir of a station.
func sitDown(t *testing.T, dir string, args ...string) *typist {
	t.Helper()
	master, slave := openTerminal(t)
	p := &typist{t: t, master: master, slave: slave, chunks: make(chan []byte, 100)}
	p.cmd = exec.Command("exhibit", append(args, "--case", "case")...)
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(dir, "home"))
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	go func() {
		for {
			b := make([]byte, 4096)
			n, err := master.Read(b)
			if err != nil {
				return
			}
			p.chunks <- b[:n]
		}
	}()
	return p
}

// wait reads on until the text is there.
func (p *typist) wait(text string) {
	p.t.Helper()
	late := time.After(time.Minute)
	for {
		if _, after, found := strings.Cut(p.fresh, text); found {
			p.fresh = after
			return
		}
		select {
		case b := <-p.chunks:
			p.seen, p.fresh = p.seen+string(b), p.fresh+string(b)
		case <-late:
			p.t.Fatalf("no %q, but: %s", text, p.seen)
		}
	}
}

// answer types lines, each after its prompt: they come in pairs.
func (p *typist) answer(pairs ...string) {
	p.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		p.wait(pairs[i])
		p.write(pairs[i+1] + "\n")
	}
}

func (p *typist) write(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.master, keys); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the end, and requires the exit code and that the terminal echoes again.
func (p *typist) ends(code int) {
	p.t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	var err error
	for waiting := true; waiting; {
		select {
		case b := <-p.chunks: // read on: who writes to a full terminal waits
			p.seen += string(b)
		case err = <-done:
			waiting = false
		case <-time.After(2 * time.Minute):
			p.t.Fatalf("it does not end: %s", p.seen)
		}
	}
	const end = "(the end of this terminal)"
	if _, err := io.WriteString(p.slave, end); err != nil {
		p.t.Fatal(err)
	}
	p.fresh = ""
	p.wait(end)
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d (%v), want %d: %s", got, err, code, p.seen)
	}
	state, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil || state.Lflag&unix.ECHO == 0 || state.Lflag&unix.ICANON == 0 {
		p.t.Errorf("the terminal is not as it was (%v)", err)
	}
}

// says is ends, and requires texts on the terminal.
func (p *typist) says(code int, texts ...string) {
	p.t.Helper()
	p.ends(code)
	for _, text := range texts {
		if !strings.Contains(p.seen, text) {
			p.t.Errorf("it does not say %q: %s", text, p.seen)
		}
	}
}

// formStation is a station, and how many entries its log has.
func formStation(t *testing.T) (dir string, entries func() int64) {
	t.Helper()
	dir, err := newStations(t.TempDir()).bare()
	if err != nil {
		t.Fatal(err)
	}
	return dir, func() int64 {
		c, err := custody.Open(filepath.Join(dir, "case"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		l, err := c.Log()
		if err != nil {
			t.Fatal(err)
		}
		return l.Size()
	}
}

// TestForm logs by the form what an officer and a store would, one after the other.
func TestForm(t *testing.T) {
	dir, entries := formStation(t)
	want := entries()
	for _, form := range []struct {
		name string
		fill func(t *testing.T, dir string)
	}{{"seize", formSeize}, {"seal", formSeal}, {"release", formRelease}, {"accept", formAccept}, {"restrict", formRestrict}} {
		t.Run(form.name, func(t *testing.T) {
			form.fill(t, dir)
			if want++; entries() != want {
				t.Fatalf("the log has %d entries, want %d", entries(), want)
			}
		})
	}
}

func formSeize(t *testing.T, dir string) {
	p := sitDown(t, dir, "custody", "seize", "7", "--place", "12 Example Street")
	p.answer("at [now]: ", "yesterday")
	p.wait(`--at "yesterday" is no time`)
	p.wait("hint: write it as")
	p.answer("at [now]: ", "2026-11-20T10:00:00+01:00", "by [I. N. Spector]: ", "", "by-role: ", ".", "description (required): ", "")
	p.wait("description is required")
	p.answer("description (required): ", "unknown")
	p.wait("nobody could tell the exhibit from another")
	p.answer("description (required): ", "laptop, white")
	p.wait("4  description: laptop, white")
	p.answer("y, n or a number: ", "4", "description [laptop, white]: ", "laptop, black")
	p.wait("4  description: laptop, black")
	p.answer("y, n or a number: ", "serial", "serial: ", "X-99", "y, n or a number: ", "y", "assphrase", passphrase)
	p.says(codeDone, "laptop, black", "12 Example Street", "X-99", "late entry")
	if strings.Contains(p.seen, "place: \r\n") || strings.Contains(p.seen, "provider: ") {
		t.Errorf("it asked for what was said, or does not belong: %s", p.seen)
	}
}

func formSeal(t *testing.T, dir string) {
	p := sitDown(t, dir, "custody", "seal", "7")
	p.answer("at [now]: ", ".", "seal (required): ", "S-1", "seal, number 2 (Enter: no more): ", "S-1")
	p.wait(`--seal "S-1" is given twice`)
	p.answer("number 2 (Enter: no more): ", "S-2", "number 3 (Enter: no more): ", "", "y, n or a number: ", "y", "assphrase", passphrase)
	p.says(codeDone, "S-1, S-2")
}

func formRelease(t *testing.T, dir string) {
	p := sitDown(t, dir, "custody", "release", "7", "--passphrase-file", "pass")
	p.answer("at [now]: ", "", "by [I. N. Spector]: ", "", "by-role: ", "", "by-agency: ", "", "by-id: ", "", "place: ", "", "purpose (required): ", "imaging",
		"authority: ", "", "condition: ", "", "witness: ", "", "remarks: ", "", "attach: ", "no such file")
	p.wait("the file to be attached: ")
	p.answer("attach: ", "", "to (required): ", "B. Lab", "to-role: ", "", "to-agency: ", "", "to-id: ", "", "to-key: ", "abc")
	p.wait("is not the identifier of a key")
	p.answer("to-key: ", "", "found: ", "", "image: ", "", "y, n or a number: ", "y")
	p.says(codeDone, "imaging", "B. Lab")
}

func formAccept(t *testing.T, dir string) {
	p := sitDown(t, dir, "custody", "accept", "7", "--passphrase-file", "pass")
	p.answer("at [now]: ", ".", "found (required): ", "")
	p.wait("write the word none")
	p.answer("found (required): ", "S-1", "number 2 (Enter: no more): ", "")
	p.wait("release: [3]")
	p.answer("y, n or a number: ", "y")
	p.wait("rule seals-differ")
	p.wait("--despite REASON")
	p.answer("y, n or a number: ", "found", "found [S-1]: ", "S-1", "number 2 (Enter: no more): ", "S-2", "number 3 (Enter: no more): ", "",
		"y, n or a number: ", "y")
	p.says(codeDone, "accepted")
}

// Of two answers one is needed: both are asked for, and the review says when neither was given.
func formRestrict(t *testing.T, dir string) {
	p := sitDown(t, dir, "custody", "restrict", "7", "--passphrase-file", "pass")
	p.answer("at [now]: ", ".", "authority (required): ", "order 3/2026", "kind: ", "", "lift: ", "", "y, n or a number: ", "y")
	p.wait("restrict needs one of --kind and --lift")
	p.answer("y, n or a number: ", "kind", "kind: ", "secret")
	p.wait("is none of")
	p.answer("kind: ", "privilege", "y, n or a number: ", "y")
	p.says(codeDone, "restriction: privilege")
}

// TestFormLeft leaves the form in every way, and types what is no answer.
func TestFormLeft(t *testing.T) {
	dir, entries := formStation(t)
	want := entries()
	t.Run("left", func(t *testing.T) {
		for _, leave := range []struct {
			keys string
			code int
			text string
		}{{"\x04", codeFailed, "the input ended before the event was signed: nothing was logged"}, {"lap\x04\x04", codeFailed, "nothing was logged"},
			{"\x03", codeInterrupted, "nothing was logged"}} {
			p := sitDown(t, dir, "custody", "seize", "8")
			p.answer("at [now]: ", ".")
			p.wait("description (required): ")
			p.write(leave.keys)
			p.says(leave.code, leave.text)

			p = sitDown(t, dir, "custody", "seize", "8", "--description", "unused", "--origin", "consent")
			p.answer("at [now]: ", ".", "from (required): ", "unknown")
			p.wait("y, n or a number: ")
			p.write(leave.keys)
			p.says(leave.code, leave.text)
		}
		p := sitDown(t, dir, "custody", "seize", "8")
		p.answer("at [now]: ", ".", "description (required): ", "laptop", "y, n or a number: ", "", "y, n or a number: ", "99", "y, n or a number: ", "n")
		p.says(codeFailed, "neither y nor n", "the form was left: nothing was logged")
	})
	t.Run("hostile", func(t *testing.T) {
		p := sitDown(t, dir, "custody", "seize", "8")
		p.answer("at [now]: ", ".", "description (required): ", "lap\x1b[Atop")
		p.wait("a control character")
		p.answer("description (required): ", "lap\xfftop")
		p.wait("not text in UTF-8")
		p.answer("description (required): ", strings.Repeat("x", maxAnswer+10))
		p.wait("at most 4000 bytes")
		p.wait("description (required): ")
		p.write("\u202egnp.exe\ny\ny\n") // lines that were pasted sign nothing
		p.wait("description: <U+202E>gnp.exe")
		p.answer("y, n or a number: ", "n")
		p.says(codeFailed, "nothing was logged")
	})
	if entries() != want {
		t.Errorf("the log has %d entries, want %d", entries(), want)
	}
}

// TestNoForm is of what is told at once, on a terminal or not, and of rules before passphrases.
func TestNoForm(t *testing.T) {
	dir, entries := formStation(t)
	want := entries()
	for _, test := range []struct {
		args  []string
		texts string
	}{
		{[]string{"custody", "note", "9", "--remarks", "a note"}, "rule not-begun"},
		{[]string{"custody", "seize", "9", "--description", "a card", "--part-of", "77"}, "rule no-such-exhibit"},
		{[]string{"custody", "release", "9", "--json"}, "release needs --to, --purpose"},
		{[]string{"custody", "seize", "9", "--from-file", "pass"}, "is no JSON object"},
		{[]string{"custody", "seize", "9", "--origin", "gift"}, "is none of"},
	} {
		p := sitDown(t, dir, test.args...)
		p.says(codeFailed, test.texts)
		if strings.Contains(p.seen, "assphrase of") || strings.Contains(p.seen, "[now]") {
			t.Errorf("%q asked for something: %s", test.args, p.seen)
		}
	}
	// A pipe in place of the keyboard, or in place of the screen.
	for _, stderr := range []bool{false, true} {
		_, slave := openTerminal(t)
		cmd := exec.Command("exhibit", "custody", "release", "9", "--case", "case")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(dir, "home"))
		var out strings.Builder
		cmd.Stdout = &out
		if stderr {
			cmd.Stdin, cmd.Stderr = slave, &out
		} else {
			cmd.Stdin, cmd.Stderr = strings.NewReader("\n\n\n"), &out
		}
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != codeFailed || !strings.Contains(out.String(), "release needs --to, --purpose\n") {
			t.Errorf("without a terminal: %v, %s", err, &out)
		}
	}
	if entries() != want {
		t.Errorf("the log has %d entries, want %d", entries(), want)
	}
}
