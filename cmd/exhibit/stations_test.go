package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"github.com/exhibit-forensics/exhibit/custody"
)

const passphrase = "a passphrase"

// stations are ready-made stations, each a folder with home, pass, case and, when sealed, medium.img. Keys cost time, so
// each is made once, when it is first asked for, and copied.
type stations struct {
	bare, sealed func() (string, error)
}

// newStations makes them with the program in PATH, as testscript.Main puts it there, below dir.
func newStations(dir string) *stations {
	s := &stations{}
	s.bare = sync.OnceValues(func() (string, error) {
		to := filepath.Join(dir, "bare")
		return to, makeBare(to)
	})
	s.sealed = sync.OnceValues(func() (string, error) {
		to := filepath.Join(dir, "sealed")
		from, err := s.bare()
		if err == nil {
			err = exec.Command("cp", "-a", from, to).Run()
		}
		if err == nil {
			err = makeSealed(to)
		}
		return to, err
	})
	return s
}

// makeBare makes the keys p, s and l, and others: q of a person, t of a station and m of a log, which the case does not know.
func makeBare(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "pass"), []byte(passphrase+"\n"), 0o600); err != nil {
		return err
	}
	for _, key := range [][2]string{{"p", "person"}, {"s", "station"}, {"l", "log"}, {"q", "person"}, {"t", "station"}, {"m", "log"}} {
		if err := signIn(dir, "key", "create", key[0], "--kind", key[1]); err != nil {
			return err
		}
	}
	if err := cheapen(filepath.Join(dir, "home", "keys")); err != nil {
		return err
	}
	if err := signIn(dir, "case", "create", "case", "--number", "2026-001", "--agency", "Example Police", "--opened-by", "I. N. Spector",
		"--key", "p", "--station", "s", "--log-key", "l"); err != nil {
		return err
	}
	c, err := custody.Open(filepath.Join(dir, "case"))
	if err != nil {
		return err
	}
	fingerprint := c.Fingerprint().String()
	if err := c.Close(); err != nil {
		return err
	}
	return runIn(dir, "trust", "add", "genesis", fingerprint, "--name", "this station")
}

// cheapen rewrites key files with the least cost that the program takes: the scripts unlock keys some two hundred times.
func cheapen(keys string) error {
	files, err := filepath.Glob(filepath.Join(keys, "*", "key*.pem"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no key files in %q: %w", keys, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		block, _ := pem.Decode(b)
		if block == nil {
			return fmt.Errorf("%q is no PEM file", name)
		}
		der, err := encrypted.Decrypt(block.Bytes, []byte(passphrase))
		if err != nil {
			return err
		}
		if block.Bytes, err = encrypted.EncryptWithCustomKDFParameters(der, []byte(passphrase), encrypted.Legacy); err != nil {
			return err
		}
		if err := errors.Join(os.Remove(name), os.WriteFile(name, pem.EncodeToMemory(block), 0o400)); err != nil {
			return err
		}
	}
	return nil
}

// mediumBytes is no multiple of a sector: 2.5 MiB and 3 bytes, so that the image has three groups and three segments.
const mediumBytes = 5<<19 + 3

// makeSealed seizes and acquires medium.img twice: as exhibit 7 in one file, as exhibit 8/b in segments of 1 MiB.
func makeSealed(dir string) error {
	medium := make([]byte, mediumBytes)
	for i := range medium {
		medium[i] = byte(i*i>>7 ^ i>>13)
	}
	if err := os.WriteFile(filepath.Join(dir, "medium.img"), medium, 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"custody", "seize", "7", "--description", "practice medium"},
		{"acquire", "medium.img", "--exhibit", "7"},
		{"custody", "seize", "8/b", "--description", "practice medium"},
		{"acquire", "medium.img", "--exhibit", "8/b", "--split", "1M", "--hash", "sha512"},
	} {
		if err := signIn(dir, append(args, "--case", "case")...); err != nil {
			return err
		}
	}
	return nil
}

func signIn(dir string, args ...string) error {
	return runIn(dir, append(args, "--passphrase-file", "pass")...)
}

func runIn(dir string, args ...string) error {
	cmd := exec.Command("exhibit", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(dir, "home"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("exhibit %q: %w\n%s", args, err, out)
	}
	return nil
}

// script is the command station; see TestScripts. Called again, it puts everything back as it was.
func (s *stations) script(ts *testscript.TestScript, neg bool, args []string) {
	get := s.bare
	if len(args) == 1 && args[0] == "sealed" {
		get, args = s.sealed, nil
	}
	if neg || len(args) != 0 {
		ts.Fatalf("usage: station [sealed]")
	}
	from, err := get()
	ts.Check(err)
	for _, name := range []string{"home", "case"} {
		ts.Check(os.RemoveAll(ts.MkAbs(name)))
	}
	ts.Check(exec.Command("cp", "-a", from+"/.", ts.MkAbs(".")).Run())
	c, err := custody.Open(ts.MkAbs("case"))
	ts.Check(err)
	defer c.Close()
	ts.Setenv("LOG", "case/logs/"+c.Genesis().Origin)
	ts.Setenv("FINGERPRINT", c.Fingerprint().String())
	for name, pattern := range map[string]string{"ACQ": "case/exhibits/7/*", "SPLIT": "case/exhibits/8%2Fb/*"} {
		if found, err := filepath.Glob(ts.MkAbs(pattern)); err == nil && len(found) == 1 {
			ts.Setenv(name, strings.TrimPrefix(found[0], ts.MkAbs(".")+"/"))
		}
	}
}
