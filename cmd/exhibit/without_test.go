package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
	"github.com/exhibit-forensics/exhibit/internal/testtool/swtpm"
)

// withoutCase is a folder as the reader of docs/verify-without-exhibit.md has it: a case, bundles, and what came by another
// channel.
type withoutCase struct{ handCase }

func newWithoutCase(t *testing.T) withoutCase {
	t.Helper()
	h, s := newTPMCase(t)
	tsa := testtool.NewTSA(t, testtool.TSAOptions{})
	s.trustTSA(tsa)
	out := s.run(0, "witness", "create", "witness.example/w1", "--passphrase-file", "pass")
	key := regexp.MustCompile(`witness\.example/w1\+\S+`).FindString(out)
	s.run(0, "trust", "add", "witness", key, "--name", "second officer")
	address := s.serve("--genesis", filepath.Join(s.dir, h.log, layout.StatementFile(0)))
	s.run(0, "log", "anchor", "--case", "case", "--tsa", tsa.Serve(t), "--witness", address)
	s.run(0, "log", "export", "--case", "case", "--sigstore", "bundles")
	s.write(map[string][]byte{"fingerprint": []byte(h.fingerprint + "\n"), "witness.key": []byte(key + "\n"), "tsa-root.pem": read(t, tsa.RootFile())})
	return withoutCase{h}
}

// newTPMCase makes a case whose station and log keys are in a TPM, with an acquisition that was quoted, and an event after
// it that names the quote.
func newTPMCase(t *testing.T) (handCase, anchorStation) {
	t.Helper()
	machine := swtpm.New(t)
	s := anchorStation{t, t.TempDir()}
	medium := make([]byte, 24<<20)
	for i := range medium {
		medium[i] = byte(i >> 12)
	}
	s.write(map[string][]byte{"pass": []byte(passphrase + "\n"), "medium.img": medium})
	s.run(0, "key", "create", "p", "--kind", "person", "--passphrase-file", "pass")
	for name, kind := range map[string]string{"s": "station", "l": "log"} {
		s.run(0, "key", "create", name, "--kind", kind, "--tpm="+machine.Address())
	}
	s.run(0, "case", "create", "case", "--number", "2026-001", "--agency", "Example Police", "--key", "p", "--station", "s", "--log-key", "l",
		"--passphrase-file", "pass")
	s.seize("7")
	s.run(0, "acquire", "medium.img", "--exhibit", "7", "--case", "case", "--key", "s")
	s.seize("8")
	c, err := custody.Open(filepath.Join(s.dir, "case"))
	if err != nil {
		t.Fatal(err)
	}
	h := handCase{dir: s.dir, log: filepath.Join("case", layout.LogDir(c.Genesis().Origin)), fingerprint: c.Fingerprint().String()}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	s.run(0, "trust", "add", "genesis", h.fingerprint, "--name", "case")
	found, err := filepath.Glob(filepath.Join(s.dir, "case", layout.ExhibitsDir, "7", "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%d acquisition folders (%v)", len(found), err)
	}
	if h.acquisition, err = filepath.Rel(s.dir, found[0]); err != nil {
		t.Fatal(err)
	}
	return h, s
}

