package main

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
	"github.com/exhibit-forensics/exhibit/verify"
)

// handBlock is the commands under one heading of docs/format.md, section 11.
type handBlock struct {
	number string // "11.5"
	script string
}

var (
	handForm = regexp.MustCompile("(?m)^### (11\\.[0-9]+) .*$|(?s)```sh\n(.*?)```\n")
	// A function that a block defines: on one line, or to the brace that closes it at the left edge.
	functionForm = regexp.MustCompile(`(?m)^[a-z0-9]+\(\) \{(?:.*\}|(?:.*\n)+?\})$`)
)

// handBlocks reads the commands out of the text that people read.
func handBlocks(t *testing.T) []handBlock {
	t.Helper()
	text, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## 11. ")
	if !ok {
		t.Fatal("docs/format.md has no section 11")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []handBlock
	for _, m := range handForm.FindAllStringSubmatch(section, -1) {
		switch {
		case m[1] != "":
			blocks = append(blocks, handBlock{number: m[1]})
		case len(blocks) == 0:
			t.Fatal("commands stand before the first heading")
		default:
			blocks[len(blocks)-1].script += m[2]
		}
	}
	for _, b := range blocks {
		if b.script == "" {
			t.Errorf("section %s has no commands", b.number)
		}
	}
	if len(blocks) < 10 || blocks[0].number != "11.1" {
		t.Fatalf("only %d blocks of commands were found", len(blocks))
	}
	return blocks
}

// handCase is a demonstration whose case the commands are tried on.
type handCase struct {
	dir         string // the case folder
	acquisition string // relative to it
	log         string // the same
	fingerprint string
}

func newHandCase(t *testing.T) handCase {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.Command("exhibit", "demo", dir).CombinedOutput(); err != nil {
		t.Fatalf("exhibit demo: %v\n%s", err, out)
	}
	c, err := custody.Open(filepath.Join(dir, "case"))
	if err != nil {
		t.Fatal(err)
	}
	h := handCase{dir: c.Dir(), log: layout.LogDir(c.Genesis().Origin), fingerprint: c.Fingerprint().String()}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(h.dir, layout.ExhibitsDir, demoExhibit, "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the demonstration left %d acquisition folders (%v)", len(found), err)
	}
	if h.acquisition, err = filepath.Rel(h.dir, found[0]); err != nil {
		t.Fatal(err)
	}
	return h
}

// copied makes a copy of the case, of links: who changes a file puts a new one in its place.
func (h handCase) copied(t *testing.T) handCase {
	t.Helper()
	to := filepath.Join(t.TempDir(), "case")
	err := filepath.WalkDir(h.dir, func(name string, e fs.DirEntry, err error) error {
		rest, relErr := filepath.Rel(h.dir, name)
		switch {
		case err != nil || relErr != nil:
			return fmt.Errorf("walk %q: %w", name, errors.Join(err, relErr))
		case e.IsDir():
			return os.Mkdir(filepath.Join(to, rest), 0o755)
		}
		return os.Link(name, filepath.Join(to, rest))
	})
	if err != nil {
		t.Fatal(err)
	}
	h.dir = to
	return h
}

