package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/verify"
)

const trustFile = "trust.json"

// home is the station's own folder: $EXHIBIT_HOME, else "exhibit" in the user's configuration directory.
func home() (string, error) {
	if dir := os.Getenv("EXHIBIT_HOME"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", withHints(fmt.Errorf("find the folder for keys and trust: %w", err), "set EXHIBIT_HOME to a folder of your own")
	}
	return filepath.Join(dir, "exhibit"), nil
}

// openStore opens the station's keys, making the folder when create is set.
func openStore(create bool) (keyStore, error) {
	own, err := home()
	if err != nil {
		return keyStore{}, err
	}
	dir := filepath.Join(own, "keys")
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return keyStore{}, err
		}
	}
	store, err := sign.OpenStore(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return keyStore{}, withHints(fmt.Errorf("no keys yet: %w", err), "make one with: exhibit key create NAME --kind person")
	}
	if err != nil {
		return keyStore{}, err
	}
	m := &machine{dir: filepath.Join(own, "tpm")}
	store.Device, store.Remote = m.load, openRemote
	return keyStore{store, m}, nil
}

// readTrust reads the trust file named, or the station's own when file is empty; a missing station file is no trust.
func readTrust(file string) ([]verify.TrustEntry, error) {
	own := file == ""
	if own {
		dir, err := home()
		if err != nil {
			return nil, err
		}
		file = filepath.Join(dir, trustFile)
	}
	root, err := durable.OpenRoot(filepath.Dir(file))
	if own && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read trust: %w", err)
	}
	b, err := root.ReadFile(filepath.Base(file), layout.MaxTrust)
	if err := errors.Join(err, root.Close()); err != nil {
		if own && errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, misused(fmt.Errorf("read trust: %w", err)) // it is the user's own file and no evidence
	}
	entries, err := verify.ParseTrust(b)
	if err != nil && !errors.Is(err, record.ErrNewer) {
		// It is the user's own file and no evidence, so it is no mismatch.
		return nil, misused(fmt.Errorf("trust file %q: %w", file, err), "take a trust file as exhibit trust add writes it (docs/format.md, 13)")
	}
	if err != nil {
		return nil, fmt.Errorf("trust file %q: %w", file, err)
	}
	return entries, nil
}

// writeTrust replaces the station's trust file.
func writeTrust(entries []verify.TrustEntry) error {
	dir, err := home()
	if err != nil {
		return err
	}
	b, err := verify.EncodeTrust(entries)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return err
	}
	return errors.Join(root.Replace(trustFile, b), root.Close())
}
