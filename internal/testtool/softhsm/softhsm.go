// Package softhsm makes PKCS #11 tokens in software for tests, with the programs of SoftHSM and OpenSC.
//
// Start with [New]. Tokens lie in the test's own folder and end with it. [Spy] is a module that writes down each call.
package softhsm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// PIN is that of every token, SOPIN its security officer's.
const (
	PIN   = "4711-0815"
	SOPIN = "0000-9999"
)

// Tokens is a set of tokens that one module sees.
type Tokens struct {
	Config string // the value of SOFTHSM2_CONF for whoever uses the module
}

// New makes an empty set, and sets SOFTHSM2_CONF for this process.
func New(t testing.TB) *Tokens {
	t.Helper()
	s := NewIn(t, t.TempDir())
	t.Setenv("SOFTHSM2_CONF", s.Config)
	return s
}

// NewIn makes an empty set in the folder tokens below dir.
func NewIn(t testing.TB, dir string) *Tokens {
	t.Helper()
	testtool.Need(t, "softhsm2-util", "pkcs11-tool")
	s := &Tokens{Config: filepath.Join(dir, "softhsm2.conf")}
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := "directories.tokendir = " + filepath.Join(dir, "tokens") + "\nobjectstore.backend = file\nlog.level = ERROR\n"
	if err := os.WriteFile(s.Config, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// Module is the path of SoftHSM's library.
func Module(t testing.TB) string {
	t.Helper()
	return library(t, "libsofthsm2.so", "/usr/lib/softhsm", "/usr/lib/*/softhsm", "/usr/local/lib/softhsm")
}

// Spy is the path of a library that hands every call on to the one named in PKCS11SPY, and writes it down in the file named
// in PKCS11SPY_OUTPUT.
func Spy(t testing.TB) string {
	t.Helper()
	return library(t, "pkcs11-spy.so", "/usr/lib/*", "/usr/lib/*/pkcs11", "/usr/lib")
}

func library(t testing.TB, name string, dirs ...string) string {
	t.Helper()
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			return found[0]
		}
	}
	testtool.Need(t, name) // which says that it is missing
	return ""
}

// Init makes a token with that label.
func (s *Tokens) Init(t testing.TB, label string) {
	t.Helper()
	s.run(t, "softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SOPIN)
}

// Delete takes a token away, with its keys.
func (s *Tokens) Delete(t testing.TB, label string) {
	t.Helper()
	s.run(t, "softhsm2-util", "--delete-token", "--token", label)
}

// Tool runs pkcs11-tool, logged in to the token of that label.
func (s *Tokens) Tool(t testing.TB, label string, args ...string) {
	t.Helper()
	s.run(t, "pkcs11-tool", append([]string{"--module", Module(t), "--token-label", label, "--login", "--pin", PIN}, args...)...)
}

// Key makes a key pair in a token; algorithm is as pkcs11-tool names it, id in hex digits.
func (s *Tokens) Key(t testing.TB, token, label, id, algorithm string) {
	t.Helper()
	s.Tool(t, token, "--keypairgen", "--key-type", algorithm, "--label", label, "--id", id, "--usage-sign")
}

func (s *Tokens) run(t testing.TB, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+s.Config)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
