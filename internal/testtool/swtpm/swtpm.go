// Package swtpm runs a software TPM for tests: Debian's swtpm, with an endorsement key and its certificate as a maker
// gives them.
//
// Start with [New]. The promise: the TPM is one of the test's own, in a folder of its own, and ends with the test.
package swtpm

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// Machine is a software TPM and its power supply.
type Machine struct {
	dir string // short, for the name of a socket has at most 107 bytes
	cmd *exec.Cmd
}

// New makes a TPM and switches it on.
func New(t testing.TB) *Machine {
	t.Helper()
	testtool.Need(t, "swtpm", "swtpm_setup", "swtpm_localca")
	memory := "/dev/shm" // the TPM writes its state at every step
	if _, err := os.Stat(memory); err != nil {
		memory = ""
	}
	dir, err := os.MkdirTemp(memory, "tpm")
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{dir: dir}
	t.Cleanup(func() {
		m.PowerOff(t)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	files := map[string]string{
		"setup.conf": fmt.Sprintf("create_certs_tool=%s\ncreate_certs_tool_config=%s\ncreate_certs_tool_options=/dev/null\nactive_pcr_banks=sha256\n",
			testtool.Need(t, "swtpm_localca")[0], m.path("localca.conf")),
		"localca.conf": fmt.Sprintf("statedir=%[1]s\nsigningkey=%[1]s/signkey.pem\nissuercert=%[1]s/issuercert.pem\ncertserial=%[1]s/certserial\n", m.path("ca")),
	}
	for name, text := range files {
		if err := os.WriteFile(m.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ca", "state"} {
		if err := os.Mkdir(m.path(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("swtpm_setup", "--tpm2", "--tpmstate", m.path("state"), "--config", m.path("setup.conf"),
		"--create-ek-cert", "--overwrite").CombinedOutput()
	if err != nil {
		t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
	m.PowerOn(t)
	return m
}

func (m *Machine) path(name string) string { return filepath.Join(m.dir, name) }

// Address is the TPM's socket.
func (m *Machine) Address() string { return m.path("tpm.sock") }

// TCTI is the address as the tools of tpm2-tools want it.
func (m *Machine) TCTI() string { return "swtpm:path=" + m.Address() }

// Roots returns the certificates, in PEM, of the authority that certified the endorsement key.
func (m *Machine) Roots(t testing.TB) []byte {
	t.Helper()
	var all []byte
	for _, name := range []string{"ca/issuercert.pem", "ca/swtpm-localca-rootca-cert.pem"} {
		b, err := os.ReadFile(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// PowerOn starts the TPM. It answers as soon as PowerOn returns.
func (m *Machine) PowerOn(t testing.TB) {
	t.Helper()
	m.cmd = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+m.path("state"), "--server", "type=unixio,fd=3",
		"--ctrl", "type=unixio,fd=4", "--flags", "startup-clear")
	for _, name := range []string{m.Address(), m.Address() + ".ctrl"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		f, err := l.File()
		if err := errors.Join(err, l.Close()); err != nil {
			t.Fatal(err)
		}
		defer f.Close() //nolint:errcheck // the TPM has its own copy
		m.cmd.ExtraFiles = append(m.cmd.ExtraFiles, f)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// PowerOff cuts the power: the TPM is killed without being told before.
func (m *Machine) PowerOff(t testing.TB) {
	t.Helper()
	if m.cmd == nil {
		return
	}
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	if err := m.cmd.Wait(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			t.Error(err)
		}
	}
	m.cmd = nil
	for _, name := range []string{m.Address(), m.Address() + ".ctrl"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	}
}

// Save copies the state of a TPM that is off, and Restore puts it back: what a snapshot of a virtual machine does.
func (m *Machine) Save(t testing.TB, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS(m.path("state"))); err != nil {
		t.Fatal(err)
	}
}

// Restore replaces the state of a TPM that is off.
func (m *Machine) Restore(t testing.TB, dir string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(m.path("state")), os.CopyFS(m.path("state"), os.DirFS(dir))); err != nil {
		t.Fatal(err)
	}
}
