//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// result is a case and what came of it.
type result struct {
	testCase
	runs []outcome
}

const preamble = `# NIST's cases of disk imaging

Written by ` + "`make cftt`" + `; nothing here is typed by hand. The cases are those of NIST's Federated Testing for disk imaging, FT-DI-01 to
FT-DI-15 (Computer Forensics Tool Testing program). Each was run as far as a loop device, or a FUSE device that sees every write, can stand in
for a drive; this is no report of NIST, and no substitute for the same cases on the hardware of a laboratory. What is called a source holds a
known pattern, and image and clone were compared with it byte by byte; digests were compared with those of Go's own library. "No write reached the
source" means that the device saw no attempt at one; "unchanged", that the bytes were compared. Options that only name the case, the exhibit
and the key, or confirm the device to overwrite, are left out.

`

// write writes the document.
func (b *bench) write(name string, done []result) error {
	version, err := b.must("version")
	if err != nil {
		return err
	}
	var system unix.Utsname
	if err := unix.Uname(&system); err != nil {
		return err
	}
	var t strings.Builder
	t.WriteString(preamble)
	first, _, _ := strings.Cut(version, "\n")
	kernel, _, _ := strings.Cut(unix.ByteSliceToString(system.Release[:]), "-")
	fmt.Fprintf(&t, "Run with %s, Linux %s.\n\n| case | | result |\n|---|---|---|\n", strings.TrimSpace(first), kernel)
	for _, r := range done {
		fmt.Fprintf(&t, "| [%s](#%s) | %s | %s |\n", r.id, strings.ToLower(r.id), r.title, r.summary())
	}
	for _, r := range done {
		fmt.Fprintf(&t, "\n## %s\n\n%s.\n", r.id, r.title)
		if len(r.runs) > 0 {
			t.WriteString("\n| variant | what was done | result |\n|---|---|---|\n")
		}
		for _, o := range r.runs {
			fmt.Fprintf(&t, "| %s | `%s` | %s |\n", o.variant, strings.TrimSpace(o.done), o.text())
		}
		switch {
		case r.run == nil:
			fmt.Fprintf(&t, "\nNot supported. %s.\n", r.not)
		case r.not != "":
			fmt.Fprintf(&t, "\nNot done: %s.\n", r.not)
		}
	}
	return os.WriteFile(name, []byte(t.String()), 0o644)
}

// summary counts the runs of a case.
func (r result) summary() string {
	if r.run == nil {
		return "not supported"
	}
	good, bad, skipped := 0, 0, 0
	for _, o := range r.runs {
		switch {
		case o.skipped != "":
			skipped++
		case len(o.wrong) > 0:
			bad++
		default:
			good++
		}
	}
	text := fmt.Sprintf("%d as expected", good)
	if bad > 0 {
		text += fmt.Sprintf(", **%d not**", bad)
	}
	if skipped > 0 {
		text += fmt.Sprintf(", %d not run", skipped)
	}
	if r.not != "" {
		text += "; see there what was not done"
	}
	return text
}
