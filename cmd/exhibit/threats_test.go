package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTests = regexp.MustCompile("((?:`[Tt]est[^`]*`(?: and |, )?)+) in `([a-z0-9_/]+_test\\.go)`")
	testName   = regexp.MustCompile("`([Tt]est\\w+)(?:/([^`]*))?`")
)

// TestThreatModelNamesTests requires that each test which docs/threat-model.md names exists, and the part of it too: a page
// of what is proven must not outlive its proofs.
func TestThreatModelNamesTests(t *testing.T) {
	page := string(read(t, "..", "..", "docs", "threat-model.md"))
	found := 0
	for _, m := range namedTests.FindAllStringSubmatch(page, -1) {
		source := string(read(t, "..", "..", filepath.FromSlash(m[2])))
		for _, n := range testName.FindAllStringSubmatch(m[1], -1) {
			found++
			if !strings.Contains(source, "func "+n[1]+"(") {
				t.Errorf("%s has no test %s", m[2], n[1])
			}
			if n[2] != "" && !strings.Contains(source, `"`+n[2]+`"`) {
				t.Errorf("%s: %s has no part %q", m[2], n[1], n[2])
			}
		}
	}
	if all := len(testName.FindAllString(page, -1)); found < 30 || found+2 != all { // the page explains the form by `TestX`, `TestX/part`
		t.Errorf("%d tests were looked for, and the page names %d", found, all)
	}
}
