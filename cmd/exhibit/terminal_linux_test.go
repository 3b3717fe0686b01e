package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInterruptAtPrompt stops a command that asks for a passphrase: once is enough, and the terminal echoes again.
func TestInterruptAtPrompt(t *testing.T) {
	master, slave := openTerminal(t)
	cmd := exec.Command("exhibit", "key", "create", "k", "--kind", "person")
	cmd.Env = append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(t.TempDir(), "home"))
	cmd.Stdin, cmd.SysProcAttr = slave, &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, master, "assphrase")
	if _, err := master.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != codeInterrupted {
		t.Errorf("ended with %v, want exit code %d", err, codeInterrupted)
	}
	state, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil || state.Lflag&unix.ECHO == 0 {
		t.Errorf("the terminal does not echo any more (%v)", err)
	}
}

func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil && os.Getenv("EXHIBIT_REQUIRE_TOOLS") == "" {
		t.Skipf("no terminals here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}

func waitFor(t *testing.T, master io.Reader, prompt string) {
	t.Helper()
	var seen strings.Builder
	b := make([]byte, 256)
	for !strings.Contains(seen.String(), prompt) {
		n, err := master.Read(b)
		if err != nil {
			t.Fatalf("%q, then %v", &seen, err)
		}
		seen.Write(b[:n])
	}
}
