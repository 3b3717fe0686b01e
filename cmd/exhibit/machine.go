package main

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/tpm"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Files in the folder tpm of the station's own folder.
const (
	stationFile      = "station.json"
	certificatesFile = "certificates.pem"
	maxStation       = 16 << 10
)

// keyStore are the station's keys, and the machine whose TPM holds some of them.
type keyStore struct {
	*sign.Store
	machine *machine
}

// machine is this station's TPM. It is opened when it is first needed, for keys and counter alike, and until the command
// ends: some TPMs serve one program at a time.
type machine struct {
	dir string

	mu      sync.Mutex
	station *tpm.Station
}

// attach opens the TPM in which the station's keys were made.
func (m *machine) attach() (*tpm.Station, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.station != nil {
		return m.station, nil
	}
	f, err := m.read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHints(fmt.Errorf("this station has no keys in a TPM: %w", err), "make one with: exhibit key create NAME --kind station --tpm")
	}
	if err != nil {
		return nil, err
	}
	t, err := openTPM(f.Address)
	if err != nil {
		return nil, err
	}
	station, err := t.Attach(f)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	m.station = station
	return station, nil
}

func openTPM(address string) (*tpm.TPM, error) {
	t, err := tpm.Open(address)
	return t, withHints(err, "name another TPM with --tpm=ADDRESS when its keys are made", "a user needs the group tss for "+tpm.DefaultAddress)
}

// read reads what the station keeps of its TPM.
func (m *machine) read() (tpm.StationFile, error) {
	if err := sign.CheckPrivate(filepath.Join(m.dir, stationFile)); err != nil {
		return tpm.StationFile{}, err
	}
	root, err := durable.OpenRoot(m.dir)
	if err != nil {
		return tpm.StationFile{}, err
	}
	b, err := root.ReadFile(stationFile, maxStation)
	if err := errors.Join(err, root.Close()); err != nil {
		return tpm.StationFile{}, err
	}
	f, err := tpm.ParseStationFile(b)
	if err != nil {
		return tpm.StationFile{}, misused(fmt.Errorf("%q: %w", filepath.Join(m.dir, stationFile), err))
	}
	return f, nil
}

// begin makes the station's attestation key, if it has none, in the TPM at that address.
func (m *machine) begin(address string) (*tpm.Station, error) {
	f, err := m.read()
	if err == nil && f.Address != address {
		return nil, withHints(fmt.Errorf("this station's keys are in the TPM %q, not in %q", f.Address, address),
			"another TPM is another station: set EXHIBIT_HOME to a folder of its own")
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = m.create(address)
	}
	if err != nil {
		return nil, err
	}
	return m.attach()
}

func (m *machine) create(address string) error {
	t, err := openTPM(address)
	if err != nil {
		return err
	}
	f, err := t.NewStation(address)
	if err := errors.Join(err, t.Close()); err != nil {
		return err
	}
	b, err := f.Encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	root, err := durable.OpenRoot(m.dir)
	if err != nil {
		return err
	}
	return errors.Join(root.CreateSecretEx(stationFile, b), root.Close())
}

// certificates reads the certificates that an agency has issued for the station's keys.
func (m *machine) certificates() ([]byte, error) {
	root, err := durable.OpenRoot(m.dir)
	if err != nil {
		return nil, err
	}
	b, err := root.ReadFile(certificatesFile, layout.MaxEnrolment)
	return b, errors.Join(err, root.Close())
}

// load is what the store loads keys with.
func (m *machine) load(blob, auth []byte) (crypto.Signer, error) {
	f, err := tpm.ParseKeyFile(blob)
	if err != nil {
		return nil, err
	}
	station, err := m.attach()
	if err != nil {
		return nil, err
	}
	return station.Signer(f, auth)
}

// counterAuth is the authorization value of a log key's counters.
func counterAuth(keyAuth []byte) []byte { return tpm.DeriveAuth(keyAuth, "counter") }

// newCounter defines the counter for a log with that log key, and returns the key with it; without a TPM, the key alone.
// The caller frees it when the log does not come about.
func (s keyStore) newCounter(logName string, passphrase []byte, key sign.LogSigner) (sign.LogSigner, *tpm.Counter, error) {
	info, err := s.Info(logName)
	if err != nil || info.Attestation == nil {
		return key, nil, err
	}
	auth, err := s.Auth(logName, passphrase)
	if err != nil {
		return nil, nil, err
	}
	station, err := s.machine.attach()
	if err != nil {
		return nil, nil, err
	}
	c, err := station.DefineCounter(counterAuth(auth))
	if err != nil {
		return nil, nil, err
	}
	return ledger.WithCounter(key, c), c, nil
}

// withCounter returns the log key with the counter that the genesis names, if it names one.
func (s keyStore) withCounter(g *record.CaseOpened, logName string, passphrase []byte, key sign.LogSigner) (sign.LogSigner, error) {
	c, err := s.counter(g, logName, passphrase)
	if err != nil || c == nil {
		return key, err
	}
	return ledger.WithCounter(key, c), nil
}

func (s keyStore) counter(g *record.CaseOpened, logName string, passphrase []byte) (*tpm.Counter, error) {
	if g.Counter == nil {
		return nil, nil
	}
	auth, err := s.Auth(logName, passphrase)
	if err != nil {
		return nil, err
	}
	station, err := s.machine.attach()
	if err != nil {
		return nil, err
	}
	return station.Counter(*g.Counter, counterAuth(auth))
}