// bash runs a script in the acquisition folder, as its reader would.
func (h handCase) bash(t *testing.T, script string) (string, error) {
	t.Helper()
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = filepath.Join(h.dir, h.acquisition)
	var groups []string // as read out by telephone
	for i := 0; i < len(h.fingerprint); i += 4 {
		groups = append(groups, h.fingerprint[i:i+4])
	}
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "fingerprint="+strings.Join(groups, " "))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// exitCode is what the program itself says of the case.
func (h handCase) exitCode(t *testing.T) int {
	t.Helper()
	root, err := os.OpenRoot(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	trust := []verify.TrustEntry{{Added: now().UTC, Fingerprint: h.fingerprint, Name: "test", Role: verify.RoleGenesis}}
	report, err := verify.Verify(t.Context(), root.FS(), "", verify.Policy{Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	return report.ExitCode()
}

// harm changes one file of a copy; from says which: "" the case folder, "a" the acquisition's, "l" the log's.
type harm struct {
	from, file string
	change     func([]byte) []byte
}

// poke changes one character after the place where text stands to another of base64, so that all else keeps its form.
func poke(text string, after int) func([]byte) []byte {
	return func(b []byte) []byte {
		at := bytes.Index(b, []byte(text))
		if at < 0 || at+len(text)+after >= len(b) {
			return nil
		}
		out := bytes.Clone(b)
		c := &out[at+len(text)+after]
		if *c == 'A' {
			*c = 'B'
		} else {
			*c = 'A'
		}
		return out
	}
}

func swap(old, new string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		out := bytes.Clone(b)
		out[at] ^= 1
		return out
	}
}

func gone([]byte) []byte { return nil }

// withoutLine drops a line, counted from 0.
func withoutLine(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		lines := strings.SplitAfter(string(b), "\n")
		return []byte(strings.Join(append(lines[:n:n], lines[n+1:]...), ""))
	}
}

// swapLines exchanges a line with the next.
func swapLines(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		lines := strings.SplitAfter(string(b), "\n")
		lines[n], lines[n+1] = lines[n+1], lines[n]
		return []byte(strings.Join(lines, ""))
	}
}

// inPayload changes the statement in an envelope and leaves all around it as it is.
func inPayload(old, new string) func([]byte) []byte {
	return func(b []byte) []byte {
		e, err := sign.ParseEnvelope(b)
		if err != nil {
			return b
		}
		before, after := base64.StdEncoding.EncodeToString(e.Payload), base64.StdEncoding.EncodeToString(swap(old, new)(e.Payload))
		return swap(before, after)(b)
	}
}

// twin turns an ECDSA signature (r, s) into (r, n-s), which openssl takes as well.
func twin(sig []byte) []byte {
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &v); err != nil {
		return sig
	}
	v.S.Sub(elliptic.P256().Params().N, v.S)
	out, err := asn1.Marshal(v)
	if err != nil {
		return sig
	}
	return out
}

func twinEnvelope(b []byte) []byte {
	e, err := sign.ParseEnvelope(b)
	if err != nil {
		return b
	}
	return swap(base64.StdEncoding.EncodeToString(e.Signature), base64.StdEncoding.EncodeToString(twin(e.Signature)))(b)
}

// twinNote changes the first signature line of the checkpoint that ends a proof.
func twinNote(b []byte) []byte {
	lines := strings.SplitAfter(string(b), "\n")
	text := lines[len(lines)-3]
	text = strings.TrimSpace(text[strings.LastIndexByte(text, ' '):])
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return b
	}
	return swap(text, base64.StdEncoding.EncodeToString(append(raw[:4:4], twin(raw[4:])...)))(b)
}

// handHarms are damages that the commands of that section must notice.
var handHarms = map[string][]harm{
	"11.2": {{"a", "7.raw", flip(20 << 20)}, {"a", "7.tree", flip(70)}},
	"11.3": {{"a", "7.raw", flip(20 << 20)}, {"a", "journal", flip(5)}, {"a", "B3SUMS", flip(3)}},
	"11.4": {{"a", "7.tree", flip(40)}, {"a", "7.tree", flip(23)}},
	"11.5": {
		{"a", "statement.dsse.json", poke(`"sig":"`, 20)},
		{"a", "statement.dsse.json", twinEnvelope},
		{"a", "statement.dsse.json", inPayload(`"number":2`, `"number":3`)},
		{"a", "statement.dsse.json", inPayload("/acquired/v1", "/seized/v1")},
		{"a", "genesis.dsse.json", inPayload("Example Police", "Example Pirate")},
	},
	"11.6": {{"a", "genesis.dsse.json", poke(`"sig":"`, 20)}},
	"11.7": {
		{"a", "proof.tlog-proof", swap("\n3\n", "\n4\n")},
		{"a", "proof.tlog-proof", pokeSignature(0)},
		{"a", "proof.tlog-proof", pokeSignature(1)},
		{"a", "proof.tlog-proof", twinNote},
		{"a", "proof.tlog-proof", swapLines(8)},
		{"a", "proof.tlog-proof", withoutLine(9)},
	},
	"11.8": {
		{"a", "proof.tlog-proof", swap("index 2", "index 1")},
		{"a", "proof.tlog-proof", poke("index 2\n", 5)},
		{"a", "proof.tlog-proof", withoutLine(2)},
		{"a", "statement.dsse.json", poke(`"sig":"`, 20)},
	},
	"11.9": {
		{"l", "statement/000000/1.dsse.json", poke(`"sig":"`, 20)},
		{"l", "checkpoints/2", gone},
		{"l", "tile/0/000.p/3", flip(50)},
	},
	"11.10": {
		{"a", "statement.dsse.json", poke(`"sig":"`, 20)},
		{"a", "genesis.dsse.json", poke(`"sig":"`, 20)},
		{"l", "checkpoints/3", pokeSignature(0)},
		{"", "case.json", swap("Example Police", "Example Pirate")},
	},
	"11.11": {{"a", "statement.personal.json", swap("Spector", "Inspector")}, {"a", "statement.personal.json", swap("/host", "/hose")}},
	"11.12": {{"a", "statement.dsse.json", swap(`":"`, `": "`)}, {"a", "statement.personal.json", swap("}", "}\n")}},
	"11.13": {{"", "keys/*.pem", poke("-----BEGIN CERTIFICATE-----\n", 300)}},
}

