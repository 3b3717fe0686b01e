//go:build linux

package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

// outcome is one run of one variant of a case.
type outcome struct {
	variant, done string
	seen          []string // what was found, and is as it has to be
	wrong         []string // what is not
	skipped       string   // why it was not run
}

// check notes a finding.
func (o *outcome) check(ok bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if ok {
		o.seen = append(o.seen, text)
		return
	}
	o.wrong = append(o.wrong, "NOT: "+text)
}

func (o *outcome) text() string {
	switch {
	case o.skipped != "":
		return "not run: " + o.skipped
	case len(o.wrong) > 0:
		return "**not as expected**: " + strings.Join(o.wrong, "; ")
	}
	return "as expected: " + strings.Join(o.seen, "; ")
}

// exit checks the exit code of a command.
func (o *outcome) exit(command string, got, want int, said string) {
	o.check(got == want, "%s: exit code %d", command, want)
	if got != want {
		o.wrong = append(o.wrong, fmt.Sprintf("it ended with %d and said %q", got, said))
	}
}

// untouched checks that nobody tried to write to the source.
func (o *outcome) untouched(d *faultdisk.Disk) {
	o.check(len(d.Writes()) == 0, "no write reached the source")
}

// digests checks that a command printed the digests that Go's library computes.
func (o *outcome) digests(command, said string, want []byte, names ...string) {
	all := map[string]string{"md5": fmt.Sprintf("%x", md5.Sum(want)), "sha1": fmt.Sprintf("%x", sha1.Sum(want)), "sha256": fmt.Sprintf("%x", sha256.Sum256(want)),
		"sha512": fmt.Sprintf("%x", sha512.Sum512(want)), "blake3": fmt.Sprintf("%x", blake3.Sum256(want))}
	var good, bad []string
	for _, name := range names {
		if strings.Contains(said, all[name]) {
			good = append(good, name)
		} else {
			bad = append(bad, name)
		}
	}
	if len(good) > 0 {
		o.check(true, "%s: %s right", command, strings.Join(good, ", "))
	}
	if len(bad) > 0 {
		o.check(false, "%s: %s right", command, strings.Join(bad, ", "))
	}
}

// verified checks what verify says of a folder.
func (b *bench) verified(o *outcome, folder string, want int) (string, error) {
	said, code, err := b.exhibit("verify", folder)
	o.check(code == want, "verify: exit code %d", want)
	return said, err
}

// same checks that the image holds exactly the bytes, which what names, as another program than ours decodes it where it is an
// E01.
func (b *bench) same(o *outcome, a acquisition, want []byte, what string) error {
	names, err := a.images()
	if err != nil {
		return err
	}
	how := "image"
	if strings.HasSuffix(names[0], ".E01") {
		raw := filepath.Join(b.dir, "exported")
		if _, err := b.tool("ewfexport", "-u", "-q", "-f", "raw", "-t", raw, names[0]); err != nil {
			return err
		}
		names, how = []string{raw + ".raw"}, "image, decoded by ewfexport,"
		defer os.Remove(raw + ".raw") //nolint:errcheck // the folder is removed at the end
	}
	var got []byte
	for _, name := range names {
		part, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		got = append(got, part...)
	}
	o.check(bytes.Equal(got, want), "%s = %s, all %d bytes", how, what, len(want))
	return nil
}

// images are the files of the image, in order.
func (a *acquisition) images() ([]string, error) {
	var names []string
	for _, end := range []string{"raw", "[0-9][0-9][0-9]", "E[0-9A-Z][0-9A-Z]"} {
		found, err := filepath.Glob(filepath.Join(a.folder, a.number+"."+end))
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no image in %q; it said: %s", a.folder, a.said)
	}
	slices.Sort(names)
	return names, nil
}

// unread reads the ranges of a map in ddrescue's format that are not called finished. It is written here again, because it
// judges the program's own writer.
func unread(name string, sector int64) ([]faultdisk.Range, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var out []faultdisk.Range
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 3 || strings.HasPrefix(line, "#") || !strings.HasPrefix(f[1], "0x") || f[2] == "+" {
			continue
		}
		from, err1 := strconv.ParseInt(f[0], 0, 64)
		size, err2 := strconv.ParseInt(f[1], 0, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		out = append(out, faultdisk.Range{First: from / sector, Count: size / sector})
	}
	return out, nil
}

// holed is content with zeros where sectors are bad.
func holed(content []byte, sector int64, bad []faultdisk.Range) []byte {
	out := bytes.Clone(content)
	for _, r := range bad {
		clear(out[r.First*sector : (r.First+r.Count)*sector])
	}
	return out
}

// lacks returns why a variant cannot be run here, or "".
func lacks(programs ...string) string {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return p + " is not installed"
		}
	}
	return ""
}
