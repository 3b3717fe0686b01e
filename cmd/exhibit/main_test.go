package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/testtool/swtpm"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"exhibit": main}) }

// TestScripts runs testdata/script: each file is one noun, each block of it one rule. Beside testscript's own commands:
//
//	code N PROGRAM ARGS...   runs the program and requires exactly exit code N; stdout and stderr match as after exec
//	station [sealed]         the keys p, s and l of the case in the folder case, which is trusted; keys q and t, which the
//	                         case does not admit; passphrase file pass. Sealed: exhibits 7 and 8/b, acquired from medium.img.
//	                         Sets LOG, FINGERPRINT, ACQ and SPLIT. Called again, it puts everything back
//	flip FILE OFFSET         changes one bit of a file, read-only or not
//	failing WHAT...          makes devices and folders that fail: see scriptFailing
//	tpm [off|on|save|restore]  a software TPM, the same for all scripts that are run, whose address is in TPM
//	need PROGRAM...          skips the script when a program is missing, or fails it: see testtool
func TestScripts(t *testing.T) {
	s := newStations(t.TempDir())
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Values["t"] = e.T()
			e.Values["failing"] = new(failing)
			e.Setenv("EXHIBIT_HOME", filepath.Join(e.WorkDir, "home"))
			return os.WriteFile(filepath.Join(e.WorkDir, "pass"), []byte(passphrase+"\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"tpm": scriptTPM(t), "code": scriptCode, "station": s.script, "flip": scriptFlip, "need": scriptNeed, "failing": scriptFailing,
		},
	})
}

// scriptTPM gives each script that wants one a software TPM of its own: it serves one program at a time.
func scriptTPM(t *testing.T) func(*testscript.TestScript, bool, []string) {
	var mu sync.Mutex
	machines := map[string]*swtpm.Machine{}
	machine := func(name string) *swtpm.Machine {
		mu.Lock()
		defer mu.Unlock()
		if machines[name] == nil {
			machines[name] = swtpm.New(t)
		}
		return machines[name]
	}
	return func(ts *testscript.TestScript, neg bool, args []string) {
		m := machine(ts.Name())
		switch what := strings.Join(args, " "); {
		case neg:
			ts.Fatalf("usage: tpm [off|on|save|restore]")
		case what == "":
			ts.Setenv("TPM", m.Address())
			ts.Setenv("TCTI", m.TCTI())
			ts.Check(os.WriteFile(ts.MkAbs("makers.pem"), m.Roots(t), 0o600))
		case what == "off":
			m.PowerOff(t)
		case what == "on":
			m.PowerOn(t)
		case what == "save":
			m.Save(t, ts.MkAbs("tpm-state"))
		case what == "restore":
			m.Restore(t, ts.MkAbs("tpm-state"))
		default:
			ts.Fatalf("usage: tpm [off|on|save|restore]")
		}
	}
}

func scriptNeed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: need PROGRAM...")
	}
	for _, name := range args {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("EXHIBIT_REQUIRE_TOOLS") == "1" {
			ts.Fatalf("the test needs the program %s, and EXHIBIT_REQUIRE_TOOLS=1 forbids to skip it", name)
		}
		t, ok := ts.Value("t").(testscript.T)
		if !ok {
			ts.Fatalf("Setup did not keep the test")
		}
		t.Skip("the test needs the program " + name)
	}
}

func scriptCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s did not run: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func scriptFlip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	matches, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(matches) != 1 {
		ts.Fatalf("%q names %d files", args[0], len(matches))
	}
	off, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Chmod(matches[0], 0o644))
	b, err := os.ReadFile(matches[0])
	ts.Check(err)
	if off >= int64(len(b)) {
		ts.Fatalf("%q has %d bytes", matches[0], len(b))
	}
	b[off] ^= 1
	ts.Check(os.WriteFile(matches[0], b, 0o644)) //nolint:gosec // test
}

// The exit codes of errors that no script can make cheaply.
func TestExitCode(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, codeDone}, {errors.New("x"), codeFailed}, {context.Canceled, codeInterrupted},
		{withHints(withCode(codeResumable, errors.New("x")), "h"), codeResumable},
		{fmt.Errorf("w: %w", withCode(codeMismatch, context.Canceled)), codeMismatch},
		{fmt.Errorf("%w: %w", ledger.ErrRefused, fs.ErrNotExist), codeMissing},
		{fmt.Errorf("%w: %w", ledger.ErrRefused, record.ErrNewer), codeMissing},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("exitCode(%v) = %d, want %d", test.err, got, test.want)
		}
	}
}
