package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/restore"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// At a terminal the device's name has to be typed: anything else, and Ctrl-C, leave it as it is.
func TestConfirmAtPrompt(t *testing.T) {
	t.Parallel()
	testtool.NeedRoot(t)
	testtool.Need(t, "losetup")
	station := filepath.Join(t.TempDir(), "station")
	if err := makeBare(station); err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("evidence"), 8192)
	for name, b := range map[string][]byte{"medium": content, "target": make([]byte, len(content))} {
		if err := os.WriteFile(filepath.Join(station, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := runIn(station, "acquire", "medium", "--exhibit", "7", "--case", "case", "--passphrase-file", "pass"); err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob(filepath.Join(station, "case/exhibits/7/*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("%q, %v", folders, err)
	}
	target := filepath.Join(station, "target")
	device := testtool.Run(t, "losetup", "--find", "--show", "--direct-io=on", target)
	t.Cleanup(func() { testtool.Run(t, "losetup", "--detach", device) })
	for _, c := range []struct {
		typed string
		code  int
		whole bool
	}{{"\x03", codeInterrupted, false}, {"\n", codeFailed, false}, {"yes\n", codeFailed, false}, {filepath.Base(device) + " 65536\n", codeDone, true}} {
		if code := restoreAt(t, station, folders[0], device, c.typed); code != c.code {
			t.Errorf("%q ends with %d, want %d", c.typed, code, c.code)
		}
		if b, err := os.ReadFile(target); err != nil || bytes.Equal(b, content) != c.whole {
			t.Errorf("after %q the target holds the image: %t, %v", c.typed, !c.whole, err)
		}
	}
}

// restoreAt runs a restore at a terminal and types something when it is asked.
func restoreAt(t *testing.T, station, folder, device, typed string) int {
	t.Helper()
	master, slave := openTerminal(t)
	cmd := exec.Command("exhibit", "image", "restore", folder, "--to", device)
	cmd.Env = append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(station, "home"))
	cmd.Stdin, cmd.SysProcAttr = slave, &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, master, "type ")
	if _, err := master.WriteString(typed); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// What has to be typed is the drive's own serial, before that of a bridge, and only without any the kernel's name.
func TestConfirmation(t *testing.T) {
	about := record.Medium{SizeBytes: 512}
	for want, id := range map[string]medium.Identity{
		"WD-1": {Path: "/dev/sdb", Serials: []string{"WD-1", "WD-2"}, USBSerial: "DOCK"}, "DOCK": {Path: "/dev/sdb", USBSerial: "DOCK", WWNs: []string{"naa.5"}},
		"naa.5": {Path: "/dev/sdb", WWNs: []string{"naa.5"}}, "loop0 512": {Path: "/dev/loop0"},
	} {
		if got := confirmation(about, id); got != want {
			t.Errorf("%+v is confirmed by %q, want %q", id, got, want)
		}
	}
}

// The exit code of a restore: the worst of what it found.
func TestRestoreCode(t *testing.T) {
	done := restore.Result{Finished: true, Digests: make([]record.Digest, 2)}
	with := func(change func(*restore.Result)) restore.Result {
		r := done
		change(&r)
		return r
	}
	bad := []restore.Range{{Offset: 512, SizeBytes: 512}, {Offset: 4096, SizeBytes: 1024}}
	for name, c := range map[string]struct {
		result   restore.Result
		verified int
		want     int
	}{
		"zero":                 {restore.Result{}, codeDone, codeFailed},
		"done":                 {done, codeDone, codeDone},
		"not trusted":          {done, codeMissing, codeMissing},
		"cut":                  {with(func(r *restore.Result) { r.Truncated = 1 }), codeMissing, codeUnread},
		"not taken":            {with(func(r *restore.Result) { r.Unwritten, r.Truncated = bad, 1 }), codeMissing, codeFailed},
		"not taken, not there": {with(func(r *restore.Result) { r.Unwritten, r.Differing = bad, bad[:1] }), codeDone, codeFailed},
		"differs":              {with(func(r *restore.Result) { r.Differing = bad }), codeDone, codeMismatch},
		"differs beyond not taken": {with(func(r *restore.Result) {
			r.Unwritten, r.Differing = bad[:1], []restore.Range{{Offset: 512, SizeBytes: 1024}}
		}), codeDone, codeMismatch},
	} {
		if got := restoreCode(c.result, c.verified); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
