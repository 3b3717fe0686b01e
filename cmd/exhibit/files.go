package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// regular is the absolute path of a regular file: nothing else is opened, and no name means a device.
func regular(name string) (string, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", misused(fmt.Errorf("%q is not a regular file", name), "name a file")
	}
	return path, nil
}

// readSmall reads a file of at most so many bytes.
func readSmall(name string, most int64) ([]byte, error) {
	path, err := regular(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = misused(fmt.Errorf("%q has more than %d bytes", name, most))
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// writeNew creates a file, for its owner alone when it is a secret.
func writeNew(name string, b []byte, secret bool) error {
	if name == "" {
		return errors.New("say where to write with --out FILE")
	}
	root, err := durable.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	create := root.CreateEx
	if secret {
		create = root.CreateSecretEx
	}
	err = create(filepath.Base(name), b)
	if errors.Is(err, fs.ErrExist) {
		err = withHints(fmt.Errorf("%q exists already", name), "name a file that does not exist yet")
	}
	return errors.Join(err, root.Close())
}
