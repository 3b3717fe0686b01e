package main

import (
	"bufio"
	"encoding/json/v2"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// anchorStation is a station with a case, driven by the program itself.
type anchorStation struct {
	t   *testing.T
	dir string
}

// maker makes stations, which all have the same keys, and each a case of its own.
type maker struct{ from string }

func (m maker) station(t *testing.T) anchorStation {
	t.Helper()
	s := anchorStation{t, t.TempDir()}
	script := `cp -a "$1/." "$2" && rm -rf "$2/case"`
	if out, err := exec.Command("bash", "-c", script, "bash", m.from, s.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.run(0, "case", "create", "case", "--number", "2026-001", "--agency", "Example Police", "--key", "p", "--station", "s", "--log-key", "l",
		"--passphrase-file", "pass")
	return s
}

// run requires the exit code, and returns what was printed, stdout and stderr together.
func (s anchorStation) run(code int, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("exhibit", args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(s.dir, "home"))
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("exhibit %q: exit code %d, want %d (%v)\n%s", args, got, code, err, out)
	}
	return string(out)
}

func (s anchorStation) anchor(code int, args ...string) anchorsDocument {
	s.t.Helper()
	cmd := exec.Command("exhibit", append([]string{"log", "anchor", "--case", "case", "--json"}, args...)...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(s.dir, "home"))
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("log anchor %q: exit code %d, want %d (%v)\n%s%s", args, got, code, err, out, said.String())
	}
	var doc anchorsDocument
	if err := json.Unmarshal(out, &doc); err != nil {
		s.t.Fatalf("log anchor %q: %v\n%s", args, err, out)
	}
	return doc
}

func (s anchorStation) seize(exhibit string) {
	s.t.Helper()
	s.run(0, "custody", "seize", exhibit, "--description", "practice medium", "--case", "case", "--passphrase-file", "pass")
}