func (s anchorStation) write(files map[string][]byte) {
	s.t.Helper()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// bash runs a script in the folder, without a network.
func (w withoutCase) bash(t *testing.T, script string) (string, error) {
	t.Helper()
	bin := filepath.Dir(testtool.Need(t, "cosign")[0])
	out, err := offline(t, "bash", "-c", "cd "+w.dir+" && PATH="+bin+":$PATH TMPDIR="+t.TempDir()+"\nexport PATH TMPDIR\n"+script)
	return out, err
}

func (w withoutCase) copied(t *testing.T) withoutCase {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", w.dir, to).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.dir = to
	return w
}

// withoutHarms are damages that the commands of each section must notice.
var withoutHarms = map[string][]harm{
	"2": {{"a", "7.raw", flip(20 << 20)}, {"a", "B3SUMS", flip(3)}},
	"3": {
		{"a", "7.raw", flip(20 << 20)},
		{"", "bundles/2.sigstore.json", poke(`"sig":"`, 20)},
		{"", "bundles/2.sigstore.json", poke(`"hashes":["`, 5)},
		{"", "bundles/trusted_root.json", poke(`"rawBytes":"MCowBQYDK2VwAyEA`, 5)},
		{"a", "statement.dsse.json", inPayload(`"number":2`, `"number":3`)},
	},
	"4": {
		{"", "fingerprint", flipHex},
		{"", "bundles/0.sigstore.json", poke(`"canonicalizedBody":"`, 200)},
		{"", "bundles/1.sigstore.json", poke(`"sig":"`, 20)},
		{"", "bundles/trusted_root.json", poke(`"rawBytes":"MCowBQYDK2VwAyEA`, 5)},
		{"l", "statement/000000/1.dsse.json", inPayload(`"exhibit":"7"`, `"exhibit":"8"`)},
	},
	"5": {
		{"l", "anchors/*.tsr", flip(900)}, {"l", "anchors/*.tsr", gone}, {"l", "checkpoints/4", swap("\n4\n", "\n5\n")},
		{"", "tsa-root.pem", gone},
	},
	"6": {
		{"l", "anchors/*.cosig", poke("witness.example/w1 ", 40)}, {"l", "anchors/*.cosig", gone},
		{"l", "anchors/*.cosig", swap("\n4\n", "\n5\n")}, {"", "witness.key", poke("+BA", 9)},
	},
	"7": {
		{"l", "attest/2.quote", gone}, {"l", "attest/2.quote", poke(`"attest":"`, 120)}, {"l", "attest/2.quote", poke(`"signature":"`, 60)},
		{"l", "attest/2.quote", poke(`"attestationKey":"`, 90)}, {"l", "attest/2.quote", swap(`"pcrs":["0`, `"pcrs":["1`)},
		{"l", "attest/2.quote", swap("the TPM is", "The TPM is")}, // this only the event that names it shows
		{"", "bundles/2.sigstore.json", poke(`"canonicalizedBody":"`, 200)},
	},
}

func flipHex(b []byte) []byte {
	if b[0] == '0' {
		return append([]byte("1"), b[1:]...)
	}
	return append([]byte("0"), b[1:]...)
}

// TestWithoutExhibit runs the commands of docs/verify-without-exhibit.md, taken from the text: all in order on a sound case,
// and the blocks of each section, with the first and the functions of those before, on damaged copies.
func TestWithoutExhibit(t *testing.T) {
	testtool.Need(t, "bash", "cosign", "jq", "openssl", "sha256sum", "b3sum", "xxd", "unshare", "tpm2_checkquote")
	text := read(t, "../../docs/verify-without-exhibit.md")
	var sections []handBlock
	for _, m := range regexp.MustCompile("(?m)^## ([0-9]+)\\. .*$|(?s)```sh\n(.*?)```\n").FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			sections = append(sections, handBlock{number: m[1]})
		} else {
			sections[len(sections)-1].script += m[2]
		}
	}
	if len(sections) != len(withoutHarms)+1 {
		t.Fatalf("%d sections with commands, want %d", len(sections), len(withoutHarms)+1)
	}
	w := newWithoutCase(t)
	all, functions := "", ""
	for _, s := range sections {
		all += s.script
	}
	if out, err := w.bash(t, all); err != nil || strings.Contains(out, "DIFFERENT") {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, s := range sections[1:] {
		script := sections[0].script + functions + "echo here it begins\n" + s.script
		functions += strings.Join(functionForm.FindAllString(s.script, -1), "\n") + "\n"
		for i, x := range withoutHarms[s.number] {
			damaged := w.copied(t)
			x.do(t, damaged.handCase)
			if out, err := damaged.bash(t, script); err == nil || !strings.Contains(out, "here it begins") || incomplete.MatchString(out) {
				t.Errorf("section %s, damage %d, to %s: it goes unnoticed, or something else fails: %v\n%s", s.number, i, x.file, err, out)
			}
		}
	}
}
