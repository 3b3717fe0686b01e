//go:build linux

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/tpm"
)

// runAppendTPM measures one append with a software key over one with a log key and a counter in swtpm, both into logs of
// about ten entries.
func runAppendTPM(b *bench) (ratio float64, err error) {
	swtpm, err := exec.LookPath("swtpm")
	if err != nil {
		return 0, errNoPeer
	}
	b.sayVersion(swtpm)
	state, err := os.MkdirTemp("/dev/shm", "exhibit-bench-tpm-") // as fast as a TPM in software can be
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	address := filepath.Join(state, "sock")
	device := exec.CommandContext(b.ctx, swtpm, "socket", "--tpm2", "--tpmstate", "dir="+state, "--server", "type=unixio,path="+address,
		"--ctrl", "type=unixio,path="+address+".ctrl", "--flags", "startup-clear")
	if err := device.Start(); err != nil {
		return 0, err
	}
	defer func() {
		if err := device.Process.Kill(); err == nil {
			_ = device.Wait() // that it was killed is all it can say
		}
	}()
	return b.selfRatio("append-tpm", filepath.Join(b.disk, "append-tpm"), address)
}

// openWhenReady opens the TPM as soon as it answers.
func openWhenReady(ctx context.Context, address string) (*tpm.TPM, error) {
	for {
		t, err := tpm.Open(address)
		if err == nil || ctx.Err() != nil {
			return t, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// selfAppendTPM prints the times of the last pair, and last the median of the ratios.
func selfAppendTPM(ctx context.Context, dir, address string, pairs int) error {
	wait, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	device, err := openWhenReady(wait, address)
	if err != nil {
		return err
	}
	file, err := device.NewStation(address)
	if err != nil {
		return err
	}
	station, err := device.Attach(file)
	if err != nil {
		return err
	}
	software, err := newLog(ctx, filepath.Join(dir, "software"), 10)
	if err != nil {
		return err
	}
	inTPM, err := newLogInTPM(ctx, station, filepath.Join(dir, "tpm"), 10)
	if err != nil {
		return err
	}
	var ratios []float64
	for range pairs * 5 {
		a, err := software.appendOne(ctx)
		if err != nil {
			return err
		}
		p, err := inTPM.appendOne(ctx)
		if err != nil {
			return err
		}
		ratios = append(ratios, a.Seconds()/p.Seconds())
	}
	fmt.Printf("last append: %v with a software key, %v with a log key and a counter in the TPM\n", software.took, inTPM.took)
	fmt.Printf("%.4f\n", median(ratios))
	return errors.Join(station.Close(), device.Close())
}

// newLogInTPM makes a case whose log key and counter are in the TPM; the person's key is a file, as always.
func newLogInTPM(ctx context.Context, station *tpm.Station, dir string, n int) (*benchLog, error) {
	auth, err := tpm.NewAuth()
	if err != nil {
		return nil, err
	}
	f, _, err := station.NewKey("log", auth)
	if err != nil {
		return nil, err
	}
	key, err := station.Signer(f, auth)
	if err != nil {
		return nil, err
	}
	first, err := sign.NewDeviceSigner(key)
	if err != nil {
		return nil, err
	}
	_, second, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	logKey, err := sign.NewLogSignerOf(first, second)
	if err != nil {
		return nil, err
	}
	counter, err := station.DefineCounter(tpm.DeriveAuth(auth, "counter"))
	if err != nil {
		return nil, err
	}
	id := counter.Identity()
	b := &benchLog{log: ledger.WithCounter(logKey, counter)}
	person, err := b.newPerson(dir)
	if err != nil {
		return nil, err
	}
	return b, b.fill(ctx, dir, custody.NewCase{Admit: []custody.Admission{person}, Counter: &id}, n)
}

// fill makes the case and so many entries.
func (b *benchLog) fill(ctx context.Context, dir string, n custody.NewCase, entries int) error {
	n.Number, n.Agency, n.Clock, n.Random = "1", "Bench", clock, rand.Reader
	var err error
	if b.c, err = custody.Create(filepath.Join(dir, "case"), n, b.signer, b.log); err != nil {
		return err
	}
	for left := entries - 1; left > 0; left -= 5000 {
		if err := b.appendBatch(ctx, min(left, 5000)); err != nil {
			return err
		}
	}
	return nil
}

// newPerson makes the key that signs the events.
func (b *benchLog) newPerson(dir string) (custody.Admission, error) {
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		return custody.Admission{}, err
	}
	store, err := sign.OpenStore(filepath.Join(dir, "keys"))
	if err != nil {
		return custody.Admission{}, err
	}
	person, err := store.Create("p", record.KindPerson, []byte("bench"))
	if err != nil {
		return custody.Admission{}, err
	}
	b.signer, err = store.Unlock("p", []byte("bench"))
	return custody.Admission{Key: person.PublicKey, Kind: record.KindPerson, Events: record.EventTypes, Certificate: person.Certificate}, err
}
