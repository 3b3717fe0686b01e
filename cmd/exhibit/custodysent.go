package main

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// sent says which file was transmitted, and under which reference.
func (b *eventBuilder) sent(_ record.Type, h *record.Handling) (err error) {
	if b.one("reference") != "" {
		if h.Reference, err = b.fact("/handling/reference", "reference"); err != nil {
			return err
		}
	}
	name := b.one("package")
	if name == "" {
		return nil
	}
	p := new(record.Attachment)
	if p.Digests, p.SizeBytes, err = digestsOfFile(name); err != nil {
		return fmt.Errorf("read the package: %w", err)
	}
	p.Name, err = b.openings.CommitFact(rand.Reader, "/handling/package/name", filepath.Base(name), "not given")
	h.Package = p
	return err
}

// digestsOfFile are the BLAKE3 and SHA-256 of a regular file, and its size in bytes.
func digestsOfFile(name string) ([]record.Digest, int64, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is no regular file", name)
	}
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	sum, b3 := sha256.New(), blake3.New(32, nil)
	n, err := io.Copy(io.MultiWriter(sum, b3), f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, 0, err
	}
	return []record.Digest{record.BLAKE3Digest([32]byte(b3.Sum(nil))), record.SHA256Digest([32]byte(sum.Sum(nil)))}, n, nil
}

// endorsed are the events that are vouched for: by their numbers, as in references, or by their leaf hashes.
func (b *eventBuilder) endorsed() ([]record.LeafHash, error) {
	var leaves []record.LeafHash
	for _, text := range b.said["entry"] {
		leaf, err := record.ParseLeafHash(text)
		if err != nil {
			named, err := b.numbered("entry", text)
			if err != nil {
				return nil, err
			}
			leaf = *named
		}
		leaves = append(leaves, leaf)
	}
	if len(leaves) > record.MaxEndorsed {
		return nil, withHints(fmt.Errorf("%d events, at most %d are endorsed at once", len(leaves), record.MaxEndorsed), "endorse the rest by another event")
	}
	return record.SortLeaves(leaves), nil
}