// pokeSignature damages a signature line of a checkpoint, or of one inside a proof.
func pokeSignature(line int) func([]byte) []byte {
	return func(b []byte) []byte {
		at := bytes.Index(b, []byte("\n— "))
		for range line {
			at += 1 + bytes.Index(b[at+1:], []byte("\n— "))
		}
		return append(bytes.Clone(b[:at]), poke(".exhibit.invalid ", 30)(b[at:])...)
	}
}

func (x harm) do(t *testing.T, h handCase) {
	t.Helper()
	dir := map[string]string{"": "", "a": h.acquisition, "l": h.log}[x.from]
	found, err := filepath.Glob(filepath.Join(h.dir, dir, x.file))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s is not there (%v)", x.file, err)
	}
	name := found[0]
	old, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	changed := x.change(bytes.Clone(old))
	if bytes.Equal(changed, old) {
		t.Fatalf("%s was not changed", x.file)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if changed != nil {
		if err := os.WriteFile(name, changed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// incomplete is what bash says when a block uses something that no block before it defines as a function.
var incomplete = regexp.MustCompile(`command not found|unbound variable`)

// TestByHand runs the commands of docs/format.md, section 11, taken from the text: all in order, as a reader types them,
// on a sound case, where they must succeed; then each block, with the first one and the functions of those before it, on
// damaged copies, where it must fail, as the program's own verification must.
func TestByHand(t *testing.T) {
	testtool.Need(t, "bash", "jq", "openssl", "sha256sum", "b3sum", "base64", "xxd", "cmp")
	blocks := handBlocks(t)
	sound := newHandCase(t)
	if code := sound.exitCode(t); code != codeDone {
		t.Fatalf("the demonstration's case verifies with %d", code)
	}
	begin, functions, all := blocks[0].script, "", ""
	for _, b := range blocks {
		all += b.script
	}
	t.Run("in order", func(t *testing.T) {
		t.Parallel()
		if out, err := sound.bash(t, all); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	for _, b := range blocks[1:] {
		script := begin + functions + "echo here it begins\n" + b.script
		functions += strings.Join(functionForm.FindAllString(b.script, -1), "\n") + "\n"
		t.Run(b.number, func(t *testing.T) {
			t.Parallel()
			if len(handHarms[b.number]) == 0 {
				t.Error("nothing shows that these commands notice anything")
			}
			for i, x := range handHarms[b.number] {
				h := sound.copied(t)
				x.do(t, h)
				if out, err := h.bash(t, script); err == nil || !strings.Contains(out, "here it begins") || incomplete.MatchString(out) {
					t.Errorf("damage %d, to %s, goes unnoticed, or something else fails: %v\n%s", i, x.file, err, out)
				}
				if code := h.exitCode(t); code == codeDone {
					t.Errorf("damage %d, to %s: exhibit verify says 0", i, x.file)
				}
			}
		})
	}
	for number := range handHarms {
		if !slices.ContainsFunc(blocks, func(b handBlock) bool { return b.number == number }) {
			t.Errorf("there is no section %s any more", number)
		}
	}
}
