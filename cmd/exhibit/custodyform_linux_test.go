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
	late := time.After(2 * time.Minute)
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

// ends waits for the end, requires the exit code and returns all that was on the terminal, which must echo.
func (p *typist) ends(code int) string {
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
	return p.seen
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

// TestForm logs by the form what an officer and a store would, and leaves it in every way.
func TestForm(t *testing.T) {
	dir, entries := formStation(t)
	want := entries()
	logged := func(t *testing.T, more int64) {
		t.Helper()
		if want += more; entries() != want {
			t.Fatalf("the log has %d entries, want %d", entries(), want)
		}
	}
	t.Run("seize", func(t *testing.T) {
		p := sitDown(t, dir, "custody", "seize", "7", "--place", "12 Example Street")
		p.answer("at [now]: ", "yesterday", "--at \"yesterday\" is no time", "", "at [now]: ", "2026-11-20T10:00:00+01:00",
			"by [I. N. Spector]: ", "", "by-role: ", ".", "description (required): ", "", "description is required", "", "description (required): ", "laptop, white",
			"y, n or a number: ", "4", "description [laptop, white]: ", "laptop, black",
			"y, n or a number: ", "serial", "serial: ", "X-99", "y, n or a number: ", "y", "assphrase", passphrase)
		for _, text := range []string{"description: laptop, black", "12 Example Street", "X-99", "late entry"} {
			if out := p.ends(codeDone); !strings.Contains(out, text) {
				t.Errorf("the history does not say %q: %s", text, out)
			}
			break
		}
		logged(t, 1)
	})
	_ = logged
}

var _ = errors.New