// log is the folder of the case's log.
func (s anchorStation) log() string {
	s.t.Helper()
	c, err := custody.Open(filepath.Join(s.dir, "case"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	return filepath.Join(s.dir, "case", layout.LogDir(c.Genesis().Origin))
}

func (s anchorStation) trustTSA(tsa *testtool.TSA) {
	s.t.Helper()
	s.run(0, "trust", "add", "time-stamp", tsa.RootFile(), "--name", "Example time-stamps")
}

// opensslTS has openssl say of a token that it is of the checkpoint's text.
func (s anchorStation) opensslTS(tsa *testtool.TSA, file, checkpoint string) {
	s.t.Helper()
	script := `head -n 3 "$1" >"$2/text" && openssl ts -verify -in "$3" -data "$2/text" -CAfile "$4"`
	out, err := exec.Command("bash", "-c", script, "bash", checkpoint, s.t.TempDir(), file, tsa.RootFile()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Verification: OK") {
		s.t.Errorf("openssl ts -verify %s: %v\n%s", file, err, out)
	}
}

// Tokens of several authorities are kept, an authority that does not answer is pending and asked again, and nothing waits.
func timeStamps(t *testing.T, m maker) {
	s := m.station(t)
	tsa, second := testtool.NewTSA(t, testtool.TSAOptions{}), testtool.NewTSA(t, testtool.TSAOptions{})
	s.trustTSA(tsa)
	s.trustTSA(second)
	const nobody = "http://127.0.0.1:1/"
	doc := s.anchor(codeMissing, "--tsa", tsa.Serve(t), "--tsa", nobody, "--tsa", second.Serve(t))
	if len(doc.Kept) != 2 || len(doc.Pending) != 1 || doc.Pending[0].Address != nobody || doc.Pending[0].Size != 1 {
		t.Fatalf("kept %+v, pending %+v", doc.Kept, doc.Pending)
	}
	for i, by := range []*testtool.TSA{tsa, second} {
		s.opensslTS(by, filepath.Join(s.dir, "case", doc.Kept[i].File), filepath.Join(s.log(), layout.CheckpointFile(1)))
	}
	// It waits for nobody: the next event is logged, and names the two.
	s.seize("7")
	c, err := custody.Open(filepath.Join(s.dir, "case"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for e, err := range c.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if event, ok := e.Predicate.(record.Event); ok && len(event.Header().Log.Anchors) != 2 {
			t.Errorf("the event names %d anchors, want 2", len(event.Header().Log.Anchors))
		}
	}
	// The pending one is about the checkpoint that it was asked for, and is asked for that again.
	if doc = s.anchor(codeMissing); len(doc.Pending) != 1 || doc.Pending[0].Size != 1 {
		t.Errorf("pending %+v", doc.Pending)
	}
	if doc = s.anchor(0, "--list"); len(doc.Kept) != 2 || len(doc.Pending) != 1 || doc.Kept[0].By != "CN=Example time-stamp authority" {
		t.Errorf("listed %+v", doc)
	}
	// What is required must cover every acquisition.
	if err := os.WriteFile(filepath.Join(s.dir, "medium"), []byte("what a medium holds"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(0, "acquire", "medium", "--exhibit", "7", "--case", "case", "--passphrase-file", "pass")
	s.trustCase()
	s.run(0, "verify", "case")
	s.run(codeMissing, "verify", "case", "--require", "timestamp")
	s.anchor(codeMissing, "--tsa", tsa.Serve(t))
	if out := s.run(0, "verify", "case", "--require", "timestamp"); !strings.Contains(out, `A time-stamp authority, "CN=Example time-stamp authority"`) {
		t.Errorf("the report does not say who stamped it:\n%s", out)
	}
	s.run(codeMissing, "verify", "case", "--require", "timestamp,witness")
	s.run(1, "verify", "case", "--require", "moon")
}

// trustCase trusts the station's own case.
func (s anchorStation) trustCase() {
	s.t.Helper()
	c, err := custody.Open(filepath.Join(s.dir, "case"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	s.run(0, "trust", "add", "genesis", c.Fingerprint().String(), "--name", "its own case")
}

// Without a network: the request and the answer travel as files, and openssl is the authority.
func timeStampByHand(t *testing.T, m maker) {
	s := m.station(t)
	tsa, stranger := testtool.NewTSA(t, testtool.TSAOptions{}), testtool.NewTSA(t, testtool.TSAOptions{})
	answer := func(by *testtool.TSA, name string) {
		if err := os.WriteFile(filepath.Join(s.dir, name), by.Reply(t, read(t, s.dir, "checkpoint.tsq")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.run(0, "log", "anchor", "--case", "case", "--request", "checkpoint.tsq")
	s.run(1, "log", "anchor", "--case", "case", "--request", "checkpoint.tsq")
	answer(tsa, "first.tsr")
	answer(stranger, "stranger.tsr")
	if out := s.run(0, "log", "anchor", "--case", "case", "--response", "first.tsr"); !strings.Contains(out, "no time-stamp root is trusted") {
		t.Errorf("nothing is said of whose token it is:\n%s", out)
	}
	s.trustTSA(tsa)
	s.seize("7")
	s.run(1, "log", "anchor", "--case", "case", "--response", "stranger.tsr")
	if doc := s.anchor(0, "--response", "first.tsr"); len(doc.Kept) != 1 || doc.Kept[0].Size != 1 {
		t.Errorf("an answer about an older checkpoint: %+v", doc.Kept)
	}
	// What is about something else, or is no answer, is not kept.
	other := m.station(t)
	other.trustTSA(tsa)
	if err := os.WriteFile(filepath.Join(other.dir, "first.tsr"), read(t, s.dir, "first.tsr"), 0o600); err != nil {
		t.Fatal(err)
	}
	other.run(1, "log", "anchor", "--case", "case", "--response", "first.tsr")
	other.run(1, "log", "anchor", "--case", "case", "--response", "pass")
	if doc := other.anchor(0, "--list"); len(doc.Kept) != 0 {
		t.Errorf("kept %+v", doc.Kept)
	}
}

// serve starts a witness in a process of its own, and returns its address.
func (s anchorStation) serve(args ...string) (address string) {
	s.t.Helper()
	cmd := exec.Command("exhibit", append([]string{"witness", "serve", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"}, args...)...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(s.dir, "home"))
	out, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			s.t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("witness serve ended with %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	m := regexp.MustCompile(`http://\S+`).FindString(line)
	if err != nil || m == "" {
		s.t.Fatalf("the witness says %q, %v", line, err)
	}
	go func() { _, _ = bufio.NewReader(out).WriteTo(os.Stderr) }()
	return m
}

// newWitness makes a witness and trusts it.
func (s anchorStation) newWitness(at anchorStation, args ...string) {
	s.t.Helper()
	out := at.run(0, append([]string{"witness", "create", "witness.example/w1", "--passphrase-file", "pass"}, args...)...)
	keys := regexp.MustCompile(`witness\.example/w1\+\S+`).FindAllString(out, -1)
	if len(keys) == 0 {
		s.t.Fatalf("no keys in\n%s", out)
	}
	for _, k := range keys {
		s.run(0, "trust", "add", "witness", k, "--name", "second officer")
	}
}

// A witness over HTTP follows the log, refuses one that was cut back and goes on otherwise, and tells who forked.
func witnessServes(t *testing.T, m maker) {
	s, officer := m.station(t), m.station(t)
	s.newWitness(officer, "--pq")
	genesis := filepath.Join(s.log(), layout.StatementFile(0))
	if out := officer.run(codeMissing, "witness", "serve", "--listen", "127.0.0.1:0", "--passphrase-file", "pass", "--genesis", genesis); !strings.Contains(out, "not trusted") {
		t.Errorf("a case that the witness does not trust is followed:\n%s", out)
	}
	c, err := custody.Open(filepath.Join(s.dir, "case"))
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := c.Fingerprint().String()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	officer.run(0, "trust", "add", "genesis", fingerprint, "--name", "the other station")
	address := officer.serve("--genesis", genesis)
	before := t.TempDir()
	for i, exhibit := range []string{"7", "8", "9"} {
		s.seize(exhibit)
		if doc := s.anchor(0, "--witness", address); len(doc.Kept) != 2 || doc.Kept[0].Size != int64(i+2) || len(doc.Pending) != 0 {
			t.Errorf("kept %+v, pending %+v", doc.Kept, doc.Pending)
		}
		if exhibit == "7" {
			if out, err := exec.Command("cp", "-a", filepath.Join(s.dir, "case"), before).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
	}
	// An older copy is put in place of the case, and goes on: another history.
	if out, err := exec.Command("bash", "-c", `rm -rf "$1/case" && cp -a "$2/case" "$1/case"`, "bash", s.dir, before).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.anchor(codeMismatch, "--witness", address)
	for _, exhibit := range []string{"x", "y", "z"} {
		s.seize(exhibit)
	}
	s.anchor(codeMismatch, "--witness", address)
	if forks, err := filepath.Glob(filepath.Join(officer.dir, "home", "witness", "*", "fork-*")); err != nil || len(forks) == 0 {
		t.Errorf("the witness kept no evidence: %v, %v", forks, err)
	}
}

// The same on a stick.
func witnessByHand(t *testing.T, m maker) {
	s, officer := m.station(t), m.station(t)
	s.newWitness(officer)
	genesis := filepath.Join(s.log(), layout.StatementFile(0))
	request, answer := filepath.Join(s.dir, "request"), filepath.Join(s.dir, "answer")
	s.run(0, "log", "anchor", "--case", "case", "--witness-request", "request")
	officer.run(codeMissing, "witness", "cosign", request, "--passphrase-file", "pass")
	c, err := custody.Open(filepath.Join(s.dir, "case"))
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := c.Fingerprint().String()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	officer.run(0, "trust", "add", "genesis", fingerprint, "--name", "the other station")
	for i, exhibit := range []string{"7", "8"} {
		lines := officer.run(0, "witness", "cosign", request, "--passphrase-file", "pass", "--genesis", genesis)
		if err := os.WriteFile(answer, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		if doc := s.anchor(0, "--response", "answer"); len(doc.Kept) != 1 || doc.Kept[0].Size != int64(i+1) || doc.Kept[0].By != "witness.example/w1" {
			t.Errorf("kept %+v", doc.Kept)
		}
		s.seize(exhibit)
		if err := os.Remove(request); err != nil {
			t.Fatal(err)
		}
		s.run(0, "log", "anchor", "--case", "case", "--witness-request", "request")
	}
	s.run(0, "log", "anchor", "--case", "case", "--witness-request", "wrong", "--old", "1")
	if out := officer.run(codeMissing, "witness", "cosign", filepath.Join(s.dir, "wrong"), "--passphrase-file", "pass"); !strings.Contains(out, "--old 2") {
		t.Errorf("what to type is not said:\n%s", out)
	}
}

// publicWitness: a witness as the public ones are takes our requests, and we its answers.
func publicWitness(t *testing.T, m maker) {
	tool := testtool.Need(t, "publicwitness")[0]
	s := m.station(t)
	c, err := custody.Open(filepath.Join(s.dir, "case"))
	if err != nil {
		t.Fatal(err)
	}
	g := c.Genesis()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, g.Origin, g.LogKeys[1].PublicKey)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	address, key, ok := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || !ok {
		t.Fatalf("the witness says %q, %v", line, err)
	}
	s.run(0, "trust", "add", "witness", key, "--name", "a public witness")
	for i, exhibit := range []string{"7", "8", "9"} {
		if doc := s.anchor(0, "--witness", address); len(doc.Kept) != 1 || doc.Kept[0].Size != int64(i+1) || doc.Kept[0].By != "public-witness.example" {
			t.Errorf("kept %+v, pending %+v", doc.Kept, doc.Pending)
		}
		s.seize(exhibit)
	}
}

// TestAnchors goes the way of an anchor with the program itself.
func TestAnchors(t *testing.T) {
	from, err := newStations(t.TempDir()).bare()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]func(*testing.T, maker){
		"time-stamps": timeStamps, "time-stamp by hand": timeStampByHand, "witness serves": witnessServes, "witness by hand": witnessByHand,
		"public witness": publicWitness,
	} {
		t.Run(name, func(t *testing.T) { test(t, maker{from}) })
	}
}
