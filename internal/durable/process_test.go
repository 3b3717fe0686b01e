//go:build unix

package durable_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// childEnv names the work that this test binary does when it is started again as a process of its own.
const childEnv = "EXHIBIT_DURABLE_TEST_CHILD"

func TestMain(m *testing.M) {
	work, ok := children[os.Getenv(childEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := work(os.Args[1]); err != nil {
		os.Exit(fail(err))
	}
	os.Exit(0)
}

// say prints one line for the parent.
func say(what ...any) error {
	_, err := fmt.Fprintln(os.Stdout, what...)
	return err
}

// fail tells the parent why, and returns the exit code.
func fail(err error) int {
	if serr := say("error:", err); serr != nil {
		return 2
	}
	return 1
}

var children = map[string]func(dir string) error{
	"write": childWrite,
	"lock":  childLock,
	"once":  childOnce,
}

// child starts work in a process of its own, on dir, and gives its output line by line.
func child(t *testing.T, work, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe, dir)
	cmd.Env = append(os.Environ(), childEnv+"="+work)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		if cmd.ProcessState != nil {
			return
		}
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("the process ended by itself, without an error")
		}
	})
	return cmd, bufio.NewScanner(out)
}

// childWrite writes without end. It prints every call before it is made, and "done I" once round I is reported as
// written.
func childWrite(dir string) error {
	root, err := durable.OpenRootFaults(dir, func(op durable.Op, name string) error {
		return say("call", op, name)
	})
	if err != nil {
		return err
	}
	journal, err := root.OpenAppend("journal")
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if err := root.Replace("state", round(i)); err != nil {
			return err
		}
		if err := root.CreateEx(strconv.Itoa(i), round(i)); err != nil {
			return err
		}
		if err := journal.Append(fmt.Appendf(nil, "%d\n", i)); err != nil {
			return err
		}
		if err := say("done", i); err != nil {
			return err
		}
	}
}

// round is the content of round i: long enough that a kill can fall into a write.
func round(i int) []byte {
	return []byte(strings.Repeat(strconv.Itoa(i)+"\n", 20000))
}

// TestKill9 kills the writer at each of its calls in turn, and checks that what it reported is there and whole, and that
// no file under a final name is torn.
func TestKill9(t *testing.T) {
	const calls = 40 // two rounds
	var torn int
	for stop := 1; stop <= calls; stop++ {
		dir := t.TempDir()
		cmd, lines := child(t, "write", dir)
		done := -1
		seen := 0
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "done "); ok {
				var err error
				done, err = strconv.Atoi(text)
				must(t, err)
				continue
			}
			if !strings.HasPrefix(lines.Text(), "call ") {
				t.Fatalf("the writer says %q", lines.Text())
			}
			if seen++; seen == stop {
				must(t, cmd.Process.Kill())
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Error("the writer ended without an error")
		}
		if seen < stop {
			t.Fatalf("the writer ended by itself after %d calls", seen)
		}
		// The scan went on to the end of the pipe, so done is the last round the writer reported before it died.
		torn += checkKilled(t, dir, done)
	}
	if torn == 0 {
		t.Error("no kill fell into a write; the test shows nothing")
	}
}

// checkKilled returns how many unfinished temporary files the kill left.
func checkKilled(t *testing.T, dir string, done int) int {
	t.Helper()
	root := openRoot(t, dir)
	removed, err := root.Sweep(".")
	must(t, err)
	state := -1
	for _, name := range names(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		switch name {
		case "state":
			_, err = fmt.Sscanf(string(data), "%d\n", &state)
			must(t, err)
			if string(data) != string(round(state)) {
				t.Errorf("state holds %d bytes, torn", len(data))
			}
		case "journal":
			checkJournal(t, string(data), done)
		default:
			i, err := strconv.Atoi(name)
			must(t, err)
			if string(data) != string(round(i)) || !sealed(t, filepath.Join(dir, name)) {
				t.Errorf("file %d: %d bytes, sealed %v", i, len(data), sealed(t, filepath.Join(dir, name)))
			}
		}
	}
	for i := range done + 1 {
		if _, err := root.Lstat(strconv.Itoa(i)); err != nil {
			t.Errorf("reported as written: %v", err)
		}
	}
	if state < done {
		t.Errorf("state is %d, and %d was reported", state, done)
	}
	return len(removed)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func checkJournal(t *testing.T, got string, done int) {
	t.Helper()
	var want strings.Builder
	for i := range done + 1 {
		fmt.Fprintf(&want, "%d\n", i)
	}
	safe := want.String()
	fmt.Fprintf(&want, "%d\n", done+1)
	if !strings.HasPrefix(got, safe) || !strings.HasPrefix(want.String(), got) {
		t.Errorf("journal %q, want %q and at most the next line", got, safe)
	}
}

// childLock holds the lock until it is killed.
func childLock(dir string) error {
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return err
	}
	if _, err := root.TryLock("lock"); err != nil {
		return err
	}
	if err := say("locked"); err != nil {
		return err
	}
	select {}
}

func TestLockOfAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	before := time.Now().UTC().Truncate(time.Second)
	cmd, lines := child(t, "lock", dir)
	if !lines.Scan() || lines.Text() != "locked" {
		t.Fatalf("the holder says %q", lines.Text())
	}
	root := openRoot(t, dir)
	_, err := root.TryLock("lock")
	wantErr(t, err, durable.ErrLocked)
	held, ok := errors.AsType[*durable.LockedError](err)
	if !ok || held.PID != cmd.Process.Pid || held.Since.Before(before) || held.Since.After(time.Now()) {
		t.Errorf("holder %+v, want process %d since now", held, cmd.Process.Pid)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = root.Lock(ctx, "lock")
	wantErr(t, err, durable.ErrLocked)
	wantErr(t, err, context.Canceled)

	got := make(chan error, 1)
	go func() {
		l, err := root.Lock(context.Background(), "lock")
		if err == nil {
			err = l.Unlock()
		}
		got <- err
	}()
	must(t, cmd.Process.Kill())
	must(t, <-got) // the system releases the lock of a killed holder
}

func TestLockInOneProcess(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	l, err := root.TryLock("lock")
	must(t, err)
	_, err = root.TryLock("lock")
	wantErr(t, err, durable.ErrLocked)
	must(t, os.WriteFile(filepath.Join(dir, "lock"), []byte("pid 1\nerror: x"), 0o600))
	_, err = root.TryLock("lock")
	if want := `lock "lock": held by an unknown process`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	must(t, l.Unlock())
	wantFile(t, filepath.Join(dir, "lock"), "", 0o600)
	l, err = root.TryLock("lock")
	must(t, err)
	must(t, l.Unlock())
}

// childOnce writes one file and says what became of it.
func childOnce(dir string) error {
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return err
	}
	if err := root.CreateEx("f", []byte(content)); err != nil {
		return err
	}
	return say("written")
}
