package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/cmd/exhibit/practice"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

var (
	shellForm    = regexp.MustCompile("(?s)```sh\n(.*?)```\n")
	unlockForm   = regexp.MustCompile(`(?m)^exhibit (?:key create|case create|custody (?:seize|unseal|seal)|acquire) [^#\n]*`)
	promisedForm = regexp.MustCompile(`# .*\bexit ([0-9]+)\b`)
	readOutForm  = regexp.MustCompile(`(?m)^Fingerprint: ([0-9a-f ]+)$`)
)

// readmeBlocks returns the commands of "The main job": those of the investigator, of the receiver, and without Exhibit.
func readmeBlocks(t *testing.T) []string {
	t.Helper()
	text, ok := sections(t, "../../README.md")["The main job"]
	if !ok {
		t.Fatal("README.md has no main job")
	}
	var blocks []string
	for _, m := range shellForm.FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, strings.ReplaceAll(m[1], "\\\n", ""))
	}
	if len(blocks) != 3 {
		t.Fatalf("the main job has %d blocks of commands, want 3", len(blocks))
	}
	return blocks
}

// runReadme runs the lines of a block in one shell, and requires of each the exit code that its comment names, else 0.
func runReadme(t *testing.T, dir, home, block string) string {
	t.Helper()
	var script strings.Builder
	var want []string
	for line := range strings.Lines(block) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		code := "0"
		if m := promisedForm.FindStringSubmatch(line); m != nil {
			code = m[1]
		}
		want = append(want, code)
		script.WriteString(strings.TrimSuffix(line, "\n") + "\necho \"@code $?\"\n")
	}
	cmd := exec.Command("bash", "-c", script.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+home, "EXHIBIT_HOME="+filepath.Join(home, "settings"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := regexp.MustCompile(`(?m)^@code ([0-9]+)$`).FindAllStringSubmatch(string(out), -1)
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%d commands of %d ran\n%s", len(got), len(want), out)
	}
	for i, code := range want {
		if got[i][1] != code {
			t.Errorf("command %d ends with %s, the README says %s", i+1, got[i][1], code)
		}
	}
	if t.Failed() {
		t.Log(string(out))
	}
	return string(out)
}

// TestReadme runs the main job of README.md as it is written there, but for three things: in place of /dev/sdb a file is
// read; --passphrase-file is added to each command that unlocks or makes a key, because there is no terminal to type at;
// and the fingerprint is the real one, as the first part prints it.
func TestReadme(t *testing.T) {
	testtool.Need(t, "bash", "sha256sum", "b3sum")
	blocks := readmeBlocks(t)
	dir, medium, pass := t.TempDir(), filepath.Join(t.TempDir(), "sdb"), filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("a passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	writePractice(t, medium)
	if strings.Count(blocks[0], "/dev/sdb") != 1 || len(unlockForm.FindAllString(blocks[0], -1)) != 8 {
		t.Fatalf("the main job is not what this test knows how to run:\n%s", blocks[0])
	}
	first := strings.Replace(blocks[0], "/dev/sdb", strconv.Quote(medium), 1)
	first = unlockForm.ReplaceAllString(first, "$0 --passphrase-file "+strconv.Quote(pass)+" ")
	out := runReadme(t, dir, t.TempDir(), first)

	found := readOutForm.FindAllStringSubmatch(out, -1)
	if len(found) == 0 {
		t.Fatalf("no fingerprint was printed:\n%s", out)
	}
	fingerprint := found[len(found)-1][1]
	if strings.Count(blocks[1], `"1f2e 3d4c ..."`) != 1 {
		t.Fatalf("the receiver's commands have no fingerprint to replace:\n%s", blocks[1])
	}
	// The receiver has settings of his own.
	out = runReadme(t, dir, t.TempDir(), strings.Replace(blocks[1], "1f2e 3d4c ...", fingerprint, 1))
	if !strings.Contains(out, "VERIFIED: ") || strings.Contains(out, "NOT VERIFIED") {
		t.Errorf("the receiver's verification says:\n%s", out)
	}
	folders, err := filepath.Glob(filepath.Join(dir, "case-2026-001", "exhibits", "7", "*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("%d acquisition folders, %v", len(folders), err)
	}
	runReadme(t, folders[0], t.TempDir(), blocks[2])
}

// TestReadmeFlags parses every command line of README.md, those too that need a failing drive: it must name a command that
// there is and flags that it has, and as many arguments as it takes.
func TestReadmeFlags(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`"[^"]*"|[^\s"]+`)
	lines := 0
	for _, block := range shellForm.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", "")) {
			command, _, _ := strings.Cut(line, " #")
			args, ours := strings.CutPrefix(strings.TrimSpace(command), "exhibit ")
			if !ours {
				continue
			}
			lines++
			cmd, rest, err := newRootCommand(newUI(nil, io.Discard, io.Discard)).Find(words.FindAllString(args, -1))
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil {
				err = cmd.Args(cmd, cmd.Flags().Args())
			}
			if err != nil || !cmd.HasParent() {
				t.Errorf("README.md: %q: %v", command, err)
			}
		}
	}
	if lines < 15 {
		t.Errorf("README.md has only %d commands", lines)
	}
}

// writePractice writes the beginning of the practice medium, which is enough here.
func writePractice(t *testing.T, name string) {
	t.Helper()
	r, err := practice.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, 3<<20/2))
	if err != nil || bytes.Count(b, []byte{0}) == len(b) {
		t.Fatalf("the practice medium gave %d bytes, %v", len(b), err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
