package main

import (
	"os/exec"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// TestShellWord lets a shell take a hint's words apart again.
func TestShellWord(t *testing.T) {
	testtool.Need(t, "bash")
	for _, want := range []string{"/dev/sdb", "", "a b", "it's", `$HOME "x" \`, "`id`", "a\nb", "\x1b[31m'\\", "ä ö", "\xff"} {
		word := shellWord(want)
		if clean(word) != word {
			t.Errorf("shellWord(%q) = %q, which the screen would change", want, word)
		}
		got, err := exec.Command("bash", "-c", "printf %s "+word).Output()
		if err != nil || string(got) != want {
			t.Errorf("the shell reads %s as %q, error %v; want %q", word, got, err, want)
		}
	}
}
